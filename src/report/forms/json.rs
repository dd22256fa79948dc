//! Runs as JSON: what each is, and its metrics as rows under their columns (pandas: `DataFrame(run["rows"],
//! columns=run["columns"])`), and the same of quantiles of histograms. Whole numbers have no point; what is not finite is "nan", "inf" or "-inf".

use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::super::export::Surroundings;
use super::chosen::{Chosen, Outline};
use super::place::text;
use super::{FormError, Written};
use crate::run_dir::number::spelled;
use crate::run_dir::records::RunRecord;
use crate::run_dir::status::last_start;

pub fn write(chosen: &mut Chosen, out: &mut impl Write, written: &mut Written) -> Result<(), FormError> {
    text(out, concat!("{\"format\":1,\"program\":\"overnight ", env!("CARGO_PKG_VERSION"), "\",\"runs\":["))?;
    let mut rows = 0;
    for (place, dir) in chosen.dirs.iter().enumerate() {
        let outline = chosen.outline(dir);
        let columns = chosen.rows(dir)?.map(|rows| rows.columns).unwrap_or_default();
        let facts = facts(&outline, chosen.surroundings, &columns).to_string();
        text(out, if place > 0 { ",\n" } else { "\n" })?;
        text(out, facts.strip_suffix('}').unwrap_or(&facts))?;
        text(out, ",\"rows\":[")?;
        rows += each(chosen, &dir.metrics(), out)?;
        text(out, "],\"distributions\":")?;
        let spread = chosen.rows_of(&dir.distributions())?.map(|rows| rows.columns).unwrap_or_default();
        if spread.is_empty() {
            text(out, "null")?;
        } else {
            text(out, &format!("{{\"columns\":{},\"rows\":[", json!(spread)))?;
            each(chosen, &dir.distributions(), out)?;
            text(out, "]}")?;
        }
        text(out, "}")?;
    }
    text(out, "\n]}\n")?;
    written.holds.push(("rows".into(), rows));
    written.left_out.push("samples, logs, telemetry and checkpoints".into());
    Ok(())
}

/// Each row of a table as a list; how many.
fn each(chosen: &mut Chosen, path: &Path, out: &mut impl Write) -> Result<u64, FormError> {
    let (mut rows, mut line) = (0, String::new());
    chosen.each_row_of(path, |_, values| {
        line.clear();
        line.push_str(if rows == 0 { "[" } else { ",\n[" });
        for (at, value) in values.iter().enumerate() {
            line.push_str(if at > 0 { "," } else { "" });
            line.push_str(&number(*value));
        }
        line.push(']');
        rows += 1;
        text(out, &line)
    })?;
    Ok(rows)
}

fn facts(outline: &Outline, surroundings: Surroundings, columns: &[String]) -> Value {
    let files = &outline.files;
    let record = files.seen.record.as_ref().ok();
    let environment = files.environment.as_ref();
    let mut facts = json!({
        "experiment": outline.experiment,
        "run": outline.run,
        "seed": outline.seed,
        "state": files.seen.status.word(),
        "description": record.map(|record| &record.description),
        "tags": files.tags(),
        "notes": files.notes(),
        "varied": record.map(|record| &record.varied),
        "settings": record.and_then(RunRecord::own_settings),
        "imported": record.and_then(|record| record.imported.as_ref()),
        "result": files.result,
        "data": environment.map(|known| &known.data),
        "program": environment.map(|known| &known.program),
        "libtorch": last_start(&files.seen.attempts).map(|start| &start.libtorch),
    });
    if surroundings == Surroundings::Shown {
        facts["environment"] = json!(environment);
    }
    // Last, before the rows that it names.
    facts["columns"] = json!(columns);
    facts
}

fn number(value: Option<f64>) -> String {
    match value {
        None => "null".to_owned(),
        Some(value) if value.is_finite() => spelled(value),
        Some(value) => format!("\"{}\"", spelled(value)),
    }
}
