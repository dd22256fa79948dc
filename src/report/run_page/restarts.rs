//! Time that a run lost because it was interrupted and started again.

use std::collections::BTreeMap;

use crate::run_dir::records::{Attempt, End, Event, Start, What};

/// What the starts after the first cost, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Lost {
    pub restarts: usize,
    /// Steps that were taken twice: after the checkpoint that the next attempt began from.
    pub repeated: f64,
    /// From the start of a process to where training went on.
    pub starting: f64,
    /// Between the end of an attempt and the next start; nobody's fault where a person paused the run.
    pub between: f64,
}

/// What attempts and events tell of it. Clocks that were set back make nothing negative.
pub fn lost(attempts: &[Attempt], events: &[Event]) -> Lost {
    let starts = attempts.iter().filter_map(|line| match line {
        Attempt::Start(start) => Some(start),
        Attempt::End(_) => None,
    });
    let starts: Vec<&Start> = starts.collect();
    let ends: BTreeMap<u32, &End> = attempts
        .iter()
        .filter_map(|line| match line {
            Attempt::End(end) => Some((end.attempt, end)),
            Attempt::Start(_) => None,
        })
        .collect();
    let mut lost = Lost::default();
    for pair in starts.windows(2) {
        let (before, next) = (pair[0], pair[1]);
        lost.restarts += 1;
        let end = ended(before, ends.get(&before.attempt).copied(), events);
        lost.between += (next.time - end).max(0.0);
        // A checkpoint of an earlier attempt: all of this one was in vain, but for what starting took.
        let begun = went_on(before, events).unwrap_or(before.time);
        let kept = next.checkpoint.and_then(|step| written(before, step, events)).unwrap_or(begun);
        lost.repeated += (end - kept).max(0.0);
        if let Some(on) = went_on(next, events) {
            lost.starting += (on - next.time).max(0.0);
        }
    }
    lost
}

/// When an attempt was over: as it was measured, or told; of one that nobody saw end, its last sign of life.
fn ended(start: &Start, end: Option<&End>, events: &[Event]) -> f64 {
    let last_sign = || {
        let own = events.iter().filter(|event| event.attempt == start.attempt);
        own.map(|event| event.time).fold(start.time, f64::max)
    };
    match end {
        Some(End { seconds: Some(seconds), .. }) => start.time + seconds,
        Some(end) if end.code.is_some() || end.signal.is_some() => end.time.max(start.time),
        _ => last_sign(),
    }
}

/// When an attempt's training began or went on.
fn went_on(start: &Start, events: &[Event]) -> Option<f64> {
    let begins = |event: &&Event| {
        event.attempt == start.attempt && matches!(event.what, What::Started | What::Resumed { .. })
    };
    events.iter().find(begins).map(|event| event.time)
}

/// When an attempt wrote the checkpoint of this step.
fn written(start: &Start, step: u64, events: &[Event]) -> Option<f64> {
    let writes = |event: &&Event| {
        event.attempt == start.attempt
            && event.step == step
            && matches!(event.what, What::Checkpointed { .. })
    };
    events.iter().rfind(writes).map(|event| event.time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::settings::Precision;
    use crate::run_dir::records::Device;

    fn start(attempt: u32, time: f64, checkpoint: Option<u64>) -> Attempt {
        Attempt::Start(Start {
            attempt,
            time,
            batch: None,
            host: "h".into(),
            boot: "b".into(),
            device: Device::Cpu { name: "c".into() },
            precision: Precision::Fp32,
            threads: 1,
            micro_batch: 1,
            accumulate: 1,
            libtorch: String::new(),
            checkpoint,
            weights: None,
            text: Vec::new(),
            data: None,
            why: String::new(),
        })
    }

    fn end(attempt: u32, time: f64, signal: Option<i32>, seconds: Option<f64>) -> Attempt {
        Attempt::End(End {
            attempt,
            time,
            code: None,
            signal,
            checkpoint: None,
            why: String::new(),
            device_memory_bytes: None,
            cause: None,
            seconds,
        })
    }

    fn event(attempt: u32, time: f64, step: u64, what: What) -> Event {
        Event { time, attempt, step, what }
    }

    fn checkpointed() -> What {
        What::Checkpointed { bytes: 1, seconds: 0.1, history: String::new(), weights: String::new() }
    }

    #[test]
    fn what_a_restart_costs_is_told_by_its_parts() {
        // Started at 100, checkpoint at 200, killed at 230; again at 300, training from 305 on.
        let one = [start(1, 100.0, None), end(1, 230.0, Some(9), None)];
        let first = [event(1, 103.0, 0, What::Started), event(1, 200.0, 50, checkpointed())];
        let second = event(2, 305.0, 50, What::Resumed { checkpoint: 50 });
        let with = |attempts: &[Attempt], events: &[Event]| {
            let attempts: Vec<Attempt> = one.iter().chain(attempts).cloned().collect();
            let events: Vec<Event> = first.iter().chain(events).cloned().collect();
            let lost = lost(&attempts, &events);
            (lost.restarts, lost.repeated, lost.starting, lost.between)
        };
        let cases: [(&[Attempt], &[Event], _); 5] = [
            (&[], &[], (0, 0.0, 0.0, 0.0)),
            (&[start(2, 300.0, Some(50))], std::slice::from_ref(&second), (1, 30.0, 5.0, 70.0)),
            (&[start(2, 300.0, Some(50))], &[], (1, 30.0, 0.0, 70.0)),
            // From the beginning: all since 103 is lost.
            (&[start(2, 300.0, None)], &[event(2, 304.0, 0, What::Started)], (1, 127.0, 4.0, 70.0)),
            // The second attempt came to nothing, and its clock was set back before the third.
            (
                &[start(2, 300.0, Some(50)), end(2, 345.0, Some(9), None), start(3, 90.0, Some(50))],
                std::slice::from_ref(&second),
                (2, 70.0, 5.0, 70.0),
            ),
        ];
        for (attempts, events, expected) in cases {
            assert_eq!(with(attempts, events), expected);
        }
    }

    #[test]
    fn an_end_that_nobody_saw_is_the_last_sign_of_life_and_a_measured_one_needs_no_clock() {
        let events = [event(1, 103.0, 0, What::Started), event(1, 200.0, 50, checkpointed())];
        let found = |end| lost(&[start(1, 100.0, None), end, start(2, 30_000.0, Some(50))], &events).repeated;
        assert_eq!(found(end(1, 29_000.0, None, None)), 0.0, "the runner came hours later");
        assert_eq!(found(end(1, 29_000.0, Some(9), Some(140.0))), 40.0);
    }
}
