//! `progress.json`: a sign of life with numbers, at most once a second.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use overnight::run_dir::number::Number;
use overnight::run_dir::records::{Phase, Progress, RunRecord};
use overnight::run_dir::write::{Durability, replace_json};
use overnight::run_dir::{RunDir, scan};

/// The least time from one writing to the next.
const EVERY: Duration = Duration::from_secs(1);

/// Can be told from everywhere, evaluations included, that time has passed.
pub struct ProgressFile {
    run: RunDir,
    progress: RefCell<Progress>,
    shown: Cell<Option<Instant>>,
}

impl ProgressFile {
    /// Shows that this attempt is loading.
    pub fn start(run: &RunDir, record: &RunRecord, attempt: u32) -> ProgressFile {
        let progress = Progress {
            attempt,
            time: 0.0,
            step: 0,
            steps: record.steps,
            epoch: 0.0,
            phase: Phase::Loading,
            steps_per_second: None,
            rate: None,
            remaining_seconds: None,
            loss: None,
        };
        let file =
            ProgressFile { run: run.clone(), progress: RefCell::new(progress), shown: Cell::new(None) };
        file.beat();
        file
    }

    /// Writes the file when a second has passed since the last time.
    pub fn beat(&self) {
        if self.shown.get().is_some_and(|shown| shown.elapsed() < EVERY) {
            return;
        }
        self.show();
    }

    /// Writes the file now: the last word of an attempt.
    pub fn show(&self) {
        self.shown.set(Some(Instant::now()));
        let mut progress = self.progress.borrow_mut();
        progress.time = scan::now();
        // A courtesy to readers: a disk that is full shows at the next row or checkpoint.
        let _ = replace_json(&self.run.progress(), &*progress, Durability::Rebuildable);
    }

    pub fn phase(&self, phase: Phase) {
        self.progress.borrow_mut().phase = phase;
        self.beat();
    }

    /// A step was taken.
    pub fn trained(&self, step: u64, record: &RunRecord, remaining_seconds: Option<f64>) {
        let mut progress = self.progress.borrow_mut();
        progress.phase = Phase::Training;
        progress.step = step;
        progress.epoch = step as f64 / record.steps_per_epoch.max(1) as f64;
        progress.remaining_seconds = remaining_seconds;
    }

    /// A row was written.
    pub fn row(&self, cells: &[(&str, f64)], steps_per_second: Option<f64>) {
        let mut progress = self.progress.borrow_mut();
        let value = |name: &str| cells.iter().find(|(cell, _)| *cell == name).map(|(_, value)| *value);
        progress.loss = value("train/loss").map(Number).or(progress.loss);
        if steps_per_second.is_some() {
            progress.steps_per_second = steps_per_second;
            let rate = cells.iter().find(|(name, _)| name.ends_with("_per_second"));
            progress.rate = rate.map(|(name, value)| ((*name).to_owned(), *value));
        }
    }
}
