//! What lies below `runs/` and `batches/`, and one look at a run.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::imported::ImportState;
use super::read::{self, ReadError};
use super::records::{Attempt, Progress, Request, RunRecord};
use super::status::{Observation, Status, status};
use super::{BatchDir, RunDir, Workspace, lock, machine};

/// Every run directory of a workspace, sorted by experiment and name. Hidden folders are not runs.
pub fn runs(workspace: &Workspace) -> Vec<RunDir> {
    let mut runs: Vec<RunDir> = folders(&workspace.runs())
        .iter()
        .flat_map(|experiment| folders(experiment))
        .map(RunDir::new)
        .collect();
    runs.sort();
    runs
}

/// Notices cheaply whether runs came or went, or were asked something: a new directory moves the time of
/// the folder above, and so does [`announce`].
#[derive(Debug, Default)]
pub struct Comings {
    stamps: Vec<(PathBuf, Option<SystemTime>)>,
}

/// File systems keep times in ticks of up to this: a folder that moved so lately may move again without
/// another time.
const TICK: Duration = Duration::from_secs(2);

impl Comings {
    /// Whether anything may have come or gone since the last call; true at the first.
    pub fn any(&mut self, workspace: &Workspace) -> bool {
        let experiments = folders(&workspace.runs());
        let stamp = |folder: PathBuf| {
            let modified = fs::metadata(&folder).and_then(|metadata| metadata.modified()).ok();
            (folder, modified)
        };
        let stamps: Vec<_> = std::iter::once(workspace.runs()).chain(experiments).map(stamp).collect();
        // A time that lies ahead of the clock says nothing about lately; who looks in turn finds what it hides.
        let is_settled = |time: &SystemTime| time.elapsed().map_or(true, |age| age > TICK);
        let moved =
            stamps != self.stamps || !stamps.iter().filter_map(|(_, time)| time.as_ref()).all(is_settled);
        self.stamps = stamps;
        moved
    }
}

/// Hints at a request: moves the time of the experiment's folder, which [`Comings`] looks at. A hint that
/// gets lost costs a little time only, so nothing is said about a folder that does not let itself be moved.
pub fn announce(run: &RunDir) {
    let folder = run.path().parent().map(fs::File::open);
    if let Some(Ok(folder)) = folder {
        drop(folder.set_modified(SystemTime::now()));
    }
}

/// Those of them that were not imported: the runs that a runner may work on.
pub fn runs_of_ours(workspace: &Workspace) -> Vec<RunDir> {
    runs(workspace).into_iter().filter(|run| !is_imported(run)).collect()
}

/// Whether another program trained the run: only such have been read from anywhere.
pub fn is_imported(run: &RunDir) -> bool {
    run.import_json().exists()
}

/// Whether a run of ours has no result yet, or a worker is still at it.
pub fn is_unfinished(run: &RunDir) -> bool {
    !is_imported(run) && (!run.result().is_file() || lock::is_held(&run.alive_lock()))
}

/// The run directories of one experiment, sorted by name.
pub fn runs_of(workspace: &Workspace, experiment: &str) -> Vec<RunDir> {
    folders(&workspace.runs().join(experiment)).into_iter().map(RunDir::new).collect()
}

/// Every batch of a workspace, oldest first.
pub fn batches(workspace: &Workspace) -> Vec<BatchDir> {
    folders(&workspace.batches()).into_iter().map(BatchDir::new).collect()
}

/// The folders in `folder` that are not hidden, sorted by name; none where it is missing.
fn folders(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut folders: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
        .filter(|entry| match entry.file_type() {
            Ok(kind) if !kind.is_symlink() => kind.is_dir(),
            _ => entry.path().is_dir(),
        })
        .map(|entry| entry.path())
        .collect();
    folders.sort();
    folders
}

/// One look at a run: what its small files said, and what follows from them.
#[derive(Debug)]
pub struct Seen {
    pub dir: RunDir,
    pub record: Result<RunRecord, ReadError>,
    pub attempts: Vec<Attempt>,
    pub requests: Vec<Request>,
    pub progress: Option<Progress>,
    /// How far its source was read, of a run that another program trained.
    pub import: Option<ImportState>,
    pub status: Status,
    /// Files that could not be read in whole or in part, as sentences.
    pub warnings: Vec<String>,
}

/// Looks at one run. Never fails: what cannot be read is a warning, or the status `unreadable`.
///
/// The lock is asked first: a run that ends while we look is then seen as running rather than as lost.
pub fn look(dir: &RunDir, host: &str, now: f64) -> Seen {
    let is_alive = lock::is_held(&dir.alive_lock());
    let has_result = dir.result().is_file();
    let record = read::run_record(dir);
    let mut warnings = Vec::new();
    let mut unreadable = None;
    let attempts = lines(&dir.attempts(), &mut warnings, &mut unreadable);
    let requests = lines(&dir.requests(), &mut warnings, &mut unreadable);
    let progress = read::json_if_there(&dir.progress()).unwrap_or_else(|error| {
        warnings.push(error.to_string());
        None
    });
    let is_imported = record.as_ref().is_ok_and(|record| record.imported.is_some());
    let import = is_imported.then(|| read::json_if_there(&dir.import_json())).transpose();
    let import = import.map(Option::flatten).unwrap_or_else(|error| {
        warnings.push(error.to_string());
        None
    });
    warnings.extend(import.iter().flat_map(|import: &ImportState| import.warnings.clone()));
    let mut status = status(&Observation {
        record: record.as_ref(),
        // A run that ended between the two looks above left its result.
        has_result: has_result || dir.result().is_file(),
        is_alive,
        attempts: &attempts,
        requests: &requests,
        progress: progress.as_ref(),
        import: import.as_ref(),
        host,
        boot: machine::boot_id(),
        now,
    });
    if let Some(reason) = unreadable.filter(|_| status != Status::Finished) {
        status = Status::Unreadable { reason };
    }
    Seen { dir: dir.clone(), record, attempts, requests, progress, import, status, warnings }
}

/// The lines of a file without which nobody knows what became of a run; why, if it cannot be read.
fn lines<T: serde::de::DeserializeOwned>(
    path: &Path,
    warnings: &mut Vec<String>,
    unreadable: &mut Option<String>,
) -> Vec<T> {
    match read::lines(path) {
        Ok(lines) => {
            // Half of what was asked or done is not to be acted on.
            if let Some(reason) = lines.left_out {
                *unreadable = Some(reason);
            }
            warnings.extend(lines.bad.iter().map(|(line, why)| format!("{}:{line}: {why}", path.display())));
            lines.records
        }
        Err(error) => {
            *unreadable = Some(error.to_string());
            Vec::new()
        }
    }
}

/// This machine's name, as it stands in attempts and batches.
pub fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Unix time in seconds.
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// A complete record for tests: the generated shapes and a perceptron.
#[cfg(test)]
pub(crate) fn sample_record(experiment: &str, run: &str) -> RunRecord {
    use crate::experiment::settings::*;
    RunRecord {
        protocol: super::PROTOCOL,
        experiment: experiment.to_owned(),
        run: run.to_owned(),
        number: 0,
        hash: "1f3a9c07".to_owned(),
        created: 0.0,
        description: String::new(),
        tags: Vec::new(),
        notes: String::new(),
        base: "experiments".to_owned(),
        imported: None,
        settings: Settings {
            data: Data::Shapes(Shapes::default()),
            model: Model::Mlp(Mlp::default()),
            weights: None,
            train: Train::default(),
            evaluate: Evaluate::default(),
            checkpoint: Checkpoint::default(),
            sample: Sample::default(),
            stop: None,
            resources: Resources::default(),
        },
        varied: serde_json::Map::new(),
        log_uniform: Vec::new(),
        origins: Default::default(),
        queue: Queue::default(),
        alerts: Vec::new(),
        budgets: Vec::new(),
        steps: 100,
        steps_per_epoch: 100,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_dir::write::{Durability, replace_json};

    #[test]
    fn one_bad_run_does_not_hide_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::new(folder.path());
        for name in ["empty", "good", ".new-half"] {
            fs::create_dir_all(workspace.runs().join("x").join(name)).unwrap();
        }
        fs::write(workspace.runs().join("x/stray-file"), "not a run").unwrap();
        let good = workspace.run("x", "good");
        replace_json(&good.run_json(), &sample_record("x", "good"), Durability::Synced).unwrap();

        let words: Vec<(String, &str)> =
            runs(&workspace).iter().map(|run| (run.name(), look(run, "here", 0.0).status.word())).collect();
        assert_eq!(words, [("empty".to_owned(), "unreadable"), ("good".to_owned(), "waiting")]);
    }

    #[test]
    fn a_folder_that_moved_just_now_is_looked_at_again() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::new(folder.path());
        fs::create_dir(workspace.runs()).unwrap();
        let moved_at = |time| fs::File::open(workspace.runs()).unwrap().set_modified(time).unwrap();
        let mut comings = Comings::default();
        moved_at(SystemTime::now() - 10 * TICK);
        assert_eq!([comings.any(&workspace), comings.any(&workspace)], [true, false]);
        moved_at(SystemTime::now());
        assert_eq!([comings.any(&workspace), comings.any(&workspace)], [true, true], "the time may stand");
    }

    #[test]
    fn a_request_is_noticed_without_looking_at_each_run() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::new(folder.path());
        let run = workspace.run("x", "s1");
        fs::create_dir_all(run.path()).unwrap();
        for settled in [workspace.runs(), workspace.runs().join("x")] {
            fs::File::open(settled).unwrap().set_modified(SystemTime::now() - 10 * TICK).unwrap();
        }
        let mut comings = Comings::default();
        assert_eq!([comings.any(&workspace), comings.any(&workspace)], [true, false]);
        announce(&run);
        assert!(comings.any(&workspace));
    }

    #[test]
    fn records_survive_being_written() {
        let record = sample_record("x", "y");
        let json = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<RunRecord>(&json).unwrap(), record);
    }
}
