//! All that is read of one run directory for its page, and how to tell that nothing changed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::{bounded, say};
use crate::curves::{Curve, Point, of_run};
use crate::run_dir::metrics::Metrics;
use crate::run_dir::records::{Environment, Evaluation, Event, ModelRecord, RunResult, Sample};
use crate::run_dir::scan::{self, Seen};
use crate::run_dir::standing::standing;
use crate::run_dir::verdict::Verdict;
use crate::run_dir::{RunDir, checkpoint, lock, read, requests, step_of};

/// One run as its files tell it. What cannot be read is missing here and a sentence in `warnings`.
#[derive(Debug)]
pub struct RunFiles {
    pub seen: Seen,
    pub metrics: Metrics,
    /// Its metrics over the steps, in order, for all who judge and draw them.
    pub curves: Vec<Curve>,
    pub telemetry: Metrics,
    /// Quantiles of histograms that another program logged.
    pub distributions: Metrics,
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
    /// Bytes of `train.log`.
    pub log_bytes: u64,
    pub warnings: Vec<String>,
}

/// What is shown of a log: its last lines, and no more bytes than this.
const LOG_LINES: usize = 24;
const LOG_BYTES: u64 = 6_000;
/// Samples that are shown, spread over the whole of training.
const SAMPLES: usize = 40;

impl RunFiles {
    /// Reads a run. `metrics` is what was read of its metrics before; only what was added is read.
    pub fn read(dir: &RunDir, host: &str, now: f64, mut metrics: Metrics) -> RunFiles {
        let mut seen = scan::look(dir, host, now);
        let mut warnings = std::mem::take(&mut seen.warnings);
        let (mut telemetry, mut distributions) = (Metrics::default(), Metrics::default());
        let tables = [
            (&mut metrics, dir.metrics()),
            (&mut telemetry, dir.telemetry()),
            (&mut distributions, dir.distributions()),
        ];
        for (table, path) in tables {
            if let Err(error) = table.read_on(&path) {
                warnings.push(error.to_string());
            }
            warnings.extend(left_out(&path, table));
            warnings.extend(
                table.bad.iter().take(5).map(|(line, why)| format!("{}:{line}: {why}", path.display())),
            );
        }
        let events = lines::<Event>(dir.events(), &mut warnings);
        let machine_alerts = lines::<Event>(dir.alerts(), &mut warnings);
        let mut files = RunFiles {
            curves: of_run::curves(&metrics),
            metrics,
            telemetry,
            distributions,
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
            log_bytes: fs::metadata(dir.train_log()).map_or(0, |metadata| metadata.len()),
            log: last_lines(&read::tail(&dir.train_log(), LOG_BYTES)),
            stderr: last_lines(&read::tail(&dir.stderr_log(), LOG_BYTES)),
            seen,
            warnings,
        };
        bounded::cut(&mut files);
        files
    }

    pub fn dir(&self) -> &RunDir {
        &self.seen.dir
    }

    /// A metric over the steps; empty where it has no values.
    pub fn curve(&self, metric: &str) -> &[Point] {
        self.curves.iter().find(|curve| curve.name == metric).map_or(&[], |curve| &curve.points)
    }

    /// The tags of its file and those that were added, each once.
    pub fn tags(&self) -> Vec<String> {
        let own = self.seen.record.as_ref().map_or(&[][..], |record| &record.tags);
        requests::tags(own, &self.seen.requests)
    }

    /// Its own note and those that were added, oldest first.
    pub fn notes(&self) -> Vec<String> {
        let own = self.seen.record.iter().map(|record| record.notes.clone());
        let own = own.filter(|notes| !notes.trim().is_empty());
        own.chain(requests::notes(&self.seen.requests).map(|(_, text)| text.to_owned())).collect()
    }

    /// Events of steps that still count: what a later attempt overtook by going on from an earlier
    /// checkpoint is left out.
    pub fn standing_events(&self) -> Vec<&Event> {
        standing(&self.events)
    }
}

/// What of a table was too much to read.
fn left_out(path: &Path, table: &Metrics) -> Option<String> {
    let rows = (table.left_out > 0).then(|| say::counted(table.left_out as usize, "row", "rows"));
    let columns =
        (table.columns_left_out > 0).then(|| say::counted(table.columns_left_out, "column", "columns"));
    let what: Vec<String> = rows.into_iter().chain(columns).collect();
    (!what.is_empty()).then(|| {
        format!(
            "{}: its last {} are left out of the pages (too much to show)",
            path.display(),
            what.join(" and ")
        )
    })
}

fn lines<T: DeserializeOwned>(path: PathBuf, warnings: &mut Vec<String>) -> Vec<T> {
    match read::lines(&path) {
        Ok(lines) => {
            warnings.extend(lines.left_out);
            lines.records
        }
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
    let sample = |step| {
        let mut sample: Sample = there(dir.sample_json(step), warnings)?;
        // The name says which it is: another step inside would make two of one.
        sample.step = step;
        bounded::cut_sample(&mut sample, warnings);
        Some(sample)
    };
    spread(&steps, SAMPLES).into_iter().filter_map(sample).collect()
}

/// So many at the most: every second, fourth, eighth ... and the newest, so that a further one moves few.
fn spread(steps: &[u64], most: usize) -> Vec<u64> {
    let mut every = 1;
    while steps.len().div_ceil(every) > most - 1 && steps.len() > most {
        every *= 2;
    }
    let last = steps.len().saturating_sub(1);
    steps.iter().enumerate().filter(|(at, _)| at % every == 0 || *at == last).map(|(_, step)| *step).collect()
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
        dir.import_json(),
        dir.distributions(),
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

/// The part of a fingerprint that is the log's.
pub fn log_mark(fingerprint: &str) -> &str {
    fingerprint.split(';').nth(LOG_PLACE).unwrap_or_default()
}

/// The place of `train.log` among the files of a fingerprint.
const LOG_PLACE: usize = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_spread_over_training_with_the_first_and_the_newest() {
        let steps = |count: u64| (1..=count).collect::<Vec<u64>>();
        assert_eq!(spread(&steps(40), 40), steps(40));
        assert_eq!(spread(&[], 40), [0; 0]);
        for count in [41, 79, 80, 81, 1000, 12_345] {
            let kept = spread(&steps(count), 40);
            assert!((20..=40).contains(&kept.len()), "{count}: {}", kept.len());
            assert_eq!((kept[0], *kept.last().unwrap()), (1, count));
        }
    }

    #[test]
    fn the_mark_of_the_log_is_that_of_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let dir = RunDir::new(folder.path());
        assert_eq!(log_mark(&fingerprint(&dir)), "");
        fs::write(dir.stderr_log(), "other").unwrap();
        fs::write(dir.progress(), "other").unwrap();
        assert_eq!(log_mark(&fingerprint(&dir)), "");
        fs::write(dir.train_log(), "0123456789").unwrap();
        assert!(log_mark(&fingerprint(&dir)).starts_with("a."));
    }
}
