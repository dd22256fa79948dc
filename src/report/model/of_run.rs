//! Parts of a run's page that other pages do not have.

use serde::Serialize;

use super::super::say::Moment;

/// What somebody wrote down about the run.
#[derive(Clone, Debug, Serialize)]
pub struct NoteRow {
    pub text: String,
    /// Empty for a note of the experiment's file.
    pub who: String,
    pub when: Option<Moment>,
}

/// A number about the run's course, with what it means.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AnalyticsRow {
    pub name: String,
    pub value: String,
    pub unit: String,
    pub note: String,
}

/// The model, as a diagram and as a list.
#[derive(Clone, Debug, Serialize)]
pub struct ModelBlock {
    /// "gpt, 804,096 parameters in 27 layers".
    pub summary: String,
    /// What goes in and what comes out, where that is known.
    pub input: String,
    pub output: String,
    /// Empty where nothing is known of the layers.
    pub svg: String,
    pub layers: Vec<LayerRow>,
    /// Rows of the list that are left out.
    pub more: usize,
}

/// A layer in the list, or the head of a block of layers.
#[derive(Clone, Debug, Serialize)]
pub struct LayerRow {
    /// The layer's number, for links; none at the head of a block.
    pub number: Option<usize>,
    pub name: String,
    pub kind: String,
    pub shape: String,
    pub share: String,
    pub tensors: Vec<TensorRow>,
}

#[derive(Clone, Debug, Serialize)]
pub struct TensorRow {
    pub name: String,
    pub shape: String,
    pub numbers: String,
}

/// The run that a run's settings are compared with.
#[derive(Clone, Debug, Serialize)]
pub struct SiblingBlock {
    pub name: String,
    pub href: String,
    /// "val/loss 1.4718".
    pub best: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct SettingRow {
    pub path: String,
    pub value: String,
    pub default: String,
    /// What the best sibling has; none where there is no sibling.
    pub sibling: Option<String>,
    /// Where the value came from: "line 12", "sweep", "command line".
    pub origin: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct CheckpointRow {
    pub step: String,
    pub losses: Vec<String>,
    pub size: String,
    /// "best", "last" or empty.
    pub note: String,
    /// The weights' file, from the workspace.
    pub file: String,
    /// What one would type to use it.
    pub command: String,
}

/// The checkpoints that lie on disk.
#[derive(Clone, Debug, Serialize)]
pub struct CheckpointsBlock {
    /// Names of the losses, where rows have them.
    pub losses: Vec<String>,
    pub rows: Vec<CheckpointRow>,
}

/// The end of `train.log`, and where the rest of it is.
#[derive(Clone, Debug, Serialize)]
pub struct LogBlock {
    pub tail: String,
    /// Whether `log.txt` and `log.js` beside the page hold more than the tail.
    pub has_more: bool,
    /// Bytes of the file: whoever holds fewer asks again.
    pub bytes: u64,
    pub size: String,
    /// What the text beside the page leaves out, or empty.
    pub left_out: String,
}

/// Metrics without a chart of their own, by the beginning of their names.
#[derive(Clone, Debug, Serialize)]
pub struct FurtherBlock {
    pub count: String,
    /// The column of the steps in the header of `metrics.csv`.
    pub step: Option<usize>,
    pub groups: Vec<FurtherGroup>,
    /// Metrics of groups that are not named.
    pub left_out: usize,
    /// Whether a script beside the page has the curves of each group.
    pub is_beside: bool,
}

#[derive(Clone, Debug, Serialize)]
pub struct FurtherGroup {
    pub name: String,
    /// Metrics in it.
    pub count: String,
    pub rows: Vec<FurtherRow>,
    /// Metrics that are not named.
    pub more: usize,
}

#[derive(Clone, Debug, Serialize)]
pub struct FurtherRow {
    pub name: String,
    /// Its column in the header of `metrics.csv`.
    pub place: usize,
    pub last: String,
    pub lowest: String,
    pub highest: String,
    /// Values that were logged.
    pub rows: String,
}
