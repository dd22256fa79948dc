//! Copying files of another workspace: no links are followed, files that grow are taken up to their last
//! whole line, and what is half done is never under a name that anybody reads.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::run_dir::read::NOT_WAITING;
use crate::run_dir::write::{Durability, at, replace_by};

/// Folders that are being made are named so; they are hidden from everybody else.
pub const PREFIX: &str = ".merge-";

/// How a file that only grows stands here to the same file there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grown {
    Same,
    /// There it goes on from `here` bytes to `there`.
    There {
        here: u64,
        there: u64,
    },
    /// Here it goes on.
    Here,
    /// They are not each other's beginning, from this line on.
    Parted {
        line: u64,
    },
}

/// Opens a file of another workspace. What is no file, and a link, is refused.
pub fn open(path: &Path) -> io::Result<File> {
    let no_follow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let opened = OpenOptions::new().read(true).custom_flags(NOT_WAITING | no_follow).open(path);
    let is_link = |error: &io::Error| error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
    match opened {
        Ok(file) if file.metadata()?.is_file() => Ok(file),
        Err(error) if !is_link(&error) => Err(at(path, error)),
        _ => Err(at(path, io::Error::new(io::ErrorKind::InvalidInput, "not a file"))),
    }
}

/// How two files stand to each other; a missing one is empty, and so is what is no file there: nothing of it is
/// taken.
pub fn grown(here: &Path, there: &Path) -> io::Result<Grown> {
    let if_there = |file: io::Result<File>| match file {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    };
    let theirs = match open(there) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => None,
        other => if_there(other)?,
    };
    let ours = if_there(open(here))?;
    let length =
        |file: &Option<File>| file.as_ref().map_or(Ok(0), |file| file.metadata().map(|known| known.len()));
    let ours_long = length(&ours)?;
    let theirs_long = theirs.as_ref().map_or(Ok(0), whole_lines)?;
    let common = ours_long.min(theirs_long);
    if let (Some(ours), Some(theirs)) = (ours, theirs)
        && let Some(line) = first_difference(ours.take(common), theirs.take(common))?
    {
        return Ok(Grown::Parted { line });
    }
    Ok(match ours_long.cmp(&theirs_long) {
        std::cmp::Ordering::Equal => Grown::Same,
        std::cmp::Ordering::Less => Grown::There { here: ours_long, there: theirs_long },
        std::cmp::Ordering::Greater => Grown::Here,
    })
}

/// The line, from 1, in which two texts of one length differ first.
fn first_difference(mut one: impl Read, mut other: impl Read) -> io::Result<Option<u64>> {
    const PIECE: usize = 1 << 16;
    let (mut ours, mut theirs) = (Vec::with_capacity(PIECE), Vec::with_capacity(PIECE));
    let mut line = 1;
    loop {
        ours.clear();
        theirs.clear();
        one.by_ref().take(PIECE as u64).read_to_end(&mut ours)?;
        other.by_ref().take(PIECE as u64).read_to_end(&mut theirs)?;
        if ours != theirs {
            let place = ours.iter().zip(&theirs).take_while(|(one, other)| one == other).count();
            return Ok(Some(line + memchr::memchr_iter(b'\n', &ours[..place]).count() as u64));
        }
        if ours.is_empty() {
            return Ok(None);
        }
        line += memchr::memchr_iter(b'\n', &ours).count() as u64;
    }
}

/// Bytes of a file up to its last newline, of which the last ones may still be being written.
fn whole_lines(file: &File) -> io::Result<u64> {
    const PIECE: u64 = 1 << 16;
    let mut file = file;
    let mut end = file.metadata()?.len();
    let mut piece = Vec::new();
    while end > 0 {
        let from = end.saturating_sub(PIECE);
        piece.clear();
        file.seek(SeekFrom::Start(from))?;
        file.take(end - from).read_to_end(&mut piece)?;
        if let Some(newline) = memchr::memrchr(b'\n', &piece) {
            end = from + newline as u64 + 1;
            break;
        }
        end = from;
    }
    file.seek(SeekFrom::Start(0))?;
    Ok(end)
}

/// Appends to a file here what it has grown by there.
///
/// # Errors
/// The disk is full, or the file there has become shorter: nothing is then appended.
pub fn extend(here: &Path, there: &Path, from: u64, to: u64) -> io::Result<()> {
    let mut source = open(there)?;
    source.seek(SeekFrom::Start(from))?;
    let mut target =
        OpenOptions::new().append(true).create(true).open(here).map_err(|error| at(here, error))?;
    if target.metadata()?.len() != from {
        return Err(at(here, io::Error::new(io::ErrorKind::ResourceBusy, "was written to meanwhile")));
    }
    let copied = io::copy(&mut source.take(to - from), &mut target);
    let whole = match copied {
        Ok(bytes) if bytes == to - from => target.sync_data(),
        Ok(_) => Err(io::Error::new(io::ErrorKind::ResourceBusy, "was cut there meanwhile (merge again)")),
        Err(error) => Err(error),
    };
    whole.map_err(|error| {
        drop(target.set_len(from));
        at(here, error)
    })
}

/// Replaces a file here by the one there. Bytes that were written.
pub fn whole(here: &Path, there: &Path) -> io::Result<u64> {
    let mut source = open(there)?;
    let folder = here.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|error| at(folder, error))?;
    replace_by(here, &mut source, Durability::Synced)?;
    Ok(fs::metadata(here)?.len())
}

/// The same with whole lines alone, of a file that grows.
pub fn lines(here: &Path, there: &Path) -> io::Result<u64> {
    let source = open(there)?;
    let length = whole_lines(&source)?;
    replace_by(here, &mut source.take(length), Durability::Synced)?;
    Ok(length)
}

/// Whether both hold the same bytes; a missing one holds none.
pub fn is_same(here: &Path, there: &Path) -> io::Result<bool> {
    let (Ok(ours), theirs) = (open(here), open(there)?) else { return Ok(false) };
    Ok(ours.metadata()?.len() == theirs.metadata()?.len() && first_difference(ours, theirs)?.is_none())
}

/// A folder to build in, beside what it will be; it goes away with us, or by the next merge.
pub fn aside(folder: &Path) -> io::Result<tempfile::TempDir> {
    fs::create_dir_all(folder).map_err(|error| at(folder, error))?;
    let building =
        tempfile::Builder::new().prefix(PREFIX).tempdir_in(folder).map_err(|error| at(folder, error))?;
    let mode = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
    fs::set_permissions(building.path(), mode)?;
    Ok(building)
}

/// Renames what was built to its place, where nothing is.
pub fn settle(building: tempfile::TempDir, place: &Path) -> io::Result<()> {
    fs::rename(building.path(), place).map_err(|error| at(place, error))?;
    let _ = building.keep();
    crate::run_dir::write::sync_folder(place.parent().unwrap_or(Path::new(".")))
}

/// Removes what a killed merge left. To be called by the one merge alone.
pub fn remove_abandoned(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let abandoned =
        entries.flatten().filter(|entry| entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()));
    for entry in abandoned {
        drop(fs::remove_dir_all(entry.path()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_grow_are_held_against_each_other_up_to_their_last_whole_line() {
        let folder = tempfile::tempdir().unwrap();
        let (here, there) = (folder.path().join("here"), folder.path().join("there"));
        for (ours, theirs, expected) in [
            (Some("a\nb\n"), Some("a\nb\n"), Grown::Same),
            (Some("a\n"), Some("a\nb\nc\ntorn"), Grown::There { here: 2, there: 6 }),
            (None, Some("a\n"), Grown::There { here: 0, there: 2 }),
            // What a killed merge left.
            (Some("a\nb"), Some("a\nbc\n"), Grown::There { here: 3, there: 5 }),
            (Some("a\nb\n"), Some("a\n"), Grown::Here),
            (Some("a\n"), None, Grown::Here),
            (Some("a\nx\nc\n"), Some("a\nb\nc\nd\n"), Grown::Parted { line: 2 }),
        ] {
            drop((fs::remove_file(&here), fs::remove_file(&there)));
            ours.inspect(|text| fs::write(&here, text).unwrap());
            theirs.inspect(|text| fs::write(&there, text).unwrap());
            let is = grown(&here, &there).unwrap();
            assert_eq!(is, expected, "{ours:?} {theirs:?}");
            if let Grown::There { here: from, there: to } = is {
                extend(&here, &there, from, to).unwrap();
                assert_eq!(grown(&here, &there).unwrap(), Grown::Same);
            }
        }
        fs::write(&here, "a\n").unwrap();
        assert!(extend(&here, &there, 2, 500).is_err());
        assert_eq!(fs::read_to_string(&here).unwrap(), "a\n", "nothing half is left");
        std::os::unix::fs::symlink(&here, folder.path().join("link")).unwrap();
        assert!(open(&folder.path().join("link")).is_err());
    }
}
