//! What `compare.html` knows of runs: scripts in `data/`, for a page that was opened from a file may load
//! nothing else. A run's is written when its page is, from what is known then; how far seeds scatter is
//! known of the runs of an experiment together, and so is written with the experiment's page.
//!
//! Names are values here, never keys: `__proto__` is as good a metric as any.

use std::collections::BTreeMap;

use serde::Serialize;

use super::chart::data::{Drawn, brief, in_turn};
use super::chart::series::{thinned, weight_kept};
use super::chart::{Point, Values};
use super::clocks::Clocks;
use super::experiment_page::metric_title;
use super::model::{RunPage, SampleBlock, TextSample};
use super::site::{address_of, run_folder};
use super::summary::{CURVES, RunSummary, State};
use crate::experiment::metric::{Direction, direction_of};
use crate::run_dir::number::Number;
use crate::statistics::{mean, variance};

/// Columns of a curve: where the reader looks closer, a served page asks for the rows.
const COLUMNS: u32 = 120;
const KNOTS: usize = 24;
/// Metrics beyond these are on the run's own page.
const METRICS: usize = 24;
/// Prompts, and characters of what was said to one: the whole text is on the run's own page.
const PROMPTS: usize = 6;
const CHARACTERS: usize = 2_000;

#[derive(Serialize)]
struct Run<'a> {
    experiment: &'a str,
    run: &'a str,
    label: &'a str,
    number: u16,
    /// Its folder below `reports/`, as an address with a slash at its end.
    folder: String,
    state: &'a State,
    /// Whether anything of it may still change.
    is_open: bool,
    group: &'a str,
    metric: &'a str,
    direction: i8,
    step: u64,
    /// Name, value, and which way is better: 1 higher, -1 lower, 0 neither.
    values: Vec<(String, Number, i8)>,
    settings: Vec<(&'a str, &'a str)>,
    environment: Vec<(&'a str, &'a str)>,
    cost: Cost,
    sample: Option<LastSample<'a>>,
    lines: Vec<Line<'a>>,
    clocks: Clocks,
}

#[derive(Serialize)]
struct Cost {
    seconds: Option<f64>,
    joules: Option<f64>,
    /// The energy with its unit.
    energy: String,
    rate: Option<f64>,
    rate_name: String,
}

/// What the model produced at the last step at which it was asked.
#[derive(Serialize)]
struct LastSample<'a> {
    step: &'a str,
    texts: Vec<Text<'a>>,
    image: Option<&'a str>,
    summary: &'a str,
}

#[derive(Serialize)]
struct Text<'a> {
    how: &'a str,
    prompt: &'a str,
    text: &'a str,
    is_cut: bool,
}

/// A curve as charts hold it (see `chart::data`).
#[derive(Serialize)]
struct Line<'a> {
    metric: &'a str,
    title: &'a str,
    points: Vec<Drawn>,
    rows: usize,
    means: Vec<Drawn>,
    smoothing: f64,
    /// Places of step and metric in the header of `metrics.csv`.
    columns: Option<(usize, usize)>,
}

/// The script of a run.
pub fn of_run(summary: &RunSummary, page: &RunPage) -> Vec<u8> {
    let (energy, unit) = page.energy_joules.map(crate::say::energy_in).unwrap_or_default();
    let run = Run {
        experiment: &summary.experiment,
        run: &summary.run,
        label: &summary.label,
        number: summary.number,
        folder: address_of(&run_folder(&summary.experiment, &summary.run)) + "/",
        state: &summary.state,
        is_open: matches!(summary.state.class.as_str(), "running" | "waiting"),
        group: &summary.group,
        metric: &summary.metric,
        direction: sign(&summary.metric),
        step: summary.step,
        values: values(summary)
            .into_iter()
            .map(|(name, value, direction)| (name, Number(value), direction))
            .collect(),
        settings: page.settings.iter().map(|row| (row.path.as_str(), row.value.as_str())).collect(),
        environment: environment(page),
        cost: Cost {
            seconds: summary.elapsed_seconds,
            joules: page.energy_joules,
            energy: format!("{energy} {unit}").trim().to_owned(),
            rate: summary.rate.as_ref().map(|(_, rate)| *rate),
            rate_name: summary.rate.as_ref().map_or_else(String::new, |(name, _)| name.replace('_', " ")),
        },
        sample: page.samples.first().map(sample),
        lines: lines(summary),
        clocks: summary.clocks.of_knots(KNOTS),
    };
    registered("run", &summary.key(), &run)
}

/// The script about the seeds of an experiment.
pub fn of_seeds(experiment: &str, runs: &[&RunSummary]) -> Vec<u8> {
    registered("seeds", experiment, &spreads(runs))
}

/// How far a value scatters over runs that differ by their seed alone.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Spread {
    pub name: String,
    pub seeds: usize,
    pub mean: f64,
    /// The standard deviation of what the values are drawn from.
    pub deviation: f64,
}

/// The spreads of each group that has two finished runs and more, by the group's name. A run that goes on
/// or broke down is at another step than the others, which is no matter of its seed.
pub fn spreads(runs: &[&RunSummary]) -> Vec<(String, Vec<Spread>)> {
    let mut groups: BTreeMap<&str, Vec<&RunSummary>> = BTreeMap::new();
    for run in runs.iter().filter(|run| run.state.class == "finished" && !run.group.is_empty()) {
        groups.entry(&run.group).or_default().push(run);
    }
    let spread = |runs: &[&RunSummary]| -> Vec<Spread> {
        let mut by_name: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for (name, value, _) in runs.iter().flat_map(|run| values(run)) {
            by_name.entry(name).or_default().push(value);
        }
        let known = by_name.into_iter().filter(|(_, values)| {
            values.len() > 1 && mean(values).is_finite() && variance(values).is_finite()
        });
        let spread = |(name, values): (String, Vec<f64>)| Spread {
            name,
            seeds: values.len(),
            mean: mean(&values),
            deviation: variance(&values).sqrt(),
        };
        known.map(spread).collect()
    };
    let several = groups.into_iter().filter(|(_, runs)| runs.len() > 1);
    several.map(|(group, runs)| (group.to_owned(), spread(&runs))).collect()
}

/// The values that count: the best of the metric that decides, then the last of each metric that is about
/// what was learned.
pub fn values(summary: &RunSummary) -> Vec<(String, f64, i8)> {
    let best =
        summary.best.map(|best| (format!("{}, best", summary.metric), best.value, sign(&summary.metric)));
    let rank = |name: &str| match name {
        _ if name == summary.metric => 0,
        _ if name.starts_with("val/") => 1,
        _ if name.starts_with("train/") => 2,
        _ => 3,
    };
    let mut last: Vec<(&String, f64)> = summary
        .last
        .iter()
        .filter(|(name, _)| !name.ends_with("_per_second") && direction_of(name) != Direction::Neither)
        .map(|(name, Number(value))| (name, *value))
        .collect();
    last.sort_by_key(|(name, _)| rank(name));
    let last = last.into_iter().map(|(name, value)| (format!("{name}, last"), value, sign(name)));
    best.into_iter().chain(last).take(METRICS).collect()
}

fn sign(metric: &str) -> i8 {
    match direction_of(metric) {
        Direction::Higher => 1,
        Direction::Lower => -1,
        Direction::Neither => 0,
    }
}

/// Whether a row of the environment may make runs of equal settings differ.
pub fn tells_apart(name: &str) -> bool {
    ["device", "host", "threads", "precision", "libtorch", "overnight", "git commit", "not committed"]
        .contains(&name)
        || name.starts_with("data: ")
}

fn environment(page: &RunPage) -> Vec<(&str, &str)> {
    let rows = page.environment.iter().filter(|(name, _)| tells_apart(name));
    let many = page.data.as_ref().map(|data| ("data", data.summary.as_str()));
    rows.map(|(name, value)| (name.as_str(), value.as_str())).chain(many).collect()
}

fn sample(block: &SampleBlock) -> LastSample<'_> {
    LastSample {
        step: &block.step,
        texts: block.texts.iter().take(PROMPTS).map(text).collect(),
        image: block.image.as_deref(),
        summary: &block.summary,
    }
}

fn text(sample: &TextSample) -> Text<'_> {
    let cut = sample.text.char_indices().nth(CHARACTERS).map(|(end, _)| &sample.text[..end]);
    let (how, prompt) = (sample.how.as_str(), sample.prompt.as_str());
    Text { how, prompt, text: cut.unwrap_or(&sample.text), is_cut: cut.is_some() }
}

/// The curves that the experiment's page draws as well, the one that decides first.
fn lines(summary: &RunSummary) -> Vec<Line<'_>> {
    let metric = summary.metric.as_str();
    let names = std::iter::once(metric).chain(CURVES.into_iter().filter(|name| *name != metric));
    let place = |name: &str| summary.header.split(',').position(|column| column == name);
    let line = |metric| {
        let (Values { points, means, rows }, smoothing) = reduced(summary, metric);
        let pair = |&(x, y): &Point| [Drawn(brief(x, 9)), Drawn(brief(y, 6))];
        Line {
            metric,
            title: metric_title(metric),
            points: points.iter().flat_map(pair).collect(),
            rows,
            means: means.iter().flat_map(in_turn).collect(),
            smoothing,
            columns: place("step").zip(place(metric)),
        }
    };
    names.map(line).filter(|line| !line.points.is_empty()).collect()
}

/// The values of a curve, and the weight of the average that stands for them.
fn reduced(summary: &RunSummary, metric: &str) -> (Values, f64) {
    if let Some(values) = summary.values(metric) {
        let smoothing = brief(weight_kept(values.rows), 6);
        return (values.thinned(COLUMNS), smoothing);
    }
    let points = summary.curve(metric);
    let rows = points.len();
    let points = if rows > COLUMNS as usize * 2 { thinned(&points, COLUMNS) } else { points };
    (Values { points, means: Vec::new(), rows }, 0.0)
}

/// One statement in one line. JSON is an expression of the language, whatever text it holds.
fn registered<T: Serialize>(kind: &str, key: &str, value: &T) -> Vec<u8> {
    let key = serde_json::to_string(&format!("{kind}:{key}")).unwrap_or_default();
    // Only maps with keys that are no strings fail, and there is none.
    let value = serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned());
    format!("(window.overnightData ||= {{}})[{key}] = {value};\n").into_bytes()
}

#[cfg(test)]
mod tests;
