//! A step in more passes of fewer examples: the same computation, as far as it can be.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use overnight::experiment::settings::*;
use overnight::run_dir::records::{Attempt, Device, End, FailureKind, Start, What, exit};
use overnight::run_dir::status::last_start;
use overnight::run_dir::write::{Durability, append_line};
use overnight::run_dir::{machine, read};

use crate::fixture::{TestRun, gpt, image_classification, language_model};

/// A run whose first attempt was out of memory with all the examples of a step at once, so that the
/// next one computes half of them at once.
fn halved(settings: Settings) -> TestRun {
    let run = TestRun::new(settings.clone());
    let start = Start {
        attempt: 1,
        time: 1.0,
        batch: None,
        host: "here".to_owned(),
        boot: String::new(),
        device: Device::Cpu { name: machine::cpu_name() },
        precision: Precision::Fp32,
        threads: 1,
        micro_batch: settings.train.batch_size,
        accumulate: settings.train.accumulate,
        libtorch: "2.11.0".to_owned(),
        checkpoint: None,
        weights: None,
        text: Vec::new(),
        data: None,
        why: "first attempt".to_owned(),
    };
    let end = serde_json::json!({
        "attempt": 1, "time": 2.0, "code": exit::OUT_OF_DEVICE_MEMORY, "signal": null,
        "checkpoint": null, "why": "out of memory",
    });
    let end: End = serde_json::from_value(end).unwrap();
    for line in [Attempt::Start(start), Attempt::End(end)] {
        append_line(&run.dir.attempts(), &line, Durability::Synced).unwrap();
    }
    run
}

fn split(run: &TestRun) -> (u32, u32) {
    let attempts = read::lines::<Attempt>(&run.dir.attempts()).unwrap().records;
    let start = last_start(&attempts).unwrap();
    (start.micro_batch, start.accumulate)
}

/// Every cell of the two tables is the same up to a small part of it; gives the largest such part.
fn assert_equal_up_to_rounding(
    whole: &BTreeMap<(String, u32), u64>,
    halves: &BTreeMap<(String, u32), u64>,
) -> f64 {
    assert_eq!(whole.keys().collect::<Vec<_>>(), halves.keys().collect::<Vec<_>>());
    let mut largest: f64 = 0.0;
    for ((column, row), bits) in whole {
        let (one, other) = (f64::from_bits(*bits), f64::from_bits(halves[&(column.clone(), *row)]));
        let difference = (one - other).abs() / one.abs().max(1e-6);
        assert!(difference < 1e-3, "{column} in row {row}: {one} and {other}");
        largest = largest.max(difference);
    }
    largest
}

#[test]
fn a_step_in_two_passes_is_the_same_step_up_to_rounding() {
    let mut text = language_model();
    text.train.batch_size = 8;
    text.train.schedule = Schedule { kind: ScheduleKind::Cosine, warmup: 5, floor: 1e-4 };
    let mut images = image_classification();
    images.train.label_smoothing = 0.1;
    for settings in [text, images] {
        let (whole, halves) = (TestRun::new(settings.clone()), halved(settings.clone()));
        let (one, other) = (whole.train(), halves.train());
        let batch_size = settings.train.batch_size;
        assert_eq!((split(&whole), split(&halves)), ((batch_size, 1), (batch_size / 2, 2)));
        assert_equal_up_to_rounding(&whole.reproducible_cells(), &halves.reproducible_cells());
        assert_ne!(one.history, other.history, "rounding is there, or nothing was compared");
        assert_eq!((one.step, one.epoch), (other.step, other.epoch));
    }
}

#[test]
fn a_split_run_that_is_killed_ends_at_the_bits_of_its_split() {
    let mut settings = language_model();
    settings.train.batch_size = 8;
    gpt(&mut settings).dropout = 0.1;
    let (calm, killed) = (halved(settings.clone()), halved(settings));
    let calm_result = calm.train();
    killed.kill_after_rows(27);
    assert_eq!(killed.train().history, calm_result.history);
    assert_eq!(killed.reproducible_cells(), calm.reproducible_cells());
    assert!(killed.weights(60) == calm.weights(60));
    assert_eq!(split(&killed), (4, 2));
}

#[test]
fn a_run_that_is_really_out_of_memory_comes_to_its_end_in_smaller_passes() {
    // An image of 4 KiB in floats: all at once are gigabytes, and little to compute.
    let mut settings = image_classification();
    settings.data = Data::Shapes(Shapes { count: 200, classes: 3, size: 32 });
    settings.model = Model::Mlp(Mlp { hidden: vec![4], dropout: 0.0 });
    settings.train.batch_size = 1 << 19;
    settings.train.steps = Some(1);
    settings.evaluate.every = Every::Never;
    let run = TestRun::of_examples(settings, 200);
    let mut smaller = Vec::new();
    loop {
        let mut worker = Command::new("sh");
        let plain = run.worker();
        worker.args(["-c", "ulimit -v 2000000 && exec \"$0\" \"$@\""]).arg(plain.get_program());
        worker.args(plain.get_args()).stdin(Stdio::null()).stderr(Stdio::piped());
        worker.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = worker.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        smaller.push(split(&run));
        if output.status.code() == Some(0) {
            break;
        }
        assert_eq!(output.status.code(), Some(exit::OUT_OF_DEVICE_MEMORY), "{said}");
        let last = run.events().pop().unwrap().what;
        assert!(matches!(last, What::Failed { kind: FailureKind::OutOfDeviceMemory, .. }), "{last:?}");
        assert!(smaller.len() < 12, "{smaller:?}: {said}");
    }
    assert!(smaller.len() > 1, "it was never out of memory");
    assert!(smaller.windows(2).all(|pair| pair[1] == (pair[0].0 / 2, pair[0].1 * 2)), "{smaller:?}");
    let loss = run.metrics().column("train/loss").and_then(|column| column.last());
    assert!(loss.is_some_and(f64::is_finite), "{loss:?}");
}
