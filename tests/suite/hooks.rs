//! What others are told of a batch, and that they can harm none.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use overnight::run_dir::lock;
use rustix::process::Signal;
use serde_json::Value;

use crate::workspace::{Workspace, is_alive, look, step, wait_until};

const X: &str = "experiments/x.toml";

pub fn with_hooks(workspace: Workspace, hooks: &str) -> Workspace {
    workspace.file("overnight.toml", hooks)
}

pub fn names(workspace: &Workspace) -> Vec<String> {
    workspace.events().into_iter().map(|event| event.event).collect()
}

fn message(workspace: &Workspace, name: &str) -> String {
    let found = workspace.events().into_iter().find(|event| event.event == name);
    found.unwrap_or_else(|| panic!("no event {name}: {:?}", names(workspace))).message
}

#[test]
fn a_command_is_told_by_its_environment_and_its_standard_input() {
    let workspace = with_hooks(
        Workspace::new().experiment("x", 4, &[1, 2], "s2:fail@3"),
        "[[hooks]]\non = [\"run-finished\", \"run-failed\", \"batch-finished\"]\n\
         command = 'env | grep ^OVERNIGHT_ > told/$OVERNIGHT_EVENT.env; cat > told/$OVERNIGHT_EVENT.json'\n",
    )
    .file("told/here", "");
    workspace.run(&[X]).code(100);
    let facts = |event: &str| -> Value {
        serde_json::from_str(&fs::read_to_string(workspace.path(&format!("told/{event}.json"))).unwrap())
            .unwrap()
    };
    let variables = |event: &str| fs::read_to_string(workspace.path(&format!("told/{event}.env"))).unwrap();
    let finished = workspace.seed("x", 1);
    let told = facts("run-finished");
    assert_eq!(told["run"], format!("x/{}", finished.name()));
    assert_eq!(told["directory"], finished.path().canonicalize().unwrap().to_str().unwrap());
    assert_eq!((&told["event"], &told["status"]), (&"run-finished".into(), &"finished".into()));
    assert_eq!(told["best"]["metric"], "val/loss");
    assert_eq!(told["batch"], workspace.batch().name());
    let lines = variables("run-finished");
    for expected in [
        "OVERNIGHT_EVENT=run-finished",
        &format!("OVERNIGHT_RUN=x/{}", finished.name()),
        "OVERNIGHT_BEST_METRIC=val/loss",
    ] {
        assert!(lines.lines().any(|line| line == expected), "{expected} is not in\n{lines}");
    }
    let told = facts("run-failed");
    assert_eq!((&told["status"], &told["why"]), (&"failed".into(), &"told to fail at step 3".into()));
    let told = facts("batch-finished");
    assert_eq!(told["counts"], serde_json::json!({ "finished": 1, "failed": 1 }));
    assert_eq!(
        (&told["exit_code"], &told["best"]["run"]),
        (&100.into(), &format!("x/{}", finished.name()).into())
    );
    assert!(told.get("report").is_none(), "there is none: {told}");
    assert!(variables("batch-finished").contains("OVERNIGHT_COUNTS_FAILED=1\n"));
    assert_eq!(names(&workspace).iter().filter(|name| *name == "hook").count(), 3);
}

#[test]
fn the_end_is_told_when_its_report_is_there() {
    let workspace = with_hooks(
        Workspace::new().experiment("x", 2, &[1], ""),
        "[[hooks]]\non = [\"batch-finished\"]\ncommand = 'grep -c finished \"$OVERNIGHT_REPORT\" > seen'\n",
    );
    workspace.spawn(&["run", "--plain", X]).wait().code(0);
    assert_eq!(message(&workspace, "hook").split(' ').next(), Some("command"));
    assert!(fs::read_to_string(workspace.path("seen")).unwrap().trim().parse::<u32>().unwrap() > 0);
}

#[test]
fn a_hook_that_hangs_is_ended_with_all_it_started_and_harms_no_run() {
    let workspace = with_hooks(
        Workspace::new().experiment("x", 2, &[1, 2, 3], ""),
        "[[hooks]]\non = [\"run-finished\"]\ntimeout_seconds = 5\n\
         command = 'echo $$ >> hung; sleep 600 & echo $! >> hung; wait'\n",
    );
    workspace.run(&[X]).code(0).says("hook     command echo $$ >> hung; sleep 600 & echo $! >> hung; wait, on run-finished failed: ended after 5.0 s: it hung");
    assert_eq!(workspace.words("x"), ["finished"; 3]);
    let processes = fs::read_to_string(workspace.path("hung")).unwrap();
    assert_eq!(processes.lines().count(), 6);
    for process in processes.lines() {
        wait_until("all of the hook is gone", || !is_alive(process));
    }
}

#[test]
fn hooks_beyond_what_can_wait_are_left_out_at_the_end() {
    // All of them wait from the same moment on, and more than can hang one after the other in that time.
    let hook = "[[hooks]]\non = [\"batch-finished\"]\ntimeout_seconds = 3\ncommand = [\"sleep\", \"600\"]\n";
    let workspace = with_hooks(Workspace::new().experiment("x", 2, &[1], ""), &hook.repeat(16));
    workspace.run(&[X]).code(0).says("of the hooks were not carried out to their end");
    assert_eq!(workspace.words("x"), ["finished"]);
}

#[test]
fn a_hook_that_fails_is_logged_with_its_last_words() {
    let workspace = with_hooks(
        Workspace::new().experiment("x", 2, &[1], ""),
        "[[hooks]]\non = [\"run-finished\"]\ncommand = [\"sh\", \"-c\", \"echo first; echo no such room >&2; exit 3\"]\n\
         [[hooks]]\non = [\"run-finished\"]\ncommand = [\"overnight-no-such-program\"]\n",
    );
    let output = workspace.run(&[X]).code(0);
    let log = fs::read_to_string(workspace.batch().runner_log()).unwrap();
    for expected in [
        "exit 3, on run-finished failed: exit code 3: no such room",
        "command overnight-no-such-program, on run-finished failed: overnight-no-such-program is not there",
    ] {
        assert!(output.stderr.contains(expected), "{expected} is not in\n{}", output.stderr);
        let logged = expected.replacen(" failed: ", ": ", 1);
        assert!(log.contains(&logged), "{logged} is not in\n{log}");
    }
}

#[test]
fn what_a_run_is_called_or_noted_with_is_never_run_by_the_shell() {
    let notes = r#"'; touch broken-in; echo \"$(touch broken-in)\n`touch broken-in`"#;
    let workspace = with_hooks(
        Workspace::new().experiment("x", 2, &[1], notes),
        "[[hooks]]\non = [\"run-finished\"]\ncommand = 'printf %s \"$OVERNIGHT_NOTES\" > notes'\n",
    );
    workspace.run(&[X]).code(0);
    let noted = fs::read_to_string(workspace.path("notes")).unwrap();
    assert_eq!(noted, "'; touch broken-in; echo \"$(touch broken-in)\n`touch broken-in`");
    assert!(!workspace.path("broken-in").exists());
}

#[test]
fn a_notice_on_the_desktop_says_what_happened_and_how_urgent_it_is() {
    let stand_in = "#!/bin/sh\nprintf '%s\\n' \"$@\" > \"$NOTICES/$OVERNIGHT_EVENT\"\n";
    let workspace = with_hooks(
        Workspace::new().experiment("x", 4, &[1], "fail@3"),
        "[[hooks]]\non = [\"run-failed\", \"batch-finished\"]\ndesktop = true\n",
    )
    .file("bin/notify-send", stand_in)
    .file("notices/README", "for tests\n");
    let program = workspace.path("bin/notify-send");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", workspace.path("bin").display(), std::env::var("PATH").unwrap());
    let notices = workspace.path("notices").to_string_lossy().into_owned();
    let workspace = workspace.variable("PATH", &path).variable("NOTICES", &notices);
    workspace.run(&[X]).code(100);
    let name = workspace.seed("x", 1).name();
    let told = |event: &str| fs::read_to_string(workspace.path(&format!("notices/{event}"))).unwrap();
    assert_eq!(
        told("run-failed"),
        format!(
            "--app-name=overnight\n--urgency=critical\n--\nx/{name} failed\nx/{name} failed: told to fail at step 3\n"
        )
    );
    let finished = told("batch-finished");
    assert!(
        finished.contains("--urgency=normal\n--\nbatch finished\n0 finished, 1 failed in "),
        "{finished}"
    );
    assert_eq!(names(&workspace).iter().filter(|name| *name == "hook").count(), 2);
}

/// Hooks that hang for longer than any test, and write down which processes they are.
const HANGS: &str = "[[hooks]]\non = [\"run-finished\", \"batch-finished\"]\ntimeout_seconds = 3600\n\
                     command = 'echo $$ >> hung; exec sleep 3600'\n";

/// The processes of those that hang so far, whole lines only.
fn hung(workspace: &Workspace) -> Vec<String> {
    let text = fs::read_to_string(workspace.path("hung")).unwrap_or_default();
    let lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    lines.map(str::to_owned).collect()
}

fn are_gone(workspace: &Workspace) {
    wait_until("what hung is gone", || !hung(workspace).iter().any(is_alive));
}

#[test]
fn no_run_waits_for_a_hook_and_a_second_signal_does_not_either() {
    // It hears no signal: a worker still lives when the second one comes.
    let workspace = with_hooks(Workspace::new().experiment("x", 4, &[1, 2], "s2:deaf@2"), HANGS);
    let runner = workspace.start(&[X]);
    wait_until("a hook hangs and the second run is at work", || {
        hung(&workspace).len() == 1 && step(&workspace.seed("x", 2)) == 2
    });
    runner.signal(Signal::INT);
    wait_until("the first signal is seen", || runner.said().contains("starting nothing new"));
    runner.signal(Signal::INT);
    runner.wait().code(130).says("1 of the hooks were not carried out to their end");
    are_gone(&workspace);
}

#[test]
fn a_signal_while_only_a_hook_is_waited_for_ends_that_and_leaves_the_exit_code_to_the_runs() {
    // Done, and ended as asked: a run that pauses is no failure, a batch that was interrupted goes on later.
    for (notes, is_interrupted, code) in [("", false, 0), ("s2:hold@2", true, 75)] {
        let workspace = with_hooks(Workspace::new().experiment("x", 4, &[1, 2], notes), HANGS);
        let runner = workspace.start(&[X]);
        if is_interrupted {
            wait_until("the second run holds", || {
                workspace.runs("x").len() == 2 && step(&workspace.seed("x", 2)) == 2
            });
            runner.signal(Signal::INT);
        }
        let is_over = || workspace.batches() == 1 && workspace.batch_record().end.is_some();
        let hooks = if is_interrupted { 2 } else { 3 };
        wait_until("the batch is over and hooks hang", || is_over() && hung(&workspace).len() == hooks);
        runner.signal(Signal::INT);
        runner.wait().code(code).says(&format!("{hooks} of the hooks were not carried out to their end"));
        assert_eq!(workspace.batch_record().exit_code, Some(code), "as it stood before the hooks");
        are_gone(&workspace);
    }
}

#[test]
fn what_is_queued_while_a_hook_of_the_end_is_waited_for_is_worked_too() {
    let hooks = "[[hooks]]\non = [\"batch-finished\"]\ntimeout_seconds = 3600\n\
                 command = 'touch at-the-end; until [ -e go ]; do sleep 0.05; done'\n";
    let workspace =
        with_hooks(Workspace::new().experiment("x", 4, &[1], "").experiment("y", 4, &[1], "fail@2"), hooks);
    let runner = workspace.start(&[X]);
    wait_until("the batch is over but for its hook", || workspace.path("at-the-end").exists());
    workspace.overnight(&["queue", "experiments/y.toml"]).code(0);
    fs::write(workspace.path("go"), "").unwrap();
    runner.wait().code(100);
    assert_eq!((workspace.words("x"), workspace.words("y")), (vec!["finished"], vec!["failed"]));
    assert_eq!(workspace.batches(), 2);
}

/// Holds a lock from the moment on at which nobody else does.
fn wait_for_lock(path: &std::path::Path) -> fs::File {
    let mut held = None;
    wait_until("the lock is free", || {
        held = lock::try_lock(path).unwrap();
        held.is_some()
    });
    held.expect("it was waited for")
}

/// What a child of a killed runner that was not loaded yet would do: it holds the workspace's lock.
#[test]
fn a_runner_that_was_killed_while_it_started_something_holds_up_the_next_for_a_moment_only() {
    let workspace = Workspace::new().experiment("x", 6, &[1], "await@2");
    let runner = workspace.start(&[X]);
    wait_until("it waits for a word", || workspace.runs("x").iter().any(|run| step(run) == 2));
    runner.kill();
    let copy = wait_for_lock(&overnight::run_dir::Workspace::new(workspace.path("")).runner_lock());
    let next = workspace.start(&[]);
    wait_until("the next one waits for it", || next.said().contains("has ended; waiting for"));
    fs::write(workspace.seed("x", 1).path().join("go-on"), "").unwrap();
    drop(copy);
    next.wait().code(0);
    assert_eq!(workspace.words("x"), ["finished"]);
}

#[test]
fn ends_that_came_while_no_runner_lived_are_told_once_by_the_next() {
    let hooks = "[[hooks]]\non = [\"run-finished\", \"run-failed\"]\n\
                 command = 'cat >> told.json; echo >> told.json'\n";
    let workspace = with_hooks(Workspace::new().experiment("x", 6, &[1, 2], "await@2 s2:fail@4"), hooks);
    let told = || -> Vec<Value> {
        let text = fs::read_to_string(workspace.path("told.json")).unwrap_or_default();
        text.lines().filter(|line| !line.is_empty()).map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let runner = workspace.start(&[X, "--slots", "2"]);
    wait_until("both wait for a word", || {
        workspace.runs("x").len() == 2 && workspace.runs("x").iter().all(|run| step(run) == 2)
    });
    runner.kill();
    let [first, second] = [1, 2].map(|seed| workspace.seed("x", seed));
    for run in [&first, &second] {
        fs::write(run.path().join("go-on"), "").unwrap();
    }
    wait_until("one finishes and one fails alone", || {
        [&first, &second].map(|run| look(run).status.word()) == ["finished", "lost"]
    });
    assert_eq!(told(), Vec::<Value>::new(), "nobody was there to tell");
    // The worker that finished may be on its way out for long.
    let on_its_way_out = wait_for_lock(&first.alive_lock());

    workspace.run(&[]).code(100).says(&format!("finished x/{}", first.name()));
    let facts = |name: &str| {
        let about = |fact: &Value| fact["run"] == format!("x/{name}");
        told().into_iter().filter(about).collect::<Vec<_>>()
    };
    let of_first = facts(&first.name());
    drop(on_its_way_out);
    assert_eq!(of_first.len(), 1, "{of_first:?}");
    assert_eq!((&of_first[0]["event"], &of_first[0]["status"]), (&"run-finished".into(), &"finished".into()));
    let of_second = facts(&second.name());
    assert_eq!(of_second.len(), 1, "{of_second:?}");
    assert_eq!(of_second[0]["event"], "run-failed");
    assert!(of_second[0]["why"].as_str().unwrap().contains("told to fail at step 4"), "{of_second:?}");
    workspace.run(&[]);
    assert_eq!(told().len(), 2, "once is enough");
    let text = fs::read_to_string(first.attempts()).unwrap();
    assert!(text.contains("nobody watched"), "{text}");
}

#[test]
fn a_run_that_finished_alone_is_told_of_by_a_runner_that_finds_no_work() {
    let hooks = "[[hooks]]\non = [\"run-finished\"]\ncommand = 'cat >> told.json; echo >> told.json'\n";
    let workspace = with_hooks(Workspace::new().experiment("x", 6, &[1], "await@2"), hooks);
    let runner = workspace.start(&[X]);
    wait_until("it waits for a word", || workspace.runs("x").iter().any(|run| step(run) == 2));
    runner.kill();
    let run = workspace.seed("x", 1);
    fs::write(run.path().join("go-on"), "").unwrap();
    wait_until("it finishes alone", || look(&run).status.word() == "finished");
    let told = || fs::read_to_string(workspace.path("told.json")).unwrap_or_default();
    workspace.run(&[]).code(0).says(&format!("finished x/{}", run.name()));
    let fact: Value = serde_json::from_str(&told()).unwrap();
    assert_eq!((&fact["event"], &fact["status"]), (&"run-finished".into(), &"finished".into()));
    assert_eq!(workspace.batches(), 1, "there was nothing to begin one for");
    let before = told();
    workspace.run(&[]).code(0);
    assert_eq!(told(), before, "once is enough");
}

#[test]
fn a_runner_that_waits_for_work_begins_it_while_a_hook_of_the_end_hangs() {
    let hook = "[[hooks]]\non = [\"batch-finished\"]\ncommand = 'echo $$ > asleep; exec sleep 600'\n\
                timeout_seconds = 500\n";
    let workspace =
        with_hooks(Workspace::new().experiment("x", 2, &[1], ""), hook).experiment("y", 2, &[1], "");
    let runner = workspace.start(&[X, "--forever"]);
    let process = || fs::read_to_string(workspace.path("asleep")).unwrap_or_default().trim().to_owned();
    wait_until("the hook hangs", || !process().is_empty());
    let first = process();
    workspace.overnight(&["queue", "experiments/y.toml"]).code(0);
    wait_until("what was queued meanwhile is done", || workspace.words("y") == ["finished"]);
    assert!(is_alive(&first), "and the hook is not given up for it");
    let second = || {
        process() != first && workspace.batches() == 2 && names(&workspace).contains(&"batch-ended".into())
    };
    wait_until("the second batch is over, too", second);
    runner.signal(Signal::INT);
    runner.wait();
    wait_until("no hook is left behind", || !is_alive(&first) && !is_alive(process()));
}
