//! `[devices]`: what runs may take of this machine's devices.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::out_of_range;
use crate::experiment::Problem;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DeviceSettings {
    /// Whether several runs may be on one GPU at once, when more wait than GPUs are free and what they
    /// take is known to fit. Default: true.
    pub share: bool,
    /// Runs at once on one GPU, 1 to 64, where `slots` says nothing else. Default: 4.
    #[schemars(range(min = 1, max = 64))]
    pub runs_per_gpu: u32,
    /// Memory of a GPU that stays free beside what its runs take, in MiB. Default: 512.
    pub margin_mib: u32,
}

impl Default for DeviceSettings {
    fn default() -> Self {
        DeviceSettings { share: true, runs_per_gpu: 4, margin_mib: 512 }
    }
}

impl DeviceSettings {
    pub(super) fn problems(&self) -> Vec<Problem> {
        if (1..=64).contains(&self.runs_per_gpu) {
            return Vec::new();
        }
        vec![out_of_range("devices.runs_per_gpu", self.runs_per_gpu, "1 to 64")]
    }
}
