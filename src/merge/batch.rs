//! One batch of another workspace: its name holds when, where and a draw, so it is one batch everywhere.

use std::fs;
use std::io;
use std::path::Path;

use super::copy::{self, Grown};
use super::{What, Wish};
use crate::run_dir::records::{Batch, QueueState};
use crate::run_dir::{BatchDir, Workspace, read};

const GROWING: [&str; 5] = ["telemetry.csv", "requests.jsonl", "events.jsonl", "runner.log", "terminal.log"];
const REPLACED: [&str; 2] = ["batch.json", "queue.json"];

/// Takes over a batch, or says why not; also what is none of its files.
pub fn merge(
    workspace: &Workspace,
    there: &Workspace,
    name: &str,
    wish: Wish,
) -> io::Result<(What, Vec<String>)> {
    let there = BatchDir::new(there.batches().join(name));
    let here = BatchDir::new(workspace.batches().join(name));
    let mut foreign = Vec::new();
    for entry in fs::read_dir(there.path())?.flatten() {
        let file = entry.file_name().to_string_lossy().into_owned();
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        let is_ours = is_file && (GROWING.contains(&file.as_str()) || REPLACED.contains(&file.as_str()));
        if !is_ours && !file.starts_with('.') {
            foreign.push(file);
        }
    }
    let record = match copy::open(&there.batch_json()).map(|_| read::json::<Batch>(&there.batch_json())) {
        Ok(Ok(record)) => record,
        Ok(Err(error)) => return Ok((What::LeftOut { why: error.to_string() }, foreign)),
        Err(_) => return Ok((What::LeftOut { why: "it has no batch.json yet".into() }, foreign)),
    };
    if fs::symlink_metadata(here.path()).is_err() {
        let bytes = add(&there, &here, wish)?;
        return Ok((What::Added { bytes, number: None }, foreign));
    }
    let known = match read::json::<Batch>(&here.batch_json()) {
        Ok(known) => known,
        Err(error) => {
            return Ok((What::Conflict { why: format!("the one here cannot be read: {error}") }, foreign));
        }
    };
    let who = |batch: &Batch| (batch.host.clone(), batch.process, batch.start.to_bits());
    if who(&known) != who(&record) {
        return Ok((What::Conflict { why: "another batch has its name".into() }, foreign));
    }
    let mut bytes = 0;
    let mut is_ahead = known.end.is_some() && record.end.is_none();
    for file in GROWING {
        let (ours, theirs) = (here.path().join(file), there.path().join(file));
        if foreign.iter().any(|name| name == file) {
            continue;
        }
        match copy::grown(&ours, &theirs)? {
            Grown::There { here: from, there: to } => {
                if !wish.dry_run {
                    copy::extend(&ours, &theirs, from, to)?;
                }
                bytes += to - from;
            }
            Grown::Here => is_ahead = true,
            Grown::Same => {}
            Grown::Parted { line } => {
                foreign.push(format!("{file}: differs from line {line} on, and stays as it is here"))
            }
        }
    }
    for (file, is_newer) in
        [("queue.json", is_newer(&here, &there)), ("batch.json", known.end.is_none() && record != known)]
    {
        if is_newer && !is_ahead && !foreign.iter().any(|name| name == file) {
            let (ours, theirs) = (here.path().join(file), there.path().join(file));
            bytes += if wish.dry_run { fs::metadata(&theirs)?.len() } else { copy::whole(&ours, &theirs)? };
        }
    }
    Ok((
        if bytes > 0 {
            What::Grown { bytes }
        } else if is_ahead {
            What::Ahead
        } else {
            What::Same
        },
        foreign,
    ))
}

fn is_newer(here: &BatchDir, there: &BatchDir) -> bool {
    let time =
        |batch: &BatchDir| read::json::<QueueState>(&batch.queue_json()).map_or(f64::MIN, |queue| queue.time);
    time(there) > time(here)
}

fn add(there: &BatchDir, here: &BatchDir, wish: Wish) -> io::Result<u64> {
    let files = GROWING.map(|file| (file, true)).into_iter().chain(REPLACED.map(|file| (file, false)));
    let present: Vec<_> = files.filter(|(file, _)| copy::open(&there.path().join(file)).is_ok()).collect();
    if wish.dry_run {
        return present.iter().map(|(file, _)| Ok(fs::metadata(there.path().join(file))?.len())).sum();
    }
    let building = copy::aside(here.path().parent().unwrap_or(Path::new(".")))?;
    let mut bytes = 0;
    for (file, grows) in present {
        let (to, from) = (building.path().join(file), there.path().join(file));
        bytes += if grows { copy::lines(&to, &from)? } else { copy::whole(&to, &from)? };
    }
    copy::settle(building, here.path())?;
    Ok(bytes)
}
