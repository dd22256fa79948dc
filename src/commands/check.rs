//! `overnight check`: what is wrong with experiment files and `overnight.toml`, and what they come to.

use serde_json::json;

use super::{print_json, text};
use crate::cli::FilesArgs;
use crate::exit::Exit;
use crate::queue::{self, QueueError};
use crate::run_dir::Workspace;
use crate::say;
use crate::workspace_settings::WorkspaceSettings;

pub fn check(workspace: &Workspace, args: &FilesArgs) -> anyhow::Result<Exit> {
    let settings = WorkspaceSettings::read(workspace).err();
    match settings.map_or_else(|| queue::check(&args.files, &args.overrides.set), |wrong| Err(wrong.into())) {
        Ok(checked) if args.json.json => {
            let experiments: Vec<_> = checked
                .iter()
                .map(|good| json!({ "file": good.experiment.file(), "runs": good.experiment.runs.len() }))
                .collect();
            print_json(&json!({ "experiments": experiments, "problems": [] }))?;
            Ok(Exit::Success)
        }
        Err(QueueError::Rejected(rejected)) if args.json.json => {
            print_json(&json!({ "experiments": [], "problems": rejected.0 }))?;
            Ok(Exit::Rejected)
        }
        Ok(checked) => {
            for good in &checked {
                let runs = good.experiment.runs.len();
                let noun = if runs == 1 { "run" } else { "runs" };
                text::result(format_args!(
                    "{}: fine, {} {noun}",
                    good.experiment.file().display(),
                    say::count(runs as u64)
                ))?;
            }
            Ok(Exit::Success)
        }
        Err(error) => Err(error.into()),
    }
}
