//! What `status` and `plan` say of runs that wait, failed or can never start.

use serde_json::Value;

use crate::workspace::{Workspace, step, wait_until};

const FILES: [&str; 2] = ["experiments/y.toml", "experiments/x.toml"];

fn json(workspace: &Workspace, arguments: &[&str]) -> Value {
    let output = workspace.spawn(arguments).wait().code(0);
    serde_json::from_str(&output.stdout).unwrap()
}

fn of<'a>(shown: &'a Value, experiment: &str) -> &'a Value {
    shown["runs"].as_array().unwrap().iter().find(|run| run["experiment"] == experiment).unwrap()
}

fn queue_says(workspace: &Workspace, waiting: usize) -> bool {
    let holds = workspace.runs("y").iter().any(|run| step(run) == 2);
    let counts = || workspace.queue_state().counts;
    holds && (counts().waiting, counts().running) == (waiting, 1)
}

fn release(workspace: &Workspace) {
    workspace.spawn(&["pause", "y"]).wait().code(0);
}

#[test]
fn a_failed_run_whose_retry_waits_needs_nobody() {
    let workspace =
        Workspace::new().experiment("x", 4, &[1], "failonce@3").experiment("y", 4, &[1], "hold@2");
    workspace.run(&["experiments/x.toml"]).code(100);
    let before = workspace.spawn(&["status"]).wait().code(0).stdout;
    assert!(before.contains("what to do:"), "{before}");
    workspace.spawn(&["report"]).wait().code(0);
    let headline = || {
        let index: Value =
            serde_json::from_str(&std::fs::read_to_string(workspace.path("reports/index.json")).unwrap())
                .unwrap();
        (index["headline"].as_str().unwrap().to_owned(), index["failures"].as_array().unwrap().len())
    };
    assert!(headline().0.contains("needs you") && headline().1 == 1, "{:?}", headline());

    let runner = workspace.start(&["--retry-failed", FILES[0], FILES[1]]);
    wait_until("the failed run waits", || queue_says(&workspace, 1));
    let state = workspace.queue_state();
    assert_eq!((state.counts.failed, state.failed.len()), (0, 0), "{state:?}");
    let now = workspace.spawn(&["status"]).wait().code(0).stdout;
    assert!(now.contains("will be tried again; for a free slot") && !now.contains("what to do:"), "{now}");
    workspace.spawn(&["report"]).wait().code(0);
    assert!(!headline().0.contains("needs you") && headline().1 == 0, "{:?}", headline());
    release(&workspace);
    runner.wait().code(0);
    assert_eq!(workspace.words("x"), ["finished"]);
}

#[test]
fn a_run_that_fails_for_good_is_counted_with_its_cause() {
    let workspace = Workspace::new().experiment("x", 4, &[1], "fail@3").experiment("y", 4, &[1], "hold@2");
    let runner = workspace.start(&[FILES[1], FILES[0]]);
    wait_until("one failed, one holds", || queue_says(&workspace, 0));
    let state = workspace.queue_state();
    assert_eq!((state.counts.failed, state.failed[0].cause.as_str()), (1, "told to fail at step 3"));
    assert_eq!(state.running[0].experiment, "y");
    release(&workspace);
    runner.wait().code(100);
}

#[test]
fn what_waits_has_its_reason_and_its_times_while_a_runner_is_at_work() {
    let workspace = Workspace::new().experiment("x", 4, &[1], "").experiment("y", 4, &[1], "hold@2");
    workspace.run(&["experiments/x.toml"]).code(0);
    let workspace = workspace.experiment("x", 4, &[1, 2], "");
    let runner = workspace.start(&FILES);
    wait_until("the other waits", || queue_says(&workspace, 1));
    let shown = json(&workspace, &["status", "--json", &workspace.seed("x", 2).name()]);
    let run = of(&shown, "x");
    assert_eq!(run["note"], "for a free slot");
    assert!(run["start"].is_f64() && run["end"].is_f64() && shown["end"].is_f64(), "{shown}");
    runner.kill();
    let shown = json(&workspace, &["status", "--json"]);
    let run = shown["runs"].as_array().unwrap().iter().find(|run| run["status"] == "waiting").unwrap();
    assert_eq!(run["note"], "for a runner (overnight run)", "what a dead runner said holds no more");
    assert!(run["end"].is_null() && shown["end"].is_null(), "{shown}");
    workspace.spawn(&["stop", "--all"]).wait().code(0);
}

#[test]
fn plan_shows_a_skipped_run_as_skipped() {
    let needing = "[data]\nkind = \"shapes\"\ncount = 100\n[model]\nkind = \"mlp\"\n[train]\nsteps = 4\n[queue]\nneeds = [\"x\"]\n";
    let workspace =
        Workspace::new().experiment("x", 4, &[1], "fail@2").file("experiments/needing.toml", needing);
    workspace.run(&["experiments/x.toml", "experiments/needing.toml"]).code(100);
    let shown = json(&workspace, &["plan", "--json", "experiments/needing.toml"]);
    assert_eq!(of(&shown, "needing")["state"], "skipped");
    let shown = json(&workspace, &["plan", "--json", "experiments/x.toml", "experiments/needing.toml"]);
    assert_eq!(
        (&of(&shown, "x")["state"], &of(&shown, "needing")["state"]),
        (&"failed".into(), &"skipped".into())
    );
}
