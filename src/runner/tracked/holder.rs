//! Who holds the lock of a run: the process that a signal may be sent to.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::run_dir::{RunDir, lock};
use crate::runner::child::Handle;

/// The process that holds a run's lock, by the number in the file. It is signaled only if it has that
/// file open and the lock is held: a number may be old, and another process have it by now.
pub fn holder(dir: &RunDir) -> Option<Handle> {
    let path = dir.alive_lock();
    let process = std::fs::read_to_string(&path).ok()?.trim().parse().ok()?;
    let handle = Handle::open(process).ok()?;
    (has_open(process, &path) && lock::is_held(&path)).then_some(handle)
}

/// Whether a process has the file at `path` open.
pub fn has_open(process: u32, path: &Path) -> bool {
    let identity = |path: &Path| std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
    let wanted = identity(path);
    let Ok(open) = std::fs::read_dir(format!("/proc/{process}/fd")) else { return false };
    wanted.is_some() && open.flatten().any(|entry| identity(&entry.path()) == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_another_process_has_by_now_is_not_the_worker() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::new(folder.path());
        let held = lock::try_lock(&run.alive_lock()).unwrap().unwrap();
        std::fs::write(run.alive_lock(), format!("{}\n", std::process::id())).unwrap();
        assert!(holder(&run).is_some(), "it is ours, and we hold it");
        std::fs::write(run.alive_lock(), "1\n").unwrap();
        assert!(holder(&run).is_none(), "the first process of the machine has not opened it");
        std::fs::write(run.alive_lock(), "").unwrap();
        assert!(holder(&run).is_none(), "not written yet");
        drop(held);
    }
}
