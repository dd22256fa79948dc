//! Starts one attempt, in the order that leaves the truth on disk whenever the runner dies: lock,
//! last look at what is asked, start line synced, worker. And writes the end that nobody saw.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use tokio::process::Child;

use super::attempt::{self, Ended, Place, Witness};
use super::child::{self, Handle};
use super::preparing::Prepared;
use super::program::Program;
use super::removed_lock;
use super::tracked::Killed;
use crate::run_dir::records::{Attempt, End, Event, Request, Start};
use crate::run_dir::scan::Seen;
use crate::run_dir::status::{self, Observation, Status, asked_from, end_of, last_start};
use crate::run_dir::write::{Durability, append_line, at};
use crate::run_dir::{RunDir, checkpoint, lock, machine, read, scan};

/// Readers hold the lock for moments; a worker holds it for longer than this.
const LOCK_LIMIT: Duration = Duration::from_secs(1);
const LOCK_PAUSE: Duration = Duration::from_millis(20);
/// As much of `stderr.log` as is looked at for a worker's last words.
const LAST_WORDS_BYTES: u64 = 4096;

/// What came of trying to start a run.
pub enum Beginning {
    Started {
        child: Child,
        handle: Handle,
        start: Box<Start>,
    },
    /// A worker lives there already.
    Occupied,
    /// What a person asked for meanwhile, or a result that appeared, forbids it.
    Obsolete,
    /// The worker could not be started; the attempt's end says why.
    Failed {
        why: String,
    },
}

/// Starts the next attempt of the run at `dir`, which is prepared so, if `may_start` still says so under the run's lock.
///
/// # Errors
/// The run directory cannot be written to.
pub async fn start(
    dir: &RunDir,
    place: &Place<'_>,
    program: &Program,
    prepared: Prepared,
    may_start: impl Fn(&Seen) -> bool,
) -> io::Result<Beginning> {
    let Some(held) = patient_lock(dir).await? else { return Ok(Beginning::Occupied) };
    let seen = look_under_lock(dir, place.host);
    refuse_orphan(dir, &held, &seen)?;
    let Ok(record) = &seen.record else { return Ok(Beginning::Obsolete) };
    if !may_start(&seen) {
        return Ok(Beginning::Obsolete);
    }
    let newest = newest(dir, &seen.requests, &events(dir));
    let mut start = attempt::start_line(record, &seen.attempts, newest, place);
    attempt::note_taken(&mut start, prepared.weights);
    start.text = prepared.text;
    start.data = prepared.data.map(Box::new);
    let path = dir.alive_lock();
    // The number of the worker before must not be taken for this one's.
    held.set_len(0).map_err(|error| at(&path, error))?;
    let number = held.try_clone().map_err(|error| at(&path, error))?;
    append_line(&dir.attempts(), &Attempt::Start(start.clone()), Durability::Synced)?;
    match child::spawn(program.train(dir, &start), held, &dir.stderr_log()) {
        Ok((child, handle)) => {
            // The worker writes the same; until it gets there, whoever adopts it finds it by this.
            drop(number.write_all_at(format!("{}\n", handle.process).as_bytes(), 0));
            Ok(Beginning::Started { child, handle, start: Box::new(start) })
        }
        Err(error) => {
            let end = attempt::not_started(start.attempt, newest, scan::now(), &error);
            let why = end.why.clone();
            append_line(&dir.attempts(), &Attempt::End(end), Durability::Synced)?;
            Ok(Beginning::Failed { why })
        }
    }
}

/// What became of an attempt whose worker has ended; not written yet.
pub fn end(
    dir: &RunDir,
    attempt: u32,
    status: Option<std::process::ExitStatus>,
    killed: Option<&Killed>,
    witness: &Witness,
) -> End {
    let events = events(dir);
    let requests = read::lines(&dir.requests()).map(|lines| lines.records).unwrap_or_default();
    attempt::end_line(&Ended {
        attempt,
        status,
        killed,
        has_stack: dir.stack(attempt).is_file(),
        events: &events,
        stderr: &read::tail(&dir.stderr_log(), LAST_WORDS_BYTES),
        newest: newest(dir, &requests, &events),
        time: scan::now(),
        witness,
    })
}

/// Appends an end.
///
/// # Errors
/// The run directory cannot be written to.
pub fn write_end(dir: &RunDir, end: &End) -> io::Result<()> {
    append_line(&dir.attempts(), &Attempt::End(end.clone()), Durability::Synced)
}

/// Writes the end that nobody saw, unless somebody is at the run or wrote it by now.
///
/// # Errors
/// The run directory cannot be written to.
pub async fn close(dir: &RunDir, host: &str, killed: Option<&Killed>) -> io::Result<Option<End>> {
    let Some(held) = patient_lock(dir).await? else { return Ok(None) };
    let seen = look_under_lock(dir, host);
    refuse_orphan(dir, &held, &seen)?;
    match last_start(&seen.attempts) {
        Some(start) if has_unseen_end(&seen) => {
            let end = end(dir, start.attempt, None, killed, &Witness::default());
            write_end(dir, &end).map(|()| Some(end))
        }
        _ => Ok(None),
    }
}

/// Whether the last attempt at a run has ended, on this machine, and nobody saw how.
pub fn has_unseen_end(seen: &Seen) -> bool {
    let is_over = matches!(seen.status, Status::Lost | Status::Finished);
    is_over
        && last_start(&seen.attempts).is_some_and(|start| end_of(&seen.attempts, start.attempt).is_none())
        && status::elsewhere(&seen.attempts, &seen.requests, &scan::host(), machine::boot_id()).is_none()
}

/// The newest checkpoint that counts: those after the step that a person went back to are overtaken, also
/// while they are still there.
pub fn newest(dir: &RunDir, requests: &[Request], events: &[Event]) -> Option<u64> {
    let no_later = asked_from(requests, events).unwrap_or(u64::MAX);
    checkpoint::steps(dir).into_iter().rfind(|step| *step <= no_later)
}

fn events(dir: &RunDir) -> Vec<Event> {
    read::lines(&dir.events()).map(|lines| lines.records).unwrap_or_default()
}

async fn patient_lock(dir: &RunDir) -> io::Result<Option<File>> {
    let path = dir.alive_lock();
    let begun = tokio::time::Instant::now();
    loop {
        if let Some(held) = lock::try_lock(&path)? {
            return Ok(Some(held));
        }
        if begun.elapsed() >= LOCK_LIMIT {
            return Ok(None);
        }
        tokio::time::sleep(LOCK_PAUSE).await;
    }
}

/// Refuses a run whose worker lives though its lock file was removed. Every worker leaves its number in that
/// file; where attempts were made and there is none, the file is a new one.
fn refuse_orphan(dir: &RunDir, held: &File, seen: &Seen) -> io::Result<()> {
    if last_start(&seen.attempts).is_none() || held.metadata()?.len() > 0 {
        return Ok(());
    }
    let Some(process) = removed_lock::holder(&dir.alive_lock()) else { return Ok(()) };
    let message = format!(
        "its worker lives (process {process}), though its alive.lock was removed; \
         wait for its end, or end it: kill {process}"
    );
    Err(io::Error::other(message))
}

/// One look at a run whose lock is ours: we are not its worker.
fn look_under_lock(dir: &RunDir, host: &str) -> Seen {
    let now = scan::now();
    let mut seen = scan::look(dir, host, now);
    if matches!(seen.status, Status::Unreadable { .. }) {
        return seen;
    }
    seen.status = status::status(&Observation {
        record: seen.record.as_ref(),
        has_result: dir.result().is_file(),
        is_alive: false,
        attempts: &seen.attempts,
        requests: &seen.requests,
        progress: seen.progress.as_ref(),
        import: seen.import.as_ref(),
        host,
        boot: machine::boot_id(),
        now,
    });
    seen
}
