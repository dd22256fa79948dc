//! Rows of a table one after the other, in memory that no file can make grow: for tables of which a part
//! or an outline is wanted.

use std::io::{self, BufRead, BufReader};
use std::path::Path;

use super::cells::{self, Cell};
use super::header;
use crate::run_dir::read::{self, ReadError};

/// A line longer than this is no row of ours.
const LONGEST: usize = 1 << 20;

/// A table that is read from its beginning.
pub struct Rows {
    reader: BufReader<Box<dyn io::Read + Send>>,
    /// Names of the columns.
    pub columns: Vec<String>,
    line: Vec<u8>,
    /// Lines that could not be used.
    pub bad: u64,
}

impl Rows {
    /// Opens a table and reads its header. A missing one has no columns and no rows.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn open(path: &Path) -> Result<Rows, ReadError> {
        let failed = |error| ReadError::Io { path: path.to_owned(), error };
        let file: Box<dyn io::Read + Send> = match read::open(path) {
            Ok(file) => Box::new(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Box::new(io::empty()),
            Err(error) => return Err(failed(error)),
        };
        let reader = BufReader::with_capacity(1 << 18, file);
        let mut rows = Rows { reader, columns: Vec::new(), line: Vec::new(), bad: 0 };
        if rows.next_line().map_err(failed)? {
            let line = rows.line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&rows.line);
            rows.columns =
                header(line).iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        }
        Ok(rows)
    }

    /// Puts the next row's cells into `values`, one a column, none where nothing was logged or words stand.
    /// False at the end; a last row without its newline is still being written.
    ///
    /// # Errors
    /// The file cannot be read on.
    pub fn next(&mut self, values: &mut Vec<Option<f64>>) -> io::Result<bool> {
        while self.next_line()? {
            values.clear();
            let (mut rest, mut goes_on) = (self.line.as_slice(), true);
            while goes_on && values.len() < self.columns.len() {
                let cell;
                (cell, goes_on) = cells::next(&mut rest);
                values.push(match cell {
                    Cell::Number(value) => Some(value),
                    Cell::Empty | Cell::Words(_) => None,
                });
            }
            if !goes_on && values.len() == self.columns.len() {
                return Ok(true);
            }
            self.bad += 1;
        }
        Ok(false)
    }

    /// The next line that says anything, without its end; whether there was one.
    fn next_line(&mut self) -> io::Result<bool> {
        loop {
            self.line.clear();
            let mut is_too_long = false;
            loop {
                let bytes = self.reader.fill_buf()?;
                if bytes.is_empty() {
                    return Ok(false);
                }
                let end = memchr::memchr(b'\n', bytes);
                let part = &bytes[..end.unwrap_or(bytes.len())];
                is_too_long |= self.line.len() + part.len() > LONGEST;
                if !is_too_long {
                    self.line.extend_from_slice(part);
                }
                let taken = part.len() + usize::from(end.is_some());
                self.reader.consume(taken);
                if end.is_some() {
                    break;
                }
            }
            if self.line.last() == Some(&b'\r') {
                self.line.pop();
            }
            match (is_too_long, self.line.is_empty()) {
                (true, _) => self.bad += 1,
                (false, true) => {}
                (false, false) => return Ok(true),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn rows_are_those_that_reading_the_whole_table_gives_and_bad_lines_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.csv");
        let long = "9".repeat(LONGEST + 1);
        let text = format!("step,\"a,b\",c\r\n1,2,\n\n{long}\n2,nan,word\n3,1\n4,,7\n5,1,1");
        fs::write(&path, text).unwrap();
        let mut rows = Rows::open(&path).unwrap();
        assert_eq!(rows.columns, ["step", "a,b", "c"]);
        let (mut row, mut all) = (Vec::new(), Vec::new());
        while rows.next(&mut row).unwrap() {
            all.push(row.clone());
        }
        assert_eq!(all.len(), 3, "the torn last row waits");
        assert_eq!(all[0], [Some(1.0), Some(2.0), None]);
        assert!(all[1][1].is_some_and(f64::is_nan) && all[1][2].is_none());
        assert_eq!((all[2][0], rows.bad), (Some(4.0), 2));
        assert!(!Rows::open(&folder.path().join("none")).unwrap().next(&mut row).unwrap());
    }
}
