//! The files of one batch, and the runner's lock.

use serde::{Deserialize, Serialize};

use super::{MeasuredDivision, MeasuredMemory};

/// `batch.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    pub protocol: u32,
    pub host: String,
    pub process: u32,
    pub start: f64,
    pub end: Option<f64>,
    /// How long it took, by a clock that nobody sets; at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    pub exit_code: Option<i32>,
    /// What its runs took of GPUs, and of the processor where the machine tells it; at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy_joules: Option<f64>,
    /// The command line.
    pub arguments: Vec<String>,
    /// Runs at once.
    pub slots: u32,
    pub threads_per_slot: u32,
    pub plan: Vec<PlanEntry>,
    /// What this batch measured of the processor before it divided it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub divisions: Vec<MeasuredDivision>,
    /// What probes of this batch took of GPUs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub device_memory: Vec<MeasuredMemory>,
    /// The GPUs whose columns its telemetry has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<BatchGpu>,
}

/// A GPU that a batch may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchGpu {
    /// Place in PCI bus order: the number in the names of its columns.
    pub index: u32,
    pub uuid: String,
    pub name: String,
    pub driver: String,
    pub memory_bytes: u64,
}

impl Batch {
    /// How long it took; batches of earlier versions know their start and end alone.
    pub fn took_seconds(&self) -> Option<f64> {
        self.seconds.or_else(|| self.end.map(|end| (end - self.start).max(0.0)))
    }
}

/// One run of a batch, in the order in which runs were to start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanEntry {
    pub experiment: String,
    pub run: String,
    pub steps: u64,
    /// Seconds it was expected to take, where anything was known.
    pub estimated_seconds: Option<f64>,
}

/// `queue.json`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct QueueState {
    pub time: f64,
    pub waiting: Vec<WaitingRun>,
    /// When the batch will probably end.
    pub end: Option<f64>,
    /// Set once nothing new is started.
    pub drain: bool,
    /// Why the batch stopped itself, where it did.
    pub breaker: Option<String>,
    /// What its runs took so far, where that is measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy_joules: Option<f64>,
    /// Runs with a live worker, in the order of the queue.
    #[serde(default)]
    pub running: Vec<RunName>,
    /// The runs that failed last, newest first; not all of them.
    #[serde(default)]
    pub failed: Vec<FailedRun>,
    #[serde(default)]
    pub counts: Counts,
}

/// A run of the workspace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RunName {
    pub experiment: String,
    pub run: String,
}

/// A run that failed or was killed, and stays so until a person acts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailedRun {
    pub experiment: String,
    pub run: String,
    /// As a person would say it.
    pub cause: String,
    pub time: f64,
}

/// How many runs of a batch stand where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    pub finished: usize,
    pub failed: usize,
    pub running: usize,
    pub waiting: usize,
    /// Stopped, paused, skipped, unreadable or at work elsewhere.
    pub left: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WaitingRun {
    pub experiment: String,
    pub run: String,
    /// As a person would say it: `after s1`, `for a free slot`.
    pub reason: String,
    pub start: Option<f64>,
    pub end: Option<f64>,
    /// Later runs that took a GPU it waits for, which the next runner must know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed: Option<PassedBy>,
}

/// How a waiting run was passed by later ones.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PassedBy {
    pub runs: u32,
    /// When the first of them did, in Unix seconds.
    pub since: f64,
}

/// A line of a batch's `events.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchEvent {
    pub time: f64,
    /// `batch-started`, `run-started`, `run-ended`, `retried`, `adopted`, `interrupted`, `deleted`,
    /// `hook`, `hook-failed`, `batch-ended`.
    pub event: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experiment: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    pub message: String,
}

/// Inside `runs/.runner.lock`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunnerLock {
    pub host: String,
    pub process: u32,
    /// Unix seconds.
    pub since: u64,
    /// The batch's name, or what the runner does without one.
    pub batch: String,
}

impl RunnerLock {
    pub const NOT_BEGUN: &str = "not begun";
    pub const WAITS: &str = "waits for work";

    /// Whether the runner has got as far as working or waiting.
    pub fn has_begun(&self) -> bool {
        self.batch != RunnerLock::NOT_BEGUN
    }
}
