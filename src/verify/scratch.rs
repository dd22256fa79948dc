//! A folder beside the run in which steps are taken again. It looks like a run directory to the worker, is
//! hidden from everybody else, and goes away with whoever made it.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use tempfile::TempDir;

use crate::experiment::Alert;
use crate::run_dir::checkpoint::{CheckpointDir, State};
use crate::run_dir::records::RunRecord;
use crate::run_dir::write::{Durability, at, link, replace, replace_json};
use crate::run_dir::{RunDir, lock, metrics, read};

/// Its folders are named so.
pub(crate) const PREFIX: &str = ".verify-";
/// Locked while its maker lives.
const IN_USE: &str = "in-use.lock";

/// Removed when dropped.
pub struct Scratch {
    folder: TempDir,
    /// What the worker is given.
    pub run: RunDir,
    _in_use: File,
}

impl Scratch {
    /// Makes one that begins where `run` stood after the step `from`; 0 is the beginning. In the same
    /// folder, so that the files of checkpoints need no copying and paths to data mean the same.
    ///
    /// # Errors
    /// The checkpoint is not there any more, or the disk cannot be written to.
    pub fn make(run: &RunDir, record: &RunRecord, from: u64) -> io::Result<Scratch> {
        let beside = run.path().parent().unwrap_or(Path::new("."));
        remove_abandoned(beside);
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(beside);
        let folder = folder.map_err(|error| at(beside, error))?;
        let in_use = lock::wait_lock(&folder.path().join(IN_USE))?;
        let copy = RunDir::new(folder.path());
        // Where a rule once ended the run, somebody let it go on: so does the replay.
        let alerts = record.alerts.iter().map(Alert::without_end).collect();
        let endless = RunRecord { alerts, ..record.clone() };
        replace_json(&copy.run_json(), &endless, Durability::Rebuildable)?;
        for folder in [run.taken(), run.taken_texts()] {
            link_all(&folder, run, &copy)?;
        }
        let scratch = Scratch { run: copy, folder, _in_use: in_use };
        if from > 0 {
            scratch.begin_after(run, record, from)?;
        }
        Ok(scratch)
    }

    /// Keeps the checkpoint of `step` as `run` has it now, whatever becomes of the run meanwhile.
    ///
    /// # Errors
    /// It is not there, or not whole.
    pub fn keep_recorded(&self, run: &RunDir, step: u64) -> io::Result<CheckpointDir> {
        let kept = CheckpointDir::new(self.folder.path().join("recorded"));
        fs::create_dir_all(kept.path()).map_err(|error| at(kept.path(), error))?;
        let there = run.checkpoint(step);
        link(&there.model(), &kept.model())?;
        link(&there.optimizer(), &kept.optimizer())?;
        link(&there.state(), &kept.state())?;
        Ok(kept)
    }

    fn begin_after(&self, run: &RunDir, record: &RunRecord, step: u64) -> io::Result<()> {
        let (there, here) = (run.checkpoint(step), self.run.checkpoint(step));
        fs::create_dir_all(here.path()).map_err(|error| at(here.path(), error))?;
        link(&there.model(), &here.model())?;
        link(&there.optimizer(), &here.optimizer())?;
        // The rows before it are not needed, and may have been changed.
        let header = metrics::columns(&record.settings).join(",") + "\n";
        replace(&self.run.metrics(), header.as_bytes(), Durability::Rebuildable)?;
        let state: State = read::json(&there.state()).map_err(io::Error::other)?;
        let state = State { metrics_length: header.len() as u64, ..state };
        replace_json(&here.state(), &state, Durability::Rebuildable)
    }
}

/// Links every file below a folder of a run into the same place of its copy.
fn link_all(folder: &Path, run: &RunDir, copy: &RunDir) -> io::Result<()> {
    let entries = walkdir::WalkDir::new(folder).into_iter().flatten();
    for entry in entries.filter(|entry| entry.file_type().is_file()) {
        let below = entry.path().strip_prefix(run.path()).unwrap_or(entry.path());
        let here = copy.path().join(below);
        let parent = here.parent().unwrap_or(copy.path());
        fs::create_dir_all(parent).map_err(|error| at(parent, error))?;
        link(entry.path(), &here)?;
    }
    Ok(())
}

/// Whether the maker of this folder lives, or its worker.
pub(crate) fn is_in_use(folder: &Path) -> bool {
    lock::is_held(&folder.join(IN_USE)) || lock::is_held(&RunDir::new(folder).alive_lock())
}

/// Removes what a killed maker left, once its worker is gone too.
fn remove_abandoned(beside: &Path) {
    let Ok(entries) = fs::read_dir(beside) else { return };
    for entry in
        entries.flatten().filter(|entry| entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()))
    {
        let folder = entry.path();
        // One without the file is just being made.
        if folder.join(IN_USE).exists() && !is_in_use(&folder) {
            drop(fs::remove_dir_all(&folder));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_dir::scan::sample_record;

    #[test]
    fn a_scratch_folder_goes_with_its_maker_and_takes_along_what_others_left() {
        let workspace = tempfile::tempdir().unwrap();
        let run = RunDir::new(workspace.path().join("runs/x/y"));
        fs::create_dir_all(run.path()).unwrap();
        let beside = run.path().parent().unwrap();
        let abandoned = beside.join(".verify-dead");
        fs::create_dir_all(&abandoned).unwrap();
        fs::write(abandoned.join(IN_USE), "").unwrap();
        let record = sample_record("x", "y");
        let one = Scratch::make(&run, &record, 0).unwrap();
        assert!(!abandoned.exists());
        let other = Scratch::make(&run, &record, 0).unwrap();
        assert!(one.run.path().exists(), "one that is in use stays");
        drop((one, other));
        assert_eq!(fs::read_dir(beside).unwrap().count(), 1, "the run alone is left");
        let error = Scratch::make(&run, &record, 5).err().unwrap();
        assert!(error.to_string().contains("step-00000005"), "{error}");
        assert_eq!(fs::read_dir(beside).unwrap().count(), 1);
    }
}
