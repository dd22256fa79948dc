//! What `status` and `plan` say of runs that wait, failed or can never start.

use overnight::run_dir::write::{Durability, replace_json};
use overnight::run_dir::{checkpoint, read};
use serde_json::Value;

use crate::pty::Terminal;
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
    assert_eq!(
        run["note"], "queued (overnight run works the queue)",
        "what a dead runner said holds no more"
    );
    assert!(run["end"].is_null() && shown["end"].is_null(), "{shown}");
    workspace.spawn(&["stop", "--all"]).wait().code(0);
}

#[test]
fn a_narrow_terminal_loses_no_reason_and_no_line_is_wider_than_it() {
    let workspace = Workspace::new().experiment("a-name-of-some-length", 4, &[1, 2], "");
    workspace.overnight(&["queue", "experiments/a-name-of-some-length.toml"]).code(0);
    workspace.overnight(&["pause", "a-name-of-some-length"]).code(0);
    let run = workspace.runs("a-name-of-some-length")[0].clone();
    std::fs::write(run.run_json(), "").unwrap();
    let mut terminal = Terminal::start(&workspace, &["status"], 44, 24);
    assert!(terminal.wait().success());
    let lines = terminal.lines();
    assert!(lines.iter().all(|line| line.chars().count() < 44), "{lines:#?}");
    let words = lines.iter().flat_map(|line| line.split_whitespace()).collect::<Vec<_>>().join(" ");
    assert!(words.contains("is empty (a copy that broke off?)"), "{words}");
    let piped = workspace.overnight(&["status"]).code(0).stdout;
    let name = format!("a-name-of-some-length/{}", run.name());
    assert!(
        piped.lines().any(|line| line.contains(&name) && line.contains("a copy that broke off?")),
        "{piped}"
    );
}

#[test]
fn what_failed_alike_is_told_once() {
    let workspace =
        Workspace::new().experiment("x", 4, &[1, 2, 3, 4, 5], "fail@3").experiment("y", 4, &[1], "fail@2");
    workspace.run(&[FILES[1], FILES[0], "--breaker", "0"]).code(100);
    let shown = workspace.overnight(&["status"]).code(0).stdout;
    assert_eq!(shown.matches("what to do: ").count(), 2, "{shown}");
    assert!(shown.contains("\nx: 5 runs, the same cause: "), "{shown}");
    let first = workspace.seed("x", 1).name();
    assert!(
        shown.contains(&format!("\n  {first}, "))
            && shown.contains(" and 1 more; the last words of the first:"),
        "{shown}"
    );
    assert!(shown.contains(&format!("\ny/{}: ", workspace.seed("y", 1).name())), "{shown}");
}

#[test]
fn the_metric_of_a_best_value_is_named() {
    let workspace = Workspace::new().experiment("x", 4, &[1], "").experiment("y", 4, &[1], "");
    workspace.run(&FILES).code(0);
    let shown = |workspace: &Workspace| workspace.overnight(&["status"]).code(0).stdout;
    let heading = shown(&workspace).lines().next().unwrap().to_owned();
    assert!(heading.contains("best val/loss"), "{heading}");
    let result = workspace.seed("y", 1).result();
    let text = std::fs::read_to_string(&result).unwrap();
    std::fs::write(&result, text.replace("\"metric\": \"val/loss\"", "\"metric\": \"val/accuracy\""))
        .unwrap();
    let two = shown(&workspace);
    assert!(!two.lines().next().unwrap().contains("val/"), "{two}");
    assert!(two.contains("  val/loss ") && two.contains("  val/accuracy "), "{two}");
}

#[test]
fn a_stopped_run_has_the_best_value_that_its_last_checkpoint_remembers() {
    let workspace = Workspace::new().experiment("x", 8, &[1], "hold@5");
    let runner = workspace.start(&[FILES[1]]);
    wait_until("it holds", || workspace.runs("x").iter().any(|run| step(run) == 5));
    workspace.overnight(&["stop", "x"]).code(0);
    runner.wait();
    assert_eq!(workspace.words("x"), ["stopped"]);
    let run = workspace.seed("x", 1);
    // The fake worker's remember none.
    let newest = run.checkpoint(checkpoint::steps(&run).pop().unwrap());
    let best = checkpoint::Best { metric: "val/loss".to_owned(), value: 0.5, step: 2 };
    let state: checkpoint::State = read::json(&newest.state()).unwrap();
    let state = checkpoint::State { best: Some(best), ..state };
    replace_json(&newest.state(), &state, Durability::Rebuildable).unwrap();
    let shown = json(&workspace, &["status", "--json"]);
    let best = &of(&shown, "x")["best"];
    assert_eq!((best["value"].as_f64(), best["step"].as_u64()), (Some(0.5), Some(2)));
    let table = workspace.overnight(&["status"]).code(0).stdout;
    assert!(table.lines().next().unwrap().contains("best val/loss"), "{table}");
}

#[test]
fn status_says_that_the_batch_drains() {
    let workspace = Workspace::new().experiment("x", 4, &[1], "").experiment("y", 4, &[1], "hold@2");
    let runner = workspace.start(&FILES);
    wait_until("the other waits", || queue_says(&workspace, 1));
    let words = "nothing new is started; the runner ends after its current runs";
    assert!(!workspace.overnight(&["status"]).code(0).stdout.contains(words));
    workspace.overnight(&["drain"]).code(0);
    wait_until("the runner knows of it", || workspace.queue_state().drain);
    assert!(workspace.overnight(&["status"]).code(0).stdout.contains(words));
    assert_eq!(json(&workspace, &["status", "--json"])["remarks"][0], words);
    release(&workspace);
    runner.wait();
    assert!(
        !workspace.overnight(&["status"]).code(0).stdout.contains(words),
        "a batch that is over drains no more"
    );
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
