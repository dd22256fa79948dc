//! W&B's folders of runs, `offline-run-*` and `run-*`: the file `run-ID.wandb` has all that was logged, as
//! protocol buffers. Field numbers: wandb_internal.proto of the public package.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::files::{Files, Reading, folder, has_ending, head, name, text};
use super::foreign::{Foreign, Wish};
use super::protobuf::{Wire, field, fields};
use super::rows::Clock;
use super::{python_json, wandb_log, yaml};
use crate::run_dir::read;

pub fn claim(files: &mut Files) -> Vec<Reading> {
    let root = files.root.clone();
    let logs =
        files.take(|path| (path == root || has_ending(path, &[".wandb"])) && wandb_log::is_log(&head(path)));
    // Logs that somebody put together in one folder are runs of their own.
    let mut folders: BTreeMap<PathBuf, usize> = BTreeMap::new();
    logs.iter().for_each(|log| *folders.entry(folder(log)).or_default() += 1);
    let reading = |log: PathBuf| {
        let is_alone = log != root && folders.get(&folder(&log)) == Some(&1);
        let place = if is_alone { folder(&log) } else { log.clone() };
        Reading { place, files: vec![log], read: read_run }
    };
    let readings: Vec<Reading> = logs.into_iter().map(reading).collect();
    // What stands beside it is W&B's own, but for files that a person saved there.
    let is_beside = |path: &Path| {
        let own =
            ["config.yaml", "wandb-summary.json", "wandb-metadata.json", "requirements.txt", "output.log"];
        own.contains(&name(path).as_str()) || has_ending(path, &["debug.log", "debug-internal.log"])
    };
    let places: BTreeSet<_> = readings.iter().map(|one| one.place.clone()).collect();
    files.take(|path| is_beside(path) && path.ancestors().skip(1).take(2).any(|at| places.contains(at)));
    readings
}

fn read_run(reading: &Reading, wish: &Wish) -> io::Result<Vec<Foreign>> {
    let mut run =
        Foreign { tool: "W&B", rows: wish.rows(), files: reading.files.clone(), ..Foreign::default() };
    let mut state = State::default();
    for path in &reading.files {
        let damage = wandb_log::each_record(read::open(path)?, |record| take(&mut run, &mut state, record))?;
        if damage.is_cut {
            run.warn(format!(
                "{} is cut off, or still being written: what stands before that was read",
                name(path)
            ));
        }
        if damage.pieces + damage.records > 0 {
            let count = damage.pieces.max(damage.records);
            run.warn(format!("{count} places of {} are damaged and were left out", name(path)));
        }
    }
    let beside = reading.place.join("files");
    if run.settings.is_empty()
        && reading.place.is_dir()
        && beside.symlink_metadata().is_ok_and(|at| at.is_dir())
    {
        from_config(&mut run, &beside.join("config.yaml"));
    }
    if reading.place.is_dir() && beside.symlink_metadata().is_ok_and(|at| at.is_dir()) {
        summary_file(&mut run, &mut state, &beside.join("wandb-summary.json"));
    }
    from_summary(&mut run, &mut state);
    if state.left > 0 {
        run.warn(format!("{} values that are words, pictures or tables were left out", state.left));
    }
    run.settings.retain(|path, _| !path.starts_with("_wandb"));
    Ok(vec![run])
}

/// `wandb-summary.json`: what the log does not say, as that was cut off, or the run put there by hand.
fn summary_file(run: &mut Foreign, state: &mut State, path: &Path) {
    const LARGEST: u64 = 16 << 20;
    let is_file = path.symlink_metadata().is_ok_and(|file| file.is_file());
    let Ok((text, _)) = text(path, if is_file { LARGEST } else { 0 }) else { return };
    let (Value::Object(told), is_whole) = python_json::read(text.as_bytes()) else { return };
    if !is_whole {
        run.warn("wandb-summary.json is cut off or damaged: what stands before that was read");
    }
    run.files.push(path.to_owned());
    for (key, value) in told.into_iter().take(MOST_OF_SUMMARY) {
        state.summary.entry(key).or_insert(value);
    }
}

/// Values of the summary that were never logged at a step stand at the last one: best values, results of a test.
fn from_summary(run: &mut Foreign, state: &mut State) {
    let summary = std::mem::take(&mut state.summary);
    let own = |name: &str| summary.get(name).and_then(python_json::number);
    let step = own("_step").unwrap_or(0.0).max(state.last);
    let mut beside = State { known: std::mem::take(&mut state.logged), ..State::default() };
    for (key, value) in summary.iter().filter(|(key, _)| !key.starts_with('_')) {
        leaf(run, &mut beside, step, key, value, 0);
    }
    // A step that was logged has its time.
    if let Some(time) = own("_timestamp").filter(|_| !beside.logged.is_empty() && step > state.last) {
        run.heard(time);
        run.rows.put_clock(step, Clock::Time, time);
    }
}

const MOST_OF_SUMMARY: usize = 2_000;

#[derive(Debug, Default)]
struct State {
    summary: Map<String, Value>,
    /// Keys that are not put again.
    known: BTreeSet<String>,
    /// Those that were put, and the last step.
    logged: BTreeSet<String>,
    last: f64,
    /// Steps that were counted, for logs without.
    rows: u64,
    left: u64,
}

fn take(run: &mut Foreign, state: &mut State, record: &[u8]) {
    for (number, value) in fields(record) {
        let message = value.bytes();
        match number {
            2 => history(run, state, message),
            3 => {
                for (path, value) in items(message) {
                    if state.summary.len() < MOST_OF_SUMMARY {
                        state.summary.insert(path, value);
                    }
                }
            }
            4 => config(run, message),
            17 => about(run, message),
            18 => {
                run.has_ended = true;
                if field(message, 1).is_some_and(|code| code.integer() != 0) {
                    run.warn("W&B says that it ended with an error");
                }
            }
            _ => {}
        }
    }
}

/// What is said of the run at its begin.
fn about(run: &mut Foreign, message: &[u8]) {
    let said = |number| field(message, number).map(Wire::text).filter(|text| !text.is_empty());
    run.experiment = said(3).or(run.experiment.take());
    if let Some(name) = said(8).or_else(|| said(1)) {
        run.name = name;
    }
    run.notes = said(9).unwrap_or_default();
    run.tags =
        fields(message).filter(|(number, _)| *number == 10).map(|(_, tag)| tag.text()).take(50).collect();
    for (number, name) in [(6, "wandb.group"), (7, "wandb.job_type"), (12, "wandb.sweep")] {
        if let Some(text) = said(number) {
            run.add_settings(name, text.into());
        }
    }
    if let Some(config_said) = field(message, 4) {
        config(run, config_said.bytes());
    }
    if let Some(time) = field(message, 17).and_then(|time| field(time.bytes(), 1)) {
        run.heard(time.integer() as f64);
    }
}

fn config(run: &mut Foreign, message: &[u8]) {
    for (path, value) in items(message) {
        if !path.starts_with("_wandb") {
            run.add_settings(&path, value);
        }
    }
}

/// Values of a message by their dotted keys. New versions write them by their kind, older ones as JSON.
fn items(message: &[u8]) -> impl Iterator<Item = (String, Value)> {
    fields(message).filter(|(number, _)| *number == 1).filter_map(|(_, item)| {
        let (mut keys, mut value) = (Vec::new(), None);
        for (number, field) in fields(item.bytes()) {
            match number {
                1 if !field.bytes().is_empty() => keys = vec![field.text()],
                2 => keys.push(field.text()),
                4 => value = Some((field.integer() != 0).into()),
                5 => {
                    // Zigzag: the sign is the last bit.
                    let bits = field.integer();
                    value = Some(((bits >> 1) as i64 ^ -((bits & 1) as i64)).into());
                }
                6 => value = Some(number_or_word(field.double())),
                7 => value = Some(field.text().into()),
                8 | 16 => value = Some(python_json::read(field.bytes()).0),
                _ => {}
            }
        }
        (!keys.is_empty()).then(|| (keys.join("."), value.unwrap_or_default()))
    })
}

fn number_or_word(value: f64) -> Value {
    let word = if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    };
    serde_json::Number::from_f64(value).map_or_else(|| word.into(), Value::Number)
}

fn history(run: &mut Foreign, state: &mut State, message: &[u8]) {
    let values: Vec<(String, Value)> = items(message).collect();
    let own = |name: &str| {
        values.iter().find(|(key, _)| key == name).and_then(|(_, value)| python_json::number(value))
    };
    let counted = field(message, 2).map(|step| field(step.bytes(), 1).map_or(0, Wire::integer));
    let step = own("_step").or(counted.map(|step| step as f64)).unwrap_or(state.rows as f64);
    state.rows += 1;
    state.last = state.last.max(step);
    if let Some(time) = own("_timestamp") {
        run.heard(time);
        run.rows.put_clock(step, Clock::Time, time);
    }
    if let Some(elapsed) = own("_runtime") {
        run.rows.put_clock(step, Clock::Elapsed, elapsed);
    }
    if let Some(epoch) = own("epoch") {
        run.rows.put_clock(step, Clock::Epoch, epoch);
    }
    put(run, state, step, &values);
}

fn put(run: &mut Foreign, state: &mut State, step: f64, values: &[(String, Value)]) {
    for (key, value) in values.iter().filter(|(key, _)| !key.starts_with('_') && key != "epoch") {
        leaf(run, state, step, key, value, 0);
    }
}

/// Values in each other have dotted names, as in W&B's charts.
fn leaf(run: &mut Foreign, state: &mut State, step: f64, key: &str, value: &Value, depth: usize) {
    match value {
        // A picture, a table, a histogram: a description of a file beside.
        Value::Object(fields) if fields.contains_key("_type") || depth > 8 => state.left += 1,
        Value::Object(fields) => {
            for (name, value) in fields {
                leaf(run, state, step, &format!("{key}.{name}"), value, depth + 1);
            }
        }
        _ => match python_json::number(value) {
            Some(_) if state.known.contains(key) => {}
            Some(value) => {
                const MOST: usize = 10_000;
                if state.logged.len() < MOST && !state.logged.contains(key) {
                    state.logged.insert(key.to_owned());
                }
                run.rows.put(step, key, value);
            }
            None => state.left += u64::from(!value.is_null()),
        },
    }
}

/// `config.yaml`, in which each setting has its value below `value`.
fn from_config(run: &mut Foreign, path: &Path) {
    let Ok((text, _)) = text(path, 1 << 20) else { return };
    let Value::Object(settings) = yaml::read(&text).0 else { return };
    for (name, about) in settings {
        if let Some(value) = about.get("value").filter(|_| !name.starts_with("_wandb")) {
            run.add_settings(&name, value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::protobuf::written::{bytes, double, integer};

    fn item(keys: &[&str], value: Vec<u8>) -> Vec<u8> {
        let keys: Vec<u8> = keys.iter().flat_map(|key| bytes(2, key.as_bytes())).collect();
        bytes(1, &[keys, value].concat())
    }

    fn row(step: u64) -> Vec<u8> {
        let step_said = item(&["_step"], bytes(16, step.to_string().as_bytes()));
        let loss = item(&["val", "loss"], double(6, 0.5));
        let count = item(&["count"], integer(5, 3));
        let nan = bytes(1, &[bytes(1, b"odd"), bytes(16, b"NaN")].concat());
        let word = item(&["word"], bytes(16, b"\"x\""));
        bytes(2, &[step_said, loss, count, nan, word].concat())
    }

    #[test]
    fn a_run_has_its_history_settings_and_names_and_a_cut_one_what_it_has() {
        let about = [
            bytes(3, b"digits"),
            bytes(4, &item(&["model"], bytes(16, b"{\"depth\": 3}"))),
            bytes(8, b"../../first"),
            bytes(10, b"tag"),
            bytes(17, &integer(1, 1_700_000_000)),
        ];
        let file = wandb_log::written(&[bytes(17, &about.concat()), row(0), row(20), bytes(18, b"")]);
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("wandb/offline-run-1-abc");
        std::fs::create_dir_all(place.join("files")).unwrap();
        std::fs::write(place.join("files/wandb-summary.json"),
            r#"{"_step": 20, "_timestamp": 1700000100.5, "count": 9, "val": {"loss": 7}, "test": {"acc": 0.75}, "best": NaN, "table": {"_type": "table"}}"#).unwrap();
        let read = |file: &[u8]| {
            std::fs::write(place.join("run-abc.wandb"), file).unwrap();
            let mut files = Files::of(folder.path()).unwrap();
            let readings = claim(&mut files);
            assert_eq!((readings.len(), files.left.len(), readings[0].place == place), (1, 0, true));
            (readings[0].read)(&readings[0], &Wish::default()).unwrap().remove(0)
        };
        let run = read(&file);
        assert_eq!((run.experiment.as_deref(), run.name.as_str()), (Some("digits"), "../../first"));
        assert_eq!(serde_json::to_string(&run.settings).unwrap(), r#"{"model.depth":3}"#);
        assert!(run.has_ended && run.tags == ["tag"] && run.started == Some(1.7e9));
        let table = run.rows.clone().table();
        assert_eq!(table.columns()[4..], ["val.loss", "count", "odd", "test.acc", "best"]);
        let row = &table.rows()[1];
        assert_eq!(row[..3], [Some(20.0), None, None], "a step that was logged has its own time, or none");
        assert_eq!((row[4], row[5], row[7]), (Some(0.5), Some(-2.0), Some(0.75)));
        assert!(row[6].is_some_and(f64::is_nan) && row[8].is_some_and(f64::is_nan));
        assert_eq!(run.warnings, ["2 values that are words, pictures or tables were left out"]);
        let cut = read(&file[..file.len() - 20]);
        assert_eq!(cut.rows.clone().table().rows().len(), 2, "the summary has the step that the log lost");
        assert!(!cut.has_ended && cut.warnings[0].contains("cut off"), "{:?}", cut.warnings);
    }

    #[test]
    fn logs_that_were_put_into_one_folder_are_runs_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["run-a.wandb", "run-b.wandb"] {
            std::fs::write(folder.path().join(name), wandb_log::written(&[row(0)])).unwrap();
        }
        let readings = claim(&mut Files::of(folder.path()).unwrap());
        let places: Vec<String> = readings.iter().map(|one| name(&one.place)).collect();
        assert_eq!(places, ["run-a.wandb", "run-b.wandb"]);
    }
}
