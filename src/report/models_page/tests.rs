use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::run_dir::number::Number;

/// A run of two checkpoints, the first of which is the best.
pub fn run(experiment: &str, name: &str, task: Task, word: &str) -> RunSummary {
    let class = match word {
        "finished" | "running" | "waiting" => word,
        "lost" => "waiting",
        "paused" | "stopped" => "held",
        _ => "failed",
    };
    let kept = |step: u64, loss: Value| {
        json!({"step": step, "bytes": 9000, "model_bytes": 3000 * step, "hash": "ab".repeat(32),
            "values": {"train/loss": [step, loss], "val/loss": [10, 1.5]}})
    };
    serde_json::from_value(json!({
        "fingerprint": "", "experiment": experiment, "run": name, "label": name, "number": 0, "description": "",
        "tags": [], "created": 5.0, "state": {"word": word, "class": class, "detail": null}, "needs": [],
        "fate": "other", "failed_need": null, "steps": 20, "step": 20, "remaining_seconds": null,
        "elapsed_seconds": 3.0, "seed": 1, "varied": [], "metric": "val/loss",
        "best": {"value": 1.5, "step": 10}, "last": {}, "rate": null, "attempts": [], "failure": null,
        "alerts": [], "budgets": [], "curves": {},
        "stock": {"task": task, "kind": "gpt", "parameters": 800_000, "data": "text: a.txt", "tags": ["night"],
            "notes": [], "best": 10, "checkpoints": [kept(10, json!(2.0)), kept(20, json!(1.0))], "takes": []},
    }))
    .unwrap()
}

fn frame() -> Frame {
    Frame {
        title: String::new(),
        root: String::new(),
        here: "models",
        workspace: String::new(),
        host: String::new(),
        workspace_id: String::new(),
        logo: "",
        warning: None,
        active: false,
        built: Moment::default(),
    }
}

fn shown(runs: &[&RunSummary]) -> ModelsPage {
    page(runs, frame(), &Clock::ahead_of_utc(0, 100.0))
}

#[test]
fn a_run_that_came_to_a_bad_end_has_its_best_and_its_last_and_no_model_of_infinite_loss_is_worth_using() {
    let steps = |run: &RunSummary| worth_using(run).iter().map(|kept| kept.step).collect::<Vec<_>>();
    let with = |word: &str, losses: &[f64]| {
        let mut run = run("x", "s1", Task::LanguageModel, word);
        let kept = |(index, loss): (usize, &f64)| Kept {
            step: 10 * (index as u64 + 1),
            values: BTreeMap::from([("train/loss".to_owned(), (10, Number(*loss)))]),
            ..Kept::default()
        };
        run.stock.checkpoints = losses.iter().enumerate().map(kept).collect();
        run
    };
    assert_eq!(steps(&with("finished", &[3.0, 2.0, 1.0])), [30, 20, 10], "the best is that of step 10");
    assert_eq!(steps(&with("running", &[3.0, 2.0, 1.0])), [30, 20, 10]);
    assert_eq!(steps(&with("failed", &[3.0, 2.0, 1.0])), [30, 10]);
    assert_eq!(steps(&with("failed", &[3.0, 2.0, f64::NAN])), [10]);
    assert_eq!(steps(&with("finished", &[])), [0; 0]);
}

#[test]
fn a_card_says_what_it_is_among_its_run_and_where_a_value_comes_from() {
    let page = shown(&[&run("pre", "s1", Task::LanguageModel, "finished")]);
    assert_eq!(page.headline, "2 checkpoints of 1 run can be used.");
    let [best, last] = &page.models[..] else { panic!("{:?}", page.models) };
    assert_eq!((last.marks.as_slice(), best.marks.as_slice()), (&["last"][..], &["leads", "best"][..]));
    assert_eq!((last.value.as_str(), best.value.as_str()), ("1.500 at step 10", "1.500"));
    assert_eq!(last.file, "runs/pre/s1/checkpoints/step-00000020/model.safetensors");
    assert_eq!((last.hash.len(), last.whole_hash.len()), (16, 64));
    assert_eq!(page.sizes, [], "no limit is between 30 and 60 kB");
}

#[test]
fn the_best_come_first_and_what_is_not_listed_is_counted() {
    let mut all: Vec<RunSummary> =
        (0..250).map(|seed| run("x", &format!("s{seed:03}"), Task::LanguageModel, "finished")).collect();
    all[77].best = Some(crate::report::summary::BestValue { value: 0.5, step: 10 });
    let page = shown(&all.iter().collect::<Vec<_>>());
    assert_eq!((page.models.len(), page.more), (400, 100));
    assert_eq!(page.models[0].name, "s077");
    let ids: BTreeSet<&str> = page.models.iter().map(|model| model.id.as_str()).collect();
    assert_eq!(ids.len(), 400);
}

#[test]
fn checkpoints_stand_in_the_order_of_the_values_that_are_shown() {
    let judged = |name: &str, at_end: f64| {
        let mut run = run("x", name, Task::LanguageModel, "finished");
        // The best was seen at a step of which no checkpoint is left.
        run.best = Some(crate::report::summary::BestValue { value: 0.1 * at_end, step: 13 });
        run.stock.best = Some(20);
        run.stock.checkpoints.remove(0);
        run.stock.checkpoints[0].values.insert("val/loss".into(), (20, Number(at_end)));
        run
    };
    let (worse, better) = (judged("a", 1.543), judged("b", 1.542));
    let mut without = judged("c", 1.0);
    without.stock.checkpoints[0].values.remove("val/loss");
    let mut nothing = judged("d", 1.0);
    nothing.stock.checkpoints[0].values.insert("train/loss".into(), (20, Number(f64::NAN)));
    let page = shown(&[&worse, &better, &without, &nothing]);
    let listed: Vec<(&str, &str, &[&str])> = page
        .models
        .iter()
        .map(|model| (model.name.as_str(), model.value.as_str(), model.marks.as_slice()))
        .collect();
    assert_eq!(
        listed,
        [
            ("b", "1.542", &["leads", "best", "last"][..]),
            ("a", "1.543", &["best", "last"][..]),
            ("c", "", &["best", "last"][..])
        ]
    );
    assert_eq!(page.headline, "3 checkpoints of 3 runs can be used.", "one has none that is worth using");
}

#[test]
fn a_model_of_another_metric_leads_nothing_and_stands_behind_those_of_most() {
    let judged = |name: &str, metric: &str, value: f64| {
        let mut run = run("x", name, Task::LanguageModel, "finished");
        run.metric = metric.to_owned();
        run.best = Some(crate::report::summary::BestValue { value, step: 20 });
        run.stock.best = Some(20);
        run.stock.checkpoints.remove(0);
        run
    };
    let runs = [judged("a", "acc", 0.9), judged("b", "val/loss", 2.3), judged("c", "val/loss", 1.8)];
    let page = shown(&runs.iter().collect::<Vec<_>>());
    let listed: Vec<(&str, bool)> =
        page.models.iter().map(|model| (model.name.as_str(), model.marks.contains(&"leads"))).collect();
    assert_eq!(listed, [("c", true), ("b", false), ("a", false)]);
}

#[test]
fn only_limits_that_part_the_models_can_be_chosen() {
    let mut small = run("x", "s1", Task::LanguageModel, "finished");
    small.stock.checkpoints[1].model_bytes = 50 << 20;
    let page = shown(&[&small]);
    let limits: Vec<&str> = page.sizes.iter().map(|size| size.text.as_str()).collect();
    assert_eq!(limits, ["100 KiB", "1.0 MiB", "10.0 MiB"]);
    assert_eq!(shown(&[]).headline, "No model yet.");
}
