//! `[retention]`: what of the runs is kept, and whether the rest goes by itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::out_of_range;
use crate::experiment::Problem;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionSettings {
    /// Whether these rules are applied after each run. Otherwise `overnight clean` shows what they
    /// come to, and `overnight clean --yes` carries them out. Default: false.
    pub apply: bool,
    /// Newest checkpoints kept of each run, beside the best, where the experiment keeps more;
    /// 0 is as many as the experiment says. Default: 0.
    pub checkpoints: u32,
    /// Days after which a run that has finished, and was not touched since, goes whole; 0 is never. One
    /// that failed or was stopped can be retried, and stays. Default: 0.
    #[schemars(range(min = 0.0))]
    pub older_than_days: f64,
    /// Finished runs kept of each experiment, those with the best values; the others go whole. 0 keeps
    /// all. Default: 0.
    pub best: u32,
}

impl RetentionSettings {
    pub(super) fn problems(&self) -> Vec<Problem> {
        let days = self.older_than_days;
        if days.is_finite() && days >= 0.0 {
            return Vec::new();
        }
        vec![out_of_range("retention.older_than_days", days, "0 up")]
    }
}
