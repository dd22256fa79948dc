//! `overnight export`: some runs, or all, as a file to send or in the form of another program.

use std::collections::BTreeSet;
use std::path::Path;

use super::{print_json, text};
use crate::cli::ExportArgs;
use crate::exit::Exit;
use crate::queue::select::{self, SelectError};
use crate::report::export::Surroundings;
use crate::report::forms::{self, Form, Layout, Overwrite, Wishes, Written};
use crate::run_dir::{RunDir, Workspace, scan};

/// Pixels across of a picture that nobody asked to be larger.
const WIDTH: u32 = 1600;

pub fn export(workspace: &Workspace, args: &ExportArgs) -> anyhow::Result<Exit> {
    let form = match args.format {
        Some(form) => form,
        None => Form::of_ending(&args.output)?,
    };
    if let Some(complaint) = without_use(form, args) {
        text::talk(complaint);
        return Ok(Exit::Usage);
    }
    let mut dirs: BTreeSet<RunDir> = BTreeSet::new();
    if args.all {
        dirs.extend(scan::runs(workspace));
    }
    for selection in &args.runs {
        dirs.extend(select::runs(workspace, selection)?);
    }
    if dirs.is_empty() {
        return Err(SelectError::NoRuns.into());
    }
    let dirs: Vec<RunDir> = dirs.into_iter().collect();
    let wishes = Wishes {
        layout: if args.wide { Layout::Wide } else { Layout::Long },
        metrics: args.metrics.clone(),
        chart: args.chart.clone(),
        width: args.width.unwrap_or(WIDTH),
        theme: args.theme.clone(),
        surroundings: if args.with_environment { Surroundings::Shown } else { Surroundings::LeftOut },
        overwrite: if args.force { Overwrite::Anything } else { Overwrite::Own },
    };
    let path = (args.output.as_os_str() != "-").then_some(args.output.as_path());
    let written = forms::write(workspace, &dirs, form, path, &wishes)?;
    written.warning.iter().for_each(text::talk);
    tell(&written, path, args)?;
    Ok(Exit::Success)
}

fn tell(written: &Written, path: Option<&Path>, args: &ExportArgs) -> anyhow::Result<()> {
    let Some(path) = path else { return Ok(()) };
    if args.json.json {
        let mut told = serde_json::json!({ "file": path.display().to_string() });
        if let (Some(told), serde_json::Value::Object(more)) =
            (told.as_object_mut(), serde_json::to_value(written)?)
        {
            told.extend(more);
        }
        print_json(&told)?;
        return Ok(());
    }
    let holds: String = written.holds.iter().map(|(what, number)| format!(", {number} {what}")).collect();
    text::talk(format_args!("{} runs{holds}, {} bytes", written.runs, written.bytes));
    for what in &written.left_out {
        text::talk(format_args!("left out: {what}"));
    }
    if let Some(moved) = &written.moved {
        text::talk(format_args!("what was there is now {}", moved.display()));
    }
    text::result(path.display())?;
    Ok(())
}

/// What was asked for that this form does nothing with.
fn without_use(form: Form, args: &ExportArgs) -> Option<String> {
    use Form::{Csv, Latex, Markdown, Parquet, Pdf, Png};
    let asked = [
        (args.wide, "--wide", &[Csv, Parquet][..]),
        (!args.metrics.is_empty(), "--metric", &[Latex, Markdown, Pdf]),
        (args.chart.is_some(), "--chart", &[Png]),
        (args.width.is_some(), "--width", &[Png]),
    ];
    let (_, flag, forms) =
        asked.into_iter().find(|(is_asked, _, forms)| *is_asked && !forms.contains(&form))?;
    let forms: Vec<String> = forms.iter().map(|form| format!("{form:?}").to_lowercase()).collect();
    Some(format!("{flag} is for {} alone (--format chooses one)", forms.join(", ")))
}
