//! `overnight merge`: run folders of other workspaces, taken over with checks.

use super::print_json;
use super::text::{self, BOLD, RED};
use crate::cli::MergeArgs;
use crate::exit::Exit;
use crate::merge::{self, Told, What, Wish};
use crate::run_dir::Workspace;
use crate::say;

/// The exit code says whether all is here: 100 where something conflicts or was left out.
pub fn merge(workspace: &Workspace, args: &MergeArgs) -> anyhow::Result<Exit> {
    let wish = Wish { dry_run: args.dry_run, keep_both: args.keep_both };
    let told = merge::merge(workspace, &args.from, wish)?;
    if args.json.json {
        print_json(&serde_json::json!({ "dry_run": args.dry_run, "merged": told }))?;
    } else {
        told.iter().try_for_each(print)?;
        text::talk(summary(&told, args.dry_run));
    }
    let is_whole = |one: &Told| !matches!(one.what, What::Conflict { .. } | What::LeftOut { .. });
    Ok(if told.iter().all(is_whole) { Exit::Success } else { Exit::RunsFailed })
}

/// A line for what is new, and for what needs somebody; all that is the same is counted.
fn print(one: &Told) -> std::io::Result<()> {
    let (word, rest) = match &one.what {
        What::Added { bytes, number: None } => ("added", say::bytes(*bytes)),
        What::Added { bytes, number: Some(number) } => {
            ("added", format!("{}, as number {number}: another one here has its own", say::bytes(*bytes)))
        }
        What::Deleted { why } => ("deleted", why.clone()),
        What::Grown { bytes } => ("grown", format!("by {}", say::bytes(*bytes))),
        What::Ahead => ("ahead", "what is here goes on from what is there".to_owned()),
        What::Beside { kept_as, bytes } => ("beside", format!("kept as {kept_as}, {}", say::bytes(*bytes))),
        What::Conflict { why } => ("conflict", why.clone()),
        What::LeftOut { why } => ("left out", why.clone()),
        What::Same if one.left_out.is_empty() => return Ok(()),
        What::Same => ("same", String::new()),
    };
    let style = if matches!(one.what, What::Conflict { .. } | What::LeftOut { .. }) { RED } else { BOLD };
    let (style, end) = (style.render(), style.render_reset());
    let line = say::plain(&format!("{} ({}) {rest}", one.name, one.from.display()));
    text::result(format_args!("{style}{word:8}{end} {}", line.trim_end()))?;
    for name in &one.left_out {
        text::result(format_args!("         not taken: {}", say::plain(name)))?;
    }
    Ok(())
}

fn summary(told: &[Told], dry_run: bool) -> String {
    let count = |is: fn(&What) -> bool| told.iter().filter(|one| is(&one.what)).count();
    let parts = [
        ("added", count(|what| matches!(what, What::Added { .. } | What::Beside { .. }))),
        ("grown", count(|what| matches!(what, What::Grown { .. }))),
        ("as here", count(|what| matches!(what, What::Same | What::Ahead))),
        ("deleted here", count(|what| matches!(what, What::Deleted { .. }))),
        ("in conflict", count(|what| matches!(what, What::Conflict { .. }))),
        ("left out", count(|what| matches!(what, What::LeftOut { .. }))),
    ];
    let said: Vec<String> =
        parts.iter().filter(|(_, count)| *count > 0).map(|(word, count)| format!("{count} {word}")).collect();
    let said = if said.is_empty() { "nothing lies there".to_owned() } else { said.join(", ") };
    let note = if dry_run { "nothing was changed; it would be: " } else { "" };
    format!("{note}{said}")
}
