//! Run directories that somebody has laid hands on: each says what is wrong with it, all others go on.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use overnight::run_dir::RunDir;
use overnight::run_dir::checkpoint::steps;
use serde_json::Value;

use crate::workspace::{Workspace, ends, is_alive, starts, step, wait_until};

const X: &str = "experiments/x.toml";

/// A folder where a file should be.
fn make_folder(path: &Path) {
    drop(fs::remove_file(path));
    fs::create_dir(path).unwrap();
}

/// Eight runs that have a checkpoint and failed after it; seven are then damaged, each in its own way.
fn damaged() -> Workspace {
    let workspace = Workspace::new().experiment("x", 6, &[1, 2, 3, 4, 5, 6, 7, 8], "failonce@5");
    workspace.run(&[X, "--breaker", "0"]).code(100);
    let run = |seed| workspace.seed("x", seed);
    let runs: Vec<RunDir> = (1..=8).map(run).collect();
    File::create(runs[0].run_json()).unwrap();
    File::options().write(true).open(runs[1].metrics()).unwrap().set_len(20).unwrap();
    let newest = *steps(&runs[2]).last().unwrap();
    fs::remove_file(runs[2].checkpoint(newest).state()).unwrap();
    fs::write(runs[3].path().join("notes of mine.txt"), "do not delete").unwrap();
    fs::create_dir_all(runs[3].checkpoints().join("step-99/older")).unwrap();
    fs::write(runs[3].path().join(".hidden"), [0, 159, 146, 150]).unwrap();
    make_folder(&runs[4].attempts());
    make_folder(&runs[5].progress());
    make_folder(&runs[6].requests());
    workspace
}

fn lines(workspace: &Workspace) -> Vec<Value> {
    let output = workspace.overnight(&["status", "--json"]).code(0);
    let mut all: Value = serde_json::from_str(&output.stdout).unwrap();
    let mut lines = all["runs"].as_array_mut().unwrap().split_off(0);
    // An unreadable one has no number and stands last.
    lines.sort_by_key(|line| line["run"].as_str().unwrap().to_owned());
    lines
}

#[test]
fn every_damaged_run_says_what_is_wrong_and_the_others_go_on() {
    let workspace = damaged();
    let output = workspace.run(&["--retry-failed", "--breaker", "0"]).code(100);
    let words: Vec<String> =
        lines(&workspace).iter().map(|line| line["status"].as_str().unwrap().to_owned()).collect();
    let expected =
        ["unreadable", "failed", "failed", "finished", "unreadable", "failed", "unreadable", "finished"];
    assert_eq!(words, expected, "{}", output.stderr);
    for (line, words) in lines(&workspace).iter().zip([
        "run.json is empty",
        "shorter than the",
        "state.json",
        "",
        "attempts.jsonl: not a file",
        "progress.json",
        "requests.jsonl: not a file",
        "",
    ]) {
        assert!(line.to_string().contains(words), "{words:?} is not said of {line}");
    }

    workspace.overnight(&["status"]).code(0);
    workspace.overnight(&["report"]).code(0);
    let index = fs::read_to_string(workspace.path("reports/index.html")).unwrap();
    for words in ["run.json is empty", "attempts.jsonl: not a file", "shorter than the"] {
        assert!(index.contains(words), "{words:?} is not on the first page");
    }
    workspace.overnight(&["clean"]).code(0);
    workspace.overnight(&["clean", "--yes"]).code(0);
    let kept = workspace.path("runs/x").read_dir().unwrap().count();
    assert_eq!(kept, 8, "nothing of a damaged run is taken for superfluous");
    let foreign = workspace.runs("x").into_iter().find(|run| run.path().join("notes of mine.txt").exists());
    assert!(
        foreign.is_some_and(|run| run.checkpoints().join("step-99/older").is_dir()),
        "what is not ours stays"
    );
}

#[test]
fn a_run_that_this_user_may_not_read_says_so_and_the_others_are_shown() {
    let workspace = Workspace::new().experiment("x", 4, &[1, 2], "");
    workspace.run(&[X]).code(0);
    let secret = workspace.seed("x", 1).run_json();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(workspace.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_overnight"));
    if rustix::process::geteuid().is_root() {
        // Nothing is unreadable to root.
        command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", env!("CARGO_BIN_EXE_overnight")]);
    }
    let output = command.arg("-C").arg(workspace.path("")).args(["status", "--json"]).output();
    let Some(output) = output.ok().filter(|output| output.status.code().is_some_and(|code| code < 126))
    else {
        println!("skipped: the program cannot be run as somebody else here");
        return;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("setpriv") {
        println!("skipped: {said}");
        return;
    }
    let all: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}"));
    let all = all["runs"].as_array().unwrap();
    let of = |word: &str| all.iter().find(|line| line["status"] == word);
    let unreadable = of("unreadable").expect("one cannot be read");
    assert!(unreadable.to_string().contains("Permission denied"), "{unreadable}");
    assert!(of("finished").is_some());
}

#[test]
fn a_run_that_is_broken_under_its_batch_did_not_get_done_and_one_that_was_broken_before_is_named() {
    let workspace = Workspace::new().experiment("x", 4, &[1, 2], "hold@2");
    let runner = workspace.start(&[X]);
    wait_until("one is at work", || workspace.runs("x").iter().any(|run| step(run) == 2));
    let spoiled = workspace.seed("x", 1);
    fs::write(spoiled.run_json(), "").unwrap();
    workspace.overnight(&["pause", "x"]).code(0);
    for worker in runner.children("train") {
        let worker = rustix::process::Pid::from_raw(worker).unwrap();
        rustix::process::kill_process(worker, rustix::process::Signal::KILL).unwrap();
    }
    runner.wait().code(100).says("run.json is empty");
    fs::remove_dir_all(workspace.seed("x", 2).path()).unwrap();
    workspace.run(&[]).code(0);
}

#[test]
fn a_run_that_cannot_be_asked_keeps_nobody_from_asking_the_others() {
    let workspace = Workspace::new().experiment("x", 4, &[1, 2, 3], "");
    workspace.overnight(&["queue", X]).code(0);
    let first = workspace.runs("x").remove(0);
    // A link that leads nowhere: there seems to be no file, and none can be made.
    std::os::unix::fs::symlink("nowhere/at/all", first.requests()).unwrap();
    let said = workspace.overnight(&["pause", "x"]).code(1).says("could not be asked");
    assert_eq!(said.stdout.matches(" paused").count(), 2, "{}", said.stdout);
    assert_eq!(workspace.words("x").iter().filter(|word| **word == "paused").count(), 2);
}

#[test]
fn a_removed_lock_file_lets_nobody_do_the_work_a_second_time() {
    let workspace = Workspace::new().experiment("x", 4, &[1, 2], "s1:await@3");
    let runner = workspace.start(&[X, "--slots", "1"]);
    wait_until("it waits", || workspace.runs("x").len() == 2 && step(&workspace.seed("x", 1)) == 3);
    let run = workspace.seed("x", 1);
    fs::remove_file(workspace.path("runs/.runner.lock")).unwrap();
    fs::remove_file(run.alive_lock()).unwrap();
    let worker = runner.children("train")[0];
    let holds = format!("(process {}), though its lock file was removed", runner.process());
    workspace.run(&[]).code(75).says(&holds);
    runner.kill();
    workspace.run(&[]).code(75).says("its worker lives").says("though its alive.lock was removed");
    assert_eq!(workspace.words("x"), ["lost", "finished"]);
    fs::write(run.path().join("go-on"), "").unwrap();
    wait_until("it finishes alone", || run.result().is_file() && !is_alive(worker));
    workspace.run(&[]).code(0);
    assert_eq!((starts(&run).len(), ends(&run).len()), (1, 1));
}
