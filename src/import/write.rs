//! A foreign run as a run directory: made once, and brought up to date by every later import of its source.

mod arriving;
mod samples;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::foreign::Foreign;
use super::names;
use super::rows::Table;
use crate::experiment::settings::{Queue, Settings};
use crate::run_dir::imported::{ImportState, Imported, SourceFile};
use crate::run_dir::number::spelled;
use crate::run_dir::records::RunRecord;
use crate::run_dir::write::{self, Durability, at, replace_json};
use crate::run_dir::{PROTOCOL, RunDir, Workspace, lock, read, scan};

pub use arriving::{Aim, Arriving, arriving};

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    New,
    /// So many rows were added.
    Grown(u64),
    /// Rows that were there have changed: a step was logged again.
    Rewritten,
    /// Nothing came since the last import.
    Same,
    /// The same files were imported from another place, as this run.
    Copy(RunDir),
    /// Nothing was logged yet, so there is no run.
    Empty,
}

#[derive(Debug)]
pub struct Brought {
    pub dir: RunDir,
    pub what: What,
    pub tool: &'static str,
    pub state: ImportState,
    pub metrics: Vec<String>,
}

/// Where imported runs of a workspace come from.
#[derive(Debug, Default)]
pub struct KnownRuns {
    by_source: BTreeMap<(String, String), RunDir>,
    /// By the part and the hashes of all files.
    by_content: BTreeMap<(String, Vec<String>), RunDir>,
    /// Files that hold several runs are hashed once: by their path, with the length and time they had.
    hashes: BTreeMap<PathBuf, ((u64, Option<SystemTime>), SourceFile)>,
}

impl KnownRuns {
    pub fn of(workspace: &Workspace) -> KnownRuns {
        let mut known = KnownRuns::default();
        for dir in scan::runs(workspace).into_iter().filter(scan::is_imported) {
            let Some(imported) = read::run_record(&dir).ok().and_then(|record| record.imported) else {
                continue;
            };
            if let Ok(state) = read::json::<ImportState>(&dir.import_json()) {
                known.by_content.insert((imported.part.clone(), content(&state.files)), dir.clone());
            }
            known.by_source.insert((imported.source, imported.part), dir);
        }
        known
    }
}

impl KnownRuns {
    /// The run that comes from there.
    pub fn at(&self, source: &Path, part: &str) -> Option<&RunDir> {
        self.by_source.get(&(source.to_string_lossy().into_owned(), part.to_owned()))
    }
}

/// The hashes of all files that hold anything.
fn content(files: &BTreeMap<String, SourceFile>) -> Vec<String> {
    let mut hashes: Vec<String> =
        files.values().filter(|file| file.bytes > 0).map(|file| file.blake3.clone()).collect();
    hashes.sort();
    hashes
}

/// Whether anything is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Write,
    DryRun,
}

/// Brings a run up to date with what was read, or makes it. `held` is its lock, where the caller has it already.
///
/// # Errors
/// The disk says so; or another import is at the run at this moment.
pub fn bring(
    workspace: &Workspace,
    arriving: Arriving,
    known: &mut KnownRuns,
    held: Option<&File>,
    mode: Mode,
) -> io::Result<Brought> {
    let Arriving { mut foreign, source, experiment, name, varied, tags } = arriving;
    let files = hashed(&foreign.files, &source, known)?;
    let table = std::mem::take(&mut foreign.rows).table();
    let spread = std::mem::take(&mut foreign.distributions).table();
    foreign.warnings.extend(table.warnings.iter().cloned());
    foreign.warnings.extend(spread.warnings.iter().map(|said| format!("of its histograms: {said}")));
    let key = (source.to_string_lossy().into_owned(), foreign.part.clone());
    let metrics = table.metrics();
    let mut state = ImportState {
        time: scan::now(),
        rows: 0,
        overtaken: table.overtaken,
        metric: names::judged_by(&metrics).cloned().unwrap_or_default(),
        newest: foreign.newest,
        has_ended: foreign.has_ended,
        warnings: std::mem::take(&mut foreign.warnings),
        files,
    };
    let brought = |dir: RunDir, what: What, state: ImportState| {
        Ok(Brought { dir, what, tool: foreign.tool, state, metrics: metrics.clone() })
    };
    if let Some(dir) = known.by_source.get(&key).filter(|dir| dir.path().is_dir()) {
        let dir = dir.clone();
        let _lock = match held {
            Some(_) => None,
            None if mode == Mode::DryRun => None,
            None => Some(lock::try_lock(&dir.alive_lock())?.ok_or_else(|| followed(&dir))?),
        };
        let what = update(&dir, (&table, &spread), &foreign, &mut state, mode)?;
        return brought(dir, what, state);
    }
    if metrics.is_empty()
        && spread.metrics().is_empty()
        && foreign.texts.is_empty()
        && foreign.images.is_empty()
        && foreign.settings.is_empty()
    {
        return brought(workspace.run(&experiment, &name), What::Empty, state);
    }
    let copy = (foreign.part.clone(), content(&state.files));
    if let Some(other) = known.by_content.get(&copy).filter(|dir| dir.path().is_dir()) {
        return brought(other.clone(), What::Copy(other.clone()), state);
    }
    let hash =
        blake3::derive_key("overnight imported run, protocol 1", format!("{}\n{}", key.0, key.1).as_bytes());
    let hash = blake3::Hash::from(hash).to_hex().to_string();
    let run = format!("{name}-{}", &hash[..8]);
    let dir = workspace.run(&experiment, &run);
    let record = RunRecord {
        protocol: PROTOCOL,
        experiment,
        run,
        number: next_number(workspace, &dir.experiment()),
        hash,
        created: foreign.started.unwrap_or(state.time),
        description: foreign.description.clone(),
        tags,
        notes: foreign.notes.clone(),
        base: String::new(),
        settings: Settings::absent(),
        imported: Some(Box::new(Imported {
            tool: foreign.tool.to_owned(),
            source: key.0.clone(),
            part: key.1.clone(),
            time: state.time,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            settings: foreign.settings.clone(),
        })),
        varied,
        log_uniform: Vec::new(),
        origins: BTreeMap::new(),
        queue: Queue::default(),
        alerts: Vec::new(),
        budgets: Vec::new(),
        steps: 0,
        steps_per_epoch: 0,
    };
    let (csv, rows) = csv(&table);
    state.rows = rows;
    if mode == Mode::Write {
        create(&dir, &record, &csv, (&spread, &foreign), &mut state)?;
        known.by_source.insert(key, dir.clone());
        known.by_content.insert(copy, dir.clone());
    }
    brought(dir, What::New, state)
}

fn followed(dir: &RunDir) -> io::Error {
    let message =
        format!("{}/{} is being written by another import (it ends at Ctrl-C)", dir.experiment(), dir.name());
    io::Error::new(io::ErrorKind::WouldBlock, message)
}

/// Every file of the source by its path below it, hashed before it is read again: what is added meanwhile is
/// found the next time.
fn hashed(
    files: &[PathBuf],
    source: &Path,
    known: &mut KnownRuns,
) -> io::Result<BTreeMap<String, SourceFile>> {
    let mut hashed = BTreeMap::new();
    for path in files {
        let mut open = read::open(path)?;
        let metadata = open.metadata()?;
        let stamp = (metadata.len(), metadata.modified().ok());
        let file = match known.hashes.get(path) {
            Some((known, file)) if *known == stamp => file.clone(),
            _ => {
                let mut hasher = blake3::Hasher::new();
                let bytes = io::copy(&mut open, &mut hasher).map_err(|error| at(path, error))?;
                SourceFile { bytes, blake3: hasher.finalize().to_hex().to_string() }
            }
        };
        known.hashes.insert(path.clone(), (stamp, file.clone()));
        let whole = fs::canonicalize(path)?;
        let below = whole.strip_prefix(source).unwrap_or(&whole).to_string_lossy().into_owned();
        hashed.insert(below, file);
    }
    Ok(hashed)
}

/// The table as our `metrics.csv`, and how many rows it has.
fn csv(table: &Table) -> (Vec<u8>, u64) {
    let mut rows = 0;
    let mut csv = table.columns().join(",").into_bytes();
    csv.push(b'\n');
    let all: Result<(), std::convert::Infallible> = table.each_row(|row| {
        rows += 1;
        for (place, value) in row.iter().enumerate() {
            if place > 0 {
                csv.push(b',');
            }
            if let Some(value) = value {
                csv.extend(spelled(*value).as_bytes());
            }
        }
        csv.push(b'\n');
        Ok(())
    });
    match all {
        Ok(()) => (csv, rows),
    }
}

fn create(
    dir: &RunDir,
    record: &RunRecord,
    csv: &[u8],
    (spread, foreign): (&Table, &Foreign),
    state: &mut ImportState,
) -> io::Result<()> {
    let experiment = dir.path().parent().unwrap_or(Path::new("."));
    fs::create_dir_all(experiment).map_err(|error| at(experiment, error))?;
    let building = tempfile::Builder::new()
        .prefix(".new-")
        .tempdir_in(experiment)
        .map_err(|error| at(experiment, error))?;
    let new = RunDir::new(building.path());
    replace_json(&new.run_json(), record, Durability::Synced)?;
    write::replace(&new.metrics(), csv, Durability::Rebuildable)?;
    bring_distributions(&new, spread)?;
    samples::bring(&new, foreign, state)?;
    replace_json(&new.import_json(), state, Durability::Synced)?;
    fs::set_permissions(building.path(), fs::Permissions::from_mode(0o755))?;
    fs::rename(building.path(), dir.path()).map_err(|error| at(dir.path(), error))?;
    drop(building.keep());
    write::sync_folder(experiment)
}

/// Replaces `distributions.csv` where it says something else, and makes none where no histogram was logged.
fn bring_distributions(dir: &RunDir, spread: &Table) -> io::Result<()> {
    let path = dir.distributions();
    if spread.metrics().is_empty() {
        return Ok(());
    }
    let (csv, _) = csv(spread);
    if length_of_prefix(&path, &csv)? == Some(csv.len()) {
        return Ok(());
    }
    write::replace(&path, &csv, Durability::Rebuildable)
}

/// Brings a run that is there up to date; nothing is touched where nothing came.
fn update(
    dir: &RunDir,
    (table, spread): (&Table, &Table),
    foreign: &Foreign,
    state: &mut ImportState,
    mode: Mode,
) -> io::Result<What> {
    let before: ImportState = read::json_if_there(&dir.import_json()).ok().flatten().unwrap_or_default();
    let (csv, rows) = csv(table);
    state.rows = rows;
    let path = dir.metrics();
    let old = length_of_prefix(&path, &csv)?;
    let what = match old {
        Some(length) if length == csv.len() => What::Same,
        Some(length) if length > 0 => {
            let added = csv[length..].iter().filter(|byte| **byte == b'\n').count() as u64;
            if mode == Mode::Write {
                let mut file =
                    fs::OpenOptions::new().append(true).open(&path).map_err(|error| at(&path, error))?;
                io::Write::write_all(&mut file, &csv[length..]).map_err(|error| at(&path, error))?;
            }
            What::Grown(added)
        }
        _ => {
            if mode == Mode::Write {
                write::replace(&path, &csv, Durability::Rebuildable)?;
            }
            if state.rows > before.rows { What::Grown(state.rows - before.rows) } else { What::Rewritten }
        }
    };
    if mode == Mode::Write {
        bring_distributions(dir, spread)?;
        samples::bring(dir, foreign, state)?;
        let told = ImportState { time: before.time, ..state.clone() };
        if told != before {
            replace_json(&dir.import_json(), state, Durability::Synced)?;
        }
    }
    Ok(what)
}

/// The length of the file, if it is a beginning of `bytes`.
fn length_of_prefix(path: &Path, bytes: &[u8]) -> io::Result<Option<usize>> {
    let mut file = match read::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at(path, error)),
    };
    let mut piece = vec![0; 1 << 18];
    let mut length = 0;
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            return Ok(Some(length));
        }
        if bytes.get(length..length + read) != Some(&piece[..read]) {
            return Ok(None);
        }
        length += read;
    }
}

fn next_number(workspace: &Workspace, experiment: &str) -> u32 {
    let numbers =
        scan::runs_of(workspace, experiment).into_iter().filter_map(|dir| read::run_record(&dir).ok());
    numbers.map(|record| record.number.saturating_add(1)).max().unwrap_or(0)
}

#[cfg(test)]
mod tests;
