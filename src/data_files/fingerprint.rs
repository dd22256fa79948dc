//! Fingerprints: whether data changed since a run was made.

use super::DataError;
use super::named::{At, Holds, parts};
use crate::experiment::settings::Settings;
use crate::run_dir::read;
use crate::run_dir::records::Fingerprint;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Fingerprints of all that `settings` name below `base`, without a look at what is in it; `at` hears how far
/// that has come.
///
/// # Errors
///
/// A file that is missing or cannot be read.
pub fn fingerprints(settings: &Settings, base: &Path, at: At) -> Result<Vec<Fingerprint>, DataError> {
    let found = parts(settings, base, at)?.into_iter().map(|part| match &part.holds {
        Holds::Itself => fingerprint(&part.path, base, at),
        Holds::Files(files) => fingerprint_together(&part.path, files, base, at),
    });
    found.collect()
}

/// Size and hash of the file at `path`, read in pieces, under its name relative to `base`.
fn fingerprint(path: &Path, base: &Path, at: At) -> Result<Fingerprint, DataError> {
    at(path);
    let file = read::open(path).map_err(|error| DataError::read(path, error))?;
    let mut hasher = blake3::Hasher::new();
    let heard = Heard { file, path, at };
    hasher.update_reader(heard).map_err(|error| DataError::read(path, error))?;
    Ok(Fingerprint {
        path: relative(path, base),
        bytes: hasher.count(),
        blake3: hasher.finalize().to_hex().to_string(),
    })
}

/// A file of whose pieces somebody hears.
struct Heard<'a> {
    file: File,
    path: &'a Path,
    at: At<'a>,
}

impl Read for Heard<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(bytes)?;
        (self.at)(self.path);
        Ok(count)
    }
}

/// One fingerprint of all `files` below `folder`: it changes when a file changes, comes, goes, or is
/// renamed. A folder of a hundred thousand images so stays one line in a run's environment.
fn fingerprint_together(
    folder: &Path,
    files: &[PathBuf],
    base: &Path,
    at: At,
) -> Result<Fingerprint, DataError> {
    let mut all = blake3::Hasher::new();
    let mut bytes = 0;
    for file in files {
        let one = fingerprint(file, folder, at)?;
        // The length before the name keeps "ab" + "c" apart from "a" + "bc".
        all.update(&(one.path.len() as u64).to_le_bytes());
        all.update(one.path.as_bytes());
        all.update(one.blake3.as_bytes());
        bytes += one.bytes;
    }
    Ok(Fingerprint { path: relative(folder, base), bytes, blake3: all.finalize().to_hex().to_string() })
}

fn relative(path: &Path, base: &Path) -> String {
    path.strip_prefix(base).unwrap_or(path).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::named::unheard;
    use super::*;
    use std::cell::Cell;
    use std::fs;

    #[test]
    fn a_fingerprint_is_the_blake3_of_the_bytes_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "abc").unwrap();
        let found = fingerprint(&path, folder.path(), &unheard).unwrap();
        assert_eq!((found.path.as_str(), found.bytes), ("a", 3));
        assert_eq!(found.blake3, blake3::hash(b"abc").to_hex().to_string());
    }

    #[test]
    fn a_folder_has_another_fingerprint_when_a_file_is_renamed() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&a, "x").unwrap();
        let of = |file: &PathBuf| {
            let files = std::slice::from_ref(file);
            fingerprint_together(folder.path(), files, folder.path(), &unheard).unwrap()
        };
        let before = of(&a);
        fs::rename(&a, &b).unwrap();
        let after = of(&b);
        assert_eq!(before.bytes, after.bytes);
        assert_ne!(before.blake3, after.blake3);
    }

    #[test]
    fn every_piece_that_was_read_is_heard_of() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, vec![7; 1 << 20]).unwrap();
        let heard = Cell::new(0);
        let hear = |at: &Path| {
            assert_eq!(at, path);
            heard.set(heard.get() + 1);
        };
        fingerprint(&path, folder.path(), &hear).unwrap();
        assert!(heard.get() > 10, "{}", heard.get());
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = fingerprint(Path::new("/nowhere/x.txt"), Path::new("/"), &unheard).unwrap_err();
        assert!(error.to_string().starts_with("/nowhere/x.txt: "));
    }
}
