//! What a probe is told and what it answers: both pass between runner and worker as one line of JSON,
//! neither reaches the run directory.

use serde::{Deserialize, Serialize};

use super::Start;

/// The argument of `overnight-worker probe RUN_DIR ORDERS`: how the run would be started, and for how
/// long its steps are timed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeOrders {
    pub start: Start,
    /// Seconds of training that are timed, after the warm-up.
    pub seconds: f64,
}

/// The one line that a probe prints. It then goes on taking steps until its standard input ends, so
/// that others can be timed beside it and its memory can be looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeResult {
    /// Training steps alone, without the warm-up and the batch that was evaluated.
    pub steps_per_second: f64,
    pub steps: u64,
    pub seconds: f64,
    /// The most bytes that tensors held at once on a GPU. Less than what the process takes there: the
    /// allocator keeps more, and CUDA itself takes some.
    #[serde(default)]
    pub peak_device_bytes: Option<u64>,
    /// Memory of the process on the machine.
    pub process_memory_bytes: u64,
}

/// How the processor was divided among runs, and what each division came to: kept in `batch.json`, so
/// that a later batch need not measure it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MeasuredDivision {
    /// What of the settings decides speed and memory, as a hash.
    pub settings: String,
    /// The processor as it names itself.
    pub processor: String,
    pub cores: u32,
    /// Version, with its local part; empty in records of older versions.
    #[serde(default)]
    pub libtorch: String,
    /// When it was measured; 0 in records of older versions.
    #[serde(default)]
    pub time: f64,
    /// The largest part of the processor that others took meanwhile, where the kernel tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub others: Option<f64>,
    /// From one run at a time upwards.
    pub rates: Vec<DivisionRate>,
}

/// What one division came to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DivisionRate {
    /// Runs at once.
    pub runs: u32,
    /// Threads of each.
    pub threads: u32,
    /// Of all runs together.
    pub steps_per_second: f64,
}

/// What a probe took of a GPU's memory, in `batch.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeasuredMemory {
    /// What of the settings decides speed and memory, as a hash.
    pub settings: String,
    /// The GPU's model name.
    pub gpu: String,
    pub bytes: u64,
}
