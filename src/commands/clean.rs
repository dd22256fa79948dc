//! `overnight clean`: what could go, why, and how much that is; deletes only with `--yes`.

use std::io::Write;

use super::print_json;
use super::text::{Cell, Table};
use crate::clean::{self, Rules};
use crate::cli::CleanArgs;
use crate::exit::Exit;
use crate::queue::select;
use crate::run_dir::Workspace;
use crate::say;

pub fn clean(workspace: &Workspace, args: &CleanArgs) -> anyhow::Result<Exit> {
    let mut rules =
        Rules { older_than_days: args.older_than, all_but_best: args.all_but_best, ..Rules::default() };
    for selection in &args.runs {
        rules.runs.extend(select::runs(workspace, selection)?);
    }
    let removals = clean::decide(&clean::observe(workspace), &rules);
    let bytes: u64 = removals.iter().map(|removal| removal.bytes).sum();
    if args.json.json {
        print_json(&serde_json::json!({ "removals": removals, "bytes": bytes, "deleted": args.yes }))?;
    } else {
        let mut table = Table::new(&["size>", "what", "why"]);
        for removal in &removals {
            let path = removal.path.strip_prefix(workspace.root()).unwrap_or(&removal.path);
            table.row(vec![
                Cell::new(say::bytes(removal.bytes)),
                Cell::new(path.to_string_lossy()),
                Cell::new(&removal.reason),
            ]);
        }
        let mut out = anstream::stdout().lock();
        if removals.is_empty() {
            writeln!(out, "nothing to clean")?;
        } else {
            table.print(&mut out)?;
        }
    }
    if !args.yes {
        if !removals.is_empty() {
            anstream::eprintln!("{} could go; nothing was deleted (--yes deletes)", say::bytes(bytes));
        }
        return Ok(Exit::Success);
    }
    let mut freed = 0;
    for removal in &removals {
        if clean::carry_out(removal)? {
            freed += removal.bytes;
        } else {
            anstream::eprintln!("{} stays: a worker lives there", removal.path.display());
        }
    }
    anstream::eprintln!("{} freed", say::bytes(freed));
    Ok(Exit::Success)
}
