//! A foreign run as a run directory: made once, and brought up to date by every later import of its source.

mod arriving;
mod csv;
mod samples;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::foreign::{Foreign, Wish};
use super::names;
use super::rows::Table;
use crate::experiment::settings::{Queue, Settings};
use crate::run_dir::imported::{ImportState, Imported, SourceFile};
use crate::run_dir::metrics::stream::Rows;
use crate::run_dir::records::RunRecord;
use crate::run_dir::write::{self, Durability, at, replace_json};
use crate::run_dir::{PROTOCOL, RunDir, Workspace, lock, read, scan};

use csv::{Alike, Csv};

pub use arriving::{Aim, Arriving, arriving};

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    New,
    /// So many rows were added.
    Grown(u64),
    /// So many values came to rows that were there, and no row was added.
    Filled(u64),
    /// Rows that were there have changed: a step was logged again.
    Rewritten,
    /// Other columns are taken than before.
    Columns,
    /// None of the columns that were asked for is in it, so that it stays as it was.
    Kept,
    /// Its source holds only a beginning of what was imported before, as where a file was cut off: what is
    /// here stays.
    Shorter,
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
    /// How each source was read, by its path.
    wishes: BTreeMap<String, Wish>,
    /// Files that hold several runs are hashed once: by their path, with the length and time they had.
    hashes: BTreeMap<PathBuf, ((u64, Option<SystemTime>), SourceFile)>,
    numbers: Numbers,
}

/// The last number of each experiment whose runs were looked through.
#[derive(Debug, Default)]
struct Numbers(BTreeMap<String, Option<u32>>);

impl Numbers {
    /// The number of a new run. The runs that are there are looked through once, not again for each that comes.
    fn next(&mut self, experiment: &str, last: impl FnOnce() -> Option<u32>) -> u32 {
        let known = self.0.entry(experiment.to_owned()).or_insert_with(last);
        let next = known.map_or(0, |last| last.saturating_add(1));
        *known = Some(next);
        next
    }
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
                // Of several runs of one source some may have none of those columns.
                if state.wish != Wish::default() {
                    known.wishes.insert(imported.source.clone(), state.wish);
                }
            }
            known.by_source.insert((imported.source, imported.part), dir);
        }
        known
    }
}

impl KnownRuns {
    /// How the source was read the last time.
    pub fn wish(&self, source: &Path) -> Option<&Wish> {
        self.wishes.get(fs::canonicalize(source).ok()?.to_string_lossy().as_ref())
    }

    /// Others may queue runs between two rounds.
    pub fn begin_round(&mut self) {
        self.numbers = Numbers::default();
    }

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
        step: table.last_step().unwrap_or(0),
        best: names::judged_by(&metrics).and_then(|metric| table.best(metric)),
        loss: names::trained_by(&metrics).and_then(|metric| table.last(metric)),
        metric: names::judged_by(&metrics).cloned().unwrap_or_default(),
        // What stands around values, as the beginning of a file, may be of another time than they are.
        newest: table.newest().or(foreign.newest),
        written: written(&foreign.files),
        has_ended: foreign.has_ended,
        wish: foreign.wish.clone(),
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
        number: known.numbers.next(&dir.experiment(), || last_number(workspace, &dir.experiment())),
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
    state.rows = table.count_rows();
    if mode == Mode::Write {
        create(&dir, &record, (&table, &spread), &foreign, &mut state)?;
        known.by_source.insert(key, dir.clone());
        known.by_content.insert(copy, dir.clone());
    }
    brought(dir, What::New, state)
}

/// When the last of the files was written to, in Unix seconds.
fn written(files: &[PathBuf]) -> Option<f64> {
    let times = files.iter().filter_map(|path| fs::metadata(path).ok()?.modified().ok());
    let since = times.max()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(since.as_secs_f64())
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

fn create(
    dir: &RunDir,
    record: &RunRecord,
    (table, spread): (&Table, &Table),
    foreign: &Foreign,
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
    write::replace_by(&new.metrics(), &mut Csv::of(table), Durability::Rebuildable)?;
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
    if csv::compare(&path, spread)? == Alike::Same {
        return Ok(());
    }
    write::replace_by(&path, &mut Csv::of(spread), Durability::Rebuildable)
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
    if table.metrics().is_empty() && before.rows > 0 && table.has_others {
        *state = before;
        return Ok(What::Kept);
    }
    let (path, rows) = (dir.metrics(), table.count_rows());
    let alike = csv::compare(&path, table)?;
    if rows < before.rows && (table.metrics().is_empty() || alike == Alike::Longer) {
        *state = ImportState { warnings: std::mem::take(&mut state.warnings), ..before };
        return Ok(What::Shorter);
    }
    state.rows = rows;
    let what = match alike {
        Alike::Same => What::Same,
        Alike::Beginning(length) if length > 0 => {
            let mut file = match mode {
                Mode::Write => {
                    Some(fs::OpenOptions::new().append(true).open(&path).map_err(|error| at(&path, error))?)
                }
                Mode::DryRun => None,
            };
            What::Grown(csv::append(table, length, file.as_mut()).map_err(|error| at(&path, error))?)
        }
        _ => {
            let (old, new) =
                (Rows::open(&path).map(|rows| rows.columns).unwrap_or_default(), table.columns());
            // One that appeared with new rows is no more than growth.
            let differs = state.rows <= before.rows && !old.is_empty() && old != new;
            let is_narrower = old.iter().any(|name| !new.contains(name));
            let filled = csv::filled(&path, table).map_err(|error| at(&path, error))?;
            if mode == Mode::Write {
                write::replace_by(&path, &mut Csv::of(table), Durability::Rebuildable)?;
            }
            match filled {
                _ if is_narrower || state.wish != before.wish => What::Columns,
                Some(came) if came > 0 => What::Filled(came),
                _ if differs => What::Columns,
                _ if state.rows > before.rows => What::Grown(state.rows - before.rows),
                _ => What::Rewritten,
            }
        }
    };
    if mode == Mode::Write {
        bring_distributions(dir, spread)?;
        samples::bring(dir, foreign, state)?;
        // A file that was touched and says the same is no reason to write.
        let told = ImportState { time: before.time, written: before.written, ..state.clone() };
        if told != before {
            replace_json(&dir.import_json(), state, Durability::Synced)?;
        }
    }
    Ok(what)
}

/// The greatest number of the runs of an experiment.
fn last_number(workspace: &Workspace, experiment: &str) -> Option<u32> {
    let records =
        scan::runs_of(workspace, experiment).into_iter().filter_map(|dir| read::run_record(&dir).ok());
    records.map(|record| record.number).max()
}

#[cfg(test)]
mod tests;
