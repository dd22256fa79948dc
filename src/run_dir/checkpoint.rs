//! What a checkpoint is made of, which checkpoints a run has, and which of them may go.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::number::Number;
use super::{RunDir, step_name, step_of};

/// A complete checkpoint. It appears by a rename, so what bears this name is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointDir {
    path: PathBuf,
}

impl CheckpointDir {
    pub fn new(path: impl Into<PathBuf>) -> CheckpointDir {
        CheckpointDir { path: path.into() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The weights.
    pub fn model(&self) -> PathBuf {
        self.path.join("model.safetensors")
    }

    /// The optimizer's averages.
    pub fn optimizer(&self) -> PathBuf {
        self.path.join("optimizer.safetensors")
    }

    /// Everything else: [`State`].
    pub fn state(&self) -> PathBuf {
        self.path.join("state.json")
    }

    /// The name a damaged checkpoint is set aside under.
    pub fn damaged(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".damaged");
        name.into()
    }
}

/// `state.json`: all that a run needs besides its tensors to go on at the same bits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub protocol: u32,
    /// Optimizer steps done.
    pub step: u64,
    pub epoch: f64,
    /// blake3 of `model.safetensors`, in hex.
    pub model_hash: String,
    /// blake3 of `optimizer.safetensors`, in hex.
    pub optimizer_hash: String,
    /// Bytes of `metrics.csv` that belong to this state; a resumed run cuts the file to it.
    pub metrics_length: u64,
    /// Seconds of training so far, over all attempts, by a monotonic clock.
    pub elapsed_seconds: f64,
    /// Running hash of each step's loss bits and each checkpoint's weights, in hex.
    pub history: String,
    /// The best value of `checkpoint.best` so far.
    pub best: Option<Best>,
    /// Evaluations in a row without a better value of `stop.metric`, and that best value.
    pub stale_evaluations: u32,
    pub stop_best: Option<Number>,
    /// Factor on the learning rate, lowered by alerts.
    pub lr_factor: f64,
    /// What was still due at this step when the state was written: `evaluation`, `sample`.
    #[serde(default)]
    pub due: Vec<String>,
    /// What the next row of `metrics.csv` averages over.
    #[serde(default)]
    pub window: Window,
    /// The last value of each metric that a result needs.
    #[serde(default)]
    pub last: std::collections::BTreeMap<String, Number>,
}

/// Sums over the steps since the last row of `metrics.csv`. Random numbers need no such record: data
/// order and dropout are functions of seed and step.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Window {
    pub steps: u64,
    #[serde(with = "super::number")]
    pub loss: f64,
    #[serde(with = "super::number")]
    pub grad_norm: f64,
    /// Training examples that were right, of how many; both 0 where accuracy is no metric.
    pub correct: u64,
    pub examples: u64,
    /// The loss of the newest step.
    pub last_loss: Option<f64>,
}

/// The best value of a metric and the step it was seen at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Best {
    pub metric: String,
    #[serde(with = "super::number")]
    pub value: f64,
    pub step: u64,
}

/// The running hash of a run's history after one more piece: a step's loss bits, or the hash of a
/// checkpoint's weights.
pub fn chained(history: &str, piece: &[u8]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(history.as_bytes()).update(piece);
    hasher.finalize().to_hex().to_string()
}

/// Steps of the complete checkpoints of a run, ascending.
pub fn steps(run: &RunDir) -> Vec<u64> {
    let Ok(entries) = fs::read_dir(run.checkpoints()) else { return Vec::new() };
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    // Names set aside as `.damaged` or still being written do not read back to themselves.
    let mut steps: Vec<u64> =
        names.filter_map(|name| step_of(&name).filter(|step| step_name(*step) == name)).collect();
    steps.sort_unstable();
    steps
}

/// Which of `steps` (ascending) may be deleted when the newest `keep` and `best` are to stay.
pub fn superfluous(steps: &[u64], keep: usize, best: Option<u64>) -> Vec<u64> {
    let newest: BTreeSet<u64> = steps.iter().rev().take(keep.max(1)).copied().collect();
    steps.iter().copied().filter(|step| !newest.contains(step) && Some(*step) != best).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_and_the_best_stay() {
        assert_eq!(superfluous(&[10, 20, 30, 40], 2, Some(10)), [20]);
        assert_eq!(superfluous(&[10, 20], 0, None), [10], "the last one always stays");
        assert_eq!(superfluous(&[], 2, None), [0; 0]);
    }

    #[test]
    fn only_complete_checkpoints_count() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::new(folder.path());
        for name in ["step-00000010", "step-00000030.damaged", ".new-step-00000040", "notes", "step-00000020"]
        {
            fs::create_dir_all(run.checkpoints().join(name)).unwrap();
        }
        assert_eq!(steps(&run), [10, 20]);
    }
}
