//! The list of all runs: those last heard of as rows, for readers without a script, and where the others are.

use std::collections::BTreeSet;

use super::chart::number::count;
use super::index_page::Experiments;
use super::model::{Elsewhere, Frame, RunsPage};
use super::rows;
use super::say::Clock;
use super::summary::RunSummary;

/// Rows of the page itself, and of one view of the script.
const ROWS: usize = 100;
/// Experiments that are named for the runs that have no row.
const NAMED: usize = 40;

/// `runs/index.html`; `scripts` are the versions of the data of all runs, with the number of metrics that
/// have no column in them.
pub fn page(
    experiments: &Experiments,
    (scripts, metrics_left_out): (&[String], usize),
    frame: Frame,
    clock: &Clock,
) -> RunsPage {
    let mut runs: Vec<&RunSummary> = experiments.values().flatten().copied().collect();
    runs.sort_by(|one, other| other.latest().total_cmp(&one.latest()).then_with(|| one.run.cmp(&other.run)));
    let total = runs.len();
    let states: BTreeSet<&str> = runs.iter().map(|run| run.state.word.as_str()).collect();
    let tags: BTreeSet<&String> = runs.iter().flat_map(|run| &run.tags).collect();
    runs.truncate(ROWS);
    let shown = |name: &str| runs.iter().filter(|run| run.experiment == name).count();
    let elsewhere = experiments.iter().filter(|(name, runs)| runs.len() > shown(name));
    let elsewhere = elsewhere.take(NAMED).map(|(name, runs)| Elsewhere {
        experiment: (*name).to_owned(),
        href: rows::experiment_href(&frame.root, name),
        runs: runs.len(),
    });
    RunsPage {
        total,
        said_total: format!("{} {}.", count(total as u64), if total == 1 { "run" } else { "runs" }),
        has_states: states.len() > 1,
        has_tags: tags.len() > 1,
        elsewhere: elsewhere.collect(),
        columns: rows::common_columns(),
        rows: runs.iter().map(|run| rows::common_row(run, &frame.root, clock)).collect(),
        scripts: scripts.join(" "),
        metrics_left_out,
        frame,
    }
}
