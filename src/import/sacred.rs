//! Sacred's file storage: for each run a folder with `run.json`, `config.json`, `metrics.json` and what it printed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::files::{Files, Reading, folder, name, whole};
use super::foreign::{Foreign, LONGEST_TEXT, Wish};
use super::python_json;
use super::rows::Clock;
use crate::run_dir::read;

pub fn claim(files: &mut Files) -> Vec<Reading> {
    let is_run = |path: &&PathBuf| name(path) == "run.json" && is_of_sacred(&super::files::head(path));
    let places: BTreeSet<PathBuf> = files.left.iter().filter(is_run).map(|path| folder(path)).collect();
    let own = ["run.json", "config.json", "metrics.json", "cout.txt", "info.json"];
    let taken = files.take(|path| places.contains(&folder(path)) && own.contains(&name(path).as_str()));
    let mut found: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    for path in taken {
        found.entry(folder(&path)).or_default().push(path);
    }
    found.into_iter().map(|(place, files)| Reading { place, files, read: read_run }).collect()
}

/// Whether a `run.json` is Sacred's: many programs call a file so. It writes its fields in the order of their
/// names, so one that is cut off early has the first of them.
fn is_of_sacred(head: &[u8]) -> bool {
    let about = python_json::read(head).0;
    let has = |names: &[&str]| names.iter().all(|name| about.get(name).is_some());
    let is_told = about.get("experiment").is_some_and(Value::is_object);
    is_told && has(&["heartbeat", "start_time"]) || has(&["artifacts", "captured_out", "command"])
}

fn read_run(reading: &Reading, wish: &Wish) -> io::Result<Vec<Foreign>> {
    let mut run =
        Foreign { tool: "Sacred", rows: wish.rows(), files: reading.files.clone(), ..Foreign::default() };
    let mut last = 0.0_f64;
    for file in ["run.json", "config.json", "metrics.json"] {
        let Some(path) = reading.files.iter().find(|path| name(path) == file) else { continue };
        let (value, is_whole) = python_json::read(&whole(path)?);
        if !is_whole {
            run.warn(format!("{file} is cut off or damaged: what stands before that was read"));
        }
        match file {
            "run.json" => about(&mut run, &value),
            "config.json" => run.add_settings("", value),
            _ => last = metrics(&mut run, &value),
        }
    }
    if let Some(path) = reading.files.iter().find(|path| name(path) == "cout.txt") {
        let end = end_of(path)?;
        if !end.trim().is_empty() {
            run.add_text(last as u64, "cout.txt", &end);
        }
    }
    Ok(vec![run])
}

fn about(run: &mut Foreign, value: &Value) {
    let said = |path: &str| value.pointer(path).and_then(Value::as_str).unwrap_or_default();
    run.experiment = Some(said("/experiment/name").to_owned()).filter(|name| !name.is_empty());
    run.notes = said("/meta/comment").to_owned();
    for path in ["/start_time", "/heartbeat", "/stop_time"] {
        if let Some(time) = time(said(path)) {
            run.heard(time);
        }
    }
    let status = said("/status");
    run.has_ended = !matches!(status, "" | "RUNNING" | "QUEUED");
    if run.has_ended && status != "COMPLETED" {
        run.warn(format!("Sacred says: {}", status.chars().take(40).collect::<String>()));
    }
}

/// Its times are of Greenwich, and do not say so.
fn time(text: &str) -> Option<f64> {
    let text = if text.ends_with('Z') || text.contains('+') { text.to_owned() } else { format!("{text}Z") };
    Some(text.parse::<jiff::Timestamp>().ok()?.as_microsecond() as f64 / 1e6)
}

/// The last step comes back.
fn metrics(run: &mut Foreign, value: &Value) -> f64 {
    let mut newest = 0.0_f64;
    for (metric, logged) in value.as_object().into_iter().flatten() {
        let list = |name: &str| logged.get(name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let (steps, values, times) = (list("steps"), list("values"), list("timestamps"));
        if steps.len() != values.len() {
            run.warn(format!("{metric}: its steps and its values are not equally many"));
        }
        for (place, (step, value)) in steps.iter().zip(values).enumerate() {
            let (Some(step), Some(value)) = (python_json::number(step), python_json::number(value)) else {
                continue;
            };
            if let Some(time) = times.get(place).and_then(Value::as_str).and_then(time) {
                run.heard(time);
                run.rows.put_clock(step, Clock::Time, time);
            }
            run.rows.put(step, metric, value);
            newest = newest.max(step);
        }
    }
    newest
}

fn end_of(path: &Path) -> io::Result<String> {
    let mut file = read::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LONGEST_TEXT as u64)))?;
    let mut end = Vec::new();
    file.take(LONGEST_TEXT as u64).read_to_end(&mut end)?;
    Ok(String::from_utf8_lossy(&end).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn run(metrics: &str) -> Foreign {
        let scene = tempfile::tempdir().unwrap();
        let place = scene.path().join("1");
        fs::create_dir(&place).unwrap();
        let about = r#"{"experiment": {"name": "digits"}, "heartbeat": "2026-01-01T00:00:10.000000",
            "meta": {"comment": "good"}, "start_time": "2026-01-01T00:00:00.500000", "status": "COMPLETED"}"#;
        fs::write(place.join("run.json"), about).unwrap();
        fs::write(place.join("config.json"), r#"{"lr": 0.1, "model": {"depth": 3}, "seed": 7}"#).unwrap();
        fs::write(place.join("metrics.json"), metrics).unwrap();
        fs::write(place.join("cout.txt"), "said\n").unwrap();
        let mut files = Files::of(scene.path()).unwrap();
        let readings = claim(&mut files);
        assert_eq!((readings.len(), files.left.len()), (1, 0));
        read_run(&readings[0], &Wish::default()).unwrap().remove(0)
    }

    const METRICS: &str = r#"{"loss": {"steps": [0, 5], "timestamps": ["2026-01-01T00:00:01", "2026-01-01T00:00:02"],
        "values": [NaN, {"dtype": "float64", "py/object": "numpy.float64", "value": 0.5}]}, "z": {"steps": [0], "values": [2]}}"#;

    #[test]
    fn a_run_has_its_settings_metrics_times_and_what_it_printed() {
        let run = run(METRICS);
        assert_eq!(
            (run.experiment.as_deref(), run.notes.as_str(), run.has_ended),
            (Some("digits"), "good", true)
        );
        assert_eq!(run.started, Some(1_767_225_600.5));
        assert_eq!(run.settings.len(), 3);
        assert_eq!(run.texts[0].text, "said\n");
        let table = run.rows.clone().table();
        assert_eq!(table.columns()[4..], ["loss", "z"]);
        assert_eq!(table.rows()[1][4], Some(0.5));
        assert!(table.rows()[0][4].is_some_and(f64::is_nan) && run.warnings.is_empty());
    }

    #[test]
    fn a_file_of_this_name_by_another_program_is_none_of_sacreds() {
        for (text, is_ours) in [
            (r#"{"experiment": "x", "run": "y", "settings": {}}"#, false),
            (r#"{"experiment": {"name": "x"}, "status": "RUNNING", "start_time": "now"}"#, false),
            (r#"["experiment", "heartbeat"]"#, false),
            ("", false),
            (r#"{"artifacts": [], "captured_out": "", "command": "main", "experiment": {"base_dir""#, true),
            (r#"{"experiment": {}, "heartbeat": null, "start_time": "2026-01-01T00:00:00"}"#, true),
        ] {
            assert_eq!(is_of_sacred(text.as_bytes()), is_ours, "{text}");
        }
    }

    #[test]
    fn metrics_that_are_cut_off_give_what_they_have() {
        let run = run(&METRICS[..METRICS.find(", \"z\"").unwrap() - 2]);
        assert_eq!(run.rows.clone().table().rows().len(), 2);
        assert!(run.warnings[0].starts_with("metrics.json is cut off"), "{:?}", run.warnings);
    }
}
