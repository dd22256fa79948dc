//! What settings name as data, in the parts that are told of one by one: files, and whole folders of images.

use super::inspect::own_text;
use super::{ClassFolder, DataError};
use crate::experiment::settings::{Data, Settings};
use std::path::{Path, PathBuf};

/// Hears of each file before it is looked at, and of each piece of it that was read: whoever waits for data
/// that never answers can so say where that is.
pub type At<'a> = &'a dyn Fn(&Path);

/// For those who wait for nothing.
pub fn unheard(_: &Path) {}

/// Every file that `settings` name below `base`.
///
/// # Errors
///
/// A file or folder that is missing.
pub fn files_named(settings: &Settings, base: &Path) -> Result<Vec<PathBuf>, DataError> {
    let files = parts(settings, base, &unheard)?.into_iter().flat_map(|part| match part.holds {
        Holds::Itself => vec![part.path],
        Holds::Files(files) => files,
    });
    Ok(files.collect())
}

/// What has one fingerprint and one stamp.
pub(super) struct Part {
    pub path: PathBuf,
    pub holds: Holds,
}

pub(super) enum Holds {
    /// The path is that of a file.
    Itself,
    /// The path is that of a folder with these files.
    Files(Vec<PathBuf>),
}

/// All that `settings` name below `base`, in the order in which it is told of.
///
/// # Errors
///
/// A file or folder that is missing.
pub(super) fn parts(settings: &Settings, base: &Path, at: At) -> Result<Vec<Part>, DataError> {
    let alone = |path: PathBuf| Part { path, holds: Holds::Itself };
    match &settings.data {
        Data::Text(text) => Ok(own_text(text, base, at)?.into_iter().map(alone).collect()),
        Data::Idx(idx) => {
            let named = [
                Some(&idx.images),
                Some(&idx.labels),
                idx.validation_images.as_ref(),
                idx.validation_labels.as_ref(),
            ];
            Ok(named.into_iter().flatten().map(|file| alone(base.join(file))).collect())
        }
        Data::Folder(folder) => {
            let whole = |folder: &ClassFolder| Part {
                path: folder.path.clone(),
                holds: Holds::Files(folder.files.clone()),
            };
            let path = base.join(&folder.path);
            at(&path);
            let all = ClassFolder::list(&path)?;
            let mut found = vec![whole(&all)];
            if let Some(path) = &folder.validation_path {
                let path = base.join(path);
                at(&path);
                found.push(whole(&ClassFolder::list_like(&path, &all)?));
            }
            Ok(found)
        }
        Data::Shapes(_) => Ok(Vec::new()),
    }
}
