//! What a person asks of one run over the network, judged by where the run stands. A live worker that no
//! runner follows is asked here to end.

use std::io;

use crate::run_dir::records::{Ask, BatchAsk, BatchRequest, RunRecord, RunnerLock};
use crate::run_dir::status::{Status, last_start};
use crate::run_dir::{BatchDir, RunDir, Workspace, lock, read, requests, scan};
use crate::runner::tracked;

/// Appends the request where the run's status allows it, and tells its status then; else why not.
///
/// # Errors
/// The request cannot be written.
pub fn ask(
    workspace: &Workspace,
    dir: &RunDir,
    who: &str,
    ask: Ask,
) -> io::Result<Result<&'static str, String>> {
    let host = scan::host();
    let seen = scan::look(dir, &host, scan::now());
    if let Some(why) = seen.record.as_ref().ok().and_then(RunRecord::refusal) {
        return Ok(Err(format!("it {why}")));
    }
    if !is_open(&ask, &seen.status) {
        return Ok(Err(format!("that cannot be asked of a run that is {}", seen.status.word())));
    }
    let is_to_end = matches!(ask, Ask::Pause | Ask::Stop);
    requests::ask(dir, who.to_owned(), ask)?;
    let started = last_start(&seen.attempts).and_then(|start| start.batch.clone());
    let is_followed = started.is_some() && started == batch_at_work(workspace);
    if is_to_end
        && seen.status.is_running()
        && !is_followed
        && let Some(worker) = tracked::holder(dir)
    {
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

fn is_open(ask: &Ask, status: &Status) -> bool {
    use Status::{Finished, Lost, Paused, Running, Stopped, Unreadable, Waiting};
    match ask {
        Ask::Pause => matches!(status, Waiting { .. } | Running { .. } | Lost),
        Ask::Stop => matches!(status, Waiting { .. } | Running { .. } | Lost | Paused),
        Ask::Resume => matches!(status, Paused | Stopped | Waiting { .. } | Running { .. }),
        Ask::Retry { .. } => !matches!(status, Finished | Running { .. } | Unreadable { .. }),
        Ask::Priority { .. } => !matches!(status, Finished | Unreadable { .. }),
        Ask::Note { .. } | Ask::Tag { .. } => true,
    }
}

fn batch_at_work(workspace: &Workspace) -> Option<String> {
    let path = workspace.runner_lock();
    let holder = read::json::<RunnerLock>(&path).ok().filter(|_| lock::is_held(&path))?;
    Some(holder.batch)
}
