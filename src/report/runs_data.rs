//! The data behind the page of all runs: scripts of some hundred runs each that register their rows.
//!
//! A run that changed makes one of them new, not all: with ten thousand runs the whole is megabytes. The
//! order is that of queueing, so new runs come last and leave the others where they are.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io;

use serde::Serialize;
use serde_json::{Value, json};

use super::chart::backend::series_class;
use super::common;
use super::rows;
use super::say::Clock;
use super::site::Site;
use super::summary::RunSummary;

/// Runs of one script.
const RUNS: usize = 500;
/// Metrics that have a column.
const METRICS: usize = 200;

/// What was written of the scripts, by their place.
#[derive(Debug, Default)]
pub struct Scripts {
    scripts: Vec<Script>,
    /// Metrics that have no column.
    pub metrics_left_out: usize,
}

#[derive(Debug)]
struct Script {
    /// Which runs it was made from, and how they stood.
    from: blake3::Hash,
    /// The name of its content, so that a browser asks for no old one.
    version: String,
}

impl Scripts {
    /// Brings the scripts up to date; returns the versions of all in their order.
    ///
    /// # Errors
    /// A script cannot be written.
    pub fn publish(
        &mut self,
        site: &Site,
        runs: &[&RunSummary],
        clock: &Clock,
        written: &mut Vec<String>,
    ) -> io::Result<Vec<String>> {
        let mut runs = runs.to_vec();
        runs.sort_by(|one, other| {
            one.created.total_cmp(&other.created).then_with(|| order(one).cmp(&order(other)))
        });
        let named = common::metrics(&runs, METRICS);
        self.metrics_left_out = named.left_out;
        for (place, runs) in runs.chunks(RUNS).enumerate() {
            let from = state_of(runs, &named.names);
            if self.scripts.get(place).is_some_and(|script| script.from == from) {
                continue;
            }
            let (name, below) = (format!("runs-{place}"), path(place));
            let rows = serde_json::to_string(&rows(runs, &named.names, clock)).map_err(io::Error::other)?;
            let rows = with_names_as_keys(&rows);
            let text = format!("(window.overnightData ||= {{}})[\"{name}\"] = {rows};\n");
            if site.publish(&below, text.as_bytes())? {
                written.push(below);
            }
            let version = blake3::hash(text.as_bytes()).to_hex()[..8].to_owned();
            match self.scripts.get_mut(place) {
                Some(script) => *script = Script { from, version },
                None => self.scripts.push(Script { from, version }),
            }
        }
        let count = runs.len().div_ceil(RUNS);
        self.scripts.truncate(count);
        // Runs that are gone leave scripts behind, which nobody would ask for.
        for place in count.. {
            if fs::remove_file(site.root().join(path(place))).is_err() {
                break;
            }
        }
        Ok(self.scripts.iter().map(|script| script.version.clone()).collect())
    }
}

fn path(place: usize) -> String {
    format!("data/runs-{place}.js")
}

fn order(run: &RunSummary) -> (&str, u16, &str) {
    (&run.experiment, run.number, &run.run)
}

/// A script takes the key `__proto__` of a written object for its prototype, unless it is computed. A bare
/// quote behind a brace or a comma begins a text, so no text is touched.
fn with_names_as_keys(json: &str) -> String {
    let computed = |before: &str| format!("{before}[\"__proto__\"]:");
    json.replace("{\"__proto__\":", &computed("{")).replace(",\"__proto__\":", &computed(","))
}

/// Changes whenever a row of these runs could.
fn state_of(runs: &[&RunSummary], metrics: &BTreeSet<String>) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for name in metrics {
        hasher.update(name.as_bytes()).update(b"\0");
    }
    for run in runs {
        let detail = run.state.detail.as_deref().unwrap_or_default();
        for text in [&run.experiment, &run.run, &run.fingerprint, &run.state.word, detail] {
            hasher.update(text.as_bytes()).update(b"\0");
        }
    }
    hasher.finalize()
}

/// The rows of some runs, column by column.
#[derive(Debug, Serialize)]
struct Rows {
    rows: usize,
    /// What every run has, by the name of the column.
    is: BTreeMap<&'static str, Column>,
    /// Settings by their dotted path.
    set: BTreeMap<String, Column>,
    /// The last value of each metric.
    last: BTreeMap<String, Column>,
}

/// The values of a column: one for all rows, one for each, or few with each row's place among them.
#[derive(Debug, PartialEq, Serialize)]
struct Column {
    of: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<Vec<usize>>,
}

impl Column {
    fn new(values: Vec<Value>) -> Column {
        let mut known: HashMap<String, usize> = HashMap::new();
        let mut of = Vec::new();
        let at: Vec<usize> = values
            .iter()
            .map(|value| {
                *known.entry(value.to_string()).or_insert_with(|| {
                    of.push(value.clone());
                    of.len() - 1
                })
            })
            .collect();
        match of.len() {
            0 | 1 => Column { of, at: None },
            few if few * 2 <= values.len() => Column { of, at: Some(at) },
            _ => Column { of: values, at: None },
        }
    }
}

fn rows(runs: &[&RunSummary], metrics: &BTreeSet<String>, clock: &Clock) -> Rows {
    let column =
        |value: &dyn Fn(&RunSummary) -> Value| Column::new(runs.iter().map(|run| value(run)).collect());
    let names = |of: &dyn Fn(&RunSummary) -> Vec<String>| -> BTreeSet<String> {
        runs.iter().flat_map(|run| of(run)).collect()
    };
    let set = names(&|run| run.settings.keys().cloned().collect());
    let last = names(&|run| run.last.keys().filter(|name| metrics.contains(*name)).cloned().collect());
    let is: [(&'static str, Column); 23] = [
        ("run", column(&|run| json!(run.label))),
        ("id", column(&|run| json!(run.run))),
        ("experiment", column(&|run| json!(run.experiment))),
        ("color", column(&|run| json!(series_class(run.number)))),
        ("state", column(&|run| json!(run.state.word))),
        ("class", column(&|run| json!(run.state.class))),
        ("imported", column(&|run| json!(run.state.is_imported))),
        ("why", column(&|run| json!(run.state.detail))),
        ("tag", column(&|run| json!(run.tags))),
        ("description", column(&|run| json!(run.description))),
        ("notes", column(&|run| json!(run.notes))),
        ("metric", column(&|run| json!(run.metric))),
        ("best", column(&|run| run.best.map_or(Value::Null, |best| number(best.value)))),
        ("at step", column(&|run| json!(run.best.map(|best| best.step)))),
        ("steps", column(&|run| json!(run.step))),
        ("planned", column(&|run| json!(run.steps))),
        ("training", column(&|run| run.elapsed_seconds.map_or(Value::Null, number))),
        ("rate", column(&|run| run.rate.as_ref().map_or(Value::Null, |(_, rate)| number(*rate)))),
        ("rate unit", column(&|run| json!(run.rate.as_ref().map(|(name, _)| rows::unit_of_rate(name))))),
        ("energy", column(&|run| run.energy_joules.map_or(Value::Null, number))),
        ("queued", column(&|run| json!(run.created.round()))),
        ("last heard", column(&|run| json!(run.latest().round()))),
        ("zone", column(&|run| json!(clock.offset_seconds(run.latest())))),
    ];
    Rows {
        rows: runs.len(),
        is: is.into_iter().collect(),
        set: set
            .into_iter()
            .map(|path| {
                let values = column(&|run| run.settings.get(&path).cloned().unwrap_or_default());
                (path, values)
            })
            .collect(),
        last: last
            .into_iter()
            .map(|name| {
                let values = column(&|run| run.last.get(&name).map_or(Value::Null, |last| number(last.0)));
                (name, values)
            })
            .collect(),
    }
}

/// Six digits of a measured value, as text where it is not finite.
fn number(value: f64) -> Value {
    match value {
        value if value.is_nan() => json!("nan"),
        value if value.is_infinite() => json!(if value > 0.0 { "inf" } else { "-inf" }),
        value => match format!("{value:.5e}").parse::<f64>() {
            Ok(short) if short == short.trunc() && short.abs() < 1e15 => json!(short as i64),
            Ok(short) => json!(short),
            Err(_) => Value::Null,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::summary::sample;
    use super::*;
    use crate::run_dir::Workspace;

    #[test]
    fn a_changed_run_makes_only_its_own_script_new() {
        let folder = tempfile::tempdir().unwrap();
        let site = Site::new(&Workspace::new(folder.path()));
        let clock = Clock::ahead_of_utc(0, 1000.0);
        let one = sample("x", "y");
        let mut runs: Vec<RunSummary> = (0..RUNS + 1)
            .map(|number| RunSummary { run: format!("y-{number:04}"), number: number as u16, ..one.clone() })
            .collect();
        let mut scripts = Scripts::default();
        let mut publish = |runs: &[RunSummary]| {
            let mut written = Vec::new();
            let versions =
                scripts.publish(&site, &runs.iter().collect::<Vec<_>>(), &clock, &mut written).unwrap();
            (versions, written)
        };
        let (before, written) = publish(&runs);
        assert_eq!(written, ["data/runs-0.js", "data/runs-1.js"]);
        assert_eq!(publish(&runs), (before.clone(), Vec::new()));
        runs[RUNS].step = 7;
        runs[RUNS].fingerprint = "another".into();
        let (after, written) = publish(&runs);
        assert_eq!(written, ["data/runs-1.js"]);
        assert!(before[0] == after[0] && before[1] != after[1]);
        runs.truncate(3);
        assert_eq!(publish(&runs).0.len(), 1);
        assert!(!site.root().join("data/runs-1.js").exists(), "nobody asks for it any more");
    }

    #[test]
    fn a_column_is_as_short_as_its_values_allow() {
        let column = |values: Value| {
            serde_json::to_string(&Column::new(values.as_array().cloned().unwrap_or_default())).unwrap()
        };
        assert_eq!(column(json!(["gpt", "gpt", "gpt"])), r#"{"of":["gpt"]}"#);
        assert_eq!(column(json!([1, 2, 3])), r#"{"of":[1,2,3]}"#);
        assert_eq!(column(json!([1e-3, null, 1e-3, null])), r#"{"of":[0.001,null],"at":[0,1,0,1]}"#);
        // The text "1" is not the number.
        assert_eq!(column(json!([1, "1", 1, 1])), r#"{"of":[1,"1"],"at":[0,1,0,0]}"#);
        assert_eq!(column(json!([])), r#"{"of":[]}"#);
    }

    #[test]
    fn a_metric_named_like_the_prototype_is_a_column_in_a_script_too() {
        let rows =
            json!({"a\"__proto__": 1, "b": ["__proto__", "{\"__proto__\":"], "last": {"__proto__": 2}});
        assert_eq!(
            with_names_as_keys(&rows.to_string()),
            r#"{"a\"__proto__":1,"b":["__proto__","{\"__proto__\":"],"last":{["__proto__"]:2}}"#
        );
    }

    #[test]
    fn numbers_keep_six_digits_and_what_is_not_finite_is_spelled() {
        let numbers = [1.234_567_89, 3e-4, 1200.0, 0.0, f64::NAN, f64::NEG_INFINITY, 1e300];
        let short = numbers.map(|value| number(value).to_string());
        assert_eq!(short, ["1.23457", "0.0003", "1200", "0", "\"nan\"", "\"-inf\"", "1e+300"]);
    }
}
