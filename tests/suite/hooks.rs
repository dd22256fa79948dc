//! What others are told of a batch, and that they can harm none.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc::{Receiver, channel};

use overnight::run_dir::lock;
use rustix::process::Signal;
use serde_json::Value;

use crate::workspace::{Workspace, is_alive, look, step, wait_until};

const X: &str = "experiments/x.toml";

fn with_hooks(workspace: Workspace, hooks: &str) -> Workspace {
    workspace.file("overnight.toml", hooks)
}

fn names(workspace: &Workspace) -> Vec<String> {
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

/// A server that answers each request with 200 and hands it over: its head and its body.
fn server() -> (u16, Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, requests) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            if sender.send(request(stream.unwrap())).is_err() {
                return;
            }
        }
    });
    (port, requests)
}

fn request(mut stream: TcpStream) -> (String, String) {
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
            });
            if body.len() >= length.unwrap_or(0) {
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                    .unwrap();
                return (head.to_lowercase(), body.to_owned());
            }
        }
        let count = stream.read(&mut part).unwrap();
        assert!(count > 0, "the request was cut off: {text}");
        bytes.extend_from_slice(&part[..count]);
    }
}

#[test]
fn a_webhook_is_sent_json_or_what_ntfy_and_slack_take() {
    let (port, requests) = server();
    let hook = |path: &str, rest: &str| {
        format!(
            "[[hooks]]\non = [\"batch-finished\"]\nwebhook = \"http://127.0.0.1:{port}/{path}\"\n{rest}\n"
        )
    };
    let hooks = [
        hook("json", ""),
        hook("ntfy", "form = \"ntfy\"\nheaders = { Authorization = \"Bearer ${TEST_TOKEN}\" }"),
        hook("slack", "form = \"slack\""),
    ];
    let workspace = with_hooks(Workspace::new().experiment("x", 2, &[1], ""), &hooks.concat())
        .variable("TEST_TOKEN", "a-secret");
    let output = workspace.run(&[X]).code(0);
    let mut received: Vec<(String, String)> = (0..3).map(|_| requests.recv().unwrap()).collect();
    received.sort();
    let [(json_head, json), (ntfy_head, ntfy), (slack_head, slack)] = &received[..] else { panic!() };
    assert!(
        json_head.starts_with("post /json http/1.1") && json_head.contains("content-type: application/json"),
        "{json_head}"
    );
    let told: Value = serde_json::from_str(json).unwrap();
    assert_eq!((&told["event"], &told["exit_code"]), (&"batch-finished".into(), &0.into()));
    assert_eq!(told["counts"]["finished"], 1);
    let message = told["message"].as_str().unwrap();
    assert!(message.starts_with("1 finished in "), "{message}");
    for header in
        ["title: batch finished", "priority: default", "tags: sunrise", "authorization: bearer a-secret"]
    {
        assert!(ntfy_head.lines().any(|line| line == header), "{header} is not in\n{ntfy_head}");
    }
    assert_eq!(ntfy, message);
    assert!(slack_head.contains("content-type: application/json"));
    let text: Value = serde_json::from_str(slack).unwrap();
    assert_eq!(text, serde_json::json!({ "text": format!("*batch finished*\n{message}") }));
    assert_eq!(names(&workspace).iter().filter(|name| *name == "hook").count(), 3, "{}", output.stderr);
    let log = fs::read_to_string(workspace.batch().runner_log()).unwrap();
    assert!(!log.contains("a-secret") && !output.stderr.contains("a-secret"));
}

/// A server that answers in the clear whatever it is sent.
fn without_tls() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            drop(stream.read(&mut [0; 4096]));
            drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
        }
    });
    port
}

#[test]
fn a_webhook_without_an_answer_a_listener_or_its_token_harms_nothing() {
    // It takes connections and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    // Who answers has all the time he needs.
    let hook = |port: u16, seconds: u32, rest: &str| {
        format!(
            "[[hooks]]\non = [\"run-finished\"]\nwebhook = \"http://127.0.0.1:{port}/\"\ntimeout_seconds = {seconds}\n{rest}\n"
        )
    };
    let hooks = [
        hook(port, 1, ""),
        hook(nobody, 60, ""),
        hook(port, 60, "headers = { Authorization = \"${NO_SUCH_TOKEN}\" }"),
        hook(without_tls(), 60, "").replace("http://", "https://"),
    ];
    let workspace = with_hooks(Workspace::new().experiment("x", 2, &[1, 2], ""), &hooks.concat());
    let output = workspace.run(&[X]).code(0);
    for expected in [
        "no answer within 1 s",
        "onnection refused",
        "the variable NO_SUCH_TOKEN is not set",
        "received corrupt message of type InvalidContentType",
    ] {
        assert!(output.stderr.contains(expected), "{expected} is not in\n{}", output.stderr);
    }
    assert_eq!(workspace.words("x"), ["finished"; 2]);
    assert_eq!(names(&workspace).iter().filter(|name| *name == "hook-failed").count(), 8);
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
