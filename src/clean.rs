//! What could be deleted and why: decided by a pure function, carried out under each run's own lock.
//!
//! Never the last checkpoint of a run that can go on, never a live run, never one that another needs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::experiment::metric::direction_of;
use crate::run_dir::checkpoint::{self, Best};
use crate::run_dir::records::RunResult;
use crate::run_dir::scan::{self, Seen};
use crate::run_dir::write::at;
use crate::run_dir::{RunDir, Status, Workspace, lock, read};

/// What is asked to go beside what nobody needs: checkpoints beyond those kept, and damaged ones.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// These runs, whole.
    pub runs: BTreeSet<RunDir>,
    /// Runs that have ended and were not touched for so many days.
    pub older_than_days: Option<f64>,
    /// Of each experiment all finished runs but the best.
    pub all_but_best: bool,
}

/// What is known of a run that a decision rests on.
#[derive(Debug)]
pub struct Known {
    pub dir: RunDir,
    pub status: Status,
    /// Complete checkpoints, ascending, with their bytes.
    pub checkpoints: Vec<(u64, u64)>,
    /// Checkpoints that were set aside as damaged, with their bytes.
    pub damaged: Vec<(PathBuf, u64)>,
    /// Newest checkpoints that the settings keep.
    pub keep: usize,
    pub best: Option<Best>,
    /// All of the run's files.
    pub bytes: u64,
    /// Days since anything in it was written.
    pub idle_days: f64,
    /// A run that is not finished and needs this one.
    pub needed_by: Option<String>,
}

/// One thing that could go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Removal {
    #[serde(skip)]
    pub run: RunDir,
    pub path: PathBuf,
    pub bytes: u64,
    /// As a person would say it.
    pub reason: String,
}

/// What could go, whole runs before parts of others.
pub fn decide(runs: &[Known], rules: &Rules) -> Vec<Removal> {
    let beaten = if rules.all_but_best { beaten(runs) } else { BTreeMap::new() };
    let mut removals = Vec::new();
    for run in runs {
        let whole = whole_reason(run, rules, &beaten);
        match whole.filter(|_| may_go(run)) {
            Some(reason) => {
                let path = run.dir.path().to_owned();
                removals.push(Removal { run: run.dir.clone(), path, bytes: run.bytes, reason });
            }
            None => removals.extend(parts(run)),
        }
    }
    removals
}

fn whole_reason(run: &Known, rules: &Rules, beaten: &BTreeMap<&RunDir, String>) -> Option<String> {
    if rules.runs.contains(&run.dir) {
        return Some("named".to_owned());
    }
    let has_ended = matches!(
        run.status,
        Status::Finished
            | Status::Failed { .. }
            | Status::Killed { .. }
            | Status::Stopped
            | Status::Skipped { .. }
    );
    match rules.older_than_days {
        Some(days) if has_ended && run.idle_days > days => {
            Some(format!("untouched for {:.0} days", run.idle_days))
        }
        _ => beaten.get(&run.dir).cloned(),
    }
}

fn may_go(run: &Known) -> bool {
    !run.status.is_running() && run.needed_by.is_none()
}

/// Finished runs that another of their experiment beats, with the sentence that says so.
fn beaten(runs: &[Known]) -> BTreeMap<&RunDir, String> {
    let mut leaders: BTreeMap<String, &Known> = BTreeMap::new();
    let finished = || runs.iter().filter(|run| run.status == Status::Finished);
    for run in finished() {
        let Some(best) = &run.best else { continue };
        let leader = leaders.entry(run.dir.experiment()).or_insert(run);
        let is_better = leader.best.as_ref().is_none_or(|of_leader| {
            of_leader.metric == best.metric
                && direction_of(&best.metric).is_better(best.value, of_leader.value)
        });
        if is_better {
            *leader = run;
        }
    }
    let beaten_by = |run: &Known| {
        let leader = leaders.get(&run.dir.experiment())?;
        let best = leader.best.as_ref()?;
        let name = leader.dir.name();
        (leader.dir != run.dir).then(|| format!("{name} is better: {} {:.4}", best.metric, best.value))
    };
    finished().filter_map(|run| Some((&run.dir, beaten_by(run)?))).collect()
}

/// Parts of a run that nobody needs.
fn parts(run: &Known) -> Vec<Removal> {
    if run.status.is_running() || matches!(run.status, Status::Unreadable { .. }) {
        return Vec::new();
    }
    let steps: Vec<u64> = run.checkpoints.iter().map(|(step, _)| *step).collect();
    let superfluous = checkpoint::superfluous(&steps, run.keep, run.best.as_ref().map(|best| best.step));
    let of_checkpoint = |step: &u64| {
        let bytes = run.checkpoints.iter().find(|(known, _)| known == step).map_or(0, |(_, bytes)| *bytes);
        let path = run.dir.checkpoint(*step).path().to_owned();
        let reason = format!("not among the newest {} nor the best", run.keep);
        Removal { run: run.dir.clone(), path, bytes, reason }
    };
    let damaged = run.damaged.iter().map(|(path, bytes)| Removal {
        run: run.dir.clone(),
        path: path.clone(),
        bytes: *bytes,
        reason: "damaged, set aside".to_owned(),
    });
    superfluous.iter().map(of_checkpoint).chain(damaged).collect()
}

/// Looks at every run of a workspace.
pub fn observe(workspace: &Workspace) -> Vec<Known> {
    let (host, now) = (scan::host(), scan::now());
    let seen: Vec<Seen> = scan::runs(workspace).iter().map(|dir| scan::look(dir, &host, now)).collect();
    seen.iter().map(|run| known(run, &seen, now)).collect()
}

fn known(run: &Seen, all: &[Seen], now: f64) -> Known {
    let dir = &run.dir;
    let result: Option<RunResult> = read::json_if_there(&dir.result()).ok().flatten();
    let (bytes, newest) = weigh(dir.path());
    let entries = fs::read_dir(dir.checkpoints()).into_iter().flatten().flatten();
    let damaged = entries
        .map(|entry| entry.path())
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(".damaged")));
    let names = [dir.name(), dir.experiment(), format!("{}/{}", dir.experiment(), dir.name())];
    let needs_us = |other: &&Seen| {
        let record = other.record.as_ref().ok();
        other.dir != *dir
            && other.status != Status::Finished
            && record.is_some_and(|record| record.queue.needs.iter().any(|need| names.contains(need)))
    };
    Known {
        dir: dir.clone(),
        status: run.status.clone(),
        checkpoints: checkpoint::steps(dir)
            .into_iter()
            .map(|step| (step, weigh(dir.checkpoint(step).path()).0))
            .collect(),
        damaged: damaged
            .map(|path| {
                let bytes = weigh(&path).0;
                (path, bytes)
            })
            .collect(),
        keep: run.record.as_ref().map_or(usize::MAX, |record| record.settings.checkpoint.keep as usize),
        best: result.and_then(|result| result.best),
        bytes,
        idle_days: ((now - newest) / 86_400.0).max(0.0),
        needed_by: all
            .iter()
            .find(needs_us)
            .map(|other| format!("{}/{}", other.dir.experiment(), other.dir.name())),
    }
}

/// Bytes of all files below `path`, and when the newest was written, in Unix seconds. Links are not followed.
fn weigh(path: &Path) -> (u64, f64) {
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

/// Deletes one thing, under its run's lock; false when a worker lives there. It vanishes by a rename
/// first, so that nobody sees half of it.
///
/// # Errors
/// The disk says so, with the path.
pub fn carry_out(removal: &Removal) -> io::Result<bool> {
    let Some(_lock) = lock::try_lock(&removal.run.alive_lock())? else { return Ok(false) };
    let folder = removal.path.parent().unwrap_or(Path::new("."));
    let aside =
        tempfile::Builder::new().prefix(".gone-").tempdir_in(folder).map_err(|error| at(folder, error))?;
    let target = aside.path().join("removed");
    fs::rename(&removal.path, &target).map_err(|error| at(&removal.path, error))?;
    fs::remove_dir_all(&target).map_err(|error| at(&target, error))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str, status: Status, best: f64) -> Known {
        Known {
            dir: RunDir::new(format!("runs/x/{name}")),
            status,
            checkpoints: vec![(10, 100), (20, 100), (30, 100), (40, 100)],
            damaged: Vec::new(),
            keep: 2,
            best: Some(Best { metric: "val/loss".to_owned(), value: best, step: 10 }),
            bytes: 1000,
            idle_days: 3.0,
            needed_by: None,
        }
    }

    fn gone(runs: &[Known], rules: &Rules) -> Vec<String> {
        decide(runs, rules).iter().map(|removal| removal.path.display().to_string()).collect()
    }

    #[test]
    fn only_checkpoints_that_nobody_keeps_go_by_themselves() {
        let mut waiting = run("b", Status::Stopped, 1.0);
        waiting.best = None;
        waiting.checkpoints = vec![(40, 100)];
        let runs = [run("a", Status::Finished, 1.0), waiting];
        assert_eq!(gone(&runs, &Rules::default()), ["runs/x/a/checkpoints/step-00000020"]);
        let live = [run("a", Status::Running { stage: crate::run_dir::status::Stage::Running }, 1.0)];
        assert_eq!(gone(&live, &Rules::default()), [""; 0]);
    }

    #[test]
    fn the_best_of_a_sweep_stays() {
        let runs = [
            run("a", Status::Finished, 2.0),
            run("b", Status::Finished, 1.0),
            run("c", Status::Failed { code: 1 }, 9.0),
        ];
        let rules = Rules { all_but_best: true, ..Rules::default() };
        let removals = decide(&runs, &rules);
        assert_eq!(removals[0].path, Path::new("runs/x/a"));
        assert_eq!(removals[0].reason, "b is better: val/loss 1.0000");
        assert!(removals[1..].iter().all(|removal| removal.path.to_string_lossy().contains("checkpoints")));
    }

    #[test]
    fn what_is_old_or_named_goes_unless_it_lives_or_is_needed() {
        let mut needed = run("b", Status::Finished, 1.0);
        needed.needed_by = Some("y/merge".to_owned());
        needed.checkpoints.clear();
        let live = run("c", Status::Running { stage: crate::run_dir::status::Stage::Running }, 1.0);
        let runs = [run("a", Status::Finished, 1.0), needed, live];
        let old = Rules { older_than_days: Some(2.0), ..Rules::default() };
        assert_eq!(gone(&runs, &old), ["runs/x/a"]);
        let older = Rules { older_than_days: Some(4.0), ..Rules::default() };
        assert_eq!(gone(&runs[..1], &older), ["runs/x/a/checkpoints/step-00000020"]);
        let named = Rules { runs: runs.iter().map(|run| run.dir.clone()).collect(), ..Rules::default() };
        assert_eq!(gone(&runs, &named), ["runs/x/a"]);
    }
}
