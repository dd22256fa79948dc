//! Leaving a runner alone: detached, with its terminal closed under it, watched from another.

use std::fs;
use std::process::Command;

use overnight::run_dir::lock;
use overnight::run_dir::records::{Ask, RunnerLock};
use overnight::run_dir::{self, read};
use rustix::process::{Pid, Signal, getsid, kill_process};

use crate::pty::Terminal;
use crate::workspace::{Workspace, ends, is_alive, step, wait_until};

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
    // The workspace is free a moment before the last lines are written.
    wait_until("the log has it all", || {
        let log = fs::read_to_string(&log).unwrap();
        log.contains("finished x/s2-") && log.contains("1 paused, 1 finished")
    });
}

#[test]
fn what_can_be_refused_is_refused_before_the_terminal_is_given_back() {
    let workspace = Workspace::new()
        .experiment("x", 4, &[1], "hold@2")
        .experiment("y", 4, &[1], "")
        .file("experiments/wrong.toml", "[dta]\n");
    let detach = |file: &str| workspace.spawn(&["run", "--no-report", "--detach", file]).wait();
    detach("experiments/wrong.toml").code(78).says("no setting `dta`");
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
    // The low ones come last: what such a terminal pushes out of sight can be taken back by nobody.
    for (columns, rows) in [(60, 24), (40, 24), (120, 30), (100, 14), (40, 6), (30, 5)] {
        terminal.resize(columns, rows);
        let before = terminal.draws();
        wait_until(&format!("all is clean in {columns} columns and {rows} lines"), || {
            let lines = terminal.lines();
            // The second one was certainly begun in the new size.
            terminal.draws() >= before + 2
                // The end is told as long as it is still to come.
                && lines.last().is_some_and(|line| line.ends_with("waiting") || line.contains(", in "))
                && count(&lines, "0 of 8 runs finished") == 1
                // Once at work, and once as started where there is room.
                && (1..=2).contains(&count(&lines, "x/s1-"))
                && count(&lines, "more") <= 1
                && lines.len() <= usize::from(rows)
        });
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
    watch.wait_for("x/s1-");
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
        holds(&workspace) && !workspace.queue_state().running.is_empty()
    });
    runner.kill();
    let mut watch = Terminal::start(&workspace, &["status", "--watch"], 120, 24);
    watch.wait_for("was broken off");
    watch.wait_for("2/4");
    workspace.spawn(&["stop", "--all"]).wait().code(0);
    wait_until("the worker has ended", || !lock::is_held(&workspace.seed("x", 1).alive_lock()));
}

/// A `systemd-inhibit` that writes down how it was called, and when it ended.
const INHIBIT: &str = "#!/bin/sh
echo \"begins $*\" >> \"$INHIBITED\"
for command; do :; done
\"$command\"
echo ends >> \"$INHIBITED\"
";

/// A workspace where that one stands before any other.
fn with_logind(workspace: Workspace, script: &str) -> Workspace {
    let workspace = workspace.file("script", script).file("bin/.keep", "");
    // Not written by us: a process that another test starts this moment would hold it open for writing, and
    // nobody could start it.
    let mut install = Command::new("install");
    install.args(["-m", "755"]).arg(workspace.path("script")).arg(workspace.path("bin/systemd-inhibit"));
    assert!(install.status().unwrap().success());
    let path = format!("{}:{}", workspace.path("bin").display(), std::env::var("PATH").unwrap());
    let record = workspace.path("inhibited");
    workspace.variable("PATH", &path).variable("INHIBITED", record.to_str().unwrap())
}

fn inhibited(workspace: &Workspace) -> Vec<String> {
    let record = fs::read_to_string(workspace.path("inhibited")).unwrap_or_default();
    record.lines().map(str::to_owned).collect()
}

#[test]
fn sleep_is_held_off_while_runs_go_on_and_no_longer_than_the_runner_lives() {
    let workspace = with_logind(Workspace::new().experiment("x", 4, &[1], "hold@2"), INHIBIT);
    let runner = workspace.start(&["--forever", X]);
    wait_until("sleep is held off", || inhibited(&workspace).len() == 1);
    let call = &inhibited(&workspace)[0];
    for part in ["--what=sleep:idle", "--who=overnight", "--mode=block", "--why=overnight: runs are at work"]
    {
        assert!(call.contains(part), "{part} is missing in: {call}");
    }
    wait_until("the run holds", || holds(&workspace));
    release(&workspace);
    wait_until("the machine may sleep: nothing is at work", || inhibited(&workspace).len() == 2);
    assert!(is_at_work(&workspace), "the runner waits for work");

    let workspace = workspace.experiment("y", 4, &[1], "hold@2");
    workspace.spawn(&["queue", "experiments/y.toml"]).wait().code(0);
    wait_until("sleep is held off again", || {
        inhibited(&workspace).iter().filter(|l| l.starts_with("b")).count() == 2
    });
    runner.kill();
    wait_until("the machine may sleep: the runner is dead", || {
        inhibited(&workspace).iter().filter(|l| *l == "ends").count() == 2
    });
    workspace.spawn(&["stop", "--all"]).wait().code(0);
}

#[test]
fn a_machine_whose_sleep_cannot_be_held_off_runs_on_in_silence_and_doctor_says_so() {
    let refuses =
        "#!/bin/sh\necho refused >> \"$INHIBITED\"\necho 'Failed to inhibit: Access denied' >&2\nexit 1\n";
    let workspace = with_logind(Workspace::new().experiment("x", 4, &[1, 2], "s1:hold@2"), refuses);
    let runner = workspace.start(&[X]);
    wait_until("it was tried", || inhibited(&workspace).len() == 1);
    wait_until("the run holds", || holds(&workspace));
    let told = workspace.queue_state().time;
    wait_until("some seconds pass", || workspace.queue_state().time > told + 2.0);
    release(&workspace);
    let output = runner.wait().code(0);
    assert!(!output.stderr.contains("inhibit"), "{}", output.stderr);
    assert_eq!(inhibited(&workspace), ["refused"], "once, not each second");
    let doctor = workspace.spawn(&["doctor"]).wait();
    assert!(
        doctor.stdout.contains("cannot be held off: Failed to inhibit: Access denied"),
        "{}",
        doctor.stdout
    );
    assert!(doctor.stdout.contains("systemctl mask"), "{}", doctor.stdout);
}

#[test]
fn the_end_of_an_adopted_worker_is_waited_for_by_its_pidfd() {
    let workspace = Workspace::new().experiment("x", 4, &[1], "hold@2");
    let first = workspace.start(&[X]);
    wait_until("the run holds", || holds(&workspace));
    first.kill();
    let worker = fs::read_to_string(workspace.seed("x", 1).alive_lock()).unwrap();
    let next = workspace.start(&[]);
    let of_worker =
        |info: String| info.lines().any(|line| line.split_whitespace().eq(["Pid:", worker.trim()]));
    let is_waited_for = || {
        let folder = format!("/proc/{}", next.process());
        let descriptors = fs::read_dir(format!("{folder}/fd")).unwrap().flatten();
        let info = |number: &str| fs::read_to_string(format!("{folder}/fdinfo/{number}")).unwrap_or_default();
        let numbers: Vec<String> =
            descriptors.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        let pidfds: Vec<&String> = numbers.iter().filter(|number| of_worker(info(number))).collect();
        // An epoll lists what it waits for: `tfd:       9 events: ...`.
        numbers.iter().map(|number| info(number)).any(|info| {
            info.lines().filter(|line| line.starts_with("tfd:")).any(|line| {
                let number = line.split_whitespace().nth(1).unwrap_or_default().to_owned();
                pidfds.contains(&&number)
            })
        })
    };
    wait_until("the runner waits for the worker's pidfd", is_waited_for);
    release(&workspace);
    next.wait().code(0);
    assert_eq!(workspace.words("x"), ["paused"]);
}

#[test]
fn a_workspace_that_is_moved_under_its_runner_is_left_and_goes_on_where_it_is_then() {
    let workspace = Workspace::new().experiment("x", 8, &[1, 2], "s1:await@3");
    let runner = workspace.start(&[X, "--slots", "1"]);
    wait_until("it waits", || workspace.runs("x").len() == 2 && step(&workspace.seed("x", 1)) == 3);
    let worker = runner.children("train")[0];
    // The temporary folder of the test stays; its name is lent to nobody.
    let (old, new) = (workspace.path(""), tempfile::tempdir().unwrap());
    let new = new.path().join("elsewhere");
    fs::rename(&old, &new).unwrap();
    let there = fs::canonicalize(&new).unwrap().display().to_string();
    runner.wait().code(75).says("moved or removed under the runner").says(&format!("it is {there} now"));
    assert!(!old.exists(), "nothing is made at the old place");
    fs::rename(&new, &old).unwrap();
    fs::write(workspace.seed("x", 1).path().join("go-on"), "").unwrap();
    wait_until("its worker has ended", || !is_alive(worker));
    workspace.run(&[]).code(0);
    assert_eq!(workspace.words("x"), ["finished"; 2]);
    let bad = ends(&workspace.seed("x", 1)).into_iter().filter(|end| end.signal.is_some());
    assert_eq!(bad.count(), 0, "nothing counts as failed");
}

#[test]
fn a_runner_that_waits_leaves_a_workspace_that_is_removed() {
    let workspace = Workspace::new().experiment("x", 4, &[1], "");
    let runner = workspace.start(&["--forever"]);
    wait_until("it waits", || holder(&workspace).is_some_and(|holder| holder.batch == RunnerLock::WAITS));
    let root = workspace.path("");
    fs::remove_dir_all(&root).unwrap();
    runner.wait().code(75).says("moved or removed under the runner (it is gone)");
    assert!(!root.exists(), "nothing is made at the old place");
}
