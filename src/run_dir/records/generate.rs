//! What a worker is told that only writes text: passes as one line of JSON, never reaches the run directory.

use serde::{Deserialize, Serialize};

use super::Start;
use crate::experiment::settings::Sample;

/// The argument of `overnight-worker generate RUN_DIR ORDERS`. It prints a [`SampleItem`](super::SampleItem)
/// a line, as soon as that is written, and writes nothing into the run's directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GenerateOrders {
    /// Device, threads and precision are taken from it.
    pub start: Start,
    /// The checkpoint whose weights write.
    pub step: u64,
    pub sample: Sample,
    /// The same seed on the same device writes the same text.
    pub seed: u64,
}
