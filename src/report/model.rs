//! What templates see: one typed struct for each page, and the parts that pages have in common.
//!
//! Everything here is text from elsewhere (names, notes, model output) and escaped by the templates;
//! only `svg` is markup, made by our own charts.

use serde::Serialize;
use std::collections::BTreeMap;

use super::chart::Drawing;
use super::say::Moment;
use super::summary::State;

mod listed;
mod news;
mod of_run;
mod together;

pub use listed::{Elsewhere, RunsPage};
pub use news::{LeadRow, News, NewsRow};
pub use of_run::{
    AnalyticsRow, CheckpointRow, CheckpointsBlock, FurtherBlock, FurtherGroup, FurtherRow, LayerRow,
    LogBlock, ModelBlock, NoteRow, SettingRow, SiblingBlock, TensorRow,
};
pub use together::{GroupRow, ImportanceBlock, ImportanceRow, SeedsBlock, Sketch, SweepBlock};

/// The part of every page around its content.
#[derive(Clone, Debug, Serialize)]
pub struct Frame {
    /// The browser's title.
    pub title: String,
    /// The way from this page to the top of the report: "" or "../../".
    pub root: String,
    /// The entry of the navigation this page belongs to: `morning`, `experiments` or `runs`.
    pub here: &'static str,
    /// Name of the workspace's folder.
    pub workspace: String,
    pub host: String,
    /// Identifies the workspace to what a browser keeps.
    pub workspace_id: String,
    /// Path of the logo below the top of the report.
    pub logo: &'static str,
    /// What is wrong with the theme, if it was left out.
    pub warning: Option<String>,
    /// Whether anything shown may still change: without JavaScript the page then reloads itself.
    pub active: bool,
    pub built: Moment,
}

/// A number that says much, with its name.
#[derive(Clone, Debug, Serialize)]
pub struct Fact {
    pub name: String,
    pub value: String,
    /// Small beside the value: a unit, a step.
    pub unit: String,
    /// `bad` for what needs somebody, otherwise empty.
    pub class: &'static str,
}

/// A chart with its heading.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    pub id: String,
    pub title: String,
    pub note: String,
    /// Columns of twelve: `w12`, `w8`, `w6` or `w4`.
    pub width: &'static str,
    /// Which line is which.
    pub legend: Vec<Key>,
    #[serde(flatten)]
    pub drawing: Drawing,
}

#[derive(Clone, Debug, Serialize)]
pub struct Key {
    pub class: String,
    pub name: String,
    pub href: Option<String>,
}

/// A run in a list.
#[derive(Clone, Debug, Serialize)]
pub struct RunRow {
    /// Unique on the page.
    pub id: String,
    pub name: String,
    /// The whole name, with its hash.
    pub full_name: String,
    pub href: String,
    pub experiment: String,
    pub experiment_href: String,
    /// Classes of the run's color.
    pub class: String,
    pub state: State,
    pub is_best: bool,
    pub cells: Vec<Cell>,
}

/// A value in a sortable table.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    pub text: String,
    /// What to sort by when that is not the text: a number.
    pub sort: Option<f64>,
}

/// The heading of a column, with what the cells below have in common.
#[derive(Clone, Debug, Serialize)]
pub struct Column {
    pub name: String,
    /// Whether its cells are numbers, set to the right.
    pub numeric: bool,
    /// Whether a narrow page leaves it out.
    pub roomy: bool,
}

/// A run that needs somebody.
#[derive(Clone, Debug, Serialize)]
pub struct FailureRow {
    pub id: String,
    pub name: String,
    pub full_name: String,
    pub experiment: String,
    pub href: String,
    pub state: State,
    /// What kind of failure it is, where the message does not begin with it.
    pub cause: String,
    pub message: String,
    pub hint: String,
    /// What one would type next, or empty.
    pub command: String,
    /// The last lines of the worker's own words.
    pub log: String,
}

/// A run at work or waiting.
#[derive(Clone, Debug, Serialize)]
pub struct NextRow {
    pub id: String,
    pub name: String,
    pub full_name: String,
    pub experiment: String,
    pub href: String,
    pub state: State,
    /// Steps done and planned while it runs.
    pub progress: Option<Progress>,
    /// Why it waits.
    pub reason: String,
    /// When it will end or start.
    pub when: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct Progress {
    pub step: u64,
    pub steps: u64,
    pub text: String,
}

/// Something that a rule saw.
#[derive(Clone, Debug, Serialize)]
pub struct AlertRow {
    pub id: String,
    pub name: String,
    pub full_name: String,
    pub experiment: String,
    pub href: String,
    pub when: Moment,
    /// Unix seconds.
    pub sort: f64,
    pub step: String,
    /// Empty for what no rule was needed to see.
    pub rule: String,
    pub message: String,
    /// What was done about it, or empty.
    pub done: String,
}

/// What a run was to come to, and what it came to.
#[derive(Clone, Debug, Serialize)]
pub struct BudgetRow {
    pub id: String,
    pub name: String,
    pub full_name: String,
    pub experiment: String,
    pub href: String,
    pub budget: String,
    pub met: bool,
    pub found: String,
}

/// `index.html`: the morning.
#[derive(Clone, Debug, Serialize)]
pub struct IndexPage {
    pub frame: Frame,
    pub headline: String,
    /// The part of it that asks for somebody.
    pub need: String,
    /// When the batch began and how it went.
    pub batch: String,
    pub facts: Vec<Fact>,
    /// What is to be said of the batch itself.
    pub say: Vec<String>,
    pub leads: Vec<LeadRow>,
    pub news: News,
    /// Whether the runs shown are of more than one experiment, so that their names need its name.
    pub has_several: bool,
    pub night: Option<Figure>,
    /// What a step is on other axes, for the script: see `clocks`.
    pub clocks: String,
    /// The script with what charts hold, where that is too much for the page: see `aside`.
    pub aside: Option<String>,
    pub boards: Vec<Board>,
    /// Runs of the newest batch that need somebody, and the others that do.
    pub failures: Vec<FailureRow>,
    pub older_failures: Vec<FailureRow>,
    /// Since the newest batch began, newest first.
    pub alerts: Vec<AlertRow>,
    /// Budgets that runs of the newest batch have missed.
    pub missed: Vec<BudgetRow>,
    pub next: Vec<NextRow>,
    /// Waiting runs that are not listed.
    pub next_more: usize,
    /// Experiments that have no board on this page.
    pub others: Vec<ExperimentRow>,
}

/// One experiment on the first page: its chart and its best runs.
#[derive(Clone, Debug, Serialize)]
pub struct Board {
    pub id: String,
    pub experiment: String,
    pub href: String,
    pub figure: Figure,
    pub note: String,
    pub columns: Vec<Column>,
    pub rows: Vec<RunRow>,
    /// Runs that are not listed.
    pub more: usize,
}

/// `experiments/index.html`.
#[derive(Clone, Debug, Serialize)]
pub struct ExperimentsPage {
    pub frame: Frame,
    pub rows: Vec<ExperimentRow>,
}

#[derive(Clone, Debug, Serialize)]
pub struct ExperimentRow {
    pub id: String,
    pub name: String,
    pub href: String,
    pub description: String,
    pub runs: usize,
    /// Counts by state, in words.
    pub states: String,
    pub metric: String,
    pub best: String,
    pub best_sort: Option<f64>,
    pub best_run: String,
    pub best_href: String,
    pub latest: Moment,
    pub latest_sort: f64,
}

/// `compare.html`: its script makes the rest, from the runs in its address.
#[derive(Clone, Debug, Serialize)]
pub struct ComparePage {
    pub frame: Frame,
}

/// The rows of a long table that a script puts behind the first ones.
#[derive(Clone, Debug, Serialize)]
pub struct Beyond {
    /// Rows that stand in the page.
    pub shown: usize,
    /// All of them, in words.
    pub total: String,
    /// The others, for the script.
    pub json: String,
}

/// `experiments/<experiment>/index.html`.
#[derive(Clone, Debug, Serialize)]
pub struct ExperimentPage {
    pub frame: Frame,
    pub name: String,
    pub description: String,
    pub tags: Vec<String>,
    /// The best run with its value and step, in a sentence.
    pub headline: String,
    pub facts: Vec<Fact>,
    pub say: Vec<String>,
    /// What a step is on other axes, for the script: see `clocks`.
    pub clocks: String,
    /// The script with what charts hold, where that is too much for the page: see `aside`.
    pub aside: Option<String>,
    pub figures: Vec<Figure>,
    /// Where settings have several seeds.
    pub seeds: Option<SeedsBlock>,
    /// Where enough runs have finished to tell.
    pub importance: Option<ImportanceBlock>,
    /// Where several runs differ and have values.
    pub sweep: Option<SweepBlock>,
    pub columns: Vec<Column>,
    pub rows: Vec<RunRow>,
    /// Where there are too many rows for the page: those that come after it.
    pub beyond: Option<Beyond>,
    pub failures: Vec<FailureRow>,
    pub next: Vec<NextRow>,
}

/// `runs/<experiment>/<run>/index.html`.
#[derive(Clone, Debug, Serialize)]
pub struct RunPage {
    pub frame: Frame,
    pub name: String,
    pub full_name: String,
    pub experiment: String,
    pub experiment_href: String,
    /// The page that compares it with others.
    pub compare_href: String,
    pub description: String,
    pub tags: Vec<String>,
    pub notes: Vec<NoteRow>,
    pub state: State,
    /// When and where it ran, in a sentence.
    pub when: String,
    pub progress: Option<Progress>,
    pub facts: Vec<Fact>,
    pub say: Vec<String>,
    pub failure: Option<FailureRow>,
    pub alerts: Vec<AlertRow>,
    /// The names of rules that saw nothing so far.
    pub quiet_rules: Vec<String>,
    pub budgets: Vec<BudgetRow>,
    pub figures: Vec<Figure>,
    /// Metrics that are too many to be drawn.
    pub further: Option<FurtherBlock>,
    /// What a step is on other axes, for the script: see `clocks`.
    pub clocks: String,
    /// How values were spread, a chart for each histogram, and how many of them are not drawn.
    pub distributions: Vec<Figure>,
    pub distributions_left: usize,
    /// Whether `metrics.csv` lies beside the page.
    pub has_metrics: bool,
    pub telemetry: Vec<Figure>,
    /// What slowed the device down or went wrong with it, in words.
    pub telemetry_notes: Vec<String>,
    /// What the run took, over all attempts, where that was measured.
    pub energy_joules: Option<f64>,
    pub samples: Vec<SampleBlock>,
    pub evaluation: Option<EvaluationBlock>,
    /// Rate, trend, average, end, time lost.
    pub analytics: Vec<AnalyticsRow>,
    pub model: Option<ModelBlock>,
    /// The best other run of the experiment that finished.
    pub sibling: Option<SiblingBlock>,
    /// Settings that differ from the default or from the sibling's.
    pub differing: Vec<SettingRow>,
    pub settings: Vec<SettingRow>,
    pub environment: Vec<(String, String)>,
    /// The data files, where there are too many to name each beside the rest.
    pub data: Option<DataFiles>,
    pub certificate: Option<CertificateBlock>,
    pub attempts: Vec<AttemptRow>,
    pub checkpoints: Option<CheckpointsBlock>,
    pub log: Option<LogBlock>,
    pub stderr: String,
    /// The last row of `metrics.csv` that the page was made from.
    pub held: Option<HeldRow>,
    pub warnings: Vec<String>,
}

/// A row of a growing CSV: whoever follows it asks from here on.
#[derive(Clone, Debug, Serialize)]
pub struct HeldRow {
    /// Bytes before it.
    pub at: u64,
    /// With its newline.
    pub row: String,
}

/// What the model produced at one step.
#[derive(Clone, Debug, Serialize)]
pub struct SampleBlock {
    pub step: String,
    /// Unique on the page.
    pub id: String,
    /// Whether it is open from the start: the newest.
    pub open: bool,
    pub texts: Vec<TextSample>,
    /// The sheet of images, beside the page.
    pub image: Option<String>,
    /// What the model said about each image.
    pub predictions: Vec<PredictionRow>,
    pub summary: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct TextSample {
    pub how: String,
    pub prompt: String,
    pub text: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct PredictionRow {
    pub tile: u32,
    pub actual: String,
    pub predicted: String,
    pub probability: String,
    pub right: bool,
}

#[derive(Clone, Debug, Serialize)]
pub struct EvaluationBlock {
    pub step: String,
    pub classes: Vec<ClassRow>,
    pub confusion: Option<Figure>,
}

#[derive(Clone, Debug, Serialize)]
pub struct ClassRow {
    pub name: String,
    pub examples: String,
    pub accuracy: String,
    pub sort: f64,
}

/// Many data files, said in a line.
#[derive(Clone, Debug, Serialize)]
pub struct DataFiles {
    /// "63 files, 412 KiB".
    pub summary: String,
    /// Path, size and fingerprint of each.
    pub files: Vec<(String, String)>,
}

/// How far a run can be trusted to have ended at the bits it would have ended at undisturbed.
#[derive(Clone, Debug, Serialize)]
pub struct CertificateBlock {
    /// "resumed 3 times, verified equal".
    pub sentence: String,
    /// Whether the head of the page says it too: there is something to say.
    pub is_headline: bool,
    /// `good`, `bad` or empty.
    pub class: &'static str,
    /// What differs and why; attempts that could not give the same bits.
    pub details: Vec<String>,
    pub rows: Vec<CertificateRow>,
    /// What one would type to see for oneself.
    pub command: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct CertificateRow {
    pub name: &'static str,
    pub value: String,
    /// A hash in full, where the value is its beginning; otherwise empty.
    pub whole: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct AttemptRow {
    pub attempt: u32,
    pub start: Moment,
    pub took: String,
    pub device: String,
    pub from: String,
    pub outcome: String,
}

/// Counts by state in words: "34 finished, 2 failed, 1 running".
pub fn states_in_words<'a>(states: impl Iterator<Item = &'a State>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for state in states {
        *counts.entry(state.word.as_str()).or_default() += 1;
    }
    let words: Vec<String> = counts.into_iter().map(|(word, count)| format!("{count} {word}")).collect();
    words.join(", ")
}
