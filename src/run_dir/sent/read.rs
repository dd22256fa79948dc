//! Reading an exported file that anybody may have made: bounded, strict, and with its place in every error.

use std::collections::HashSet;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::value::RawValue;

use super::{Came, Chain, FORMAT, SentRun};
use crate::experiment::{alert, identity, validate};
use crate::run_dir::records::{RunRecord, SentFrom};
use crate::run_dir::{PROTOCOL, is_plain_name, read};

/// Bytes of an exported file that is read, and of what is packed in it: a hundred times what ours have.
const MOST_OF_FILE: u64 = 256 << 20;
const MOST_OF_FACTS: u64 = 64 << 20;
const MOST_RUNS: usize = 10_000;
/// Bytes of what it says of one run. As a tree JSON takes many times its length, so no more of it than this
/// is ever made one.
const MOST_OF_RUN: usize = 1 << 20;
/// More steps than an experiment may have are a mistake, and would not add up.
const MOST_OF_STEPS: u64 = 1 << 40;
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
    let json = unpacked(file, &bytes)?;
    drop(bytes);
    let damaged = |reason: String| SentError::Packed { file: file.to_owned(), reason };
    let form: Form = serde_json::from_slice(&json).map_err(|error| damaged(error.to_string()))?;
    from.program = checked(file, &form)?;
    let wrong = |place: &str, reason: String| SentError::Fact {
        file: file.to_owned(),
        place: place.to_owned(),
        reason,
        way_out: "made by another program, or changed: have it exported anew".to_owned(),
    };
    let facts: Facts = serde_json::from_slice(&json).map_err(|error| wrong("runs", error.to_string()))?;
    let runs = facts.runs.unwrap_or_default();
    if runs.is_empty() {
        return Err(wrong("runs", "there are none".to_owned()));
    }
    if runs.len() > MOST_RUNS {
        return Err(wrong("runs", format!("{} of them, and {MOST_RUNS} at most are read", runs.len())));
    }
    let mut known = HashSet::new();
    let (mut read, mut left_out) = (Vec::with_capacity(runs.len()), Vec::new());
    for (index, run) in runs.iter().enumerate() {
        let place = format!("runs[{index}]");
        let at_place = |(below, reason): (String, String)| wrong(&format!("{place}{below}"), reason);
        if run.get().len() > MOST_OF_RUN {
            let (long, most) = (run.get().len() as u64, MOST_OF_RUN as u64);
            let (long, most) = (crate::say::bytes(long), crate::say::bytes(most));
            return Err(wrong(&place, format!("has {long}, and {most} at most are read of one")));
        }
        let outline: Outline = typed(run).map_err(at_place)?;
        if outline.settings.is_none() || outline.imported.is_some() {
            let part =
                |name: Option<String>| name.as_deref().unwrap_or("?").chars().take(100).collect::<String>();
            left_out.push(format!("{}/{}", part(outline.experiment), part(outline.run)));
            continue;
        }
        let sent = one(run, outline.protocol).map_err(at_place)?;
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

/// All of the facts; what stands between the names here is not looked at yet.
#[derive(Deserialize)]
struct Facts<'a> {
    #[serde(borrow, default)]
    runs: Option<Vec<&'a RawValue>>,
}

/// In which form they are: this is read of any version.
#[derive(Deserialize)]
struct Form {
    #[serde(default)]
    format: Option<serde_json::Number>,
    #[serde(default)]
    program: Option<String>,
}

/// Whether there is a run of ours.
#[derive(Deserialize)]
struct Outline {
    #[serde(default)]
    experiment: Option<String>,
    #[serde(default)]
    run: Option<String>,
    #[serde(default)]
    protocol: Option<serde_json::Number>,
    #[serde(default)]
    settings: Option<IgnoredAny>,
    #[serde(default)]
    imported: Option<IgnoredAny>,
}

/// The packed block as JSON.
fn unpacked(file: &Path, html: &[u8]) -> Result<Vec<u8>, SentError> {
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
    Ok(json)
}

/// The version that wrote it, where its form can be read.
fn checked(file: &Path, form: &Form) -> Result<String, SentError> {
    let program = form.program.as_deref().unwrap_or("of an unknown version");
    let program: String = program.chars().take(40).collect();
    let file = file.to_owned();
    match form.format.as_ref().and_then(serde_json::Number::as_u64) {
        None => Err(SentError::Packed { file, reason: "they say no `format`".to_owned() }),
        Some(found) if found < u64::from(FORMAT) => Err(SentError::Older { file, program }),
        Some(found) if found > u64::from(FORMAT) => Err(SentError::Newer { file, program, found }),
        Some(_) => Ok(program),
    }
}

/// A run, and if it cannot be one, the place below it and the reason.
fn one(run: &RawValue, protocol: Option<serde_json::Number>) -> Result<SentRun, (String, String)> {
    if protocol.as_ref().and_then(serde_json::Number::as_u64) != Some(u64::from(PROTOCOL)) {
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
    for (path, value) in &record.varied {
        let short: String = path.chars().take(60).collect();
        match known.get(path) {
            None => return wrong("varied", format!("{short:?} is no setting")),
            // Names of files may have been shortened, so these alone may stand otherwise in the settings.
            Some(is) if is != value && !came.shortened => {
                return wrong("varied", format!("{short:?} is another one in the settings"));
            }
            Some(_) => {}
        }
    }
    if let Some(problem) = came.chain.as_ref().and_then(Chain::problem) {
        return wrong("chain", problem);
    }
    if came.seed != record.settings.train.seed {
        return wrong("seed", format!("is {}, in the settings {}", came.seed, record.settings.train.seed));
    }
    // Where epochs are counted, the data say how many: they are looked at later.
    let steps = match record.settings.train.epochs {
        None => record.settings.total_steps(0),
        Some(_) => record.steps.min(MOST_OF_STEPS),
    };
    if record.steps != steps {
        return wrong("steps", format!("is {}, by the settings {steps}", record.steps));
    }
    if record.steps_per_epoch > MOST_OF_STEPS {
        return wrong("steps_per_epoch", format!("cannot be {}", record.steps_per_epoch));
    }
    if !came.shortened && identity::hash(&record.settings, &record.alerts) != record.hash {
        return wrong("hash", "the settings have another one".to_owned());
    }
    Ok(SentRun { record, came })
}

fn typed<T: DeserializeOwned>(run: &RawValue) -> Result<T, (String, String)> {
    let mut json = serde_json::Deserializer::from_str(run.get());
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let place = if path == "." { String::new() } else { format!(".{path}") };
        (place, error.into_inner().to_string())
    })
}
