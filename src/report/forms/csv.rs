//! Numbers of all runs as one CSV: long, a row for each value that was logged, or wide, a row for each row that
//! was logged. Numbers are spelt so that they read back to the same bits; `nan` and `inf` as everywhere. A text
//! that spreadsheets would take for a formula begins with an apostrophe.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;

use csv::{ByteRecord, Writer};
use serde_json::Value;

use super::chosen::{Chosen, Outline, Varying, cell};
use super::{FormError, Layout, Written};
use crate::run_dir::number::spelled;

/// Columns of every table before those that differ.
pub const ALWAYS: [&str; 4] = ["experiment", "run", "seed", "step"];

pub fn write(
    chosen: &mut Chosen,
    layout: Layout,
    out: &mut impl Write,
    written: &mut Written,
) -> Result<(), FormError> {
    let mut varying = Varying::default();
    for dir in chosen.dirs {
        varying.see(&chosen.outline(dir).settings);
    }
    let settings: Vec<String> = varying.settings().into_iter().map(|(path, _)| path).collect();
    let mut table = Writer::from_writer(out);
    let rows = match layout {
        Layout::Long => long(chosen, &settings, &mut table)?,
        Layout::Wide => wide(chosen, &settings, &mut table)?,
    };
    table.flush()?;
    written.holds.push(("rows".into(), rows));
    Ok(())
}

fn long(chosen: &mut Chosen, settings: &[String], table: &mut Writer<impl Write>) -> Result<u64, FormError> {
    let fixed = ALWAYS.into_iter().chain(["metric", "value"]);
    let heads: Vec<Cow<str>> = fixed.chain(settings.iter().map(String::as_str)).map(harmless).collect();
    put(table, &heads.iter().map(|head| head.as_bytes()).collect())?;
    let mut rows = 0;
    for dir in chosen.dirs {
        let outline = chosen.outline(dir);
        let (before, after) = (of_run(&outline), of_settings(&outline, settings));
        chosen.each_row(dir, |columns, values| {
            let at = columns.iter().position(|name| name == "step");
            let step = at.and_then(|at| values[at]).map(spelled).unwrap_or_default();
            for (name, value) in columns.iter().zip(values).filter(|(name, _)| *name != "step") {
                let Some(value) = value else { continue };
                let mut row = before.clone();
                row.push_field(step.as_bytes());
                row.push_field(harmless(name).as_bytes());
                row.push_field(spelled(*value).as_bytes());
                row.extend(&after);
                put(table, &row)?;
                rows += 1;
            }
            Ok(())
        })?;
    }
    Ok(rows)
}

fn wide(chosen: &mut Chosen, settings: &[String], table: &mut Writer<impl Write>) -> Result<u64, FormError> {
    let metrics = metrics_of(chosen)?;
    let names = wide_names(&metrics, settings);
    put(table, &names.iter().map(|name| harmless(name).into_owned()).collect())?;
    let mut rows = 0;
    for dir in chosen.dirs {
        let outline = chosen.outline(dir);
        let (before, after) = (of_run(&outline), of_settings(&outline, settings));
        chosen.each_row(dir, |columns, values| {
            let mut by_name: BTreeMap<&str, f64> = BTreeMap::new();
            by_name.extend(
                columns.iter().zip(values).filter_map(|(name, value)| Some((name.as_str(), (*value)?))),
            );
            let mut row = before.clone();
            for name in std::iter::once("step").chain(metrics.iter().map(String::as_str)) {
                row.push_field(by_name.get(name).map(|value| spelled(*value)).unwrap_or_default().as_bytes());
            }
            row.extend(&after);
            rows += 1;
            put(table, &row)
        })?;
    }
    Ok(rows)
}

/// The metrics that any of the runs has a column for, in the order in which they are met.
pub fn metrics_of(chosen: &mut Chosen) -> Result<Vec<String>, FormError> {
    let mut metrics: Vec<String> = Vec::new();
    let mut known = std::collections::BTreeSet::from(["step".to_owned()]);
    for dir in chosen.dirs {
        let Some(rows) = chosen.rows(dir)? else { continue };
        metrics.extend(rows.columns.iter().filter(|name| known.insert((*name).clone())).cloned());
    }
    Ok(metrics)
}

/// Names of the columns of a wide table, each once: a metric may bear the name of another column.
pub fn wide_names(metrics: &[String], settings: &[String]) -> Vec<String> {
    let is_taken = |name: &String| ALWAYS.contains(&name.as_str()) || settings.contains(name);
    let metric = |name: &String| if is_taken(name) { format!("metric/{name}") } else { name.clone() };
    let always = ALWAYS.iter().map(|name| (*name).to_owned());
    always.chain(metrics.iter().map(metric)).chain(settings.iter().cloned()).collect()
}

fn of_run(outline: &Outline) -> ByteRecord {
    let seed = outline.seed.map(|seed| seed.to_string()).unwrap_or_default();
    ByteRecord::from(vec![outline.experiment.as_str(), outline.run.as_str(), seed.as_str()])
}

fn of_settings(outline: &Outline, settings: &[String]) -> ByteRecord {
    let cell = |path: &String| match outline.settings.get(path) {
        Some(Value::String(text)) => harmless(text).into_owned(),
        other => cell(other),
    };
    settings.iter().map(cell).collect()
}

/// A text as no spreadsheet obeys it. Numbers do not come here.
fn harmless(text: &str) -> Cow<'_, str> {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        true => Cow::Owned(format!("'{text}")),
        false => Cow::Borrowed(text),
    }
}

fn put(table: &mut Writer<impl Write>, row: &ByteRecord) -> Result<(), FormError> {
    table.write_byte_record(row).map_err(|error| FormError::Write(error.into()))
}
