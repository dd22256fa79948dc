//! Reading what others write: whole JSON files, and JSON lines of which some may be torn or foreign.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
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

/// Bytes that a record may have: some hundred times what the largest of ours has.
pub const MOST_OF_RECORD: u64 = 32 << 20;
/// The same of a line, of a table or of records.
pub const MOST_OF_LINE: u64 = 4 << 20;
/// Bytes of lines that are read; of longer files the end, where what counts most stands.
const MOST_OF_LINES: u64 = 64 << 20;

/// Reads a whole file, opened by [`open`]. For data that a person chose; a file of a run may be of any
/// length, so records are read by [`bounded`].
///
/// # Errors
/// As [`open`], or it cannot be read to its end.
pub fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads a whole file that has `most` bytes at most.
///
/// # Errors
/// As [`bytes`], or there are more: nothing is then read.
pub fn bounded(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let too_long = |length: u64| {
        let (length, most) = (crate::say::bytes(length), crate::say::bytes(most));
        let message = format!("has {length}, and {most} at most are read (damaged, or of another kind?)");
        io::Error::new(io::ErrorKind::FileTooLarge, message)
    };
    let length = file.metadata()?.len();
    if length > most {
        return Err(too_long(length));
    }
    let mut bytes = Vec::with_capacity(length as usize);
    // It may have grown since.
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(too_long(bytes.len() as u64));
    }
    Ok(bytes)
}

/// Reads a whole JSON file.
///
/// # Errors
/// The file is too large for a record, cannot be read, is empty, or is not what `T` says, each with the path and the place.
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
    /// Why the beginning of the file was not read.
    pub left_out: Option<String>,
}

/// Reads JSON lines. A missing file has none; a last line without its newline is still being written. Of a
/// file longer than anybody writes only the end is read, counted from line 1 there.
///
/// # Errors
/// The file is there and cannot be read.
pub fn lines<T: DeserializeOwned>(path: &Path) -> Result<Lines<T>, ReadError> {
    let mut lines = Lines { records: Vec::new(), bad: Vec::new(), left_out: None };
    let error = |error| ReadError::Io { path: path.to_owned(), error };
    let mut file = match open(path) {
        Ok(file) => file,
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(lines),
        Err(other) => return Err(error(other)),
    };
    let length = file.metadata().map_err(error)?.len();
    let left_out = length.saturating_sub(MOST_OF_LINES);
    file.seek(SeekFrom::Start(left_out)).map_err(error)?;
    let mut reader = BufReader::with_capacity(1 << 16, file.take(length - left_out));
    let mut line = Vec::new();
    if left_out > 0 {
        lines.left_out = Some(format!(
            "{}: its first {} are left out ({} at most are read)",
            path.display(),
            crate::say::bytes(left_out),
            crate::say::bytes(MOST_OF_LINES)
        ));
        next_line(&mut reader, &mut line).map_err(error)?;
    }
    let mut number = 0;
    loop {
        number += 1;
        match next_line(&mut reader, &mut line).map_err(error)? {
            Line::Whole if line.trim_ascii().is_empty() => {}
            Line::Whole => match serde_json::from_slice(&line) {
                Ok(record) => lines.records.push(record),
                Err(error) => lines.bad.push((number, error.to_string())),
            },
            Line::TooLong => {
                let most = crate::say::bytes(MOST_OF_LINE);
                lines.bad.push((number, format!("longer than {most}, and left out")));
            }
            Line::Torn => return Ok(lines),
        }
    }
}

enum Line {
    Whole,
    TooLong,
    /// The file ended before the newline came.
    Torn,
}

/// The next line without its newline. One that is too long is passed over.
fn next_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Line> {
    line.clear();
    reader.by_ref().take(MOST_OF_LINE).read_until(b'\n', line)?;
    if line.pop_if(|last| *last == b'\n').is_some() {
        return Ok(Line::Whole);
    }
    let is_torn = (line.len() as u64) < MOST_OF_LINE || reader.skip_until(b'\n')? == 0;
    Ok(if is_torn { Line::Torn } else { Line::TooLong })
}

/// The last `bytes` of a text file at most, from the beginning of a line, with what is not UTF-8 replaced.
/// A missing file is empty.
pub fn tail(path: &Path, bytes: u64) -> String {
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
    let bytes =
        bounded(path, MOST_OF_RECORD).map_err(|error| ReadError::Io { path: path.to_owned(), error })?;
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
        fs::write(&path, format!("{}\n{}\nlast\n", "a".repeat(100), "b".repeat(8180))).unwrap();
        assert_eq!(last_lines(&path, 9), ["b".repeat(8180), "last".to_owned()], "of its end alone");
    }

    #[test]
    fn of_a_file_longer_than_anybody_writes_the_whole_lines_at_its_end_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        sparse(&path, "1\n");
        let mut file = File::options().append(true).open(&path).unwrap();
        io::Write::write_all(&mut file, b"0\n2\n3\n").unwrap();
        let read = lines::<u32>(&path).unwrap();
        assert_eq!((read.records, read.bad.len()), (vec![2, 3], 0), "a line without its beginning is none");
        assert!(read.left_out.unwrap().contains("(64.0 MiB at most are read)"));
    }

    /// A file that says to be two gigabytes long and takes none of the disk.
    fn sparse(path: &Path, beginning: &str) {
        fs::write(path, beginning).unwrap();
        File::options().write(true).open(path).unwrap().set_len(2 << 30).unwrap();
    }

    #[test]
    fn a_file_of_two_gigabytes_is_refused_as_a_record_and_read_at_its_end_as_lines() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::new(folder.path());
        sparse(&run.run_json(), "{\"protocol\": 1}");
        let error = run_record(&run).unwrap_err().to_string();
        assert!(error.contains("run.json: has 2.0 GiB, and 32.0 MiB at most are read"), "{error}");
        sparse(&run.requests(), "{\"a\": 1}\n");
        let read = lines::<serde_json::Value>(&run.requests()).unwrap();
        assert!(read.records.is_empty() && read.left_out.unwrap().contains("its first 1.9 GiB are left out"));
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over_and_those_around_it_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let long = "x".repeat(MOST_OF_LINE as usize);
        let most = format!("\"{}\"", "x".repeat(MOST_OF_LINE as usize - 3));
        fs::write(&path, format!("1\n{long}\n2\n\n{most}\n3\n{long}")).unwrap();
        let read = lines::<serde_json::Value>(&path).unwrap();
        assert_eq!(read.records.len(), 4, "{:?}", read.bad);
        assert_eq!(read.bad, [(2, "longer than 4.0 MiB, and left out".to_owned())]);
        assert!(read.left_out.is_none());
    }

    #[test]
    fn json_that_is_nested_without_end_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.json");
        for open in ["[", "{\"a\":"] {
            fs::write(&path, open.repeat(1_000_000)).unwrap();
            assert!(matches!(json::<serde_json::Value>(&path), Err(ReadError::Json { .. })));
        }
    }
}
