//! The files of a run directory by what may happen to them. Everything else in it, links among it, is
//! foreign.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::run_dir::write::at;
use crate::run_dir::{RunDir, step_name, step_of};

/// The files of a checkpoint, `state.json` last: one that has it is whole.
pub const CHECKPOINT: [&str; 3] = ["model.safetensors", "optimizer.safetensors", "state.json"];

/// What may happen to a file, in the order in which files are copied: what counts comes after what it counts
/// on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Never changed.
    Record,
    Checkpoint,
    /// Replaced whole.
    Replaced,
    /// Only appended to; metrics before events before attempts.
    Grows,
    /// Last of all.
    Result,
}

pub struct Listing {
    files: Vec<(PathBuf, Kind)>,
    /// Names of what is none of ours.
    pub foreign: Vec<String>,
    pub bytes: u64,
}

/// Folders within `taken/` and `taken-text/`.
const DEEPEST: usize = 3;

impl Listing {
    /// What is there now. What comes later is for the next time.
    pub fn of(run: &RunDir) -> io::Result<Listing> {
        let mut listing = Listing { files: Vec::new(), foreign: Vec::new(), bytes: 0 };
        for (name, kind) in entries(run.path())? {
            match (name.as_str(), kind) {
                ("alive.lock", _) => {}
                (hidden, _) if hidden.starts_with('.') => {}
                (_, Entry::File(bytes)) => match kind_of(&name) {
                    Some(kind) => listing.add(PathBuf::from(name), kind, bytes),
                    None => listing.foreign.push(name),
                },
                ("samples", Entry::Folder) => listing.samples(run)?,
                ("checkpoints", Entry::Folder) => listing.checkpoints(run)?,
                ("taken" | "taken-text", Entry::Folder) => listing.all_below(run, Path::new(&name), 0)?,
                _ => listing.foreign.push(name),
            }
        }
        listing.files.sort_by_key(|(file, kind)| (*kind, place(file), file.clone()));
        Ok(listing)
    }

    pub fn has(&self, name: &str) -> bool {
        self.files.iter().any(|(file, _)| file == Path::new(name))
    }

    pub fn in_order(&self) -> impl Iterator<Item = &(PathBuf, Kind)> {
        self.files.iter()
    }

    fn add(&mut self, file: PathBuf, kind: Kind, bytes: u64) {
        self.bytes += bytes;
        self.files.push((file, kind));
    }

    fn samples(&mut self, run: &RunDir) -> io::Result<()> {
        for (name, entry) in entries(&run.samples())? {
            let is_ours = step_of(&name).is_some() && (name.ends_with(".json") || name.ends_with(".png"));
            match entry {
                Entry::File(bytes) if is_ours => {
                    self.add(Path::new("samples").join(name), Kind::Replaced, bytes)
                }
                _ if name.starts_with('.') => {}
                _ => self.foreign.push(format!("samples/{name}")),
            }
        }
        Ok(())
    }

    fn checkpoints(&mut self, run: &RunDir) -> io::Result<()> {
        for (name, entry) in entries(&run.checkpoints())? {
            let is_ours = step_of(&name).is_some_and(|step| step_name(step) == name);
            if entry != Entry::Folder || !is_ours {
                // Being written, or set aside.
                if !name.starts_with('.') && !name.contains(".damaged") {
                    self.foreign.push(format!("checkpoints/{name}"));
                }
                continue;
            }
            let folder = Path::new("checkpoints").join(&name);
            for (file, entry) in entries(&run.path().join(&folder))? {
                match entry {
                    Entry::File(bytes) if CHECKPOINT.contains(&file.as_str()) => {
                        self.add(folder.join(file), Kind::Checkpoint, bytes);
                    }
                    _ => self.foreign.push(format!("checkpoints/{name}/{file}")),
                }
            }
        }
        Ok(())
    }

    fn all_below(&mut self, run: &RunDir, folder: &Path, depth: usize) -> io::Result<()> {
        for (name, entry) in entries(&run.path().join(folder))? {
            let file = folder.join(&name);
            match entry {
                Entry::File(bytes) if !name.starts_with('.') => self.add(file, Kind::Replaced, bytes),
                Entry::Folder if depth < DEEPEST => self.all_below(run, &file, depth + 1)?,
                _ => self.foreign.push(file.to_string_lossy().into_owned()),
            }
        }
        Ok(())
    }
}

fn kind_of(name: &str) -> Option<Kind> {
    Some(match name {
        "run.json" | "env.json" => Kind::Record,
        "requests.jsonl" | "attempts.jsonl" | "telemetry.csv" | "stderr.log" | "metrics.csv"
        | "train.log" | "events.jsonl" | "alerts.jsonl" | "verify.jsonl" => Kind::Grows,
        "progress.json" | "model.json" | "evaluation.json" | "import.json" | "distributions.csv" => {
            Kind::Replaced
        }
        "result.json" => Kind::Result,
        stack if stack.starts_with("stack-") && stack.ends_with(".txt") => Kind::Replaced,
        _ => return None,
    })
}

/// Among files of one kind: what the others count on comes first.
fn place(file: &Path) -> usize {
    let order = ["run.json", "metrics.csv", "", "events.jsonl", "attempts.jsonl"];
    let known = order.iter().position(|name| Path::new(name) == file);
    known.unwrap_or(2)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Entry {
    File(u64),
    Folder,
    /// A link, a pipe or a device.
    Other,
}

/// What lies in a folder, links not followed; nothing where it vanished.
fn entries(folder: &Path) -> io::Result<Vec<(String, Entry)>> {
    let found = match fs::read_dir(folder) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(at(folder, error)),
    };
    let entry = |entry: fs::DirEntry| {
        let known = entry.metadata().ok()?;
        let kind = match known.file_type() {
            kind if kind.is_dir() => Entry::Folder,
            kind if kind.is_file() => Entry::File(known.len()),
            _ => Entry::Other,
        };
        Some((entry.file_name().to_string_lossy().into_owned(), kind))
    };
    Ok(found.flatten().filter_map(entry).collect())
}

/// Bytes of a file or a checkpoint there, from this place on.
pub fn size(there: &RunDir, file: &Path, from: u64) -> u64 {
    let path = there.path().join(file);
    let length = |path: &Path| fs::symlink_metadata(path).map_or(0, |known| known.len());
    match path.is_dir() {
        true => CHECKPOINT.iter().map(|file| length(&path.join(file))).sum(),
        false => length(&path).saturating_sub(from),
    }
}

/// Checkpoints of which a part was deleted while they were copied are none.
pub fn remove_partial_checkpoints(run: &RunDir) {
    let Ok(entries) = fs::read_dir(run.checkpoints()) else { return };
    for entry in entries.flatten() {
        if !CHECKPOINT.iter().all(|file| entry.path().join(file).is_file()) {
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}
