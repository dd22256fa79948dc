//! What an export is made in before it has its place: hidden, beside it, and locked as long as its maker lives.
//! One that was killed leaves it behind; the next export to the same place takes it away.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, OFlags, flock};
use tempfile::{Builder, NamedTempFile, TempDir};

/// A file beside its place; its lock ends with its handle.
pub(in crate::report::forms) fn file(path: &Path) -> io::Result<NamedTempFile> {
    let (folder, prefix) = begun(path);
    loop {
        let permissions = Permissions::from_mode(0o644);
        let made = Builder::new().prefix(&prefix).permissions(permissions).tempfile_in(folder)?;
        if is_ours(made.as_file(), made.path())? {
            return Ok(made);
        }
    }
}

/// A folder beside its place, and its lock.
pub(in crate::report::forms) fn folder(path: &Path) -> io::Result<(TempDir, File)> {
    let (folder, prefix) = begun(path);
    loop {
        let permissions = Permissions::from_mode(0o755);
        let made = Builder::new().prefix(&prefix).permissions(permissions).tempdir_in(folder)?;
        let lock = File::open(made.path())?;
        if is_ours(&lock, made.path())? {
            return Ok((made, lock));
        }
    }
}

/// Takes the lock. False where somebody cleared up between the making and the lock, and took it for left behind.
fn is_ours(file: &File, path: &Path) -> io::Result<bool> {
    // A file system without locks has nobody who clears up by them.
    let _ = flock(file.as_fd(), FlockOperation::LockExclusive);
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Clears up beside a place; gives its folder, and how what is made there is called.
fn begun(path: &Path) -> (&Path, String) {
    let folder = path.parent().unwrap_or(Path::new("/"));
    // The name itself may be as long as names can be.
    let name = blake3::hash(path.file_name().unwrap_or_default().as_encoded_bytes()).to_hex();
    let prefix = format!(".new-export-{}-", &name[..8]);
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(prefix.as_bytes()) {
            // It may be another person's: it stays then, and is in nobody's way.
            drop(clear(&entry.path()));
        }
    }
    (folder, prefix)
}

/// Removes what nobody holds the lock of.
fn clear(path: &Path) -> io::Result<()> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    flock(file.as_fd(), FlockOperation::NonBlockingLockExclusive)?;
    if file.metadata()?.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn what_a_dead_process_left_goes_with_the_next_export_to_its_place_and_nothing_else_does() {
        let scene = tempfile::tempdir().unwrap();
        let place = |name: &str| scene.path().join(name);
        // As a killed process leaves them: there, and unlocked.
        drop(file(&place("a.csv")).unwrap().keep().unwrap());
        let (left, lock) = folder(&place("a.csv")).unwrap();
        fs::write(left.keep().join("half"), "x").unwrap();
        drop(lock);
        drop(file(&place("a.csv-b")).unwrap().keep().unwrap());
        fs::write(place(".new-other"), "x").unwrap();
        std::os::unix::fs::symlink("elsewhere", scene.path().join(".new-export-link")).unwrap();
        let at_work = file(&place("a.csv")).unwrap();
        assert_eq!(count(scene.path()), 4, "the two are gone");
        let (beside, _lock) = folder(&place("a.csv")).unwrap();
        assert!(at_work.path().is_file() && beside.path().is_dir(), "both are at work");
        assert!(place(".new-other").is_file());
        drop((at_work, beside));
        assert_eq!(count(scene.path()), 3);
    }
}
