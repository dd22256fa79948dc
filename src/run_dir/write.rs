//! The two ways in which files here are written: replaced whole, or appended to by whole lines.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;
use serde::Serialize;

/// Whether a write must survive a power cut before it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Synced, and the folder with it, before the call returns.
    Synced,
    /// Renamed into place; it can be made again.
    Rebuildable,
}

/// Replaces `path` by `bytes`: readers see the old file or the new one, never a part.
///
/// # Errors
/// Any error of the file system, with the path; the old file is then still there.
pub fn replace(path: &Path, mut bytes: &[u8], durability: Durability) -> io::Result<()> {
    replace_by(path, &mut bytes, durability)
}

/// [`replace`] with all that `source` gives, which need not fit into memory.
pub fn replace_by(path: &Path, source: &mut impl io::Read, durability: Durability) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file =
        tempfile::Builder::new().prefix(".new-").tempfile_in(folder).map_err(|error| at(path, error))?;
    io::copy(source, file.as_file_mut()).map_err(|error| at(path, error))?;
    // Temporary files are private by default; what lands here is as readable as its neighbors.
    let mode = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o644);
    file.as_file().set_permissions(mode).map_err(|error| at(path, error))?;
    if durability == Durability::Synced {
        file.as_file().sync_all().map_err(|error| at(path, error))?;
    }
    file.persist(path).map_err(|error| at(path, error.error))?;
    if durability == Durability::Synced {
        sync_folder(folder)?;
    }
    Ok(())
}

/// [`replace`] with `record` as JSON, indented for people.
pub fn replace_json<T: Serialize>(path: &Path, record: &T, durability: Durability) -> io::Result<()> {
    let mut bytes = serde_json::to_vec_pretty(record).map_err(|error| at(path, error.into()))?;
    bytes.push(b'\n');
    replace(path, &bytes, durability)
}

/// Appends `record` as one line of JSON, in one write, and where it is to be durable, the name of a new
/// file with it. A torn last line (a process that died while
/// writing) is closed first, so that the new line stands alone.
///
/// # Errors
/// Any error of the file system, with the path.
pub fn append_line<T: Serialize>(path: &Path, record: &T, durability: Durability) -> io::Result<()> {
    let mut file = open_to_append(path)?;
    let is_new = file.metadata().is_ok_and(|metadata| metadata.len() == 0);
    append_line_to(&mut file, record).map_err(|error| at(path, error))?;
    if durability == Durability::Synced {
        file.sync_data().map_err(|error| at(path, error))?;
        if is_new {
            sync_folder(path.parent().unwrap_or(Path::new(".")))?;
        }
    }
    Ok(())
}

/// Opens a file for reading and appending, and makes it where it is missing. A link is not followed: with a
/// run that was copied from elsewhere it may lead to any file of this machine, and what people say would be
/// written there. A pipe in its place would be waited for.
///
/// # Errors
/// There is no file that may be written, with its path.
pub fn open_to_append(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let opened = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
        .and_then(|file| Ok((file.metadata()?.is_file(), file)));
    match opened {
        Ok((true, file)) => Ok(file),
        Err(error) if error.raw_os_error() != Some(Errno::LOOP.raw_os_error()) => Err(at(path, error)),
        _ => {
            let message = "not a file (a link, a pipe or a device lies there: remove it)";
            Err(at(path, io::Error::new(io::ErrorKind::InvalidInput, message)))
        }
    }
}

/// [`append_line`] on a file that is open for reading and appending, for those who hold a lock on it.
pub fn append_line_to<T: Serialize>(file: &mut File, record: &T) -> io::Result<()> {
    use std::os::unix::fs::FileExt;
    let mut line = Vec::with_capacity(256);
    let length = file.metadata()?.len();
    if length > 0 {
        let mut last = [0];
        file.read_exact_at(&mut last, length - 1)?;
        if last[0] != b'\n' {
            line.push(b'\n');
        }
    }
    serde_json::to_writer(&mut line, record)?;
    line.push(b'\n');
    file.write_all(&line).inspect_err(|_| {
        // A disk that is full takes the beginning of a line. Each of these files has one writer at a time,
        // so what stands behind the last whole line is ours to take back.
        drop(file.set_len(length));
    })
}

/// Makes a folder, unless it is there. Not those above it: where they are gone, the workspace was moved or
/// removed, and nothing is to be begun anew at its old place.
///
/// # Errors
/// The folder above is not there, or takes none; with the path.
pub fn make_folder(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made.map_err(|error| at(path, error)),
    }
}

/// Makes a rename or a new name in `folder` survive a power cut.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder).and_then(|file| file.sync_all()).map_err(|error| at(folder, error))
}

/// The error with the path in front: the file system's own message names none.
pub fn at(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Links a file that nobody writes to any more, or copies it where the file system has no links.
///
/// # Errors
/// It is not there, or the disk cannot be written to, with the path.
pub fn link(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(at(from, error)),
        Err(_) => fs::copy(from, to).map(drop).map_err(|error| at(from, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_line_stays_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        fs::write(&path, "{\"a\":1}\n{\"a\":").unwrap();
        append_line(&path, &serde_json::json!({"a": 2}), Durability::Synced).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"a\":1}\n{\"a\":\n{\"a\":2}\n");
    }

    #[test]
    fn replacing_leaves_no_other_file_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("progress.json");
        for number in 0..3 {
            replace_json(&path, &number, Durability::Rebuildable).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "2\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_error_names_the_path() {
        let error = replace(Path::new("/nowhere/at/all.json"), b"", Durability::Synced).unwrap_err();
        assert!(error.to_string().contains("/nowhere/at/all.json"), "{error}");
    }
}
