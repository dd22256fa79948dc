//! One runner a workspace: the lock on `runs/.runner.lock`, and in it who holds it.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use super::child::Handle;
use super::{RunnerError, clock, removed_lock, tracked};
use crate::run_dir::records::RunnerLock;
use crate::run_dir::write::at;
use crate::run_dir::{Workspace, lock, read, scan};

/// Reports that look whether a runner works hold the lock for moments, several times a second; a runner
/// holds it for longer than this.
const LIMIT: Duration = Duration::from_secs(1);
/// The lock of a runner that was killed can outlive it: a program that it was just starting holds a copy until
/// the kernel has loaded it, which takes its time where the disk is busy.
const LIMIT_OF_THE_DEAD: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);

/// The workspace is ours until this is dropped or the process ends.
pub struct Hold {
    file: File,
    since: u64,
}

impl Hold {
    /// What takes its time is told to `say`.
    ///
    /// # Errors
    /// Another runner has it, or the file cannot be made.
    pub fn take(workspace: &Workspace, say: impl FnOnce(&str)) -> Result<Hold, RunnerError> {
        let runs = workspace.runs();
        fs::create_dir_all(&runs).map_err(|error| at(&runs, error))?;
        let path = workspace.runner_lock();
        match patient_lock(&path, say)? {
            Some(file) => {
                // Every holder writes its name: in a workspace that had batches, an empty file is a new one.
                let is_new = file.metadata()?.len() == 0;
                if is_new
                    && workspace.batches().exists()
                    && let Some(process) = removed_lock::holder(&path)
                {
                    return Err(RunnerError::HeldWithoutLock { process });
                }
                let mut hold = Hold { file, since: scan::now() as u64 };
                // On a full disk the workspace is held without a name.
                drop(hold.name(RunnerLock::NOT_BEGUN));
                Ok(hold)
            }
            None => Err(match read::json::<RunnerLock>(&path) {
                Ok(holder) => RunnerError::Held { since: clock(holder.since as f64), holder },
                Err(_) => RunnerError::HeldByUnknown,
            }),
        }
    }

    /// Writes who holds the workspace, and in which batch. In place, because the lock is on this very
    /// file; a reader that comes between sees no name for a moment.
    pub fn name(&mut self, batch: &str) -> Result<(), RunnerError> {
        let holder = RunnerLock {
            host: scan::host(),
            process: std::process::id(),
            since: self.since,
            batch: batch.to_owned(),
        };
        let text = serde_json::to_string(&holder).map_err(std::io::Error::from)? + "\n";
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(text.as_bytes())?;
        // Cut afterwards: on a full disk the bytes that are there can be written over, new ones not.
        self.file.set_len(text.len() as u64)?;
        Ok(())
    }
}

/// Ends a runner that waits for work and so has no batch that could be asked; false when none does.
///
/// # Errors
/// It may not be signaled by this user.
pub fn end_waiting_runner(workspace: &Workspace) -> io::Result<bool> {
    let path = workspace.runner_lock();
    let Ok(holder) = read::json::<RunnerLock>(&path) else { return Ok(false) };
    if holder.batch != RunnerLock::WAITS {
        return Ok(false);
    }
    let Ok(runner) = Handle::open(holder.process) else { return Ok(false) };
    // The number may be old, and another process have it by now.
    if !tracked::has_open(holder.process, &path) || !lock::is_held(&path) {
        return Ok(false);
    }
    runner.ask_to_end().map(|()| true)
}

fn patient_lock(path: &Path, say: impl FnOnce(&str)) -> io::Result<Option<File>> {
    let begun = Instant::now();
    let mut say = Some(say);
    loop {
        let taken = lock::try_lock(path)?;
        if taken.is_some() || begun.elapsed() >= LIMIT_OF_THE_DEAD {
            return Ok(taken);
        }
        if begun.elapsed() >= LIMIT {
            // Looked at each time: whoever took it meanwhile has put a name of its own there.
            match read::json::<RunnerLock>(path) {
                Ok(holder) if is_gone(&holder, &scan::host()) => {
                    if let Some(say) = say.take() {
                        let RunnerLock { process, .. } = holder;
                        say(&format!(
                            "the runner before (process {process}) has ended; waiting for what it was just \
                             starting to let go of {}",
                            path.display()
                        ));
                    }
                }
                _ => return Ok(None),
            }
        }
        std::thread::sleep(PAUSE);
    }
}

/// Whether a runner of this machine has ended. One whose number another process has by now counts as there.
fn is_gone(holder: &RunnerLock, host: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", holder.process));
    // A name may have spaces and brackets; behind the last one stands the state.
    let is_dead = |stat: &str| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(['Z', 'X']));
    holder.host == host
        && match stat {
            Ok(stat) => is_dead(&stat),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn the_second_runner_learns_who_has_the_workspace_and_since_when() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::new(folder.path());
        let mut first = Hold::take(&workspace, |_| {}).unwrap();
        first.name("20261120T230000Z-box-1f3a").unwrap();
        let error = Hold::take(&workspace, |_| {}).err().expect("the first has it");
        assert_eq!(error.exit(), Exit::TryAgain);
        let words = error.to_string();
        let process = format!("process {}", std::process::id());
        for part in ["since ", &process, "batch 20261120T230000Z-box-1f3a", "overnight queue FILE"] {
            assert!(words.contains(part), "{part} is missing in: {words}");
        }
        drop(first);
        assert!(Hold::take(&workspace, |_| {}).is_ok(), "what it left behind holds nobody back");
    }

    #[test]
    fn a_reader_that_looks_at_the_lock_for_a_moment_is_no_runner() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::new(folder.path());
        drop(Hold::take(&workspace, |_| {}).unwrap());
        let reader = File::open(workspace.runner_lock()).unwrap();
        rustix::fs::flock(&reader, rustix::fs::FlockOperation::NonBlockingLockShared).unwrap();
        let (begin, begun) = std::sync::mpsc::channel();
        let taking = std::thread::spawn(move || {
            begin.send(()).unwrap();
            Hold::take(&workspace, |_| {}).is_ok()
        });
        begun.recv().unwrap();
        drop(reader);
        assert!(taking.join().unwrap());
    }

    #[test]
    fn a_runner_of_this_machine_that_is_no_more_is_told_from_one_that_may_live() {
        let ended = std::process::Command::new("true").spawn().and_then(|mut child| {
            let process = child.id();
            child.wait().map(|_| process)
        });
        let (ended, here) = (ended.unwrap(), scan::host());
        let holder = |host: &str, process| RunnerLock {
            host: host.to_owned(),
            process,
            since: 0,
            batch: RunnerLock::NOT_BEGUN.to_owned(),
        };
        for (holder, expected) in [
            (holder(&here, ended), true),
            (holder(&here, std::process::id()), false),
            (holder("another-machine", ended), false),
        ] {
            assert_eq!(is_gone(&holder, &here), expected, "{holder:?}");
        }
    }

    #[test]
    fn the_lock_of_a_runner_that_was_killed_is_waited_for_beyond_the_moment_of_a_reader() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::new(folder.path());
        drop(Hold::take(&workspace, |_| {}).unwrap());
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let holder = RunnerLock {
            host: scan::host(),
            process: child.id(),
            since: 0,
            batch: RunnerLock::NOT_BEGUN.to_owned(),
        };
        child.wait().unwrap();
        fs::write(workspace.runner_lock(), serde_json::to_string(&holder).unwrap()).unwrap();
        let copy = lock::try_lock(&workspace.runner_lock()).unwrap().unwrap();
        // It lets go only once it is waited for.
        let taken = Hold::take(&workspace, |words| {
            assert!(words.contains(&format!("process {}", holder.process)), "{words}");
            drop(copy);
        });
        assert!(taken.is_ok());
    }
}
