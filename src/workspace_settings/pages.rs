//! `[report]`: how the pages look.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::experiment::Problem;
use crate::run_dir::is_plain_name;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReportSettings {
    /// default, contrast (high contrast), paper (for print and papers), or a folder below `themes/` with a
    /// theme.css, and a logo.svg or logo.png if you like. Default: "default".
    pub theme: String,
}

impl Default for ReportSettings {
    fn default() -> Self {
        ReportSettings { theme: "default".into() }
    }
}

impl ReportSettings {
    pub(super) fn problems(&self) -> Vec<Problem> {
        if is_plain_name(&self.theme) {
            return Vec::new();
        }
        let reason = format!("\"{}\" is no name of a theme", self.theme);
        vec![Problem::new(
            "report.theme",
            reason,
            "write default, contrast, paper, or a folder below themes/",
        )]
    }
}
