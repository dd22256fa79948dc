//! Alerts of a run that is really trained: what lowers the learning rate belongs to what is computed, so
//! it must come at the same steps however often the run was interrupted; what only watches must not
//! change a bit.

use overnight::experiment::Alert;
use overnight::experiment::alert::Action;
use overnight::experiment::settings::*;
use overnight::run_dir::checkpoint::{Reduction, State};
use overnight::run_dir::records::{Ask, Request};
use overnight::run_dir::write::{Durability, replace_json};
use overnight::run_dir::{alerts, read};

use crate::fixture::{TestRun, gpt, language_model};

fn rule(when: &str, action: Action, factor: Option<f64>) -> Alert {
    Alert {
        name: None,
        when: overnight::experiment::alert::condition::Condition::parse(when).unwrap(),
        action,
        factor,
    }
}

fn run(settings: Settings, rules: &[Alert]) -> TestRun {
    let run = TestRun::new(settings);
    let mut record = read::run_record(&run.dir).unwrap();
    record.alerts = rules.to_vec();
    replace_json(&run.dir.run_json(), &record, Durability::Rebuildable).unwrap();
    run
}

fn reductions(run: &TestRun) -> Vec<Reduction> {
    read::json::<State>(&run.dir.checkpoint(60).state()).unwrap().reductions
}

/// Steps and messages of the alerts that count.
fn told(run: &TestRun) -> Vec<(u64, String)> {
    alerts::read(&run.dir).into_iter().map(|told| (told.step, told.message)).collect()
}

fn settings() -> Settings {
    let mut settings = language_model();
    gpt(&mut settings).dropout = 0.1;
    settings.checkpoint.every = Every::Steps(7);
    settings.train.schedule = Schedule { kind: ScheduleKind::Cosine, warmup: 5, floor: 1e-5 };
    settings
}

#[test]
fn a_lowered_learning_rate_comes_at_the_same_steps_after_kills() {
    let rules = [
        rule("train/loss not improving for 3 steps", Action::ReduceLr, Some(0.7)),
        rule("grad_norm > 0.01 after 25 steps", Action::ReduceLr, None),
        rule("val/loss not improving for 1000 steps", Action::Warn, None),
    ];
    let calm = run(settings(), &rules);
    let calm_result = calm.train();
    let lowered = reductions(&calm);
    assert!(lowered.len() > 1 && lowered.contains(&Reduction { step: 25, factor: 0.5 }), "{lowered:?}");

    let killed = run(settings(), &rules);
    for rows in [13, 27, 41] {
        killed.kill_after_rows(rows);
    }
    let killed_result = killed.train();
    assert_eq!(reductions(&killed), lowered);
    assert_eq!(told(&killed), told(&calm));
    assert_eq!(killed.reproducible_cells(), calm.reproducible_cells());
    assert!(killed.weights(60) == calm.weights(60), "the final weights differ");
    assert_eq!(killed_result.history, calm_result.history);

    let plain = run(settings(), &[]);
    plain.train();
    assert!(plain.weights(60) != calm.weights(60), "the rules did lower the rate");
    let rate = |run: &TestRun, row| run.metrics().column("lr").unwrap().values[row];
    let before = lowered.iter().filter(|reduction| reduction.step < 60).count();
    assert!(before > 0 && rate(&calm, 59) < rate(&plain, 59));
    assert_eq!(rate(&calm, 1), rate(&plain, 1), "the step of a reduction still had the old rate");
}

#[test]
fn rules_that_pause_and_warn_do_not_change_a_bit() {
    let plain = run(settings(), &[]);
    let plain_result = plain.train();

    let paused = run(
        settings(),
        &[
            rule("grad_norm > 0.01 after 25 steps", Action::Pause, None),
            rule("train/loss < 100", Action::Warn, None),
        ],
    );
    let (status, stderr) = paused.start().wait();
    assert_eq!(status.code(), Some(75), "{stderr}\n{}", paused.log());
    assert!(!paused.dir.result().exists());
    let state: State = read::json(&paused.dir.checkpoint(25).state()).unwrap();
    assert!(state.alerts[0].fired && state.step == 25);
    let requests: Vec<Request> = read::lines(&paused.dir.requests()).unwrap().records;
    assert_eq!((requests.len(), &requests[0].ask), (1, &Ask::Pause));
    assert_eq!(requests[0].who, "alert: grad_norm > 0.01 after 25 steps");

    let result = paused.train();
    assert_eq!(told(&paused).len(), 2, "{:?}", told(&paused));
    assert_eq!(paused.reproducible_cells(), plain.reproducible_cells());
    assert!(paused.weights(60) == plain.weights(60), "the final weights differ");
    assert_eq!(result.history, plain_result.history);
}
