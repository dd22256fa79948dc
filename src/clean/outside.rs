//! Runs that lie elsewhere: a link below `runs/` may lead to any folder of this machine. What it leads to is
//! read like a run of ours, and never deleted. `runs/` itself may be a link: that is where the runs lie then.

use std::path::{Path, PathBuf};

use crate::run_dir::RunDir;

/// Whether a path leads out of `folder`, which it lies below by its name. What is not there leads nowhere.
pub(super) fn leads_out(folder: &Path, path: &Path) -> bool {
    let (Ok(folder), Ok(real)) = (folder.canonicalize(), path.canonicalize()) else { return false };
    !real.starts_with(folder)
}

/// Whether the run lies outside of its workspace.
pub(super) fn is_run(dir: &RunDir) -> bool {
    leads_out(&runs(dir), dir.path())
}

/// Whether what it wrote lies outside, as a whole or in part.
pub(super) fn has_parts(dir: &RunDir) -> bool {
    let parts = [dir.path().to_owned(), dir.checkpoints(), dir.samples()];
    parts.iter().any(|part| leads_out(&runs(dir), part))
}

fn runs(dir: &RunDir) -> PathBuf {
    dir.workspace().runs()
}
