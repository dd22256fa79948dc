//! SIGTERM and SIGINT: a checkpoint, a prompt end, and nothing lost, whatever the worker is doing.

use overnight::experiment::settings::*;
use overnight::run_dir::checkpoint::{State, steps};
use overnight::run_dir::read;
use overnight::run_dir::records::{Phase, What};
use rustix::process::Signal;

use crate::fixture::{TestRun, language_model};

/// Lets the worker come to `phase`, asks it to end, and looks at how it does. Gives the step.
fn end_while(run: &TestRun, phase: Phase, signal: Signal) -> u64 {
    let is_there = || run.progress().is_some_and(|progress| progress.phase == phase);
    let (status, stderr) = run.interrupt(is_there, signal);
    assert_eq!(status.code(), Some(75), "{stderr}");
    let last = run.events().pop().expect("an end is an event");
    assert!(matches!(last.what, What::Ended { .. }), "{last:?}");
    assert_eq!(steps(&run.dir).last(), Some(&last.step), "the checkpoint is of the step where it ended");
    assert_eq!(run.progress().map(|progress| progress.step), Some(last.step), "and is shown");
    last.step
}

fn assert_same_end(run: &TestRun, calm: &TestRun) {
    let (result, calm_result) = (run.train(), calm.train());
    assert_eq!(run.reproducible_cells(), calm.reproducible_cells());
    assert!(run.weights(60) == calm.weights(60), "the final weights differ");
    assert_eq!(result.history, calm_result.history);
}

#[test]
fn a_worker_that_evaluates_ends_and_evaluates_again_when_it_goes_on() {
    let mut settings = language_model();
    // Long enough that the phase is seen: progress is written once a second at most.
    settings.evaluate = Evaluate { every: Every::Steps(30), batches: Some(8000) };
    let run = TestRun::new(settings.clone());
    let step = end_while(&run, Phase::Evaluating, Signal::TERM);
    // A fast machine may be through with the first before anybody sees it.
    assert!([30, 60].contains(&step), "{step}");
    let state: State = read::json(&run.dir.checkpoint(step).state()).unwrap();
    assert_eq!(state.due, ["evaluation", "checkpoint"]);
    let evaluated = run.metrics().points("step", "val/loss").count() as u64;
    assert_eq!(evaluated, step / 30 - 1, "only what was completed has a row");
    assert_same_end(&run, &TestRun::new(settings));
}

#[test]
fn a_worker_that_samples_ends_and_samples_again_when_it_goes_on() {
    let mut settings = language_model();
    settings.sample = Sample {
        prompts: vec!["one".to_owned()],
        // Some seconds: progress is written once a second at most, so a shorter phase may not be seen.
        tokens: 40_000,
        every: Every::Steps(35),
        ..Sample::default()
    };
    let run = TestRun::new(settings.clone());
    let step = end_while(&run, Phase::Sampling, Signal::INT);
    assert!([35, 60].contains(&step), "{step}");
    assert!(!run.dir.sample_json(step).exists());
    let calm = TestRun::new(settings);
    assert_same_end(&run, &calm);
    let text = |run: &TestRun, step| std::fs::read_to_string(run.dir.sample_json(step)).unwrap();
    assert_eq!(text(&run, 35), text(&calm, 35));
    assert_eq!(text(&run, 60), text(&calm, 60), "the last step is sampled too");
}

#[test]
fn a_worker_that_trains_ends_within_a_step_or_two() {
    let mut settings = language_model();
    settings.train.steps = Some(1_000_000);
    settings.checkpoint.every = Every::Never;
    let run = TestRun::new(settings);
    let mut worker = run.start();
    worker.wait_until(|| run.metrics().rows > 5);
    worker.signal(Signal::TERM);
    let seen = run.metrics().rows as u64;
    let (status, _) = worker.wait();
    assert_eq!(status.code(), Some(75));
    let ended = run.events().pop().unwrap().step;
    // Rows are written at every step here; what is between is the time from our look to the signal.
    assert!(ended < seen + 200, "seen at {seen}, ended at {ended}");
    assert_eq!(steps(&run.dir), [ended]);
    assert_eq!(run.metrics().rows as u64, ended);
}
