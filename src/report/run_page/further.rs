//! Metrics whose charts are too many for a page: named in groups by the beginning of their names, each with
//! its values in short. A group opens on demand, and a script draws what is asked for: from the table beside
//! the page, or, where that may not be loaded, from a script for each group with its curves in few points.

use std::collections::BTreeMap;
use std::{fs, io};

use serde_json::{Value, json};

use super::super::chart::data::{Drawn, brief};
use super::super::chart::number::{count, measured};
use super::super::chart::series::{in_order, thinned};
use super::super::files::RunFiles;
use super::super::model::{FurtherBlock, FurtherGroup, FurtherRow};
use super::super::site::Site;
use super::super::summary::RunSummary;
use super::curves;
use crate::run_dir::metrics::Column;

/// Metrics that are named at all, and groups.
const NAMED: usize = 1_000;
const GROUPS: usize = 100;
/// What stands for the group of metrics without a slash.
const ALONE: &str = "others";
/// Columns of a curve in a script: a chart of a third of the page has little more room.
const COLUMNS: u32 = 100;

/// None where every metric has its chart.
pub fn block(files: &RunFiles, summary: &RunSummary) -> Option<FurtherBlock> {
    let groups = Groups::of(files);
    if groups.metrics == 0 {
        return None;
    }
    let group = |(name, columns): &(&str, Vec<&Column>)| FurtherGroup {
        name: (*name).to_owned(),
        count: count(columns.len() as u64),
        rows: columns.iter().take(groups.each).map(|column| row(files, column)).collect(),
        more: columns.len().saturating_sub(groups.each),
    };
    Some(FurtherBlock {
        count: count(groups.metrics as u64),
        step: files.metrics.columns.iter().position(|column| column.name == "step"),
        groups: groups.named.iter().map(group).collect(),
        left_out: groups.left_out,
        is_beside: !summary.is_active(),
    })
}

/// Writes the scripts of the groups. A run at work would have them written anew with each row; it has none.
///
/// # Errors
/// A script cannot be written.
pub fn publish(
    site: &Site,
    folder: &str,
    files: &RunFiles,
    summary: &RunSummary,
    written: &mut Vec<String>,
) -> io::Result<()> {
    let path = |place: usize| format!("{folder}/further-{place}.js");
    let groups = if summary.is_active() { Groups::default() } else { Groups::of(files) };
    for (place, (_, columns)) in groups.named.iter().enumerate() {
        let below = path(place + 1);
        if site.publish(&below, script(files, &columns[..groups.each.min(columns.len())]).as_bytes())? {
            written.push(below);
        }
    }
    for place in groups.named.len() + 1.. {
        if fs::remove_file(site.root().join(path(place))).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// What is named of the metrics that are not drawn.
#[derive(Default)]
struct Groups<'a> {
    metrics: usize,
    named: Vec<(&'a str, Vec<&'a Column>)>,
    /// Rows of one group: each has its share of them, so that a large one hides no small one.
    each: usize,
    /// Metrics of groups that are not named.
    left_out: usize,
}

impl<'a> Groups<'a> {
    fn of(files: &'a RunFiles) -> Groups<'a> {
        let columns = curves::not_drawn(files);
        let metrics = columns.len();
        let mut by_name: BTreeMap<&str, Vec<&Column>> = BTreeMap::new();
        for column in columns {
            let group = column.name.split_once('/').map_or(ALONE, |(group, _)| group);
            by_name.entry(group).or_default().push(column);
        }
        let left_out = by_name.values().skip(GROUPS).map(Vec::len).sum();
        let each = (NAMED / by_name.len().clamp(1, GROUPS)).max(1);
        Groups { metrics, named: by_name.into_iter().take(GROUPS).collect(), each, left_out }
    }
}

/// Curves by the place of their column in the header of `metrics.csv`: rows, and points in turn.
fn script(files: &RunFiles, columns: &[&Column]) -> String {
    let curve = |column: &&Column| -> Option<Value> {
        let place = files.metrics.columns.iter().position(|other| other.name == column.name)?;
        let points = files.metrics.paired("step", &column.name);
        let values = in_order(&points);
        let few =
            if values.len() > COLUMNS as usize * 2 { thinned(&values, COLUMNS) } else { values.to_vec() };
        let flat: Vec<Drawn> =
            few.iter().flat_map(|&(x, y)| [Drawn(brief(x, 9)), Drawn(brief(y, 6))]).collect();
        Some(json!([place, values.len(), flat]))
    };
    let curves: Vec<Value> = columns.iter().filter_map(curve).collect();
    format!("(window.overnightFurther ||= []).push(...{});\n", Value::Array(curves))
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
