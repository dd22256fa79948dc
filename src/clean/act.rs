//! Deletes what was decided, one thing at a time, under the lock of the run it belongs to.

use std::fs;
use std::io;
use std::path::Path;

use super::observe::observe_one;
use super::{Part, Removal, Rules, parts};
use crate::run_dir::write::at;
use crate::run_dir::{RunDir, lock, scan};

/// What became of a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carried {
    Gone,
    /// A worker lives there.
    Alive,
    /// What it was decided on holds no longer.
    Obsolete,
}

/// Deletes one thing. The run's lock is shared with readers and keeps workers out, so that nobody takes
/// us for one; what the decision rests on is looked at once more under it.
///
/// # Errors
/// The disk says so, with the path.
pub fn carry_out(removal: &Removal, rules: &Rules) -> io::Result<Carried> {
    let run = match &removal.of {
        Part::Whole(run, _) | Part::Checkpoint(run) | Part::Leftover(Some(run)) => run,
        Part::Leftover(None) => return delete(&removal.path).map(|()| Carried::Gone),
    };
    if !run.path().is_dir() {
        return Ok(Carried::Obsolete);
    }
    let Some(_lock) = lock::try_shared(&run.alive_lock())? else { return Ok(Carried::Alive) };
    if !holds_still(run, removal, rules) {
        return Ok(Carried::Obsolete);
    }
    delete(&removal.path)?;
    Ok(Carried::Gone)
}

fn holds_still(run: &RunDir, removal: &Removal, rules: &Rules) -> bool {
    match &removal.of {
        Part::Whole(_, status) => {
            let now = scan::look(run, &scan::host(), scan::now()).status;
            // Whether it is skipped follows from others, and such a run stays anyway.
            now == *status
        }
        _ => parts(&observe_one(run), rules).iter().any(|part| part.path == removal.path),
    }
}

/// It vanishes by a rename first, so that nobody sees half of it.
fn delete(path: &Path) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let aside =
        tempfile::Builder::new().prefix(".gone-").tempdir_in(folder).map_err(|error| at(folder, error))?;
    let target = aside.path().join("removed");
    match fs::rename(path, &target) {
        // Somebody else was faster.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        renamed => renamed.map_err(|error| at(path, error))?,
    }
    let is_folder = fs::symlink_metadata(&target).is_ok_and(|metadata| metadata.is_dir());
    let removed = if is_folder { fs::remove_dir_all(&target) } else { fs::remove_file(&target) };
    removed.map_err(|error| at(&target, error))
}
