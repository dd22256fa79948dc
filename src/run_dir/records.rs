//! The records that stand in the files of a run directory and of a batch.
//!
//! `time` is Unix time in seconds, everywhere. Numbers that may not be finite are
//! [`Number`]s. Fields may be added within one protocol version, and then have a default.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::cause::Cause;
use super::checkpoint::Best;
use super::number::Number;
use crate::experiment::alert::Action;
use crate::experiment::settings::{Precision, Queue, Settings};
use crate::experiment::{Alert, Budget};

mod probe;

pub use probe::{DivisionRate, MeasuredDivision, MeasuredMemory, ProbeOrders, ProbeResult};

/// `run.json`: what the run is. Written once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    pub protocol: u32,
    pub experiment: String,
    /// The directory's name.
    pub run: String,
    /// Number within the experiment, from 0, in the order of queueing. Decides the run's color.
    pub number: u32,
    /// Hash of what differs from the defaults, in hex; the name ends with its first eight digits.
    pub hash: String,
    /// When it was queued.
    pub created: f64,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub tags: Vec<String>,
    #[serde(default)]
    pub notes: String,
    /// The folder that paths in `settings.data` are relative to: itself relative to the workspace where it lies inside.
    pub base: String,
    pub settings: Settings,
    /// What the sweep varies, by dotted path, in the order of the file: `train.optimizer.lr` → 0.001.
    #[serde(default)]
    pub varied: serde_json::Map<String, Value>,
    /// Where each value that was given came from, by dotted path; what is not here is a default.
    #[serde(default)]
    pub origins: BTreeMap<String, Origin>,
    #[serde(default)]
    pub queue: Queue,
    /// What is watched for while it trains: the rules of its file, then those of the workspace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<Alert>,
    /// What it must have come to when it has finished.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<Budget>,
    /// Steps of the whole run, from the settings and the size of the data.
    pub steps: u64,
    /// Steps of one epoch.
    pub steps_per_epoch: u64,
}

/// Where the value of a setting came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The experiment file, at this line.
    File { line: usize },
    /// One of the sweep's values.
    Sweep,
    /// `--set` on the command line.
    CommandLine,
}

/// `env.json`: where the run comes from. Written once.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Environment {
    /// Version of overnight that queued the run.
    pub program: String,
    pub host: String,
    /// Commit of the workspace's git repository.
    pub git_commit: Option<String>,
    pub git_branch: Option<String>,
    /// What was not committed, 1 MiB at most.
    pub git_diff: String,
    pub git_diff_cut: bool,
    pub data: Vec<Fingerprint>,
}

/// What a data file was when the run was queued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Relative to the run's `base`.
    pub path: String,
    pub bytes: u64,
    /// blake3, in hex.
    pub blake3: String,
}

/// A line of `requests.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    pub time: f64,
    /// Who asked: a user's name, or `web:NAME`.
    pub who: String,
    /// Number of the last attempt by then: says what came first, whatever the clock did since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    #[serde(flatten)]
    pub ask: Ask,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum Ask {
    Pause,
    Resume,
    Stop,
    Retry {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from_step: Option<u64>,
    },
    Priority {
        priority: i64,
    },
    Note {
        text: String,
    },
    Tag {
        tag: String,
    },
}

/// A line of a batch's `requests.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchRequest {
    pub time: f64,
    pub who: String,
    #[serde(flatten)]
    pub ask: BatchAsk,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum BatchAsk {
    /// Start nothing new and end after the current runs.
    Drain,
}

/// The device of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Device {
    Cpu {
        /// The processor as it names itself.
        name: String,
    },
    Cuda {
        uuid: String,
        name: String,
        driver: String,
        /// Number among the machine's GPUs in PCI bus order.
        index: u32,
    },
}

impl Device {
    pub fn name(&self) -> &str {
        match self {
            Device::Cpu { name } | Device::Cuda { name, .. } => name,
        }
    }
}

/// A line of `attempts.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "kebab-case")]
pub enum Attempt {
    /// The worker's orders, written before it starts.
    Start(Start),
    /// What became of it.
    End(End),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// From 1.
    pub attempt: u32,
    pub time: f64,
    /// Name of the batch; none for a worker started by hand.
    pub batch: Option<String>,
    pub host: String,
    /// The machine's boot id: a process number of another boot says nothing.
    pub boot: String,
    pub device: Device,
    /// Decided: never `auto`.
    pub precision: Precision,
    pub threads: u32,
    /// Examples in one forward pass; with `accumulate` it makes the settings' examples a step.
    pub micro_batch: u32,
    pub accumulate: u32,
    /// Version of libtorch, with its local part.
    pub libtorch: String,
    /// Step of the checkpoint it goes on from; none from the beginning.
    pub checkpoint: Option<u64>,
    /// Why it was started, and what differs from the attempt before, as a person would say it.
    pub why: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct End {
    pub attempt: u32,
    pub time: f64,
    /// The worker's exit code (see [`exit`]); none when a signal ended it, or nobody saw.
    pub code: Option<i32>,
    pub signal: Option<i32>,
    /// Newest checkpoint when it ended.
    pub checkpoint: Option<u64>,
    /// Last lines of the reason, as a person would say it.
    pub why: String,
    /// The most memory that its process was seen to hold on a GPU, as the driver tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_memory_bytes: Option<u64>,
    /// Why it ended badly, where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// How long it lived, by a monotonic clock; none where nobody watched it from its start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
}

/// Exit codes of a worker.
pub mod exit {
    pub const FINISHED: i32 = 0;
    pub const FAILED: i32 = 1;
    /// Could not write: the disk is full, or the folder is gone.
    pub const CANNOT_WRITE: i32 = 74;
    /// Ended as asked, with a checkpoint.
    pub const ENDED_AS_ASKED: i32 = 75;
    pub const OUT_OF_DEVICE_MEMORY: i32 = 82;
    pub const DEVICE_LOST: i32 = 83;
}

/// A line of `events.jsonl` of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub time: f64,
    pub attempt: u32,
    pub step: u64,
    #[serde(flatten)]
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum What {
    Started,
    /// Goes on from the checkpoint of this step.
    Resumed {
        checkpoint: u64,
    },
    Evaluated {
        metrics: BTreeMap<String, Number>,
    },
    Sampled,
    Checkpointed {
        /// Size of the checkpoint's files.
        bytes: u64,
        seconds: f64,
        /// The run's history up to here and the weights' hash, as in the checkpoint's `state.json`: what
        /// is left of it for ever. Empty in events of older versions.
        #[serde(default)]
        history: String,
        #[serde(default)]
        weights: String,
    },
    /// Something that a person should know of; by a rule, where one is named.
    Alert {
        message: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rule: Option<String>,
        /// What was done about it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        action: Option<Action>,
    },
    Failed {
        kind: FailureKind,
        message: String,
    },
    /// Ended as asked.
    Ended {
        why: String,
    },
    Finished,
}

/// Why a run failed, told apart where a person would do something else about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// A loss was not a finite number.
    NotFinite,
    /// A data file is missing, damaged or does not fit.
    Data,
    OutOfDeviceMemory,
    DeviceLost,
    CannotWrite,
    /// No checkpoint could be read, or one of another run.
    Checkpoint,
    Other,
}

/// `progress.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    pub attempt: u32,
    pub time: f64,
    /// Steps done.
    pub step: u64,
    pub steps: u64,
    pub epoch: f64,
    pub phase: Phase,
    /// Training steps per second of this attempt, lately.
    pub steps_per_second: Option<f64>,
    /// Name and value of the rate that people look at: tokens or images per second.
    pub rate: Option<(String, f64)>,
    /// Seconds left, evaluations and checkpoints included.
    pub remaining_seconds: Option<f64>,
    /// The last training loss that was fetched.
    pub loss: Option<Number>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    Loading,
    Training,
    Evaluating,
    Sampling,
    Checkpointing,
}

/// `model.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelRecord {
    /// As in the settings: `gpt`, `cnn`, ...
    pub kind: String,
    /// Trained numbers in all; tied ones once.
    pub parameters: u64,
    /// First to last, as data flows.
    pub layers: Vec<Layer>,
    /// A language model's tokens, by number; bytes as `<0a>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vocabulary: Option<Vec<String>>,
    /// A classifier's classes, by number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// Dotted, as in the checkpoint's tensor names: `transformer.h.0.attn`.
    pub name: String,
    /// `embedding`, `attention`, `feed-forward`, `convolution`, `norm`, `linear`, ...
    pub kind: String,
    /// Shape of what comes out for one example, without the batch.
    pub output: Vec<i64>,
    /// Tensor names below the layer's and their shapes.
    pub tensors: Vec<(String, Vec<i64>)>,
    pub parameters: u64,
}

/// `evaluation.json`: the last full evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    pub step: u64,
    pub metrics: BTreeMap<String, Number>,
    #[serde(default)]
    pub classes: Vec<ClassEvaluation>,
    /// `confusion[actual][predicted]`: how many validation examples.
    #[serde(default)]
    pub confusion: Vec<Vec<u64>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassEvaluation {
    pub name: String,
    pub examples: u64,
    /// Part of the class's examples that were recognized.
    #[serde(with = "super::number")]
    pub accuracy: f64,
}

/// `samples/step-*.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    pub step: u64,
    pub items: Vec<SampleItem>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum SampleItem {
    Text {
        prompt: String,
        /// What the model added; the prompt is not in it.
        text: String,
        temperature: f64,
        top_k: u32,
        top_p: f64,
    },
    /// One image of the sheet `step-*.png`, by its number from the top left.
    Prediction {
        tile: u32,
        actual: String,
        predicted: String,
        #[serde(with = "super::number")]
        probability: f64,
    },
}

/// `result.json`: the last act of a run that finished, and only of such.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    pub protocol: u32,
    pub time: f64,
    /// Steps done, which is fewer than planned after an early stop.
    pub step: u64,
    pub epoch: f64,
    /// Seconds of training over all attempts.
    pub elapsed_seconds: f64,
    /// Why it ended before its last step, where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_early: Option<String>,
    /// Last value of each metric.
    pub last: BTreeMap<String, Number>,
    /// Best value of `checkpoint.best`.
    pub best: Option<Best>,
    /// Step of the last checkpoint, and of the best one.
    pub last_checkpoint: u64,
    pub best_checkpoint: Option<u64>,
    /// Running hash over each step's loss and each checkpoint's weights, in hex.
    pub history: String,
    pub attempts: u32,
}

/// `batch.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    pub protocol: u32,
    pub host: String,
    pub process: u32,
    pub start: f64,
    pub end: Option<f64>,
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
