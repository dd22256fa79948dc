//! Reading what others write: whole JSON files, and JSON lines of which some may be torn or foreign.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::records::RunRecord;
use super::{PROTOCOL, RunDir};

/// Why a file of a run directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("{path}: {error}")]
    Io { path: PathBuf, error: io::Error },
    #[error("{path}: line {line}, column {column}: {message} (written by another program, or damaged)")]
    Json { path: PathBuf, line: usize, column: usize, message: String },
    #[error("{path} is empty (a copy that broke off?)")]
    Empty { path: PathBuf },
    #[error(
        "{path} has protocol {found}, this program speaks {PROTOCOL} (use the version of overnight that made the run, or a newer one)"
    )]
    Protocol { path: PathBuf, found: u64 },
}

impl ReadError {
    /// Whether the file is simply not there.
    pub fn is_missing(&self) -> bool {
        matches!(self, ReadError::Io { error, .. } if error.kind() == io::ErrorKind::NotFound)
    }
}

/// For opening without waiting for the other end, should a pipe lie there. Nothing to a file.
pub const NOT_WAITING: i32 = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();

/// Opens a file for reading. A folder, a pipe or a device in its place is refused: a pipe would be waited
/// for, and a device read, for ever.
///
/// # Errors
/// There is no file that may be read, without the path.
pub fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(NOT_WAITING).open(path)?;
    if !file.metadata()?.is_file() {
        let message = "not a file (a folder, a pipe or a device lies there: remove it)";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    Ok(file)
}

/// Reads a whole file, opened by [`open`].
///
/// # Errors
/// As [`open`], or it cannot be read to its end.
pub fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads a whole JSON file.
///
/// # Errors
/// The file cannot be read, is empty, or is not what `T` says, each with the path and the place.
pub fn json<T: DeserializeOwned>(path: &Path) -> Result<T, ReadError> {
    let bytes = some_bytes(path)?;
    serde_json::from_slice(&bytes).map_err(|error| json_error(path, &error))
}

/// Reads a JSON file that may be missing; anything else wrong with it is an error.
pub fn json_if_there<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ReadError> {
    match json(path) {
        Ok(record) => Ok(Some(record)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads `run.json`, the protocol's version first: the settings of a newer one may read otherwise.
pub fn run_record(run: &RunDir) -> Result<RunRecord, ReadError> {
    #[derive(serde::Deserialize)]
    struct Versioned {
        protocol: u64,
    }
    let path = run.run_json();
    let bytes = some_bytes(&path)?;
    let versioned: Versioned = serde_json::from_slice(&bytes).map_err(|error| json_error(&path, &error))?;
    if versioned.protocol != u64::from(PROTOCOL) {
        return Err(ReadError::Protocol { path, found: versioned.protocol });
    }
    let record: RunRecord = serde_json::from_slice(&bytes).map_err(|error| json_error(&path, &error))?;
    if record.settings.is_absent() != record.imported.is_some() {
        let message = "settings stand in runs of ours, and in no imported one".to_owned();
        return Err(ReadError::Json { path, line: 1, column: 1, message });
    }
    Ok(record)
}

/// The lines of a JSON-lines file, and those that could not be read.
#[derive(Debug)]
pub struct Lines<T> {
    pub records: Vec<T>,
    /// Line number (from 1) and what is wrong with it. A torn last line is not among them.
    pub bad: Vec<(usize, String)>,
}

/// Reads JSON lines. A missing file has none; a last line without its newline is still being written.
///
/// # Errors
/// The file is there and cannot be read.
pub fn lines<T: DeserializeOwned>(path: &Path) -> Result<Lines<T>, ReadError> {
    let mut lines = Lines { records: Vec::new(), bad: Vec::new() };
    let bytes = match bytes(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(lines),
        Err(error) => return Err(ReadError::Io { path: path.to_owned(), error }),
    };
    for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let Some(line) = line.strip_suffix(b"\n") else { break };
        if line.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice(line) {
            Ok(record) => lines.records.push(record),
            Err(error) => lines.bad.push((index + 1, error.to_string())),
        }
    }
    Ok(lines)
}

/// The last `bytes` of a text file at most, from the beginning of a line, with what is not UTF-8 replaced.
/// A missing file is empty.
pub fn tail(path: &Path, bytes: u64) -> String {
    use std::io::{Seek, SeekFrom};
    let read = || -> io::Result<Vec<u8>> {
        let mut file = open(path)?;
        let length = file.metadata()?.len();
        let from = length.saturating_sub(bytes);
        file.seek(SeekFrom::Start(from))?;
        let mut end = Vec::new();
        file.take(bytes).read_to_end(&mut end)?;
        if from > 0
            && let Some(newline) = memchr::memchr(b'\n', &end)
        {
            end.drain(..=newline);
        }
        Ok(end)
    };
    String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
}

/// The last `count` lines of a text file that say anything, at most; none of a missing file.
pub fn last_lines(path: &Path, count: usize) -> Vec<String> {
    const BYTES: u64 = 8192;
    let text = tail(path, BYTES);
    let mut lines: Vec<String> =
        text.lines().rev().filter(|line| !line.trim().is_empty()).take(count).map(str::to_owned).collect();
    lines.reverse();
    lines
}

fn some_bytes(path: &Path) -> Result<Vec<u8>, ReadError> {
    let bytes = bytes(path).map_err(|error| ReadError::Io { path: path.to_owned(), error })?;
    if bytes.trim_ascii().is_empty() {
        return Err(ReadError::Empty { path: path.to_owned() });
    }
    Ok(bytes)
}

fn json_error(path: &Path, error: &serde_json::Error) -> ReadError {
    ReadError::Json {
        path: path.to_owned(),
        line: error.line(),
        column: error.column(),
        message: error.to_string().split(" at line ").next().unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn an_empty_file_and_a_newer_protocol_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::new(folder.path());
        assert!(run_record(&run).unwrap_err().is_missing());
        fs::write(run.run_json(), "").unwrap();
        assert!(matches!(run_record(&run), Err(ReadError::Empty { .. })));
        fs::write(run.run_json(), "{\"protocol\": 99, \"settings\": \"of another kind\"}").unwrap();
        assert!(matches!(run_record(&run), Err(ReadError::Protocol { found: 99, .. })));
        fs::write(run.run_json(), "{\"protocol\": 1,\n oops").unwrap();
        assert!(matches!(run_record(&run), Err(ReadError::Json { line: 2, .. })));
    }

    #[test]
    fn what_is_no_file_is_refused_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("progress.json");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let device = folder.path().join("run.json");
        std::os::unix::fs::symlink("/dev/zero", &device).unwrap();
        for path in [pipe.as_path(), device.as_path(), folder.path()] {
            let error = json_if_there::<u32>(path).unwrap_err().to_string();
            assert!(error.contains("not a file") && error.contains(&path.display().to_string()), "{error}");
            assert!(lines::<u32>(path).is_err());
            assert_eq!(tail(path, 10), "");
            assert!(!crate::run_dir::lock::is_held(path));
        }
    }

    #[test]
    fn bad_lines_are_counted_and_a_torn_one_waits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        fs::write(&path, "1\nnot json\n\n2\n3").unwrap();
        let lines: Lines<u32> = lines(&path).unwrap();
        assert_eq!(lines.records, [1, 2]);
        assert_eq!(lines.bad.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn a_tail_begins_with_a_whole_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.log");
        fs::write(&path, "first\nsecond\nthird\n").unwrap();
        assert_eq!(tail(&path, 9), "third\n");
        assert_eq!(tail(&path, 1000), "first\nsecond\nthird\n");
        assert_eq!(tail(&folder.path().join("missing"), 10), "");
        fs::write(&path, "first\nsecond\n\nthird\n\n").unwrap();
        assert_eq!(last_lines(&path, 2), ["second", "third"]);
    }
}
