//! The protocol: every name on disk below `runs/` and `batches/`, and every struct that stands in those files.
//!
//! The queue, the runner, the worker and the report never talk to each other; they read and write
//! these files. Each file has one writer, named in its comment here. Small files are replaced whole
//! ([`write::replace`]), logs and metrics only grow ([`write::append_line`]), a checkpoint is a folder
//! renamed into place. Status is derived ([`status::status`]), never stored.

pub mod alerts;
pub mod budgets;
pub mod cause;
pub mod certificate;
pub mod checkpoint;
pub mod deleted;
pub mod distributions;
pub mod imported;
pub mod lock;
pub mod machine;
pub mod metrics;
pub mod needs;
pub mod number;
pub mod read;
pub mod reason;
pub mod records;
pub mod removed_lock;
pub mod requests;
pub mod scan;
pub mod sent;
pub mod split;
pub mod stage;
pub mod standing;
pub mod status;
pub mod telemetry;
pub mod verdict;
pub mod write;

use std::path::{Path, PathBuf};

pub use checkpoint::CheckpointDir;
pub use imported::metric_of;
pub use read::ReadError;
pub use status::Status;

/// Version of everything this module describes. A run of another version is shown, and left alone.
pub const PROTOCOL: u32 = 1;

/// A folder with experiments, runs and reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    root: PathBuf,
}

impl Workspace {
    pub fn new(root: impl Into<PathBuf>) -> Workspace {
        Workspace { root: root.into() }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn runs(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// Held by the one runner of the workspace; inside, a [`records::RunnerLock`].
    pub fn runner_lock(&self) -> PathBuf {
        self.runs().join(".runner.lock")
    }

    pub fn batches(&self) -> PathBuf {
        self.root.join("batches")
    }

    pub fn reports(&self) -> PathBuf {
        self.root.join("reports")
    }

    /// Held by the one watcher that keeps the report fresh, as long as it lives. Each single build
    /// has a lock of its own besides, so that others can build in between.
    pub fn watcher_lock(&self) -> PathBuf {
        self.reports().join(".watcher.lock")
    }

    pub fn experiments(&self) -> PathBuf {
        self.root.join("experiments")
    }

    /// `overnight serve`: who changed what over the network, and who was not let through.
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// Settings of the workspace.
    pub fn settings(&self) -> PathBuf {
        self.root.join("overnight.toml")
    }

    /// Whoever applies rules of retention, under a lock on the file: [`deleted::Deleted`] lines.
    pub fn deleted(&self, experiment: &str) -> PathBuf {
        self.runs().join(experiment).join("deleted.jsonl")
    }

    pub fn run(&self, experiment: &str, run: &str) -> RunDir {
        RunDir::new(self.runs().join(experiment).join(run))
    }
}

/// The directory of one run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunDir {
    path: PathBuf,
}

impl RunDir {
    pub fn new(path: impl Into<PathBuf>) -> RunDir {
        RunDir { path: path.into() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The run's name as its directory has it.
    pub fn name(&self) -> String {
        file_name(&self.path)
    }

    /// The experiment's name as the directory above has it.
    pub fn experiment(&self) -> String {
        self.path.parent().map(file_name).unwrap_or_default()
    }

    /// The workspace that holds the run: three folders up.
    pub fn workspace(&self) -> Workspace {
        Workspace::new(self.path.ancestors().nth(3).unwrap_or(Path::new(".")))
    }

    /// Queue: the complete settings ([`records::RunRecord`]). Never changed.
    pub fn run_json(&self) -> PathBuf {
        self.path.join("run.json")
    }

    /// Queue: where the run comes from ([`records::Environment`]). Never changed.
    pub fn env_json(&self) -> PathBuf {
        self.path.join("env.json")
    }

    /// Command line and serve, under a lock on the file: [`records::Request`] lines.
    pub fn requests(&self) -> PathBuf {
        self.path.join("requests.jsonl")
    }

    /// Runner: [`records::Attempt`] lines.
    pub fn attempts(&self) -> PathBuf {
        self.path.join("attempts.jsonl")
    }

    /// Runner: time, then a column for each number of the machine and of the run's GPU.
    pub fn telemetry(&self) -> PathBuf {
        self.path.join("telemetry.csv")
    }

    /// Locked while a worker lives; inside, its process number.
    pub fn alive_lock(&self) -> PathBuf {
        self.path.join("alive.lock")
    }

    /// The worker's standard error; the runner only opens it and hands it over.
    pub fn stderr_log(&self) -> PathBuf {
        self.path.join("stderr.log")
    }

    /// Runner: the stacks of a worker that hung, where they could be had.
    pub fn stack(&self, attempt: u32) -> PathBuf {
        self.path.join(format!("stack-{attempt}.txt"))
    }

    /// Worker: one row every `train.log_every` steps.
    pub fn metrics(&self) -> PathBuf {
        self.path.join("metrics.csv")
    }

    /// Worker, at most once a second: [`records::Progress`].
    pub fn progress(&self) -> PathBuf {
        self.path.join("progress.json")
    }

    /// Worker: what a person would read.
    pub fn train_log(&self) -> PathBuf {
        self.path.join("train.log")
    }

    /// Worker: [`records::Event`] lines. Never cut.
    pub fn events(&self) -> PathBuf {
        self.path.join("events.jsonl")
    }

    /// Runner: alerts by rules over numbers of the machine, as [`records::Event`] lines.
    pub fn alerts(&self) -> PathBuf {
        self.path.join("alerts.jsonl")
    }

    /// Worker, at the start: [`records::ModelRecord`].
    pub fn model_json(&self) -> PathBuf {
        self.path.join("model.json")
    }

    /// Worker: the last full evaluation ([`records::Evaluation`]).
    pub fn evaluation(&self) -> PathBuf {
        self.path.join("evaluation.json")
    }

    /// Worker: `step-00001000.json` ([`records::Sample`]) and `.png`.
    pub fn samples(&self) -> PathBuf {
        self.path.join("samples")
    }

    pub fn sample_json(&self, step: u64) -> PathBuf {
        self.samples().join(format!("{}.json", step_name(step)))
    }

    pub fn sample_png(&self, step: u64) -> PathBuf {
        self.samples().join(format!("{}.png", step_name(step)))
    }

    pub fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// One checkpoint: see [`checkpoint::CheckpointDir`].
    pub fn checkpoint(&self, step: u64) -> checkpoint::CheckpointDir {
        checkpoint::CheckpointDir::new(self.checkpoints().join(step_name(step)))
    }

    /// Runner, before the first attempt: what the run takes of one that it needs ([`stage`]).
    pub fn taken(&self) -> PathBuf {
        self.path.join("taken")
    }

    /// Runner, before the first attempt: the text that it took of others.
    pub fn taken_texts(&self) -> PathBuf {
        self.path.join("taken-text")
    }

    /// Of these what one of `data.files` names, by its place there.
    pub fn taken_text(&self, place: usize) -> PathBuf {
        self.taken_texts().join(place.to_string())
    }

    /// The weights that it begins with.
    pub fn taken_weights(&self) -> PathBuf {
        self.taken().join("model.safetensors")
    }

    /// What the model of those weights is: a [`records::ModelRecord`].
    pub fn taken_model_json(&self) -> PathBuf {
        self.taken().join("model.json")
    }

    /// `overnight verify`: [`verdict::Verdict`] lines.
    pub fn verify(&self) -> PathBuf {
        self.path.join("verify.jsonl")
    }

    /// `overnight import`, in runs of other programs alone: [`imported::ImportState`].
    pub fn import_json(&self) -> PathBuf {
        self.path.join("import.json")
    }

    /// `overnight import`, where histograms were logged: [`distributions`].
    pub fn distributions(&self) -> PathBuf {
        self.path.join("distributions.csv")
    }

    /// Worker, last act of a run that finished, and only then: [`records::RunResult`].
    pub fn result(&self) -> PathBuf {
        self.path.join("result.json")
    }
}

/// The directory of one batch, named `<start>-<host>-<4 hex>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchDir {
    path: PathBuf,
}

impl BatchDir {
    pub fn new(path: impl Into<PathBuf>) -> BatchDir {
        BatchDir { path: path.into() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn name(&self) -> String {
        file_name(&self.path)
    }

    /// Runner: [`records::Batch`].
    pub fn batch_json(&self) -> PathBuf {
        self.path.join("batch.json")
    }

    /// Runner, at most once a second: [`records::QueueState`].
    pub fn queue_json(&self) -> PathBuf {
        self.path.join("queue.json")
    }

    /// Runner: the machine and all GPUs through the batch.
    pub fn telemetry(&self) -> PathBuf {
        self.path.join("telemetry.csv")
    }

    /// Command line and serve, under a lock on the file: [`records::BatchRequest`] lines.
    pub fn requests(&self) -> PathBuf {
        self.path.join("requests.jsonl")
    }

    /// Runner: [`records::BatchEvent`] lines.
    pub fn events(&self) -> PathBuf {
        self.path.join("events.jsonl")
    }

    /// Runner: what a person would read.
    pub fn runner_log(&self) -> PathBuf {
        self.path.join("runner.log")
    }

    /// Runner without a terminal: what it would have shown there.
    pub fn terminal_log(&self) -> PathBuf {
        self.path.join("terminal.log")
    }
}

/// `step-00001000`: eight digits, so that names sort as numbers do.
pub fn step_name(step: u64) -> String {
    format!("step-{step:08}")
}

/// The step in a name that [`step_name`] made, with or without an ending.
pub fn step_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("step-")?.split('.').next()?;
    let all_digits = digits.len() >= 8 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if all_digits { digits.parse().ok() } else { None }
}

/// Whether `name` may name an experiment or a run: letters, digits, `.`, `_`, `-`, not hidden.
pub fn is_plain_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 200
        && !name.starts_with(['.', '-'])
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_survive_their_names() {
        for step in [0, 1, 1000, 99_999_999, 123_456_789_012] {
            assert_eq!(step_of(&step_name(step)), Some(step));
        }
        assert_eq!(step_of("step-00001000.json"), Some(1000));
        for foreign in ["step-12", "step-0000100x", "steps-00001000", "step-00001000.damaged2"] {
            let expected = foreign.starts_with("step-00001000.").then_some(1000);
            assert_eq!(step_of(foreign), expected, "{foreign}");
        }
    }

    #[test]
    fn names_that_could_leave_the_folder_are_not_plain() {
        for name in ["", ".", "..", "a/b", "a b", "ä", "-x", ".hidden", "a\0"] {
            assert!(!is_plain_name(name), "{name:?}");
        }
        assert!(is_plain_name("lr3e-4-layers4-s2-1f3a9c07"));
    }
}
