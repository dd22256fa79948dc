//! `overnight plan` and `overnight queue`: what experiment files come to, shown or queued.

use std::collections::HashMap;

use serde_json::json;

use super::text::{self, Cell, Table};
use super::{fits, print_json, status};
use crate::cli::PlanArgs;
use crate::exit::Exit;
use crate::experiment::identity::short;
use crate::experiment::settings::Data;
use crate::queue::{self, Again, Entry};
use crate::run_dir::{RunDir, Workspace};
use crate::runner::clock;
use crate::say;
use crate::workspace_settings::WorkspaceSettings;

/// The state of a run that was done and that a rule has deleted.
const DELETED: &str = "deleted";

pub fn plan(workspace: &Workspace, args: &PlanArgs) -> anyhow::Result<Exit> {
    let entries = entries(workspace, args)?;
    let states = states(workspace, &entries);
    if args.files.json.json {
        let runs: Vec<_> =
            entries.iter().zip(&states).map(|(entry, state)| described(entry, state)).collect();
        print_json(&json!({ "runs": runs }))?;
        return Ok(Exit::Success);
    }
    // A column only where it says something.
    let begins = entries.iter().any(|entry| !takes(entry).is_empty());
    let mut titles = vec!["#>", "run", "steps>", "varies", "state"];
    titles.extend(begins.then_some("begins with"));
    let mut table = Table::new(&titles);
    for (index, (entry, state)) in entries.iter().zip(&states).enumerate() {
        let varied = entry.record.varied.iter().map(|(path, value)| format!("{path}={}", short(value)));
        let mut row = vec![
            Cell::new((index + 1).to_string()),
            Cell::new(format!("{}/{}", entry.record.experiment, entry.record.run)),
            Cell::new(say::count(entry.record.steps)),
            Cell::new(varied.collect::<Vec<_>>().join(" ")),
            Cell::new(*state),
        ];
        row.extend(begins.then(|| Cell::new(takes(entry))));
        table.row(row);
    }
    table.print(&mut anstream::stdout())?;
    let new = entries.iter().filter(|entry| !entry.is_known).count();
    let is_done = |state: &str| ["finished", DELETED].contains(&state);
    let unfinished = entries.iter().zip(&states).filter(|(_, state)| !is_done(state));
    // A record that is damaged may name any number.
    let steps = unfinished.map(|(entry, _)| entry.record.steps).fold(0, u64::saturating_add);
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
        let states = states(workspace, &entries);
        let runs: Vec<_> =
            entries.iter().zip(&states).map(|(entry, state)| described(entry, state)).collect();
        print_json(&json!({ "runs": runs }))?;
    } else {
        for entry in entries.iter().filter(|entry| !entry.is_known) {
            text::result(format_args!("{}/{}", entry.record.experiment, entry.record.run))?;
        }
        let known = entries.iter().filter(|entry| entry.is_known).count();
        let queued = say::counted(entries.len() - known, "run", "runs");
        text::talk(format_args!("queued {queued}; {known} were there already"));
    }
    Ok(Exit::Success)
}

/// What a run takes of others, in words.
fn takes(entry: &Entry) -> String {
    let settings = &entry.record.settings;
    let weights =
        settings.weights.iter().map(|weights| format!("weights of {}, {}", weights.from, weights.file));
    let text = match &settings.data {
        Data::Text(text) => text.taken().map(|(_, need, pattern)| format!("{pattern} of {need}")).collect(),
        _ => Vec::new(),
    };
    weights.chain(text).collect::<Vec<_>>().join("; ")
}

/// Says which runs keep the rules that they were queued with, although their file has others now.
pub fn name_kept_rules(entries: &[Entry]) {
    let mut kept = entries.iter().filter(|entry| entry.keeps_rules);
    let Some(first) = kept.next() else { return };
    let name = format!("{}/{}", first.record.experiment, first.record.run);
    let more = match kept.count() {
        0 => "was".to_owned(),
        more => format!("and {more} more were"),
    };
    text::talk(format_args!(
        "{name} {more} queued with other alerts or budgets, and keeps to those (--again queues anew)"
    ));
}

fn entries(workspace: &Workspace, args: &PlanArgs) -> anyhow::Result<Vec<Entry>> {
    let checked = queue::check(&args.files.files, &args.files.overrides.set)?;
    fits::warnings(&checked).iter().for_each(|words| text::talk(format_args!("warning: {words}")));
    let again = if args.again { Again::Yes } else { Again::No };
    let entries = queue::plan(workspace, &checked, again)?;
    name_kept_rules(&entries);
    name_deleted(&entries);
    Ok(entries)
}

/// Says which runs were done before a rule deleted them, and so are not done again.
pub fn name_deleted(entries: &[Entry]) {
    let mut gone =
        entries.iter().filter_map(|entry| entry.deleted.as_ref().map(|deleted| (&entry.record, deleted)));
    let Some((record, deleted)) = gone.next() else { return };
    let more = match gone.count() {
        0 => "was".to_owned(),
        more => format!("and {more} more were"),
    };
    text::talk(format_args!(
        "{}/{} {more} done, and deleted by a rule on {} ({}): --again trains anew",
        record.experiment,
        deleted.run,
        clock(deleted.time),
        deleted.why
    ));
}

/// For each entry `new`, or the word of the run that is there.
fn states(workspace: &Workspace, entries: &[Entry]) -> Vec<&'static str> {
    let is_there = |entry: &&Entry| entry.is_known && entry.deleted.is_none();
    let known: Vec<RunDir> = entries.iter().filter(is_there).map(|entry| entry.dir.clone()).collect();
    let seen = status::seen_of(workspace, &known);
    let words: HashMap<&RunDir, &'static str> =
        seen.iter().map(|seen| (&seen.dir, seen.status.word())).collect();
    let word = |entry: &Entry| match entry.deleted {
        Some(_) => DELETED,
        None => words.get(&entry.dir).copied().unwrap_or("new"),
    };
    entries.iter().map(word).collect()
}

fn described(entry: &Entry, state: &str) -> serde_json::Value {
    json!({
        "experiment": entry.record.experiment,
        "run": entry.record.run,
        "steps": entry.record.steps,
        "varied": entry.record.varied,
        "needs": entry.record.queue.needs,
        "weights": entry.record.settings.weights,
        "state": state,
        "directory": entry.dir.path(),
    })
}
