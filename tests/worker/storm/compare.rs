//! What must be the same after a storm, and what must not be there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use overnight::experiment::metric::Metric;
use overnight::run_dir::certificate::starts;
use overnight::run_dir::metrics::Metrics;
use overnight::run_dir::records::{Attempt, Event};
use overnight::run_dir::{RunDir, read};

use super::place::Place;
use super::result;
use super::thunder::Struck;

/// Every run of both finished, at the same bits: rows, weights, averages, evaluations, samples, history.
/// Gives the attempts that the disturbed ones took.
pub fn assert_same_bits(calm: &Place, storm: &Place) -> u64 {
    let (before, after) = (by_name(calm), by_name(storm));
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    let mut attempts = 0;
    for (name, calm) in &before {
        let storm = &after[name];
        assert!(storm.result().is_file(), "{name} did not finish");
        let (undisturbed, disturbed) = (result(calm), result(storm));
        assert_eq!(undisturbed.step, disturbed.step, "{name}");
        assert_eq!(cells(calm), cells(storm), "the metrics of {name} differ");
        assert_eq!(undisturbed.history, disturbed.history, "the history of {name} differs");
        assert_eq!(undisturbed.best, disturbed.best, "{name}");
        let step = undisturbed.last_checkpoint;
        let (one, other) = (calm.checkpoint(step), storm.checkpoint(step));
        same(&one.model(), &other.model());
        same(&one.optimizer(), &other.optimizer());
        same(&calm.evaluation(), &storm.evaluation());
        let samples = |run: &RunDir| names(&run.samples());
        assert_eq!(samples(calm), samples(storm), "the samples of {name}");
        for sample in samples(calm) {
            same(&calm.samples().join(&sample), &storm.samples().join(&sample));
        }
        attempts += u64::from(disturbed.attempts);
    }
    attempts
}

/// Attempts follow each other: none wrote an event once the next had begun, and none were alive together.
pub fn assert_nothing_ran_twice(place: &Place, struck: &Struck) {
    assert!(struck.most_at_once <= 1, "{} processes were at one run", struck.most_at_once);
    for (name, run) in by_name(place) {
        let lines = read::lines::<Attempt>(&run.attempts()).unwrap();
        assert!(lines.bad.is_empty(), "{name}: {:?}", lines.bad);
        let numbers: Vec<u32> = starts(&lines.records).map(|start| start.attempt).collect();
        assert_eq!(numbers, (1..=numbers.len() as u32).collect::<Vec<_>>(), "{name}");
        let events: Vec<Event> = read::lines(&run.events()).unwrap().records;
        let in_order = events.windows(2).all(|pair| pair[0].attempt <= pair[1].attempt);
        assert!(in_order, "two attempts at {name} wrote events at the same time");
    }
}

/// No temporary file or folder, and no checkpoint that was set aside.
pub fn assert_no_leftovers(place: &Place) {
    let mut left = Vec::new();
    for folder in ["runs", "batches"] {
        find_leftovers(&place.path().join(folder), &mut left);
    }
    assert!(left.is_empty(), "left over: {left:?}");
}

/// The run that was disturbed the most, replayed from its beginning to its end.
pub fn assert_verified(place: &Place) {
    let runs = by_name(place);
    let most = runs.iter().max_by_key(|(_, run)| result(run).attempts).expect("there are runs");
    let output = place.overnight().args(["verify", most.0, "--all"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    println!("verify: {}", said.lines().next().unwrap_or_default());
}

fn by_name(place: &Place) -> BTreeMap<String, RunDir> {
    place.runs().into_iter().map(|run| (format!("{}/{}", run.experiment(), run.name()), run)).collect()
}

/// Every cell that must reproduce, by column and row.
fn cells(run: &RunDir) -> BTreeMap<(String, u32), u64> {
    let metrics = Metrics::read(&run.metrics()).unwrap();
    assert!(metrics.bad.is_empty(), "{:?}", metrics.bad);
    let must_reproduce = |name: &str| Metric::named(name).is_none_or(|metric| metric.reproducible);
    let columns = metrics.columns.iter().filter(|column| must_reproduce(&column.name));
    let cells = columns.flat_map(|column| {
        let cells = column.rows.iter().zip(&column.values);
        cells.map(|(row, value)| ((column.name.clone(), *row), value.to_bits()))
    });
    cells.collect()
}

fn same(one: &Path, other: &Path) {
    let read = |path: &Path| fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(read(one) == read(other), "{} differs", other.display());
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn find_leftovers(folder: &Path, left: &mut Vec<PathBuf>) {
    for name in names(folder) {
        let path = folder.join(&name);
        let is_temporary = name.starts_with(".new-") || name.starts_with(".verify-");
        if is_temporary || name.contains(".damaged") {
            left.push(path);
        } else if path.is_dir() {
            find_leftovers(&path, left);
        }
    }
}
