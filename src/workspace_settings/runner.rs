//! `[runner]`: how runs are worked off, where the command line does not say otherwise.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::out_of_range;
use crate::experiment::Problem;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RunnerSettings {
    /// Runs at once, 1 to 1,024; 0 is as many as GPUs have room for, and on the processor as many as end
    /// soonest, which is measured. Default: 0.
    #[schemars(range(max = 1024))]
    pub slots: u32,
    /// Runs in a row that fail with the same cause before the batch stops itself; 0 never does.
    /// Default: 5.
    pub breaker: u32,
    /// Seconds that a worker which was asked to end may go without a step before it is killed,
    /// 1 to 86,400. Default: 60.
    #[schemars(range(min = 1, max = 86_400))]
    pub patience_seconds: u32,
    /// Seconds that a run's data may give no sign before its place goes to others, 1 to 86,400; it starts
    /// when they answer. Default: 120.
    #[schemars(range(min = 1, max = 86_400))]
    pub data_seconds: u32,
    /// Whether the report is kept fresh meanwhile; `--no-report` leaves it out. Default: true.
    pub report: bool,
}

impl Default for RunnerSettings {
    fn default() -> Self {
        RunnerSettings { slots: 0, breaker: 5, patience_seconds: 60, data_seconds: 120, report: true }
    }
}

impl RunnerSettings {
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.slots > 1024 {
            problems.push(out_of_range("runner.slots", self.slots, "1 to 1024, or 0 to let it be found"));
        }
        let seconds = [("patience_seconds", self.patience_seconds), ("data_seconds", self.data_seconds)];
        for (name, value) in seconds.into_iter().filter(|(_, value)| !(1..=86_400).contains(value)) {
            problems.push(out_of_range(&format!("runner.{name}"), value, "1 to 86400"));
        }
        problems
    }
}
