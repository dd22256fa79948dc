//! What a decision about deleting rests on, found by looking at every run.

use std::path::Path;

use super::{Known, leftovers};
use crate::run_dir::checkpoint::{self, Best, State};
use crate::run_dir::needs::{self, Fate};
use crate::run_dir::records::RunResult;
use crate::run_dir::scan::{self, Seen};
use crate::run_dir::status::asked_from;
use crate::run_dir::{RunDir, Status, Workspace, read};

/// Looks at every run of a workspace.
pub fn observe(workspace: &Workspace) -> Vec<Known> {
    let (host, now) = (scan::host(), scan::now());
    let mut seen: Vec<Seen> = scan::runs(workspace).iter().map(|dir| scan::look(dir, &host, now)).collect();
    needs::skip(seen.iter_mut().collect(), &[], |seen| Fate::of(&seen.status));
    let needs = |run: &&Seen| {
        run.status != Status::Finished
            && run.record.as_ref().is_ok_and(|record| !record.queue.needs.is_empty())
    };
    let needing: Vec<&Seen> = seen.iter().filter(needs).collect();
    let known = |run| Known { needed_by: needed_by(run, &needing), ..known(run, now) };
    seen.iter().map(known).collect()
}

/// Looks at one run by itself, without those that need it.
pub(super) fn observe_one(dir: &RunDir) -> Known {
    let now = scan::now();
    known(&scan::look(dir, &scan::host(), now), now)
}

fn known(run: &Seen, now: f64) -> Known {
    let dir = &run.dir;
    let (bytes, newest) = weigh(dir.path());
    let steps = checkpoint::steps(dir);
    let events = read::lines(&dir.events()).map(|lines| lines.records).unwrap_or_default();
    Known {
        dir: dir.clone(),
        status: run.status.clone(),
        best: best(dir, steps.last().copied()),
        checkpoints: steps.into_iter().map(|step| (step, weigh(dir.checkpoint(step).path()).0)).collect(),
        asked_from: asked_from(&run.requests, &events),
        leftovers: leftovers::in_run(dir, now),
        keep: run.record.as_ref().map_or(usize::MAX, |record| record.settings.checkpoint.keep as usize),
        bytes,
        idle_days: ((now - newest) / 86_400.0).max(0.0),
        needed_by: None,
    }
}

/// The best value of a run that finished, or of one that has come so far.
fn best(dir: &RunDir, newest: Option<u64>) -> Option<Best> {
    let result: Option<RunResult> = read::json_if_there(&dir.result()).ok().flatten();
    match result {
        Some(result) => result.best,
        None => read::json::<State>(&dir.checkpoint(newest?).state()).ok()?.best,
    }
}

fn needed_by(run: &Seen, needing: &[&Seen]) -> Option<String> {
    let (experiment, name) = (run.dir.experiment(), run.dir.name());
    let full = format!("{experiment}/{name}");
    let needs_it = |other: &&&Seen| {
        let needs = other.record.as_ref().map_or(&[][..], |record| &record.queue.needs);
        let is_meant = |need: &String| {
            *need == experiment || *need == full || (*need == name && other.dir.experiment() == experiment)
        };
        other.dir != run.dir && needs.iter().any(is_meant)
    };
    needing.iter().find(needs_it).map(|other| format!("{}/{}", other.dir.experiment(), other.dir.name()))
}

/// Bytes of all files below `path`, and when the newest was written, in Unix seconds. Links are not followed.
pub(super) fn weigh(path: &Path) -> (u64, f64) {
    let mut bytes = 0;
    let mut newest = 0.0_f64;
    for entry in walkdir::WalkDir::new(path).into_iter().flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_file() {
            bytes += metadata.len();
        }
        let modified =
            metadata.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        newest = newest.max(modified.map_or(0.0, |since| since.as_secs_f64()));
    }
    (bytes, newest)
}
