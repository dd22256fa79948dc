//! Holds what a run has recorded against what its replay made.

use std::fs;

use super::compare;
use crate::run_dir::RunDir;
use crate::run_dir::certificate::{Point, agree, trail};
use crate::run_dir::checkpoint::{CheckpointDir, State};
use crate::run_dir::metrics::Metrics;
use crate::run_dir::read::{self, ReadError};
use crate::run_dir::records::{Event, RunResult};
use crate::run_dir::verdict::Difference;

/// What the run says of itself.
pub struct Recorded {
    pub trail: Vec<Point>,
    /// The checkpoint at which the replay ends, where it is still there.
    pub kept: Option<CheckpointDir>,
    pub result: Option<RunResult>,
    pub metrics: Metrics,
}

/// What came out when its steps were taken again.
pub struct Replayed {
    pub trail: Vec<Point>,
    /// The checkpoint at which it ended.
    pub last: CheckpointDir,
    pub metrics: Metrics,
}

/// What was compared, and the first difference.
#[derive(Debug, PartialEq)]
pub struct Judgment {
    pub checkpoints: u64,
    pub rows: u64,
    pub difference: Option<Difference>,
    /// The file that alone does not agree with everything else: it was changed later.
    pub changed: Option<String>,
}

impl Recorded {
    pub fn point(&self, step: u64) -> Option<&Point> {
        self.trail.iter().find(|point| point.step == step)
    }

    /// What each file says of the losses and weights at `step`.
    fn claims(&self, point: &Point) -> Vec<(&'static str, Point)> {
        let mut claims = vec![("events.jsonl", point.clone())];
        let state = self.kept.as_ref().and_then(|kept| read::json::<State>(&kept.state()).ok());
        if let Some(state) = state.filter(|state| state.step == point.step) {
            let claim = Point { history: state.history, weights: state.model_hash, ..point.clone() };
            claims.push(("state.json", claim));
        }
        if let Some(result) = self.result.as_ref().filter(|result| result.step == point.step) {
            claims.push(("result.json", Point { history: result.history.clone(), ..point.clone() }));
        }
        claims
    }
}

impl Replayed {
    /// Reads what a replay to `step` left in its scratch folder.
    ///
    /// # Errors
    /// A file of it cannot be read.
    pub fn read(scratch: &RunDir, step: u64) -> Result<Replayed, ReadError> {
        Ok(Replayed {
            trail: trail(&read::lines::<Event>(&scratch.events())?.records),
            last: scratch.checkpoint(step),
            metrics: Metrics::read(&scratch.metrics())?,
        })
    }
}

/// The first row that differs, else the first tensor, else the first hash.
pub fn judge(recorded: &Recorded, replayed: &Replayed, from: u64, to: u64) -> Judgment {
    let rows = compare::rows(&recorded.metrics, &replayed.metrics, from, to);
    let (checkpoints, hashes) = hashes(recorded, replayed, from, to);
    let damaged = recorded.kept.as_ref().and_then(damage);
    let at = |file: &str| Some(file.to_owned());
    let (difference, changed) = match (rows.difference, hashes, damaged) {
        (Some(row), None, _) => (Some(row), at("metrics.csv")),
        (row, Some((hash, alone)), _) => (Some(row.unwrap_or(hash)), alone.and_then(at)),
        (None, None, Some(file)) => {
            let tensor = tensor(recorded, replayed, to);
            let damaged = || Difference::Damaged { step: to, file: file.to_owned() };
            (Some(tensor.unwrap_or_else(damaged)), at(file))
        }
        (None, None, None) => (None, None),
    };
    Judgment { checkpoints, rows: rows.compared, difference, changed }
}

/// The file of a checkpoint that does not have the hash its state holds.
pub fn damage(checkpoint: &CheckpointDir) -> Option<&'static str> {
    let Ok(state) = read::json::<State>(&checkpoint.state()) else { return Some("state.json") };
    let files = [
        ("model.safetensors", checkpoint.model(), state.model_hash),
        ("optimizer.safetensors", checkpoint.optimizer(), state.optimizer_hash),
    ];
    let found = files.into_iter().find(|(_, path, hash)| {
        fs::read(path).map_or(true, |bytes| blake3::hash(&bytes).to_hex().as_str() != hash)
    });
    found.map(|(name, _, _)| name)
}

/// Checkpoints that both have, and the first claim about one that the replay does not bear out: with the
/// file that makes it, where other files agree with the replay.
fn hashes(
    recorded: &Recorded,
    replayed: &Replayed,
    from: u64,
    to: u64,
) -> (u64, Option<(Difference, Option<&'static str>)>) {
    let mut compared = 0;
    for point in recorded.trail.iter().filter(|point| from < point.step && point.step <= to) {
        let step = point.step;
        let Some(replay) = replayed.trail.iter().find(|replay| replay.step == step) else {
            if step == to {
                let step = replayed.trail.last().map_or(from, |point| point.step);
                return (compared, Some((Difference::Ended { step }, None)));
            }
            // The run was asked to end here; the replay was not.
            continue;
        };
        compared += 1;
        let claims = recorded.claims(point);
        let Some((file, claim)) = claims.iter().find(|(_, claim)| !agree(claim, replay)) else { continue };
        let is_alone = claims.iter().any(|(_, claim)| agree(claim, replay));
        let hash = if claim.weights == replay.weights {
            Difference::History { step, file: (*file).to_owned() }
        } else {
            let tensor = (step == to).then(|| tensor(recorded, replayed, to)).flatten();
            let hash = Difference::Hash { step, of: "weights".to_owned(), file: (*file).to_owned() };
            tensor.unwrap_or(hash)
        };
        return (compared, Some((hash, is_alone.then_some(*file))));
    }
    let averages = |checkpoint: &CheckpointDir| {
        read::json::<State>(&checkpoint.state()).ok().map(|state| state.optimizer_hash)
    };
    let is = recorded.kept.as_ref().and_then(averages);
    let difference = is.filter(|is| averages(&replayed.last).is_some_and(|other| other != *is)).map(|_| {
        let (of, file) = ("optimizer's averages".to_owned(), "state.json".to_owned());
        (Difference::Hash { step: to, of, file }, None)
    });
    (compared, difference)
}

fn tensor(recorded: &Recorded, replayed: &Replayed, step: u64) -> Option<Difference> {
    let is = fs::read(recorded.kept.as_ref()?.model()).ok()?;
    compare::tensors(&is, &fs::read(replayed.last.model()).ok()?, step)
}
