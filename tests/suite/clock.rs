//! The clock jumps while runs go on, by a library that lies about it: what is measured is measured by
//! another clock, and what came first is known by numbers.

use std::fs;
use std::path::PathBuf;

use overnight::run_dir::metrics::Metrics;
use rustix::process::Signal;
use serde_json::Value;

use crate::workspace::{Workspace, ends, starts, step, wait_until};

const X: &str = "experiments/x.toml";

/// Lets all programs of the workspace read a clock that [`set`] can move; none, with a printed reason,
/// where the library is missing.
fn with_a_clock_that_lies(workspace: Workspace) -> Option<Workspace> {
    let Some(library) = library() else {
        println!("skipped: libfaketime is not installed (Debian: faketime)");
        return None;
    };
    let file = workspace.path("clock");
    fs::write(&file, "+0\n").unwrap();
    Some(
        workspace
            .variable("LD_PRELOAD", library.to_str()?)
            .variable("FAKETIME_TIMESTAMP_FILE", file.to_str()?)
            .variable("FAKETIME_NO_CACHE", "1")
            .variable("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .variable("DONT_FAKE_MONOTONIC", "1")
            .variable("NO_FAKE_STAT", "1"),
    )
}

fn library() -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> =
        fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path()).collect();
    folders.push("/usr/lib".into());
    folders.into_iter().map(|folder| folder.join("faketime/libfaketime.so.1")).find(|path| path.is_file())
}

/// Moves the clock of all programs of the workspace by so much from the true time.
fn set(workspace: &Workspace, shift: &str) {
    // Whole or not at all: a program may read it this very moment.
    fs::write(workspace.path("clock.new"), format!("{shift}\n")).unwrap();
    fs::rename(workspace.path("clock.new"), workspace.path("clock")).unwrap();
}

#[test]
fn a_clock_that_goes_back_makes_no_attempt_end_before_it_began() {
    let workspace = Workspace::new().experiment("x", 6, &[1, 2], "s1:hold@3");
    let Some(workspace) = with_a_clock_that_lies(workspace) else { return };
    let runner = workspace.start(&[X]);
    let holds = || workspace.runs("x").len() == 2 && step(&workspace.seed("x", 1)) == 3;
    wait_until("the first run holds", holds);
    set(&workspace, "-3h");
    runner.signal(Signal::INT);
    runner.wait().code(75);
    let run = workspace.seed("x", 1);
    let (start, end) = (&starts(&run)[0], &ends(&run)[0]);
    assert!(end.time < start.time - 3600.0, "the clock was believed: {} {}", start.time, end.time);
    let seconds = end.seconds.unwrap();
    assert!((0.0..3600.0).contains(&seconds), "{seconds}");

    let status = workspace.overnight(&["status"]).code(0).stdout;
    assert!(status.contains("waiting") && !status.contains("unknown"), "{status}");
    set(&workspace, "+3h");
    workspace.run(&[]).code(0);
    assert_eq!(workspace.words("x"), ["finished"; 2]);
    workspace.overnight(&["report"]).code(0);
    let page = workspace.path(&format!("reports/runs/x/{}/index.html", run.name()));
    let page = fs::read_to_string(page).unwrap();
    assert!(!page.contains("<td>unknown</td>"), "each attempt has a length");
}

#[test]
fn a_retry_counts_though_the_clock_was_ahead_when_the_run_failed() {
    let workspace = Workspace::new().experiment("x", 6, &[1], "failonce@3");
    let Some(workspace) = with_a_clock_that_lies(workspace) else { return };
    set(&workspace, "+3h");
    workspace.run(&[X]).code(100);
    set(&workspace, "+0");
    workspace.overnight(&["retry", "--all"]).code(0);
    assert_eq!(workspace.words("x"), ["waiting"], "asked after it had failed, whatever the clock says");
    workspace.run(&[]).code(0);
    assert_eq!(workspace.words("x"), ["finished"]);
}

#[test]
fn a_retry_is_used_up_though_the_clock_goes_back_before_the_run_fails_again() {
    let workspace = Workspace::new().experiment("x", 6, &[1], "fail@3");
    let Some(workspace) = with_a_clock_that_lies(workspace) else { return };
    workspace.run(&[X]).code(100);
    set(&workspace, "+3h");
    workspace.overnight(&["retry", "--all"]).code(0);
    set(&workspace, "+0");
    workspace.run(&[]).code(100);
    assert_eq!(workspace.words("x"), ["failed"]);
    assert_eq!(starts(&workspace.seed("x", 1)).len(), 2, "once for each time it is asked");
}

#[test]
fn a_batch_that_waits_for_a_time_begins_when_the_clock_jumps_over_it() {
    let workspace = Workspace::new().experiment("x", 4, &[1], "");
    let Some(workspace) = with_a_clock_that_lies(workspace) else { return };
    let later = jiff::Zoned::now().saturating_add(jiff::Span::new().hours(1)).strftime("%H:%M").to_string();
    let runner = workspace.start(&[X, "--at", &later]);
    let waits = || workspace.queue_state().waiting.iter().any(|run| run.reason.starts_with("until "));
    wait_until("it waits for its time", waits);
    set(&workspace, "+2h");
    runner.wait().code(0);
    assert_eq!(workspace.words("x"), ["finished"]);
}

/// Rows of the telemetry of that run.
fn rows(workspace: &Workspace, seed: u64) -> usize {
    Metrics::read(&workspace.seed("x", seed).telemetry()).map_or(0, |table| table.rows)
}

/// What `status --json` says, with nothing that follows from a clock that nobody knows.
fn states(workspace: &Workspace) -> Vec<String> {
    let told = workspace.overnight(&["status", "--json"]).code(0).stdout;
    let told: Value = serde_json::from_str(&told).unwrap();
    let state = |run: &Value| format!("{} {}", run["stage"].as_str().unwrap_or("none"), run["step"]);
    told["runs"].as_array().unwrap().iter().map(state).collect()
}

#[test]
fn a_clock_that_jumps_ahead_and_back_while_runs_go_on_spoils_no_duration_table_page_or_status() {
    let hooks = "[[hooks]]\non = [\"batch-finished\"]\ncommand = 'cat > told.json'\n";
    let workspace = Workspace::new().experiment("x", 6, &[1, 2], "hold@3").file("overnight.toml", hooks);
    let Some(workspace) = with_a_clock_that_lies(workspace) else { return };
    let runner = workspace.start(&[X, "--slots", "2"]);
    let hold = || workspace.runs("x").iter().filter(|run| step(run) == 3).count() == 2;
    wait_until("both hold", hold);
    for shift in ["+3h", "-3h", "+0"] {
        let before = [1, 2].map(|seed| rows(&workspace, seed));
        set(&workspace, shift);
        wait_until("each has a further row", || {
            [1, 2].iter().zip(before).all(|(seed, before)| rows(&workspace, *seed) > before)
        });
        assert_eq!(states(&workspace), ["running 3", "running 3"], "after {shift}");
    }
    set(&workspace, "-3h");
    runner.signal(Signal::INT);
    runner.wait().code(75);
    let short = 0.0..3600.0;
    for seed in [1, 2] {
        let run = workspace.seed("x", seed);
        let end = &ends(&run)[0];
        assert!(short.contains(&end.seconds.unwrap()), "{end:?}");
        assert!(Metrics::read(&run.telemetry()).unwrap().bad.is_empty());
    }
    let batch = workspace.batch_record();
    assert!(batch.end.unwrap() < batch.start && short.contains(&batch.seconds.unwrap()), "{batch:?}");
    let told: Value =
        serde_json::from_str(&fs::read_to_string(workspace.path("told.json")).unwrap()).unwrap();
    assert!(short.contains(&told["seconds"].as_f64().unwrap()), "{told}");

    workspace.overnight(&["report"]).code(0);
    let index = fs::read_to_string(workspace.path("reports/index.html")).unwrap();
    assert!(index.contains("The batch ran on") && !index.contains(", unknown."), "{index}");
    let page = format!("reports/runs/x/{}/index.html", workspace.seed("x", 1).name());
    let page = fs::read_to_string(workspace.path(&page)).unwrap();
    assert!(page.contains(", from 0 to ") && !page.contains(", from -"), "{page}");
}

#[test]
fn nothing_more_is_started_once_the_clock_has_jumped_over_the_time_by_which_all_should_have_ended() {
    let workspace = Workspace::new().experiment("x", 6, &[1, 2], "s1:hold@3");
    let Some(workspace) = with_a_clock_that_lies(workspace) else { return };
    let until = jiff::Zoned::now().saturating_add(jiff::Span::new().hours(1)).strftime("%H:%M").to_string();
    let runner = workspace.start(&[X, "--slots", "1", "--until", &until]);
    let holds = || workspace.runs("x").len() == 2 && step(&workspace.seed("x", 1)) == 3;
    wait_until("the first run holds", holds);
    set(&workspace, "+2h");
    let why = format!("nothing more is started, it is past {until}");
    let is_past = || {
        workspace.batch().queue_json().is_file()
            && workspace.queue_state().waiting.iter().any(|run| run.reason == why)
    };
    wait_until("it is past the time", is_past);
    let status = workspace.overnight(&["status"]).code(0).stdout;
    assert!(status.contains(&why), "{status}");
    workspace.overnight(&["pause", &workspace.seed("x", 1).name()]).code(0);
    runner.wait().code(75).says(&why);
    assert_eq!(starts(&workspace.seed("x", 2)).len(), 0);
}
