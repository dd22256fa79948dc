//! What an exported file says of a run for programs: [`crate::run_dir::sent`], of what was read of the run.

use serde_json::{Value, json};

use super::super::files::RunFiles;
use super::super::summary::RunSummary;
use super::Surroundings;
use crate::experiment::identity;
use crate::run_dir::certificate::trail;
use crate::run_dir::sent::{Came, SentOrders, SentPoint, SentResult, SentRun, chain, marks};
use crate::run_dir::status::last_start;

/// Hashes of checkpoints and of rows, over all runs together: the file is to be mailed, and hashes do not let
/// themselves be compressed.
const POINTS: usize = 600;
const MARKS: usize = 1_000;
/// Bytes of chains of rows: of fifty runs of a thousand rows one for each row, of fifty of ten thousand rows
/// one for every nine.
const CHAINS: usize = 60_000;
/// Of a run at least so many of each, and at most.
const LEAST: usize = 3;
const MOST_POINTS: usize = 64;
const MOST_MARKS: usize = 200;

/// Of one of so many `runs`. One whose record cannot be read has little to say, and nobody trains it again.
pub fn facts(files: &RunFiles, summary: &RunSummary, surroundings: Surroundings, runs: usize) -> Value {
    let each = |all: usize, most: usize| (all / runs.max(1)).clamp(LEAST, most);
    let environment = files.environment.as_ref();
    let start = last_start(&files.seen.attempts);
    let Ok(record) = &files.seen.record else {
        return json!({
            "experiment": summary.experiment,
            "run": summary.run,
            "state": summary.state.word,
        });
    };
    let mut record = record.clone();
    if surroundings == Surroundings::LeftOut && record.base.starts_with('/') {
        record.base = "experiments".into();
    }
    // Lines of a file that is not sent.
    record.origins.clear();
    let points = trail(&files.events).into_iter().filter(|point| !point.history.is_empty());
    let points: Vec<SentPoint> = points
        .map(|point| SentPoint { step: point.step, history: point.history, weights: point.weights })
        .collect();
    let came = Came {
        seed: record.settings.train.seed,
        state: summary.state.word.to_owned(),
        last: summary.last.clone(),
        data: environment.map(|known| known.data.clone()).unwrap_or_default(),
        program: environment.map(|known| known.program.clone()).unwrap_or_default(),
        libtorch: start.map(|start| start.libtorch.clone()),
        orders: start.map(SentOrders::of),
        shortened: identity::hash(&record.settings, &record.alerts) != record.hash,
        checkpoints: spread(points, each(POINTS, MOST_POINTS)),
        rows: marks(&files.metrics, each(MARKS, MOST_MARKS)),
        chain: chain(&files.metrics, each(CHAINS, CHAINS)),
        result: files.result.as_ref().map(|result| SentResult {
            step: result.step,
            history: result.history.clone(),
            last: result.last.clone(),
        }),
    };
    let is_imported = record.imported.is_some();
    let mut facts = json!(SentRun { record, came });
    if is_imported {
        // Those of another program are none of ours, and nothing trains them again.
        facts["settings"] = Value::Null;
    }
    if surroundings == Surroundings::Shown {
        facts["environment"] = json!(environment);
    }
    facts
}

/// So many of them, evenly, the last one among them.
fn spread<T>(all: Vec<T>, most: usize) -> Vec<T> {
    let every = all.len().div_ceil(most.max(1)).max(1);
    let last = all.len().saturating_sub(1);
    let kept = all.into_iter().enumerate().filter(|(index, _)| (last - index).is_multiple_of(every));
    kept.map(|(_, one)| one).collect()
}

#[cfg(test)]
mod tests {
    use super::spread;

    #[test]
    fn the_last_one_is_always_among_those_that_are_kept() {
        for (all, most, kept) in [
            (0, 3, vec![]),
            (2, 3, vec![0, 1]),
            (5, 3, vec![0, 2, 4]),
            (6, 3, vec![1, 3, 5]),
            (7, 1, vec![6]),
        ] {
            assert_eq!(spread((0..all).collect(), most), kept, "{all} {most}");
        }
    }
}
