//! MLflow's `mlruns` folder: for each run a `meta.yaml`, and a file for each parameter, metric and tag. What was
//! deleted there stays deleted, and of artifacts texts and pictures are read.

mod artifacts;
pub mod database;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::files::{Files, Reading, each_line, folder, name, text};
use super::foreign::{Foreign, Wish};
use super::rows::Clock;
use super::yaml;

/// A `meta.yaml`, a parameter or a tag is smaller than that.
const LARGEST_TEXT: u64 = 64 << 10;
/// A metric file of millions of lines is smaller than that.
const LARGEST_METRIC: u64 = 256 << 20;
/// Files of a kind that are read of a run.
const MOST_OF_A_KIND: usize = 2_000;
/// Artifacts that are named.
const MOST_NAMED: usize = 20;

/// What a folder with a `meta.yaml` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Experiment,
    Run,
    Model,
    Deleted,
}

/// Takes the folders of experiments with all that lies in them.
pub fn claim(files: &mut Files) -> Vec<Reading> {
    let kinds: BTreeMap<PathBuf, Kind> = files
        .left
        .iter()
        .filter(|path| name(path) == "meta.yaml")
        .filter_map(|path| Some((folder(path), kind(path)?)))
        .collect();
    let mut runs: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    let (mut deleted, mut models) = (BTreeMap::new(), BTreeMap::new());
    let mut left = Vec::new();
    for path in std::mem::take(&mut files.left) {
        let above: Vec<_> = path.ancestors().filter_map(|at| kinds.get_key_value(at)).collect();
        // An experiment that was deleted takes its runs along.
        let gone = above.iter().find(|(_, kind)| **kind == Kind::Deleted);
        match gone.or(above.first()) {
            None => left.push(path),
            Some((at, Kind::Run)) => runs.entry((*at).clone()).or_default().push(path),
            Some((at, Kind::Deleted)) => *deleted.entry((*at).clone()).or_insert(0) += 1,
            Some((at, Kind::Model)) => *models.entry((*at).clone()).or_insert(0) += 1,
            Some((_, Kind::Experiment)) => {}
        }
    }
    files.left = left;
    let shown = |places: &BTreeMap<PathBuf, i32>| {
        let names: Vec<String> = places.keys().take(MOST_NAMED).map(|place| name(place)).collect();
        let more = if places.len() > MOST_NAMED { ", ..." } else { "" };
        format!("{}{more}", names.join(", "))
    };
    if !deleted.is_empty() {
        files.said.push(format!("deleted in MLflow, so left out: {}", shown(&deleted)));
    }
    if !models.is_empty() {
        files
            .said
            .push(format!("models that MLflow holds beside its runs were left out: {}", shown(&models)));
    }
    runs.into_iter().map(|(place, files)| Reading { place, files, read }).collect()
}

fn kind(meta: &Path) -> Option<Kind> {
    let about = object(meta);
    let has = |name: &str| about.get(name).is_some_and(|value| !value.is_null());
    match () {
        () if about.get("lifecycle_stage").and_then(Value::as_str) == Some("deleted") => Some(Kind::Deleted),
        () if has("run_id") || has("run_uuid") => Some(Kind::Run),
        () if has("model_id") => Some(Kind::Model),
        () if has("experiment_id") && has("artifact_location") => Some(Kind::Experiment),
        () => None,
    }
}

fn object(meta: &Path) -> Map<String, Value> {
    let text = text(meta, LARGEST_TEXT).map(|(text, _)| text).unwrap_or_default();
    match yaml::read(&text).0 {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn word(value: Option<&Value>) -> Option<String> {
    value.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

fn read(reading: &Reading, wish: &Wish) -> io::Result<Vec<Foreign>> {
    let mut run = Foreign { tool: "MLflow", rows: wish.rows(), ..Foreign::default() };
    let about = object(&reading.place.join("meta.yaml"));
    let experiment = object(&folder(&reading.place).join("meta.yaml"));
    run.experiment = word(experiment.get("name"));
    run.name = word(about.get("run_name"))
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| name(&reading.place).chars().take(8).collect());
    for time in ["start_time", "end_time"] {
        // Milliseconds; before it ended there is none.
        if let Some(time) = about.get(time).and_then(Value::as_f64) {
            run.heard(time / 1000.0);
        }
    }
    // 1 is at work and 2 waits; 3 finished, 4 failed and 5 was killed.
    run.has_ended = about.get("status").and_then(Value::as_u64).is_some_and(|status| status >= 3);
    if about.get("status").and_then(Value::as_u64).is_some_and(|status| status > 3) {
        run.warn("MLflow says that it failed or was killed");
    }
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut last = 0.0_f64;
    let mut artifacts = BTreeMap::new();
    for path in &reading.files {
        let Ok(below) = path.strip_prefix(&reading.place) else { continue };
        let mut parts = below.iter().map(|part| part.to_string_lossy().into_owned());
        let of = parts.next().unwrap_or_default();
        let called = parts.collect::<Vec<_>>().join("/");
        if of == "artifacts" {
            artifacts.insert(called, path.clone());
            continue;
        }
        let is_read = matches!(of.as_str(), "params" | "metrics" | "tags") && !called.is_empty();
        if !is_read && of != "meta.yaml" {
            continue;
        }
        let count = counts.entry(of.clone()).or_default();
        *count += 1;
        if *count > MOST_OF_A_KIND {
            continue;
        }
        let is_too_large = path.metadata()?.len() > LARGEST_METRIC;
        if is_too_large {
            run.warn(format!("{of}/{called} was left out: it has more than {} MiB", LARGEST_METRIC >> 20));
            continue;
        }
        match of.as_str() {
            "params" => {
                let (value, is_whole) = text(path, LARGEST_TEXT)?;
                if !is_whole {
                    run.warn(format!("params/{called} was cut off after {} KiB", LARGEST_TEXT >> 10));
                }
                run.add_settings(&called, yaml::word(value.trim_end_matches('\n')));
            }
            "metrics" => last = last.max(metric(&mut run, path, &called)?),
            "tags" => {
                let (text, _) = text(path, LARGEST_TEXT)?;
                tag(&mut run, &called, &text, |parent| name_beside(&reading.place, parent));
            }
            _ => {}
        }
        run.files.push(path.clone());
    }
    for (of, count) in counts.iter().filter(|(_, count)| **count > MOST_OF_A_KIND) {
        run.warn(format!("{} of its {of} were left out, beyond {MOST_OF_A_KIND}", count - MOST_OF_A_KIND));
    }
    artifacts::take(&mut run, artifacts, last)?;
    Ok(vec![run])
}

/// Lines of `milliseconds value step`, of which old versions have no step and new ones a data set's name behind.
fn metric(run: &mut Foreign, path: &Path, called: &str) -> io::Result<f64> {
    let (mut points, mut damaged) = (Vec::new(), 0_u64);
    let too_long = each_line(path, |line, is_whole| {
        let text = String::from_utf8_lossy(line);
        let mut words = text.split_ascii_whitespace().map(|word| word.parse::<f64>().ok());
        let (time, value, step) = (words.next(), words.next(), words.next());
        match (time.flatten(), value.flatten(), step.unwrap_or(Some(0.0))) {
            // A line without its end may be a step without its last digits.
            (Some(time), Some(value), Some(step)) if is_whole => points.push((step, time, value)),
            _ => damaged += u64::from(!line.is_empty()),
        }
    })?;
    if damaged + too_long > 0 {
        run.warn(format!("{} lines of metrics/{called} are cut off or damaged", damaged + too_long));
    }
    Ok(put(run, called, points))
}

/// A step, milliseconds since 1970 and a value.
type Point = (f64, f64, f64);

/// Puts the points of a metric; its last step comes back.
fn put(run: &mut Foreign, called: &str, mut points: Vec<Point>) -> f64 {
    // Programs log from several places at once: the order of lines says nothing, their time does.
    points.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.total_cmp(&other.1)));
    for (step, time, value) in &points {
        run.heard(time / 1000.0);
        run.rows.put_clock(*step, Clock::Time, time / 1000.0);
        run.rows.put(*step, called, *value);
    }
    points.last().map_or(0.0, |(step, _, _)| *step)
}

/// The name of the run in a folder beside this one.
fn name_beside(place: &Path, run: &str) -> Option<String> {
    // A name out of the source: it may lead nowhere else.
    let is_id = !run.is_empty() && run.chars().all(|letter| letter.is_ascii_alphanumeric());
    let beside = folder(place).join(run).join("meta.yaml");
    is_id.then(|| word(object(&beside).get("run_name"))).flatten()
}

fn tag(run: &mut Foreign, called: &str, text: &str, name_of: impl Fn(&str) -> Option<String>) {
    const MOST: usize = 50;
    match called {
        "mlflow.note.content" => text.clone_into(&mut run.notes),
        "mlflow.parentRunId" => {
            run.add_settings("mlflow.parent", name_of(text).unwrap_or_else(|| text.to_owned()).into());
        }
        "mlflow.source.git.commit" => run.add_settings("mlflow.git_commit", text.into()),
        _ if called.starts_with("mlflow.") => {}
        _ if run.tags.len() < MOST => {
            let tag: String = format!("{called}={text}").chars().take(100).collect();
            run.tags.push(tag.replace(char::is_control, " "));
        }
        _ => run.warn(format!("tags beyond {MOST} were left out")),
    }
}

#[cfg(test)]
mod tests;
