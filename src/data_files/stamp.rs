//! Marks of files that change when they may have changed, without reading them.

use super::{ClassFolder, DataError, own_text};
use crate::experiment::settings::{Data, Settings};
use crate::run_dir::records::Stamp;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A mark for each of what [`fingerprints`](super::fingerprints) gives, under the same names.
///
/// # Errors
///
/// A file that is missing.
pub fn stamps(settings: &Settings, base: &Path) -> Result<Vec<Stamp>, DataError> {
    let alone = |path: &Path| stamp(path, std::slice::from_ref(&path.to_owned()), base);
    match &settings.data {
        Data::Text(text) => own_text(text, base)?.iter().map(|file| alone(file)).collect(),
        Data::Idx(idx) => {
            let named = [
                Some(&idx.images),
                Some(&idx.labels),
                idx.validation_images.as_ref(),
                idx.validation_labels.as_ref(),
            ];
            named.into_iter().flatten().map(|file| alone(&base.join(file))).collect()
        }
        Data::Folder(folder) => {
            let all = ClassFolder::list(&base.join(&folder.path))?;
            let mut found = vec![stamp(&all.path, &all.files, base)?];
            if let Some(path) = &folder.validation_path {
                let validation = ClassFolder::list_like(&base.join(path), &all)?;
                found.push(stamp(&validation.path, &validation.files, base)?);
            }
            Ok(found)
        }
        Data::Shapes(_) => Ok(Vec::new()),
    }
}

/// Of these files together: their names, sizes, places on the disk and times. The time of the last change
/// cannot be set by anybody, that of the last writing can.
fn stamp(path: &Path, files: &[PathBuf], base: &Path) -> Result<Stamp, DataError> {
    let mut all = blake3::Hasher::new();
    let mut changed = 0.0_f64;
    for file in files {
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
