//! `metrics.csv`: its columns, writing rows, cutting it on resume, and reading it while it grows.
//!
//! A row counts when its newline is there. An empty cell was not logged; `nan` and `inf` were.

mod cells;
pub mod stream;

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use cells::Cell;

use super::number::spelled;
use super::read::{self, ReadError};
use super::telemetry;
use super::write::at;
use crate::experiment::settings::{Settings, Task};

/// Every column that a run of these settings can fill, in order.
pub fn columns(settings: &Settings) -> Vec<&'static str> {
    let mut columns = vec!["step", "epoch", "time", "elapsed", "train/loss"];
    columns.extend(match settings.task() {
        Task::LanguageModel => &["val/loss", "val/perplexity", "val/bits_per_byte"][..],
        Task::ImageClassification => &["train/accuracy", "val/loss", "val/accuracy"][..],
    });
    columns.extend(["lr", "grad_norm"]);
    columns.push(match settings.task() {
        Task::LanguageModel => "tokens_per_second",
        Task::ImageClassification => "images_per_second",
    });
    columns
}

/// Appends rows to `metrics.csv`, each in one write.
#[derive(Debug)]
pub struct Writer {
    file: File,
    columns: usize,
    length: u64,
    line: String,
}

impl Writer {
    /// Begins the file with its header, or goes on after its first `keep` bytes and cuts the rest.
    ///
    /// # Errors
    /// The file cannot be written, or is shorter than `keep`, with the path.
    pub fn open(path: &Path, columns: &[&str], keep: Option<u64>) -> io::Result<Writer> {
        let open = || -> io::Result<Writer> {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .custom_flags(read::NOT_WAITING)
                .open(path)?;
            let length = match keep {
                Some(keep) if file.metadata()?.len() < keep => {
                    let message = format!("shorter than the {keep} bytes that the checkpoint knows of");
                    return Err(io::Error::new(io::ErrorKind::InvalidData, message));
                }
                Some(keep) => keep,
                None => 0,
            };
            file.set_len(length)?;
            file.seek(SeekFrom::Start(length))?;
            let mut writer = Writer { file, columns: columns.len(), length, line: String::new() };
            if length == 0 {
                writer.line = columns.join(",");
                writer.write_line()?;
            }
            Ok(writer)
        };
        open().map_err(|error| at(path, error))
    }

    /// Appends a row: one value a column, `None` for what was not logged.
    pub fn row(&mut self, values: &[Option<f64>]) -> io::Result<()> {
        assert_eq!(values.len(), self.columns, "a row has a cell for each column");
        self.line.clear();
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                self.line.push(',');
            }
            if let Some(value) = value {
                self.line.push_str(&spelled(*value));
            }
        }
        self.write_line()
    }

    fn write_line(&mut self) -> io::Result<()> {
        self.line.push('\n');
        self.file.write_all(self.line.as_bytes())?;
        self.length += self.line.len() as u64;
        Ok(())
    }

    /// Bytes that are in the file.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Makes what was written survive a power cut.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// What was read of a `metrics.csv`, and where to read on.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    pub columns: Vec<Column>,
    /// Good rows so far.
    pub rows: usize,
    /// Lines that could not be used: number (from 1) and why.
    pub bad: Vec<(u64, String)>,
    /// Bytes read, up to the last newline.
    consumed: u64,
    /// The last line of them. Rows hold their time, so another one in its place means that the file
    /// was cut and has grown again since.
    last_line: Vec<u8>,
    lines: u64,
    /// Bytes after those of a line that is longer than any of ours, which is passed over.
    passed: u64,
    /// Values in all columns.
    values: u64,
    /// Rows that came after as many values as are held.
    pub left_out: u64,
    /// Columns after as many as are held.
    pub columns_left_out: usize,
}

/// The cells of one column that were logged.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Column {
    pub name: String,
    /// The row of each value, ascending.
    pub rows: Vec<u32>,
    pub values: Vec<f64>,
    /// Row and text of each cell, in a column of words, which has no values.
    pub words: Vec<(u32, String)>,
    /// Whether it is such a column.
    pub holds_words: bool,
}

impl Column {
    pub fn last(&self) -> Option<f64> {
        self.values.last().copied()
    }

    /// The value in `row`, if one was logged there.
    pub fn in_row(&self, row: u32) -> Option<f64> {
        // Most columns are logged in every row, where the index is the row.
        if self.rows.get(row as usize) == Some(&row) {
            return self.values.get(row as usize).copied();
        }
        self.rows.binary_search(&row).ok().map(|index| self.values[index])
    }
}

/// Bytes that are read at once, so that a file of any length takes no more memory than its numbers.
const PIECE: u64 = 1 << 18;

/// Values of one file that are held: a million rows of twenty columns.
const MOST_VALUES: u64 = 20_000_000;
/// Columns that are held, and characters of their names.
const MOST_COLUMNS: usize = 20_000;
const MOST_OF_NAME: usize = 200;
/// Bad lines that are remembered.
const MOST_BAD: usize = 100;
/// Characters of a cell that a complaint repeats.
const MOST_OF_CELL: usize = 40;
/// Places for values that are made before there are any.
const RESERVED: usize = 1 << 24;

/// What reading on found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    Nothing,
    /// Rows were added.
    Rows,
    /// A resume cut the file. Everything was read again.
    Anew,
}

/// The names in a header line, which a program that is not ours may have quoted.
fn header(line: &[u8]) -> csv::ByteRecord {
    let mut names = csv::ByteRecord::new();
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(line);
    // Bytes in memory can be read, and one record has as many cells as it has.
    let _ = reader.read_byte_record(&mut names);
    names
}

impl Metrics {
    /// A table of this text.
    #[cfg(test)]
    pub fn of(text: &str) -> Metrics {
        let mut table = Metrics::default();
        table.extend(text.as_bytes());
        table
    }

    /// Reads a whole file. A missing file has no rows.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn read(path: &Path) -> Result<Metrics, ReadError> {
        let mut metrics = Metrics::default();
        metrics.read_on(path)?;
        Ok(metrics)
    }

    /// Reads what was added since the last call. A file that is shorter than what was read, or goes on
    /// from another row, was cut, and is read again from its start.
    pub fn read_on(&mut self, path: &Path) -> Result<Growth, ReadError> {
        let error = |error| ReadError::Io { path: path.to_owned(), error };
        let mut file = match read::open(path) {
            Ok(file) => file,
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => {
                let had_any = self.consumed > 0;
                *self = Metrics::default();
                return Ok(if had_any { Growth::Anew } else { Growth::Nothing });
            }
            Err(other) => return Err(error(other)),
        };
        let from = self.consumed - self.last_line.len() as u64;
        file.seek(SeekFrom::Start(from)).map_err(error)?;
        let mut known = Vec::with_capacity(self.last_line.len());
        Read::by_ref(&mut file).take(self.last_line.len() as u64).read_to_end(&mut known).map_err(error)?;
        let length = file.metadata().map_err(error)?.len();
        if known == self.last_line && length >= self.consumed + self.passed {
            file.seek(SeekFrom::Current(self.passed as i64)).map_err(error)?;
            let has_grown = self.read_rest(&mut file).map_err(error)?;
            return Ok(if has_grown { Growth::Rows } else { Growth::Nothing });
        }
        *self = Metrics::default();
        file.seek(SeekFrom::Start(0)).map_err(error)?;
        self.read_rest(&mut file).map_err(error)?;
        Ok(Growth::Anew)
    }

    /// Reads on from where the file stands, piece by piece; whether there was anything.
    fn read_rest(&mut self, file: &mut File) -> io::Result<bool> {
        let left = file.metadata()?.len().saturating_sub(file.stream_position()?);
        let piece = left.min(PIECE) + 1;
        let mut bytes = Vec::with_capacity(piece as usize);
        let mut has_grown = false;
        while Read::by_ref(file).take(piece).read_to_end(&mut bytes)? > 0 {
            if self.passed > 0 {
                has_grown |= self.pass_over(&mut bytes);
            }
            let rows = memchr::memrchr(b'\n', &bytes).map_or(0, |last| last + 1);
            let ahead = file.metadata()?.len().saturating_sub(file.stream_position()?);
            has_grown |= self.take(&bytes[..rows], ahead);
            bytes.drain(..rows);
            if bytes.len() as u64 > read::MOST_OF_LINE {
                self.passed = bytes.len() as u64;
                bytes.clear();
            }
        }
        Ok(has_grown)
    }

    /// Drops what belongs to a line that is too long; whether its end came.
    fn pass_over(&mut self, bytes: &mut Vec<u8>) -> bool {
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            self.passed += bytes.len() as u64;
            bytes.clear();
            return false;
        };
        self.consumed += self.passed + end as u64 + 1;
        self.passed = 0;
        self.lines += 1;
        let most = crate::say::bytes(read::MOST_OF_LINE);
        self.complain(self.lines, format!("longer than {most}, and left out"));
        // Nobody compares so long a line again: its end stands for it.
        self.last_line = bytes[..=end].to_vec();
        bytes.drain(..=end);
        true
    }

    /// Takes in more bytes of the file, up to their last newline; whether that was anything.
    pub fn extend(&mut self, bytes: &[u8]) -> bool {
        self.take(bytes, 0)
    }

    /// The same, with so many bytes to come.
    fn take(&mut self, bytes: &[u8], ahead: u64) -> bool {
        let Some(last) = memchr::memrchr(b'\n', bytes) else { return false };
        let whole = &bytes[..=last];
        let lines = memchr::memchr_iter(b'\n', whole).count();
        let later = (ahead as f64 / whole.len() as f64 * lines as f64) as usize;
        let ahead = ahead + whole.len() as u64;
        let mut start = 0;
        for (index, end) in memchr::memchr_iter(b'\n', whole).enumerate() {
            // No cell of ours is quoted: a quotation mark is damage of its own row and must not take
            // along the rows after it.
            let line = whole[start..end].strip_suffix(b"\r").unwrap_or(&whole[start..end]);
            start = end + 1;
            if line.is_empty() {
                continue;
            }
            if self.columns.is_empty() {
                let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
                let names = header(line);
                self.columns = names.iter().take(MOST_COLUMNS).map(column_named).collect();
                self.columns_left_out = names.len() - self.columns.len();
                continue;
            }
            // A file says how many rows may follow; how many can, its length and our room say.
            let columns = self.columns.len().max(1);
            let room = (ahead as usize / columns).min(RESERVED / columns).max(1);
            if let Err(reason) = self.take_row(line, (lines - index + later).min(room)) {
                self.complain(self.lines + index as u64 + 1, reason);
            }
        }
        let last_line = memchr::memrchr(b'\n', &whole[..last]).map_or(0, |before| before + 1);
        self.last_line = whole[last_line..].to_vec();
        self.consumed += whole.len() as u64;
        self.lines += lines as u64;
        true
    }

    /// Takes in a row whose cells all can be used; `expected` rows may follow it.
    fn take_row(&mut self, line: &[u8], expected: usize) -> Result<(), String> {
        let row = u32::try_from(self.rows).map_err(|_| "more rows than can be counted".to_owned())?;
        if self.values > MOST_VALUES {
            self.left_out += 1;
            return Ok(());
        }
        let (mut rest, mut goes_on, mut taken) = (line, true, 0);
        let mut wrong = None;
        for column in &mut self.columns {
            if !goes_on {
                break;
            }
            taken += 1;
            if column.holds_words {
                let end = memchr::memchr(b',', rest).unwrap_or(rest.len());
                if end > 0 {
                    let words = String::from_utf8_lossy(&rest[..end]);
                    column.words.push((row, words.chars().take(MOST_OF_NAME).collect()));
                    self.values += 8;
                }
                goes_on = end < rest.len();
                rest = rest.get(end + 1..).unwrap_or_default();
                continue;
            }
            let cell;
            (cell, goes_on) = cells::next(&mut rest);
            match cell {
                Cell::Empty => {}
                Cell::Number(value) => {
                    if column.values.is_empty() {
                        column.rows.reserve_exact(expected);
                        column.values.reserve_exact(expected);
                    }
                    column.rows.push(row);
                    column.values.push(value);
                    self.values += 1;
                }
                Cell::Words(cell) => {
                    let cell: String = String::from_utf8_lossy(cell).chars().take(MOST_OF_CELL).collect();
                    wrong
                        .get_or_insert_with(|| format!("{cell:?} in column {} is not a number", column.name));
                }
            }
        }
        if goes_on != (self.columns_left_out > 0) || taken < self.columns.len() {
            let cells = line.split(|byte| *byte == b',').count();
            wrong = Some(format!("{cells} cells where the header has {}", self.columns.len()));
        }
        if let Some(reason) = wrong {
            self.drop_row(row);
            return Err(reason);
        }
        self.rows += 1;
        Ok(())
    }

    fn complain(&mut self, line: u64, reason: String) {
        if self.bad.len() < MOST_BAD {
            self.bad.push((line, reason));
        }
    }

    /// Takes back the cells of a row of which one could not be used.
    fn drop_row(&mut self, row: u32) {
        for column in &mut self.columns {
            if column.rows.last() == Some(&row) {
                column.rows.pop();
                column.values.pop();
            }
            column.words.pop_if(|(of, _)| *of == row);
        }
    }

    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The points of `y` over `x`: rows in which both were logged.
    pub fn points<'a>(&'a self, x: &str, y: &str) -> impl Iterator<Item = (f64, f64)> + 'a {
        let columns = self.column(x).zip(self.column(y));
        columns.into_iter().flat_map(|(x, y)| {
            y.rows.iter().zip(&y.values).filter_map(move |(row, value)| Some((x.in_row(*row)?, *value)))
        })
    }

    /// The same in one list.
    pub fn paired(&self, x: &str, y: &str) -> Vec<(f64, f64)> {
        match self.column(x).zip(self.column(y)) {
            Some((x, y)) if x.rows == y.rows => {
                x.values.iter().copied().zip(y.values.iter().copied()).collect()
            }
            _ => self.points(x, y).collect(),
        }
    }

    /// The last line read, with its newline; the header where there are no rows.
    pub fn last_line(&self) -> &[u8] {
        &self.last_line
    }

    /// Bytes read so far.
    pub fn consumed(&self) -> u64 {
        self.consumed
    }
}

fn column_named(cell: &[u8]) -> Column {
    let name: String = String::from_utf8_lossy(cell).chars().take(MOST_OF_NAME).collect();
    Column { holds_words: telemetry::holds_words(&name), name, ..Column::default() }
}

#[cfg(test)]
mod tests;
