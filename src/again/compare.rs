//! What came out here, held against what an exported file says came out there.

use serde::Serialize;

use crate::experiment::metric;
use crate::run_dir::certificate::{agree, is_same_libtorch, precision, trail};
use crate::run_dir::metrics::Metrics;
use crate::run_dir::number::{Number, spelled};
use crate::run_dir::read::{self, ReadError};
use crate::run_dir::records::{Attempt, Environment, Event, RunResult};
use crate::run_dir::sent::{Parted, SentOrders, SentRun, first_difference};
use crate::run_dir::status::last_start;
use crate::run_dir::{RunDir, Workspace, scan};
use crate::say;

/// One run of the file, and the run that has its identity here.
#[derive(Debug, Serialize)]
pub struct Compared {
    pub experiment: String,
    pub run: String,
    /// The run here; none where no run has its identity.
    pub here: Option<String>,
    /// Whether it has finished here.
    pub finished: bool,
    /// Hashes of rows and of checkpoints, and final values, that were compared.
    pub rows: usize,
    pub checkpoints: usize,
    pub values: usize,
    pub differences: Vec<Difference>,
    /// Why it may differ, as far as that is recorded.
    pub why: Vec<String>,
}

/// Something that came out different.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "what")]
pub enum Difference {
    /// Rows of `metrics.csv`: equal up to `after`, other ones by `step`, and `between` them rows that the
    /// file says nothing of. That `after` is equal by chance is one chance in two to so many `bits`.
    Rows { after: u64, step: u64, between: usize, bits: u32 },
    /// The losses, or the weights, of a checkpoint; equal up to the checkpoint of `after`.
    Checkpoint { after: u64, step: u64, of: &'static str },
    /// A final value.
    Value { step: u64, metric: String, recorded: Option<Number>, here: Option<Number> },
    /// It finished at another step.
    Ended { recorded: u64, step: u64 },
    /// The history of all losses, at its end.
    History { step: u64 },
}

impl Compared {
    pub fn is_equal(&self) -> bool {
        self.differences.is_empty() && self.finished && self.rows + self.checkpoints + self.values > 0
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        let value = |value: &Option<Number>| {
            value.map_or("nothing".to_owned(), |value| match value.0.is_finite() {
                true => value.0.to_string(),
                false => spelled(value.0),
            })
        };
        match self {
            Difference::Rows { after, step, between, bits } => rows(out, *after, *step, *between, *bits),
            Difference::Checkpoint { after: 0, step, of } => {
                write!(out, "the {of} of checkpoint {step} differ")
            }
            Difference::Checkpoint { after, step, of } => {
                write!(out, "the {of} of checkpoint {step} differ; those of checkpoint {after} are equal")
            }
            Difference::Value { step, metric, recorded, here } => {
                write!(
                    out,
                    "{metric} at the end, step {step}, is {} in the file and {} here",
                    value(recorded),
                    value(here)
                )
            }
            Difference::Ended { recorded, step } => {
                write!(out, "it finished at step {recorded} in the file and at step {step} here")
            }
            Difference::History { step } => write!(out, "the history of all losses to step {step} differs"),
        }
    }
}

/// From which step on, and how exactly that is known.
fn rows(out: &mut std::fmt::Formatter, after: u64, step: u64, between: usize, bits: u32) -> std::fmt::Result {
    let (last, first) = (say::count(after), say::count(step));
    match (after, between) {
        (0, 0) => write!(out, "rows of metrics.csv differ from the first one on, step {first}")?,
        (_, 0) => {
            write!(out, "rows of metrics.csv differ since step {first}; all up to step {last} are equal")?
        }
        (0, _) => write!(out, "rows of metrics.csv differ since a step up to {first}")?,
        _ => write!(
            out,
            "rows of metrics.csv differ since a step between {last}, up to which all are equal, and {first}"
        )?,
    }
    if between > 0 {
        let rows = say::counted(between, "row", "rows");
        write!(out, " (of the {rows} in between the file says nothing)")?;
    }
    // Beyond that nobody would ever see it.
    match bits {
        0..32 => write!(out, " (but for one chance in {}, then a row earlier)", say::count(1 << bits)),
        _ => Ok(()),
    }
}

/// Compares every run here that has the identity of `sent`; where none has, that is said by one entry.
///
/// # Errors
/// A file of a run here cannot be read.
pub fn compare(workspace: &Workspace, sent: &SentRun) -> Result<Vec<Compared>, ReadError> {
    let record = &sent.record;
    let has_identity = |dir: &RunDir| read::run_record(dir).is_ok_and(|here| here.hash == record.hash);
    let here: Vec<RunDir> =
        scan::runs_of(workspace, &record.experiment).into_iter().filter(has_identity).collect();
    if here.is_empty() {
        return Ok(vec![nothing(sent)]);
    }
    here.iter().map(|dir| one(dir, sent)).collect()
}

fn nothing(sent: &SentRun) -> Compared {
    Compared {
        experiment: sent.record.experiment.clone(),
        run: sent.record.run.clone(),
        here: None,
        finished: false,
        rows: 0,
        checkpoints: 0,
        values: 0,
        differences: Vec::new(),
        why: Vec::new(),
    }
}

fn one(dir: &RunDir, sent: &SentRun) -> Result<Compared, ReadError> {
    let metrics = Metrics::read(&dir.metrics()).or_else(|error| match error.is_missing() {
        true => Ok(Metrics::default()),
        false => Err(error),
    })?;
    let result: Option<RunResult> = read::json_if_there(&dir.result())?;
    let points = trail(&read::lines::<Event>(&dir.events())?.records);
    let attempts = read::lines::<Attempt>(&dir.attempts())?.records;
    let mut compared = Compared { here: Some(dir.name()), finished: result.is_some(), ..nothing(sent) };

    let (rows, difference) = first_difference(&sent.came.rows, sent.came.chain.as_ref(), &metrics);
    compared.rows = rows;
    let difference = difference.map(|Parted { after, step, between, bits }| Difference::Rows {
        after,
        step,
        between,
        bits,
    });
    compared.differences.extend(difference);

    let mut after = 0;
    for recorded in &sent.came.checkpoints {
        let Some(here) = points.iter().find(|here| here.step == recorded.step && !here.history.is_empty())
        else {
            continue;
        };
        compared.checkpoints += 1;
        if !agree(&recorded.point(), here) {
            let of = if recorded.weights == here.weights { "losses" } else { "weights" };
            compared.differences.push(Difference::Checkpoint { after, step: recorded.step, of });
            break;
        }
        after = recorded.step;
    }
    if let (Some(recorded), Some(here)) = (&sent.came.result, &result) {
        if recorded.step != here.step {
            compared.differences.push(Difference::Ended { recorded: recorded.step, step: here.step });
        } else if recorded.history != here.history {
            compared.differences.push(Difference::History { step: here.step });
        }
        let names =
            recorded.last.keys().chain(here.last.keys().filter(|name| !recorded.last.contains_key(*name)));
        for name in names.filter(|name| metric::must_reproduce(name)) {
            compared.values += 1;
            let (was, is) = (recorded.last.get(name).copied(), here.last.get(name).copied());
            let bits = |value: Option<Number>| {
                value.map(|value| if value.0.is_nan() { f64::NAN } else { value.0 }.to_bits())
            };
            if bits(was) != bits(is) {
                let (step, metric) = (here.step, name.clone());
                compared.differences.push(Difference::Value { step, metric, recorded: was, here: is });
            }
        }
    }
    if !compared.differences.is_empty() {
        compared.why = why(dir, sent, last_start(&attempts).map(SentOrders::of).as_ref());
    }
    Ok(compared)
}

/// What of that which decides the bits is not as it was.
fn why(dir: &RunDir, sent: &SentRun, here: Option<&SentOrders>) -> Vec<String> {
    let mut why = Vec::new();
    let mut differs = |word: &str, was: String, is: String| {
        if was != is {
            why.push(format!("{word}: {was} in the file, {is} here"));
        }
    };
    if let (Some(was), Some(is)) = (&sent.came.orders, here) {
        let split = |orders: &SentOrders| format!("{} x {} examples", orders.accumulate, orders.micro_batch);
        differs("device", was.device.1.clone(), is.device.1.clone());
        differs("threads", was.threads.to_string(), is.threads.to_string());
        differs("precision", precision(was.precision).to_owned(), precision(is.precision).to_owned());
        differs("split", split(was), split(is));
        if !is_same_libtorch(&was.libtorch, &is.libtorch) {
            differs("libtorch", was.libtorch.clone(), is.libtorch.clone());
        }
    }
    let known: Environment = read::json_if_there(&dir.env_json()).ok().flatten().unwrap_or_default();
    differs("overnight", sent.came.program.clone(), known.program);
    for file in &sent.came.data {
        if !known.data.iter().any(|known| known.blake3 == file.blake3) {
            why.push(format!("{} was other data here", file.path));
        }
    }
    if why.is_empty() {
        why.push("nothing that is recorded differs: one of the two does not give the same bits twice".into());
    }
    why
}
