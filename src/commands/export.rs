//! `overnight export`: some runs, or all, as one file to send.

use std::collections::BTreeSet;
use std::io::{self, Write};

use super::{print_json, text};
use crate::cli::ExportArgs;
use crate::exit::Exit;
use crate::queue::select::{self, SelectError};
use crate::report::export::{Surroundings, export as exported};
use crate::run_dir::write::{Durability, replace};
use crate::run_dir::{RunDir, Workspace, scan};

pub fn export(workspace: &Workspace, args: &ExportArgs) -> anyhow::Result<Exit> {
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
    let surroundings = if args.with_environment { Surroundings::Shown } else { Surroundings::LeftOut };
    let exported = exported(workspace, &dirs, surroundings, args.theme.as_deref())?;
    exported.warning.iter().for_each(text::talk);
    let html = exported.html;
    if args.output.as_os_str() == "-" {
        io::stdout().lock().write_all(html.as_bytes())?;
        return Ok(Exit::Success);
    }
    // A bare name has an empty folder.
    let path = std::path::absolute(&args.output)?;
    replace(&path, html.as_bytes(), Durability::Rebuildable)?;
    if args.json.json {
        let file = args.output.display().to_string();
        print_json(&serde_json::json!({ "file": file, "bytes": html.len(), "runs": dirs.len() }))?;
        return Ok(Exit::Success);
    }
    text::talk(format_args!("{} runs, {} bytes", dirs.len(), html.len()));
    text::result(args.output.display())?;
    Ok(Exit::Success)
}
