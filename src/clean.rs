//! What could be deleted and why: decided by a pure function, carried out under each run's own lock.
//!
//! Never the last checkpoint of a run that can go on, never a live run, never one that another needs.

mod act;
pub mod leftovers;
pub mod observe;
mod outside;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Serialize;

use crate::experiment::Direction;
use crate::experiment::metric::direction_of;
use crate::run_dir::checkpoint::{self, Best};
use crate::run_dir::{RunDir, Status};
use crate::workspace_settings::RetentionSettings;

pub use act::{Carried, carry_out};
pub use leftovers::{Leftover, leftovers};
pub use observe::{observe, observe_those};

/// What is asked to go.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rules {
    /// These runs, whole.
    pub runs: BTreeSet<RunDir>,
    /// Runs that have finished and were not touched for so many days, whole.
    pub older_than_days: Option<f64>,
    /// Of each experiment all finished runs but so many with the best values, whole.
    pub best: Option<usize>,
    pub parts: Parts,
    /// Newest checkpoints of each run, where its experiment keeps more.
    pub checkpoints: Option<usize>,
}

/// Whether parts of runs go that nobody needs: checkpoints beyond those kept, and what was left over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Parts {
    #[default]
    Go,
    Stay,
}

impl From<&RetentionSettings> for Rules {
    fn from(settings: &RetentionSettings) -> Rules {
        let days = settings.older_than_days;
        Rules {
            runs: BTreeSet::new(),
            older_than_days: (days > 0.0).then_some(days),
            best: Some(settings.best as usize).filter(|best| *best > 0),
            parts: Parts::Go,
            checkpoints: Some(settings.checkpoints as usize).filter(|count| *count > 0),
        }
    }
}

/// What is known of a run that a decision rests on.
#[derive(Debug)]
pub struct Known {
    pub dir: RunDir,
    pub status: Status,
    /// Another program trained it.
    pub is_imported: bool,
    /// Complete checkpoints, ascending, with their bytes.
    pub checkpoints: Vec<(u64, u64)>,
    /// The checkpoint that a person wants the next attempt to go on from.
    pub asked_from: Option<u64>,
    /// Things that no live worker needs: damaged checkpoints, temporary files.
    pub leftovers: Vec<Leftover>,
    /// Newest checkpoints that the settings keep.
    pub keep: usize,
    pub best: Option<Best>,
    /// All of the run's files.
    pub bytes: u64,
    /// Days since anything in it was written.
    pub idle_days: f64,
    /// Whether it really lies outside of the workspace, where a link leads.
    pub is_outside: bool,
    /// Whether what it wrote lies out there, as a whole or in part.
    pub has_parts_outside: bool,
    /// A run that is not finished and needs this one.
    pub needed_by: Option<String>,
    /// Checkpoints whose weights such runs are to begin with.
    pub needed_steps: BTreeSet<u64>,
}

/// One thing that could go.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Removal {
    #[serde(skip)]
    pub of: Part,
    pub path: PathBuf,
    pub bytes: u64,
    /// As a person would say it.
    pub reason: String,
}

/// What a removal is of, and under which lock it happens.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// A run that had this status when it was decided.
    Whole(RunDir, Status),
    Checkpoint(RunDir),
    /// Of a run, or of none.
    Leftover(Option<RunDir>),
}

/// What could go, and what was meant and has to stay.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Decision {
    pub removals: Vec<Removal>,
    pub kept: Vec<Kept>,
}

/// A run that a rule meant and that has to stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    pub path: PathBuf,
    pub reason: String,
}

/// Decides about these runs, and about what lies outside of any.
pub fn decide(runs: &[Known], outside: &[Leftover], rules: &Rules) -> Decision {
    let beaten = rules.best.map(|best| beaten(runs, best)).unwrap_or_default();
    let mut decision = Decision::default();
    for run in runs {
        match (whole_reason(run, rules, &beaten), why_it_stays(run, rules)) {
            (Some(reason), None) => {
                let of = Part::Whole(run.dir.clone(), run.status.clone());
                let path = run.dir.path().to_owned();
                decision.removals.push(Removal { of, path, bytes: run.bytes, reason });
                continue;
            }
            (Some(_), Some(reason)) => {
                decision.kept.push(Kept { path: run.dir.path().to_owned(), reason });
            }
            (None, _) => {}
        }
        decision.removals.extend(parts(run, rules));
    }
    if rules.parts == Parts::Go {
        decision.removals.extend(outside.iter().map(|leftover| leftover.removal(None)));
    }
    decision
}

fn whole_reason(run: &Known, rules: &Rules, beaten: &BTreeMap<&RunDir, String>) -> Option<String> {
    if rules.runs.contains(&run.dir) {
        return Some("named".to_owned());
    }
    match rules.older_than_days {
        // Whatever else has ended can be retried: it goes only where a person names it.
        Some(days) if run.status == Status::Finished && run.idle_days > days => {
            Some(format!("untouched for {:.0} days", run.idle_days))
        }
        _ => beaten.get(&run.dir).cloned(),
    }
}

/// Why a run cannot go whole, whoever asks.
fn why_it_stays(run: &Known, rules: &Rules) -> Option<String> {
    if run.is_outside {
        return Some("a link leads out of the workspace to it (delete it where it lies)".to_owned());
    }
    if run.is_imported && run.status.is_running() {
        return Some("its import goes on, or its source was written to just now".to_owned());
    }
    if run.is_imported && !rules.runs.contains(&run.dir) {
        return Some("it was imported: rules leave it alone (name it to delete it)".to_owned());
    }
    if let Some(other) = &run.needed_by {
        return Some(format!("{other} needs it"));
    }
    match &run.status {
        Status::Running { .. } => Some("a worker lives there".to_owned()),
        // What waits has a last checkpoint to go on from, or is still to come.
        Status::Waiting { .. }
        | Status::Paused
        | Status::Lost
        | Status::Skipped { .. }
        | Status::NeedFailed { .. } => {
            let name = format!("{}/{}", run.dir.experiment(), run.dir.name());
            Some(format!("{}, it can go on (overnight stop {name} gives it up)", run.status.word()))
        }
        Status::Finished
        | Status::Failed { .. }
        | Status::Killed { .. }
        | Status::Stopped
        | Status::Unreadable { .. } => None,
    }
}

/// Finished runs that `keep` others of their experiment beat, with the sentence that says so. Runs are
/// compared where they are judged by the same metric.
fn beaten(runs: &[Known], keep: usize) -> BTreeMap<&RunDir, String> {
    let mut rivals: BTreeMap<(String, &str), Vec<(&RunDir, f64)>> = BTreeMap::new();
    for run in runs.iter().filter(|run| run.status == Status::Finished) {
        let Some(best) = &run.best else { continue };
        rivals.entry((run.dir.experiment(), &best.metric)).or_default().push((&run.dir, best.value));
    }
    let mut beaten = BTreeMap::new();
    for ((_, metric), mut runs) in rivals {
        let direction = direction_of(metric);
        if direction == Direction::Neither {
            continue;
        }
        let ahead = |a: f64, b: f64| direction.is_better(a, b);
        // Stable: of equal ones the first stays.
        runs.sort_by(|(_, a), (_, b)| ahead(*b, *a).cmp(&ahead(*a, *b)));
        let (leader, value) = runs[0];
        let others = match keep {
            1 => format!("{} is better: {metric} {value:.4}", leader.name()),
            _ => format!("{keep} others are better, {} most: {metric} {value:.4}", leader.name()),
        };
        beaten.extend(runs.iter().skip(keep).map(|(run, _)| (*run, others.clone())));
    }
    beaten
}

/// Parts of a run that nobody needs.
pub(crate) fn parts(run: &Known, rules: &Rules) -> Vec<Removal> {
    let is_untouchable = run.status.is_running() || matches!(run.status, Status::Unreadable { .. });
    if is_untouchable || run.has_parts_outside || rules.parts == Parts::Stay {
        return Vec::new();
    }
    let steps: Vec<u64> = run.checkpoints.iter().map(|(step, _)| *step).collect();
    let keep = rules.checkpoints.map_or(run.keep, |rule| rule.min(run.keep)).max(1);
    let superfluous = checkpoint::superfluous(&steps, keep, run.best.as_ref().map(|best| best.step));
    // Going back goes on from the newest one up to there.
    let wanted = run.asked_from.and_then(|asked| steps.iter().rfind(|step| **step <= asked).copied());
    let of_checkpoint = |step: &u64| {
        let bytes = run.checkpoints.iter().find(|(known, _)| known == step).map_or(0, |(_, bytes)| *bytes);
        let path = run.dir.checkpoint(*step).path().to_owned();
        let newest = if keep == 1 { "the newest".to_owned() } else { format!("among the newest {keep}") };
        let reason = format!("a checkpoint that is not {newest} nor the best");
        Removal { of: Part::Checkpoint(run.dir.clone()), path, bytes, reason }
    };
    let leftovers = run.leftovers.iter().map(|leftover| leftover.removal(Some(run.dir.clone())));
    let goes = |step: &&u64| Some(**step) != wanted && !run.needed_steps.contains(*step);
    superfluous.iter().filter(goes).map(of_checkpoint).chain(leftovers).collect()
}

#[cfg(test)]
mod tests;
