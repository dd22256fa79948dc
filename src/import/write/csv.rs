//! A table as our `metrics.csv`, made while it is read: one row is in memory at a time. And how a file that is
//! there compares with it.

use std::io::{self, Read, Write};
use std::path::Path;

use super::super::rows::{Cursor, Table};
use crate::run_dir::metrics::stream::Rows;
use crate::run_dir::number::spelled;
use crate::run_dir::read;
use crate::run_dir::write::at;

/// The bytes of a table.
pub struct Csv<'a> {
    rows: Cursor<'a>,
    line: Vec<u8>,
    /// How far the line was given.
    given: usize,
}

impl Csv<'_> {
    pub fn of(table: &Table) -> Csv<'_> {
        let mut line = table.columns().join(",").into_bytes();
        line.push(b'\n');
        Csv { rows: table.cursor(), line, given: 0 }
    }
}

impl Read for Csv<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut count = 0;
        while count < into.len() {
            if self.given == self.line.len() {
                let Some(row) = self.rows.next_row() else { break };
                self.line.clear();
                self.given = 0;
                for (place, value) in row.iter().enumerate() {
                    if place > 0 {
                        self.line.push(b',');
                    }
                    if let Some(value) = value {
                        self.line.extend(spelled(*value).as_bytes());
                    }
                }
                self.line.push(b'\n');
            }
            let rest = &self.line[self.given..];
            let some = rest.len().min(into.len() - count);
            into[count..count + some].copy_from_slice(&rest[..some]);
            self.given += some;
            count += some;
        }
        Ok(count)
    }
}

/// What a file is beside a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alike {
    Same,
    /// The first bytes of the table, so many; none where there is no file.
    Beginning(u64),
    /// The whole table, and more.
    Longer,
    Other,
}

/// Compares a file with a table; neither is in memory whole.
///
/// # Errors
/// The file cannot be read, with its path.
pub fn compare(path: &Path, table: &Table) -> io::Result<Alike> {
    let mut file = match read::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Alike::Beginning(0)),
        Err(error) => return Err(at(path, error)),
    };
    let mut csv = Csv::of(table);
    let (mut here, mut there) = (vec![0; PIECE], vec![0; PIECE]);
    let mut same = 0;
    loop {
        let (wanted, got) =
            (fill(&mut csv, &mut here)?, fill(&mut file, &mut there).map_err(|error| at(path, error))?);
        let both = wanted.min(got);
        if here[..both] != there[..both] {
            return Ok(Alike::Other);
        }
        same += both as u64;
        match (wanted == both, got == both) {
            (true, true) if both < PIECE => return Ok(Alike::Same),
            (true, true) => {}
            (true, false) => return Ok(Alike::Longer),
            (false, _) => return Ok(Alike::Beginning(same)),
        }
    }
}

/// How many values a table has beside those of a file that has the same rows, where all of the file's are in it.
///
/// # Errors
/// The file cannot be read.
pub fn filled(path: &Path, table: &Table) -> io::Result<Option<u64>> {
    let Ok(mut file) = Rows::open(path) else { return Ok(None) };
    let columns = table.columns();
    let place = |name: &String| columns.iter().position(|known| known == name);
    let Some(places) = file.columns.iter().map(place).collect::<Option<Vec<usize>>>() else {
        return Ok(None);
    };
    let (mut cursor, mut old, mut came) = (table.cursor(), Vec::new(), 0);
    while file.next(&mut old)? {
        let Some(new) = cursor.next_row() else { return Ok(None) };
        let there = old.iter().zip(&places).filter_map(|(value, place)| Some(((*value)?, new[*place])));
        let is_kept = |(old, new): (f64, Option<f64>)| {
            new.is_some_and(|new| new == old || new.is_nan() && old.is_nan())
        };
        if !there.clone().all(is_kept) {
            return Ok(None);
        }
        came += (new.iter().flatten().count() - there.count()) as u64;
    }
    Ok(Some(came).filter(|_| file.bad == 0 && cursor.next_row().is_none()))
}

/// Appends to a file what a table has beyond its first `length` bytes, and counts the rows; without a file it only
/// counts them.
///
/// # Errors
/// The file cannot be written to.
pub fn append(table: &Table, length: u64, mut file: Option<&mut impl Write>) -> io::Result<u64> {
    let mut csv = Csv::of(table);
    io::copy(&mut csv.by_ref().take(length), &mut io::sink())?;
    let (mut piece, mut rows) = (vec![0; PIECE], 0);
    loop {
        let count = fill(&mut csv, &mut piece)?;
        if count == 0 {
            return Ok(rows);
        }
        rows += piece[..count].iter().filter(|byte| **byte == b'\n').count() as u64;
        if let Some(file) = file.as_mut() {
            file.write_all(&piece[..count])?;
        }
    }
}

const PIECE: usize = 1 << 18;

/// Reads until the piece is full or all is read.
fn fill(from: &mut impl Read, piece: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while count < piece.len() {
        match from.read(&mut piece[count..])? {
            0 => break,
            more => count += more,
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::super::super::rows;
    use super::*;

    #[test]
    fn a_file_is_compared_and_appended_to_without_either_in_memory() {
        let mut rows = rows::Rows::default();
        // More than one piece.
        for step in 0..40_000 {
            rows.put(f64::from(step), "loss", f64::from(step) / 7.0);
        }
        let table = rows.table();
        let mut whole = Vec::new();
        Csv::of(&table).read_to_end(&mut whole).unwrap();
        assert!(whole.len() > 2 * PIECE && whole.starts_with(b"step,epoch,time,elapsed,loss\n0,,,,0\n"));
        assert_eq!(table.count_rows(), 40_000);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.csv");
        assert_eq!(compare(&path, &table).unwrap(), Alike::Beginning(0));
        for length in [0, 10, 400_000, PIECE, 2 * PIECE, whole.len() - 1] {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(compare(&path, &table).unwrap(), Alike::Beginning(length as u64));
            let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
            let missing = whole[length..].iter().filter(|byte| **byte == b'\n').count() as u64;
            assert_eq!(append(&table, length as u64, None::<&mut Vec<u8>>).unwrap(), missing);
            assert_eq!(append(&table, length as u64, Some(&mut file)).unwrap(), missing);
            assert!(std::fs::read(&path).unwrap() == whole);
        }
        assert_eq!(compare(&path, &table).unwrap(), Alike::Same);
        std::fs::write(&path, [&whole[..], b"1,,,,1\n"].concat()).unwrap();
        assert_eq!(compare(&path, &table).unwrap(), Alike::Longer);
        whole[500_000] ^= 1;
        std::fs::write(&path, &whole).unwrap();
        assert_eq!(compare(&path, &table).unwrap(), Alike::Other);
    }

    #[test]
    fn values_that_came_to_rows_that_are_there_are_counted_and_none_of_those_may_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.csv");
        let mut rows = rows::Rows::default();
        for (step, name, value) in [(1.0, "a", 0.5), (2.0, "a", f64::NAN), (2.0, "b", 0.1)] {
            rows.put(step, name, value);
        }
        let table = rows.table();
        for (text, came) in [
            ("step,epoch,time,elapsed,a\n1,,,,0.5\n2,,,,nan\n", Some(1)),
            ("step,epoch,time,elapsed,a,b\n1,,,,0.5,\n2,,,,,0.1\n", Some(1)),
            ("step,epoch,time,elapsed,a,b\n1,,,,0.5,\n2,,,,nan,0.1\n", Some(0)),
            ("step,epoch,time,elapsed,a\n1,,,,0.25\n2,,,,nan\n", None),
            ("step,epoch,time,elapsed,a\n1,,,7,0.5\n2,,,,nan\n", None),
            ("step,epoch,time,elapsed,c\n1,,,,0.5\n2,,,,nan\n", None),
            ("step,epoch,time,elapsed,a\n1,,,,0.5\n", None),
            ("step,epoch,time,elapsed,a\n1,,,,0.5\n2,,,,nan\n3,,,,1\n", None),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(filled(&path, &table).unwrap(), came, "{text}");
        }
    }
}
