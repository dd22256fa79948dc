//! Copies of runs for an archive: tables and images are links to the real ones; records, events and logs are
//! written anew, without hosts, people and paths, unless these are asked for.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Value, json};

use super::super::super::export::Surroundings;
use super::super::FormError;
use super::super::chosen::Chosen;
use super::batches::{Batches, nameless};
use crate::run_dir::write::{at, link};
use crate::run_dir::{RunDir, Workspace, read};
use crate::workspace_settings::WorkspaceSettings;

/// Bytes of a record of JSON that is read as one.
const MOST_OF_RECORD: u64 = 64 << 20;
/// Folders within a theme or the templates.
const DEPTH: usize = 3;

/// How the pages look; of the workspace's other settings nothing is needed.
pub fn settings(from: &Workspace, to: &Workspace, theme: Option<&str>) -> Result<(), FormError> {
    let settings = WorkspaceSettings::read(from).unwrap_or_default();
    let theme = theme.unwrap_or(&settings.report.theme);
    // JSON's strings are TOML's.
    fs::write(to.settings(), format!("[report]\ntheme = {}\n", json!(theme)))?;
    for name in ["themes", "templates"] {
        linked(&from.root().join(name), &to.root().join(name), DEPTH)?;
    }
    Ok(())
}

pub fn run(
    chosen: &mut Chosen,
    dir: &RunDir,
    site: &Workspace,
    batches: &mut Batches,
) -> Result<(), FormError> {
    let copy = site.run(&dir.experiment(), &dir.name());
    fs::create_dir_all(copy.path()).map_err(|error| at(copy.path(), error))?;
    linked(&dir.samples(), &copy.samples(), 0)?;
    for path in [dir.metrics(), dir.telemetry(), dir.distributions()] {
        one(&path, &copy.path().join(path.file_name().unwrap_or_default()))?;
    }
    if chosen.surroundings == Surroundings::Shown {
        linked(dir.path(), copy.path(), 0)?;
        let attempts = read::lines(&dir.attempts()).map(|lines| lines.records).unwrap_or_default();
        batches.see(dir, &attempts);
        return Ok(());
    }
    let outline = chosen.outline(dir);
    let seen = &outline.files.seen;
    batches.see(dir, &seen.attempts);
    if let Ok(record) = &seen.record {
        let mut record = record.clone();
        record.base = chosen.in_words(&record.base);
        lines(chosen, &copy.run_json(), std::slice::from_ref(&record))?;
    }
    lines(chosen, &copy.env_json(), outline.files.environment.as_slice())?;
    lines(chosen, &copy.attempts(), &seen.attempts)?;
    lines(chosen, &copy.requests(), &seen.requests)?;
    for path in [
        dir.events(),
        dir.alerts(),
        dir.progress(),
        dir.result(),
        dir.model_json(),
        dir.taken_model_json(),
        dir.evaluation(),
        dir.verify(),
        dir.import_json(),
    ] {
        let Ok(below) = path.strip_prefix(dir.path()) else { continue };
        let to = copy.path().join(below);
        if path.is_symlink() || !path.is_file() {
            continue;
        }
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        let bytes = match read::bounded(&path, MOST_OF_RECORD) {
            Ok(bytes) => bytes,
            Err(error) => {
                chosen.damage(at(&path, error));
                continue;
            }
        };
        let records: Vec<Value> =
            serde_json::Deserializer::from_slice(&bytes).into_iter::<Value>().map_while(Result::ok).collect();
        lines(chosen, &to, &records)?;
    }
    for path in [dir.train_log(), dir.stderr_log()] {
        log(chosen, &path, &copy.path().join(path.file_name().unwrap_or_default()))?;
    }
    Ok(())
}

/// Records as lines of JSON, without what is private; nothing where there are none.
pub fn lines<T: Serialize>(chosen: &Chosen, to: &Path, records: &[T]) -> Result<(), FormError> {
    if records.is_empty() {
        return Ok(());
    }
    let mut out = BufWriter::new(fs::File::create(to).map_err(|error| at(to, error))?);
    for record in records {
        let mut record = serde_json::to_value(record).map_err(io::Error::from)?;
        left_out(chosen, &mut record);
        serde_json::to_writer(&mut out, &record).map_err(io::Error::from)?;
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

/// Texts without paths and names; fields that hold nothing but a name are cleared.
fn left_out(chosen: &Chosen, value: &mut Value) {
    match value {
        Value::String(text) => *text = chosen.in_words(text),
        Value::Array(items) => items.iter_mut().for_each(|item| left_out(chosen, item)),
        Value::Object(fields) => {
            for (key, field) in fields {
                match (key.as_str(), &*field) {
                    ("host" | "who", Value::String(_)) => *field = json!("(left out)"),
                    // The source of an imported run, file by file.
                    ("files", Value::Object(_)) => *field = json!({}),
                    // Named by its machine, and by the machine's start.
                    ("batch", Value::String(name)) => *field = json!(nameless(name)),
                    ("boot", Value::String(_)) => *field = json!(""),
                    _ => left_out(chosen, field),
                }
            }
        }
        _ => {}
    }
}

fn log(chosen: &Chosen, from: &Path, to: &Path) -> Result<(), FormError> {
    if from.is_symlink() || !from.is_file() {
        return Ok(());
    }
    let mut file = io::BufReader::new(read::open(from).map_err(|error| at(from, error))?);
    let mut out = BufWriter::new(fs::File::create(to).map_err(|error| at(to, error))?);
    let mut line = Vec::new();
    loop {
        line.clear();
        // A line without end is taken in pieces.
        let piece =
            io::BufRead::read_until(&mut io::Read::take(&mut file, read::MOST_OF_LINE), b'\n', &mut line)?;
        if piece == 0 {
            return Ok(out.flush()?);
        }
        out.write_all(chosen.in_words(&String::from_utf8_lossy(&line)).as_bytes())?;
    }
}

/// Links the files of a folder, and of folders in it so deep; nothing where there is none.
fn linked(from: &Path, to: &Path, depth: usize) -> Result<(), FormError> {
    let Ok(entries) = fs::read_dir(from) else { return Ok(()) };
    fs::create_dir_all(to).map_err(|error| at(to, error))?;
    for entry in entries.flatten() {
        let (path, target): (PathBuf, PathBuf) = (entry.path(), to.join(entry.file_name()));
        match entry.file_type() {
            Ok(kind) if kind.is_file() => one(&path, &target)?,
            Ok(kind) if kind.is_dir() && depth > 0 => linked(&path, &target, depth - 1)?,
            _ => {}
        }
    }
    Ok(())
}

/// Links a file, unless it is itself a link: that may lead to what was never meant to be shown.
pub fn one(from: &Path, to: &Path) -> Result<(), FormError> {
    let is_file = fs::symlink_metadata(from).is_ok_and(|found| found.is_file());
    if is_file && !to.exists() {
        link(from, to)?;
    }
    Ok(())
}
