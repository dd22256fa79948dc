//! What is concluded from several runs, and what is said of curves: on pages and in the terminal.

use std::fmt::Write;
use std::fs;

use overnight::experiment::settings::Task;
use overnight::report::build;
use overnight::run_dir::RunDir;
use serde_json::Value;

use crate::report::made_up::{self, Ending, MadeUp};
use crate::workspace::Workspace;

fn made_up(runs: u32, end: Ending) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let task = Task::LanguageModel;
    made_up::experiment(folder.path(), &MadeUp { experiment: "depth", task, runs, rows: 60, end }).unwrap();
    build(folder.path()).unwrap();
    folder
}

fn page(folder: &tempfile::TempDir) -> (String, Value) {
    let read =
        |name: &str| fs::read_to_string(folder.path().join("reports/experiments/depth").join(name)).unwrap();
    (read("index.html"), serde_json::from_str(&read("index.json")).unwrap())
}

/// Rows of a loss that leaves its course at a step, slower from then on.
fn rows(run: &RunDir, leaves: f64) {
    let mut text = "step,time,elapsed,train/loss,lr,tokens_per_second\n".to_owned();
    for row in 1..=400 {
        let step = f64::from(row) * 10.0;
        let bump = if step >= leaves && step < leaves + 100.0 { (leaves + 100.0 - step) / 50.0 } else { 0.0 };
        let loss = 1.2 + 3.0 / step.sqrt() + bump + 0.01 * f64::from(row * 7919 % 13 - 6);
        let rate = if step >= leaves { 20_000 } else { 60_000 } + row * 7919 % 10;
        writeln!(text, "{step},{row},{row},{loss},1e-3,{rate}").unwrap();
    }
    fs::write(run.metrics(), text).unwrap();
}

#[test]
fn seeds_are_taken_together_and_settings_are_weighed() {
    let (page, twin) = page(&made_up(36, Ending::AllFinished));
    assert!(page.contains("Seeds together") && page.contains(r#"<path class="spread c"#));
    let groups = twin["seeds"]["rows"].as_array().unwrap();
    assert_eq!((groups.len(), groups[0]["seeds"].as_u64()), (12, Some(3)));
    let means: Vec<f64> = groups.iter().map(|row| row["mean_sort"].as_f64().unwrap()).collect();
    assert!(means.is_sorted() && groups[0]["behind"] == "" && groups[1]["behind"] != "", "{groups:?}");
    let said = twin["say"][0].as_str().unwrap();
    assert!(said.contains("over 3 seeds") && said.contains("decided"), "{said}");
    assert_eq!(twin["importance"]["method"], "permutation-importance");
    let settings: Vec<&str> = twin["importance"]["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["setting"].as_str().unwrap())
        .collect();
    assert_eq!(settings.len(), 2, "{settings:?}");
    assert!(page.contains("Which settings matter") && page.contains(r#"<svg class="share""#));
}

#[test]
fn single_seeds_decide_nothing_and_few_runs_are_correlated() {
    let (page, twin) = page(&made_up(8, Ending::AllFinished));
    assert!(twin["seeds"].is_null() && !page.contains("Seeds together"));
    let said = twin["say"][0].as_str().unwrap();
    assert!(
        said.contains("below the next") && said.contains("With one seed each, nobody can tell"),
        "{said}"
    );
    assert_eq!(twin["importance"]["method"], "rank-correlation");
}

#[test]
fn an_experiment_without_values_concludes_nothing() {
    for runs in [1, 3] {
        let (page, twin) = page(&made_up(runs, Ending::Mixed));
        assert!(twin["seeds"].is_null() && twin["importance"].is_null());
        assert!(!page.contains("Which settings matter"));
    }
}

#[test]
fn curves_are_told_alike_on_the_page_in_the_chart_and_in_the_terminal() {
    let workspace = Workspace::new().experiment("x", 4, &[1], "");
    workspace.run(&["experiments/x.toml"]).code(0);
    let run = workspace.seed("x", 1);
    rows(&run, 2000.0);
    let spiked = "Training loss spiked at step 2,000 from about";
    let slower = "it trained at 33 % of its usual pace, 20,000 instead of 60,000 tokens per second";
    let shown = workspace.spawn(&["status", "x"]).wait().code(0).stdout;
    assert!(shown.contains(spiked) && shown.contains(slower), "{shown}");
    let all = workspace.spawn(&["status"]).wait().code(0).stdout;
    assert!(!all.contains(spiked), "not of every run: {all}");
    let json: Value =
        serde_json::from_str(&workspace.spawn(&["status", "--json", "x"]).wait().code(0).stdout).unwrap();
    let kinds: Vec<&str> = json["runs"][0]["curves"]
        .as_array()
        .unwrap()
        .iter()
        .map(|said| said["kind"].as_str().unwrap())
        .collect();
    assert!(kinds.contains(&"spikes") && kinds.contains(&"slowdown"), "{kinds:?}");
    workspace.spawn(&["report"]).wait().code(0);
    let page =
        fs::read_to_string(workspace.path("reports").join("runs/x").join(run.name()).join("index.html"))
            .unwrap();
    // A number and its percent sign are never apart there.
    let page = page.replace('\u{a0}', " ");
    let (head, charts) = page.split_once("<h2>Curves</h2>").unwrap();
    assert!(head.contains(spiked) && head.contains(slower), "the paragraph");
    let described = charts.split("<desc>").filter(|desc| desc.contains(spiked)).count();
    assert_eq!(described, 1, "the loss chart's description says so, and no other");
}
