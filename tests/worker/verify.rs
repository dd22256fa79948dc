//! `overnight verify` with a real worker: what was resumed is found equal, and what was changed is named.

use std::fs;
use std::process::{Command, Output, Stdio};

use overnight::experiment::settings::*;
use overnight::run_dir::certificate::{Certificate, Verified, trail};
use overnight::run_dir::records::{Attempt, Start};
use overnight::run_dir::verdict::Verdict;
use overnight::run_dir::write::{Durability, append_line};
use overnight::run_dir::{checkpoint, lock, read};
use rustix::process::{Pid, Signal, kill_process};

use crate::fixture::{TestRun, gpt, image_classification, language_model};

fn command(run: &TestRun, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_overnight"));
    command.arg("-C").arg(run.workspace().root()).arg("verify").arg("test/run").args(arguments);
    command.env_remove("OVERNIGHT_WORKER").stdin(Stdio::null());
    command
}

/// Verifies as a person would. Gives the exit code and all that was said.
fn verify(run: &TestRun, arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = command(run, arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout) + &text(stderr))
}

#[track_caller]
fn assert_equal(run: &TestRun, arguments: &[&str]) -> Verdict {
    let (code, said) = verify(run, arguments);
    assert_eq!(code, Some(0), "{said}");
    let beside = fs::read_dir(run.dir.path().parent().unwrap()).unwrap().count();
    assert_eq!(beside, 1, "nothing is left of the replay");
    verdicts(run).pop().unwrap()
}

fn verdicts(run: &TestRun) -> Vec<Verdict> {
    read::lines(&run.dir.verify()).unwrap().records
}

fn certificate(run: &TestRun) -> Certificate {
    let attempts = read::lines::<Attempt>(&run.dir.attempts()).unwrap().records;
    Certificate::read(&run.dir, &attempts).unwrap()
}

/// A GPT with dropout and accumulation that was killed twice and finished.
fn killed_run() -> TestRun {
    let mut settings = language_model();
    gpt(&mut settings).dropout = 0.2;
    settings.train.accumulate = 2;
    settings.train.log_every = 7;
    let run = TestRun::new(settings);
    run.kill_after_rows(3);
    run.kill_after_rows(5);
    run.train();
    run
}

#[test]
fn a_run_that_was_killed_is_verified_equal_in_parts_and_as_a_whole() {
    let run = killed_run();
    let before: Vec<_> = [run.dir.metrics(), run.dir.events(), run.dir.attempts(), run.dir.result()]
        .map(|path| fs::read(path).unwrap())
        .into();
    let newest = assert_equal(&run, &[]);
    assert_eq!((newest.from, newest.to, newest.checkpoints), (50, 60, 1));
    assert_eq!(certificate(&run).sentence(), "resumed 2 times, steps 50 to 60 verified equal");
    let all = assert_equal(&run, &["--all"]);
    assert_eq!((all.from, all.to, all.checkpoints, all.rows), (0, 60, 6, 11));
    let certificate = certificate(&run);
    assert_eq!((certificate.attempts, certificate.kills_survived), (3, 2));
    assert_eq!(certificate.sentence(), "resumed 2 times, verified equal");
    let after: Vec<_> = [run.dir.metrics(), run.dir.events(), run.dir.attempts(), run.dir.result()]
        .map(|path| fs::read(path).unwrap())
        .into();
    assert!(before == after, "the run itself is as it was");
}

#[test]
fn an_image_classifier_in_bf16_that_was_asked_to_end_between_checkpoints_is_verified_equal() {
    let mut settings = image_classification();
    settings.train.precision = Precision::Bf16;
    settings.train.steps = Some(100);
    settings.checkpoint.every = Every::Steps(40);
    let run = TestRun::new(settings);
    let (status, said) = run.interrupt(|| run.metrics().rows >= 45, Signal::TERM);
    assert_eq!(status.code(), Some(75), "{said}");
    let asked_at = *checkpoint::steps(&run.dir).last().unwrap();
    // A run that is not finished, up to where it was asked to end.
    let first = assert_equal(&run, &[]);
    assert_eq!(first.to, asked_at);
    run.train();
    assert_eq!(assert_equal(&run, &["--all"]).to, 100);
    assert_eq!(certificate(&run).verified, Verified::Equal);
}

#[test]
fn a_changed_row_is_found_with_its_step_and_column() {
    let run = killed_run();
    let text = fs::read_to_string(run.dir.metrics()).unwrap();
    let row = text.lines().find(|line| line.starts_with("56,")).unwrap();
    let loss = row.split(',').nth(4).unwrap();
    fs::write(run.dir.metrics(), text.replace(row, &row.replacen(loss, "1.25", 1))).unwrap();
    let (code, said) = verify(&run, &[]);
    assert_eq!(code, Some(1), "{said}");
    let expected = format!("train/loss of step 56 is 1.25 in metrics.csv and {loss} in the replay");
    assert!(said.contains(&expected), "{said}");
    assert!(said.contains("metrics.csv was changed after it was written"), "{said}");
    assert!(matches!(certificate(&run).verified, Verified::Differs { .. }));
    // Put right again, the newer verdict counts.
    fs::write(run.dir.metrics(), text).unwrap();
    assert_equal(&run, &[]);
    assert_eq!(verdicts(&run).len(), 2);
    assert!(matches!(certificate(&run).verified, Verified::Partly { .. }));
}

/// Changes one bit of the last number in a file of tensors.
fn flip_a_bit(path: &std::path::Path) {
    let mut bytes = fs::read(path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn changed_weights_are_found_with_their_tensor() {
    let run = killed_run();
    flip_a_bit(&run.dir.checkpoint(60).model());
    let (code, said) = verify(&run, &[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("of checkpoint 60 differs, first in number "), "{said}");
    assert!(said.contains("the tensor transformer.") || said.contains("the tensor lm_head."), "{said}");
    assert!(said.contains("model.safetensors was changed after it was written"), "{said}");
}

#[test]
fn a_changed_checkpoint_that_the_replay_would_begin_with_is_named_by_a_replay_to_it() {
    let run = killed_run();
    flip_a_bit(&run.dir.checkpoint(50).optimizer());
    let (code, said) = verify(&run, &[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("optimizer.safetensors of checkpoint 50 does not have the hash"), "{said}");
}

#[test]
fn a_history_that_was_changed_is_found_at_its_checkpoint() {
    let run = killed_run();
    let events = fs::read_to_string(run.dir.events()).unwrap();
    let points = trail(&read::lines(&run.dir.events()).unwrap().records);
    let point = points.iter().find(|point| point.step == 20).unwrap();
    fs::write(run.dir.events(), events.replace(&point.history, &"0".repeat(64))).unwrap();
    let (code, said) = verify(&run, &["--all"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("the history of losses at step 20 in events.jsonl"), "{said}");
}

#[test]
fn a_run_that_went_on_with_other_threads_says_so_and_each_part_is_equal_on_its_own() {
    let run = TestRun::new(language_model());
    run.kill_after_rows(25);
    let attempts = read::lines::<Attempt>(&run.dir.attempts()).unwrap().records;
    let Some(Attempt::Start(first)) = attempts.first().cloned() else { panic!("{attempts:?}") };
    let newest = checkpoint::steps(&run.dir).last().copied();
    let other = Start { attempt: 2, threads: 2, checkpoint: newest, ..first.clone() };
    append_line(&run.dir.attempts(), &Attempt::Start(other), Durability::Synced).unwrap();
    let mut worker = run.worker();
    worker.stdin(Stdio::from(lock::try_lock(&run.dir.alive_lock()).unwrap().unwrap()));
    assert_eq!(worker.status().unwrap().code(), Some(0));
    drop(worker);

    let before = certificate(&run);
    let from = newest.unwrap();
    let words = format!("attempt 2 went on from step {from} with 2 threads instead of 1 thread");
    assert_eq!(before.changes, [words.as_str()], "said without any verification");
    let (code, said) = verify(&run, &["--all"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(&format!("training steps 0 to {from} again on ")), "{said}");
    assert!(said.contains(", 1 thread\n") && said.contains(", 2 threads\n"), "{said}");

    // As if the first attempt had had other threads than it had, and had come to another loss with them: its
    // row and its history say so alike, so that no file is the one that was changed later.
    rewrite(&run.dir.attempts(), "\"threads\":1", "\"threads\":3");
    let history = trail(&read::lines(&run.dir.events()).unwrap().records).remove(0).history;
    rewrite(&run.dir.events(), &history, &"0".repeat(64));
    let text = fs::read_to_string(run.dir.metrics()).unwrap();
    let row = text.lines().nth(5).unwrap();
    let (step, loss) = (row.split(',').next().unwrap(), row.split(',').nth(4).unwrap());
    rewrite(&run.dir.metrics(), row, &row.replacen(loss, "1.25", 1));
    let (code, said) = verify(&run, &["--from", "0"]);
    assert_eq!(code, Some(1), "{said}");
    let expected = format!("train/loss of step {step} is 1.25 in metrics.csv and {loss} in the replay");
    assert!(said.contains(&expected), "{said}");
    assert!(said.contains("with 2 threads instead of 3"), "{said}");
    assert!(!said.contains("was changed after it was written"), "{said}");
}

fn rewrite(path: &std::path::Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{from} is not in {}", path.display());
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn a_run_that_goes_on_is_verified_meanwhile_and_is_not_disturbed() {
    let mut settings = language_model();
    settings.train.steps = Some(1_000_000);
    let run = TestRun::new(settings);
    let mut worker = run.start();
    worker.wait_until(|| checkpoint::steps(&run.dir).len() > 1);
    let verdict = assert_equal(&run, &["--from", "0"]);
    assert_eq!((verdict.from, verdict.to), (0, 10));
    assert!(worker.child.try_wait().unwrap().is_none(), "its worker lives");
    worker.signal(Signal::TERM);
    assert_eq!(worker.wait().0.code(), Some(75));
}

#[test]
fn a_signal_ends_a_replay_and_nothing_is_left_of_it() {
    let mut settings = language_model();
    settings.train.steps = Some(4_000);
    settings.checkpoint.every = Every::Steps(1_000);
    let run = TestRun::new(settings);
    run.train();
    let beside = run.dir.path().parent().unwrap().to_owned();
    let child = command(&run, &["--all"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let scratch = || {
        let entries = fs::read_dir(&beside).unwrap().flatten().map(|entry| entry.path());
        entries.into_iter().find(|path| path.file_name().unwrap().to_string_lossy().starts_with(".verify-"))
    };
    let is_at_work = || scratch().is_some_and(|path| path.join("metrics.csv").exists());
    let since = std::time::Instant::now();
    while !is_at_work() {
        assert!(since.elapsed().as_secs() < 120, "the replay does not begin");
        std::thread::yield_now();
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(75), "{said}");
    assert!(scratch().is_none() && verdicts(&run).is_empty(), "{said}");
}
