use super::*;
use crate::run_dir::number::Number;
use crate::run_dir::records::{Device, End};

fn event(attempt: u32, step: u64, what: What) -> Event {
    Event { time: 0.0, attempt, step, what }
}

fn checkpoint(attempt: u32, step: u64) -> Event {
    let (history, weights) = (format!("h{step}"), format!("w{step}"));
    event(attempt, step, What::Checkpointed { bytes: 1, seconds: 0.1, history, weights })
}

fn start(attempt: u32, checkpoint: Option<u64>) -> Start {
    Start {
        attempt,
        time: 0.0,
        batch: None,
        host: "here".into(),
        boot: String::new(),
        device: Device::Cpu { name: "a processor".into() },
        precision: Precision::Fp32,
        threads: 1,
        micro_batch: 4,
        accumulate: 1,
        libtorch: "2.11.0".into(),
        checkpoint,
        weights: None,
        text: Vec::new(),
        data: None,
        why: String::new(),
    }
}

fn end(attempt: u32, code: Option<i32>, signal: Option<i32>) -> Attempt {
    Attempt::End(End {
        attempt,
        time: 0.0,
        code,
        signal,
        checkpoint: None,
        why: String::new(),
        cause: None,
        seconds: None,
        device_memory_bytes: None,
    })
}

fn verdict(from: u64, to: u64, difference: Option<Difference>) -> Verdict {
    Verdict {
        time: 0.0,
        host: "here".into(),
        from,
        to,
        history: format!("h{to}"),
        weights: format!("w{to}"),
        checkpoints: 1,
        rows: 1,
        equal: difference.is_none(),
        difference,
        why: Vec::new(),
        device: Device::Cpu { name: "a processor".into() },
        libtorch: "2.11.0".into(),
        seconds: 1.0,
    }
}

fn three_checkpoints() -> Vec<Point> {
    trail(&[event(1, 0, What::Started), checkpoint(1, 10), checkpoint(1, 20), checkpoint(1, 30)])
}

fn of(verdicts: &[Verdict]) -> Verified {
    Certificate::of(&[], &three_checkpoints(), verdicts).verified
}

#[test]
fn the_trail_holds_what_stands_with_the_attempt_that_came_to_it() {
    let events = [
        event(1, 0, What::Started),
        checkpoint(1, 10),
        checkpoint(1, 20),
        // Attempt 1 was killed between the checkpoint of step 30 and its event.
        event(2, 30, What::Resumed { checkpoint: 30 }),
        event(3, 30, What::Resumed { checkpoint: 30 }),
        checkpoint(3, 30),
        checkpoint(3, 40),
        // A person went back.
        event(4, 10, What::Resumed { checkpoint: 10 }),
        checkpoint(4, 20),
    ];
    let made = |events| trail(events).iter().map(|point| (point.step, point.attempt)).collect::<Vec<_>>();
    assert_eq!(made(&events[..7]), [(10, 1), (20, 1), (30, 1), (40, 3)]);
    assert_eq!(made(&events), [(10, 1), (20, 4)]);
    assert_eq!(made(&[checkpoint(1, 10), event(2, 0, What::Started)]), []);
}

#[test]
fn a_checkpoint_of_an_interruption_agrees_with_the_planned_one_of_its_step() {
    let point = |history: &str, weights: &str| Point {
        step: 10,
        attempt: 1,
        history: history.into(),
        weights: weights.into(),
    };
    let planned = point(&chained("losses", b"w"), "w");
    assert!(agree(&planned, &point("losses", "w")) && agree(&point("losses", "w"), &planned));
    assert!(agree(&planned, &planned));
    assert!(!agree(&planned, &point("others", "w")));
    assert!(!agree(&planned, &point("losses", "v")));
    assert!(!agree(&planned, &Point { weights: "v".into(), ..planned.clone() }));
}

#[test]
fn resumes_and_kills_are_counted_from_the_attempts() {
    let attempts = [
        Attempt::Start(start(1, None)),
        end(1, None, Some(9)),
        Attempt::Start(start(2, Some(10))),
        // Nobody saw its end.
        Attempt::Start(start(3, Some(20))),
        end(3, Some(75), None),
        Attempt::Start(Start { threads: 2, ..start(4, Some(20)) }),
        end(4, Some(0), None),
    ];
    let certificate = Certificate::of(&attempts, &three_checkpoints(), &[]);
    assert_eq!((certificate.attempts, certificate.resumed, certificate.kills_survived), (4, 3, 2));
    assert_eq!(certificate.changes, ["attempt 4 went on from step 20 with 2 threads instead of 1 thread"]);
    assert_eq!(certificate.sentence(), "resumed 3 times, not verified");
}

#[test]
fn what_was_verified_is_said_and_no_more() {
    assert_eq!(of(&[]), Verified::No);
    assert_eq!(of(&[verdict(0, 30, None)]), Verified::Equal);
    assert_eq!(of(&[verdict(10, 30, None), verdict(0, 10, None)]), Verified::Equal);
    assert_eq!(of(&[verdict(20, 30, None)]), Verified::Partly { stretches: vec![(20, 30)] });
    assert_eq!(of(&[verdict(0, 20, None)]), Verified::Partly { stretches: vec![(0, 20)] });
    let apart = Verified::Partly { stretches: vec![(0, 10), (20, 30)] };
    assert_eq!(of(&[verdict(20, 30, None), verdict(0, 10, None)]), apart);
}

#[test]
fn a_newer_verdict_takes_the_place_of_an_older_about_the_same_steps() {
    let difference = Difference::Cell {
        step: 25,
        column: "train/loss".into(),
        recorded: Some(Number(1.0)),
        replayed: None,
    };
    let differs = verdict(20, 30, Some(difference.clone()));
    let verdicts = [verdict(0, 30, None), differs.clone()];
    assert_eq!(of(&verdicts), Verified::Differs { difference, why: Vec::new() });
    assert_eq!(of(&[differs, verdict(0, 30, None)]), Verified::Equal);
}

#[test]
fn a_verdict_about_steps_that_were_taken_anew_says_nothing() {
    let old = Verdict { history: "other".into(), ..verdict(0, 30, None) };
    assert_eq!(of(&[old]), Verified::No);
    assert_eq!(of(&[verdict(0, 40, None)]), Verified::No, "there is no such checkpoint any more");
}

#[test]
fn another_build_of_libtorch_is_a_change_only_where_both_are_known() {
    for (one, other, is_same) in [
        ("2.11.0+cpu", "2.11.0+cu130", false),
        ("2.11.0", "2.11.0+cu130", true),
        ("2.11.0+cpu", "2.11.0", true),
        ("2.11.0", "2.12.0+cpu", false),
    ] {
        let with = |libtorch: &str| Start { libtorch: libtorch.into(), ..start(1, None) };
        assert_eq!(changes(&with(one), &with(other)).is_empty(), is_same, "{one} {other}");
    }
}

#[test]
fn what_decides_the_bits_is_named_where_a_later_attempt_did_not_repeat_it() {
    let before = start(1, None);
    assert_eq!(changes(&before, &start(2, Some(10))), [""; 0]);
    let after = Start {
        device: Device::Cpu { name: "another".into() },
        precision: Precision::Bf16,
        threads: 2,
        micro_batch: 2,
        accumulate: 2,
        libtorch: "2.12.0".into(),
        ..start(2, Some(10))
    };
    assert_eq!(
        changes(&before, &after),
        [
            "on another instead of a processor",
            "with 2 threads instead of 1 thread",
            "in bf16 instead of fp32",
            "with 2 x 2 examples a step instead of 4 examples a step",
            "with libtorch 2.12.0 instead of 2.11.0",
        ]
    );
}

#[test]
fn a_trail_is_in_the_order_of_its_steps_whatever_was_written_first() {
    let steps = |trail: Vec<Point>| trail.iter().map(|point| point.step).collect::<Vec<_>>();
    assert_eq!(steps(trail(&[checkpoint(1, 20), checkpoint(1, 10), checkpoint(1, 30)])), [10, 20, 30]);
}
