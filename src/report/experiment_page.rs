//! The page of one experiment: all its runs together.

mod beyond;
mod grouped;
mod importance;
mod sweep;
pub mod words;

pub use importance::Weighed;

use std::borrow::Cow;

use super::chart::backend::series_class;
use super::chart::{self, Axis, Chart, Counted, Csv, Form, Origin, Range, Series, Size, Spread, Weight};
use super::clocks;
use super::judged;
use super::lead;
use super::model::{ExperimentPage, Fact, Figure, Frame, Key, NextRow, states_in_words};
use super::planned::Planned;
use super::rows::{self, Table};
use super::say::{self, Clock};
use super::seeds::Seeds;
use super::site::{address_of, run_folder};
use super::summary::RunSummary;
use crate::experiment::metric::Metric;
use crate::run_dir::records::QueueState;

/// Points of all lines of one chart together: beyond, each line is thinned further.
const POINTS: usize = 40_000;
/// The same for the values behind averages, which only the script draws.
const BEHIND: usize = 12_000;
/// Lines that a chart draws, the best ones; a table lists every run.
pub const LINES: usize = 300;
/// Lines that have a legend; of more, the table shows each run's color.
const LEGEND: usize = 16;

/// Everything the page of an experiment shows.
pub fn page(
    name: &str,
    runs: &[&RunSummary],
    queue: Option<&QueueState>,
    weighed: &Weighed,
    frame: Frame,
    clock: &Clock,
) -> ExperimentPage {
    let judged = judged::together(runs.iter().copied());
    let ranked = rows::ranked(judged.iter().map(Cow::as_ref));
    let table = Table::of(&ranked);
    let seeds = Seeds::of(&ranked);
    let root = frame.root.clone();
    let mut next: Vec<NextRow> =
        runs.iter().filter_map(|run| rows::next(run, waiting(queue, run), &root, clock)).collect();
    next.sort_by_key(rows::next_place);
    let newest = runs.iter().max_by(|one, other| one.created.total_cmp(&other.created));
    let importance = weighed.block(name, &ranked);
    let rows: Vec<_> = ranked
        .iter()
        .enumerate()
        .map(|(place, run)| table.row(run, &root, place == 0 && run.best.is_some()))
        .collect();
    ExperimentPage {
        name: name.to_owned(),
        description: newest.map_or_else(String::new, |run| run.description.clone()),
        tags: newest.map_or_else(Vec::new, |run| run.tags.clone()),
        headline: lead::best(&ranked).unwrap_or_else(|| "No value to compare runs by yet.".into()),
        facts: facts(runs),
        say: words::sentences(&ranked, seeds.as_ref()),
        clocks: clocks::json(ranked.iter().take(LINES).map(|run| (run.key(), &run.clocks))),
        aside: None,
        figures: figures(&ranked, &root),
        seeds: seeds.as_ref().and_then(grouped::block),
        sweep: sweep::block(&ranked, importance.as_ref(), &root),
        importance,
        columns: table.columns(),
        beyond: beyond::of(name, &rows, &root),
        rows,
        // One that is tried again needs nobody.
        failures: ranked
            .iter()
            .filter(|run| waiting(queue, run).is_none())
            .filter_map(|run| rows::failure(run, &root))
            .collect(),
        next,
        frame,
    }
}

/// What the runner says about a waiting run.
pub fn waiting<'a>(
    queue: Option<&'a QueueState>,
    run: &RunSummary,
) -> Option<&'a crate::run_dir::records::WaitingRun> {
    queue?.waiting.iter().find(|known| known.experiment == run.experiment && known.run == run.run)
}

pub fn metric_title(name: &str) -> &str {
    Metric::named(name).map_or(name, |metric| metric.title)
}

fn facts(runs: &[&RunSummary]) -> Vec<Fact> {
    let fact =
        |name: &str, value: String, class| Fact { name: name.into(), value, unit: String::new(), class };
    let count = |class: &str| runs.iter().filter(|run| run.state.class == class).count();
    let mut facts = vec![fact("runs", runs.len().to_string(), "")];
    for (class, name, look) in [
        ("finished", "finished", ""),
        ("running", "running", ""),
        ("waiting", "waiting", ""),
        ("held", "held", ""),
        ("failed", "failed", "bad"),
    ] {
        if count(class) > 0 {
            facts.push(fact(name, count(class).to_string(), look));
        }
    }
    let training: f64 = runs.iter().filter_map(|run| run.elapsed_seconds).sum();
    if training > 0.0 {
        facts.push(fact("training, all runs", say::duration(training), ""));
    }
    facts
}

fn figures(ranked: &[&RunSummary], root: &str) -> Vec<Figure> {
    planned(ranked, root).into_iter().map(Planned::drawn).collect()
}

/// The metric that counts over the whole width, then the other metrics that the runs have.
pub fn planned(ranked: &[&RunSummary], root: &str) -> Vec<Planned> {
    let Some(metric) = ranked.first().map(|run| run.metric.as_str()) else { return Vec::new() };
    let others = ["val/loss", "val/accuracy", "train/loss", "train/accuracy", "grad_norm"];
    let others = others.into_iter().filter(|name| *name != metric);
    let first = planned_comparison(ranked, metric, Size::Full, root);
    let mut figures: Vec<Planned> = first.into_iter().collect();
    let with_values: Vec<&str> =
        others.filter(|name| ranked.iter().any(|run| run.curves.contains_key(*name))).collect();
    let size = if with_values.len() >= 3 { Size::Third } else { Size::Half };
    figures.extend(with_values.into_iter().filter_map(|name| planned_comparison(ranked, name, size, root)));
    figures
}

/// One metric of all runs over the steps, the best run last and heavier.
pub fn comparison(ranked: &[&RunSummary], metric: &str, size: Size, root: &str) -> Option<Figure> {
    planned_comparison(ranked, metric, size, root).map(Planned::drawn)
}

/// The same before it is drawn.
pub fn planned_comparison(ranked: &[&RunSummary], metric: &str, size: Size, root: &str) -> Option<Planned> {
    let with_curve: Vec<&RunSummary> =
        ranked.iter().copied().filter(|run| run.curves.contains_key(metric)).take(LINES).collect();
    if with_curve.is_empty() {
        return None;
    }
    let columns = (POINTS / with_curve.len() / 2).clamp(20, 1200) as u32;
    let series = with_curve.iter().enumerate().rev().map(|(place, run)| {
        let points = run.curve(metric);
        let points = if points.len() > columns as usize * 2 {
            chart::series::thinned(&points, columns)
        } else {
            points
        };
        let weight = if place == 0 && run.best.is_some() { Weight::Lead } else { Weight::Plain };
        let origin = origin(run, metric, root, with_curve.len());
        Series { label: run.label.clone(), number: run.number, points, weight, form: Form::AsIs, origin }
    });
    let title = metric_title(metric).to_owned();
    let is_smoothed = metric.starts_with("train/") || metric == "grad_norm";
    let left_out = ranked.iter().filter(|run| run.curves.contains_key(metric)).count() - with_curve.len();
    let mut note = say::counted(with_curve.len(), "run", "runs");
    if left_out > 0 {
        note = format!("the best {note}");
    }
    if is_smoothed {
        note += ", moving average";
    }
    let chart = Chart {
        title: title.clone(),
        subtitle: note.clone(),
        x: Axis {
            label: "step".into(),
            spread: Spread::Linear,
            range: from_the_beginning(&with_curve, metric),
            counted: Counted::Steps,
        },
        y: Axis {
            label: title.clone(),
            spread: Spread::Linear,
            range: Range::Telling,
            counted: Counted::Steps,
        },
        series: series.collect(),
        events: Vec::new(),
        size,
        told: String::new(),
        bands: Vec::new(),
    };
    let key = |run: &&RunSummary| Key {
        class: series_class(run.number),
        name: run.label.clone(),
        href: Some(rows::run_href(root, run)),
    };
    let legend = if with_curve.len() <= LEGEND && size == Size::Full {
        with_curve.iter().map(key).collect()
    } else {
        Vec::new()
    };
    let id = format!("chart-{}", metric.replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
    Some(Planned { id, title, note, legend, chart })
}

/// Whose line it is, the values behind it, and where all its rows lie.
fn origin(run: &RunSummary, metric: &str, root: &str, runs: usize) -> Origin {
    let columns = (BEHIND / runs / 2).clamp(10, 200) as u32;
    let place = |name: &str| run.header.split(',').position(|column| column == name);
    let csv = place("step").zip(place(metric)).map(|(x, y)| Csv {
        href: format!("{root}{}/metrics.csv", address_of(&run_folder(&run.experiment, &run.run))),
        x,
        y,
        from: 0.0,
        unit: 1.0,
        divisor: 1.0,
    });
    Origin {
        experiment: run.experiment.clone(),
        run: run.run.clone(),
        number: run.number,
        metric: metric.to_owned(),
        href: Some(rows::run_href(root, run)),
        csv,
        values: run.values(metric).map(|values| values.thinned(columns)),
        ..Origin::default()
    }
}

/// All steps of these runs, from zero where the first values stand near the beginning.
fn from_the_beginning(runs: &[&RunSummary], metric: &str) -> Range {
    let steps = runs.iter().filter_map(|run| run.curves.get(metric)).flatten().map(|point| point.0);
    let (low, high) =
        steps.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), step| (low.min(step), high.max(step)));
    if low >= 0.0 && low < high * 0.5 { Range::Fixed(0.0, high) } else { Range::All }
}

/// "12 finished, 1 failed".
pub fn states(runs: &[&RunSummary]) -> String {
    states_in_words(runs.iter().map(|run| &run.state))
}

#[cfg(test)]
mod tests;
