//! By which metric runs are judged where they stand together. Runs of several programs may each be judged by
//! another one, and values of different metrics do not compare: one decides for all, and a run that has no
//! value of it stands below without one.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::summary::{BestValue, RunSummary};
use crate::experiment::metric::direction_of;

/// The metric that most runs have a value of, of equals the one that comes first; `runs` tells the metric of
/// each and whether it has a value. Where none has, the same of all runs.
pub fn commonest<'a>(runs: impl IntoIterator<Item = (&'a str, bool)>) -> Option<&'a str> {
    let mut counts: BTreeMap<&str, (usize, usize, usize)> = BTreeMap::new();
    for (place, (metric, has_value)) in runs.into_iter().enumerate() {
        let count = counts.entry(metric).or_insert((0, 0, usize::MAX - place));
        count.0 += usize::from(has_value);
        count.1 += 1;
    }
    counts.into_iter().max_by_key(|(_, count)| *count).map(|(metric, _)| metric)
}

/// The metric by which these runs are ranked.
pub fn metric_of<'a>(runs: impl IntoIterator<Item = &'a RunSummary>) -> Option<&'a str> {
    let mut runs: Vec<&RunSummary> = runs.into_iter().collect();
    runs.sort_by_key(|run| (run.number, &run.run));
    commonest(runs.into_iter().map(|run| (run.metric.as_str(), run.best.is_some())))
}

/// The runs as they stand together: all by one metric.
pub fn together<'a>(runs: impl IntoIterator<Item = &'a RunSummary>) -> Vec<Cow<'a, RunSummary>> {
    let runs: Vec<&RunSummary> = runs.into_iter().collect();
    let metric = metric_of(runs.iter().copied()).unwrap_or_default().to_owned();
    runs.into_iter().map(|run| by(run, &metric)).collect()
}

/// A run as it is by a metric. What is remembered of a moving average is no value that anybody logged.
pub fn by<'a>(run: &'a RunSummary, metric: &str) -> Cow<'a, RunSummary> {
    if run.metric == metric {
        return Cow::Borrowed(run);
    }
    let direction = direction_of(metric);
    let curve = if run.behind.contains_key(metric) { Vec::new() } else { run.curve(metric) };
    let best = curve
        .into_iter()
        .filter(|(_, value)| value.is_finite())
        .reduce(|best, point| if direction.is_better(point.1, best.1) { point } else { best })
        .map(|(step, value)| BestValue { value, step: step as u64 });
    Cow::Owned(RunSummary { metric: metric.to_owned(), best, ..run.clone() })
}

#[cfg(test)]
mod tests;
