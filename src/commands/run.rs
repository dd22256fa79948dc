//! `overnight run`: queues files and works until their runs are done.

use std::io::{self, ErrorKind};
use std::time::Duration;

use anyhow::Context;

use super::{again, detach, fits, junit, plan, serve, status, text};
use crate::cli::RunArgs;
use crate::exit::Exit;
use crate::queue::{self, Again, Entry};
use crate::run_dir::{RunDir, Workspace, scan};
use crate::runner::terminal::Tie;
use crate::runner::{
    self, Afterwards, FailedRuns, Hold, Outcome, Report, RunnerError, RunnerOptions, Selection, descriptors,
    view,
};
use crate::say;
use crate::serve::Server;
use crate::workspace_settings::{ServerSettings, WorkspaceSettings};

pub fn run(workspace: &Workspace, args: &RunArgs) -> anyhow::Result<Exit> {
    if args.detached {
        detach::leave_session();
    }
    // Before anything is opened that could fail for want of it.
    descriptors::suffice(1).map_err(RunnerError::Descriptors)?;
    let settings = WorkspaceSettings::read(workspace)?;
    // Now, not after a night.
    args.junit.as_deref().map_or(Ok(()), junit::make_folder).context("there is no place for --junit")?;
    let hold;
    // Done before, and deleted by a rule since.
    let mut gone: Vec<RunDir> = Vec::new();
    let mut finished_before = None;
    let report = again::report(args)?;
    let selection = if let Some(file) = report {
        let Some(planned) = again::agreed(workspace, file, args)? else { return Ok(Exit::Usage) };
        hold = Hold::take(workspace, |words| text::talk(format_args!("{words}")))?;
        Selection::Runs(planned.queue(workspace)?)
    } else if args.files.is_empty() {
        anyhow::ensure!(args.overrides.set.is_empty(), "--set goes with an experiment file: name one");
        anyhow::ensure!(!args.again, "--again goes with an experiment file: name one");
        hold = Hold::take(workspace, |words| text::talk(format_args!("{words}")))?;
        Selection::All
    } else {
        let checked = queue::check(&args.files, &args.overrides.set)?;
        fits::warnings(&checked).iter().for_each(|words| text::talk(format_args!("warning: {words}")));
        hold = Hold::take(workspace, |words| text::talk(format_args!("{words}")))?;
        let again = if args.again { Again::Yes } else { Again::No };
        let entries = queue::plan(workspace, &checked, again)?;
        plan::name_kept_rules(&entries);
        plan::name_deleted(&entries);
        queue::submit(workspace, &entries)?;
        finished_before = finished(&entries);
        let (deleted, there): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|entry| entry.deleted.is_some());
        gone.extend(deleted.into_iter().map(|entry| entry.dir));
        Selection::Runs(there.into_iter().map(|entry| entry.dir).collect())
    };
    let server = args.serve.then(|| start_server(workspace, &settings.server)).transpose()?;
    // `--serve` asks for a report to show, whatever the file says.
    let keeps_report = !args.no_report && (settings.runner.report || args.serve);
    let options = RunnerOptions {
        selection,
        slots: args.slots.or(Some(settings.runner.slots).filter(|slots| *slots > 0)),
        failed: if args.retry_failed { FailedRuns::Retry } else { FailedRuns::Leave },
        report: if keeps_report { Report::Keep } else { Report::Leave },
        style: if args.plain { view::Style::Plain } else { view::Style::Auto },
        patience: Duration::from_secs(u64::from(settings.runner.patience_seconds)),
        breaker: args.breaker.unwrap_or(settings.runner.breaker),
        at: args.at.map(|time| time.next_after(scan::now())),
        // What should have ended by seven is meant to begin before: the first seven after the start.
        until: args
            .until
            .map(|time| time.next_after(args.at.map_or(scan::now(), |at| at.next_after(scan::now())))),
        terminal: if args.detached { Tie::Cut } else { Tie::Kept },
        afterwards: if args.forever { Afterwards::Wait } else { Afterwards::End },
        settings,
        ..RunnerOptions::default()
    };
    let outcome = runner::run(workspace, hold, options)?.with_deleted(&gone);
    drop(server);
    // Before anything is said: who interrupts once more has the file all the same.
    let written = args.junit.as_ref().map_or(Ok(()), |path| junit::write(path, &outcome));
    match conclude(workspace, keeps_report, &outcome) {
        // Whoever reads no further still wants to know by the exit code how it went.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        concluded => concluded?,
    }
    if let Some(words) = finished_before {
        text::talk(words);
    }
    if args.serve {
        text::talk("the live report has ended with the batch; overnight serve shows it again");
    }
    written.context("the report for CI could not be written")?;
    Ok(outcome.exit())
}

/// What is to be said where nothing is done about runs because they were finished before.
fn finished(entries: &[Entry]) -> Option<String> {
    let finished = entries.iter().filter(|entry| entry.is_known && entry.dir.result().is_file()).count();
    let all = say::counted(entries.len(), "run", "runs");
    let words = match finished {
        0 => return None,
        1 if entries.len() == 1 => "this run was finished before".to_owned(),
        finished if finished == entries.len() => format!("all {all} were finished before"),
        finished => format!("{finished} of {all} were finished before"),
    };
    let object = if finished == 1 { "it" } else { "them" };
    Some(format!("{words} (--again trains {object} once more)"))
}

fn start_server(workspace: &Workspace, settings: &ServerSettings) -> anyhow::Result<Server> {
    let options = serve::options(settings);
    let server = Server::start(&workspace.reports(), options)?;
    text::talk(format_args!("live report: {}", server.url()));
    Ok(server)
}

/// What came of it: a line for each run, what is left and how to go on, and where the report lies.
fn conclude(workspace: &Workspace, keeps_report: bool, outcome: &Outcome) -> io::Result<()> {
    let mut runs: Vec<RunDir> = outcome.finished.clone();
    // Those that the workspace's rules let go are gone by now.
    runs.retain(|run| run.path().is_dir());
    runs.extend(outcome.left.iter().map(|left| left.dir.clone()));
    let shown = if runs.is_empty() && !outcome.finished.is_empty() {
        let done = crate::say::counted(outcome.finished.len(), "run is", "runs are");
        text::talk(format_args!("{done} done, and deleted as the rules of overnight.toml say"));
        Ok(())
    } else if runs.is_empty() {
        text::talk("nothing waits (overnight run experiments/NAME.toml queues an experiment)");
        Ok(())
    } else {
        status::lines_of(workspace, &runs).print(&mut anstream::stdout().lock())
    };
    if let Some(joules) = outcome.energy_joules {
        text::talk(format_args!("energy: {} in this batch", say::energy(joules)));
    }
    for line in outcome.lines() {
        text::talk(say::plain(&line));
    }
    shown?;
    let index = workspace.reports().join("index.html");
    if keeps_report && index.is_file() {
        text::result(index.display())?;
    }
    Ok(())
}
