//! Runs of other programs, read from what they wrote and set beside ours.
//!
//! Each format is a file below, which takes the files that are its own ([`files::Files`]) and gives what it read
//! as one type ([`foreign::Foreign`]); one writer makes run directories of it ([`write`]). What a file is, its
//! content says, and its name only where a folder holds many.

mod crc;
mod event;
pub mod files;
pub mod follow;
pub mod foreign;
mod histogram;
mod hydra;
mod lightning;
mod mlflow;
mod names;
mod picture;
mod protobuf;
mod python_json;
pub mod rows;
mod sacred;
pub mod session;
mod sqlite;
mod table;
mod tensorboard;
mod text_logs;
pub(crate) mod tfrecord;
mod trainer_state;
mod wandb_csv;
mod wandb_log;
mod wandb_offline;
pub mod write;
mod yaml;

use std::io;
use std::path::{Path, PathBuf};

use files::{Files, Reading};
use foreign::{Foreign, Wish};

/// Takes the files of a format from those that are left.
type Claim = fn(&mut Files) -> Vec<Reading>;

/// The formats, those that know more of a run first: what one takes, the next do not see.
const FORMATS: &[Claim] = &[
    mlflow::claim,
    mlflow::database::claim,
    wandb_offline::claim,
    sacred::claim,
    trainer_state::claim,
    lightning::claim,
    tensorboard::claim,
    text_logs::claim,
    wandb_csv::claim,
    table::claim,
];

/// Why nothing is imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("{path}: {error}")]
    Io { path: PathBuf, error: io::Error },
    #[error(
        "{0}: nothing here is known (read are TensorBoard's event files, Lightning's logs, CSV and JSON lines \
         with a step column, MLflow's mlruns and mlflow.db, W&B's offline folders and exported CSV, Sacred's file storage, \
         Hydra's jobs, the logs of nanoGPT and llm.c, and trainer_state.json; --step \
         names the column of steps)"
    )]
    Nothing(PathBuf),
    #[error("{path}: there is no column {column} (--columns names those of the source: {known})")]
    NoColumn { path: PathBuf, column: String, known: String },
    #[error("{path}: an archive is not read: unpack it ({command}), and import the folder")]
    Packed { path: PathBuf, command: &'static str },
}

/// What was read at one place of a source.
#[derive(Debug)]
pub struct Found {
    pub place: PathBuf,
    pub runs: Result<Vec<Foreign>, io::Error>,
}

/// All that was found at a source.
#[derive(Debug)]
pub struct Source {
    pub found: Vec<Found>,
    /// Files that no format knows.
    pub unknown: Vec<PathBuf>,
    /// What was left out before anything was read, as sentences.
    pub said: Vec<String>,
}

/// Reads all that is known of a source, each place of it as `wish` says.
///
/// # Errors
/// It is not there, or nothing in it is known.
pub fn read(path: &Path, wish: &dyn Fn(&Path) -> Wish) -> Result<Source, ImportError> {
    if let Some(command) = files::unpacking(&files::head(path)) {
        return Err(ImportError::Packed { path: path.to_owned(), command });
    }
    let mut files = Files::of(path).map_err(|error| ImportError::Io { path: path.to_owned(), error })?;
    let jobs = hydra::Jobs::of(&mut files);
    let mut readings: Vec<Reading> = FORMATS.iter().flat_map(|claim| claim(&mut files)).collect();
    readings.extend(jobs.without(&readings));
    if readings.is_empty() && files.said.is_empty() {
        return Err(ImportError::Nothing(path.to_owned()));
    }
    let read = |reading: &Reading| {
        let wish = wish(&reading.place);
        let mut runs = (reading.read)(reading, &wish)?;
        jobs.dress(&reading.place, &mut runs)?;
        runs.iter_mut().for_each(|run| run.wish.clone_from(&wish));
        Ok(runs)
    };
    let found = |reading: &Reading| Found { place: reading.place.clone(), runs: read(reading) };
    Ok(Source { found: readings.iter().map(found).collect(), unknown: files.left, said: files.said })
}
