//! What templates see of what happened.

use serde::Serialize;

use super::super::say::Moment;
use super::super::summary::State;

#[derive(Clone, Debug, Default, Serialize)]
pub struct News {
    /// Since the last batch began, newest first.
    pub rows: Vec<NewsRow>,
    /// Events of that time that have no row.
    pub more: usize,
    /// How often a run of that time went on from a checkpoint.
    pub resumed: usize,
    /// The events for the script, which tells of other times: see `morning.js`.
    pub told: String,
}

/// Something that became of a run.
#[derive(Clone, Debug, Serialize)]
pub struct NewsRow {
    pub id: String,
    pub when: Moment,
    pub state: State,
    /// Classes of the run's color.
    pub class: String,
    pub name: String,
    pub full_name: String,
    pub experiment: String,
    pub href: String,
    /// The value it came to, the cause, the checkpoint.
    pub text: String,
}

/// Who leads an experiment, and whether that is decided.
#[derive(Clone, Debug, Serialize)]
pub struct LeadRow {
    pub experiment: String,
    pub href: String,
    pub text: String,
    /// Unix seconds at which the experiment was last heard of.
    pub latest: f64,
    /// Whether that is since the last batch began.
    pub is_of_batch: bool,
}
