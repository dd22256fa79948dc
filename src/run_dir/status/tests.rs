use super::*;
use crate::run_dir::records::{Device, Phase};
use crate::run_dir::scan::sample_record;

fn start(attempt: u32, checkpoint: Option<u64>) -> Attempt {
    Attempt::Start(Start {
        attempt,
        time: f64::from(attempt) * 10.0,
        batch: None,
        host: "here".into(),
        boot: "boot".into(),
        device: Device::Cpu { name: "processor".into() },
        precision: crate::experiment::settings::Precision::Fp32,
        threads: 1,
        micro_batch: 1,
        accumulate: 1,
        libtorch: "2.11.0".into(),
        checkpoint,
        weights: None,
        text: Vec::new(),
        data: None,
        why: "first attempt".into(),
    })
}

fn end(attempt: u32, code: Option<i32>, signal: Option<i32>, checkpoint: Option<u64>) -> Attempt {
    let time = f64::from(attempt) * 10.0 + 5.0;
    let why = String::new();
    Attempt::End(End {
        attempt,
        time,
        code,
        signal,
        checkpoint,
        why,
        cause: None,
        seconds: None,
        device_memory_bytes: None,
    })
}

fn ask(time: f64, ask: Ask) -> Request {
    Request { time, who: "someone".into(), attempt: None, key: None, ask }
}

fn word(attempts: &[Attempt], requests: &[Request], is_alive: bool) -> &'static str {
    let record = sample_record("x", "y");
    status(&Observation {
        record: Ok(&record),
        has_result: false,
        is_alive,
        attempts,
        requests,
        progress: None,
        import: None,
        host: "here",
        boot: "boot",
        now: 1000.0,
    })
    .word()
}

#[test]
fn each_end_has_its_own_word() {
    assert_eq!(word(&[], &[], false), "waiting");
    assert_eq!(word(&[start(1, None)], &[], true), "starting");
    assert_eq!(word(&[start(1, None)], &[], false), "lost");
    assert_eq!(word(&[start(1, None), end(1, Some(75), None, Some(5))], &[], false), "waiting");
    assert_eq!(word(&[start(1, None), end(1, Some(1), None, None)], &[], false), "failed");
    assert_eq!(word(&[start(1, None), end(1, None, Some(9), None)], &[], false), "waiting");
    assert_eq!(word(&[start(1, None), end(1, None, None, None)], &[], false), "waiting");
}

#[test]
fn a_lock_that_outlives_the_end_of_its_attempt_is_no_worker() {
    let failed = [start(1, None), end(1, Some(1), None, None)];
    assert_eq!(word(&failed, &[], true), "failed");
    let next = [&failed[..], &[start(2, None)]].concat();
    assert_eq!(word(&next, &[], true), "starting");
    assert_eq!(word(&[], &[], true), "running", "its line is about to be written");
}

#[test]
fn a_run_that_is_killed_without_coming_further_runs_out_of_retries() {
    let mut attempts = Vec::new();
    for attempt in 1..=4 {
        assert_eq!(word(&attempts, &[], false), "waiting");
        attempts.extend([start(attempt, None), end(attempt, None, Some(9), None)]);
    }
    assert_eq!(word(&attempts, &[], false), "killed");
    attempts.extend([start(5, None), end(5, None, Some(9), Some(100))]);
    assert_eq!(word(&attempts, &[], false), "waiting", "a newer checkpoint gives the retries back");
}

#[test]
fn requests_count_while_they_stand() {
    let failed = [start(1, None), end(1, Some(1), None, None)];
    assert_eq!(word(&failed, &[ask(30.0, Ask::Retry { from_step: None })], false), "waiting");
    assert_eq!(word(&failed, &[ask(12.0, Ask::Retry { from_step: None })], false), "failed", "used up");
    assert_eq!(word(&[], &[ask(1.0, Ask::Pause)], false), "paused");
    assert_eq!(word(&[], &[ask(1.0, Ask::Pause), ask(2.0, Ask::Resume)], false), "waiting");
    assert_eq!(word(&[start(1, None)], &[ask(1.0, Ask::Stop)], true), "stopping");
    let note = Ask::Note { text: "looks good".into() };
    assert_eq!(word(&[], &[ask(1.0, Ask::Stop), ask(2.0, note)], false), "stopped");
}

#[test]
fn what_was_asked_first_is_known_whatever_the_clock_did() {
    let failed = [start(1, None), end(1, Some(1), None, None)];
    let retry =
        |time, attempt| Request { attempt: Some(attempt), ..ask(time, Ask::Retry { from_step: None }) };
    assert_eq!(word(&failed, &[retry(1.0, 1)], false), "waiting", "the clock went back before it was asked");
    let again = [&failed[..], &[start(2, None), end(2, Some(1), None, None)]].concat();
    assert_eq!(word(&again, &[retry(1e9, 1)], false), "failed", "the clock went back after it was asked");
}

#[test]
fn the_step_to_go_back_to_stands_until_a_worker_went_on_from_it() {
    let event = |time, what| Event { time, attempt: 2, step: 4, what };
    let back = ask(30.0, Ask::Retry { from_step: Some(4) });
    let before = event(12.0, What::Started);
    assert_eq!(asked_from(&[], std::slice::from_ref(&before)), None);
    assert_eq!(asked_from(std::slice::from_ref(&back), std::slice::from_ref(&before)), Some(4));
    let requests = [back, ask(31.0, Ask::Pause), ask(32.0, Ask::Resume)];
    assert_eq!(asked_from(&requests, std::slice::from_ref(&before)), Some(4), "a pause takes nothing back");
    let died = event(40.0, What::Ended { why: "before it had loaded".into() });
    assert_eq!(asked_from(&requests, &[before.clone(), died]), Some(4));
    assert_eq!(asked_from(&requests, &[before, event(40.0, What::Resumed { checkpoint: 4 })]), None);
}

#[test]
fn a_run_of_another_host_lives_by_its_progress() {
    let record = sample_record("x", "y");
    let progress = Progress {
        attempt: 1,
        time: 990.0,
        step: 1,
        steps: 2,
        epoch: 0.0,
        phase: Phase::Training,
        steps_per_second: None,
        rate: None,
        remaining_seconds: None,
        loss: None,
    };
    let attempts = [start(1, None)];
    let mut seen = Observation {
        record: Ok(&record),
        has_result: false,
        is_alive: false,
        attempts: &attempts,
        requests: &[],
        progress: Some(&progress),
        import: None,
        host: "there",
        boot: "another",
        now: 1000.0,
    };
    assert_eq!(status(&seen), Status::Running { stage: Stage::Elsewhere });
    seen.boot = "boot";
    assert_eq!(status(&seen), Status::Lost, "a container of this machine: its lock would be seen");
    seen.boot = "another";
    seen.now = 1049.0;
    assert_eq!(status(&seen), Status::Running { stage: Stage::Elsewhere }, "for a minute");
    seen.now = 1051.0;
    assert_eq!(status(&seen), Status::Lost);
    let found = |requests: &[Request]| elsewhere(&attempts, requests, "there", "another").is_some();
    assert!(found(&[]), "it may only sleep");
    assert!(elsewhere(&attempts, &[], "here", "after a reboot").is_none());
    let retry = |attempt| Request { attempt: Some(attempt), ..ask(5.0, Ask::Retry { from_step: None }) };
    assert!(found(&[retry(0)]), "asked before it began there");
    assert!(!found(&[retry(1)]), "a person says that it is gone");
    let by_the_clock = |time| ask(time, Ask::Retry { from_step: None });
    assert!(found(&[by_the_clock(9.0)]) && !found(&[by_the_clock(11.0)]), "it began at 10");
    seen.has_result = true;
    assert_eq!(status(&seen), Status::Finished);
}

#[test]
fn kills_and_lost_devices_use_up_retries_and_what_failed_or_came_further_does_not() {
    let record = sample_record("x", "y");
    let left = |attempts: &[Attempt]| retries_left(&record, attempts);
    let all = record.queue.retries + 1;
    assert_eq!(left(&[start(1, None)]), all);
    for (code, signal, used) in
        [(None, Some(9), 1), (Some(exit::DEVICE_LOST), None, 1), (Some(1), None, 0), (None, None, 0)]
    {
        let first = [start(1, None), end(1, code, signal, None)];
        assert_eq!(left(&first), all - used, "{code:?} {signal:?}");
        // Measured by the checkpoint that this very attempt began with.
        let second = [
            start(1, None),
            end(1, None, Some(9), Some(5)),
            start(2, Some(5)),
            end(2, code, signal, Some(5)),
        ];
        assert_eq!(left(&second), all - used, "{code:?} {signal:?}");
    }
}
