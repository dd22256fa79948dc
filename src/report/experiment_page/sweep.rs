//! Settings against what came of them: parallel coordinates and a scatter of all runs.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::chart::backend::series_class;
use super::super::chart::dimension::{Dimension, Measure};
use super::super::chart::parallel::{self, Line};
use super::super::chart::scatter::{self, Dot};
use super::super::chart::table::{DataTable, MOST_ROWS};
use super::super::common;
use super::super::model::{ImportanceBlock, Sketch, SweepBlock};
use super::super::rows;
use super::super::say;
use super::super::summary::RunSummary;
use crate::run_dir::number::Number;

/// Axes that can be told apart on a narrow page.
const AXES: usize = 8;
/// Runs that are drawn, the best ones; the table lists every run.
const RUNS: usize = super::LINES;
/// Metrics that a point can be moved to; the page of a run has all of its own.
const METRICS: usize = 60;

/// Drawings of the experiment's runs, best first; none where nothing differs or there is one run.
pub fn block(ranked: &[&RunSummary], importance: Option<&ImportanceBlock>, root: &str) -> Option<SweepBlock> {
    let runs: Vec<&RunSummary> = ranked.iter().copied().take(RUNS).collect();
    let first = runs.first().filter(|_| runs.len() > 1)?;
    let settings: Vec<Dimension> = settings(&runs).into_iter().filter(Dimension::differs).collect();
    let named = common::metrics(&runs, METRICS);
    let mut metrics = metrics(&runs, &first.metric, &named.names);
    if metrics.is_empty() || settings.is_empty() {
        return None;
    }
    let matters = |dimension: &Dimension| {
        let rows = importance.map_or(&[][..], |block| &block.rows);
        rows.iter().position(|row| row.setting == dimension.name).unwrap_or(rows.len())
    };
    let is_seed = |dimension: &Dimension| dimension.name == SEED;
    let most_important = settings
        .iter()
        .enumerate()
        .min_by_key(|(_, one)| (is_seed(one), matters(one)))
        .map_or(0, |(at, _)| at);
    let mut axes: Vec<Dimension> = settings.iter().filter(|one| !is_seed(one)).cloned().collect();
    axes.sort_by_key(matters);
    axes.truncate(AXES - 1);
    let counts = counting(&runs, &metrics.remove(0));
    axes.push(counts.clone());
    let mut fields = settings;
    let y = fields.len();
    fields.push(counts);
    fields.extend(metrics);
    let is_lead = |at: usize, run: &RunSummary| at == 0 && run.best.is_some();
    let lines: Vec<Line> = runs
        .iter()
        .enumerate()
        .map(|(at, run)| Line {
            key: run.key(),
            name: run.label.clone(),
            class: series_class(run.number),
            is_lead: is_lead(at, run),
        })
        .collect();
    let dots: Vec<Dot> = runs
        .iter()
        .enumerate()
        .map(|(at, run)| Dot {
            key: run.key(),
            name: run.label.clone(),
            class: series_class(run.number).split(' ').next().unwrap_or_default().to_owned(),
            href: rows::run_href(root, run),
            is_lead: is_lead(at, run),
        })
        .collect();
    let (across, up) = (&fields[most_important], &fields[y]);
    let title = format!("{} against {}", up.name, across.name);
    Some(SweepBlock {
        parallel: Sketch { svg: parallel::draw("Settings and what came of each run", &axes, &lines) },
        scatter: Sketch { svg: scatter::draw(&title, across, up, &dots) },
        title,
        table: table(&fields, &runs),
        data: data(&fields, &runs, most_important, y),
        left_out: ranked.len() - runs.len(),
        metrics_left_out: named.left_out,
    })
}

const SEED: &str = "train.seed";

/// What the sweep varied, amounts as they are and everything else as kinds in the order of their words.
fn settings(runs: &[&RunSummary]) -> Vec<Dimension> {
    let mut paths: Vec<&str> = Vec::new();
    for (path, _) in runs.iter().flat_map(|run| &run.varied) {
        if !paths.contains(&path.as_str()) {
            paths.push(path);
        }
    }
    let value = |run: &RunSummary, path: &str| {
        let own = run.varied.iter().find(|(name, _)| name == path).map(|(_, value)| value);
        own.or_else(|| run.settings.get(path)).cloned()
    };
    let is_drawn_log = |path: &str| runs.iter().any(|run| run.log_uniform.iter().any(|log| log == path));
    let dimension = |path: &str| {
        let values: Vec<Option<Value>> = runs.iter().map(|run| value(run, path)).collect();
        if values.iter().flatten().all(Value::is_number) {
            let amount = |value: &Option<Value>| value.as_ref().and_then(Value::as_f64).unwrap_or(f64::NAN);
            let amounts = Dimension::amounts(path, values.iter().map(amount).collect());
            return Dimension { is_drawn_log: is_drawn_log(path), ..amounts };
        }
        let kinds: BTreeSet<String> = values.iter().flatten().map(say::setting).collect();
        let kinds: Vec<String> = kinds.into_iter().collect();
        let place = |value: &Option<Value>| {
            let word = value.as_ref().map(say::setting);
            kinds.iter().position(|kind| Some(kind) == word.as_ref()).map_or(f64::NAN, |at| at as f64)
        };
        let values = values.iter().map(place).collect();
        Dimension { measure: Measure::Kinds(kinds), ..Dimension::amounts(path, values) }
    };
    paths.into_iter().map(dimension).collect()
}

/// The best value of the metric that counts first, then the last values of all that were logged.
fn metrics(runs: &[&RunSummary], counts: &str, names: &BTreeSet<String>) -> Vec<Dimension> {
    let judged =
        |run: &&RunSummary| run.best.filter(|_| run.metric == counts).map_or(f64::NAN, |best| best.value);
    let best = runs.iter().map(judged).collect();
    let mut metrics = vec![Dimension::amounts(&format!("{counts}, best"), best)];
    for name in names {
        let last = |run: &&RunSummary| run.last.get(name).map_or(f64::NAN, |&Number(value)| value);
        metrics.push(Dimension::amounts(&format!("{name}, last"), runs.iter().map(last).collect()));
    }
    let seconds = runs.iter().map(|run| run.elapsed_seconds.unwrap_or(f64::NAN)).collect();
    metrics.push(Dimension::amounts("training, seconds", seconds));
    metrics.retain(|one| one.values.iter().any(|value| value.is_finite()));
    metrics
}

/// A failed run has no result, whatever it reached before.
fn counting(runs: &[&RunSummary], metric: &Dimension) -> Dimension {
    let of = |(run, value): (&&RunSummary, &f64)| if run.state.class == "failed" { f64::NAN } else { *value };
    Dimension::amounts(&metric.name, runs.iter().zip(&metric.values).map(of).collect())
}

fn table(fields: &[Dimension], runs: &[&RunSummary]) -> DataTable {
    let head = std::iter::once("run".to_owned()).chain(fields.iter().map(|field| field.name.clone()));
    let row = |(at, run): (usize, &&RunSummary)| {
        let words = fields.iter().map(|field| scatter::word(field, at));
        std::iter::once(run.label.clone()).chain(words).collect()
    };
    let rows: Vec<Vec<String>> = runs.iter().enumerate().take(MOST_ROWS).map(row).collect();
    DataTable { head: head.collect(), more: runs.len() - rows.len(), rows }
}

/// What the script moves points by. What is no number is null there.
fn data(fields: &[Dimension], runs: &[&RunSummary], x: usize, y: usize) -> String {
    let field = |one: &Dimension| {
        let kinds = match &one.measure {
            Measure::Kinds(words) => Some(words),
            Measure::Amount => None,
        };
        json!({ "name": one.name, "log": one.is_log(), "kinds": kinds, "values": one.values })
    };
    let fields: Vec<Value> = fields.iter().map(field).collect();
    let runs: Vec<String> = runs.iter().map(|run| run.key()).collect();
    json!({ "fields": fields, "runs": runs, "x": x, "y": y }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::summary::{BestValue, State, sample};

    fn run(name: &str, kind: &str, rate: f64, best: Option<f64>, class: &str) -> RunSummary {
        let mut run = sample("x", name);
        run.varied = vec![("train.optimizer.lr".into(), json!(rate)), ("model.kind".into(), json!(kind))];
        run.best = best.map(|value| BestValue { value, step: 1 });
        run.state = State { word: class.into(), class: class.into(), detail: None, is_imported: false };
        run
    }

    #[test]
    fn a_sweep_has_an_axis_for_each_setting_that_differs_and_a_failed_run_stands_at_the_edge() {
        let runs = [
            run("a", "gpt", 1e-4, Some(1.0), "finished"),
            run("b", "<mlp>", 1e-2, Some(2.0), "finished"),
            run("c", "gpt", 1e-3, Some(3.0), "failed"),
        ];
        let ranked: Vec<&RunSummary> = runs.iter().collect();
        let found = block(&ranked, None, "../").unwrap();
        assert_eq!(found.parallel.svg.matches("class=\"axis\"").count(), 3, "{}", found.parallel.svg);
        assert_eq!(found.parallel.svg.matches("class=\"gap").count(), 1);
        assert!(found.parallel.svg.contains("data-log=\"1\"") && !found.parallel.svg.contains("<mlp>"));
        let data: Value = serde_json::from_str(&found.data).unwrap();
        assert!(data["fields"][2]["values"][2].is_null() && data["fields"][0]["log"] == true, "{data}");
        assert_eq!(found.table.rows[2][3], "no value");
    }

    #[test]
    fn an_axis_is_as_its_sweep_draws() {
        let drawn = |log_uniform: &[&str]| {
            let mut runs =
                [run("a", "gpt", 1e-4, Some(1.0), "finished"), run("b", "gpt", 9e-4, Some(2.0), "finished")];
            runs[0].log_uniform = log_uniform.iter().map(|path| (*path).to_owned()).collect();
            let found = block(&runs.iter().collect::<Vec<_>>(), None, "").unwrap();
            let data: Value = serde_json::from_str(&found.data).unwrap();
            (found.parallel.svg.contains("data-log=\"1\""), data["fields"][0]["log"] == true)
        };
        assert_eq!((drawn(&[]), drawn(&["train.optimizer.lr"])), ((false, false), (true, true)));
    }

    #[test]
    fn one_run_and_runs_without_values_or_differences_have_no_drawing() {
        let one = run("a", "gpt", 1e-4, Some(1.0), "finished");
        let nothing = run("b", "gpt", 1e-4, None, "waiting");
        assert!(block(&[], None, "").is_none() && block(&[&one], None, "").is_none());
        assert!(block(&[&one, &one], None, "").is_none() && block(&[&nothing, &nothing], None, "").is_none());
    }
}
