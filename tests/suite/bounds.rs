//! What keeps a run from starting though there is a place for it: a time by which all should have ended,
//! and a limit of runs at once.

use jiff::{Span, Zoned};
use rustix::process::Signal;

use crate::workspace::{Workspace, starts, step, wait_until};

const X: &str = "experiments/x.toml";
const Y: &str = "experiments/y.toml";

/// At the fake worker's 100 steps in a second more than a day: it ends in no time before any clock shows
/// the same again.
const A_DAY_OF_STEPS: u64 = 10_000_000;

/// In an hour, as it is typed.
fn in_an_hour() -> String {
    Zoned::now().saturating_add(Span::new().hours(1)).strftime("%H:%M").to_string()
}

fn with_lines(workspace: Workspace, file: &str, lines: &str) -> Workspace {
    let text = std::fs::read_to_string(workspace.path(file)).unwrap() + lines;
    workspace.file(file, &text)
}

/// The reason for which the queue lets that run wait, once it has been told.
fn reason(workspace: &Workspace, experiment: &str) -> Option<String> {
    if workspace.batches() == 0 || !workspace.batch().queue_json().is_file() {
        return None;
    }
    let waiting = workspace.queue_state().waiting.into_iter();
    waiting.filter(|run| run.experiment == experiment).map(|run| run.reason).next()
}

#[test]
fn a_run_that_would_not_end_by_then_is_not_started_and_status_says_why_and_what_time_it_was() {
    let workspace = Workspace::new().experiment("x", 6, &[1], "");
    workspace.run(&[X]).code(0);
    let workspace = workspace.experiment("x", A_DAY_OF_STEPS, &[1], "").experiment("y", 6, &[1], "hold@3");
    let until = in_an_hour();
    let runner = workspace.start(&[X, Y, "--until", &until]);
    wait_until("the other run holds", || workspace.runs("y").iter().any(|run| step(run) == 3));
    wait_until("the queue is told", || reason(&workspace, "x").is_some());
    let why = format!("it would not end by {until}: it takes about 1 d 3 h");
    assert_eq!(reason(&workspace, "x").as_deref(), Some(&*why));
    let status = workspace.overnight(&["status"]).code(0).stdout;
    assert!(status.contains(&why), "{status}");
    workspace.overnight(&["pause", "y"]).code(0);
    runner.wait().code(75).says(&why);
    assert_eq!((workspace.words("x"), workspace.words("y")), (vec!["finished", "waiting"], vec!["paused"]));
    let long = &workspace.runs("x")[1];
    assert_eq!(starts(long).len(), 0);
    let status = workspace.overnight(&["status"]).code(0).stdout;
    assert!(status.contains(&why), "the batch is over, the reason stands:\n{status}");
}

#[test]
fn how_long_a_run_takes_is_known_from_one_that_is_at_work_and_from_its_own_first_steps() {
    let workspace = Workspace::new().experiment("x", A_DAY_OF_STEPS, &[1, 2], "s1:hold@3");
    let until = in_an_hour();
    let runner = workspace.start(&[X, "--slots", "1", "--until", &until]);
    let why = format!("it would not end by {until}: ");
    let is_too_late = || reason(&workspace, "x").is_some_and(|reason| reason.starts_with(&why));
    wait_until("the second is known to take too long", is_too_late);
    runner.signal(Signal::INT);
    runner.wait().code(75);
    workspace.run(&["--until", &until]).code(75).says(&why);
    let attempts = [1, 2].map(|seed| starts(&workspace.seed("x", seed)).len());
    assert_eq!(attempts, [1, 0], "the first, too, goes on only when it would end");
}

#[test]
fn no_more_runs_of_an_experiment_are_at_work_than_its_limit_whatever_is_free() {
    let workspace = Workspace::new().experiment("x", 6, &[1, 2], "hold@3").experiment("y", 6, &[1], "hold@3");
    let workspace = with_lines(workspace, X, "[queue]\nlimit = 1\n");
    let runner = workspace.start(&[X, Y, "--slots", "3"]);
    let holds = |name: &str| workspace.runs(name).iter().filter(|run| step(run) == 3).count();
    wait_until("one of each holds", || holds("x") == 1 && holds("y") == 1);
    wait_until("the queue is told", || reason(&workspace, "x").is_some());
    assert_eq!(reason(&workspace, "x").as_deref(), Some("1 run of x at once"));
    let status = workspace.overnight(&["status"]).code(0).stdout;
    assert!(status.contains("1 run of x at once"), "{status}");
    let second = workspace.seed("x", 2);
    assert_eq!(starts(&second).len(), 0, "though a slot is free");
    workspace.overnight(&["pause", &format!("x/{}", workspace.seed("x", 1).name())]).code(0);
    wait_until("the second has its turn", || step(&second) == 3);
    runner.signal(Signal::INT);
    runner.wait().code(75);
}

#[test]
fn a_limit_or_a_patience_that_cannot_be_is_refused() {
    for (lines, complaint) in [
        ("limit = 0", "queue.limit cannot be 0"),
        ("hang_minutes = -1", "queue.hang_minutes cannot be -1"),
        ("hang_minutes = nan", "queue.hang_minutes cannot be NaN"),
    ] {
        let workspace = Workspace::new().experiment("x", 6, &[1], "");
        let workspace = with_lines(workspace, X, &format!("[queue]\n{lines}\n"));
        workspace.overnight(&["check", X]).code(78).says(complaint);
    }
}
