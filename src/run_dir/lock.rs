//! Liveness: a file that is locked while its process lives.
//!
//! The lock belongs to the open file description (`flock`), so a child that inherits it keeps it
//! after its parent closed or died, and it ends with the child's last breath, SIGKILL included.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use super::read;
use super::write::{at, open_to_append};

/// Takes the lock on `path`, creating the file where it is missing; `None` when somebody else has it.
/// It is held as long as the returned file, or a copy in a child, is open.
///
/// # Errors
/// The file cannot be opened or created, with its path.
pub fn try_lock(path: &Path) -> io::Result<Option<File>> {
    attempt(path, FlockOperation::NonBlockingLockExclusive)
}

/// Shares the lock with readers, creating the file where it is missing; `None` when a worker has it.
/// As long as the returned file is open no worker can start, and nobody takes the holder for one.
///
/// # Errors
/// The file cannot be opened or created, with its path.
pub fn try_shared(path: &Path) -> io::Result<Option<File>> {
    attempt(path, FlockOperation::NonBlockingLockShared)
}

fn attempt(path: &Path, operation: FlockOperation) -> io::Result<Option<File>> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(|error| at(path, error))?;
    match flock(file.as_fd(), operation) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(errno) => Err(at(path, errno.into())),
    }
}

/// Takes the lock, waiting for whoever has it.
pub fn wait_lock(path: &Path) -> io::Result<File> {
    let file = open_to_append(path)?;
    flock(file.as_fd(), FlockOperation::LockExclusive).map_err(|errno| at(path, errno.into()))?;
    Ok(file)
}

/// Takes the lock for an append, waiting no longer than `limit`: those who append hold it for moments, and
/// one who was stopped in between must not hold everybody else up.
///
/// # Errors
/// The file cannot be opened or created, or somebody keeps the lock; with its path.
pub fn wait_lock_within(path: &Path, limit: Duration) -> io::Result<File> {
    const PAUSE: Duration = Duration::from_millis(5);
    let file = open_to_append(path)?;
    let begun = Instant::now();
    loop {
        match flock(file.as_fd(), FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) if begun.elapsed() < limit => std::thread::sleep(PAUSE),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let message = "another process keeps it locked (stopped while it wrote there? lsof names it)";
                return Err(at(path, io::Error::new(io::ErrorKind::TimedOut, message)));
            }
            Err(errno) => return Err(at(path, errno.into())),
        }
    }
}

/// Whether somebody holds the lock on `path`, asked on a read-only descriptor that creates nothing.
/// A missing file is not held; one that cannot be opened is taken for not held.
pub fn is_held(path: &Path) -> bool {
    let Ok(file) = read::open(path) else { return false };
    matches!(flock(file.as_fd(), FlockOperation::NonBlockingLockShared), Err(rustix::io::Errno::WOULDBLOCK))
}

/// A child that another test forks at this moment holds a copy of every descriptor until it execs.
#[cfg(test)]
pub(crate) fn wait_until_free(path: &Path) {
    let begun = std::time::Instant::now();
    while is_held(path) {
        assert!(begun.elapsed().as_secs() < 60, "the lock is still held");
        std::thread::yield_now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_seen_by_others_and_ends_with_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alive.lock");
        assert!(!is_held(&path));
        assert!(!path.exists(), "asking must not create the file");
        let lock = try_lock(&path).unwrap().expect("nobody else has it");
        assert!(is_held(&path));
        assert!(try_lock(&path).unwrap().is_none());
        assert!(try_shared(&path).unwrap().is_none());
        drop(lock);
        wait_until_free(&path);
        let shared = try_shared(&path).unwrap().expect("nobody else has it");
        assert!(!is_held(&path), "whoever shares it is no worker");
        assert!(try_lock(&path).unwrap().is_none(), "no worker can start");
        drop(shared);
    }
}
