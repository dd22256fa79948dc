//! What a run takes of one that it needs: the weights that it begins with. Which run and which file is
//! fixed at its first attempt. The files are linked into the run's own directory, so whatever becomes of
//! the other run, this one can begin again at the same bits, be verified, and be copied elsewhere.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::checkpoint::State;
use super::needs::means;
use super::records::{Layer, ModelRecord, RunRecord, RunResult};
use super::write::{at, link, sync_folder};
use super::{RunDir, deleted, read, scan};
use crate::experiment::metric::direction_of;
use crate::experiment::settings::{Task, Weights, Which};

/// What was taken, as it stands in every start line of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenWeights {
    pub experiment: String,
    pub run: String,
    /// Within that run's directory.
    pub file: String,
    pub bytes: u64,
    /// blake3, in hex.
    pub blake3: String,
    /// Why this one: "the best of 3 runs, val/loss 1.4321".
    pub why: String,
}

/// A text file that was taken, as it stands in every start line of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenFile {
    pub experiment: String,
    pub run: String,
    /// Within that run's directory.
    pub file: String,
    /// Within this run's.
    pub path: String,
    pub bytes: u64,
    /// blake3 of what lies at `path`, in hex.
    pub blake3: String,
}

impl TakenWeights {
    /// `pretrain/s1 (checkpoints/step-00001000/model.safetensors, its best checkpoint)`.
    pub fn words(&self) -> String {
        format!("{}/{} ({}, {})", self.experiment, self.run, self.file, self.why)
    }
}

/// Why nothing could be taken.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// A person must see to it; the sentence says how.
    #[error("{0}")]
    Held(String),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Takes what the run begins with, or finds that it has it: what `before`, the start line of its last
/// attempt, says. `in_full` reads the weights themselves, which an attempt from a checkpoint does not need.
///
/// # Errors
/// Nothing can be chosen, or it is not what it was; or the disk cannot be written to.
pub fn take(
    dir: &RunDir,
    record: &RunRecord,
    before: Option<&TakenWeights>,
    in_full: bool,
) -> Result<Option<TakenWeights>, TakeError> {
    let Some(weights) = &record.settings.weights else { return Ok(None) };
    if let Some(before) = before {
        return keep(dir, before, in_full).map(|()| Some(before.clone()));
    }
    let finished = finished(dir, &weights.from)?;
    let choice = choose(weights, &finished).map_err(TakeError::Held)?;
    let source = dir.workspace().run(&choice.run.experiment, &choice.run.run);
    let file = Which::file_of(choice.step);
    let held = |why: String| TakeError::Held(format!("{}/{}: {why}", choice.run.experiment, choice.run.run));
    let path = source.path().join(&file);
    let (bytes, blake3) = hashed(&path).map_err(|error| held(format!("{file} cannot be read: {error}")))?;
    let state = source.checkpoint(choice.step).state();
    let state: State = read::json(&state).map_err(|error| held(error.to_string()))?;
    if state.model_hash != blake3 {
        return Err(held(format!("{file} is damaged: it does not have the hash in its state.json")));
    }
    if record.settings.task() == Task::LanguageModel && !source.model_json().is_file() {
        return Err(held("it has no model.json, which holds its vocabulary".to_owned()));
    }
    put(dir, &path, &source.model_json())?;
    let Choice { run, why, .. } = choice;
    Ok(Some(TakenWeights { experiment: run.experiment, run: run.run, file, bytes, blake3, why }))
}

/// A finished run that the need means.
#[derive(Debug, Clone)]
pub struct Finished {
    pub experiment: String,
    pub run: String,
    result: RunResult,
}

/// The run that `need` means, the best where it means several, and why it is that one.
///
/// # Errors
/// There is none, or not all have finished, or nobody can say which is the best.
pub fn best_finished(dir: &RunDir, need: &str) -> Result<(Finished, String), TakeError> {
    let finished = finished(dir, need)?;
    best(need, &finished).map(|(run, why)| (run.clone(), why)).map_err(TakeError::Held)
}

fn finished(dir: &RunDir, need: &str) -> Result<Vec<Finished>, TakeError> {
    let of = dir.experiment();
    let mut finished = Vec::new();
    for other in scan::runs_of_ours(&dir.workspace()) {
        let (experiment, run) = (other.experiment(), other.name());
        if other == *dir || !means(need, &of, &experiment, &run) {
            continue;
        }
        let result = read::json_if_there::<RunResult>(&other.result());
        match result.map_err(|error| TakeError::Held(error.to_string()))? {
            Some(result) => finished.push(Finished { experiment, run, result }),
            None => return Err(TakeError::Held(format!("{experiment}/{run} has not finished"))),
        }
    }
    if let (true, Some((gone, way_out))) = (finished.is_empty(), deleted::words(&dir.workspace(), need, &of))
    {
        return Err(TakeError::Held(format!("it takes a result of {need}, and {gone} ({way_out})")));
    }
    Ok(finished)
}

/// Which run, and which step of it.
#[derive(Debug)]
struct Choice {
    run: Finished,
    step: u64,
    why: String,
}

/// The one run that is meant, or the best of several, and the checkpoint of it.
fn choose(weights: &Weights, finished: &[Finished]) -> Result<Choice, String> {
    let named = |run: &Finished| format!("{}/{}", run.experiment, run.run);
    let (run, among) = best(&weights.from, finished)?;
    let (step, which) = match weights.which() {
        Some(Which::Best) => match run.result.best_checkpoint {
            Some(step) => (step, "its best checkpoint"),
            None => {
                return Err(format!(
                    "{} has no best checkpoint (weights.file = \"last\" takes its last, with --again)",
                    named(run)
                ));
            }
        },
        Some(Which::Last) => (run.result.last_checkpoint, "its last checkpoint"),
        Some(Which::Step(step)) => (step, "as asked"),
        None => return Err(format!("weights.file = \"{}\" is nothing that is known", weights.file)),
    };
    Ok(Choice { run: run.clone(), step, why: among + which })
}

/// The one run that `need` means, or the best of several by the metric that all of them are judged by.
fn best<'a>(need: &str, finished: &'a [Finished]) -> Result<(&'a Finished, String), String> {
    match finished {
        [] => {
            Err(format!("it takes a result of {need}, and there is no such run (see: overnight queue FILE)"))
        }
        [one] => Ok((one, String::new())),
        several => {
            let judged = several.iter().filter_map(|run| run.result.best.as_ref());
            let metrics: Vec<&str> = judged.map(|best| best.metric.as_str()).collect();
            let Some(metric) = metrics.first().filter(|_| metrics.len() == several.len()) else {
                return Err(format!("not all runs of {need} have a best value: name the run that is meant"));
            };
            if metrics.iter().any(|other| other != metric) {
                return Err(format!(
                    "the runs of {need} are judged by different metrics: name the run that is meant"
                ));
            }
            let direction = direction_of(metric);
            let value = |run: &Finished| run.result.best.as_ref().map_or(f64::NAN, |best| best.value);
            let ahead = |best: &'a Finished, run: &'a Finished| {
                if direction.is_better(value(run), value(best)) { run } else { best }
            };
            let best = several.iter().reduce(ahead).unwrap_or(&several[0]);
            Ok((best, format!("the best of {} runs, {metric} {:.4}; ", several.len(), value(best))))
        }
    }
}

/// Tensors of a model that a run does not take of another's: the head of a classifier that is to tell
/// other classes apart.
pub fn not_taken(theirs: &ModelRecord, ours: &ModelRecord) -> Vec<String> {
    let head = ours.layers.last().filter(|_| ours.classes.is_some() && ours.classes != theirs.classes);
    let named = |head: &Layer| {
        head.tensors.iter().map(|(name, _)| format!("{}.{name}", head.name)).collect::<Vec<_>>()
    };
    head.map(named).unwrap_or_default()
}

/// Makes sure that what was taken is there: the same, or once more from where it was taken.
fn keep(dir: &RunDir, before: &TakenWeights, in_full: bool) -> Result<(), TakeError> {
    let own = dir.taken_weights();
    let is_the_same = |path: &Path| hashed(path).is_ok_and(|(_, blake3)| blake3 == before.blake3);
    let there = fs::metadata(&own).is_ok_and(|file| file.len() == before.bytes);
    if there && (!in_full || is_the_same(&own)) {
        return Ok(());
    }
    let source = dir.workspace().run(&before.experiment, &before.run);
    let path = source.path().join(&before.file);
    if is_the_same(&path) {
        return Ok(put(dir, &path, &source.model_json())?);
    }
    let state = if own.exists() { "has changed" } else { "is gone" };
    let (own, source) = (own.display(), before.words());
    Err(TakeError::Held(format!(
        "{own}, with which it began, {state}, and {source} is not the same any more (--again queues it anew)"
    )))
}

/// Links the files of another run into this one's directory, all of them or none.
fn put(dir: &RunDir, weights: &Path, model: &Path) -> io::Result<()> {
    let building = tempfile::Builder::new().prefix(".new-").tempdir_in(dir.path());
    let building = building.map_err(|error| at(dir.path(), error))?;
    let new = building.path().join("taken");
    fs::create_dir(&new).map_err(|error| at(&new, error))?;
    let target = dir.taken();
    let name = |path: &Path| new.join(path.file_name().unwrap_or_default());
    link(weights, &name(&dir.taken_weights()))?;
    if model.is_file() {
        link(model, &name(&dir.taken_model_json()))?;
    }
    sync_folder(&new)?;
    if target.exists() {
        fs::remove_dir_all(&target).map_err(|error| at(&target, error))?;
    }
    fs::rename(&new, &target).map_err(|error| at(&target, error))?;
    sync_folder(dir.path())
}

fn hashed(path: &Path) -> io::Result<(u64, String)> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(read::open(path)?)?;
    Ok((hasher.count(), hasher.finalize().to_hex().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_dir::PROTOCOL;
    use crate::run_dir::checkpoint::Best;

    fn finished(run: &str, metric: &str, value: f64, best_checkpoint: Option<u64>) -> Finished {
        let result = RunResult {
            protocol: PROTOCOL,
            time: 0.0,
            step: 100,
            epoch: 1.0,
            elapsed_seconds: 1.0,
            stopped_early: None,
            last: Default::default(),
            best: Some(Best { metric: metric.to_owned(), value, step: 50 }),
            last_checkpoint: 100,
            best_checkpoint,
            history: String::new(),
            attempts: 1,
        };
        Finished { experiment: "pretrain".to_owned(), run: run.to_owned(), result }
    }

    fn chosen(file: &str, finished: &[Finished]) -> Result<(String, u64, String), String> {
        let weights = Weights { from: "pretrain".to_owned(), file: file.to_owned() };
        choose(&weights, finished).map(|choice| (choice.run.run, choice.step, choice.why))
    }

    #[test]
    fn the_best_run_by_its_metric_is_meant_and_of_it_the_checkpoint_that_was_asked_for() {
        let by_loss = [("s1", 2.0), ("s2", 1.0), ("s3", f64::NAN)]
            .map(|(run, value)| finished(run, "val/loss", value, Some(50)));
        let best =
            ("s2".to_owned(), 50, "the best of 3 runs, val/loss 1.0000; its best checkpoint".to_owned());
        assert_eq!(chosen("best", &by_loss), Ok(best));
        let by_accuracy = [("s1", 0.8), ("s2", 0.9), ("s3", 0.9)]
            .map(|(run, value)| finished(run, "val/accuracy", value, Some(50)));
        assert_eq!(
            chosen("last", &by_accuracy).map(|(run, step, _)| (run, step)),
            Ok(("s2".to_owned(), 100))
        );
        let one = [finished("s1", "val/loss", 2.0, None)];
        let step = chosen("checkpoints/step-00000075/model.safetensors", &one);
        assert_eq!(step, Ok(("s1".to_owned(), 75, "as asked".to_owned())));
    }

    #[test]
    fn what_cannot_be_chosen_is_said_with_the_way_out() {
        let refused = |file: &str, finished: &[Finished]| chosen(file, finished).unwrap_err();
        assert!(refused("best", &[]).contains("there is no such run"));
        let without = refused("best", &[finished("s1", "val/loss", 1.0, None)]);
        assert!(without.contains("pretrain/s1 has no best checkpoint") && without.contains("\"last\""));
        let mixed = [finished("s1", "val/loss", 1.0, None), finished("s2", "val/accuracy", 1.0, None)];
        assert!(refused("last", &mixed).contains("different metrics: name the run"));
        let mut bare = mixed[0].clone();
        bare.result.best = None;
        assert!(refused("last", &[bare, mixed[1].clone()]).contains("not all runs of pretrain"));
    }
}
