//! `overnight import`: runs of other programs, set beside ours.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};

use super::{print_json, text};
use crate::cli::ImportArgs;
use crate::exit::Exit;
use crate::import::ImportError;
use crate::import::follow::{Pace, follow};
use crate::import::foreign::Wish;
use crate::import::session::{Round, Session};
use crate::import::write::{Aim, Brought, Mode, What};
use crate::run_dir::Workspace;
use crate::say;

/// Warnings that are shown of a run; its page has them all.
const WARNINGS: usize = 6;
/// Files that are named where nothing knows them; JSON names more.
const UNKNOWN: usize = 8;
const UNKNOWN_IN_JSON: usize = 1_000;

pub fn import(workspace: &Workspace, args: &ImportArgs) -> anyhow::Result<Exit> {
    let wish = Wish { step: args.step.clone(), columns: args.columns.clone() };
    let aim = Aim { experiment: args.experiment.clone(), name: args.name.clone(), tags: args.tag.clone() };
    let mode = if args.dry_run { Mode::DryRun } else { Mode::Write };
    let mut session = Session::new(workspace, &args.path, wish, aim, mode);
    if args.watch {
        return watch(session, args);
    }
    let round = session.round()?;
    if args.json.json {
        print_json(&as_json(&round, mode))?;
    } else {
        print(&round, mode)?;
    }
    for (place, why) in &round.failed {
        text::talk(failure(place, why));
    }
    if is_nothing(&round) {
        text::talk("nothing was imported: no value with a step was found");
    }
    Ok(if round.failed.is_empty() { Exit::Success } else { Exit::Failure })
}

/// Goes on until Ctrl-C.
fn watch(session: Session, args: &ImportArgs) -> anyhow::Result<Exit> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    std::fs::metadata(&args.path).map_err(|error| ImportError::Io { path: args.path.clone(), error })?;
    text::talk(format_args!("follows {} (Ctrl-C ends it)", args.path.display()));
    let session = std::cell::RefCell::new(session);
    let mut said = String::new();
    let mut broken = None;
    let read = || {
        let mut session = session.borrow_mut();
        match session.round() {
            Ok(round) => {
                if let Err(error) = session.hold(&round) {
                    text::talk(error);
                }
                said.clear();
                if let Err(error) = print_changes(&round) {
                    broken = Some(error);
                    stop.store(true, Ordering::Relaxed);
                }
            }
            // It may come: a folder that is empty as yet.
            Err(error) if said == error.to_string() => {}
            Err(error) => {
                said = error.to_string();
                text::talk(format_args!("waits: {}", say::plain(&said)));
            }
        }
    };
    follow(&args.path, &stop, &Pace::default(), read, || session.borrow_mut().let_go());
    broken.map_or(Ok(Exit::Success), |error| Err(error.into()))
}

fn print(round: &Round, mode: Mode) -> std::io::Result<()> {
    for brought in &round.brought {
        text::result(line(brought, mode))?;
        for warning in brought.state.warnings.iter().take(WARNINGS) {
            text::talk(format_args!("  {}", say::plain(warning)));
        }
        let more = brought.state.warnings.len().saturating_sub(WARNINGS);
        if more > 0 {
            text::talk(format_args!("  and {more} more such sentences, on its page"));
        }
    }
    for sentence in &round.said {
        text::talk(say::plain(sentence));
    }
    let mut tools: BTreeMap<&str, usize> = BTreeMap::new();
    round.brought.iter().for_each(|brought| *tools.entry(brought.tool).or_default() += 1);
    if round.brought.len() > 1 {
        let tools: Vec<String> = tools.iter().map(|(tool, count)| format!("{count} of {tool}")).collect();
        text::talk(format_args!("found: {}", tools.join(", ")));
    }
    if !round.unknown.is_empty() {
        let named = round.unknown.iter().take(UNKNOWN).map(|path| say::plain(&path.display().to_string()));
        let named = named.collect::<Vec<_>>().join(", ");
        let more = if round.unknown.len() > UNKNOWN { ", ..." } else { "" };
        let count = say::counted(round.unknown.len(), "file", "files");
        text::talk(format_args!("not known: {count}: {named}{more}"));
    }
    Ok(())
}

/// While following, what stays as it is is not said again.
fn print_changes(round: &Round) -> std::io::Result<()> {
    let is_news = |what: &What| !matches!(what, What::Same | What::Kept | What::Shorter | What::Empty);
    let changed = round.brought.iter().filter(|brought| is_news(&brought.what));
    for brought in changed {
        text::result(line(brought, Mode::Write))?;
    }
    for (place, why) in &round.failed {
        text::talk(failure(place, why));
    }
    Ok(())
}

/// Names of files come from elsewhere, too.
fn failure(place: &Path, why: &str) -> String {
    format!("{}: {}", say::plain(&place.display().to_string()), say::plain(why))
}

/// Whether files were known and gave no run, of which nothing else is said.
fn is_nothing(round: &Round) -> bool {
    round.brought.is_empty() && round.failed.is_empty() && round.said.is_empty()
}

fn line(brought: &Brought, mode: Mode) -> String {
    let Brought { dir, what, tool, state, metrics } = brought;
    let name = format!("{}/{}", dir.experiment(), dir.name());
    let rows = |count: u64| say::counted(count as usize, "row", "rows");
    let would = if mode == Mode::DryRun { "would be " } else { "" };
    let of =
        || format!("from {tool}, {}, {}", rows(state.rows), say::counted(metrics.len(), "metric", "metrics"));
    match what {
        What::New => format!("{name}: {would}imported {}", of()),
        What::Grown(added) => format!("{name}: {would}grown by {}, {} in all", rows(*added), state.rows),
        What::Filled(came) => {
            let values = say::counted(*came as usize, "value", "values");
            format!("{name}: {would}filled up with {values} in rows that were there, {}", rows(state.rows))
        }
        What::Rewritten => {
            format!("{name}: {would}written anew, steps were logged again; {}", rows(state.rows))
        }
        What::Columns => {
            format!(
                "{name}: {would}written anew with other columns, {}; {}",
                metrics.join(", "),
                rows(state.rows)
            )
        }
        What::Kept => {
            format!(
                "{name}: has none of the columns that were asked for, and stays as it was, {}",
                rows(state.rows)
            )
        }
        What::Shorter => {
            format!("{name}: its source holds less than before; all {} stay", rows(state.rows))
        }
        What::Same => format!("{name}: nothing new, {}", rows(state.rows)),
        What::Copy(_) => format!("{name}: has the same files already; nothing was added"),
        What::Empty => format!("{name}: nothing was logged yet, so there is no run"),
    }
}

fn as_json(round: &Round, mode: Mode) -> serde_json::Value {
    let run = |brought: &Brought| {
        let Brought { dir, what, tool, state, metrics } = brought;
        let (word, added) = match what {
            What::New => ("new", state.rows),
            What::Grown(added) => ("grown", *added),
            What::Filled(_) => ("filled", 0),
            What::Rewritten => ("rewritten", 0),
            What::Columns => ("columns", 0),
            What::Kept => ("kept", 0),
            What::Shorter => ("shorter", 0),
            What::Same => ("same", 0),
            What::Copy(_) => ("copy", 0),
            What::Empty => ("empty", 0),
        };
        serde_json::json!({
            "experiment": dir.experiment(),
            "run": dir.name(),
            "what": word,
            "tool": tool,
            "rows": state.rows,
            "added": added,
            "overtaken": state.overtaken,
            "metrics": metrics,
            "metric": state.metric,
            "files": state.files,
            "warnings": state.warnings,
        })
    };
    let failed = round
        .failed
        .iter()
        .map(|(place, why)| serde_json::json!({ "place": place.display().to_string(), "reason": why }));
    serde_json::json!({
        "written": mode == Mode::Write,
        "runs": round.brought.iter().map(run).collect::<Vec<_>>(),
        "failed": failed.collect::<Vec<_>>(),
        "left_out": round.said,
        "unknown": round
            .unknown
            .iter()
            .take(UNKNOWN_IN_JSON)
            .map(|path| path.display().to_string())
            .collect::<Vec<_>>(),
        "unknown_count": round.unknown.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_give_no_run_are_not_passed_over_in_silence() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::new(folder.path());
        let table = folder.path().join("a.csv");
        // A line longer than any that is read, and one that is well.
        let long = format!("step,a\n1,\"{}", "x".repeat(8 << 20));
        for (text, nothing) in [(long.as_str(), true), ("step,a\n1,2\n", false)] {
            std::fs::write(&table, text).unwrap();
            let mut session = Session::new(&workspace, &table, Wish::default(), Aim::default(), Mode::DryRun);
            assert_eq!(is_nothing(&session.round().unwrap()), nothing, "{}", &text[..10]);
        }
        assert!(!failure(Path::new("a\x1b[31m"), "b\x07").chars().any(char::is_control));
    }
}
