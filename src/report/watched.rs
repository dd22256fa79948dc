//! Alerts and budgets as pages show them: on a run's own page, and those of the last batch on the first.

use super::chart::number::count;
use super::index_page::Work;
use super::model::{AlertRow, BudgetRow};
use super::rows;
use super::say::Clock;
use super::summary::RunSummary;

/// Alerts beyond these are not listed, the newest stay.
const MOST: usize = 100;

/// The alerts of one run, oldest first.
pub fn alerts(run: &RunSummary, root: &str, clock: &Clock) -> Vec<AlertRow> {
    let newest = run.alerts.len().saturating_sub(MOST);
    let rows = run.alerts.iter().enumerate().skip(newest);
    rows.map(|(index, told)| AlertRow {
        id: format!("{}-{index}", rows::row_id("alert", run)),
        name: run.label.clone(),
        full_name: format!("{}/{}", run.experiment, run.run),
        experiment: run.experiment.clone(),
        href: rows::run_href(root, run),
        when: clock.moment(told.time),
        sort: told.time,
        step: count(told.step),
        rule: told.rule.clone().unwrap_or_default(),
        message: told.message.clone(),
        done: told.done().to_owned(),
    })
    .collect()
}

/// The alerts since the last batch began, newest first.
pub fn alerts_of_batch(all: &[&RunSummary], work: Option<&Work>, root: &str, clock: &Clock) -> Vec<AlertRow> {
    let Some(work) = work else { return Vec::new() };
    let of_all = all.iter().flat_map(|run| alerts(run, root, clock));
    let mut rows: Vec<AlertRow> = of_all.filter(|row| row.sort >= work.batch.start).collect();
    rows.sort_by(|one, other| other.sort.total_cmp(&one.sort));
    rows.truncate(MOST);
    rows
}

/// The budgets of one run, as far as they are judged.
pub fn budgets(run: &RunSummary, root: &str) -> Vec<BudgetRow> {
    let rows = run.budgets.iter().enumerate();
    rows.map(|(index, verdict)| BudgetRow {
        id: format!("{}-{index}", rows::row_id("budget", run)),
        name: run.label.clone(),
        full_name: format!("{}/{}", run.experiment, run.run),
        experiment: run.experiment.clone(),
        href: rows::run_href(root, run),
        budget: verdict.budget.clone(),
        met: verdict.met,
        found: verdict.found.clone(),
    })
    .collect()
}

/// The budgets that these runs have missed.
pub fn missed(runs: &[&RunSummary], root: &str) -> Vec<BudgetRow> {
    let all = runs.iter().flat_map(|run| budgets(run, root));
    all.filter(|row| !row.met).take(MOST).collect()
}

/// How many of these runs have missed a budget.
pub fn missing(runs: &[&RunSummary]) -> usize {
    runs.iter().filter(|run| run.budgets.iter().any(|verdict| !verdict.met)).count()
}
