//! What people ask of runs, at the machine or over the network: one set of rules, by where the run stands. A
//! live worker that no runner follows is asked here to end.

use std::io;

use crate::run_dir::records::{Ask, BatchAsk, BatchRequest, Request, RunRecord, RunnerLock};
use crate::run_dir::scan::Seen;
use crate::run_dir::status::{Status, last_start};
use crate::run_dir::{BatchDir, RunDir, Workspace, lock, read, requests, scan};
use crate::runner::tracked;
use crate::say;

/// Appends the request where the run's status allows it, and tells its status then; else why not. What this
/// person asked of it under this key before stands there, and is not asked again.
///
/// # Errors
/// The request cannot be written.
pub fn ask(
    workspace: &Workspace,
    dir: &RunDir,
    (who, key): (&str, &str),
    ask: Ask,
) -> io::Result<Result<&'static str, String>> {
    let host = scan::host();
    let seen = scan::look(dir, &host, scan::now());
    let is_this = |request: &&Request| request.who == who && request.key.as_deref() == Some(key);
    if let Some(before) = seen.requests.iter().find(is_this) {
        return Ok(match before.ask == ask {
            true => Ok(seen.status.word()),
            false => Err("was asked something else under this key".to_owned()),
        });
    }
    if let Some(why) = seen.record.as_ref().ok().and_then(RunRecord::refusal) {
        return Ok(Err(format!("it {why}")));
    }
    if let Err(why) = judge(&ask, &seen.status) {
        return Ok(Err(format!("it {why}")));
    }
    let is_ours_to_end = is_ours_to_end(&ask, batch_at_work(workspace).as_deref(), &seen);
    requests::ask_by_key(dir, who.to_owned(), Some(key.to_owned()), ask)?;
    if is_ours_to_end && let Some(worker) = tracked::holder(dir) {
        worker.ask_to_end()?;
    }
    Ok(Ok(scan::look(dir, &host, scan::now()).status.word()))
}

/// Asks the batch at work to end after its current runs; its name, where there is one.
///
/// # Errors
/// The request cannot be written.
pub fn drain(workspace: &Workspace, who: &str) -> io::Result<Option<String>> {
    let Some(name) = batch_at_work(workspace) else { return Ok(None) };
    let batch = BatchDir::new(workspace.batches().join(&name));
    if !batch.batch_json().is_file() {
        return Ok(None);
    }
    let request = BatchRequest { time: scan::now(), who: who.to_owned(), ask: BatchAsk::Drain };
    requests::append(&batch.requests(), &request)?;
    Ok(Some(name))
}

/// Whether the batch at work was asked by this person to end.
pub fn is_drained_by(workspace: &Workspace, who: &str) -> Option<String> {
    let name = batch_at_work(workspace)?;
    let requests = BatchDir::new(workspace.batches().join(&name)).requests();
    let lines = read::lines::<BatchRequest>(&requests).ok()?;
    let is_asked = lines.records.iter().any(|line| line.who == who && line.ask == BatchAsk::Drain);
    is_asked.then_some(name)
}

/// Whether this may be asked of a run of this status. Completes a sentence about the run either way: what
/// becomes of it, or why it stays as it is.
pub fn judge(ask: &Ask, status: &Status) -> Result<String, &'static str> {
    use Status::{Failed, Finished, Killed, Lost, Paused, Running, Stopped, Unreadable, Waiting};
    let done = match (ask, status) {
        (Ask::Pause, Waiting { .. } | Running { .. } | Lost) => "paused",
        (Ask::Pause, Paused) => return Err("is paused already"),
        (Ask::Stop, Waiting { .. } | Running { .. } | Lost | Paused) => "stopped",
        (Ask::Stop, Stopped) => return Err("is stopped already"),
        (Ask::Resume, Paused | Stopped | Waiting { .. } | Running { .. }) => "resumed",
        (Ask::Resume, Failed { .. } | Killed { .. }) => {
            return Err("has failed: overnight retry starts it again");
        }
        (Ask::Pause | Ask::Stop | Ask::Resume, other) => return Err(words(other)),
        (Ask::Retry { .. }, Finished) => {
            return Err("is finished (overnight run FILE --again trains it once more)");
        }
        (Ask::Retry { .. }, Running { .. }) => return Err("is running (overnight stop it first)"),
        (Ask::Retry { .. } | Ask::Priority { .. }, Unreadable { .. }) => return Err("cannot be read"),
        (Ask::Retry { from_step: None }, _) => "will be tried again",
        (Ask::Retry { from_step: Some(0) }, _) => "begins again from the start",
        (Ask::Retry { from_step: Some(step) }, _) => {
            return Ok(format!("goes on from step {}", say::count(*step)));
        }
        (Ask::Priority { .. }, Finished) => return Err(words(status)),
        (Ask::Priority { .. }, _) => "has its new priority",
        (Ask::Note { .. }, _) => "has its note",
        (Ask::Tag { remove: false, .. }, _) => "has its tag",
        (Ask::Tag { remove: true, .. }, _) => "lost its tag",
    };
    Ok(done.to_owned())
}

/// What a run is at that stays as it is.
pub fn words(status: &Status) -> &'static str {
    match status {
        Status::Finished => "is finished",
        Status::Failed { .. } | Status::NeedFailed { .. } => "has failed",
        Status::Killed { .. } => "was killed",
        Status::Stopped => "is stopped",
        Status::Skipped { .. } => "is skipped",
        Status::Unreadable { .. } => "cannot be read",
        Status::Lost => "waits for the next runner, which goes on with it (overnight run)",
        Status::Waiting { .. } => "waits already",
        Status::Running { .. } => "is at work",
        Status::Paused => "is paused",
    }
}

/// What the runner at work calls its batch, if there is one.
pub fn batch_at_work(workspace: &Workspace) -> Option<String> {
    let path = workspace.runner_lock();
    let holder = read::json::<RunnerLock>(&path).ok().filter(|_| lock::is_held(&path))?;
    Some(holder.batch)
}

/// Whether who asks this has to tell the worker, as no runner at work (`batch`) reads the run's requests.
pub fn is_ours_to_end(ask: &Ask, batch: Option<&str>, seen: &Seen) -> bool {
    matches!(ask, Ask::Pause | Ask::Stop) && seen.status.is_running() && !is_followed(batch, seen)
}

/// Whether the runner of this batch started the run's worker, and so reads requests itself.
fn is_followed(batch: Option<&str>, seen: &Seen) -> bool {
    let started = last_start(&seen.attempts).and_then(|start| start.batch.as_deref());
    batch.is_some() && started == batch
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_dir::status::{Stage, Waiting};

    #[test]
    fn what_may_be_asked_follows_from_where_a_run_stands() {
        let statuses = [
            Status::Waiting { because: Waiting::Interrupted },
            Status::Running { stage: Stage::Running },
            Status::Lost,
            Status::Paused,
            Status::Stopped,
            Status::Failed { code: 1 },
            Status::Killed { signal: 9 },
            Status::Finished,
            Status::Skipped { need: "y".to_owned() },
            Status::Unreadable { reason: "empty".to_owned() },
        ];
        for (ask, open) in [
            (Ask::Pause, "xxx......."),
            (Ask::Stop, "xxxx......"),
            (Ask::Resume, "xx.xx....."),
            (Ask::Retry { from_step: None }, "x.xxxxx.x."),
            (Ask::Retry { from_step: Some(10) }, "x.xxxxx.x."),
            (Ask::Priority { priority: 1 }, "xxxxxxx.x."),
            (Ask::Note { text: String::new() }, "xxxxxxxxxx"),
            (Ask::Tag { tag: "a".to_owned(), remove: true }, "xxxxxxxxxx"),
        ] {
            let may = |status: &Status| if judge(&ask, status).is_ok() { 'x' } else { '.' };
            assert_eq!(statuses.iter().map(may).collect::<String>(), open, "{ask:?}");
        }
    }
}
