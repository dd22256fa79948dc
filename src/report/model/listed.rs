//! What templates see of the list of all runs.

use serde::Serialize;

use super::{Column, Frame, RunRow};

/// `runs/index.html`.
#[derive(Clone, Debug, Serialize)]
pub struct RunsPage {
    pub frame: Frame,
    /// Runs there are.
    pub total: usize,
    /// The same as the script says it.
    pub said_total: String,
    /// Whether there are several states and several tags to choose from.
    pub has_states: bool,
    pub has_tags: bool,
    pub columns: Vec<Column>,
    /// The runs last heard of; the script has them all.
    pub rows: Vec<RunRow>,
    /// Where the others are, when there are others.
    pub elsewhere: Vec<Elsewhere>,
    /// Versions of the scripts with the data of all runs, in their order, with spaces between.
    pub scripts: String,
    /// Metrics that have no column in them.
    pub metrics_left_out: usize,
}

/// An experiment whose page lists runs that this one does not.
#[derive(Clone, Debug, Serialize)]
pub struct Elsewhere {
    pub experiment: String,
    pub href: String,
    pub runs: usize,
}
