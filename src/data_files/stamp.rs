//! Marks of files that change when they may have changed, without reading them.

use super::DataError;
use super::named::{At, Holds, parts};
use crate::experiment::settings::Settings;
use crate::run_dir::records::Stamp;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A mark for each of what [`fingerprints`](super::fingerprints) gives, under the same names; `at` hears how
/// far that has come.
///
/// # Errors
///
/// A file that is missing.
pub fn stamps(settings: &Settings, base: &Path, at: At) -> Result<Vec<Stamp>, DataError> {
    let found = parts(settings, base, at)?.into_iter().map(|part| match &part.holds {
        Holds::Itself => stamp(&part.path, std::slice::from_ref(&part.path), base, at),
        Holds::Files(files) => stamp(&part.path, files, base, at),
    });
    found.collect()
}

/// Of these files together: their names, sizes, places on the disk and times. The time of the last change
/// cannot be set by anybody, that of the last writing can.
fn stamp(path: &Path, files: &[PathBuf], base: &Path, at: At) -> Result<Stamp, DataError> {
    let mut all = blake3::Hasher::new();
    let mut changed = 0.0_f64;
    for file in files {
        at(file);
        let known = std::fs::metadata(file).map_err(|error| DataError::read(file, error))?;
        all.update(file.strip_prefix(base).unwrap_or(file).as_os_str().as_encoded_bytes());
        let numbers = [
            known.len() as i64,
            known.dev() as i64,
            known.ino() as i64,
            known.mtime(),
            known.mtime_nsec(),
            known.ctime(),
            known.ctime_nsec(),
        ];
        for number in numbers {
            all.update(&number.to_le_bytes());
        }
        changed = changed.max(known.ctime() as f64 + known.ctime_nsec() as f64 / 1e9);
    }
    let path = path.strip_prefix(base).unwrap_or(path).to_string_lossy().into_owned();
    Ok(Stamp { path, changed, mark: all.finalize().to_hex()[..32].to_owned() })
}
