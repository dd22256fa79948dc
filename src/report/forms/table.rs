//! Tables for a paper: a row for the runs that differ by their seed alone, the settings that vary, and the mean
//! and spread of some metrics. A value stands in bold only where its lead is decided, by the rule of the pages.

mod latex;
mod markdown;
mod number;

use std::io::Write;

use serde_json::Value;

use super::super::experiment_page::metric_title;
use super::super::judged;
use super::super::rows::ranked;
use super::super::seeds::{Group, Seeds};
use super::super::summary::RunSummary;
use super::chosen::{Chosen, Varying};
use super::place::text;
use super::{Form, FormError, Wishes, Written};
use crate::experiment::metric::{Direction, Metric, direction_of};
use crate::statistics::groups::CONFIDENCE;
use crate::statistics::{mean, variance};
pub use markdown::cells;

/// The runs of one experiment as rows of a table.
#[derive(Debug, Clone)]
pub struct Grid {
    pub experiment: String,
    /// Paths of the settings that vary, in the order of the file format.
    pub settings: Vec<String>,
    pub metrics: Vec<Measured>,
    pub rows: Vec<Row>,
    /// What a reader must know, as sentences.
    pub notes: Vec<String>,
}

/// A column of results.
#[derive(Debug, Clone)]
pub struct Measured {
    pub title: String,
    pub unit: &'static str,
    pub direction: Direction,
}

#[derive(Debug, Clone)]
pub struct Row {
    pub settings: Vec<Option<Value>>,
    pub seeds: usize,
    pub cells: Vec<Option<Cell>>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    pub mean: f64,
    /// Standard deviation over seeds, where there are several.
    pub spread: Option<f64>,
    pub is_decided: bool,
}

pub fn write(
    chosen: &mut Chosen,
    form: Form,
    wishes: &Wishes,
    out: &mut impl Write,
    written: &mut Written,
) -> Result<(), FormError> {
    let made = format!("overnight {}, {}", env!("CARGO_PKG_VERSION"), chosen.clock.now().exact);
    text(out, &if form == Form::Latex { latex::head(&made) } else { markdown::head(&made) })?;
    let mut rows = 0;
    for (name, dirs) in by_experiment(chosen) {
        let runs: Vec<RunSummary> = dirs
            .into_iter()
            .map(|place| {
                let (files, mut summary) = chosen.whole(&chosen.dirs[place]);
                wishes.metrics.iter().for_each(|metric| summary.remember(&files, metric));
                summary
            })
            .collect();
        let grid = grid(&name, &runs, &wishes.metrics)?;
        if grid.rows.is_empty() {
            let metric = judged::metric_of(&runs).unwrap_or_default();
            return Err(no_metric(&name, &runs, metric));
        }
        rows += grid.rows.len() as u64;
        text(out, &if form == Form::Latex { latex::table(&grid) } else { markdown::table(&grid) })?;
    }
    written.holds.push(("rows".into(), rows));
    Ok(())
}

/// Experiments and the places of their runs.
pub fn by_experiment(chosen: &Chosen) -> Vec<(String, Vec<usize>)> {
    let mut experiments: Vec<(String, Vec<usize>)> = Vec::new();
    for (place, dir) in chosen.dirs.iter().enumerate() {
        let name = dir.experiment();
        match experiments.iter_mut().find(|(known, _)| *known == name) {
            Some((_, places)) => places.push(place),
            None => experiments.push((name, vec![place])),
        }
    }
    experiments
}

/// The runs of an experiment, by these metrics or by the one that counts.
///
/// # Errors
/// No run has values of a metric.
pub fn grid(experiment: &str, runs: &[RunSummary], metrics: &[String]) -> Result<Grid, FormError> {
    let of_its_own: Vec<String> = judged::metric_of(runs).map(str::to_owned).into_iter().collect();
    let metrics = if metrics.is_empty() { &of_its_own } else { metrics };
    let mut notes = Vec::new();
    let mut order: Vec<(String, &RunSummary, usize)> = Vec::new();
    let mut columns: Vec<Vec<(String, Cell)>> = Vec::new();
    for metric in metrics {
        let by_metric: Vec<RunSummary> = runs
            .iter()
            .filter(|run| run.curves.contains_key(metric))
            .map(|run| judged::by(run, metric).into_owned())
            .collect();
        if by_metric.is_empty() && *metrics != of_its_own {
            return Err(no_metric(experiment, runs, metric));
        }
        let (cells, keys, step) = column(&by_metric, metric);
        for (key, run_name, seeds) in keys {
            if !order.iter().any(|(known, ..)| *known == key)
                && let Some(run) = runs.iter().find(|run| run.run == run_name)
            {
                order.push((key, run, seeds));
            }
        }
        if let Some(step) = step {
            notes.push(format!(
                "{metric}: the best value up to step {step}, which all compared runs have reached"
            ));
        }
        columns.push(cells);
    }
    let compared: usize = order.iter().map(|(.., seeds)| seeds).sum();
    if compared < runs.len() {
        let left = crate::say::counted(runs.len() - compared, "run", "runs");
        notes.push(format!("without {left} that failed, did not finish or have no finite value"));
    }
    let mut varying = Varying::default();
    order.iter().for_each(|(_, run, _)| varying.see(&run.settings.clone().into_iter().collect()));
    let settings: Vec<String> = varying.settings().into_iter().map(|(path, _)| path).collect();
    let rows = order.iter().map(|(key, run, seeds)| Row {
        settings: settings.iter().map(|path| run.settings.get(path).cloned()).collect(),
        seeds: *seeds,
        cells: columns
            .iter()
            .map(|column| column.iter().find(|(known, _)| known == key).map(|(_, cell)| cell.clone()))
            .collect(),
    });
    let rows: Vec<Row> = rows.collect();
    let percent = CONFIDENCE * 100.0;
    notes.push(match rows.iter().flat_map(|row| row.cells.iter().flatten()).any(|cell| cell.is_decided) {
        true => format!("bold: ahead of all others with {percent:.0} % confidence"),
        false => format!("no lead is decided with {percent:.0} % confidence"),
    });
    let titled = metrics.iter().map(|metric| Measured {
        title: metric_title(metric).to_owned(),
        unit: Metric::named(metric).map_or("", |metric| metric.unit),
        direction: direction_of(metric),
    });
    Ok(Grid { experiment: experiment.to_owned(), settings, metrics: titled.collect(), rows, notes })
}

pub fn no_metric(what: &str, runs: &[RunSummary], metric: &str) -> FormError {
    let mut known: Vec<&str> = runs.iter().flat_map(|run| run.last.keys().map(String::as_str)).collect();
    known.sort_unstable();
    known.dedup();
    known.truncate(20);
    let known = if known.is_empty() { "none at all".to_owned() } else { known.join(", ") };
    FormError::NoMetric { what: what.to_owned(), metric: metric.to_owned(), known }
}

/// What makes runs one group.
fn key_of(run: &RunSummary) -> String {
    if run.group.is_empty() { run.run.clone() } else { run.group.clone() }
}

type Keyed = (String, String, usize);

/// The cells of a metric by group; the groups best first, each with one of its runs and its number of values.
fn column(runs: &[RunSummary], metric: &str) -> (Vec<(String, Cell)>, Vec<Keyed>, Option<u64>) {
    let ranked = ranked(runs);
    let Some(seeds) = Seeds::of(&ranked) else { return alone(&ranked) };
    let has_a_better_way = direction_of(metric) != Direction::Neither;
    let groups = seeds.groups.iter().filter(|group| !group.values.is_empty());
    let cells = groups.clone().enumerate().filter_map(|(place, group)| {
        let is_decided = place == 0 && has_a_better_way && seeds.is_decided();
        Some((key_of(group.runs.first()?), cell(&group.values, is_decided)))
    });
    let keyed = |group: &Group| {
        let run = group.runs.first()?;
        Some((key_of(run), run.run.clone(), group.values.len()))
    };
    (cells.collect(), groups.filter_map(keyed).collect(), Some(seeds.step.max(0.0) as u64))
}

/// One run, or too many settings to compare: each run by itself.
fn alone(runs: &[&RunSummary]) -> (Vec<(String, Cell)>, Vec<Keyed>, Option<u64>) {
    let direction = runs.first().map_or(Direction::Neither, |run| direction_of(&run.metric));
    let valued = runs.iter().filter_map(|run| {
        let finite =
            run.curve(&run.metric).into_iter().map(|(_, value)| value).filter(|value| value.is_finite());
        let best =
            finite.reduce(|best, value| if direction.is_better(value, best) { value } else { best })?;
        Some((*run, best))
    });
    let (mut cells, mut keys) = (Vec::new(), Vec::new());
    for (run, best) in valued {
        cells.push((run.run.clone(), cell(&[best], false)));
        keys.push((run.run.clone(), run.run.clone(), 1));
    }
    (cells, keys, None)
}

fn cell(values: &[f64], is_decided: bool) -> Cell {
    let spread = (values.len() > 1).then(|| variance(values).sqrt());
    Cell { mean: mean(values), spread, is_decided }
}

#[cfg(test)]
pub fn sample_grid() -> Grid {
    let row = |rate: f64, kind: &str, cells: [Option<Cell>; 2]| Row {
        settings: vec![Some(rate.into()), Some(kind.into())],
        seeds: 3,
        cells: cells.to_vec(),
    };
    let one = |mean, spread, is_decided| Some(Cell { mean, spread, is_decided });
    Grid {
        experiment: "tiny_gpt".into(),
        settings: vec!["train.optimizer.lr".into(), "model.kind".into()],
        metrics: vec![
            Measured { title: "Validation loss".into(), unit: "", direction: Direction::Lower },
            Measured { title: "Tokens per second".into(), unit: "1/s", direction: Direction::Higher },
        ],
        rows: vec![
            row(3e-4, "gpt", [one(1.4714, Some(0.0123), true), one(41_234.0, Some(321.0), false)]),
            row(0.01, "a|b_&", [one(1.6, None, false), None]),
        ],
        notes: vec!["bold: ahead of all others with 95 % confidence".into()],
    }
}
