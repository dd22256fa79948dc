//! New rows of runs at work go into the copies beside their pages at once. A page draws rows as soon as
//! they are there; it need not wait until all pages that show the run are made anew.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::site::{Site, run_folder};
use crate::run_dir::{RunDir, Workspace};

/// Between two looks at the lengths of the files: a few microseconds each.
const LOOK: Duration = Duration::from_millis(20);
/// A run that wrote nothing for so long is left to the builder until it does.
const PATIENCE: Duration = Duration::from_secs(60);

/// A thread that copies until this is dropped.
pub struct Copying {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// Runs that wrote something, and when that was last noticed.
    busy: Mutex<BTreeMap<RunDir, Instant>>,
    is_over: AtomicBool,
}

impl Copying {
    /// # Errors
    /// The system starts no further thread.
    pub fn start(workspace: &Workspace) -> std::io::Result<Copying> {
        let shared = Arc::<Shared>::default();
        let (site, seen) = (Site::new(workspace), shared.clone());
        let thread = std::thread::Builder::new().name("rows".to_owned()).spawn(move || copy(&site, &seen))?;
        Ok(Copying { shared, thread: Some(thread) })
    }

    /// These runs wrote something: they will again.
    pub fn note<'a>(&self, runs: impl IntoIterator<Item = &'a RunDir>) {
        let now = Instant::now();
        let mut busy = self.shared.busy.lock().unwrap_or_else(PoisonError::into_inner);
        busy.extend(runs.into_iter().map(|run| (run.clone(), now)));
        drop(busy);
        self.wake();
    }

    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Drop for Copying {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        self.wake();
        if let Some(thread) = self.thread.take() {
            // A panic there is told by its own message; the builder copies all the same.
            let _ = thread.join();
        }
    }
}

fn copy(site: &Site, shared: &Shared) {
    let mut lengths: BTreeMap<RunDir, [u64; 2]> = BTreeMap::new();
    while !shared.is_over.load(Ordering::Relaxed) {
        let runs: Vec<RunDir> = {
            let mut busy = shared.busy.lock().unwrap_or_else(PoisonError::into_inner);
            busy.retain(|_, noticed| noticed.elapsed() < PATIENCE);
            busy.keys().cloned().collect()
        };
        lengths.retain(|run, _| runs.binary_search(run).is_ok());
        if runs.is_empty() {
            std::thread::park();
            continue;
        }
        for run in runs {
            let originals = [run.metrics(), run.telemetry()];
            let now =
                originals.each_ref().map(|path| fs::metadata(path).map_or(0, |metadata| metadata.len()));
            if lengths.insert(run.clone(), now) == Some(now) {
                continue;
            }
            let folder = run_folder(&run.experiment(), &run.name());
            for (original, name) in originals.iter().zip(["metrics.csv", "telemetry.csv"]) {
                // What cannot be written is told by the builder, which tries it as well.
                let _ = site.follow(original, &format!("{folder}/{name}"));
            }
        }
        std::thread::sleep(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_run_that_was_noticed_are_copied_without_a_build() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::new(folder.path());
        let run = workspace.run("x", "one");
        fs::create_dir_all(run.path()).unwrap();
        let copying = Copying::start(&workspace).unwrap();
        copying.note([&run]);
        let copy = workspace.reports().join("runs/x/one/metrics.csv");
        let mut text = "step\n".to_owned();
        for row in 0..3 {
            text.push_str(&format!("{row}\n"));
            fs::write(run.metrics(), &text).unwrap();
            let begun = Instant::now();
            while fs::read_to_string(&copy).unwrap_or_default() != text {
                assert!(begun.elapsed() < Duration::from_secs(20), "the row never came");
                std::thread::yield_now();
            }
        }
        // Nothing wakes it but a run; it ends all the same.
        drop(Copying::start(&workspace).unwrap());
    }
}
