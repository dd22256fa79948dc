//! How a worker is told what to do: by the runner's start line and lock, or by a person.

use std::process::{Command, Stdio};

use overnight::experiment::settings::Precision;
use overnight::run_dir::records::{Ask, Attempt, Device, Start, What};
use overnight::run_dir::write::{Durability, append_line};
use overnight::run_dir::{PROTOCOL, lock, read};
use rustix::process::Signal;

use crate::fixture::{TestRun, language_model};

fn worker_with(arguments: &[&str]) -> (Option<i32>, String, String) {
    let libraries = crate::fixture::libtorch().join("lib");
    let output = Command::new(env!("CARGO_BIN_EXE_overnight-worker"))
        .args(arguments)
        .env("LD_LIBRARY_PATH", libraries)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_worker_says_which_protocol_it_speaks() {
    let (code, said, _) = worker_with(&["--protocol"]);
    assert_eq!((code, said), (Some(0), format!("{PROTOCOL}\n")));
}

#[test]
fn a_worker_without_a_run_says_how_it_is_called() {
    for arguments in [&[][..], &["--unknown"], &["a", "b"]] {
        let (code, _, said) = worker_with(arguments);
        assert_eq!(code, Some(2));
        assert!(said.contains("usage: overnight-worker train RUN_DIR"), "{said}");
    }
}

#[test]
fn a_folder_that_is_no_run_is_refused_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _, said) = worker_with(&["train", folder.path().to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(said.contains("run.json"), "{said}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was written there");
}

#[test]
fn a_run_of_a_newer_protocol_is_left_alone() {
    let run = TestRun::new(language_model());
    let record = std::fs::read_to_string(run.dir.run_json()).unwrap();
    let newer = record.replace("\"protocol\": 1", "\"protocol\": 2");
    std::fs::write(run.dir.run_json(), newer).unwrap();
    let (status, said) = run.start().wait();
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("protocol 2"), "{said}");
    assert!(!run.dir.metrics().exists());
}

#[test]
fn a_worker_under_the_runners_lock_takes_its_orders_and_leaves_attempts_to_the_runner() {
    let run = TestRun::new(language_model());
    let ordered = Start {
        attempt: 7,
        time: 1.0,
        batch: Some("some-batch".to_owned()),
        host: "here".to_owned(),
        boot: String::new(),
        device: Device::Cpu { name: "a processor".to_owned() },
        precision: Precision::Bf16,
        threads: 1,
        // Split otherwise than the settings say, as for a device with less memory.
        micro_batch: 2,
        accumulate: 2,
        libtorch: "2.11.0".to_owned(),
        checkpoint: None,
        weights: None,
        text: Vec::new(),
        data: None,
        why: "first attempt".to_owned(),
    };
    append_line(&run.dir.attempts(), &Attempt::Start(ordered.clone()), Durability::Synced).unwrap();
    let held = lock::try_lock(&run.dir.alive_lock()).unwrap().unwrap();
    let mut worker = run.worker();
    worker.stdin(Stdio::from(held));
    let mut child = worker.spawn().unwrap();
    // The command keeps a copy of what it handed over.
    drop(worker);
    assert!(lock::is_held(&run.dir.alive_lock()), "the child has it");
    assert_eq!(child.wait().unwrap().code(), Some(0));

    assert!(!lock::is_held(&run.dir.alive_lock()));
    assert!(run.events().iter().all(|event| event.attempt == 7));
    let process: u32 = std::fs::read_to_string(run.dir.alive_lock()).unwrap().trim().parse().unwrap();
    assert_eq!(process, child.id());
    let attempts = read::lines::<Attempt>(&run.dir.attempts()).unwrap().records;
    assert_eq!(attempts, [Attempt::Start(ordered)]);
}

#[test]
fn a_worker_started_by_hand_writes_its_own_orders_and_end() {
    let run = TestRun::new(language_model());
    run.train();
    let attempts = read::lines::<Attempt>(&run.dir.attempts()).unwrap().records;
    let [Attempt::Start(start), Attempt::End(end)] = &attempts[..] else { panic!("{attempts:?}") };
    assert_eq!((start.attempt, start.batch.as_deref(), start.threads), (1, None, 1));
    assert_eq!((end.attempt, end.code, end.checkpoint), (1, Some(0), Some(60)));
}

#[test]
fn a_second_worker_is_refused_while_the_first_one_lives() {
    let mut settings = language_model();
    settings.train.steps = Some(1_000_000);
    let run = TestRun::new(settings);
    let mut first = run.start();
    first.wait_until(|| run.metrics().rows > 0);
    let (status, said) = run.start().wait();
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("another worker is at this run"), "{said}");
    first.signal(Signal::TERM);
    assert_eq!(first.wait().0.code(), Some(75));
    let starts = run.events().into_iter().filter(|event| event.what == What::Started).count();
    assert_eq!(starts, 1);
}

#[test]
fn an_older_checkpoint_can_be_gone_on_from_and_what_came_after_is_forgotten() {
    let run = TestRun::new(language_model());
    run.kill_after_rows(35);
    let mut worker = run.worker();
    let attempts = read::lines::<Attempt>(&run.dir.attempts()).unwrap().records;
    let Some(Attempt::Start(first)) = attempts.first().cloned() else { panic!("{attempts:?}") };
    let older = overnight::run_dir::checkpoint::steps(&run.dir)[0];
    let again = Start { attempt: 2, checkpoint: Some(older), ..first };
    append_line(&run.dir.attempts(), &Attempt::Start(again), Durability::Synced).unwrap();
    worker.stdin(Stdio::from(lock::try_lock(&run.dir.alive_lock()).unwrap().unwrap()));
    assert_eq!(worker.status().unwrap().code(), Some(0));
    assert!(run.events().iter().any(|event| event.what == What::Resumed { checkpoint: older }));
    assert_eq!(run.metrics().rows, 60);
}

#[test]
fn a_worker_started_by_hand_goes_back_where_a_person_asked_and_repeats_what_the_runner_decided() {
    let mut settings = language_model();
    settings.train.precision = Precision::Auto;
    let run = TestRun::new(settings);
    run.kill_after_rows(35);
    let text = std::fs::read_to_string(run.dir.attempts()).unwrap();
    assert!(text.contains("\"precision\":\"fp32\""), "automatic is not bf16 on a processor: {text}");
    // As if the runner had decided otherwise, for reasons of its own.
    std::fs::write(
        run.dir.attempts(),
        text.replace("\"libtorch\":\"2.11.0\"", "\"libtorch\":\"2.11.0+cpu\""),
    )
    .unwrap();
    let older = overnight::run_dir::checkpoint::steps(&run.dir)[0];
    let ask = Ask::Retry { from_step: Some(older) };
    overnight::queue::request(&run.dir, ask).unwrap();
    run.train();
    assert!(run.events().iter().any(|event| event.what == What::Resumed { checkpoint: older }));
    let attempts = read::lines::<Attempt>(&run.dir.attempts()).unwrap().records;
    let second = overnight::run_dir::status::last_start(&attempts).unwrap();
    assert_eq!((second.attempt, second.checkpoint), (2, Some(older)));
    assert_eq!(second.libtorch, "2.11.0+cpu");
    assert!(second.why.starts_with(&format!("goes on from step {older}")), "{}", second.why);
    assert!(second.why.ends_with("; started by hand"), "{}", second.why);
}
