//! Of a run with thousands of metrics, what other pages remember: few of its values, names and sentences.

use std::collections::BTreeMap;

use super::super::files::RunFiles;
use crate::curves::{self, Extent, Said, of_run};
use crate::experiment::metric::Metric;
use crate::run_dir::metric_of;
use crate::run_dir::number::Number;

/// Metrics whose last values other pages know.
const METRICS: usize = 100;
/// Sentences of one kind about a run's curves.
const SENTENCES: usize = 40;

/// The header of `metrics.csv`, with names only where other pages ask for the place of a column.
pub fn header(files: &RunFiles, wanted: &[&str]) -> String {
    let columns = files.metrics.columns.iter().map(|column| column.name.as_str());
    let names = columns.map(|name| if name == "step" || wanted.contains(&name) { name } else { "" });
    names.collect::<Vec<_>>().join(",")
}

/// Of many metrics those that are known and that decide, then the first.
pub fn last(files: &RunFiles) -> BTreeMap<String, Number> {
    let logged = files
        .metrics
        .columns
        .iter()
        .filter(|column| !matches!(column.name.as_str(), "step" | "epoch" | "time" | "elapsed"));
    let values = logged.filter_map(|column| Some((column.name.clone(), Number(column.last()?))));
    let decides = metric_of(&files.seen);
    let counts = |name: &str| Metric::named(name).is_some() || name == decides;
    let (known, others): (Vec<_>, Vec<_>) = values.partition(|(name, _)| counts(name));
    known.into_iter().chain(others).take(METRICS).collect()
}

/// What a person would say of its curves.
pub fn said(files: &RunFiles, metric: &str) -> Vec<Said> {
    let extent = if files.seen.status.is_running() { Extent::SoFar } else { Extent::Whole };
    let events = files.standing_events();
    let observed = of_run::observed(metric, &files.curves, &files.metrics, &events, &files.telemetry, extent);
    let mut said = curves::said(&observed);
    // Of thousands of metrics few are drawn; each kind of sentence has its share.
    let mut seen: Vec<(curves::Kind, usize)> = Vec::new();
    said.retain(|one| {
        let place = seen.iter().position(|(kind, _)| *kind == one.kind).unwrap_or(seen.len());
        if place == seen.len() {
            seen.push((one.kind, 0));
        }
        seen[place].1 += 1;
        seen[place].1 <= SENTENCES
    });
    said
}
