//! Reading an exported file that anybody may have made: bounded, strict, and with its place in every error.

use std::collections::HashSet;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Came, Chain, FORMAT, SentRun};
use crate::experiment::{alert, identity, validate};
use crate::run_dir::records::{RunRecord, SentFrom};
use crate::run_dir::{PROTOCOL, is_plain_name, read};

/// Bytes of an exported file that is read, and of what is packed in it: a hundred times what ours have.
const MOST_OF_FILE: u64 = 256 << 20;
const MOST_OF_FACTS: u64 = 64 << 20;
const MOST_RUNS: usize = 10_000;
/// What stands before the facts.
const BEGIN: &str = "<script type=\"application/gzip;base64\" id=\"facts\">";

/// Why an exported file cannot be taken at its word: the file, the place in it, and the way out.
#[derive(Debug, thiserror::Error)]
pub enum SentError {
    #[error("{}: {error}", file.display())]
    Read { file: PathBuf, error: io::Error },
    #[error("{}: holds no runs of overnight (`overnight export RUN -o FILE.html` makes a file that does)", file.display())]
    NotSent { file: PathBuf },
    #[error("{}: its facts cannot be unpacked: {reason} (damaged on its way? have it sent again)", file.display())]
    Packed { file: PathBuf, reason: String },
    #[error("{}: was written by overnight {program} in an older form, which does not say enough to train again (export the runs anew)", file.display())]
    Older { file: PathBuf, program: String },
    #[error("{}: was written by overnight {program} in form {found}, this program reads {FORMAT} (use a newer version of overnight)", file.display())]
    Newer { file: PathBuf, program: String, found: u64 },
    #[error("{}: {place}: {reason} ({way_out})", file.display())]
    Fact { file: PathBuf, place: String, reason: String, way_out: String },
}

/// What an exported file holds.
#[derive(Debug)]
pub struct Sent {
    pub runs: Vec<SentRun>,
    pub from: SentFrom,
    /// Runs of which it says too little: imported ones, and such as could not be read.
    pub left_out: Vec<String>,
}

/// The runs of an exported file, and what marks those that are made of it.
///
/// # Errors
/// It is no such file, or says of a run what cannot be.
pub fn read(file: &Path) -> Result<Sent, SentError> {
    let bytes = read::bounded(file, MOST_OF_FILE)
        .map_err(|error| SentError::Read { file: file.to_owned(), error })?;
    let mut from = SentFrom {
        file: file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        blake3: blake3::hash(&bytes).to_hex().to_string(),
        program: String::new(),
    };
    let facts = unpacked(file, &bytes)?;
    from.program = checked_form(file, &facts)?;
    let wrong = |place: &str, reason: String| SentError::Fact {
        file: file.to_owned(),
        place: place.to_owned(),
        reason,
        way_out: "made by another program, or changed: have it exported anew".to_owned(),
    };
    let Some(runs) = facts["runs"].as_array().filter(|runs| !runs.is_empty()) else {
        return Err(wrong("runs", "there are none".to_owned()));
    };
    if runs.len() > MOST_RUNS {
        return Err(wrong("runs", format!("{} of them, and {MOST_RUNS} at most are read", runs.len())));
    }
    let mut known = HashSet::new();
    let (mut read, mut left_out) = (Vec::with_capacity(runs.len()), Vec::new());
    for (index, run) in runs.iter().enumerate() {
        let place = format!("runs[{index}]");
        if run["settings"].is_null() || !run["imported"].is_null() {
            let part = |key: &str| run[key].as_str().unwrap_or("?").chars().take(100).collect::<String>();
            left_out.push(format!("{}/{}", part("experiment"), part("run")));
            continue;
        }
        let sent = one(run).map_err(|(below, reason)| wrong(&format!("{place}{below}"), reason))?;
        if !known.insert((sent.record.experiment.clone(), sent.record.run.clone())) {
            let name = format!("{}/{}", sent.record.experiment, sent.record.run);
            return Err(wrong(&place, format!("{name} stands in it twice")));
        }
        read.push(sent);
    }
    if read.is_empty() {
        return Err(wrong(
            "runs",
            "all were imported from other programs, or could not be read there".to_owned(),
        ));
    }
    Ok(Sent { runs: read, from, left_out })
}

/// The packed block as JSON.
fn unpacked(file: &Path, html: &[u8]) -> Result<Value, SentError> {
    let damaged = |reason: String| SentError::Packed { file: file.to_owned(), reason };
    let at = memchr::memmem::rfind(html, BEGIN.as_bytes());
    let Some(at) = at else { return Err(SentError::NotSent { file: file.to_owned() }) };
    let block = &html[at + BEGIN.len()..];
    let Some(end) = memchr::memchr(b'<', block) else {
        return Err(damaged("the file ends in the midst of them".to_owned()));
    };
    let packed = STANDARD.decode(block[..end].trim_ascii()).map_err(|error| damaged(error.to_string()))?;
    let mut json = Vec::new();
    // One byte more than is read tells whether there is more.
    let unpacking = GzDecoder::new(packed.as_slice()).take(MOST_OF_FACTS + 1).read_to_end(&mut json);
    unpacking.map_err(|error| damaged(error.to_string()))?;
    if json.len() as u64 > MOST_OF_FACTS {
        let most = crate::say::bytes(MOST_OF_FACTS);
        return Err(damaged(format!("they grow beyond {most}, which no export of ours does")));
    }
    serde_json::from_slice(&json).map_err(|error| damaged(error.to_string()))
}

/// The version that wrote it, where its form can be read.
fn checked_form(file: &Path, facts: &Value) -> Result<String, SentError> {
    let program: String =
        facts["program"].as_str().unwrap_or("of an unknown version").chars().take(40).collect();
    let file = file.to_owned();
    match facts["format"].as_u64() {
        None => Err(SentError::Packed { file, reason: "they say no `format`".to_owned() }),
        Some(found) if found < u64::from(FORMAT) => Err(SentError::Older { file, program }),
        Some(found) if found > u64::from(FORMAT) => Err(SentError::Newer { file, program, found }),
        Some(_) => Ok(program),
    }
}

/// A run, and if it cannot be one, the place below it and the reason.
fn one(run: &Value) -> Result<SentRun, (String, String)> {
    let protocol = run["protocol"].as_u64();
    if protocol != Some(u64::from(PROTOCOL)) {
        let found = protocol.map_or("none".to_owned(), |found| found.to_string());
        return Err((".protocol".into(), format!("is {found}, this program speaks {PROTOCOL}")));
    }
    // Rules are held to what files of experiments are held to.
    let record: RunRecord = typed(run)?;
    let came: Came = typed(run)?;
    let wrong = |place: &str, reason: String| Err((format!(".{place}"), reason));
    for (place, name) in [("experiment", &record.experiment), ("run", &record.run)] {
        if !is_plain_name(name) {
            let name: String = name.chars().take(60).collect();
            return wrong(place, format!("{name:?} is no name: letters, digits, `.`, `_` and `-`"));
        }
    }
    let is_hash = record.hash.len() == 64 && record.hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hash || !record.run.contains(&record.hash[..8]) {
        return wrong("hash", "is not the one in the run's name".to_owned());
    }
    if let Some(problem) = validate::problems(&record.settings).into_iter().next() {
        return wrong(&format!("settings.{}", problem.path), problem.reason);
    }
    if let Some(problem) = validate::queue_problems(&record.queue).into_iter().next() {
        return wrong(&problem.path, problem.reason);
    }
    let alerts: Vec<_> = record.alerts.iter().cloned().map(Some).collect();
    if let Some(problem) = alert::problems(&alerts, &record.settings).into_iter().next() {
        return wrong(&problem.path, problem.reason);
    }
    for alert in &record.alerts {
        if alert.factor().is_some_and(|factor| !(factor > 0.0 && factor < 1.0)) {
            return wrong("alerts", format!("the rule {:?} does not lower the learning rate", alert.name()));
        }
    }
    let known = identity::flat(&record.settings);
    if let Some((path, _)) = record.varied.iter().find(|(path, _)| !known.contains_key(*path)) {
        let path: String = path.chars().take(60).collect();
        return wrong("varied", format!("{path:?} is no setting"));
    }
    if let Some(problem) = came.chain.as_ref().and_then(Chain::problem) {
        return wrong("chain", problem);
    }
    if came.seed != record.settings.train.seed {
        return wrong("seed", format!("is {}, in the settings {}", came.seed, record.settings.train.seed));
    }
    if !came.shortened && identity::hash(&record.settings, &record.alerts) != record.hash {
        return wrong("hash", "the settings have another one".to_owned());
    }
    Ok(SentRun { record, came })
}

fn typed<T: DeserializeOwned>(run: &Value) -> Result<T, (String, String)> {
    serde_path_to_error::deserialize(run).map_err(|error| {
        let path = error.path().to_string();
        let place = if path == "." { String::new() } else { format!(".{path}") };
        (place, error.into_inner().to_string())
    })
}
