//! What an exported file says of its runs, for programs: enough to train them again, and to tell whether the
//! same came out. The report packs it, `run` and `verify` read it; nothing in it is ever started or applied.

mod read;
mod rows;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::certificate::Point;
use super::number::Number;
use super::records::{Device, Fingerprint, RunRecord, Start};
use crate::experiment::settings::Precision;

pub use read::{Sent, SentError, read};
pub use rows::{Chain, Mark, Parted, chain, first_difference, marks};

/// Version of this form. The first one had no more than settings and values.
pub const FORMAT: u32 = 2;

/// A run as it is sent.
#[derive(Debug, Clone, Serialize)]
pub struct SentRun {
    /// What the run is: as its `run.json`, but for what is private.
    #[serde(flatten)]
    pub record: RunRecord,
    #[serde(flatten)]
    pub came: Came,
}

/// What became of a run, and on what.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Came {
    pub seed: u64,
    /// Its state in a word.
    pub state: String,
    /// Last value of each metric.
    #[serde(default)]
    pub last: BTreeMap<String, Number>,
    /// The data when it was queued, by size and hash.
    #[serde(default)]
    pub data: Vec<Fingerprint>,
    /// Version of overnight that queued it.
    #[serde(default)]
    pub program: String,
    #[serde(default)]
    pub libtorch: Option<String>,
    /// Of its last attempt what decides the bits.
    #[serde(default)]
    pub orders: Option<SentOrders>,
    /// Whether paths of data were shortened, because they tell of a machine: the settings do not have the
    /// recorded hash then.
    #[serde(default)]
    pub shortened: bool,
    /// Hashes that checkpoints left for ever: of some of them, always of the last.
    #[serde(default)]
    pub checkpoints: Vec<SentPoint>,
    /// Running hashes over the rows of `metrics.csv`, as far as they must reproduce.
    #[serde(default)]
    pub rows: Vec<Mark>,
    /// Less of the hashes of more rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<Chain>,
    /// How it finished.
    #[serde(default)]
    pub result: Option<SentResult>,
}

/// What of an attempt decides the bits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentOrders {
    /// `cpu` or `cuda`, and what the device calls itself.
    pub device: (String, String),
    pub precision: Precision,
    pub threads: u32,
    pub micro_batch: u32,
    pub accumulate: u32,
    pub libtorch: String,
}

impl SentOrders {
    pub fn of(start: &Start) -> SentOrders {
        let kind = match start.device {
            Device::Cpu { .. } => "cpu",
            Device::Cuda { .. } => "cuda",
        };
        SentOrders {
            device: (kind.to_owned(), start.device.name().to_owned()),
            precision: start.precision,
            threads: start.threads,
            micro_batch: start.micro_batch,
            accumulate: start.accumulate,
            libtorch: start.libtorch.clone(),
        }
    }
}

/// The hashes of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentPoint {
    pub step: u64,
    pub history: String,
    pub weights: String,
}

impl SentPoint {
    /// As the run's own events tell it.
    pub fn point(&self) -> Point {
        let SentPoint { step, history, weights } = self.clone();
        Point { step, attempt: 0, history, weights }
    }
}

/// How a run finished.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SentResult {
    pub step: u64,
    pub history: String,
    #[serde(default)]
    pub last: BTreeMap<String, Number>,
}
