//! What state a run is in: one pure function from what was observed, for everybody.

use serde::Serialize;

use super::cause::Cause;
use super::imported::{self, ImportState};
use super::read::ReadError;
use super::records::{Ask, Attempt, End, Event, Progress, Request, RunRecord, Start, What, exit};
use super::split::{self, Next, Split};

/// The state of a run. Derived, never stored.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum Status {
    /// `run.json` is broken, or of a newer protocol.
    Unreadable {
        reason: String,
    },
    Finished,
    Running {
        stage: Stage,
    },
    Stopped,
    Paused,
    /// It would wait, and a need of it did not finish: see [`needs`](super::needs).
    Skipped {
        need: String,
    },
    /// The same, where its file says that it then fails.
    NeedFailed {
        need: String,
    },
    Waiting {
        because: Waiting,
    },
    Failed {
        code: i32,
    },
    Killed {
        signal: i32,
    },
    /// A start, no end, no lock: nobody saw it end. The next runner writes the end.
    Lost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// No progress of this attempt yet.
    Starting,
    Running,
    Pausing,
    Stopping,
    /// On another host, seen by its progress alone.
    Elsewhere,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "why")]
pub enum Waiting {
    /// Never started.
    New,
    /// Ended as asked, or nobody saw its end: goes on from its last checkpoint.
    Interrupted,
    /// Was killed and may start so many times more.
    Retry { left: u32 },
    /// Asked for by a person after it had ended.
    Asked,
    /// Lost its GPU, or CUDA broke down; may start so many times more.
    Device { left: u32 },
    /// Was out of device memory; goes on with so many examples at once.
    Smaller { micro_batch: u32 },
    /// Was out of device memory, and its batch norm looks across the batch: a person must decide.
    BatchNorm,
    /// The disk was full; it goes on when there is room.
    Room,
}

impl Status {
    /// The one word for people, pages and JSON.
    pub fn word(&self) -> &'static str {
        match self {
            Status::Unreadable { .. } => "unreadable",
            Status::Finished => "finished",
            Status::Running { stage } => match stage {
                Stage::Starting => "starting",
                Stage::Pausing => "pausing",
                Stage::Stopping => "stopping",
                Stage::Running | Stage::Elsewhere => "running",
            },
            Status::Stopped => "stopped",
            Status::Paused => "paused",
            Status::Skipped { .. } => "skipped",
            Status::Waiting { .. } => "waiting",
            Status::Failed { .. } | Status::NeedFailed { .. } => "failed",
            Status::Killed { .. } => "killed",
            Status::Lost => "lost",
        }
    }

    pub fn is_running(&self) -> bool {
        matches!(self, Status::Running { .. })
    }

    /// Whether it ended badly and stays so until a person acts.
    pub fn needs_a_person(&self) -> bool {
        matches!(
            self,
            Status::Failed { .. }
                | Status::Killed { .. }
                | Status::NeedFailed { .. }
                | Status::Unreadable { .. }
        )
    }
}

/// What was seen of a run directory at one moment.
#[derive(Debug)]
pub struct Observation<'a> {
    pub record: Result<&'a RunRecord, &'a ReadError>,
    pub has_result: bool,
    /// Whether somebody holds `alive.lock`.
    pub is_alive: bool,
    pub attempts: &'a [Attempt],
    pub requests: &'a [Request],
    pub progress: Option<&'a Progress>,
    /// How far the source of an imported run was read.
    pub import: Option<&'a ImportState>,
    /// This machine's name, and the id of its boot: see [`machine`](super::machine).
    pub host: &'a str,
    pub boot: &'a str,
    /// Unix seconds.
    pub now: f64,
}

/// Seconds for which the progress of a run on another host counts as a sign of life.
const FRESH_SECONDS: f64 = 60.0;

/// The state of a run by itself: the first that holds, in the order of this function. Whether one that
/// waits is skipped follows from other runs: see [`needs`](super::needs).
pub fn status(seen: &Observation) -> Status {
    let record = match seen.record {
        Ok(record) => record,
        Err(error) => return Status::Unreadable { reason: error.to_string() },
    };
    if record.imported.is_some() {
        return imported::status(seen.import, seen.is_alive, seen.now);
    }
    if seen.has_result {
        return Status::Finished;
    }
    let start = last_start(seen.attempts);
    let end = start.and_then(|start| end_of(seen.attempts, start.attempt));
    let asked = standing_ask(seen.requests, end);
    // A child that its runner or its worker has just forked may hold a copy of the lock beyond the worker's end.
    if seen.is_alive && end.is_none() {
        return Status::Running { stage: stage(seen, start, asked) };
    }
    if let (Some(start), None) = (start, end) {
        let fresh = seen.progress.is_some_and(|progress| (seen.now - progress.time).abs() < FRESH_SECONDS);
        if is_of_another_machine(start, seen.host, seen.boot) && fresh {
            return Status::Running { stage: Stage::Elsewhere };
        }
    }
    match asked {
        Some(Ask::Stop) => return Status::Stopped,
        Some(Ask::Pause) => return Status::Paused,
        _ => {}
    }
    match (start, end) {
        (None, _) => Status::Waiting { because: Waiting::New },
        (Some(_), None) => Status::Lost,
        (Some(_), Some(_)) if matches!(asked, Some(Ask::Retry { .. })) => {
            Status::Waiting { because: Waiting::Asked }
        }
        (Some(start), Some(end)) if end.code == Some(exit::OUT_OF_DEVICE_MEMORY) => {
            out_of_memory(record, start)
        }
        (Some(_), Some(end)) => after(end, retries_left(record, seen.attempts)),
    }
}

/// The start of a lost run that another machine may still be at: it slept, or its files come late. Until a
/// person says that it is gone (`retry`), nobody else may start the run: two workers would write its files.
pub fn elsewhere<'a>(
    attempts: &'a [Attempt],
    requests: &[Request],
    host: &str,
    boot: &str,
) -> Option<&'a Start> {
    let start = last_start(attempts).filter(|start| is_of_another_machine(start, host, boot))?;
    let end = end_of(attempts, start.attempt);
    let is_given_up = matches!(standing_ask(requests, end), Some(Ask::Retry { .. }))
        && requests.iter().rev().any(|request| {
            matches!(request.ask, Ask::Retry { .. })
                && request.attempt.map_or(request.time > start.time, |known| known >= start.attempt)
        });
    (end.is_none() && !is_given_up).then_some(start)
}

/// A container may have another name at each start, and still share this machine's locks.
fn is_of_another_machine(start: &Start, host: &str, boot: &str) -> bool {
    start.host != host && start.boot != boot
}

/// The state after an attempt that was out of device memory. Halving uses up no retries: it comes to
/// its end by itself, at one example.
fn out_of_memory(record: &RunRecord, start: &Start) -> Status {
    match split::after_out_of_memory(&record.settings, start) {
        Next::Smaller(Split { micro_batch, .. }) => {
            Status::Waiting { because: Waiting::Smaller { micro_batch } }
        }
        Next::Held => Status::Waiting { because: Waiting::BatchNorm },
        Next::Failed => Status::Failed { code: exit::OUT_OF_DEVICE_MEMORY },
    }
}

/// The state after an attempt that ended with nothing asked since.
fn after(end: &End, retries_left: u32) -> Status {
    match (end.code, end.signal) {
        (_, Some(_)) if retries_left > 0 => {
            Status::Waiting { because: Waiting::Retry { left: retries_left } }
        }
        (_, Some(signal)) => Status::Killed { signal },
        (Some(exit::DEVICE_LOST), None) if retries_left > 0 => {
            Status::Waiting { because: Waiting::Device { left: retries_left } }
        }
        // Without a result, an exit code of 0 is not an end either: it goes on.
        (Some(exit::ENDED_AS_ASKED | exit::FINISHED) | None, None) => {
            Status::Waiting { because: Waiting::Interrupted }
        }
        (Some(_), None) if end.cause == Some(Cause::DiskFull) => Status::Waiting { because: Waiting::Room },
        (Some(code), None) => Status::Failed { code },
    }
}

fn stage(seen: &Observation, start: Option<&Start>, asked: Option<&Ask>) -> Stage {
    let attempt = start.map(|start| start.attempt);
    match asked {
        Some(Ask::Stop) => Stage::Stopping,
        Some(Ask::Pause) => Stage::Pausing,
        _ if seen.progress.map(|progress| progress.attempt) < attempt => Stage::Starting,
        _ => Stage::Running,
    }
}

/// The last start line.
pub fn last_start(attempts: &[Attempt]) -> Option<&Start> {
    attempts.iter().rev().find_map(|line| match line {
        Attempt::Start(start) => Some(start),
        Attempt::End(_) => None,
    })
}

/// How that attempt ended, if anybody saw it.
pub fn end_of(attempts: &[Attempt], attempt: u32) -> Option<&End> {
    attempts.iter().rev().find_map(|line| match line {
        Attempt::End(end) if end.attempt == attempt => Some(end),
        _ => None,
    })
}

/// The last of pause, resume, stop and retry that still stands. A retry asks for one more attempt, so
/// it is used up by an end that came after it.
fn standing_ask<'a>(requests: &'a [Request], end: Option<&End>) -> Option<&'a Ask> {
    let last = requests
        .iter()
        .rev()
        .find(|request| matches!(request.ask, Ask::Pause | Ask::Resume | Ask::Stop | Ask::Retry { .. }))?;
    // By the numbers of attempts: the clock may have jumped in between.
    let came_after = |end: &End| last.attempt.map_or(end.time > last.time, |known| end.attempt > known);
    let used_up = matches!(last.ask, Ask::Retry { .. }) && end.is_some_and(came_after);
    if used_up { None } else { Some(&last.ask) }
}

/// The step whose checkpoint a person wants the next attempt to go on from; none is the newest. It stands
/// until a worker has gone on since: one that died before that has left the overtaken checkpoints there.
pub fn asked_from(requests: &[Request], events: &[Event]) -> Option<u64> {
    let (asked, from_step) = requests.iter().rev().find_map(|request| match request.ask {
        Ask::Retry { from_step } => Some((request, from_step)),
        _ => None,
    })?;
    let came_after =
        |event: &Event| asked.attempt.map_or(event.time > asked.time, |known| event.attempt > known);
    let went_on =
        |event: &Event| came_after(event) && matches!(event.what, What::Started | What::Resumed { .. });
    if events.iter().any(went_on) { None } else { from_step }
}

/// How often the run may still start: `queue.retries` times after the first that was killed. An attempt counts only when a signal
/// or the loss of its device ended it without a newer checkpoint than the one it started from; progress gives all retries back.
pub fn retries_left(record: &RunRecord, attempts: &[Attempt]) -> u32 {
    let mut used = 0;
    for line in attempts {
        let Attempt::End(end) = line else { continue };
        let start = attempts.iter().find_map(|line| match line {
            Attempt::Start(start) if start.attempt == end.attempt => Some(start),
            _ => None,
        });
        let from = start.and_then(|start| start.checkpoint);
        if end.checkpoint > from {
            used = 0;
        } else if end.signal.is_some() || end.code == Some(exit::DEVICE_LOST) {
            used += 1;
        }
    }
    (record.queue.retries + 1).saturating_sub(used)
}

#[cfg(test)]
mod tests {
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
        assert_eq!(
            word(&failed, &[retry(1.0, 1)], false),
            "waiting",
            "the clock went back before it was asked"
        );
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
        assert_eq!(
            asked_from(&requests, std::slice::from_ref(&before)),
            Some(4),
            "a pause takes nothing back"
        );
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
}
