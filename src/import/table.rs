//! Any CSV or JSON lines with a column of steps: wide, one metric a column; or long, one value a row with the name
//! of its metric beside it. A column that names runs parts them.

mod columns;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader};
use std::path::Path;

use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde_json::Value;

use super::files::{Files, Reading, each_line, has_ending, head, name};
use super::foreign::{Foreign, Wish};
use super::rows::{Clock, MOST_VALUES};
use columns::{Kind, Names};

/// Takes what looks like a table of steps: a named file whatever it is called.
pub fn claim(files: &mut Files) -> Vec<Reading> {
    let is_called =
        |path: &Path| has_ending(path, &[".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".log", ".txt"]);
    let is_named = files.is_named(&files.root.clone());
    let ours: BTreeSet<_> = files
        .left
        .iter()
        .filter(|path| (is_named && files.is_named(path)) || (is_called(path) && is_table(path)))
        .cloned()
        .collect();
    let taken = files.take(|path| ours.contains(path));
    taken.into_iter().map(|path| Reading { place: path.clone(), files: vec![path], read }).collect()
}

fn is_table(path: &Path) -> bool {
    let head = head(path);
    if is_json(&head) {
        let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
        return serde_json::from_slice::<Value>(line).is_ok_and(|line| {
            line.as_object().is_some_and(|fields| fields.keys().any(|key| columns::of(key).step.is_some()))
        });
    }
    let Some(line) = head.split(|byte| *byte == b'\n').next() else { return false };
    let names = cells(line, separator(line));
    names.len() > 1 && names.iter().any(|name| columns::of(name).step.is_some())
}

fn is_json(head: &[u8]) -> bool {
    matches!(head.trim_ascii_start().first(), Some(b'{' | b'['))
}

/// Reads a table; one run, or one for each name in its column of runs.
///
/// # Errors
/// It cannot be read, or has no column of steps.
pub fn read(reading: &Reading, wish: &Wish) -> io::Result<Vec<Foreign>> {
    let mut runs = Runs::of(reading, wish);
    for path in &reading.files {
        if is_json(&head(path)) { read_json(path, &mut runs)? } else { read_csv(path, &mut runs)? }
    }
    let mut runs = runs.done();
    runs.iter_mut().for_each(|run| run.files.clone_from(&reading.files));
    Ok(runs)
}

/// The runs of a table while it is read.
struct Runs<'a> {
    wish: &'a Wish,
    runs: BTreeMap<String, Foreign>,
    /// What a value is called that has no name but that of its file.
    unnamed: String,
    /// Columns that hold words, by run: a setting, while it is the same in all rows.
    words: BTreeMap<(String, String), Option<String>>,
    /// Values of all runs together, and what is beyond the most of them.
    values: usize,
    left_rows: u64,
    left_runs: BTreeSet<String>,
}

/// Runs of one table.
const MOST_RUNS: usize = 20_000;

/// A cell with the name of its column.
type Field<'a> = (&'a str, Kind, Cell<'a>);

impl Runs<'_> {
    fn of<'a>(reading: &Reading, wish: &'a Wish) -> Runs<'a> {
        // As TensorBoard saves a chart.
        let file = name(&reading.place);
        let stem = file.trim_end_matches(".csv");
        Runs {
            wish,
            runs: BTreeMap::new(),
            unnamed: stem.rsplit("tag-").next().unwrap_or(stem).to_owned(),
            words: BTreeMap::new(),
            values: 0,
            left_rows: 0,
            left_runs: BTreeSet::new(),
        }
    }

    fn run(&mut self, part: &str) -> Option<&mut Foreign> {
        if !self.runs.contains_key(part) {
            if self.runs.len() >= MOST_RUNS {
                const TOLD: usize = 100_000;
                if self.left_runs.len() < TOLD && !self.left_runs.contains(part) {
                    self.left_runs.insert(part.to_owned());
                }
                return None;
            }
            let run = Foreign {
                tool: "a table",
                name: part.to_owned(),
                part: part.to_owned(),
                rows: self.wish.rows(),
                ..Foreign::default()
            };
            self.runs.insert(part.to_owned(), run);
        }
        self.runs.get_mut(part)
    }

    /// Takes in one row: its cells by the names of their columns.
    fn row(&mut self, step: f64, part: &str, cells: &[Field]) {
        let long = long(cells);
        // Each run has as many as may be, but not all of them at once.
        if self.values >= MOST_VALUES {
            self.left_rows += 1;
            return;
        }
        let unnamed = self.unnamed.clone();
        let Some(run) = self.run(part) else { return };
        let before = run.rows.values();
        if let Some((metric, value)) = long {
            run.rows.put(step, metric, value);
        }
        let mut words = Vec::new();
        for (column, kind, cell) in cells {
            let is_long = long.is_some() && matches!(kind, Kind::Metric | Kind::Value);
            match (cell, kind) {
                (Cell::Number(value), Kind::Time) if seconds(*value) > 1e8 => {
                    run.heard(seconds(*value));
                    run.rows.put_clock(step, Clock::Time, seconds(*value));
                }
                (Cell::Number(value), Kind::Elapsed) => run.rows.put_clock(step, Clock::Elapsed, *value),
                (Cell::Number(value), Kind::Epoch) => run.rows.put_clock(step, Clock::Epoch, *value),
                (Cell::Number(value), Kind::Value) if !is_long && cells.len() <= 3 => {
                    run.rows.put(step, &unnamed, *value);
                }
                (Cell::Number(value), _) if !is_long => run.rows.put(step, column, *value),
                (Cell::Words(text), Kind::Time) => {
                    if let Ok(time) = text.replacen(' ', "T", 1).parse::<jiff::Timestamp>() {
                        run.heard(time.as_second() as f64);
                        run.rows.put_clock(step, Clock::Time, time.as_millisecond() as f64 / 1000.0);
                    }
                }
                (Cell::Words(text), _) if !is_long => words.push(((*column).to_owned(), (*text).to_owned())),
                (Cell::Number(_) | Cell::Words(_), _) => {}
            }
        }
        self.values += run.rows.values() - before;
        for (column, text) in words {
            const MOST: usize = 10_000;
            if self.words.len() < MOST {
                let known = self.words.entry((part.to_owned(), column)).or_insert_with(|| Some(text.clone()));
                if known.as_ref() != Some(&text) {
                    *known = None;
                }
            }
        }
    }

    fn warn(&mut self, sentence: &str) {
        self.runs.values_mut().for_each(|run| run.warn(sentence));
    }

    fn done(mut self) -> Vec<Foreign> {
        if !self.left_runs.is_empty() {
            self.warn(&format!(
                "{} of its runs were left out, beyond the first {MOST_RUNS}",
                self.left_runs.len()
            ));
        }
        if self.left_rows > 0 {
            let left = self.left_rows;
            self.warn(&format!(
                "{left} rows were left out, beyond the first {MOST_VALUES} values of all runs together"
            ));
        }
        let mut runs = self.runs;
        for ((part, column), text) in self.words {
            let Some(run) = runs.get_mut(&part) else { continue };
            match text {
                Some(text) => run.add_settings(&column, text.into()),
                None => run.warn(format!("the column {column} holds words and was left out")),
            }
        }
        runs.into_values().collect()
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Cell<'a> {
    Number(f64),
    Words(&'a str),
}

fn cell(text: &str) -> Option<Cell<'_>> {
    let text = text.trim();
    let none = ["", "null", "None", "NULL", "NA", "N/A", "-"];
    match text.parse::<f64>() {
        Ok(number) => Some(Cell::Number(number)),
        Err(_) if none.contains(&text) => None,
        Err(_) => Some(Cell::Words(text)),
    }
}

/// Unix seconds, also where they are told in thousandths.
fn seconds(time: f64) -> f64 {
    if time > 1e11 { time / 1000.0 } else { time }
}

/// The metric and its value in a row of the long form.
fn long<'a>(cells: &[Field<'a>]) -> Option<(&'a str, f64)> {
    let metric = cells.iter().find_map(|cell| match cell {
        (_, Kind::Metric, Cell::Words(metric)) => Some(*metric),
        _ => None,
    })?;
    let value = cells.iter().find_map(|cell| match cell {
        (_, Kind::Value, Cell::Number(value)) => Some(*value),
        _ => None,
    })?;
    Some((metric, value))
}

/// The column of steps: what a person named, else the first that is called so.
fn step_column<'a>(
    columns: impl Iterator<Item = &'a str> + Clone,
    names: &mut Names,
    wish: &Wish,
) -> Option<usize> {
    match &wish.step {
        Some(step) => columns.clone().position(|column| column == step),
        None => {
            let fit = columns.enumerate().filter_map(|(at, column)| Some((names.of(column).step?, at)));
            fit.min().map(|(_, at)| at)
        }
    }
}

fn no_steps(columns: &[String], path: &Path) -> io::Error {
    let some: Vec<&str> = columns.iter().take(8).map(String::as_str).collect();
    let message = format!(
        "{} has no column of steps that is known (--step COLUMN names it; it has: {})",
        name(path),
        some.join(", ")
    );
    io::Error::new(io::ErrorKind::InvalidData, message)
}

fn separator(header: &[u8]) -> u8 {
    let count = |byte: u8| header.iter().filter(|known| **known == byte).count();
    [b',', b';', b'\t'].into_iter().max_by_key(|byte| (count(*byte), *byte == b',')).unwrap_or(b',')
}

pub fn cells(line: &[u8], separator: u8) -> Vec<String> {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    if memchr::memchr2(b'"', b'\r', line).is_none() {
        let cells = line.split(|byte| *byte == separator);
        return cells.map(|cell| String::from_utf8_lossy(cell).trim().to_owned()).collect();
    }
    let mut reader = csv::ReaderBuilder::new().has_headers(false).delimiter(separator).from_reader(line);
    let mut record = csv::ByteRecord::new();
    // Bytes in memory can be read.
    let _ = reader.read_byte_record(&mut record);
    record.iter().map(|cell| String::from_utf8_lossy(cell).trim().to_owned()).collect()
}

fn read_csv(path: &Path, runs: &mut Runs) -> io::Result<()> {
    let mut columns: Vec<String> = Vec::new();
    let (mut by, mut kinds, mut step_at, mut part_at) = (b',', Vec::new(), None, None);
    let (mut torn, mut without) = (0, 0);
    let too_long = each_line(path, |line, is_whole| {
        if line.trim_ascii().is_empty() || (!columns.is_empty() && step_at.is_none()) {
            return;
        }
        if columns.is_empty() {
            by = separator(line);
            columns = cells(line, by);
            step_at = step_column(columns.iter().map(String::as_str), &mut Names::default(), runs.wish);
            kinds = columns.iter().map(|column| columns::of(column).kind).collect();
            part_at = kinds.iter().position(|kind| *kind == Kind::Run);
            return;
        }
        let Some(step_at) = step_at else { return };
        let texts = cells(line, by);
        if texts.len() != columns.len() {
            torn += u64::from(is_whole);
            return;
        }
        let Some(Cell::Number(step)) = cell(&texts[step_at]) else {
            without += 1;
            return;
        };
        let part = part_at.map_or("", |at: usize| &texts[at]);
        let known = columns.iter().zip(&kinds).zip(&texts).enumerate();
        let known = known.filter(|(at, _)| *at != step_at && Some(*at) != part_at);
        let row: Vec<Field> = known
            .filter_map(|(_, ((column, kind), text))| Some((column.as_str(), *kind, cell(text)?)))
            .collect();
        runs.row(step, part, &row);
    })?;
    if step_at.is_none() {
        return Err(no_steps(&columns, path));
    }
    for (count, what) in [
        (torn, "rows have another number of cells than the header and were left out"),
        (without, "rows have no step and were left out"),
        (too_long, "lines are longer than any that is read"),
    ] {
        if count > 0 {
            runs.warn(&format!("{count} {what}"));
        }
    }
    Ok(())
}

fn read_json(path: &Path, runs: &mut Runs) -> io::Result<()> {
    let (mut broken, mut without, mut too_long) = (0, 0, 0);
    let mut names = Names::default();
    let mut take = |line: &Value, runs: &mut Runs| {
        let mut fields = Vec::new();
        flatten("", line, &mut fields);
        let called = fields.iter().map(|(name, _)| name.as_str());
        let step_at = step_column(called, &mut names, runs.wish);
        let step = step_at.and_then(|at| Some((at, cell(&fields[at].1)?)));
        let Some((step_at, Cell::Number(step))) = step else {
            without += 1;
            return;
        };
        let mut part = "";
        let mut row: Vec<Field> = Vec::with_capacity(fields.len());
        for (at, (name, text)) in fields.iter().enumerate() {
            match names.of(name).kind {
                Kind::Run if part.is_empty() => part = text,
                Kind::Run => {}
                kind if at != step_at => row.extend(cell(text).map(|cell| (name.as_str(), kind, cell))),
                _ => {}
            }
        }
        runs.row(step, part, &row);
    };
    if head(path).trim_ascii_start().starts_with(b"[") {
        let each = Each(|line: &Value| take(line, runs));
        let mut reader =
            serde_json::Deserializer::from_reader(BufReader::new(crate::run_dir::read::open(path)?));
        if let Err(error) = each.deserialize(&mut reader) {
            runs.warn(&format!("it is cut off or damaged: what stands before that was read ({error})"));
        }
    } else {
        too_long = each_line(path, |line, _| match serde_json::from_slice::<Value>(line) {
            _ if line.trim_ascii().is_empty() => {}
            Ok(line) => take(&line, runs),
            Err(_) => broken += 1,
        })?;
    }
    for (count, what) in [
        (broken, "lines are no JSON and were left out"),
        (without, "lines have no step and were left out"),
        (too_long, "lines are longer than any that is read"),
    ] {
        if count > 0 {
            runs.warn(&format!("{count} {what}"));
        }
    }
    if runs.runs.is_empty() {
        let message = format!("{}: no line has a step (--step NAME says what it is called)", name(path));
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(())
}

/// The elements of a list one after the other, so that none of them stays in memory.
struct Each<F>(F);

impl<'de, F: FnMut(&Value)> DeserializeSeed<'de> for Each<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(&Value)> Visitor<'de> for Each<F> {
    type Value = ();

    fn expecting(&self, to: &mut std::fmt::Formatter) -> std::fmt::Result {
        to.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        while let Some(element) = list.next_element::<Value>()? {
            (self.0)(&element);
        }
        Ok(())
    }
}

/// What is nested by its path with slashes, as metrics are named; lists are left out.
fn flatten(path: &str, value: &Value, fields: &mut Vec<(String, String)>) {
    match value {
        Value::Object(below) => {
            for (name, value) in below {
                let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
                flatten(&path, value, fields);
            }
        }
        Value::Array(_) | Value::Null => {}
        Value::String(text) => fields.push((path.to_owned(), text.clone())),
        other => fields.push((path.to_owned(), other.to_string())),
    }
}

#[cfg(test)]
mod tests;
