//! `overnight status`: where every run stands, and why it waits.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use rayon::prelude::*;
use serde::Serialize;

use super::print_json;
use super::text::{self, Cell, Table};
use crate::cli::StatusArgs;
use crate::exit::Exit;
use crate::queue::select;
use crate::run_dir::needs::{self, Fate};
use crate::run_dir::records::{QueueState, RunResult};
use crate::run_dir::scan::{self, Seen};
use crate::run_dir::status::{Stage, Waiting, end_of, last_start};
use crate::run_dir::{RunDir, Status, Workspace, read, split};
use crate::say;

/// One run, for programs.
#[derive(Debug, Serialize)]
pub struct Line {
    experiment: String,
    run: String,
    #[serde(flatten)]
    status: Status,
    step: u64,
    steps: u64,
    loss: Option<crate::run_dir::number::Number>,
    best: Option<crate::run_dir::checkpoint::Best>,
    remaining_seconds: Option<f64>,
    attempts: u32,
    /// Why it waits or how it ended, as a person would say it.
    note: String,
    warnings: Vec<String>,
}

pub fn status(workspace: &Workspace, args: &StatusArgs) -> anyhow::Result<Exit> {
    loop {
        let lines = lines(workspace, &args.runs)?;
        if args.json.json {
            print_json(&serde_json::json!({ "runs": lines }))?;
            return Ok(Exit::Success);
        }
        let mut out = anstream::stdout().lock();
        if args.watch {
            // From the top left, everything below cleared.
            write!(out, "\x1b[H\x1b[J")?;
        }
        print(&lines, &mut out)?;
        out.flush()?;
        drop(out);
        if !args.watch {
            return Ok(Exit::Success);
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn lines(workspace: &Workspace, selections: &[String]) -> anyhow::Result<Vec<Line>> {
    let mut runs: Vec<RunDir> = Vec::new();
    if selections.is_empty() {
        runs = scan::runs(workspace);
    }
    for selection in selections {
        runs.extend(select::runs(workspace, selection)?);
    }
    Ok(lines_of(workspace, &runs))
}

/// A line for each of `runs`, by experiment and number.
pub fn lines_of(workspace: &Workspace, runs: &[RunDir]) -> Vec<Line> {
    let reasons = reasons(workspace);
    let (host, now) = (scan::host(), scan::now());
    let mut seen: Vec<Seen> = runs.par_iter().map(|run| scan::look(run, &host, now)).collect();
    if needs::any(&seen) {
        let others: Vec<RunDir> =
            scan::runs(workspace).into_iter().filter(|run| !runs.contains(run)).collect();
        let others: Vec<Seen> = others.par_iter().map(|run| scan::look(run, &host, now)).collect();
        needs::skip(seen.iter_mut().collect(), &others, |seen| Fate::of(&seen.status));
    }
    let mut lines: Vec<(u32, Line)> = seen
        .into_par_iter()
        .map(|seen| {
            let number = seen.record.as_ref().map_or(u32::MAX, |record| record.number);
            let reason = reasons.get(&(seen.dir.experiment(), seen.dir.name()));
            (number, line(seen, reason))
        })
        .collect();
    lines.sort_by(|(a, left), (b, right)| left.experiment.cmp(&right.experiment).then(a.cmp(b)));
    lines.into_iter().map(|(_, line)| line).collect()
}

/// What only the runner knows: why each run waits, from the newest batch.
fn reasons(workspace: &Workspace) -> BTreeMap<(String, String), String> {
    let newest = scan::batches(workspace).pop();
    let queue =
        newest.and_then(|batch| read::json_if_there::<QueueState>(&batch.queue_json()).ok().flatten());
    let waiting = queue.unwrap_or_default().waiting.into_iter();
    waiting.map(|run| ((run.experiment, run.run), run.reason)).collect()
}

fn line(seen: Seen, reason: Option<&String>) -> Line {
    let result: Option<RunResult> = read::json_if_there(&seen.dir.result()).ok().flatten();
    let note = note(&seen, reason);
    let progress = seen.progress.as_ref();
    let is_running = seen.status.is_running();
    Line {
        experiment: seen.dir.experiment(),
        run: seen.dir.name(),
        step: result
            .as_ref()
            .map(|result| result.step)
            .or(progress.map(|progress| progress.step))
            .unwrap_or(0),
        steps: seen.record.as_ref().map_or(0, |record| record.steps),
        loss: progress.and_then(|progress| progress.loss),
        best: result.and_then(|result| result.best),
        remaining_seconds: progress.filter(|_| is_running).and_then(|progress| progress.remaining_seconds),
        attempts: last_start(&seen.attempts).map_or(0, |start| start.attempt),
        note,
        warnings: seen.warnings,
        status: seen.status,
    }
}

fn note(seen: &Seen, reason: Option<&String>) -> String {
    let ended = last_start(&seen.attempts).and_then(|start| end_of(&seen.attempts, start.attempt));
    let why = ended.map(|end| end.why.clone()).filter(|why| !why.is_empty());
    match &seen.status {
        Status::Unreadable { reason } => reason.clone(),
        Status::Waiting { because } => reason.cloned().unwrap_or_else(|| match because {
            Waiting::New => "for a runner".to_owned(),
            Waiting::Interrupted => "goes on from its last checkpoint".to_owned(),
            Waiting::Retry { left } => format!("was killed, may start {left} times more"),
            Waiting::Asked => "asked to run again".to_owned(),
            Waiting::Smaller { micro_batch } => split::goes_on_with(*micro_batch),
            Waiting::BatchNorm => format!("held: {}", split::HELD),
        }),
        Status::Failed { code } => why.unwrap_or_else(|| format!("exit code {code}")),
        Status::Killed { signal } => why.unwrap_or_else(|| format!("by {}", say::signal(*signal))),
        Status::Lost => "nobody saw it end; the next runner goes on with it".to_owned(),
        Status::Skipped { need } => format!("{need} did not finish"),
        Status::Running { stage: Stage::Elsewhere } => "on another machine".to_owned(),
        _ => String::new(),
    }
}

pub fn print(lines: &[Line], out: &mut impl Write) -> std::io::Result<()> {
    if lines.is_empty() {
        return writeln!(out, "no runs yet: overnight run experiments/NAME.toml makes some");
    }
    let mut table = Table::new(&["run", "state", "step>", "loss>", "best>", "left>", ""]);
    for line in lines {
        let (sign, style) = text::status_style(&line.status);
        let step = if line.steps > 0 {
            format!("{}/{}", say::count(line.step), say::count(line.steps))
        } else {
            String::new()
        };
        let loss = line.loss.map(|loss| say::value(loss.0)).unwrap_or_default();
        let best = line.best.as_ref().map(|best| say::value(best.value)).unwrap_or_default();
        let left = line.remaining_seconds.map(say::duration).unwrap_or_default();
        table.row(vec![
            Cell::new(format!("{}/{}", line.experiment, line.run)),
            Cell::styled(format!("{sign} {}", line.status.word()), style),
            Cell::new(step),
            Cell::new(loss),
            Cell::new(best),
            Cell::new(left),
            Cell::new(&line.note),
        ]);
    }
    table.print(out)?;
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for line in lines {
        match counts.iter_mut().find(|(word, _)| *word == line.status.word()) {
            Some((_, count)) => *count += 1,
            None => counts.push((line.status.word(), 1)),
        }
    }
    let words: Vec<String> = counts.iter().map(|(word, count)| format!("{count} {word}")).collect();
    writeln!(out, "{}{}{}", text::BOLD.render(), words.join(", "), text::BOLD.render_reset())?;
    for warning in lines.iter().flat_map(|line| &line.warnings) {
        writeln!(out, "warning: {}", say::plain(warning))?;
    }
    Ok(())
}
