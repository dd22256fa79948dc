//! `models.html`: every checkpoint worth using, with its facts and what one can type with it.

mod commands;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use clap::CommandFactory;
use serde::Serialize;

use super::chart::backend::series_class;
use super::chart::number::{count, measured};
use super::judged;
use super::model::Frame;
use super::rows;
use super::say::{self, Clock, Moment};
use super::stock::Kept;
use super::summary::{RunSummary, State};
use crate::cli::Cli;
use crate::experiment::metric::{Direction, direction_of};
use crate::experiment::settings::{Task, Which};
use commands::Command;

/// Everything the page shows.
#[derive(Clone, Debug, Serialize)]
pub struct ModelsPage {
    pub frame: Frame,
    /// How many there are, in a sentence.
    pub headline: String,
    pub models: Vec<Model>,
    pub experiment_count: usize,
    /// Checkpoints that are not listed.
    pub more: usize,
    /// What the page can be narrowed by.
    pub tasks: Vec<&'static str>,
    pub metrics: Vec<String>,
    pub tags: Vec<String>,
    pub sizes: Vec<Size>,
}

/// A limit that some models are below and others are not.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Size {
    pub bytes: u64,
    pub text: String,
}

/// A checkpoint.
#[derive(Clone, Debug, Serialize)]
pub struct Model {
    /// Unique on the page.
    pub id: String,
    pub name: String,
    pub full_name: String,
    pub experiment: String,
    pub href: String,
    /// Classes of the run's color.
    pub class: String,
    pub state: State,
    pub step: String,
    /// "leads" of its experiment, "best" and "last" of its run, or "kept".
    pub marks: Vec<&'static str>,
    pub task: &'static str,
    /// The metric that the run is judged by, and its value here.
    pub metric: String,
    pub value: String,
    /// Other values by this step, as far as they are known.
    pub values: Vec<(String, String)>,
    pub parameters: String,
    pub size: String,
    pub bytes: u64,
    /// Where the weights are, from the workspace.
    pub file: String,
    pub kind: String,
    /// blake3 of the weights, its beginning and in full.
    pub hash: String,
    pub whole_hash: String,
    pub data: String,
    pub tags: Vec<String>,
    pub notes: Vec<String>,
    pub description: String,
    pub latest: Moment,
    pub commands: Vec<Command>,
    /// Lines of an experiment file that begins with these weights.
    pub begin_with: String,
}

/// Checkpoints beyond these are only counted: a page of tens of thousands would open in no browser.
const MOST: usize = 400;

pub fn page(all: &[&RunSummary], frame: Frame, clock: &Clock) -> ModelsPage {
    let mut runs: Vec<&RunSummary> =
        all.iter().copied().filter(|run| !run.stock.checkpoints.is_empty()).collect();
    // The best of each experiment come first, experiments in the order in which they were heard of.
    runs.sort_by(|one, other| {
        other.latest().total_cmp(&one.latest()).then_with(|| one.key().cmp(&other.key()))
    });
    let mut experiments: Vec<&str> = Vec::new();
    for run in &runs {
        if !experiments.contains(&run.experiment.as_str()) {
            experiments.push(&run.experiment);
        }
    }
    let experiment_count = experiments.len();
    let worth: Vec<Worth> = experiments.into_iter().flat_map(|name| worth_of(&runs, name)).collect();
    let with_worth: BTreeSet<(&str, &str)> =
        worth.iter().map(|worth| (worth.run.experiment.as_str(), worth.run.run.as_str())).collect();
    let more = worth.len().saturating_sub(MOST);
    let models: Vec<Model> = worth.iter().take(MOST).map(|worth| model(worth, &frame.root, clock)).collect();
    let distinct = |of: fn(&Model) -> Vec<String>| -> Vec<String> {
        models.iter().flat_map(of).collect::<BTreeSet<_>>().into_iter().collect()
    };
    let tasks: BTreeSet<&'static str> = models.iter().map(|model| model.task).collect();
    ModelsPage {
        headline: headline(worth.len(), with_worth.len()),
        tasks: tasks.into_iter().filter(|task| !task.is_empty()).collect(),
        metrics: distinct(|model| vec![model.metric.clone()]),
        tags: distinct(|model| model.tags.clone()),
        sizes: sizes(&models),
        models,
        experiment_count,
        more,
        frame,
    }
}

/// A checkpoint that can be used, and the value it is judged by.
struct Worth<'a> {
    run: &'a RunSummary,
    kept: &'a Kept,
    /// The value that is shown of the metric that counts, with its step.
    value: Option<(u64, f64)>,
    /// Whether none of its experiment shows a better value at its own step.
    is_first: bool,
}

impl Worth<'_> {
    /// By what it is ranked: a value of an earlier step is that of other weights.
    fn own_value(&self) -> Option<f64> {
        self.value
            .filter(|(step, value)| *step == self.kept.step && value.is_finite())
            .map(|(_, value)| value)
    }
}

/// The checkpoints of an experiment, those with the best value first, then those of which none is known,
/// the latest first.
fn worth_of<'a>(runs: &[&'a RunSummary], experiment: &str) -> Vec<Worth<'a>> {
    let own = rows::ranked(runs.iter().copied().filter(|run| run.experiment == experiment));
    let metric = judged::metric_of(own.iter().copied()).unwrap_or_default().to_owned();
    let of_run = |run: &'a RunSummary| {
        worth_using(run).into_iter().map(move |kept| Worth {
            run,
            kept,
            value: value_of(run, kept),
            is_first: false,
        })
    };
    let mut worth: Vec<Worth> = own.into_iter().flat_map(of_run).collect();
    worth.sort_by(|one, other| {
        let place = |worth: &Worth| {
            let value = worth.own_value()?;
            Some(if direction_of(&worth.run.metric) == Direction::Higher { -value } else { value })
        };
        // Runs may be judged by different metrics; values of one stand together, those of most runs first.
        let of = |worth: &'_ Worth<'a>| (worth.run.metric != metric, &worth.run.metric);
        let by_metric = of(one).cmp(&of(other));
        match (place(one), place(other)) {
            (Some(one), Some(other)) => by_metric.then(one.total_cmp(&other)),
            (one, other) => one.is_none().cmp(&other.is_none()),
        }
    });
    if let Some(first) = worth.first_mut() {
        first.is_first = first.own_value().is_some() && first.run.metric == metric;
    }
    worth
}

/// The value of the metric that counts, with the step at which it was found: that of the checkpoint, or the
/// last one before.
fn value_of(run: &RunSummary, kept: &Kept) -> Option<(u64, f64)> {
    let best = run.best.filter(|best| best.step == kept.step).map(|best| (best.step, best.value));
    best.or_else(|| kept.values.get(&run.metric).map(|(step, value)| (*step, value.0)))
}

/// The checkpoints of a run that somebody may want to use, newest first: all that are kept of a run that
/// goes on or has finished; of one that came to a bad end the best and the last; none without finite values.
pub fn worth_using(run: &RunSummary) -> Vec<&Kept> {
    let stock = &run.stock;
    let last = stock.checkpoints.last().map(|kept| kept.step);
    let is_worth = |kept: &&Kept| {
        let is_marked = Some(kept.step) == last || Some(kept.step) == stock.best;
        let is_finite = kept.values.get("train/loss").is_none_or(|(_, loss)| loss.0.is_finite());
        is_finite && (is_marked || run.state.class != "failed")
    };
    stock.checkpoints.iter().rev().filter(is_worth).collect()
}

/// What a checkpoint is among those of its run, and whether it is the first of its experiment.
fn marks(worth: &Worth) -> Vec<&'static str> {
    let Worth { run, kept, is_first, .. } = worth;
    let is_last = run.stock.checkpoints.last().is_some_and(|last| last.step == kept.step);
    let is_best = run.stock.best == Some(kept.step);
    let marks = [(*is_first, "leads"), (is_best, "best"), (is_last, "last")];
    let found: Vec<&'static str> =
        marks.into_iter().filter(|(holds, _)| *holds).map(|(_, word)| word).collect();
    if found.is_empty() { vec!["kept"] } else { found }
}

fn model(worth: &Worth, root: &str, clock: &Clock) -> Model {
    let Worth { run, kept, value, .. } = *worth;
    let stock = &run.stock;
    // A value of another step is said with it.
    let told = |(step, value): (u64, f64)| match step == kept.step {
        true => measured(value),
        false => format!("{} at step {}", measured(value), count(step)),
    };
    let others = kept.values.iter().filter(|(name, _)| **name != run.metric);
    Model {
        id: format!("{}--{}", rows::row_id("model", run), kept.step),
        name: run.label.clone(),
        full_name: run.key(),
        href: rows::run_href(root, run),
        class: series_class(run.number),
        state: run.state.clone(),
        step: count(kept.step),
        marks: marks(worth),
        experiment: run.experiment.clone(),
        task: task(stock.task),
        metric: run.metric.clone(),
        value: value.map(told).unwrap_or_default(),
        values: others.map(|(name, (step, value))| (name.clone(), told((*step, value.0)))).collect(),
        parameters: stock.parameters.map_or_else(String::new, |parameters| measured(parameters as f64)),
        size: say::bytes(kept.model_bytes),
        bytes: kept.model_bytes,
        file: format!("runs/{}/{}", run.key(), Which::file_of(kept.step)),
        kind: stock.kind.clone(),
        hash: kept.hash.get(..16).unwrap_or(&kept.hash).to_owned(),
        whole_hash: kept.hash.clone(),
        data: stock.data.clone(),
        tags: stock.tags.clone(),
        notes: stock.notes.clone(),
        description: run.description.clone(),
        latest: clock.moment(run.latest()),
        commands: commands::commands(run, kept, has_verb),
        begin_with: commands::begin_with(run, kept),
    }
}

fn headline(checkpoints: usize, runs: usize) -> String {
    match checkpoints {
        0 => "No model yet.".to_owned(),
        _ => format!(
            "{} of {} can be used.",
            say::counted(checkpoints, "checkpoint", "checkpoints"),
            say::counted(runs, "run", "runs")
        ),
    }
}

fn task(task: Option<Task>) -> &'static str {
    match task {
        Some(Task::LanguageModel) => "language model",
        Some(Task::ImageClassification) => "image classification",
        None => "",
    }
}

/// Limits at powers of ten between the smallest and the largest.
fn sizes(models: &[Model]) -> Vec<Size> {
    let limits = [100 << 10, 1 << 20, 10 << 20, 100 << 20, 1 << 30, 10 << 30];
    let parts = |limit: &u64| {
        models.iter().any(|model| model.bytes <= *limit) && models.iter().any(|model| model.bytes > *limit)
    };
    limits.into_iter().filter(parts).map(|bytes| Size { bytes, text: say::bytes(bytes) }).collect()
}

/// Whether the program has a verb: a page names no command that cannot be typed.
pub fn has_verb(verb: &str) -> bool {
    static VERBS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
        Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect()
    });
    VERBS.contains(verb)
}

#[cfg(test)]
pub(super) mod tests;
