//! Leaving a runner alone: detached, with its terminal closed under it, watched from another.

use std::fs;

use overnight::run_dir::lock;
use overnight::run_dir::records::{Ask, RunnerLock};
use overnight::run_dir::{self, read};
use rustix::process::{Pid, Signal, getsid, kill_process};

use crate::pty::Terminal;
use crate::workspace::{Workspace, step, wait_until};

const X: &str = "experiments/x.toml";

fn holds(workspace: &Workspace) -> bool {
    workspace.runs("x").iter().any(|run| step(run) == 2)
}

/// None while it is being written.
fn holder(workspace: &Workspace) -> Option<RunnerLock> {
    read::json(&run_dir::Workspace::new(workspace.path("")).runner_lock()).ok()
}

fn is_at_work(workspace: &Workspace) -> bool {
    lock::is_held(&workspace.path("runs/.runner.lock"))
}

/// Lets the run that holds make room, so that the batch goes on.
fn release(workspace: &Workspace) {
    overnight::queue::request(&workspace.seed("x", 1), Ask::Pause).unwrap();
}

#[test]
fn a_detached_runner_outlives_its_terminal_and_says_how_to_watch_and_end_it() {
    let workspace = Workspace::new().experiment("x", 4, &[1, 2], "s1:hold@2");
    let mut terminal = Terminal::start(&workspace, &["run", "--no-report", "--detach", X], 200, 24);
    assert_eq!(terminal.wait().code(), Some(0));
    let said = terminal.lines().join("\n");
    let runner = holder(&workspace).unwrap();
    let log = workspace.batch().terminal_log();
    for part in [&format!("process {}", runner.process), &runner.batch, log.to_str().unwrap()] {
        assert!(said.contains(part), "{part} is missing in:\n{said}");
    }
    for part in ["status --watch", "drain", "stop --all"] {
        assert!(said.contains(part), "{part} is missing in:\n{said}");
    }
    drop(terminal.hang_up());

    wait_until("the run holds", || holds(&workspace));
    let pid = Pid::from_raw(runner.process as i32).unwrap();
    assert_eq!(getsid(Some(pid)).unwrap(), pid, "it leads a session of its own");
    let stream = |number: u32| fs::read_link(format!("/proc/{}/fd/{number}", runner.process)).unwrap();
    assert_eq!([stream(1), stream(2)], [log.clone(), log.clone()]);
    assert_eq!(stream(0).to_str(), Some("/dev/null"));
    kill_process(pid, Signal::HUP).unwrap();
    let heard = || workspace.events().iter().any(|event| event.event == "terminal-gone");
    wait_until("SIGHUP has been heard", heard);
    assert!(is_at_work(&workspace));

    release(&workspace);
    wait_until("the batch ends", || !is_at_work(&workspace));
    assert_eq!(workspace.words("x"), ["paused", "finished"]);
    assert_eq!(workspace.batch_record().exit_code, Some(0));
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("finished x/s2-") && log.contains("1 paused, 1 finished"), "{log}");
}

#[test]
fn what_can_be_refused_is_refused_before_the_terminal_is_given_back() {
    let workspace = Workspace::new()
        .experiment("x", 4, &[1], "hold@2")
        .experiment("y", 4, &[1], "")
        .file("experiments/wrong.toml", "[dta]\n");
    let detach = |file: &str| workspace.spawn(&["run", "--no-report", "--detach", file]).wait();
    detach("experiments/wrong.toml").code(78).says("no [data] section");
    assert!(!is_at_work(&workspace));
    let runner = workspace.start(&[X]);
    wait_until("the run holds", || holds(&workspace));
    detach("experiments/y.toml").code(75).says("another runner works in this workspace since ");
    release(&workspace);
    runner.wait().code(0);

    let workspace = workspace.variable("OVERNIGHT_WORKER", "/nowhere/overnight-worker");
    let output = workspace.spawn(&["run", "--no-report", "--detach", "experiments/y.toml"]).wait();
    output.code(1).says("/nowhere/overnight-worker");
    assert!(!is_at_work(&workspace));
}

#[test]
fn with_nothing_to_do_a_detached_runner_says_so_and_ends() {
    let workspace = Workspace::new().experiment("x", 4, &[1], "");
    workspace.run(&[X]).code(0);
    let output = workspace.spawn(&["run", "--no-report", "--detach", X]).wait().code(0);
    assert!(output.stdout.contains("1 finished"), "{}", output.stdout);
    assert_eq!(workspace.batches(), 1);
}

#[test]
fn a_detached_runner_that_waits_for_work_takes_it_and_is_ended_by_drain() {
    let workspace = Workspace::new().experiment("x", 4, &[1], "").experiment("y", 4, &[1], "");
    let output = workspace.spawn(&["run", "--no-report", "--detach", "--forever"]).wait().code(0);
    assert!(output.stdout.contains("waits for work"), "{}", output.stdout);
    for name in ["x", "y"] {
        workspace.spawn(&["queue", &format!("experiments/{name}.toml")]).wait().code(0);
        wait_until("what was queued is done", || workspace.words(name) == ["finished"]);
        let waits = || holder(&workspace).is_some_and(|holder| holder.batch == RunnerLock::WAITS);
        wait_until("it waits again", waits);
    }
    assert!(workspace.batch().terminal_log().is_file(), "each batch has its log");
    workspace.spawn(&["drain"]).wait().code(0).says("waited for work");
    wait_until("it has ended", || !is_at_work(&workspace));
    workspace.spawn(&["drain"]).wait().code(1).says("no runner is at work here");
}

#[test]
fn drain_ends_a_runner_for_ever_after_its_current_runs() {
    let workspace = Workspace::new().experiment("x", 4, &[1], "hold@2");
    let runner = workspace.start(&["--forever", X]);
    wait_until("the run holds", || holds(&workspace));
    workspace.spawn(&["drain"]).wait().code(0);
    wait_until("it was heard", || workspace.queue_state().drain);
    release(&workspace);
    runner.wait().code(0);
}

#[test]
fn a_runner_whose_terminal_is_closed_goes_on() {
    let workspace = Workspace::new().experiment("x", 4, &[1, 2], "s1:hold@2");
    let mut terminal = Terminal::start(&workspace, &["run", "--no-report", X], 100, 24);
    terminal.wait_for("2/4");
    let mut runner = terminal.hang_up();
    let heard = || workspace.events().iter().any(|event| event.event == "terminal-gone");
    wait_until("the runner has seen it", heard);
    assert!(is_at_work(&workspace) && holds(&workspace), "runner and worker live");
    release(&workspace);
    wait_until("the batch ends", || runner.0.try_wait().unwrap().is_some());
    assert_eq!(runner.0.wait().unwrap().code(), Some(0));
    assert_eq!(workspace.words("x"), ["paused", "finished"]);
    let log = fs::read_to_string(workspace.batch().terminal_log()).unwrap();
    assert!(log.contains("the terminal is gone") && log.contains("finished x/s2-"), "{log}");
}

#[test]
fn the_live_view_shows_what_runs_and_what_is_next_in_every_size() {
    let workspace = Workspace::new().experiment("x", 4, &[1, 2, 3, 4, 5, 6, 7, 8], "s1:hold@2");
    let mut terminal = Terminal::start(&workspace, &["run", "--no-report", X], 100, 24);
    terminal.wait_for("2/4");
    terminal.wait_for("and 3 more");
    let count = |lines: &[String], word: &str| lines.iter().filter(|line| line.contains(word)).count();
    for (columns, rows) in [(60, 24), (40, 24), (40, 6), (120, 30), (30, 5), (100, 12)] {
        terminal.resize(columns, rows);
        let mut lines = Vec::new();
        wait_until("it is drawn in the new size", || {
            lines = terminal.lines();
            let is_whole = lines.last().is_some_and(|line| line.ends_with("waiting"));
            is_whole && count(&lines, "0 of 8 finished") == 1
        });
        assert!(count(&lines, "x/s1-") <= 2, "once at work, once started:\n{}", lines.join("\n"));
        assert!(lines.len() <= usize::from(rows));
    }
    release(&workspace);
    assert_eq!(terminal.wait().code(), Some(0));
    let lines = terminal.lines().join("\n");
    assert!(!lines.contains("and 3 more"), "the view is gone, what happened stays:\n{lines}");
}

#[test]
fn the_runners_view_can_be_watched_from_another_terminal_and_is_left_by_q() {
    let workspace = Workspace::new().experiment("x", 4, &[1, 2], "s1:hold@2");
    let mut watch = Terminal::start(&workspace, &["status", "--watch"], 120, 24);
    watch.wait_for("no runner is at work; nothing has run here yet");
    assert!(!watch.echoes());
    let runner = workspace.start(&[X]);
    watch.wait_for("2/4");
    watch.wait_for("for a free slot");
    assert!(watch.lines().iter().any(|line| line.contains("x/s1-")), "{:?}", watch.lines());
    release(&workspace);
    runner.wait().code(0);
    watch.wait_for("the last batch ended at ");
    watch.type_keys("q");
    assert_eq!(watch.wait().code(), Some(0));
    assert!(watch.echoes(), "the terminal is as it was");

    let mut watch = Terminal::start(&workspace, &["status", "--watch"], 120, 24);
    watch.wait_for("with exit code 0");
    watch.type_keys("\x03");
    assert_eq!(watch.wait().code(), Some(0), "Ctrl-C ends it as well");
    assert!(watch.echoes());
}

#[test]
fn a_runner_that_was_killed_is_missed_and_its_worker_still_watched() {
    let workspace = Workspace::new().experiment("x", 4, &[1], "hold@2");
    let runner = workspace.start(&[X]);
    wait_until("the queue says what runs", || {
        holds(&workspace)
            && workspace.batch().queue_json().is_file()
            && !workspace.queue_state().running.is_empty()
    });
    runner.kill();
    let mut watch = Terminal::start(&workspace, &["status", "--watch"], 120, 24);
    watch.wait_for("was broken off");
    assert!(watch.lines().iter().any(|line| line.contains("2/4")), "{:?}", watch.lines());
    workspace.spawn(&["stop", "--all"]).wait().code(0);
    wait_until("the worker has ended", || !lock::is_held(&workspace.seed("x", 1).alive_lock()));
}
