use std::path::Path;

use super::*;
use crate::run_dir::status::{Stage, Waiting};

fn run(name: &str, status: Status, best: f64) -> Known {
    Known {
        dir: RunDir::new(format!("runs/x/{name}")),
        status,
        is_imported: false,
        checkpoints: vec![(10, 100), (20, 100), (30, 100), (40, 100)],
        asked_from: None,
        leftovers: Vec::new(),
        keep: 2,
        best: Some(Best { metric: "val/loss".to_owned(), value: best, step: 10 }),
        bytes: 1000,
        idle_days: 3.0,
        is_outside: false,
        has_parts_outside: false,
        needed_by: None,
        needed_steps: BTreeSet::new(),
    }
}

fn whole(name: &str, status: Status, best: f64) -> Known {
    Known { checkpoints: Vec::new(), ..run(name, status, best) }
}

fn live() -> Status {
    Status::Running { stage: Stage::Running }
}

/// What goes, below `runs/x/`.
fn gone(runs: &[Known], rules: &Rules) -> Vec<String> {
    let paths = decide(runs, &[], rules).removals.into_iter().map(|removal| removal.path);
    paths.map(|path| path.strip_prefix("runs/x").unwrap_or(&path).display().to_string()).collect()
}

#[test]
fn only_checkpoints_that_nobody_keeps_go_by_themselves() {
    let mut waiting = run("b", Status::Stopped, 1.0);
    waiting.best = None;
    waiting.checkpoints = vec![(40, 100)];
    let runs = [run("a", Status::Finished, 1.0), waiting];
    assert_eq!(gone(&runs, &Rules::default()), ["a/checkpoints/step-00000020"]);
    assert_eq!(gone(&[run("a", live(), 1.0)], &Rules::default()), [""; 0]);
    let unreadable = Status::Unreadable { reason: "empty".to_owned() };
    assert_eq!(gone(&[run("a", unreadable, 1.0)], &Rules::default()), [""; 0]);
}

#[test]
fn a_rule_for_checkpoints_only_lowers_what_the_experiment_keeps() {
    let interrupted = || Status::Waiting { because: Waiting::Interrupted };
    let kept = |rule: Option<usize>, asked_from: Option<u64>| {
        let run = Known { asked_from, ..run("a", interrupted(), 1.0) };
        let rules = Rules { checkpoints: rule, ..Rules::default() };
        let gone = gone(&[run], &rules);
        let stays = |step: &u64| !gone.iter().any(|path| path.ends_with(&format!("-{step:08}")));
        [10, 20, 30, 40].into_iter().filter(stays).collect::<Vec<u64>>()
    };
    assert_eq!(kept(None, None), [10, 30, 40]);
    assert_eq!(kept(Some(5), None), [10, 30, 40], "not more than the experiment keeps");
    assert_eq!(kept(Some(1), None), [10, 40], "the last one always stays, and the best");
    assert_eq!(kept(Some(1), Some(29)), [10, 20, 40], "somebody wants to go back to it");
}

#[test]
fn the_best_of_a_sweep_stay() {
    let runs = || {
        [
            whole("a", Status::Finished, 2.0),
            whole("b", Status::Finished, 1.0),
            whole("c", Status::Failed { code: 1 }, 9.0),
            whole("d", Status::Finished, f64::NAN),
            Known { best: None, ..whole("e", Status::Finished, 0.0) },
        ]
    };
    let best = |best| Rules { best: Some(best), ..Rules::default() };
    let removals = decide(&runs(), &[], &best(1)).removals;
    let reasons: Vec<(&str, &str)> = removals
        .iter()
        .map(|removal| (removal.path.file_name().unwrap().to_str().unwrap(), removal.reason.as_str()))
        .collect();
    let why = "b is better: val/loss 1.0000";
    assert_eq!(reasons, [("a", why), ("d", why)], "what failed or has no value is not compared");
    assert_eq!(gone(&runs(), &best(2)), ["d"]);
    assert_eq!(gone(&runs(), &best(3)), [""; 0]);
    let mut accuracies = runs();
    for run in &mut accuracies {
        run.best.as_mut().into_iter().for_each(|best| best.metric = "val/accuracy".to_owned());
    }
    assert_eq!(gone(&accuracies, &best(1)), ["b", "d"], "the metric knows which way is better");
    accuracies[0].best = runs()[0].best.clone();
    assert_eq!(gone(&accuracies, &best(1)), ["d"], "each metric for itself");
}

#[test]
fn what_is_old_or_named_goes_unless_it_lives_can_go_on_or_is_needed() {
    let needed = Known { needed_by: Some("y/merge".to_owned()), ..whole("b", Status::Finished, 1.0) };
    let interrupted = Status::Waiting { because: Waiting::Interrupted };
    let runs = [
        whole("a", Status::Finished, 1.0),
        needed,
        whole("c", live(), 1.0),
        whole("d", interrupted, 1.0),
        whole("e", Status::Paused, 1.0),
        whole("f", Status::Killed { signal: 9 }, 1.0),
        whole("g", Status::Skipped { need: "y".to_owned() }, 1.0),
        whole("h", Status::Unreadable { reason: "empty".to_owned() }, 1.0),
    ];
    let older = |days| Rules { older_than_days: Some(days), ..Rules::default() };
    assert_eq!(gone(&runs, &older(2.0)), ["a"], "what was killed can be retried");
    assert_eq!(gone(&runs, &older(4.0)), [""; 0]);
    let named = Rules { runs: runs.iter().map(|run| run.dir.clone()).collect(), ..Rules::default() };
    let decision = decide(&runs, &[], &named);
    let went: Vec<&Path> = decision.removals.iter().map(|removal| removal.path.as_path()).collect();
    assert_eq!(went, ["runs/x/a", "runs/x/f", "runs/x/h"].map(Path::new));
    let reasons: Vec<&str> = decision.kept.iter().map(|kept| kept.reason.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "y/merge needs it",
            "a worker lives there",
            "waiting, it can go on (overnight stop x/d gives it up)",
            "paused, it can go on (overnight stop x/e gives it up)",
            "skipped, it can go on (overnight stop x/g gives it up)",
        ]
    );
}

#[test]
fn leftovers_go_but_not_when_only_named_runs_are_meant() {
    let leftover = |path: &str| Leftover { path: path.into(), bytes: 7, reason: "left over" };
    let mut with_leftover = run("a", Status::Stopped, 1.0);
    with_leftover.leftovers = vec![leftover("runs/x/a/.new-progress")];
    let outside = [leftover("runs/x/.new-queued")];
    let all = decide(&[with_leftover], &outside, &Rules::default()).removals;
    let went: Vec<(&Path, &Part)> = all.iter().map(|removal| (removal.path.as_path(), &removal.of)).collect();
    assert_eq!(
        went[1..],
        [
            (Path::new("runs/x/a/.new-progress"), &Part::Leftover(Some(RunDir::new("runs/x/a")))),
            (Path::new("runs/x/.new-queued"), &Part::Leftover(None)),
        ]
    );
    let named = Rules { parts: Parts::Stay, ..Rules::default() };
    assert_eq!(decide(&[run("a", Status::Stopped, 1.0)], &outside, &named), Decision::default());
}
