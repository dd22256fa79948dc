//! `overnight pause, resume, stop, retry, priority, drain`: what people ask of runs. Each is a line in the
//! run's requests; the runner at work reads it, and a live worker that is not of its batch is asked here.

use super::text;
use crate::cli::{DrainArgs, PriorityArgs, RetryArgs, SelectArgs};
use crate::exit::Exit;
use crate::queue::{self, asked, select};
use crate::run_dir::records::{Ask, RunRecord};
use crate::run_dir::scan::{self, Seen};
use crate::run_dir::status::Status;
use crate::run_dir::{Workspace, checkpoint};
use crate::runner::{hold, tracked};

pub fn pause(workspace: &Workspace, args: &SelectArgs) -> anyhow::Result<Exit> {
    ask_each(workspace, args, &Ask::Pause)
}

pub fn stop(workspace: &Workspace, args: &SelectArgs) -> anyhow::Result<Exit> {
    ask_each(workspace, args, &Ask::Stop)
}

pub fn resume(workspace: &Workspace, args: &SelectArgs) -> anyhow::Result<Exit> {
    ask_each(workspace, args, &Ask::Resume)
}

pub fn retry(workspace: &Workspace, args: &RetryArgs) -> anyhow::Result<Exit> {
    if let Some(step) = args.from {
        for dir in selected(workspace, &args.select)? {
            // That it was imported is said below.
            if scan::is_imported(&dir) {
                continue;
            }
            let steps = checkpoint::steps(&dir);
            anyhow::ensure!(
                step == 0 || steps.contains(&step),
                "{}/{} has no checkpoint of step {step} (it has: 0{})",
                dir.experiment(),
                dir.name(),
                steps.iter().map(|step| format!(", {step}")).collect::<String>()
            );
        }
    }
    ask_each(workspace, &args.select, &Ask::Retry { from_step: args.from })
}

pub fn priority(workspace: &Workspace, args: &PriorityArgs) -> anyhow::Result<Exit> {
    ask_each(workspace, &args.select, &Ask::Priority { priority: args.priority })
}

pub fn drain(workspace: &Workspace, args: DrainArgs) -> anyhow::Result<Exit> {
    let DrainArgs { runs, tag, .. } = args;
    if runs.is_empty() && tag.is_empty() {
        return drain_runner(workspace);
    }
    let select = SelectArgs { runs, tag, all: false };
    let answers = answers(workspace, &select, &Ask::Pause, |status| match status {
        Status::Waiting { .. } | Status::Lost => Ok("paused before it starts (overnight resume)".to_owned()),
        Status::Running { .. } => Err("is at work, and goes on to its end"),
        other => Err(asked::words(other)),
    })?;
    Ok(if answers.broken == 0 { Exit::Success } else { Exit::Failure })
}

fn drain_runner(workspace: &Workspace) -> anyhow::Result<Exit> {
    if hold::end_waiting_runner(workspace)? {
        text::talk("the runner waited for work, and ends");
        return Ok(Exit::Success);
    }
    let Some(batch) = asked::drain(workspace, &queue::who())? else {
        anyhow::bail!("no runner is at work here, so there is nothing to drain");
    };
    text::talk(format_args!(
        "the runner ends after its current runs (batch {batch}); what waits goes on with the next overnight run"
    ));
    Ok(Exit::Success)
}

/// Asks every selected run that can be asked. Some of many is a success, the one that was named is not.
fn ask_each(workspace: &Workspace, args: &SelectArgs, ask: &Ask) -> anyhow::Result<Exit> {
    let answers = answers(workspace, args, ask, |status| asked::judge(ask, status))?;
    let is_done = answers.broken == 0 && answers.refused < answers.of;
    Ok(if is_done { Exit::Success } else { Exit::Failure })
}

/// How many runs were not asked, because there is nothing to ask of them or because it went wrong, of how
/// many.
struct Answers {
    refused: usize,
    broken: usize,
    of: usize,
}

/// Asks, and says what became of each.
fn answers(
    workspace: &Workspace,
    args: &SelectArgs,
    ask: &Ask,
    judge: impl Fn(&Status) -> Result<String, &'static str>,
) -> anyhow::Result<Answers> {
    let (host, now) = (scan::host(), scan::now());
    let batch = asked::batch_at_work(workspace);
    let (mut refused, mut broken) = (0, 0);
    let dirs = selected(workspace, args)?;
    for dir in &dirs {
        let seen = scan::look(dir, &host, now);
        let name = format!("{}/{}", dir.experiment(), dir.name());
        if let Some(why) = seen.record.as_ref().ok().and_then(RunRecord::refusal) {
            refused += 1;
            text::talk(format_args!("{name} {why}"));
            continue;
        }
        match judge(&seen.status) {
            Ok(done) => {
                // What is wrong with one run keeps nobody from asking the others.
                if let Err(error) = queue::request(dir, ask.clone()) {
                    broken += 1;
                    text::talk(format_args!("{name} could not be asked: {error}"));
                    continue;
                }
                if asked::is_ours_to_end(ask, batch.as_deref(), &seen) {
                    end_worker(&seen);
                }
                // Nobody may be listening; the others are to be asked all the same.
                drop(text::result(format_args!("{name} {done}")));
            }
            Err(why) => {
                refused += 1;
                text::talk(format_args!("{name} {why}"));
            }
        }
    }
    Ok(Answers { refused, broken, of: dirs.len() })
}

/// Asks a worker that no runner follows to write a checkpoint and end.
fn end_worker(seen: &Seen) {
    match tracked::holder(&seen.dir).map(|worker| worker.ask_to_end()) {
        Some(Ok(())) => {}
        Some(Err(error)) => text::talk(format_args!("its worker could not be asked to end: {error}")),
        None => text::talk("its worker is on another machine, or has just ended"),
    }
}

fn selected(workspace: &Workspace, args: &SelectArgs) -> anyhow::Result<Vec<crate::run_dir::RunDir>> {
    let mut dirs = Vec::new();
    if args.all {
        dirs.extend(scan::runs(workspace));
    }
    for tag in &args.tag {
        dirs.extend(select::tagged(workspace, tag)?);
    }
    for selection in &args.runs {
        dirs.extend(select::runs(workspace, selection)?);
    }
    dirs.sort();
    dirs.dedup();
    Ok(dirs)
}
