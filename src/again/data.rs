//! The data of runs that were sent: found by size and hash, and given to the run under the names that its
//! settings have for them, by links in a folder of the workspace.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use walkdir::WalkDir;

use super::paths::{below, climbs};
use crate::data_files::{self, unheard};
use crate::experiment::settings::{Data, Folder, Settings};
use crate::run_dir::records::Fingerprint;
use crate::run_dir::write::{at, sync_folder};
use crate::run_dir::{Workspace, read};

/// Files that are looked at below `--data`, and how deep folders of images may lie there.
const MOST_FILES: usize = 1_000_000;
const DEEPEST: usize = 6;

/// Where the data of one run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Where the settings name it.
    InPlace { base: String },
    /// These files and folders, by their names in the settings.
    Elsewhere { key: String, base: String, files: Vec<(String, PathBuf)> },
    /// Nowhere.
    Missing(Vec<Missing>),
}

/// Data that is not here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    pub wanted: Fingerprint,
    /// What lies in its place, or has its name or its size: another one.
    pub instead: Option<Fingerprint>,
}

/// Looks for data in the workspace and in the folders that a person named, at each file once.
pub struct Search<'a> {
    workspace: &'a Workspace,
    /// Files by size.
    files: BTreeMap<u64, Vec<PathBuf>>,
    folders: Vec<PathBuf>,
    hashes: BTreeMap<PathBuf, Option<String>>,
    together: BTreeMap<PathBuf, Option<Fingerprint>>,
}

impl Search<'_> {
    /// # Errors
    /// One of the folders is none.
    pub fn new<'a>(workspace: &'a Workspace, folders: &[PathBuf]) -> io::Result<Search<'a>> {
        let mut files: BTreeMap<u64, Vec<PathBuf>> = BTreeMap::new();
        let mut below = Vec::new();
        for folder in folders {
            let folder = fs::canonicalize(folder).map_err(|error| at(folder, error))?;
            if !folder.is_dir() {
                let error = io::Error::new(io::ErrorKind::NotADirectory, "--data names a folder");
                return Err(at(&folder, error));
            }
            let walk = WalkDir::new(&folder).sort_by_file_name().into_iter();
            for entry in walk.flatten().take(MOST_FILES) {
                if entry.file_type().is_dir() && entry.depth() <= DEEPEST {
                    below.push(entry.into_path());
                } else if entry.file_type().is_file()
                    && let Ok(known) = entry.metadata()
                {
                    files.entry(known.len()).or_default().push(entry.into_path());
                }
            }
        }
        let (hashes, together) = (BTreeMap::new(), BTreeMap::new());
        Ok(Search { workspace, files, folders: below, hashes, together })
    }

    /// The data that these settings name, of which `recorded` is known. `recorded_base` is the folder that
    /// paths were relative to, within a workspace.
    pub fn find(&mut self, settings: &Settings, recorded_base: &str, recorded: &[Fingerprint]) -> Found {
        if let Some(base) = self.in_place(settings, recorded_base, recorded) {
            return Found::InPlace { base };
        }
        let mut files = Vec::new();
        let mut missing = Vec::new();
        for file in recorded {
            let found = match settings.data {
                Data::Folder(_) => self.folder(settings, file),
                _ => self.file(recorded_base, file),
            };
            match found {
                Some(path) => files.push((file.path.clone(), path)),
                None => missing.push(self.missing(settings, recorded_base, file)),
            }
        }
        if !missing.is_empty() {
            return Found::Missing(missing);
        }
        let mut mutable = settings.clone();
        let named = super::paths::of_data(&mut mutable);
        let all =
            named.iter().map(|path| path.as_str()).chain(recorded.iter().map(|file| file.path.as_str()));
        let deep = all.filter_map(climbs).max().unwrap_or(0);
        let mut hasher = blake3::Hasher::new();
        for file in recorded {
            for part in [file.path.as_bytes(), b"\0", file.blake3.as_bytes(), b"\n"] {
                hasher.update(part);
            }
        }
        let key = hasher.finalize().to_hex()[..16].to_owned();
        let base = format!("data/sent/{key}{}", "/base".repeat(deep.max(1)));
        Found::Elsewhere { key, base, files }
    }

    /// The recorded folder, where all data lies in it as it was.
    fn in_place(&mut self, settings: &Settings, base: &str, recorded: &[Fingerprint]) -> Option<String> {
        let base = if inside(base, 0) { base } else { "experiments" };
        let mut mutable = settings.clone();
        let mut named = super::paths::of_data(&mut mutable).into_iter();
        let is_inside = |path: &str| climbs(path).is_some_and(|climbed| inside(base, climbed));
        if !named.all(|path| is_inside(path)) || !recorded.iter().all(|file| is_inside(&file.path)) {
            return None;
        }
        if recorded.is_empty() {
            return Some(base.to_owned());
        }
        let folder = self.workspace.root().join(base);
        // Sizes first: reading is what costs.
        let is_as_long = |file: &Fingerprint| match settings.data {
            Data::Folder(_) => folder.join(&file.path).is_dir(),
            _ => fs::metadata(folder.join(&file.path)).is_ok_and(|known| known.len() == file.bytes),
        };
        if !recorded.iter().all(is_as_long) {
            return None;
        }
        let found = data_files::fingerprints(settings, &folder, &unheard).ok()?;
        (found == recorded).then(|| base.to_owned())
    }

    fn file(&mut self, base: &str, wanted: &Fingerprint) -> Option<PathBuf> {
        let mut candidates = self.files.get(&wanted.bytes).cloned().unwrap_or_default();
        if climbs(&wanted.path).is_some_and(|climbed| inside(base, climbed)) {
            let place = self.workspace.root().join(base).join(&wanted.path);
            if let Ok(place) = fs::canonicalize(place)
                && fs::metadata(&place).is_ok_and(|known| known.is_file() && known.len() == wanted.bytes)
            {
                candidates.insert(0, place);
            }
        }
        candidates.into_iter().find(|path| self.hash(path) == Some(wanted.blake3.clone()))
    }

    /// Tells what a person may have taken for it.
    fn missing(&mut self, settings: &Settings, base: &str, wanted: &Fingerprint) -> Missing {
        let missing = |instead| Missing { wanted: wanted.clone(), instead };
        let name = Path::new(&wanted.path).file_name();
        if matches!(settings.data, Data::Folder(_)) {
            let folder = self.folders.iter().find(|path| path.file_name() == name).cloned();
            let known = folder.and_then(|path| self.together.get(&path).cloned().flatten());
            return missing(known);
        }
        let place = self.workspace.root().join(base).join(&wanted.path);
        let is_within = climbs(&wanted.path).is_some_and(|climbed| inside(base, climbed));
        let all = || self.files.values().flatten();
        let named = all().find(|path| path.file_name() == name).cloned();
        let as_long = self.files.get(&wanted.bytes).and_then(|paths| paths.first()).cloned();
        let found = Some(place).filter(|place| is_within && place.is_file()).or(named).or(as_long);
        missing(found.and_then(|path| {
            let bytes = fs::metadata(&path).ok()?.len();
            Some(Fingerprint { path: path.display().to_string(), bytes, blake3: self.hash(&path)? })
        }))
    }

    fn hash(&mut self, path: &Path) -> Option<String> {
        let hash = || {
            let mut hasher = blake3::Hasher::new();
            hasher.update_reader(read::open(path).ok()?).ok()?;
            Some(hasher.finalize().to_hex().to_string())
        };
        self.hashes.entry(path.to_owned()).or_insert_with(hash).clone()
    }

    /// A folder of images. Those that are called as it was are looked at first.
    fn folder(&mut self, settings: &Settings, wanted: &Fingerprint) -> Option<PathBuf> {
        let name = Path::new(&wanted.path).file_name().map(ToOwned::to_owned);
        let mut candidates = self.folders.clone();
        candidates.sort_by_key(|path| path.file_name().map(ToOwned::to_owned) != name);
        candidates.into_iter().find(|path| {
            let known = self.together.entry(path.clone()).or_insert_with(|| whole(settings, path));
            known.as_ref().is_some_and(|known| known.bytes == wanted.bytes && known.blake3 == wanted.blake3)
        })
    }
}

/// The fingerprint of a folder of images.
fn whole(settings: &Settings, path: &Path) -> Option<Fingerprint> {
    let folder = Folder { path: path.to_str()?.to_owned(), ..Folder::default() };
    let settings = Settings { data: Data::Folder(folder), ..settings.clone() };
    data_files::fingerprints(&settings, Path::new("/"), &unheard).ok()?.pop()
}

/// Whether what lies so many folders above `base` is still within the workspace.
fn inside(base: &str, climbed: usize) -> bool {
    let mut parts = Path::new(base).components();
    parts.clone().count() >= climbed && parts.all(|part| matches!(part, Component::Normal(_)))
}

/// Makes the folder of links, where it is not there yet; its names are those in the settings.
///
/// # Errors
/// The disk cannot be written to, or two files want one name.
pub fn link(workspace: &Workspace, key: &str, base: &str, files: &[(String, PathBuf)]) -> io::Result<()> {
    let all = workspace.root().join("data/sent");
    let place = all.join(key);
    let base = Path::new(base).strip_prefix(Path::new("data/sent").join(key)).unwrap_or(Path::new(""));
    // Those of an earlier time may lead nowhere by now; good ones may be in use.
    if files
        .iter()
        .all(|(name, file)| fs::canonicalize(below(&place.join(base), name)).is_ok_and(|is| is == *file))
    {
        return Ok(());
    }
    fs::create_dir_all(&all).map_err(|error| at(&all, error))?;
    let building =
        tempfile::Builder::new().prefix(".new-").tempdir_in(&all).map_err(|error| at(&all, error))?;
    let mode = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
    fs::set_permissions(building.path(), mode)?;
    let base = building.path().join(base);
    fs::create_dir_all(&base).map_err(|error| at(&base, error))?;
    let mut made = BTreeSet::new();
    for (name, file) in files {
        let path = below(&base, name);
        if !path.starts_with(building.path()) || !made.insert(path.clone()) {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "two files of its data have one name");
            return Err(at(Path::new(name), error));
        }
        let folder = path.parent().unwrap_or(&base);
        fs::create_dir_all(folder).map_err(|error| at(folder, error))?;
        std::os::unix::fs::symlink(file, &path).map_err(|error| at(&path, error))?;
    }
    if place.exists() {
        fs::remove_dir_all(&place).map_err(|error| at(&place, error))?;
    }
    fs::rename(building.path(), &place).map_err(|error| at(&place, error))?;
    let _ = building.keep();
    sync_folder(&all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::settings::{Folder, Text};
    use crate::run_dir::scan::sample_record;

    fn text(files: &[&str]) -> Settings {
        let files = files.iter().map(|file| (*file).to_owned()).collect();
        Settings { data: Data::Text(Text { files, ..Text::default() }), ..sample_record("x", "y").settings }
    }

    #[test]
    fn a_place_is_within_the_workspace_only_if_no_part_of_it_climbs_out() {
        for (base, climbed, expected) in [
            ("experiments", 0, true),
            ("experiments", 1, true),
            ("experiments", 2, false),
            ("", 0, true),
            ("", 1, false),
            ("a/..", 2, false),
            ("../a", 0, false),
            ("/a", 0, false),
        ] {
            assert_eq!(inside(base, climbed), expected, "{base} {climbed}");
        }
    }

    #[test]
    fn data_are_taken_in_place_if_equal_else_by_hash_and_never_from_outside() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("w");
        fs::create_dir_all(root.join("experiments")).unwrap();
        fs::create_dir_all(folder.path().join("store")).unwrap();
        fs::write(root.join("experiments/a.txt"), "one").unwrap();
        fs::write(folder.path().join("outside.txt"), "out").unwrap();
        fs::write(folder.path().join("store/z"), "two").unwrap();
        let workspace = Workspace::new(&root);
        let mut search = Search::new(&workspace, &[folder.path().join("store")]).unwrap();
        let known = |path: &str, text: &str| Fingerprint {
            path: path.to_owned(),
            bytes: text.len() as u64,
            blake3: blake3::hash(text.as_bytes()).to_hex().to_string(),
        };
        let mut find = |path: &str, text: &str| {
            search.find(&super::tests::text(&[path]), "experiments", &[known(path, text)])
        };
        assert_eq!(find("a.txt", "one"), Found::InPlace { base: "experiments".into() });
        let Found::Elsewhere { files, key, base } = find("a.txt", "two") else {
            panic!("it is in the store")
        };
        assert!(files[0].1.ends_with("store/z"), "{files:?}");
        link(&workspace, &key, &base, &files).unwrap();
        assert_eq!(fs::read_to_string(root.join(&base).join("a.txt")).unwrap(), "two");
        // Once more is the same, and links that lead nowhere by now are made anew.
        link(&workspace, &key, &base, &files).unwrap();
        // Both are told: what is wanted, and what has its name.
        let Found::Missing(missing) = find("a.txt", "three") else { panic!("there is no such file") };
        let (wanted, instead) = (&missing[0].wanted, missing[0].instead.as_ref().unwrap());
        assert_eq!((wanted, instead.bytes), (&known("a.txt", "three"), 3));
        assert_eq!(instead.blake3, known("", "one").blake3);
        // A file that is there and equal, but not within the workspace.
        assert!(matches!(find("../../outside.txt", "out"), Found::Missing(_)));
        let nothing = search.find(&text(&["../../outside.txt"]), "experiments", &[]);
        assert!(matches!(nothing, Found::Elsewhere { .. }), "{nothing:?}");
        assert!(Search::new(&workspace, &[folder.path().join("outside.txt")]).is_err());
    }

    #[test]
    fn a_folder_of_images_is_found_by_what_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store/pictures");
        for class in ["cat", "dog"] {
            fs::create_dir_all(store.join(class)).unwrap();
            fs::write(store.join(class).join("1.png"), class).unwrap();
        }
        let workspace = Workspace::new(folder.path().join("w"));
        fs::create_dir_all(workspace.root()).unwrap();
        let settings = Settings {
            data: Data::Folder(Folder { path: "../images".into(), ..Folder::default() }),
            ..sample_record("x", "y").settings
        };
        let known = whole(&settings, &store).unwrap();
        let recorded = [Fingerprint { path: "../images".into(), ..known }];
        let mut search = Search::new(&workspace, &[folder.path().join("store")]).unwrap();
        let Found::Elsewhere { key, base, files } = search.find(&settings, "experiments", &recorded) else {
            panic!("it is in the store")
        };
        link(&workspace, &key, &base, &files).unwrap();
        let here = data_files::fingerprints(&settings, &workspace.root().join(base), &unheard).unwrap();
        assert_eq!(here, recorded);
    }
}
