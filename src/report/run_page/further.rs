//! Metrics whose charts are too many for a page: named in groups by the beginning of their names, each with
//! its values in short. A group opens on demand, and a script draws what is asked for; all rows lie in the table
//! beside the page.

use std::collections::BTreeMap;

use super::super::chart::number::{count, measured};
use super::super::files::RunFiles;
use super::super::model::{FurtherBlock, FurtherGroup, FurtherRow};
use super::curves;
use crate::run_dir::metrics::Column;

/// Metrics that are named at all, and groups.
const NAMED: usize = 1_000;
const GROUPS: usize = 100;
/// What stands for the group of metrics without a slash.
const ALONE: &str = "others";

/// None where every metric has its chart.
pub fn block(files: &RunFiles) -> Option<FurtherBlock> {
    let columns = curves::not_drawn(files);
    if columns.is_empty() {
        return None;
    }
    let mut by_name: BTreeMap<&str, Vec<&Column>> = BTreeMap::new();
    for column in &columns {
        let group = column.name.split_once('/').map_or(ALONE, |(group, _)| group);
        by_name.entry(group).or_default().push(column);
    }
    let left_out = by_name.values().skip(GROUPS).map(Vec::len).sum();
    // Each group has its share of the rows, so that a large one hides no small one.
    let each = (NAMED / by_name.len().clamp(1, GROUPS)).max(1);
    let group = |(name, columns): (&str, Vec<&Column>)| FurtherGroup {
        name: name.to_owned(),
        count: count(columns.len() as u64),
        rows: columns.iter().take(each).map(|column| row(files, column)).collect(),
        more: columns.len().saturating_sub(each),
    };
    Some(FurtherBlock {
        count: count(columns.len() as u64),
        step: files.metrics.columns.iter().position(|column| column.name == "step"),
        groups: by_name.into_iter().take(GROUPS).map(group).collect(),
        left_out,
    })
}

fn row(files: &RunFiles, column: &Column) -> FurtherRow {
    let finite = || column.values.iter().copied().filter(|value| value.is_finite());
    let end = |value: Option<f64>| value.map_or_else(String::new, measured);
    FurtherRow {
        place: files.metrics.columns.iter().position(|other| other.name == column.name).unwrap_or_default(),
        name: column.name.clone(),
        last: end(column.last()),
        lowest: end(finite().reduce(f64::min)),
        highest: end(finite().reduce(f64::max)),
        rows: count(column.values.len() as u64),
    }
}
