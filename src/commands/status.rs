//! `overnight status`: where every run stands, and why it waits.

use std::collections::BTreeMap;
use std::io::Write;

use jiff::tz::TimeZone;
use rayon::prelude::*;
use serde::Serialize;

use super::text::{self, Cell, Table};
use super::{print_json, watch};
use crate::cli::StatusArgs;
use crate::exit::Exit;
use crate::queue::select;
use crate::run_dir::needs::{self, Fate};
use crate::run_dir::records::{Batch, QueueState, RunResult, WaitingRun};
use crate::run_dir::scan::{self, Seen};
use crate::run_dir::status::{Stage, Waiting, end_of, last_start};
use crate::run_dir::{RunDir, Status, Workspace, read};
use crate::runner::view::{self, Facts};
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
    /// When it will probably start and have ended, in Unix seconds.
    start: Option<f64>,
    end: Option<f64>,
    attempts: u32,
    /// Why it waits or how it ended, as a person would say it.
    note: String,
    warnings: Vec<String>,
}

/// What is shown of a workspace.
pub struct Shown {
    lines: Vec<Line>,
    /// When the batch at work will probably have ended, in Unix seconds.
    end: Option<f64>,
}

pub fn status(workspace: &Workspace, args: &StatusArgs) -> anyhow::Result<Exit> {
    if args.watch {
        let shown = || Ok(lines(workspace, &args.runs)?.as_lines());
        return if args.runs.is_empty() { watch::batch(workspace) } else { watch::table(shown) };
    }
    let shown = lines(workspace, &args.runs)?;
    if args.json.json {
        print_json(&serde_json::json!({ "runs": shown.lines, "end": shown.end }))?;
    } else {
        print(&shown, &mut anstream::stdout().lock())?;
    }
    Ok(Exit::Success)
}

fn lines(workspace: &Workspace, selections: &[String]) -> anyhow::Result<Shown> {
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
pub fn lines_of(workspace: &Workspace, runs: &[RunDir]) -> Shown {
    let queue = Queue::read(workspace);
    let mut lines: Vec<(u32, Line)> = seen_of(workspace, runs)
        .into_par_iter()
        .map(|seen| {
            let number = seen.record.as_ref().map_or(u32::MAX, |record| record.number);
            let waiting = queue.waiting.get(&(seen.dir.experiment(), seen.dir.name()));
            (number, line(seen, waiting))
        })
        .collect();
    lines.sort_by(|(a, left), (b, right)| left.experiment.cmp(&right.experiment).then(a.cmp(b)));
    Shown { lines: lines.into_iter().map(|(_, line)| line).collect(), end: queue.end }
}

/// One look at each of `runs`, skipped ones among them seen as such.
pub fn seen_of(workspace: &Workspace, runs: &[RunDir]) -> Vec<Seen> {
    let (host, now) = (scan::host(), scan::now());
    let mut seen: Vec<Seen> = runs.par_iter().map(|run| scan::look(run, &host, now)).collect();
    if needs::any(&seen) {
        let others: Vec<RunDir> =
            scan::runs(workspace).into_iter().filter(|run| !runs.contains(run)).collect();
        let others: Vec<Seen> = others.par_iter().map(|run| scan::look(run, &host, now)).collect();
        needs::skip(seen.iter_mut().collect(), &others, |seen| Fate::of(&seen.status));
    }
    seen
}

/// What only the runner knows: why each run waits and how long things will take.
#[derive(Default)]
struct Queue {
    waiting: BTreeMap<(String, String), WaitingRun>,
    end: Option<f64>,
}

impl Queue {
    /// Of the batch at work. The batch before says why it left runs waiting, but no times; one that was
    /// broken off says nothing that still holds.
    fn read(workspace: &Workspace) -> Queue {
        let batch = watch::batch_at_work(workspace);
        let is_at_work = batch.is_some();
        let Some(batch) = batch.or_else(|| scan::batches(workspace).pop()) else { return Queue::default() };
        let state: QueueState = read::json_if_there(&batch.queue_json()).ok().flatten().unwrap_or_default();
        let record: Option<Batch> = read::json_if_there(&batch.batch_json()).ok().flatten();
        if !is_at_work && record.is_none_or(|record| record.end.is_none()) {
            return Queue::default();
        }
        let waiting = state.waiting.into_iter().map(|run| {
            let name = (run.experiment.clone(), run.run.clone());
            let run = if is_at_work { run } else { WaitingRun { start: None, end: None, ..run } };
            (name, run)
        });
        Queue { waiting: waiting.collect(), end: state.end.filter(|_| is_at_work) }
    }
}

fn line(seen: Seen, waiting: Option<&WaitingRun>) -> Line {
    let result: Option<RunResult> = read::json_if_there(&seen.dir.result()).ok().flatten();
    let note = note(&seen, waiting.map(|run| &run.reason));
    let progress = seen.progress.as_ref();
    let is_running = seen.status.is_running();
    let waiting = waiting.filter(|_| matches!(seen.status, Status::Waiting { .. } | Status::Failed { .. }));
    let remaining = progress.filter(|_| is_running).and_then(|progress| progress.remaining_seconds);
    let remaining = remaining.filter(|seconds| seconds.is_finite());
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
        remaining_seconds: remaining,
        start: waiting.and_then(|run| run.start),
        end: waiting.and_then(|run| run.end).or(remaining.map(|seconds| scan::now() + seconds)),
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
            Waiting::New => "for a runner (overnight run)".to_owned(),
            Waiting::Interrupted => "goes on from its last checkpoint (overnight run)".to_owned(),
            Waiting::Retry { left } => format!("was killed, may start {left} times more"),
            Waiting::Asked => "asked to run again".to_owned(),
        }),
        Status::Failed { code } => why.unwrap_or_else(|| format!("exit code {code}")),
        Status::Killed { signal } => why.unwrap_or_else(|| format!("by {}", say::signal(*signal))),
        Status::Lost => "nobody saw it end; the next runner goes on with it".to_owned(),
        Status::Skipped { need } => format!("{need} did not finish"),
        Status::Running { stage: Stage::Elsewhere } => "on another machine".to_owned(),
        _ => String::new(),
    }
}

pub fn print(shown: &Shown, out: &mut impl Write) -> std::io::Result<()> {
    shown.as_lines().iter().try_for_each(|line| writeln!(out, "{}", line.styled()))
}

impl Shown {
    fn as_lines(&self) -> Vec<view::Line> {
        if self.lines.is_empty() {
            let way = "no runs yet: overnight run experiments/NAME.toml makes some";
            return vec![view::Line::new().plain(way)];
        }
        let mut lines = self.table().lines();
        lines.push(self.summary());
        let warnings = self.lines.iter().flat_map(|line| &line.warnings);
        lines.extend(warnings.map(|warning| view::Line::new().plain(&format!("warning: {warning}"))));
        lines
    }

    fn table(&self) -> Table {
        let now = scan::now();
        let zone = TimeZone::system();
        let mut table = Table::new(&["run", "state", "step>", "loss>", "best>", "left>", "ends>", ""]);
        for line in &self.lines {
            let (sign, style) = text::status_style(&line.status);
            let step = if line.steps > 0 {
                format!("{}/{}", say::count(line.step), say::count(line.steps))
            } else {
                String::new()
            };
            let loss = line.loss.map(|loss| say::value(loss.0)).unwrap_or_default();
            let best = line.best.as_ref().map(|best| say::value(best.value)).unwrap_or_default();
            table.row(vec![
                Cell::new(format!("{}/{}", line.experiment, line.run)),
                Cell::styled(format!("{sign} {}", line.status.word()), style),
                Cell::new(step),
                Cell::new(loss),
                Cell::new(best),
                Cell::new(line.remaining_seconds.map(say::duration).unwrap_or_default()),
                Cell::new(line.end.map(|end| view::clock(end, now, &zone)).unwrap_or_default()),
                Cell::new(&line.note),
            ]);
        }
        table
    }

    /// How many runs stand where, and when all will have ended.
    fn summary(&self) -> view::Line {
        let mut counts: Vec<(&str, usize)> = Vec::new();
        for line in &self.lines {
            match counts.iter_mut().find(|(word, _)| *word == line.status.word()) {
                Some((_, count)) => *count += 1,
                None => counts.push((line.status.word(), 1)),
            }
        }
        let words: Vec<String> = counts.iter().map(|(word, count)| format!("{count} {word}")).collect();
        let facts = Facts { now: scan::now(), end: self.end, ..Facts::default() };
        let ending = view::ending(&facts, &TimeZone::system());
        let ending = ending.map(|ending| format!("; the batch {ending}")).unwrap_or_default();
        view::Line::new().with(text::BOLD, &words.join(", ")).plain(&ending)
    }
}
