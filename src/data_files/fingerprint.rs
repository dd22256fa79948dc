//! Fingerprints: whether data changed since a run was made.

use super::DataError;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::path::{Path, PathBuf};

/// Size and hash of a file as it lies on disk, or of many files together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    pub path: PathBuf,
    pub bytes: u64,
    /// BLAKE3 of the content, in hex.
    pub blake3: String,
}

/// Size and hash of the file at `path`, read in pieces.
///
/// # Errors
///
/// When the file cannot be read.
pub fn fingerprint(path: &Path) -> Result<Fingerprint, DataError> {
    let file = File::open(path).map_err(|error| DataError::read(path, error))?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file).map_err(|error| DataError::read(path, error))?;
    Ok(Fingerprint {
        path: path.to_owned(),
        bytes: hasher.count(),
        blake3: hasher.finalize().to_hex().to_string(),
    })
}

/// One fingerprint of all `files` below `folder`: it changes when a file changes, comes, goes, or is
/// renamed. A folder of a hundred thousand images so stays one line in a run's environment.
///
/// # Errors
///
/// When a file cannot be read.
pub fn fingerprint_together(folder: &Path, files: &[PathBuf]) -> Result<Fingerprint, DataError> {
    let mut all = blake3::Hasher::new();
    let mut bytes = 0;
    for file in files {
        let one = fingerprint(file)?;
        let name = file.strip_prefix(folder).unwrap_or(file).as_os_str();
        // The length before the name keeps "ab" + "c" apart from "a" + "bc".
        all.update(&(name.len() as u64).to_le_bytes());
        all.update(name.as_encoded_bytes());
        all.update(one.blake3.as_bytes());
        bytes += one.bytes;
    }
    Ok(Fingerprint { path: folder.to_owned(), bytes, blake3: all.finalize().to_hex().to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_fingerprint_is_the_blake3_of_the_bytes_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "abc").unwrap();
        let found = fingerprint(&path).unwrap();
        assert_eq!(found.bytes, 3);
        assert_eq!(found.blake3, blake3::hash(b"abc").to_hex().to_string());
    }

    #[test]
    fn a_folder_has_another_fingerprint_when_a_file_is_renamed() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&a, "x").unwrap();
        let before = fingerprint_together(folder.path(), std::slice::from_ref(&a)).unwrap();
        fs::rename(&a, &b).unwrap();
        let after = fingerprint_together(folder.path(), &[b]).unwrap();
        assert_eq!(before.bytes, after.bytes);
        assert_ne!(before.blake3, after.blake3);
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = fingerprint(Path::new("/nowhere/x.txt")).unwrap_err();
        assert!(error.to_string().starts_with("/nowhere/x.txt: "));
    }
}
