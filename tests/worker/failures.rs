//! What can go wrong, and what is left then.

use std::fs;
use std::path::Path;
use std::process::Command;

use overnight::experiment::settings::*;
use overnight::run_dir::checkpoint::steps;
use overnight::run_dir::records::{FailureKind, What};

use crate::fixture::{TestRun, image_classification, language_model};

fn flip_a_byte_in_the_middle(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_damaged_checkpoint_is_set_aside_and_the_one_before_is_used() {
    let calm = TestRun::new(language_model());
    calm.train();
    let run = TestRun::new(language_model());
    run.kill_after_rows(45);
    let newest = *steps(&run.dir).last().unwrap();
    flip_a_byte_in_the_middle(&run.dir.checkpoint(newest).model());
    run.train();

    assert!(run.dir.checkpoint(newest).damaged().is_dir());
    let alert = run.events().into_iter().find_map(|event| match event.what {
        What::Alert { message, .. } => Some(message),
        _ => None,
    });
    let alert = alert.expect("a damaged checkpoint is an alert");
    assert!(alert.contains(&format!("checkpoint of step {newest} is damaged")), "{alert}");
    assert!(run.log().contains(&alert));
    let resumed_from = run.events().into_iter().find_map(|event| match event.what {
        What::Resumed { checkpoint } => Some(checkpoint),
        _ => None,
    });
    assert_eq!(resumed_from, Some(newest - 10));
    assert_eq!(run.reproducible_cells(), calm.reproducible_cells());
    assert!(run.weights(60) == calm.weights(60));
}

#[test]
fn a_run_whose_checkpoints_are_all_damaged_begins_again() {
    let run = TestRun::new(language_model());
    run.kill_after_rows(25);
    for step in steps(&run.dir) {
        fs::write(run.dir.checkpoint(step).state(), "{").unwrap();
    }
    run.train();
    assert_eq!(run.metrics().rows, 60);
    assert!(run.log().contains("starts at the beginning of 60 steps"), "{}", run.log());
}

#[test]
fn a_checkpoint_of_another_model_is_refused_and_stays() {
    let run = TestRun::new(language_model());
    run.kill_after_rows(25);
    let newest = *steps(&run.dir).last().unwrap();
    let record = fs::read_to_string(run.dir.run_json()).unwrap();
    fs::write(run.dir.run_json(), record.replace("\"width\": 32", "\"width\": 64")).unwrap();
    let (code, kind, message) = run.train_and_fail();
    assert_eq!((code, kind), (Some(1), FailureKind::Checkpoint));
    assert!(message.contains("transformer.wte.weight is"), "{message}");
    assert_eq!(steps(&run.dir).last(), Some(&newest));
}

#[test]
fn metrics_that_lost_rows_are_not_gone_on_from() {
    let run = TestRun::new(language_model());
    run.kill_after_rows(25);
    fs::write(run.dir.metrics(), "step\n").unwrap();
    let (code, kind, message) = run.train_and_fail();
    assert_eq!((code, kind), (Some(1), FailureKind::Checkpoint));
    assert!(message.contains("metrics.csv") && message.contains("give the file back"), "{message}");
    assert_eq!(fs::read_to_string(run.dir.metrics()).unwrap(), "step\n", "what is left is left alone");
}

#[test]
fn a_loss_that_is_not_finite_is_traced_to_its_step_and_its_first_tensor() {
    for mut settings in [language_model(), image_classification()] {
        // One step of this size leaves nothing to add up.
        settings.train.optimizer = Optimizer::Adamw(Adamw { lr: 1e36, ..Adamw::default() });
        settings.train.log_every = 10;
        let run = TestRun::new(settings);
        let (code, kind, message) = run.train_and_fail();
        assert_eq!((code, kind), (Some(1), FailureKind::NotFinite), "{message}");
        assert!(message.contains("of step 2 is"), "the exact step, from a buffer of ten: {message}");
        assert!(message.contains("the last finite loss was") && message.contains("at step 1"), "{message}");
        assert!(message.contains("the first tensor that is not finite: the output of"), "{message}");
        let loss = run.metrics().column("train/loss").unwrap().clone();
        assert!(loss.last().unwrap().is_nan() || loss.last().unwrap().is_infinite());
    }
}

#[test]
fn the_last_good_checkpoint_survives_a_loss_that_is_not_finite() {
    let mut settings = language_model();
    // Without clipping, plain descent at this rate leaves the valley after a while.
    settings.train.optimizer = Optimizer::Sgd(Sgd { lr: 1e3, momentum: 0.0, ..Sgd::default() });
    settings.train.schedule = Schedule { kind: ScheduleKind::Constant, warmup: 2000, floor: 0.0 };
    settings.train.clip = 0.0;
    settings.train.steps = Some(2000);
    let run = TestRun::new(settings);
    let (_, kind, message) = run.train_and_fail();
    assert_eq!(kind, FailureKind::NotFinite, "{message}");
    let bad = *run.metrics().column("step").unwrap().values.last().unwrap() as u64;
    assert!(bad > 10, "it broke off before the first checkpoint: {message}");
    assert_eq!(steps(&run.dir).last(), Some(&((bad - 1) / 10 * 10)));
    assert!(message.contains("the first tensor that is not finite:"), "{message}");
}

#[test]
fn a_data_file_that_is_missing_is_named() {
    let run = TestRun::new(language_model());
    fs::remove_file(run.workspace().experiments().join("text.txt")).unwrap();
    let (code, kind, message) = run.train_and_fail();
    assert_eq!((code, kind), (Some(1), FailureKind::Data));
    assert!(message.contains("text.txt"), "{message}");
}

/// A file system of a given size, gone when the test is done with it.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    /// `None` with a printed reason where mounting is not allowed.
    fn mount(path: &'a Path, kib: u32) -> Option<SmallDisk<'a>> {
        let made = SmallDisk(path);
        let done = made.mount_with(&format!("size={kib}k"));
        if !done {
            println!("skipped: mounting a tmpfs is not allowed here");
            std::mem::forget(made);
            return None;
        }
        Some(made)
    }

    fn grow(&self, kib: u32) {
        assert!(self.mount_with(&format!("remount,size={kib}k")));
    }

    fn mount_with(&self, options: &str) -> bool {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(self.0);
        mount.output().is_ok_and(|output| output.status.success())
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).output();
    }
}

#[test]
fn a_full_disk_ends_a_run_that_goes_on_when_there_is_space_again() {
    let mut settings = language_model();
    settings.checkpoint.keep = 100;
    let calm = TestRun::new(settings.clone());
    calm.train();
    let one: u64 = fs::read_dir(calm.dir.checkpoint(60).path())
        .unwrap()
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum();

    let run = TestRun::new(settings);
    let record = fs::read(run.dir.run_json()).unwrap();
    // Room for three checkpoints and a half.
    let Some(disk) = SmallDisk::mount(run.dir.path(), (one * 7 / 2 / 1024) as u32) else { return };
    fs::write(run.dir.run_json(), record).unwrap();
    let (code, kind, message) = run.train_and_fail();
    assert_eq!((code, kind), (Some(74), FailureKind::CannotWrite));
    assert!(message.contains("checkpoints"), "the file is named: {message}");
    assert_eq!(steps(&run.dir), [10, 20, 30]);
    let names = fs::read_dir(run.dir.checkpoints()).unwrap();
    assert_eq!(names.count(), 3, "nothing half-written is left");

    disk.grow(64 * 1024);
    run.train();
    assert_eq!(run.reproducible_cells(), calm.reproducible_cells());
    assert!(run.weights(60) == calm.weights(60));
}
