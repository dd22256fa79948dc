//! Runs as rows of tables: the same columns and words on every page.

use std::collections::BTreeSet;

use serde_json::Value;

use super::chart::backend::series_class;
use super::chart::number::{count, exponent_of, measured};
use super::judged;
use super::model::{Cell, Column, FailureRow, NextRow, Progress, RunRow};
use super::say::{self, Clock};
use super::site::{address, address_of, experiment_folder, run_folder};
use super::summary::{RunSummary, State};
use crate::experiment::metric::{Direction, direction_of};
use crate::run_dir::records::WaitingRun;

/// The page of a run, from a page at `root`.
pub fn run_href(root: &str, summary: &RunSummary) -> String {
    format!("{root}{}/index.html", address_of(&run_folder(&summary.experiment, &summary.run)))
}

/// The page of an experiment.
pub fn experiment_href(root: &str, experiment: &str) -> String {
    format!("{root}{}/index.html", address_of(&experiment_folder(experiment)))
}

/// The page that compares a run with others. What stands behind the hash is decoded once as words of an
/// address, and then as names.
pub fn compare_href(root: &str, summary: &RunSummary) -> String {
    let run = format!("{}/{}", address(&summary.experiment), address(&summary.run));
    format!("{root}compare.html#runs={}", run.replace('%', "%25"))
}

/// Unique on a page, whatever the names.
pub fn row_id(kind: &str, summary: &RunSummary) -> String {
    format!("{kind}-{}--{}", address(&summary.experiment), address(&summary.run))
}

/// Best first, by the metric of most; runs without a value of it last, in the order of queueing.
pub fn ranked<'a>(runs: impl IntoIterator<Item = &'a RunSummary>) -> Vec<&'a RunSummary> {
    let mut ranked: Vec<&RunSummary> = runs.into_iter().collect();
    let metric = judged::metric_of(ranked.iter().copied()).unwrap_or_default().to_owned();
    let sign = if direction_of(&metric) == Direction::Higher { -1.0 } else { 1.0 };
    // Adding zero makes one of both zeros.
    let value = |run: &RunSummary| Some(run.best.filter(|_| run.metric == metric)?.value * sign + 0.0);
    ranked.sort_by(|one, other| {
        let by_value = match (value(one), value(other)) {
            (Some(one), Some(other)) => one.total_cmp(&other),
            (one, other) => one.is_none().cmp(&other.is_none()),
        };
        by_value.then_with(|| (one.number, &one.run).cmp(&(other.number, &other.run)))
    });
    ranked
}

/// A table of runs of one experiment: what varies, then what came out.
pub struct Table {
    varied: Vec<Varied>,
    with_seed: bool,
    metric: String,
    /// Whether any run has a rate.
    with_rate: bool,
    /// The unit of all rates, where it is one.
    rate: Option<String>,
    /// Other metrics whose last value is shown.
    last: Vec<String>,
}

/// A setting that the runs of a table do not have in common.
struct Varied {
    path: String,
    is_number: bool,
}

/// Metrics of the table beside the one that counts, as far as the runs have them.
const LAST: [&str; 4] = ["train/loss", "val/loss", "val/perplexity", "val/accuracy"];

impl Table {
    pub fn of(runs: &[&RunSummary]) -> Table {
        let mut varied: Vec<Varied> = Vec::new();
        for (path, value) in runs.iter().flat_map(|run| &run.varied).filter(|(path, _)| path != "train.seed")
        {
            match varied.iter_mut().find(|known| known.path == *path) {
                Some(known) => known.is_number &= value.is_number(),
                None => varied.push(Varied { path: path.clone(), is_number: value.is_number() }),
            }
        }
        let metric = runs.first().map_or_else(String::new, |run| run.metric.clone());
        let shown = |name: &&&str| **name != metric && runs.iter().any(|run| run.last.contains_key(**name));
        let last = LAST.iter().filter(shown).map(|name| (*name).to_owned()).collect();
        let with_seed = runs.iter().any(|run| run.seed != runs.first().and_then(|first| first.seed));
        let units: BTreeSet<String> =
            runs.iter().filter_map(|run| run.rate.as_ref()).map(|(name, _)| unit_of_rate(name)).collect();
        let rate = units.first().filter(|_| units.len() == 1).cloned();
        Table { varied, with_seed, metric, with_rate: !units.is_empty(), rate, last }
    }

    pub fn columns(&self) -> Vec<Column> {
        let column = |name: &str, roomy| Column { name: name.to_owned(), numeric: true, roomy };
        let mut columns: Vec<Column> = Vec::new();
        // The last part of a path says enough where it is clear.
        let short = |path: &str| path.rsplit('.').next().unwrap_or(path).to_owned();
        for Varied { path, is_number } in &self.varied {
            let clear = self.varied.iter().filter(|other| short(&other.path) == short(path)).count() == 1;
            let name = if clear { short(path) } else { path.clone() };
            // A narrow page has it in the run's name.
            columns.push(Column { name, numeric: *is_number, roomy: true });
        }
        if self.with_seed {
            columns.push(column("seed", true));
        }
        columns.push(column(&format!("{}, best", self.metric), false));
        columns.push(column("at step", true));
        columns.extend(self.last.iter().map(|name| column(&format!("{name}, last"), true)));
        if self.with_rate {
            columns.push(column(self.rate.as_deref().unwrap_or("rate"), true));
        }
        columns.push(column("training", true));
        columns.push(column("steps", true));
        columns
    }

    pub fn row(&self, run: &RunSummary, root: &str, is_best: bool) -> RunRow {
        let mut cells = Vec::new();
        let number = |value: Option<f64>, text: String| Cell { text, sort: value };
        for Varied { path, .. } in &self.varied {
            let value = run.varied.iter().find(|(name, _)| name == path).map(|(_, value)| value);
            cells.push(number(value.and_then(Value::as_f64), value.map_or_else(String::new, say::setting)));
        }
        if self.with_seed {
            cells.push(number(
                run.seed.map(|seed| seed as f64),
                run.seed.map_or_else(String::new, |seed| seed.to_string()),
            ));
        }
        let best = run.best.filter(|_| run.metric == self.metric);
        cells.push(number(
            best.map(|best| best.value),
            best.map_or_else(String::new, |best| measured(best.value)),
        ));
        cells.push(number(
            best.map(|best| best.step as f64),
            best.map_or_else(String::new, |best| count(best.step)),
        ));
        for name in &self.last {
            let value = run.last.get(name).map(|number| number.0);
            cells.push(number(
                value.filter(|value| value.is_finite()),
                value.map_or_else(String::new, measured),
            ));
        }
        if self.with_rate {
            let rate = run.rate.as_ref().map(|(name, rate)| match &self.rate {
                Some(_) => measured(rounded(*rate)),
                None => format!("{} {}", measured(rounded(*rate)), unit_of_rate(name)),
            });
            cells.push(number(run.rate.as_ref().map(|(_, rate)| *rate), rate.unwrap_or_default()));
        }
        let elapsed = run.elapsed_seconds;
        cells.push(number(elapsed, elapsed.map_or_else(String::new, say::duration)));
        cells.push(number(Some(run.step as f64), count(run.step)));
        RunRow {
            id: row_id("run", run),
            name: run.label.clone(),
            full_name: run.run.clone(),
            href: run_href(root, run),
            experiment: run.experiment.clone(),
            experiment_href: experiment_href(root, &run.experiment),
            class: series_class(run.number),
            state: run.state.clone(),
            is_best,
            cells,
        }
    }
}

/// "tokens/s" for `tokens_per_second`.
pub fn unit_of_rate(name: &str) -> String {
    name.replace("_per_second", "/s").replace('_', " ")
}

/// The same columns for runs of several experiments.
pub fn common_columns() -> Vec<Column> {
    let column = |name: &str, numeric, roomy| Column { name: name.to_owned(), numeric, roomy };
    vec![
        column("metric", false, true),
        column("best", true, false),
        column("at step", true, true),
        column("steps", true, true),
        column("training", true, true),
        column("last heard", true, true),
    ]
}

pub fn common_row(run: &RunSummary, root: &str, clock: &Clock) -> RunRow {
    let table = Table {
        varied: Vec::new(),
        with_seed: false,
        metric: String::new(),
        with_rate: false,
        rate: None,
        last: Vec::new(),
    };
    let best = run.best;
    let cell = |sort: Option<f64>, text: String| Cell { sort, text };
    let cells = vec![
        cell(None, run.metric.clone()),
        cell(best.map(|best| best.value), best.map_or_else(String::new, |best| measured(best.value))),
        cell(best.map(|best| best.step as f64), best.map_or_else(String::new, |best| count(best.step))),
        cell(Some(run.step as f64), count(run.step)),
        cell(run.elapsed_seconds, run.elapsed_seconds.map_or_else(String::new, say::duration)),
        cell(Some(run.latest()), clock.moment(run.latest()).text),
    ];
    RunRow { cells, ..table.row(run, root, false) }
}

/// How far a run is, while it runs.
pub fn progress(run: &RunSummary) -> Option<Progress> {
    // How many steps another program meant to take, nobody told.
    (run.is_active() && !run.state.is_imported).then(|| Progress {
        step: run.step.min(run.steps),
        steps: run.steps.max(1),
        text: format!("{} of {}", count(run.step), count(run.steps)),
    })
}

/// The run as one that needs somebody, if it does.
pub fn failure(run: &RunSummary, root: &str) -> Option<FailureRow> {
    let failure = run.failure.as_ref()?;
    Some(FailureRow {
        id: row_id("failure", run),
        name: run.label.clone(),
        full_name: format!("{}/{}", run.experiment, run.run),
        experiment: run.experiment.clone(),
        href: run_href(root, run),
        state: run.state.clone(),
        cause: failure.cause.clone(),
        message: failure.message.clone(),
        hint: failure.hint.clone(),
        command: failure.command.clone(),
        log: failure.log.clone(),
    })
}

/// The run as one at work, waiting or held, if it is, or as one that is tried again; `known` is what the runner says about it.
pub fn next(run: &RunSummary, known: Option<&WaitingRun>, root: &str, clock: &Clock) -> Option<NextRow> {
    let state = match (run.state.class.as_str(), known) {
        // Nothing here waits for it, and nobody knows when it ends.
        _ if run.state.is_merely_heard_of() => return None,
        ("running" | "waiting" | "held", _) => run.state.clone(),
        // The runner at work tries it again.
        ("failed", Some(_)) => State { word: "waiting".into(), class: "waiting".into(), ..run.state.clone() },
        _ => return None,
    };
    let said =
        known.map(|known| known.reason.clone()).filter(|reason| !reason.is_empty() && !run.is_active());
    let when = match (run.remaining_seconds, known.and_then(|known| known.start)) {
        (Some(left), _) if run.is_active() => format!("ends {}", clock.moment(clock.now + left).text),
        (_, Some(start)) if run.state.class == "waiting" => format!("about {}", clock.moment(start).text),
        _ => String::new(),
    };
    Some(NextRow {
        id: row_id("next", run),
        name: run.label.clone(),
        full_name: format!("{}/{}", run.experiment, run.run),
        experiment: run.experiment.clone(),
        href: run_href(root, run),
        state,
        progress: progress(run),
        reason: said.or_else(|| run.state.detail.clone()).unwrap_or_default(),
        when,
    })
}

/// Where a run stands among those that come next: at work, waiting, held.
pub fn next_place(row: &NextRow) -> Option<usize> {
    ["running", "waiting", "held"].iter().position(|class| *class == row.state.class)
}

/// Three digits of a rate: more are never meant.
pub fn rounded(rate: f64) -> f64 {
    let power = exponent_of(rate) - 2;
    match power {
        _ if rate == 0.0 || !rate.is_finite() || power.abs() > 100 => rate,
        power if power < 0 => (rate * 10f64.powi(-power)).round() / 10f64.powi(-power),
        power => (rate / 10f64.powi(power)).round() * 10f64.powi(power),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_two_metrics_are_neither_ranked_against_each_other_nor_shown_as_one() {
        let run = |name: &str, metric: &str, value: f64| {
            let mut run = super::super::summary::sample("x", name);
            run.label = name.to_owned();
            run.metric = metric.to_owned();
            run.best = Some(super::super::summary::BestValue { value, step: 100 });
            run.state.class = "finished".into();
            run
        };
        let runs = [run("foreign", "loss/val", 0.2), run("a", "val/loss", 1.7), run("b", "val/loss", 1.5)];
        let best_first = ranked(&runs);
        let names: Vec<&str> = best_first.iter().map(|run| run.run.as_str()).collect();
        assert_eq!(names, ["b", "a", "foreign"]);
        let table = Table::of(&best_first);
        let place = table.columns().iter().position(|column| column.name == "val/loss, best").unwrap();
        let best = |run| table.row(run, "", false).cells[place].text.clone();
        assert_eq!([best(&runs[2]), best(&runs[0])], ["1.500", ""]);
        assert_eq!(super::super::lead::leader(&[&runs[1], &runs[0]]), None);
    }

    #[test]
    fn a_table_of_runs_without_a_rate_has_no_column_of_rates() {
        let mut run = super::super::summary::sample("x", "y");
        run.rate = None;
        let names = |run: &RunSummary| {
            let table = Table::of(&[run]);
            assert_eq!(table.columns().len(), table.row(run, "", false).cells.len());
            table.columns().into_iter().map(|column| column.name).collect::<Vec<_>>().join(", ")
        };
        assert!(names(&run).ends_with("at step, training, steps"), "{}", names(&run));
        run.rate = Some(("tokens_per_second".into(), 412_000.0));
        assert!(names(&run).ends_with("at step, tokens/s, training, steps"), "{}", names(&run));
    }

    #[test]
    fn an_imported_run_that_was_only_heard_of_is_not_among_what_comes_next_here() {
        let clock = Clock::ahead_of_utc(0, 1000.0);
        let comes_next = |is_imported: bool, detail: Option<&str>| {
            let mut run = super::super::summary::sample("x", "y");
            let detail = detail.map(str::to_owned);
            run.state = State { class: "running".into(), is_imported, detail, ..run.state };
            next(&run, None, "", &clock).is_some()
        };
        assert!(!comes_next(true, Some("its source was written to a minute ago")));
        assert!(comes_next(true, None), "somebody follows it");
        assert!(comes_next(false, Some("hangs")));
    }

    #[test]
    fn only_a_run_at_work_has_an_end_and_only_a_waiting_one_a_start() {
        let clock = Clock::ahead_of_utc(0, 1000.0);
        let known = WaitingRun {
            experiment: "x".into(),
            run: "y".into(),
            reason: "for a free slot".into(),
            start: Some(1600.0),
            passed: None,
            end: None,
        };
        let when = |class: &str, known: Option<&WaitingRun>| {
            let mut run = super::super::summary::sample("x", "y");
            run.state.class = class.into();
            run.remaining_seconds = Some(600.0);
            next(&run, known, "", &clock).unwrap().when
        };
        assert_eq!(when("running", None), "ends 00:26");
        assert_eq!(when("waiting", Some(&known)), "about 00:26");
        // It hangs: what it said of its end is void.
        assert_eq!(when("held", None), "");
        assert_eq!(when("held", Some(&known)), "");
    }

    #[test]
    fn rates_have_three_digits() {
        assert_eq!([412_110.4, 37.26, 0.0, 9_999.0].map(rounded), [412_000.0, 37.3, 0.0, 10_000.0]);
        assert!(rounded(f64::NAN).is_nan());
    }
}
