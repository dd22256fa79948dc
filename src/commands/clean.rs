//! `overnight clean`: what could go, why, and how much that is; deletes only with `--yes`.

use std::io::{self, Write};
use std::path::Path;

use super::print_json;
use super::text::{self, Cell, Table};
use crate::clean::{self, Carried, Decision, Parts, Rules};
use crate::cli::CleanArgs;
use crate::exit::Exit;
use crate::queue::select::{self, SelectError};
use crate::run_dir::{Workspace, scan};
use crate::say;
use crate::workspace_settings::WorkspaceSettings;

pub fn clean(workspace: &Workspace, args: &CleanArgs) -> anyhow::Result<Exit> {
    if let Some(number) = stray_number(workspace, args) {
        text::talk(format_args!(
            "error: there is no run {number}; the number is written --all-but-best={number}"
        ));
        return Ok(Exit::Usage);
    }
    let rules = rules(workspace, args)?;
    let outside = clean::leftovers(workspace, scan::now());
    let decision = clean::decide(&clean::observe(workspace), &outside, &rules);
    let bytes: u64 = decision.removals.iter().map(|removal| removal.bytes).sum();
    if args.json.json {
        let Decision { removals, kept } = &decision;
        let shown =
            serde_json::json!({ "removals": removals, "kept": kept, "bytes": bytes, "deleted": args.yes });
        print_json(&shown)?;
    } else {
        print(workspace, &decision)?;
    }
    for kept in &decision.kept {
        text::talk(format_args!("{} stays: {}", shown(workspace, &kept.path), kept.reason));
    }
    if !args.yes {
        if !decision.removals.is_empty() {
            text::talk(format_args!("{} could go; nothing was deleted (--yes deletes)", say::bytes(bytes)));
        }
        return Ok(Exit::Success);
    }
    let mut freed = 0;
    for removal in &decision.removals {
        let why = match clean::carry_out(removal, &rules)? {
            Carried::Gone => {
                freed += removal.bytes;
                continue;
            }
            Carried::Alive => "a worker lives there",
            Carried::Obsolete => "it has changed just now",
        };
        text::talk(format_args!("{} stays: {why}", shown(workspace, &removal.path)));
    }
    text::talk(format_args!("{} freed", say::bytes(freed)));
    Ok(Exit::Success)
}

/// The number of `--all-but-best 2`, which would be taken for a run.
fn stray_number<'a>(workspace: &Workspace, args: &'a CleanArgs) -> Option<&'a String> {
    args.all_but_best?;
    let is_stray = |run: &&String| {
        run.parse::<u32>().is_ok() && matches!(select::runs(workspace, run), Err(SelectError::None { .. }))
    };
    args.runs.iter().find(is_stray)
}

/// What the command line asks for stands above what `overnight.toml` says. Who names runs means these.
fn rules(workspace: &Workspace, args: &CleanArgs) -> anyhow::Result<Rules> {
    let settings = WorkspaceSettings::read(workspace)?;
    let mut rules = if args.runs.is_empty() {
        Rules::from(&settings.retention)
    } else {
        Rules { parts: Parts::Stay, ..Rules::default() }
    };
    for selection in &args.runs {
        rules.runs.extend(select::runs(workspace, selection)?);
    }
    rules.older_than_days = args.older_than.or(rules.older_than_days);
    rules.best = args.all_but_best.map(|best| best as usize).or(rules.best);
    if let Some(count) = args.checkpoints {
        rules.checkpoints = Some(count as usize);
        rules.parts = Parts::Go;
    }
    Ok(rules)
}

fn print(workspace: &Workspace, decision: &Decision) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    if decision.removals.is_empty() {
        return writeln!(out, "nothing to clean");
    }
    let mut table = Table::new(&["size>", "what", "why"]);
    for removal in &decision.removals {
        table.row(vec![
            Cell::new(say::bytes(removal.bytes)),
            Cell::new(shown(workspace, &removal.path)),
            Cell::new(&removal.reason),
        ]);
    }
    table.print(&mut out)
}

fn shown(workspace: &Workspace, path: &Path) -> String {
    path.strip_prefix(workspace.root()).unwrap_or(path).to_string_lossy().into_owned()
}
