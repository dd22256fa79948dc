//! What templates see of several runs taken together.

use serde::Serialize;

use super::super::chart::table::DataTable;
use super::Figure;
use crate::statistics::importance::Method;

/// Settings with their seeds taken together.
#[derive(Clone, Debug, Serialize)]
pub struct SeedsBlock {
    pub metric: String,
    /// The step up to which values are compared.
    pub step: f64,
    pub figure: Option<Figure>,
    /// Whether any setting is known to be behind the first.
    pub has_behind: bool,
    /// Best first.
    pub rows: Vec<GroupRow>,
}

#[derive(Clone, Debug, Serialize)]
pub struct GroupRow {
    pub name: String,
    pub class: String,
    pub seeds: usize,
    pub mean: String,
    pub mean_sort: f64,
    /// Standard deviation over seeds; empty for one.
    pub spread: String,
    /// The difference to the first with its interval, or empty.
    pub behind: String,
}

/// Which settings matter.
#[derive(Clone, Debug, Serialize)]
pub struct ImportanceBlock {
    pub method: Method,
    /// The method and how to read it, in sentences.
    pub explained: String,
    pub rows: Vec<ImportanceRow>,
}

#[derive(Clone, Debug, Serialize)]
pub struct ImportanceRow {
    pub setting: String,
    pub value: f64,
    pub low: f64,
    pub high: f64,
    pub text: String,
    /// "0.12 to 0.31".
    pub interval: String,
    /// What that means, in a few words.
    pub meaning: &'static str,
    /// Of how many runs it was judged, where that is not the same for all.
    pub of: String,
    pub svg: String,
}

/// Settings and metrics of all runs against each other.
#[derive(Clone, Debug, Serialize)]
pub struct SweepBlock {
    /// Parallel coordinates.
    pub parallel: Sketch,
    pub scatter: Sketch,
    /// What the scatter shows as it is drawn here.
    pub title: String,
    pub table: DataTable,
    /// All fields with their values, as JSON for the script.
    pub data: String,
    /// Runs that are not drawn.
    pub left_out: usize,
    /// Metrics of the runs that are no field.
    pub metrics_left_out: usize,
}

/// A drawing alone, which the page's twin leaves out.
#[derive(Clone, Debug, Serialize)]
pub struct Sketch {
    pub svg: String,
}
