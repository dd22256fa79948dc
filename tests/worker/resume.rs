//! A run that was interrupted ends at the same bits as one that was not.

use std::time::{SystemTime, UNIX_EPOCH};

use overnight::experiment::settings::*;
use overnight::run_dir::records::What;

use crate::fixture::{TestRun, gpt, image_classification, language_model};

/// Trains `settings` undisturbed, then again with `kills` SIGKILLs at random moments, and compares.
fn assert_killed_run_ends_at_the_same_bits(settings: Settings, kills: usize) {
    let calm = TestRun::new(settings.clone());
    let calm_result = calm.train();
    let rows = calm.metrics().rows;

    let killed = TestRun::new(settings);
    let mut random = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos() as usize;
    for _ in 0..kills {
        let moment = 1 + random % (rows - 1);
        random /= rows;
        println!("killing the worker once {moment} of {rows} rows are there");
        killed.kill_after_rows(moment);
    }
    let killed_result = killed.train();

    assert_eq!(killed.reproducible_cells(), calm.reproducible_cells());
    assert!(killed.weights(60) == calm.weights(60), "the final weights differ");
    assert_eq!(killed_result.history, calm_result.history);
    assert_eq!(killed_result.best, calm_result.best);
}

#[test]
fn a_language_model_with_dropout_and_accumulation_survives_a_kill() {
    let mut settings = language_model();
    gpt(&mut settings).dropout = 0.2;
    settings.train.accumulate = 3;
    assert_killed_run_ends_at_the_same_bits(settings, 1);
}

#[test]
fn a_language_model_whose_rows_and_checkpoints_fall_apart_survives_kills() {
    let mut settings = language_model();
    gpt(&mut settings).dropout = 0.1;
    settings.train.log_every = 7;
    settings.checkpoint.every = Every::Steps(3);
    settings.train.schedule = Schedule { kind: ScheduleKind::Cosine, warmup: 10, floor: 1e-4 };
    assert_killed_run_ends_at_the_same_bits(settings, 3);
}

#[test]
fn an_image_classifier_with_dropout_and_accumulation_survives_kills() {
    let mut settings = image_classification();
    settings.model = Model::Cnn(Cnn { channels: vec![8, 16], dropout: 0.3 });
    settings.train.accumulate = 2;
    assert_killed_run_ends_at_the_same_bits(settings, 2);
}

#[test]
fn a_resnet_with_momentum_and_bf16_survives_a_kill() {
    let mut settings = image_classification();
    settings.model = Model::Resnet18(Resnet18 { width: 4 });
    settings.train.precision = Precision::Bf16;
    settings.train.optimizer = Optimizer::Sgd(Sgd { lr: 0.05, nesterov: true, ..Sgd::default() });
    assert_killed_run_ends_at_the_same_bits(settings, 1);
}

#[test]
fn a_resumed_run_says_from_where() {
    let run = TestRun::new(language_model());
    run.kill_after_rows(25);
    run.train();
    let resumed = run.events().into_iter().find_map(|event| match event.what {
        What::Resumed { checkpoint } => Some((event.attempt, checkpoint)),
        _ => None,
    });
    let (attempt, checkpoint) = resumed.expect("a resumed run says so");
    assert_eq!(attempt, 2);
    assert!(checkpoint >= 20 && checkpoint % 10 == 0, "{checkpoint}");
    assert!(run.log().contains(&format!("goes on after step {checkpoint} of 60")), "{}", run.log());
}
