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
mod tests;
