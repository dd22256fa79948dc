//! `overnight check`: what is wrong with experiment files and `overnight.toml`, and what they come to.

use serde_json::json;

use super::{fits, print_json, text};
use crate::cli::FilesArgs;
use crate::exit::Exit;
use crate::queue::{self, QueueError, stages};
use crate::run_dir::Workspace;
use crate::say;
use crate::workspace_settings::WorkspaceSettings;

pub fn check(workspace: &Workspace, args: &FilesArgs) -> anyhow::Result<Exit> {
    let checked = WorkspaceSettings::read(workspace).map_err(QueueError::from).and_then(|settings| {
        let checked = queue::check(&args.files, &args.overrides.set)?;
        stages::check(workspace, &checked, &settings.alerts)?;
        Ok(checked)
    });
    match checked {
        Ok(checked) if args.json.json => {
            let experiments: Vec<_> = checked
                .iter()
                .map(|good| json!({ "file": good.experiment.file(), "runs": good.experiment.runs.len() }))
                .collect();
            let warnings = fits::warnings(&checked);
            print_json(&json!({ "experiments": experiments, "problems": [], "warnings": warnings }))?;
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
            fits::warnings(&checked).iter().for_each(|words| text::talk(format_args!("warning: {words}")));
            Ok(Exit::Success)
        }
        Err(error) => Err(error.into()),
    }
}
