//! `overnight import`: runs of other programs stand beside ours, marked, and nothing runs them.

mod events;
mod hostile;
mod interrupted;

use std::fs;
use std::path::PathBuf;

use overnight::run_dir::{Status, scan};
use rustix::process::Signal;
use serde_json::Value;

use crate::workspace::{Workspace, look, wait_until};

const LOG: &str = "step 0: train loss 4.2, val loss 4.3\niter 0: loss 4.2, time 33.1ms, mfu -100.00%\nstep 250: train loss 2.1, val loss 2.2\n";

#[test]
fn an_imported_run_stands_marked_beside_ours_and_every_verb_says_that_it_is_never_run() {
    let workspace = Workspace::new().experiment("x", 4, &[1], "").file("old/gpt.log", LOG);
    let imported =
        workspace.overnight(&["import", "old/gpt.log", "--experiment", "x", "--tag", "old", "--json"]);
    let told: Value = serde_json::from_str(&imported.code(0).stdout).unwrap();
    assert_eq!((&told["runs"][0]["what"], &told["runs"][0]["rows"]), (&"new".into(), &2.into()), "{told}");
    let run = workspace.runs("x").remove(0);
    assert!(look(&run).record.unwrap().imported.is_some());
    let name = format!("x/{}", run.name());
    for verb in ["pause", "resume", "stop", "retry"] {
        workspace
            .overnight(&[verb, &name])
            .code(1)
            .says("was imported from nanoGPT: it is shown, and never run");
    }
    workspace.overnight(&["priority", "3", &name]).code(1).says("it is shown, and never run");
    workspace.overnight(&["verify", &name]).code(2).says("never run");
    // A batch beside it does not see it.
    workspace.run(&["experiments/x.toml"]).code(0);
    assert_eq!(workspace.runs("x").len(), 2);
    assert!(!run.attempts().exists() && !run.alive_lock().exists(), "nobody touched it");
    workspace.overnight(&["clean", "--older-than", "0", "--yes"]).code(0).says("rules leave it alone");
    workspace.overnight(&["report"]).code(0);
    for page in ["index.html", "experiments/x/index.html", "runs/index.html"] {
        let html = fs::read_to_string(workspace.path("reports").join(page)).unwrap();
        assert!(html.contains("<span class=\"soft imported\">imported</span>"), "{page}: {html}");
    }
    let page = workspace.path("reports").join("runs/x").join(run.name()).join("index.html");
    let html = fs::read_to_string(page).unwrap();
    assert!(html.contains("imported from nanoGPT") && html.contains("val/loss, best"), "{html}");
    workspace.overnight(&["clean", &name, "--yes"]).code(0);
    assert!(!run.path().exists(), "named, it goes");
}

#[test]
fn importing_again_adds_what_came_and_nothing_else() {
    let workspace = Workspace::new().file("old/gpt.log", LOG);
    let words = |says: &str| {
        workspace.overnight(&["import", "old"]).code(0).stdout.lines().all(|line| line.contains(says))
    };
    workspace.overnight(&["import", "old", "--dry-run"]).code(0);
    assert!(scan::runs(&overnight::run_dir::Workspace::new(workspace.path("."))).is_empty());
    assert!(words("imported from nanoGPT"));
    assert!(words("nothing new"));
    fs::write(workspace.path("old/gpt.log"), format!("{LOG}step 500: train loss 1.9, val loss 2.0\n"))
        .unwrap();
    assert!(words("grown by 1 row, 3 in all"));
    workspace.overnight(&["import", "nowhere"]).code(1).says("nowhere");
    workspace.overnight(&["import", "experiments"]).code(1);
}

#[test]
fn a_column_that_is_not_there_is_named_with_those_that_are_and_nothing_is_written() {
    let workspace = Workspace::new().file("old/gpt.log", LOG);
    workspace.overnight(&["import", "old", "--experiment", "x"]).code(0);
    let run = workspace.runs("x").remove(0);
    let csv = || fs::read_to_string(run.metrics()).unwrap();
    let before = csv();
    let refused = workspace.overnight(&["import", "old", "--columns", "nope=x"]).code(1);
    refused.says("there is no column nope").says("train/loss, val/loss");
    assert_eq!(csv(), before);
    let chosen = workspace.overnight(&["import", "old", "--columns", "val/loss=loss"]).code(0);
    assert!(chosen.stdout.contains("written anew with other columns, loss; 2 rows"), "{}", chosen.stdout);
    assert!(csv().starts_with("step,epoch,time,elapsed,loss\n"), "{}", csv());
    // They are remembered, also where more comes.
    fs::write(workspace.path("old/gpt.log"), format!("{LOG}step 500: train loss 1.9, val loss 2.0\n"))
        .unwrap();
    let grown = workspace.overnight(&["import", "old"]).code(0).says("named before: val/loss=loss");
    assert!(grown.stdout.contains("grown by 1 row, 3 in all"), "{}", grown.stdout);
    assert!(workspace.overnight(&["import", "old"]).code(0).stdout.contains("nothing new"));
    let all = workspace.overnight(&["import", "old", "--columns", "*"]).code(0);
    assert!(all.stdout.contains("other columns, train/loss, val/loss, "), "{}", all.stdout);
    let again = workspace.overnight(&["import", "old"]).code(0);
    assert!(again.stdout.contains("nothing new") && !again.stderr.contains("before"), "{}", again.stderr);
}

#[test]
fn an_import_outside_of_any_workspace_says_which_one_it_makes_and_status_shows_its_values() {
    let workspace = Workspace::new().file("old/gpt.log", LOG);
    let made = workspace.path("old").canonicalize().unwrap();
    let dry = workspace.typed_in("old", &["import", "gpt.log", "--dry-run"]).code(0);
    assert!(!made.join("runs").exists() && !dry.stderr.contains("no workspace"), "{}", dry.stderr);
    let said = format!("no workspace is here or above: a new one is made in {}", made.display());
    workspace.typed_in("old", &["import", "gpt.log"]).code(0).says(&said);
    let status = workspace.typed_in("old", &["status", "--json"]).code(0);
    let told: Value = serde_json::from_str(&status.stdout).unwrap();
    let run = &told["runs"][0];
    assert_eq!((&run["step"], &run["best"]["value"]), (&250.into(), &2.2.into()), "{run}");
    assert!(workspace.typed_in("old", &["status"]).code(0).stdout.contains("250"));
    let name = format!("{}/{}", run["experiment"].as_str().unwrap(), run["run"].as_str().unwrap());
    workspace.typed_in("old", &["logs", &name]).code(0).says("has no log here");
}

#[test]
fn a_source_that_grows_is_followed_until_somebody_ends_it() {
    let workspace = Workspace::new().file("old/gpt.log", LOG);
    let watching = workspace.spawn(&["import", "old/gpt.log", "--watch", "--name", "live"]);
    wait_until("the run is there", || !workspace.runs("gpt").is_empty());
    let run = workspace.runs("gpt").remove(0);
    assert!(run.name().starts_with("live-"));
    fs::write(workspace.path("old/gpt.log"), format!("{LOG}step 500: train loss 1.9, val loss 2.0\n"))
        .unwrap();
    wait_until("its row is there", || {
        fs::read_to_string(run.metrics()).is_ok_and(|csv| csv.contains("\n500,"))
    });
    wait_until("it is at work", || look(&run).status.is_running());
    watching.signal(Signal::INT);
    watching.wait().code(0);
    wait_until("nobody follows it", || look(&run).status == Status::Finished);
}

#[test]
fn samples_of_three_kinds_are_read() {
    let data = std::env::var_os("OVERNIGHT_PUBLIC_DATA")
        .map_or_else(|| PathBuf::from("../shared/data"), PathBuf::from);
    let Ok(logs) = fs::canonicalize(data.join("logs")) else {
        return eprintln!("skipped: no public data at {}", data.display());
    };
    let workspace = Workspace::new();
    let told =
        workspace.overnight(&["import", logs.to_str().unwrap(), "--experiment", "old", "--json"]).code(0);
    let told: Value = serde_json::from_str(&told.stdout).unwrap();
    let runs = told["runs"].as_array().unwrap();
    let of = |tool: &str| runs.iter().filter(|run| run["tool"] == tool).count();
    assert!(of("Lightning") == 2 && of("W&B") > 5 && of("a table") == 1, "{told}");
    assert!(runs.iter().all(|run| run["rows"].as_u64() > Some(0)), "{told}");
}
