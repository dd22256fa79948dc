//! What comes between a worker and its files: unreadable ones, links, another machine, an end that is asked
//! for while it loads.

use std::fs;
use std::os::unix::fs::symlink;

use overnight::data_files::{Image, encode_png};
use overnight::experiment::settings::*;
use overnight::run_dir::checkpoint::steps;
use overnight::run_dir::records::{Attempt, FailureKind, Phase, What};
use overnight::run_dir::status::last_start;
use overnight::run_dir::write::{Durability, append_line};
use overnight::run_dir::{RunDir, read};
use rustix::process::Signal;

use crate::fixture::{TestRun, image_classification, language_model};

#[test]
fn a_checkpoint_that_cannot_be_read_at_the_moment_is_not_taken_for_damaged() {
    let calm = TestRun::new(language_model());
    calm.train();
    let run = TestRun::new(language_model());
    run.kill_after_rows(25);
    let newest = *steps(&run.dir).last().unwrap();
    let (model, aside) = (run.dir.checkpoint(newest).model(), run.dir.path().join("aside"));
    fs::rename(&model, &aside).unwrap();
    // A disk that does not answer is hard to come by; a link in a circle is an error of reading, too.
    symlink("model.safetensors", &model).unwrap();
    let (code, kind, message) = run.train_and_fail();
    assert_eq!((code, kind), (Some(1), FailureKind::Checkpoint));
    assert!(message.contains(model.to_str().unwrap()) && message.contains("may be whole"), "{message}");
    assert!(!run.dir.checkpoint(newest).damaged().exists());
    fs::rename(&aside, &model).unwrap();
    run.train();
    assert!(run.weights(60) == calm.weights(60));
}

#[test]
fn a_checkpoint_that_lacks_a_file_is_damaged() {
    let run = TestRun::new(language_model());
    run.kill_after_rows(25);
    let newest = *steps(&run.dir).last().unwrap();
    fs::remove_file(run.dir.checkpoint(newest).optimizer()).unwrap();
    run.train();
    assert!(run.dir.checkpoint(newest).damaged().is_dir());
}

#[test]
fn a_workspace_whose_runs_lie_behind_a_link_finds_its_data() {
    let run = TestRun::new(language_model());
    let elsewhere = tempfile::tempdir().unwrap();
    let (runs, target) = (run.workspace().runs(), elsewhere.path().join("deep/runs"));
    fs::create_dir(elsewhere.path().join("deep")).unwrap();
    assert!(std::process::Command::new("mv").arg(&runs).arg(&target).status().unwrap().success());
    symlink(&target, &runs).unwrap();
    assert_eq!(run.train().step, 60);
}

#[test]
fn a_worker_that_wakes_up_to_find_its_run_taken_over_writes_nothing_more() {
    let mut settings = language_model();
    settings.train.steps = Some(100_000);
    let run = TestRun::new(settings);
    let mut worker = run.start();
    assert!(worker.wait_until(|| run.metrics().rows >= 20));
    worker.freeze();
    let attempts: Vec<Attempt> = read::lines(&run.dir.attempts()).unwrap().records;
    let mut start = last_start(&attempts).unwrap().clone();
    (start.attempt, start.host) = (2, "another-machine".to_owned());
    append_line(&run.dir.attempts(), &Attempt::Start(start), Durability::Synced).unwrap();
    let before = fs::read(run.dir.metrics()).unwrap();
    worker.signal(Signal::CONT);
    let (status, said) = worker.wait();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("attempt 2 of this run has begun on another-machine"), "{said}");
    assert_eq!(fs::read(run.dir.metrics()).unwrap(), before);
}

#[test]
fn an_end_that_is_asked_for_while_images_load_is_not_put_off_until_they_are() {
    let settings = Settings {
        data: Data::Folder(Folder { path: "images".to_owned(), size: 12, ..Folder::default() }),
        ..image_classification()
    };
    let run = TestRun::new(settings);
    fill_with_large_images(&run.workspace().experiments().join("images"));
    let mut worker = run.start();
    let is_loading = |run: &TestRun| run.progress().is_some_and(|progress| progress.phase == Phase::Loading);
    assert!(worker.wait_until(|| is_loading(&run)));
    worker.signal(Signal::TERM);
    let (status, said) = worker.wait();
    assert_eq!(status.code(), Some(75), "{said}");
    assert!(!has_loaded(&run.dir), "it went on loading");
    let last = run.events().pop().unwrap().what;
    assert!(matches!(&last, What::Ended { why } if why.contains("while it loaded")), "{last:?}");
}

/// `model.json` is written when everything is loaded.
fn has_loaded(run: &RunDir) -> bool {
    run.model_json().exists()
}

/// Two classes of one large image each, under many names: it takes seconds to decode them all.
fn fill_with_large_images(folder: &std::path::Path) {
    const SIDE: u32 = 1500;
    let pixels = (0..SIDE * SIDE).map(|place| (place.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let image = Image { width: SIDE as usize, height: SIDE as usize, channels: 1, pixels };
    let png = encode_png(&image).unwrap();
    for class in ["a", "b"] {
        fs::create_dir_all(folder.join(class)).unwrap();
        let first = folder.join(class).join("0.png");
        fs::write(&first, &png).unwrap();
        for number in 1..400 {
            fs::hard_link(&first, folder.join(class).join(format!("{number}.png"))).unwrap();
        }
    }
}
