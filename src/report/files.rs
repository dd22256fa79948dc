//! All that is read of one run directory for its page, and how to tell that nothing changed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use serde::de::DeserializeOwned;

use crate::curves::{Curve, Point, of_run};
use crate::run_dir::metrics::Metrics;
use crate::run_dir::records::{Environment, Evaluation, Event, ModelRecord, RunResult, Sample};
use crate::run_dir::scan::{self, Seen};
use crate::run_dir::standing::standing;
use crate::run_dir::verdict::Verdict;
use crate::run_dir::{RunDir, checkpoint, lock, read, step_of};

/// One run as its files tell it. What cannot be read is missing here and a sentence in `warnings`.
#[derive(Debug)]
pub struct RunFiles {
    pub seen: Seen,
    pub metrics: Metrics,
    /// Its metrics over the steps, in order, for all who judge and draw them.
    pub curves: Vec<Curve>,
    pub telemetry: Metrics,
    pub events: Vec<Event>,
    /// Alerts by rules over numbers of the machine.
    pub machine_alerts: Vec<Event>,
    pub environment: Option<Environment>,
    pub model: Option<ModelRecord>,
    /// The model whose weights it began with.
    pub taken_model: Option<ModelRecord>,
    pub evaluation: Option<Evaluation>,
    pub result: Option<RunResult>,
    /// What replays of it said.
    pub verdicts: Vec<Verdict>,
    /// The samples that could be read, by step.
    pub samples: Vec<Sample>,
    /// Complete checkpoints: step and bytes.
    pub checkpoints: Vec<(u64, u64)>,
    /// The last lines of `train.log` and of `stderr.log`.
    pub log: String,
    pub stderr: String,
    pub warnings: Vec<String>,
}

/// What is shown of a log: its last lines, and no more bytes than this.
const LOG_LINES: usize = 24;
const LOG_BYTES: u64 = 6_000;
/// The newest samples that are shown.
const SAMPLES: usize = 40;

impl RunFiles {
    /// Reads a run. `metrics` is what was read of its metrics before; only what was added is read.
    pub fn read(dir: &RunDir, host: &str, now: f64, mut metrics: Metrics) -> RunFiles {
        let mut seen = scan::look(dir, host, now);
        let mut warnings = std::mem::take(&mut seen.warnings);
        let mut telemetry = Metrics::default();
        for (table, path) in [(&mut metrics, dir.metrics()), (&mut telemetry, dir.telemetry())] {
            if let Err(error) = table.read_on(&path) {
                warnings.push(error.to_string());
            }
            warnings.extend(
                table.bad.iter().take(5).map(|(line, why)| format!("{}:{line}: {why}", path.display())),
            );
        }
        let events = lines::<Event>(dir.events(), &mut warnings);
        let machine_alerts = lines::<Event>(dir.alerts(), &mut warnings);
        RunFiles {
            curves: of_run::curves(&metrics),
            metrics,
            telemetry,
            events,
            machine_alerts,
            environment: there(dir.env_json(), &mut warnings),
            model: there(dir.model_json(), &mut warnings),
            taken_model: there(dir.taken_model_json(), &mut warnings),
            evaluation: there(dir.evaluation(), &mut warnings),
            result: there(dir.result(), &mut warnings),
            verdicts: lines(dir.verify(), &mut warnings),
            samples: samples(dir, &mut warnings),
            checkpoints: checkpoints(dir),
            log: last_lines(&read::tail(&dir.train_log(), LOG_BYTES)),
            stderr: last_lines(&read::tail(&dir.stderr_log(), LOG_BYTES)),
            seen,
            warnings,
        }
    }

    pub fn dir(&self) -> &RunDir {
        &self.seen.dir
    }

    /// A metric over the steps; empty where it has no values.
    pub fn curve(&self, metric: &str) -> &[Point] {
        self.curves.iter().find(|curve| curve.name == metric).map_or(&[], |curve| &curve.points)
    }

    /// Events of steps that still count: what a later attempt overtook by going on from an earlier
    /// checkpoint is left out.
    pub fn standing_events(&self) -> Vec<&Event> {
        standing(&self.events)
    }
}

fn lines<T: DeserializeOwned>(path: PathBuf, warnings: &mut Vec<String>) -> Vec<T> {
    match read::lines(&path) {
        Ok(lines) => lines.records,
        Err(error) => {
            warnings.push(error.to_string());
            Vec::new()
        }
    }
}

fn there<T: DeserializeOwned>(path: PathBuf, warnings: &mut Vec<String>) -> Option<T> {
    read::json_if_there(&path).unwrap_or_else(|error| {
        warnings.push(error.to_string());
        None
    })
}

fn samples(dir: &RunDir, warnings: &mut Vec<String>) -> Vec<Sample> {
    let Ok(entries) = fs::read_dir(dir.samples()) else { return Vec::new() };
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut steps: Vec<u64> =
        names.filter(|name| name.ends_with(".json")).filter_map(|name| step_of(&name)).collect();
    steps.sort_unstable();
    let newest = steps.split_off(steps.len().saturating_sub(SAMPLES));
    newest.into_iter().filter_map(|step| there(dir.sample_json(step), warnings)).collect()
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}

fn checkpoints(dir: &RunDir) -> Vec<(u64, u64)> {
    let size = |step| {
        let folder = dir.checkpoint(step);
        let files = [folder.model(), folder.optimizer(), folder.state()];
        files.iter().filter_map(|file| fs::metadata(file).ok()).map(|metadata| metadata.len()).sum()
    };
    checkpoint::steps(dir).into_iter().map(|step| (step, size(step))).collect()
}

/// Lengths and times of everything that [`RunFiles::read`] reads, and whether a worker lives: while
/// this text stays the same, so does the run's page.
pub fn fingerprint(dir: &RunDir) -> String {
    let files = [
        dir.run_json(),
        dir.env_json(),
        dir.requests(),
        dir.attempts(),
        dir.telemetry(),
        dir.metrics(),
        dir.progress(),
        dir.train_log(),
        dir.stderr_log(),
        dir.events(),
        dir.alerts(),
        dir.model_json(),
        dir.evaluation(),
        dir.samples(),
        dir.checkpoints(),
        dir.result(),
        dir.verify(),
    ];
    let mut text = String::with_capacity(files.len() * 24);
    for file in &files {
        use std::fmt::Write;
        if let Ok(metadata) = fs::metadata(file) {
            let _ = write!(text, "{:x}.{:x}.{:x}", metadata.len(), metadata.mtime(), metadata.mtime_nsec());
        }
        text.push(';');
    }
    text.push(if lock::is_held(&dir.alive_lock()) { 'a' } else { '-' });
    text
}
