//! What processes that were killed have left lying about: half-queued runs, half-written files, what was
//! set aside as damaged or to be deleted.

use std::fs;
use std::path::{Path, PathBuf};

use super::observe::weigh;
use super::outside::leads_out;
use super::{Part, Removal};
use crate::run_dir::{BatchDir, RunDir, Workspace, scan};
use crate::verify::scratch;

/// One thing that was left lying about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    pub path: PathBuf,
    pub bytes: u64,
    pub reason: &'static str,
}

impl Leftover {
    pub(super) fn removal(&self, run: Option<RunDir>) -> Removal {
        let Leftover { path, bytes, reason } = self.clone();
        Removal { of: Part::Leftover(run), path, bytes, reason: reason.to_owned() }
    }
}

/// Outside of any run's lock somebody may still be at work on it: it is left alone for a day.
const DAY_SECONDS: f64 = 86_400.0;
/// Whoever replaces a small file without the run's lock does it in moments.
const MINUTE_SECONDS: f64 = 60.0;

/// What lies outside of runs. `now` is Unix seconds.
pub fn leftovers(workspace: &Workspace, now: f64) -> Vec<Leftover> {
    let mut found = Vec::new();
    let runs = workspace.runs();
    for experiment in folders(&runs).into_iter().filter(|folder| !leads_out(&runs, folder)) {
        found.extend(begun(&experiment, "a run that was never queued to its end", now, DAY_SECONDS));
        found.extend(gone(&experiment, now));
        found.extend(replays(&experiment, now));
    }
    let is_here = |batch: &BatchDir| !leads_out(&workspace.batches(), batch.path());
    for batch in scan::batches(workspace).into_iter().filter(is_here) {
        found.extend(begun(batch.path(), "a file that was never written to its end", now, DAY_SECONDS));
    }
    found
}

/// What lies in a run, where no worker lives.
pub(super) fn in_run(dir: &RunDir, now: f64) -> Vec<Leftover> {
    let half = "a checkpoint that was never written to its end";
    let mut found = begun(&dir.checkpoints(), half, now, MINUTE_SECONDS);
    for folder in [dir.path().to_owned(), dir.samples()] {
        found.extend(begun(&folder, "a file that was never written to its end", now, MINUTE_SECONDS));
    }
    found.extend(gone(&dir.checkpoints(), now));
    let damaged = entries(&dir.checkpoints(), |name| name.ends_with(".damaged")).into_iter();
    found.extend(damaged.map(|path| leftover(path, "a damaged checkpoint, set aside").0));
    found
}

fn begun(folder: &Path, reason: &'static str, now: f64, age: f64) -> Vec<Leftover> {
    old(entries(folder, |name| name.starts_with(".new-")), reason, now, age)
}

fn gone(folder: &Path, now: f64) -> Vec<Leftover> {
    let paths = entries(folder, |name| name.starts_with(".gone-"));
    old(paths, "what an earlier clean has not deleted to its end", now, DAY_SECONDS)
}

/// Their checkpoints are links, so that what was deleted elsewhere takes room as long as they lie about.
fn replays(folder: &Path, now: f64) -> Vec<Leftover> {
    let mut paths = entries(folder, |name| name.starts_with(scratch::PREFIX));
    paths.retain(|path| !scratch::is_in_use(path));
    old(paths, "a replay of verify that was not brought to its end", now, MINUTE_SECONDS)
}

fn old(paths: Vec<PathBuf>, reason: &'static str, now: f64, age: f64) -> Vec<Leftover> {
    let weighed = paths.into_iter().map(|path| leftover(path, reason));
    weighed.filter(|(_, newest)| now - newest > age).map(|(leftover, _)| leftover).collect()
}

/// With the time at which anything in it was written last.
fn leftover(path: PathBuf, reason: &'static str) -> (Leftover, f64) {
    let (bytes, newest) = weigh(&path);
    (Leftover { path, bytes, reason }, newest)
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    entries(folder, |name| !name.starts_with('.')).into_iter().filter(|path| path.is_dir()).collect()
}

fn entries(folder: &Path, is_meant: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries
        .filter(|entry| is_meant(&entry.file_name().to_string_lossy()))
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clean::Carried;

    fn names(leftovers: Vec<Leftover>) -> Vec<String> {
        leftovers
            .iter()
            .map(|leftover| leftover.path.file_name().unwrap().to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn a_replay_whose_maker_was_killed_is_found_and_one_in_use_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::new(folder.path());
        let replay = |name: &str| {
            let replay = workspace.runs().join("x").join(name);
            fs::create_dir_all(&replay).unwrap();
            crate::run_dir::lock::wait_lock(&replay.join("in-use.lock")).unwrap()
        };
        drop(replay(".verify-dead"));
        let in_use = replay(".verify-lives");
        fs::create_dir(workspace.runs().join("x/.verify-begun")).unwrap();
        let later = scan::now() + 2.0 * MINUTE_SECONDS;
        assert_eq!(names(leftovers(&workspace, scan::now())), [""; 0], "it may be just being made");
        let found = leftovers(&workspace, later);
        assert_eq!(names(found.clone()), [".verify-begun", ".verify-dead"]);
        let removal = Leftover { path: workspace.runs().join("x/.verify-lives"), ..found[0].clone() };
        let carry_out = |removal: &Removal| super::super::carry_out(removal, &Default::default()).unwrap();
        assert_eq!(carry_out(&removal.removal(None)), Carried::Alive);
        drop(in_use);
        for removal in [removal, found[0].clone(), found[1].clone()] {
            assert_eq!(carry_out(&removal.removal(None)), Carried::Gone);
        }
        assert_eq!(fs::read_dir(workspace.runs().join("x")).unwrap().count(), 0);
    }

    #[test]
    fn what_killed_processes_left_is_found_once_it_is_old() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::new(folder.path());
        let run = workspace.run("x", "s1");
        let batch = workspace.batches().join("20261120T230000Z-box-8000");
        for path in [
            workspace.runs().join("x/.new-queued"),
            workspace.runs().join("x/.gone-deleted"),
            run.checkpoints().join(".new-written"),
            run.checkpoints().join("step-00000002.damaged"),
            run.checkpoints().join("step-00000004"),
            batch.clone(),
        ] {
            fs::create_dir_all(path).unwrap();
        }
        fs::write(run.path().join(".new-progress"), "{").unwrap();
        fs::write(batch.join(".new-queue"), "{").unwrap();
        let now = scan::now();
        assert_eq!(names(leftovers(&workspace, now)), [""; 0]);
        assert_eq!(
            names(leftovers(&workspace, now + 2.0 * DAY_SECONDS)),
            [".new-queued", ".gone-deleted", ".new-queue"]
        );
        assert_eq!(names(in_run(&run, now)), ["step-00000002.damaged"]);
        let later = now + 2.0 * MINUTE_SECONDS;
        assert_eq!(names(in_run(&run, later)), [".new-written", ".new-progress", "step-00000002.damaged"]);
    }
}
