use std::borrow::Cow;

use super::super::rows::{Table, ranked};
use super::super::summary::sample;
use super::super::verdicts::Verdicts;
use super::super::{experiment_page, lead};
use super::*;
use crate::run_dir::number::Number;

fn run(name: &str, number: u16, metric: &str, best: Option<f64>) -> RunSummary {
    let mut run = sample("x", name);
    run.label = name.to_owned();
    run.number = number;
    run.metric = metric.to_owned();
    run.best = best.map(|value| BestValue { value, step: 100 });
    run.state.class = "finished".into();
    run.state.is_imported = true;
    run
}

/// A run of `add_hparams` beside those that it describes.
fn mixed() -> [RunSummary; 4] {
    [
        run("a", 0, "loss/val", Some(2.3)),
        run("a2", 1, "hparam/acc", Some(0.9)),
        run("b", 2, "loss/val", Some(1.8)),
        run("c", 3, "loss/val", Some(2.0)),
    ]
}

#[test]
fn what_most_runs_have_a_value_of_decides_and_then_what_comes_first() {
    assert_eq!(commonest([("a", true), ("b", true), ("b", true)]), Some("b"));
    assert_eq!(commonest([("z", true), ("b", true)]), Some("z"));
    assert_eq!(
        commonest([("a", false), ("a", false), ("b", true)]),
        Some("b"),
        "without a value none decides"
    );
    assert_eq!(commonest([("a", false), ("b", false), ("b", false)]), Some("b"));
    assert_eq!(commonest([]), None);
}

#[test]
fn a_run_that_is_judged_by_another_metric_stands_below_without_a_value() {
    let runs = mixed();
    let together = together(&runs);
    let ranked = ranked(together.iter().map(Cow::as_ref));
    let names: Vec<&str> = ranked.iter().map(|run| run.label.as_str()).collect();
    assert_eq!(names, ["b", "c", "a", "a2"]);
    assert_eq!(ranked[3].best, None);
    assert_eq!(lead::best(&ranked).unwrap(), "b is best: loss/val 1.800 at step 100.");
    assert_eq!(lead::leader(&ranked).unwrap(), "b is 0.20 below the next, c.");
    let table = Table::of(&ranked);
    assert_eq!(table.columns()[0].name, "loss/val, best");
    assert_eq!(table.row(ranked[3], "", false).cells[0].text, "");
    let said = experiment_page::words::sentences(&ranked, None).join(" ");
    assert!(said.contains("a2 has no value of loss/val and is not ranked."), "{said}");
    // The first page says the same, from the runs as they are.
    let runs: Vec<&RunSummary> = runs.iter().collect();
    let said = Verdicts::default().of("x", &runs).unwrap();
    assert!(said.starts_with("b is best: loss/val 1.800"), "{said}");
    assert!(!said.contains("a2"), "{said}");
}

#[test]
fn the_order_alone_is_by_one_metric_too() {
    let runs = mixed();
    let names: Vec<&str> = ranked(&runs).into_iter().map(|run| run.label.as_str()).collect();
    assert_eq!(names, ["b", "c", "a", "a2"]);
}

#[test]
fn a_run_that_logged_what_decides_is_ranked_by_it() {
    let [a, mut other, b, c] = mixed();
    let curve = [(50.0, 2.1), (100.0, 1.5), (150.0, f64::NAN), (200.0, 1.7)];
    other.curves.insert("loss/val".into(), curve.map(|(x, y)| (x, Number(y))).to_vec());
    let runs = [a, other, b, c];
    let best = |runs: &[RunSummary]| together(runs)[1].best;
    assert_eq!(best(&runs), Some(BestValue { value: 1.5, step: 100 }));
    let [a, mut other, b, c] = runs;
    other.behind.insert("loss/val".into(), Default::default());
    assert_eq!(best(&[a, other, b, c]), None, "an average is no value");
}
