//! The records that stand in the files of a run directory and of a batch.
//!
//! `time` is Unix time in seconds, everywhere. Numbers that may not be finite are
//! [`Number`]s. Fields may be added within one protocol version, and then have a default.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::cause::Cause;
use super::checkpoint::Best;
use super::imported::Imported;
use super::number::Number;
use super::stage::{TakenFile, TakenWeights};
use crate::experiment::alert::Action;
use crate::experiment::settings::{Precision, Queue, Settings};
use crate::experiment::{Alert, Budget};

mod batch;
mod generate;
mod model;
mod probe;

pub use batch::{
    Batch, BatchEvent, BatchGpu, Counts, FailedRun, PassedBy, PlanEntry, QueueState, RunName, RunnerLock,
    WaitingRun,
};
pub use generate::GenerateOrders;
pub use model::{ClassEvaluation, Evaluation, Layer, ModelRecord, Sample, SampleItem};
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
    /// What a worker of ours obeys, complete. A run that another program trained has none: the file leaves them
    /// out, and what stands here then may be asked nothing (see [`RunRecord::own_settings`]).
    #[serde(default = "Settings::absent", skip_serializing_if = "Settings::is_absent")]
    pub settings: Settings,
    /// Where a run of another program comes from, with the settings it tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<Box<Imported>>,
    /// What the sweep varies, by dotted path, in the order of the file: `train.optimizer.lr` → 0.001.
    #[serde(default)]
    pub varied: serde_json::Map<String, Value>,
    /// Which of them it draws from a log-uniform distribution.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log_uniform: Vec<String>,
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
    /// What the file system said of the same files.
    pub stamps: Vec<Stamp>,
    /// The report that the run was taken from, to be trained again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent: Option<SentFrom>,
}

/// An exported file that a run was taken from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentFrom {
    /// The file's name, without its folder.
    pub file: String,
    /// blake3 of it, in hex.
    pub blake3: String,
    /// Version of overnight that queued the run there.
    pub program: String,
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

/// A mark of a data file, or of a folder of them, that is another when it may have changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stamp {
    /// Relative to the run's `base`.
    pub path: String,
    /// Unix seconds of the last change, in content, name or place.
    pub changed: f64,
    /// Hash of names, sizes, inodes and times.
    pub mark: String,
}

impl Eq for Stamp {}

impl std::hash::Hash for Stamp {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (&self.path, &self.mark).hash(state);
    }
}

/// Data as an attempt found it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataSeen {
    pub stamps: Vec<Stamp>,
    pub contents: Vec<Fingerprint>,
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
    /// By which who asked over the network names this request, so that it is made once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
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
    /// An empty one takes away those that were added before.
    Note {
        text: String,
    },
    Tag {
        tag: String,
        /// Whether the run shall not have it any more.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        remove: bool,
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
    /// The weights that the run began with, where it took those of another; the same in all its attempts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Box<TakenWeights>>,
    /// The text that the run took of others; the same in all its attempts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub text: Vec<TakenFile>,
    /// The data that it learns from, where that is not as it was queued: touched, or changed and taken as
    /// it is by a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Box<DataSeen>>,
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
