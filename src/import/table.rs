//! Any CSV or JSON lines with a column of steps: wide, one metric a column; or long, one value a row with the name
//! of its metric beside it. A column that names runs parts them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader};
use std::path::Path;

use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde_json::Value;

use super::files::{Files, Reading, each_line, has_ending, head, name};
use super::foreign::{Foreign, Wish};
use super::rows::Clock;

/// Columns by which steps are known, the best first. Letters of any size; all but letters and digits is one.
const STEPS: [&str; 14] = [
    "step",
    "global step",
    "trainer global step",
    "steps",
    "iter",
    "iteration",
    "iterations",
    "it",
    "n iter",
    "update",
    "updates",
    "num updates",
    "batch",
    "epoch",
];
const TIMES: [&str; 4] = ["timestamp", "wall time", "time", "date"];
const ELAPSED: [&str; 4] = ["runtime", "elapsed", "relative time", "relative time process"];
const RUNS: [&str; 4] = ["run", "run id", "run name", "runid"];
const METRICS: [&str; 5] = ["metric", "name", "key", "tag", "variable"];

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
            line.as_object().is_some_and(|fields| fields.keys().any(|key| is(&STEPS, key)))
        });
    }
    let Some(line) = head.split(|byte| *byte == b'\n').next() else { return false };
    let names = cells(line, separator(line));
    names.len() > 1 && names.iter().any(|name| is(&STEPS, name))
}

fn is_json(head: &[u8]) -> bool {
    matches!(head.trim_ascii_start().first(), Some(b'{' | b'['))
}

/// Whether a column is called so.
fn is(names: &[&str], column: &str) -> bool {
    names.contains(&plain(column).as_str())
}

fn plain(column: &str) -> String {
    let lower = column.to_lowercase();
    let words = lower.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

/// Reads a table; one run, or one for each name in its column of runs.
///
/// # Errors
/// It cannot be read, or has no column of steps.
pub fn read(reading: &Reading, wish: &Wish) -> io::Result<Vec<Foreign>> {
    let mut runs = Runs { wish, runs: BTreeMap::new(), path: reading.place.clone(), words: BTreeMap::new() };
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
    path: std::path::PathBuf,
    /// Columns that hold words, by run: a setting, while it is the same in all rows.
    words: BTreeMap<(String, String), Option<String>>,
}

/// Runs of one table.
const MOST_RUNS: usize = 1_000;

impl Runs<'_> {
    fn run(&mut self, part: &str) -> Option<&mut Foreign> {
        if !self.runs.contains_key(part) && self.runs.len() >= MOST_RUNS {
            return None;
        }
        let rows = || self.wish.rows();
        Some(self.runs.entry(part.to_owned()).or_insert_with(|| Foreign {
            tool: "a table",
            name: part.to_owned(),
            part: part.to_owned(),
            rows: rows(),
            ..Foreign::default()
        }))
    }

    /// Takes in one row: its cells by the names of their columns.
    fn row(&mut self, step: f64, part: &str, cells: &[(&str, Cell)]) {
        let long = long(cells);
        let file = name(&self.path);
        let Some(run) = self.run(part) else { return };
        if let Some((metric, value)) = long {
            run.rows.put(step, metric, value);
        }
        let mut words = Vec::new();
        for (column, cell) in cells {
            let is_long = long.is_some() && (is(&METRICS, column) || plain(column) == "value");
            match cell {
                Cell::Number(value) => {
                    let time = if *value > 1e11 { value / 1000.0 } else { *value };
                    if is(&TIMES, column) && time > 1e8 {
                        run.heard(time);
                        run.rows.put_clock(step, Clock::Time, time);
                    } else if is(&ELAPSED, column) {
                        run.rows.put_clock(step, Clock::Elapsed, *value);
                    } else if plain(column) == "epoch" {
                        run.rows.put_clock(step, Clock::Epoch, *value);
                    } else if !is_long && plain(column) == "value" && cells.len() <= 3 {
                        // As TensorBoard saves a chart: its name is that of the file.
                        let stem = file.trim_end_matches(".csv");
                        run.rows.put(step, stem.rsplit("tag-").next().unwrap_or(stem), *value);
                    } else if !is_long {
                        run.rows.put(step, column, *value);
                    }
                }
                Cell::Words(text) if is(&TIMES, column) => {
                    if let Ok(time) = text.replacen(' ', "T", 1).parse::<jiff::Timestamp>() {
                        run.heard(time.as_second() as f64);
                        run.rows.put_clock(step, Clock::Time, time.as_millisecond() as f64 / 1000.0);
                    }
                }
                Cell::Words(text) if !is_long => words.push(((*column).to_owned(), (*text).to_owned())),
                Cell::Words(_) => {}
            }
        }
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

    fn done(self) -> Vec<Foreign> {
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

/// The metric and its value in a row of the long form.
fn long<'a>(cells: &[(&str, Cell<'a>)]) -> Option<(&'a str, f64)> {
    let metric = cells.iter().find_map(|(column, cell)| match cell {
        Cell::Words(metric) if is(&METRICS, column) => Some(*metric),
        _ => None,
    })?;
    let value = cells.iter().find_map(|(column, cell)| match cell {
        Cell::Number(value) if plain(column) == "value" => Some(*value),
        _ => None,
    })?;
    Some((metric, value))
}

/// The column of steps: what a person named, else the first that is called so.
fn step_column(columns: &[String], wish: &Wish, path: &Path) -> io::Result<usize> {
    let found = match &wish.step {
        Some(step) => columns.iter().position(|column| column == step),
        None => STEPS.iter().find_map(|step| columns.iter().position(|column| plain(column) == *step)),
    };
    found.ok_or_else(|| {
        let some: Vec<&str> = columns.iter().take(8).map(String::as_str).collect();
        let message = format!(
            "{} has no column of steps that is known (--step COLUMN names it; it has: {})",
            name(path),
            some.join(", ")
        );
        io::Error::new(io::ErrorKind::InvalidData, message)
    })
}

fn separator(header: &[u8]) -> u8 {
    let count = |byte: u8| header.iter().filter(|known| **known == byte).count();
    [b',', b';', b'\t'].into_iter().max_by_key(|byte| (count(*byte), *byte == b',')).unwrap_or(b',')
}

pub fn cells(line: &[u8], separator: u8) -> Vec<String> {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let mut reader = csv::ReaderBuilder::new().has_headers(false).delimiter(separator).from_reader(line);
    let mut record = csv::ByteRecord::new();
    // Bytes in memory can be read.
    let _ = reader.read_byte_record(&mut record);
    record.iter().map(|cell| String::from_utf8_lossy(cell).trim().to_owned()).collect()
}

fn read_csv(path: &Path, runs: &mut Runs) -> io::Result<()> {
    let mut columns: Vec<String> = Vec::new();
    let (mut by, mut steps, mut part_at) = (b',', Ok(0), None);
    let (mut torn, mut without) = (0, 0);
    let too_long = each_line(path, |line, is_whole| {
        if line.trim_ascii().is_empty() || steps.is_err() {
            return;
        }
        if columns.is_empty() {
            by = separator(line);
            columns = cells(line, by);
            steps = step_column(&columns, runs.wish, path);
            part_at = columns.iter().position(|column| is(&RUNS, column));
            return;
        }
        let Ok(step_at) = steps else { return };
        let texts = cells(line, by);
        if texts.len() != columns.len() {
            torn += u64::from(is_whole);
            return;
        }
        let Some(Cell::Number(step)) = cell(&texts[step_at]) else {
            without += 1;
            return;
        };
        let part = part_at.map(|at: usize| texts[at].clone()).unwrap_or_default();
        let known = columns.iter().zip(&texts).enumerate();
        let known = known.filter(|(at, _)| *at != step_at && Some(*at) != part_at);
        let row: Vec<(&str, Cell)> =
            known.filter_map(|(_, (column, text))| Some((column.as_str(), cell(text)?))).collect();
        runs.row(step, &part, &row);
    })?;
    steps?;
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
    let mut take = |line: &Value, runs: &mut Runs| {
        let mut fields = Vec::new();
        flatten("", line, &mut fields);
        let names: Vec<String> = fields.iter().map(|(name, _)| name.clone()).collect();
        let Ok(step_at) = step_column(&names, runs.wish, path) else {
            without += 1;
            return;
        };
        let Some(Cell::Number(step)) = cell(&fields[step_at].1) else {
            without += 1;
            return;
        };
        let part = fields.iter().find(|(name, _)| is(&RUNS, name)).map(|(_, part)| part.clone());
        let known = fields.iter().enumerate().filter(|(at, (name, _))| *at != step_at && !is(&RUNS, name));
        let row: Vec<(&str, Cell)> =
            known.filter_map(|(_, (name, text))| Some((name.as_str(), cell(text)?))).collect();
        runs.row(step, &part.unwrap_or_default(), &row);
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
mod tests {
    use super::*;
    use std::fs;

    fn runs(name: &str, text: &str, wish: &Wish) -> io::Result<Vec<Foreign>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        let mut files = Files::of(&path).unwrap();
        let readings = claim(&mut files);
        read(&readings[0], wish)
    }

    fn values(run: &Foreign) -> (Vec<String>, Vec<Vec<Option<f64>>>) {
        let table = run.rows.clone().table();
        (table.metrics(), table.rows().into_iter().map(|row| [&row[..1], &row[4..]].concat()).collect())
    }

    #[test]
    fn the_wide_form_is_read_whatever_separates_it() {
        let text = "\u{feff}Epoch;global_step;\"val loss\";note;opt\n0;10;1.5;a;adam\n0;20;;b;adam\n1;30;nan;c;adam\n1;40\n";
        let run = runs("any", text, &Wish::default()).unwrap().remove(0);
        let (metrics, rows) = values(&run);
        assert_eq!((metrics, rows.len()), (vec!["val loss".to_owned()], 2));
        assert_eq!(run.settings.get("opt"), Some(&"adam".into()));
        assert!(
            run.warnings.iter().any(|warning| warning.contains("column note holds words")),
            "{:?}",
            run.warnings
        );
        assert!(run.warnings.iter().any(|warning| warning.starts_with("1 rows have another")));
    }

    #[test]
    fn the_long_form_and_a_column_of_runs_part_metrics_and_runs() {
        let text = "run,step,metric,value\na,1,loss,3\na,1,acc,0.5\nb,1,loss,4\n";
        let runs = runs("x.csv", text, &Wish::default()).unwrap();
        assert_eq!(runs.iter().map(|run| run.part.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(
            values(&runs[0]),
            (vec!["loss".into(), "acc".into()], vec![vec![Some(1.0), Some(3.0), Some(0.5)]])
        );
    }

    #[test]
    fn json_lines_may_be_nested_and_the_last_may_be_torn() {
        let text = "{\"step\": 1, \"train\": {\"loss\": 2.5}, \"_timestamp\": 1700000000.5}\n{\"step\": 2, \"train\": {\"lo";
        let run = runs("x.jsonl", text, &Wish::default()).unwrap().remove(0);
        assert_eq!(values(&run), (vec!["train/loss".into()], vec![vec![Some(1.0), Some(2.5)]]));
        assert_eq!(run.started, Some(1_700_000_000.5));
        assert!(run.warnings[0].contains("1 lines are no JSON"), "{:?}", run.warnings);
        let list = runs("x.json", "[{\"iter\": 3, \"loss\": 1}]", &Wish::default()).unwrap().remove(0);
        assert_eq!(values(&list).1, [[Some(3.0), Some(1.0)]]);
    }

    #[test]
    fn a_step_column_may_be_named_and_a_missing_one_is_said_with_those_there_are() {
        let text = "tick,loss\n1,2\n";
        let error = runs("x.csv", text, &Wish::default()).unwrap_err().to_string();
        assert!(error.contains("--step COLUMN") && error.contains("tick, loss"), "{error}");
        let wish = Wish { step: Some("tick".into()), columns: vec![("loss".into(), "train/loss".into())] };
        assert_eq!(values(&runs("x.csv", text, &wish).unwrap()[0]).0, ["train/loss"]);
    }

    #[test]
    fn ten_thousand_columns_come_to_what_a_page_can_show() {
        let names: Vec<String> = (0..10_000).map(|at| format!("m{at}")).collect();
        let row = vec!["1"; 10_000].join(",");
        let text = format!("step,{}\n1,{row}\n2,{row}\n", names.join(","));
        let run = runs("x.csv", &text, &Wish::default()).unwrap().remove(0);
        assert_eq!(values(&run).0.len(), super::super::rows::MOST_COLUMNS);
    }
}
