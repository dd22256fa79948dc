//! What people ask of runs: pause, resume, stop, retry, priority.

use std::fs;

use overnight::run_dir::records::{Event, RunnerLock, What};
use overnight::run_dir::{lock, read};

use crate::workspace::{Workspace, ends, starts, step, wait_until};

const X: &str = "experiments/x.toml";

fn overnight(workspace: &Workspace, arguments: &[&str]) -> crate::workspace::Output {
    workspace.spawn(arguments).wait()
}

#[test]
fn a_paused_run_makes_room_and_goes_on_from_its_checkpoint() {
    let workspace = Workspace::new().experiment("x", 6, &[1, 2], "s1:hold@3");
    let runner = workspace.start(&[X]);
    let held = || workspace.runs("x").len() == 2 && step(&workspace.seed("x", 1)) == 3;
    wait_until("the first run holds", held);
    let name = workspace.seed("x", 1).name();
    overnight(&workspace, &["pause", &name]).code(0);
    runner.wait().code(0);
    assert_eq!(workspace.words("x"), ["paused", "finished"]);
    overnight(&workspace, &["pause", &name]).code(1).says("is paused already");
    overnight(&workspace, &["resume", &name]).code(0);
    assert_eq!(workspace.words("x"), ["waiting", "finished"]);
    workspace.run(&[]).code(0);
    assert_eq!(workspace.words("x"), ["finished"; 2]);
    assert_eq!(starts(&workspace.seed("x", 1))[1].checkpoint, Some(3));
}

#[test]
fn a_worker_without_a_runner_is_asked_by_the_command_itself() {
    let workspace = Workspace::new().experiment("x", 6, &[1], "hold@3");
    let runner = workspace.start(&[X]);
    wait_until("the run holds", || workspace.runs("x").iter().any(|run| step(run) == 3));
    let run = workspace.seed("x", 1);
    runner.kill();
    assert!(lock::is_held(&run.alive_lock()), "the worker lives on");
    overnight(&workspace, &["stop", "--all"]).code(0);
    wait_until("the worker ends", || !lock::is_held(&run.alive_lock()));
    assert_eq!(workspace.words("x"), ["stopped"]);
    workspace.run(&[]).code(0).says("stopped x/");
    assert_eq!(workspace.words("x"), ["stopped"], "it stays as it is");
}

#[test]
fn a_worker_that_the_runner_at_work_does_not_follow_is_asked_by_the_command_too() {
    let workspace = Workspace::new().experiment("x", 6, &[1], "hold@3").experiment("y", 6, &[1], "hold@3");
    let first = workspace.start(&[X]);
    wait_until("the run holds", || workspace.runs("x").iter().any(|run| step(run) == 3));
    first.kill();
    let run = workspace.seed("x", 1);
    let second = workspace.start(&["experiments/y.toml"]);
    wait_until("the other holds", || workspace.runs("y").iter().any(|run| step(run) == 3));
    overnight(&workspace, &["stop", "x"]).code(0);
    wait_until("the worker ends", || !lock::is_held(&run.alive_lock()));
    assert_eq!(workspace.words("x"), ["stopped"]);
    overnight(&workspace, &["stop", "y"]).code(0);
    second.wait().code(0);
}

#[test]
fn a_failed_run_is_tried_again_once_for_each_time_it_is_asked() {
    let workspace = Workspace::new().experiment("x", 6, &[1], "fail@3");
    workspace.run(&[X]).code(100);
    overnight(&workspace, &["resume", "x"]).code(1).says("overnight retry starts it again");
    overnight(&workspace, &["retry", "x"]).code(0);
    assert_eq!(workspace.words("x"), ["waiting"]);
    workspace.run(&[]).code(100);
    assert_eq!(ends(&workspace.seed("x", 1)).len(), 2);
    workspace.run(&[]).code(100);
    assert_eq!(ends(&workspace.seed("x", 1)).len(), 2, "not again without being asked");
    overnight(&workspace, &["retry", "x", "--from", "7"]).code(1).says("no checkpoint of step 7 (it has: 0");
}

#[test]
fn a_retry_can_go_back_to_an_earlier_checkpoint() {
    let workspace = Workspace::new().experiment("x", 8, &[1], "fail@7");
    workspace.run(&[X]).code(100);
    let run = workspace.seed("x", 1);
    assert_eq!(ends(&run)[0].checkpoint, Some(6));
    let words = |step: &str| overnight(&workspace, &["retry", "x", "--from", step]).code(0).stdout;
    assert!(words("4").ends_with(" goes on from step 4\n"));
    let history = || std::fs::read_to_string(run.events()).unwrap();
    let before = history();
    workspace.run(&[]).code(100);
    assert_eq!(starts(&run)[1].checkpoint, Some(4));
    assert_eq!(ends(&run)[0].checkpoint, Some(6), "how far the first came stays in its attempts");
    assert!(history().starts_with(&before) && history().len() > before.len(), "and in its events");
    let of_first = |what: fn(&What) -> bool| {
        let events = read::lines::<Event>(&run.events()).unwrap().records;
        events
            .into_iter()
            .filter(|event| event.attempt == 1 && what(&event.what))
            .map(|event| event.step)
            .max()
    };
    assert_eq!(of_first(|what| matches!(what, What::Checkpointed { .. })), Some(6));
    assert_eq!(of_first(|what| matches!(what, What::Failed { .. })), Some(7));
    assert!(words("0").ends_with(" begins again from the start\n"));
    workspace.run(&[]).code(100);
    assert_eq!(starts(&run)[2].checkpoint, None, "from the beginning");
    overnight(&workspace, &["retry", "x"]).code(0);
    workspace.run(&[]).code(100);
    assert_eq!(starts(&run)[3].checkpoint, Some(6), "the newest, once nobody asks otherwise");
}

#[test]
fn an_attempt_that_dies_before_it_went_on_leaves_the_wish_for_an_earlier_checkpoint_standing() {
    let workspace = Workspace::new().experiment("x", 8, &[1], "fail@7").variable("FAKE_STILLBORN", "2");
    workspace.run(&[X]).code(100);
    let words = |step: &str| overnight(&workspace, &["retry", "x", "--from", step]).code(0).stdout;
    assert!(words("4").ends_with(" goes on from step 4\n"));
    workspace.run(&[]).code(100);
    let checkpoints: Vec<_> = starts(&workspace.seed("x", 1)).iter().map(|start| start.checkpoint).collect();
    assert_eq!(checkpoints, [None, Some(4), Some(4), Some(4), Some(4)], "the retries end all the same");
    assert_eq!(workspace.words("x"), ["killed"]);
}

#[test]
fn priority_moves_a_run_ahead() {
    let workspace = Workspace::new().experiment("x", 4, &[1, 2, 3], "");
    overnight(&workspace, &["queue", X]).code(0);
    overnight(&workspace, &["priority", "5", &workspace.seed("x", 3).name()]).code(0);
    overnight(&workspace, &["priority", "-1", &workspace.seed("x", 1).name()]).code(0);
    workspace.run(&["--slots", "1"]).code(0);
    let time = |seed| starts(&workspace.seed("x", seed))[0].time;
    assert!(time(3) < time(2) && time(2) < time(1));
}

#[test]
fn each_verb_can_be_asked_of_a_run_an_experiment_a_tag_or_all() {
    let workspace = Workspace::new().experiment("x", 4, &[1, 2], "").experiment("y", 4, &[1], "");
    let file = workspace.path("experiments/y.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("tags = [\"night\"]\n{text}")).unwrap();
    overnight(&workspace, &["queue", X, "experiments/y.toml"]).code(0);
    let words = || (workspace.words("x"), workspace.words("y"));
    let run = format!("x/{}", workspace.seed("x", 2).name());
    for (selected, x, y) in [
        (&[run.as_str()][..], [false, true], false),
        (&["x"], [true, true], false),
        (&["--tag", "night"], [false, false], true),
        (&["--all"], [true, true], true),
    ] {
        let ask = |verb: &str| overnight(&workspace, &[&[verb], selected].concat()).code(0);
        for (verb, word) in
            [("pause", "paused"), ("resume", "waiting"), ("stop", "stopped"), ("retry", "waiting")]
        {
            ask(verb);
            let of = |is_meant: bool| if is_meant { word } else { "waiting" };
            assert_eq!(words(), (x.map(of).to_vec(), vec![of(y)]), "{verb} {selected:?}");
        }
        let before = std::fs::read_to_string(workspace.seed("y", 1).requests()).unwrap_or_default();
        overnight(&workspace, &[&["priority", "7"], selected].concat()).code(0);
        let after = std::fs::read_to_string(workspace.seed("y", 1).requests()).unwrap_or_default();
        assert_eq!(after != before, y, "priority {selected:?}");
    }
}

#[test]
fn what_is_finished_cannot_be_asked_to_stop() {
    let workspace = Workspace::new().experiment("x", 4, &[1], "");
    workspace.run(&[X]).code(0);
    overnight(&workspace, &["stop", "x"]).code(1).says("is finished");
    overnight(&workspace, &["retry", "x"]).code(1).says("--again trains it once more");
    overnight(&workspace, &["pause"]).code(2);
    overnight(&workspace, &["pause", "--tag", "none"]).code(4).says("with the tag none");
}

#[test]
fn a_drained_runner_ends_after_its_current_runs() {
    let workspace = Workspace::new().experiment("x", 6, &[1, 2], "s1:hold@3");
    overnight(&workspace, &["drain"]).code(1).says("no runner is at work here");
    let runner = workspace.start(&[X]);
    let held = || workspace.runs("x").len() == 2 && step(&workspace.seed("x", 1)) == 3;
    wait_until("the first run holds", held);
    overnight(&workspace, &["drain"]).code(0);
    wait_until("the runner has heard it", || workspace.queue_state().drain);
    assert_eq!(workspace.words("x"), ["running", "waiting"], "the current run goes on");
    overnight(&workspace, &["stop", &workspace.seed("x", 1).name()]).code(0);
    runner.wait().code(75);
    assert_eq!(workspace.words("x"), ["stopped", "waiting"]);
}

#[test]
fn of_what_is_drained_the_current_run_goes_on_and_the_others_wait_for_resume() {
    let workspace = Workspace::new().experiment("x", 6, &[1, 2], "s1:await@3").experiment("y", 4, &[1], "");
    let runner = workspace.start(&[X, "experiments/y.toml"]);
    wait_until("the first run waits for a word", || {
        workspace.runs("x").len() == 2 && step(&workspace.seed("x", 1)) == 3
    });
    let answer = overnight(&workspace, &["drain", "x"]).code(0).says("goes on to its end");
    assert!(answer.stdout.contains("paused before it starts"), "{}", answer.stdout);
    fs::write(workspace.seed("x", 1).path().join("go-on"), "").unwrap();
    runner.wait().code(0);
    assert_eq!((workspace.words("x"), workspace.words("y")), (vec!["finished", "paused"], vec!["finished"]));
    overnight(&workspace, &["resume", "x"]).code(0);
    workspace.run(&[]).code(0);
    assert_eq!(workspace.words("x"), ["finished", "finished"]);
}

#[test]
fn what_is_queued_meanwhile_is_picked_up() {
    let workspace = Workspace::new().experiment("x", 6, &[1], "hold@3").experiment("y", 4, &[1], "");
    let runner = workspace.start(&[X, "--slots", "2"]);
    wait_until("the run holds", || workspace.runs("x").iter().any(|run| step(run) == 3));
    overnight(&workspace, &["queue", "experiments/y.toml"]).code(0);
    wait_until("the other has finished", || workspace.words("y") == ["finished"]);
    overnight(&workspace, &["stop", "x"]).code(0);
    runner.wait().code(0);
}

/// Whether the runner has nothing to do and waits for work. What it writes of itself may be half there.
fn waits_for_work(workspace: &Workspace) -> bool {
    let holder: Option<RunnerLock> = read::json(&workspace.path("runs/.runner.lock")).ok();
    holder.is_some_and(|holder| holder.batch == RunnerLock::WAITS)
}

#[test]
fn a_runner_that_waits_forever_takes_up_what_comes_in_a_batch_of_its_own() {
    let workspace = Workspace::new().experiment("x", 4, &[1], "").experiment("y", 4, &[1], "");
    let runner = workspace.start(&["--forever", X]);
    // What comes before the batch has ended would belong to it.
    wait_until("the first is done", || workspace.words("x") == ["finished"] && waits_for_work(&workspace));
    overnight(&workspace, &["queue", "experiments/y.toml"]).code(0);
    wait_until("the second is done", || workspace.words("y") == ["finished"] && waits_for_work(&workspace));
    runner.signal(rustix::process::Signal::TERM);
    runner.wait().code(0);
    assert_eq!(workspace.batches(), 2);
}

#[test]
fn a_runner_that_waits_forever_stays_while_a_run_is_held_and_takes_it_up_at_a_persons_word() {
    let text = "[data]\nkind = \"text\"\nfiles = [\"a.txt\"]\n[model]\nkind = \"gpt\"\ncontext = 4\n[train]\nsteps = 4\n";
    let workspace = Workspace::new()
        .file("experiments/x.toml", text)
        .file("experiments/a.txt", &"to be or not to be ".repeat(20))
        .experiment("y", 4, &[1], "")
        .experiment("z", 4, &[1], "fail@2");
    overnight(&workspace, &["queue", X]).code(0);
    let workspace = workspace.file("experiments/a.txt", &"something else now ".repeat(20));
    let runner = workspace.start(&["--forever"]);
    let waits = || waits_for_work(&workspace);
    wait_until("it waits", waits);
    assert!(runner.said().contains("a.txt has changed since it was queued"), "{}", runner.said());
    // Others come and go meanwhile, and what is held or failed makes no batches by itself.
    for name in ["y", "z"] {
        overnight(&workspace, &["queue", &format!("experiments/{name}.toml")]).code(0);
        let done =
            || workspace.runs(name).len() == 1 && ["finished", "failed"].contains(&workspace.words(name)[0]);
        wait_until("what came is done", || done() && waits());
    }
    assert_eq!((workspace.words("x"), workspace.words("z")), (vec!["waiting"], vec!["failed"]));
    assert_eq!(workspace.batches(), 3);
    overnight(&workspace, &["resume", "x"]).code(0);
    wait_until("the held one has finished", || workspace.words("x") == ["finished"]);
    wait_until("it waits again", waits);
    assert_eq!(workspace.batches(), 4);
    runner.signal(rustix::process::Signal::TERM);
    runner.wait().code(100).says("failed z/");
}

#[test]
fn a_runner_that_waits_forever_with_its_retries_used_up_tries_no_more_by_itself() {
    let workspace = Workspace::new().experiment("x", 4, &[1], "fail@2").experiment("y", 4, &[1], "");
    let runner = workspace.start(&["--forever", "--retry-failed", X]);
    wait_until("it has failed", || workspace.words("x") == ["failed"]);
    overnight(&workspace, &["queue", "experiments/y.toml"]).code(0);
    wait_until("the other has finished", || workspace.words("y") == ["finished"]);
    assert!(workspace.batches() <= 2, "{}", workspace.batches());
    runner.signal(rustix::process::Signal::TERM);
    runner.wait().code(100);
}

#[test]
fn a_batch_in_which_everything_fails_the_same_way_stops_itself() {
    let workspace = Workspace::new().experiment("x", 4, &[1, 2, 3, 4, 5], "fail@1");
    workspace.run(&[X, "--breaker", "3", "--slots", "1"]).code(100);
    assert_eq!(workspace.words("x"), ["failed", "failed", "failed", "waiting", "waiting"]);
    assert!(workspace.queue_state().breaker.unwrap().contains("3 runs in a row failed"));
    workspace.run(&["--breaker", "0"]).code(100);
    assert_eq!(workspace.words("x"), ["failed"; 5]);
}

#[test]
fn changed_data_holds_a_run_until_a_person_takes_it_as_it_is() {
    let text = "[data]\nkind = \"text\"\nfiles = [\"a.txt\"]\n[model]\nkind = \"gpt\"\ncontext = 4\n[train]\nsteps = 4\n";
    let workspace = Workspace::new()
        .file("experiments/x.toml", text)
        .file("experiments/a.txt", &"to be or not to be ".repeat(20));
    overnight(&workspace, &["queue", X]).code(0);
    let workspace = workspace.file("experiments/a.txt", &"something else now ".repeat(20));
    workspace.run(&[]).code(75).says("a.txt has changed since it was queued");
    assert_eq!(workspace.words("x"), ["waiting"]);
    overnight(&workspace, &["resume", "x"]).code(0);
    workspace.run(&[]).code(0);
    assert_eq!(workspace.words("x"), ["finished"]);
}

#[test]
fn nothing_starts_before_its_time() {
    let workspace = Workspace::new().experiment("x", 4, &[1], "");
    let later =
        jiff::Zoned::now().checked_add(jiff::Span::new().hours(2)).unwrap().strftime("%H:%M").to_string();
    let runner = workspace.start(&[X, "--at", &later]);
    wait_until("the queue has been told", || !workspace.queue_state().waiting.is_empty());
    assert!(workspace.queue_state().waiting[0].reason.starts_with("until "));
    runner.signal(rustix::process::Signal::INT);
    runner.wait().code(75);
    workspace.run(&[]).code(0);
}

#[test]
fn clean_shows_what_could_go_and_deletes_only_when_told() {
    let workspace = Workspace::new().experiment("x", 8, &[1, 2], "");
    workspace.run(&[X]).code(0);
    let name = workspace.seed("x", 1).name();
    let shown = overnight(&workspace, &["clean", &name]).code(0).says("nothing was deleted");
    assert!(shown.stdout.contains(&format!("runs/x/{name}")), "{}", shown.stdout);
    assert_eq!(workspace.runs("x").len(), 2);
    overnight(&workspace, &["clean", &name, "--yes"]).code(0).says("freed");
    assert_eq!(workspace.runs("x").len(), 1);
    assert_eq!(std::fs::read_dir(workspace.path("runs/x")).unwrap().count(), 1, "nothing is left behind");
    overnight(&workspace, &["clean", "nothing"]).code(4);
}
