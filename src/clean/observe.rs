//! What a decision about deleting rests on, found by looking at every run.

use std::collections::BTreeSet;
use std::path::Path;

use rayon::prelude::*;

use super::{Known, leftovers, outside};
use crate::experiment::settings::{Weights, Which};
use crate::run_dir::checkpoint::{self, Best, State};
use crate::run_dir::needs::{self, Fate};
use crate::run_dir::records::{RunRecord, RunResult};
use crate::run_dir::scan::{self, Seen};
use crate::run_dir::status::asked_from;
use crate::run_dir::{ReadError, RunDir, Status, Workspace, read};

/// Looks at every run of a workspace.
pub fn observe(workspace: &Workspace) -> Vec<Known> {
    observe_those(workspace, |_| true)
}

/// Looks closely at the runs of these experiments; whether others need them is found among all.
pub fn observe_those(workspace: &Workspace, is_meant: impl Fn(&str) -> bool + Sync) -> Vec<Known> {
    let (host, now) = (scan::host(), scan::now());
    let dirs = scan::runs(workspace);
    let mut seen: Vec<Seen> = dirs.par_iter().map(|dir| scan::look(dir, &host, now)).collect();
    needs::skip(seen.iter_mut().collect(), &[], |seen| Fate::of(&seen.status));
    let unfinished = seen.iter().filter(|run| run.status != Status::Finished);
    let needing: Vec<Needing> = unfinished.filter_map(|run| needing(&run.dir, run.record.as_ref())).collect();
    let known = |run: &Seen| Known {
        needed_by: needed_by_one_of(&run.dir, &needing),
        needed_steps: steps_needed_by(&run.dir, &needing),
        ..known(run, now)
    };
    seen.par_iter().filter(|run| is_meant(&run.dir.experiment())).map(known).collect()
}

/// Looks at one run once more, and at who needs it now.
pub(super) fn observe_one(dir: &RunDir) -> Known {
    let now = scan::now();
    let needing = needing_now(dir);
    Known {
        needed_by: needed_by_one_of(dir, &needing),
        needed_steps: steps_needed_by(dir, &needing),
        ..known(&scan::look(dir, &scan::host(), now), now)
    }
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
        is_imported: run.record.as_ref().is_ok_and(|record| record.imported.is_some()),
        keep: run.record.as_ref().map_or(usize::MAX, |record| record.settings.checkpoint.keep as usize),
        is_outside: outside::is_run(dir),
        has_parts_outside: outside::has_parts(dir),
        bytes,
        idle_days: ((now - newest) / 86_400.0).max(0.0),
        needed_by: None,
        needed_steps: BTreeSet::new(),
    }
}

/// The best value of a run that finished, or of one that has come so far; `newest` is its last checkpoint.
pub(crate) fn best(dir: &RunDir, newest: Option<u64>) -> Option<Best> {
    let result: Option<RunResult> = read::json_if_there(&dir.result()).ok().flatten();
    match result {
        Some(result) => result.best,
        None => read::json::<State>(&dir.checkpoint(newest?).state()).ok()?.best,
    }
}

/// A run that has not finished and needs others.
struct Needing {
    dir: RunDir,
    needs: Vec<String>,
    weights: Option<Weights>,
}

fn needing(dir: &RunDir, record: Result<&RunRecord, &ReadError>) -> Option<Needing> {
    let record = record.ok()?;
    let weights = record.own_settings().and_then(|settings| settings.weights.clone());
    let needs = record.queue.needs.clone();
    (!needs.is_empty()).then(|| Needing { dir: dir.clone(), needs, weights })
}

/// Who needs others, found among all runs of this one's workspace.
fn needing_now(dir: &RunDir) -> Vec<Needing> {
    let others = scan::runs(&dir.workspace()).into_iter().filter(scan::is_unfinished);
    others.filter_map(|other| needing(&other, read::run_record(&other).as_ref())).collect()
}

fn needed_by_one_of(dir: &RunDir, needing: &[Needing]) -> Option<String> {
    let needs_it =
        |other: &&Needing| other.dir != *dir && other.needs.iter().any(|need| other.means(need, dir));
    let other = needing.iter().find(needs_it)?;
    Some(format!("{}/{}", other.dir.experiment(), other.dir.name()))
}

/// The checkpoints of this run that others name.
fn steps_needed_by(dir: &RunDir, needing: &[Needing]) -> BTreeSet<u64> {
    let step = |other: &Needing| {
        let weights = other.weights.as_ref().filter(|weights| other.means(&weights.from, dir))?;
        match weights.which() {
            Some(Which::Step(step)) => Some(step),
            _ => None,
        }
    };
    needing.iter().filter_map(step).collect()
}

impl Needing {
    fn means(&self, need: &str, dir: &RunDir) -> bool {
        needs::means(need, &self.dir.experiment(), &dir.experiment(), &dir.name())
    }
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
