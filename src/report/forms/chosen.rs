//! The runs that were asked for, read one after the other, with what is private left out.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use super::super::export::Surroundings;
use super::super::export::private::Private;
use super::super::files::RunFiles;
use super::super::numbers;
use super::super::say::Clock;
use super::super::summary::RunSummary;
use super::{FormError, Written};
use crate::run_dir::imported::is_seed;
use crate::run_dir::metrics::Metrics;
use crate::run_dir::metrics::stream::Rows;
use crate::run_dir::records::{Environment, RunRecord};
use crate::run_dir::write::at;
use crate::run_dir::{RunDir, Workspace, read, scan};

/// Sentences about damage beyond these are counted.
const MOST_TOLD: usize = 20;

pub struct Chosen<'a> {
    pub workspace: &'a Workspace,
    pub dirs: &'a [RunDir],
    pub surroundings: Surroundings,
    pub clock: Clock,
    host: String,
    private: Option<Private>,
    /// Runs that are drawn with another number than their own.
    moved: BTreeMap<RunDir, u16>,
    damage: Vec<String>,
    damaged: usize,
}

/// What is known of a run without its tables.
pub struct Outline {
    pub files: RunFiles,
    pub experiment: String,
    pub run: String,
    pub seed: Option<u64>,
    /// Every setting by its dotted path.
    pub settings: Map<String, Value>,
}

impl<'a> Chosen<'a> {
    pub fn new(workspace: &'a Workspace, dirs: &'a [RunDir], surroundings: Surroundings) -> Chosen<'a> {
        let host = scan::host();
        let private = (surroundings == Surroundings::LeftOut).then(|| Private::here(workspace, host.clone()));
        let clock = Clock::here(scan::now());
        let (damage, moved) = (Vec::new(), numbers::moved(dirs));
        Chosen { workspace, dirs, surroundings, clock, host, private, moved, damage, damaged: 0 }
    }

    /// A run without its tables, samples and events.
    pub fn outline(&mut self, dir: &RunDir) -> Outline {
        let mut seen = scan::look(dir, &self.host, self.clock.now);
        let mut warnings = std::mem::take(&mut seen.warnings);
        let environment = read::json_if_there::<Environment>(&dir.env_json()).unwrap_or_else(|error| {
            warnings.push(error.to_string());
            None
        });
        let mut files = RunFiles {
            metrics: Metrics::default(),
            curves: Vec::new(),
            telemetry: Metrics::default(),
            distributions: Metrics::default(),
            events: Vec::new(),
            machine_alerts: Vec::new(),
            environment,
            model: None,
            taken_model: None,
            evaluation: None,
            result: read::json_if_there(&dir.result()).unwrap_or_default(),
            verdicts: Vec::new(),
            samples: Vec::new(),
            checkpoints: Vec::new(),
            log: String::new(),
            stderr: String::new(),
            log_bytes: 0,
            seen,
            warnings,
        };
        if let Err(error) = &files.seen.record {
            self.damage(error);
        }
        if let Some(private) = &mut self.private {
            private.leave_out_of(&mut files);
        }
        let record = files.seen.record.as_ref().ok();
        Outline {
            experiment: dir.experiment(),
            run: dir.name(),
            seed: record.and_then(RunRecord::seed),
            settings: record.map_or_else(Map::new, RunRecord::flat_settings),
            files,
        }
    }

    /// A run with all that its page shows.
    pub fn whole(&mut self, dir: &RunDir) -> (RunFiles, RunSummary) {
        let mut files = RunFiles::read(dir, &self.host, self.clock.now, Metrics::default());
        if let Some(private) = &mut self.private {
            private.leave_out_of(&mut files);
        }
        let mut summary = RunSummary::of(&files, String::new());
        summary.number = self.moved.get(dir).copied().unwrap_or(summary.number);
        if let Some(private) = &self.private {
            private.leave_out_of_words(&mut summary);
        }
        (files, summary)
    }

    /// A text of people or programs, without what is private.
    pub fn in_words(&self, text: &str) -> String {
        self.private.as_ref().map_or_else(|| text.to_owned(), |private| private.in_words(text))
    }

    /// The rows of a run's metrics; none where what is there leads elsewhere.
    pub fn rows(&mut self, dir: &RunDir) -> Result<Option<Rows>, FormError> {
        self.rows_of(&dir.metrics())
    }

    /// The same of any table of a run.
    pub fn rows_of(&mut self, path: &Path) -> Result<Option<Rows>, FormError> {
        if path.is_symlink() {
            self.damage(format_args!("{} is a link to elsewhere", path.display()));
            return Ok(None);
        }
        Ok(Some(Rows::open(path)?))
    }

    /// Gives each whole row of a run to `take`: the values in the order of its columns.
    pub fn each_row(
        &mut self,
        dir: &RunDir,
        take: impl FnMut(&[String], &[Option<f64>]) -> Result<(), FormError>,
    ) -> Result<(), FormError> {
        self.each_row_of(&dir.metrics(), take)
    }

    /// The same of any table of a run.
    pub fn each_row_of(
        &mut self,
        path: &Path,
        mut take: impl FnMut(&[String], &[Option<f64>]) -> Result<(), FormError>,
    ) -> Result<(), FormError> {
        let Some(mut rows) = self.rows_of(path)? else { return Ok(()) };
        let columns = std::mem::take(&mut rows.columns);
        // The reader looks at their number.
        rows.columns.clone_from(&columns);
        let mut row = Vec::new();
        while rows.next(&mut row).map_err(|error| FormError::Write(at(path, error)))? {
            take(&columns, &row)?;
        }
        if rows.bad > 0 {
            self.damage(format_args!("{} damaged lines of {}", rows.bad, path.display()));
        }
        Ok(())
    }

    /// Remembers what could not be used.
    pub fn damage(&mut self, what: impl std::fmt::Display) {
        self.damaged += 1;
        if self.damage.len() < MOST_TOLD {
            self.damage.push(what.to_string());
        }
    }

    /// Says what was damaged, and what was private.
    pub fn tell(self, written: &mut Written) {
        let more = self.damaged - self.damage.len();
        let told = self.damage.iter().map(|what| match &self.private {
            Some(private) => private.in_words(what),
            None => what.clone(),
        });
        written.left_out.extend(told);
        if more > 0 {
            written.left_out.push(format!("{more} further damaged things"));
        }
        if self.private.is_some() {
            written.left_out.push(
                "host, people, uncommitted changes, and where files lie (--with-environment keeps them)"
                    .into(),
            );
        }
    }
}

/// Settings that the runs do not have in common, in the order of the file format, and what they hold.
#[derive(Debug, Default)]
pub struct Varying {
    places: BTreeMap<String, usize>,
    found: Vec<Found>,
    runs: usize,
}

#[derive(Debug)]
struct Found {
    path: String,
    first: Value,
    kind: Kind,
    runs: usize,
    differs: bool,
}

/// What all values of a setting are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Whole,
    Real,
    Truth,
    Words,
}

impl Varying {
    pub fn see(&mut self, settings: &Map<String, Value>) {
        self.runs += 1;
        for (path, value) in settings.iter().filter(|(path, _)| !is_seed(path)) {
            let kind = kind_of(value);
            match self.places.get(path).and_then(|place| self.found.get_mut(*place)) {
                Some(found) => {
                    found.runs += 1;
                    found.differs |= found.first != *value;
                    found.kind = both(found.kind, kind);
                }
                None => {
                    self.places.insert(path.clone(), self.found.len());
                    let (path, first) = (path.clone(), value.clone());
                    self.found.push(Found { path, first, kind, runs: 1, differs: false });
                }
            }
        }
    }

    /// Path and kind of each. A setting that some runs do not have differs too.
    pub fn settings(self) -> Vec<(String, Kind)> {
        let runs = self.runs;
        let differing = self.found.into_iter().filter(|found| found.differs || found.runs < runs);
        differing.map(|found| (found.path, found.kind)).collect()
    }
}

fn kind_of(value: &Value) -> Kind {
    match value {
        Value::Bool(_) => Kind::Truth,
        Value::Number(number) if number.is_i64() => Kind::Whole,
        Value::Number(_) => Kind::Real,
        _ => Kind::Words,
    }
}

fn both(one: Kind, other: Kind) -> Kind {
    match (one, other) {
        (Kind::Whole | Kind::Real, Kind::Whole | Kind::Real) if one != other => Kind::Real,
        _ if one == other => one,
        _ => Kind::Words,
    }
}

/// A setting as a cell of a table; empty where there is none.
pub fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn settings_vary_where_values_differ_or_are_missing_and_have_the_kind_that_holds_all() {
        let mut varying = Varying::default();
        for settings in [
            json!({"a": 1, "b": 1, "c": true, "d": "x", "e": 1, "train.seed": 1}),
            json!({"a": 1, "b": 0.5, "c": false, "d": [1, 2], "f": 2, "train.seed": 2}),
        ] {
            varying.see(settings.as_object().unwrap());
        }
        let found = varying.settings();
        let found: Vec<(&str, Kind)> = found.iter().map(|(path, kind)| (path.as_str(), *kind)).collect();
        let expected = [
            ("b", Kind::Real),
            ("c", Kind::Truth),
            ("d", Kind::Words),
            ("e", Kind::Whole),
            ("f", Kind::Whole),
        ];
        assert_eq!(found, expected);
    }
}
