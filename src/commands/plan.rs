//! `overnight plan` and `overnight queue`: what experiment files come to, shown or queued.

use serde_json::json;

use super::print_json;
use super::text::{self, Cell, Table};
use crate::cli::PlanArgs;
use crate::exit::Exit;
use crate::experiment::identity::short;
use crate::queue::{self, Again, Entry};
use crate::run_dir::{Workspace, scan};
use crate::say;
use crate::workspace_settings::WorkspaceSettings;

pub fn plan(workspace: &Workspace, args: &PlanArgs) -> anyhow::Result<Exit> {
    let entries = entries(workspace, args)?;
    if args.files.json.json {
        let runs: Vec<_> = entries.iter().map(|entry| described(entry, &state(entry))).collect();
        print_json(&json!({ "runs": runs }))?;
        return Ok(Exit::Success);
    }
    let mut table = Table::new(&["#>", "run", "steps>", "varies", "state"]);
    for (index, entry) in entries.iter().enumerate() {
        let varied = entry.record.varied.iter().map(|(path, value)| format!("{path}={}", short(value)));
        table.row(vec![
            Cell::new((index + 1).to_string()),
            Cell::new(format!("{}/{}", entry.record.experiment, entry.record.run)),
            Cell::new(say::count(entry.record.steps)),
            Cell::new(varied.collect::<Vec<_>>().join(" ")),
            Cell::new(state(entry)),
        ]);
    }
    table.print(&mut anstream::stdout())?;
    let new = entries.iter().filter(|entry| !entry.is_known).count();
    let steps: u64 =
        entries.iter().filter(|entry| state(entry) != "finished").map(|entry| entry.record.steps).sum();
    text::talk(format_args!(
        "{} runs, {new} of them new; {} steps that are not finished",
        entries.len(),
        say::count(steps)
    ));
    Ok(Exit::Success)
}

pub fn queue(workspace: &Workspace, args: &PlanArgs) -> anyhow::Result<Exit> {
    WorkspaceSettings::read(workspace)?;
    let entries = entries(workspace, args)?;
    queue::submit(workspace, &entries)?;
    if args.files.json.json {
        let runs: Vec<_> = entries.iter().map(|entry| described(entry, &state(entry))).collect();
        print_json(&json!({ "runs": runs }))?;
    } else {
        for entry in entries.iter().filter(|entry| !entry.is_known) {
            text::result(format_args!("{}/{}", entry.record.experiment, entry.record.run))?;
        }
        let known = entries.iter().filter(|entry| entry.is_known).count();
        text::talk(format_args!("queued {} runs; {known} were there already", entries.len() - known));
    }
    Ok(Exit::Success)
}

fn entries(workspace: &Workspace, args: &PlanArgs) -> anyhow::Result<Vec<Entry>> {
    let checked = queue::check(&args.files.files, &args.files.overrides.set)?;
    let again = if args.again { Again::Yes } else { Again::No };
    Ok(queue::plan(workspace, &checked, again)?)
}

/// `new`, or the word of the run that is there.
fn state(entry: &Entry) -> String {
    if !entry.is_known {
        return "new".to_owned();
    }
    scan::look(&entry.dir, &scan::host(), scan::now()).status.word().to_owned()
}

fn described(entry: &Entry, state: &str) -> serde_json::Value {
    json!({
        "experiment": entry.record.experiment,
        "run": entry.record.run,
        "steps": entry.record.steps,
        "varied": entry.record.varied,
        "state": state,
        "directory": entry.dir.path(),
    })
}
