//! `overnight status`: where every run stands, and why it waits.

mod shown;
mod troubles;

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::Serialize;

use super::{print_json, watch};
use crate::cli::StatusArgs;
use crate::curves::{Extent, Said, of_run};
use crate::exit::Exit;
use crate::queue::select;
use crate::run_dir::alerts::{self, Told};
use crate::run_dir::budgets::{self, Verdict};
use crate::run_dir::cause::{self, Cause};
use crate::run_dir::certificate::Certificate;
use crate::run_dir::checkpoint::{self, Best};
use crate::run_dir::needs::{self, Fate};
use crate::run_dir::number::Number;
use crate::run_dir::read::ReadError;
use crate::run_dir::records::{Batch, QueueState, RunResult, WaitingRun};
use crate::run_dir::scan::{self, Seen};
use crate::run_dir::status::{Waiting, last_start};
use crate::run_dir::telemetry::Energy;
use crate::run_dir::{RunDir, Status, Workspace, metric_of, read, reason};
use crate::runner::room;
use crate::runner::view::Facts;
use crate::say;

pub use shown::Shown;

/// One run, for programs.
#[derive(Debug, Serialize)]
pub struct Line {
    experiment: String,
    run: String,
    #[serde(flatten)]
    status: Status,
    step: u64,
    steps: u64,
    loss: Option<Number>,
    /// The metric whose best value counts.
    metric: String,
    best: Option<Best>,
    remaining_seconds: Option<f64>,
    /// When it will probably start and have ended, in Unix seconds.
    start: Option<f64>,
    end: Option<f64>,
    attempts: u32,
    /// What it took over all attempts, where that was measured; read for programs alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    energy_joules: Option<f64>,
    /// How it was resumed, and whether a replay gave the same bits.
    certificate: Option<Certificate>,
    /// Why it waits or how it ended, as a person would say it.
    note: String,
    /// What was seen by the rules of its file and its workspace.
    alerts: Vec<Told>,
    /// Whether it came to what its file requires, once that is known.
    budgets: Vec<Verdict>,
    /// Of a run whose last attempt ended badly.
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<Trouble>,
    warnings: Vec<String>,
    /// What a person would say of its curves; of runs that were asked for by name alone, because it
    /// takes reading all their rows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    curves: Vec<Said>,
}

/// How an attempt ended badly, and what a person can do.
#[derive(Debug, Serialize)]
struct Trouble {
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<Cause>,
    /// The cause in a few words.
    words: String,
    advice: String,
    /// The last lines of what the worker wrote.
    log: Vec<String>,
}

/// Lines of a log that stand under a run that ended badly.
const LOG_LINES: usize = 6;

pub fn status(workspace: &Workspace, args: &StatusArgs) -> anyhow::Result<Exit> {
    if args.watch {
        let shown = || Ok(lines(workspace, &args.runs)?.as_lines());
        return if args.runs.is_empty() { watch::batch(workspace) } else { watch::table(shown) };
    }
    let mut shown = lines(workspace, &args.runs)?;
    if !args.runs.is_empty() {
        shown.lines = with_curves(workspace, shown.lines);
    }
    if args.json.json {
        shown.lines = with_energy(workspace, shown.lines);
        print_json(&serde_json::json!({ "runs": shown.lines, "end": shown.end, "remarks": shown.remarks }))?;
    } else {
        let mut out = anstream::stdout().lock();
        shown.print(&mut out)?;
        if !args.runs.is_empty() {
            shown.print_curves(&mut out)?;
            shown.print_certificates(&mut out)?;
        }
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

/// People find the energy on the run's page; to read it costs a file more for each run.
fn with_energy(workspace: &Workspace, lines: Vec<Line>) -> Vec<Line> {
    let energy = |line: &Line| Energy::read(&workspace.run(&line.experiment, &line.run).telemetry());
    let lines = lines.into_par_iter();
    lines.map(|line| Line { energy_joules: energy(&line).total_joules(), ..line }).collect()
}

/// Runs whose curves are put into words, where many are asked for.
const TOLD: usize = 20;

fn with_curves(workspace: &Workspace, mut lines: Vec<Line>) -> Vec<Line> {
    lines.par_iter_mut().take(TOLD).for_each(|line| {
        let extent = if line.status.is_running() { Extent::SoFar } else { Extent::Whole };
        line.curves = of_run::read(&workspace.run(&line.experiment, &line.run), &line.metric, extent);
    });
    lines
}

/// A line for each of `runs`, by experiment and number.
pub fn lines_of(workspace: &Workspace, runs: &[RunDir]) -> Shown {
    let queue = Queue::read(workspace);
    // A disk that is full takes no reason either.
    let no_room = room::reason_now(workspace, queue.is_silent);
    let mut lines: Vec<(u32, Line)> = seen_of(workspace, runs)
        .into_par_iter()
        .map(|seen| {
            let number = seen.record.as_ref().map_or(u32::MAX, |record| record.number);
            let waiting = queue.waiting.get(&(seen.dir.experiment(), seen.dir.name()));
            let waiting = waiting.filter(|_| waits(&seen, queue.is_at_work));
            (number, line(seen, waiting, no_room.as_ref()))
        })
        .collect();
    lines.sort_by(|(a, left), (b, right)| left.experiment.cmp(&right.experiment).then(a.cmp(b)));
    for later in 1..lines.len() {
        let (before, after) = lines.split_at_mut(later);
        let ((number, first), (other, line)) = (&before[later - 1], &mut after[0]);
        if number == other && *number != u32::MAX && first.experiment == line.experiment {
            line.warnings.push(format!(
                "{}/{} and {} both have the number {number}: their folders were copied together, so pages draw the \
                 later one as another (overnight merge gives each its own)",
                line.experiment, first.run, line.run
            ));
        }
    }
    let lines = lines.into_iter().map(|(_, line)| line).collect();
    Shown { lines, end: queue.end, remarks: queue.remarks }
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

/// A runner tells of its queue every second, as long as the disk takes it.
const SILENT_SECONDS: f64 = 5.0;

/// What only the runner knows: why each run waits and how long things will take.
#[derive(Default)]
struct Queue {
    waiting: BTreeMap<(String, String), WaitingRun>,
    end: Option<f64>,
    is_at_work: bool,
    /// The batch at work has not said for a while how its queue is.
    is_silent: bool,
    /// What holds for the batch at work as a whole: that it drains, or stopped itself.
    remarks: Vec<String>,
}

impl Queue {
    /// Of the batch at work. The batch before says why it left runs waiting, but no times; one that was
    /// broken off says nothing that still holds.
    fn read(workspace: &Workspace) -> Queue {
        let batch = watch::batch_at_work(workspace);
        let is_at_work = batch.is_some();
        let Some(batch) = batch.or_else(|| scan::batches(workspace).pop()) else { return Queue::default() };
        let mut unread = Vec::new();
        let state: QueueState =
            known(read::json_if_there(&batch.queue_json()), &mut unread).unwrap_or_default();
        let record: Option<Batch> = known(read::json_if_there(&batch.batch_json()), &mut unread);
        if !is_at_work && record.is_none_or(|record| record.end.is_none()) {
            return Queue { remarks: unread, ..Queue::default() };
        }
        let told = if is_at_work { Facts::of(&state, Vec::new()).remarks } else { Vec::new() };
        let remarks = told.into_iter().chain(unread).collect();
        let waiting = state.waiting.into_iter().map(|run| {
            let name = (run.experiment.clone(), run.run.clone());
            let run = if is_at_work { run } else { WaitingRun { start: None, end: None, ..run } };
            (name, run)
        });
        let end = state.end.filter(|_| is_at_work);
        let is_silent = is_at_work && (scan::now() - state.time).abs() > SILENT_SECONDS;
        Queue { waiting: waiting.collect(), end, is_at_work, is_silent, remarks }
    }
}

/// A record of the batch, where it can be read; else why not is told.
fn known<T>(read: Result<Option<T>, ReadError>, unread: &mut Vec<String>) -> Option<T> {
    read.unwrap_or_else(|error| {
        unread.push(format!("what the batch says of itself is not shown: {error}"));
        None
    })
}

/// Whether what the queue says of a run still holds. A failed one waits only for a runner that was asked
/// to retry it, and needs nobody else then.
fn waits(seen: &Seen, is_at_work: bool) -> bool {
    match seen.status {
        Status::Waiting { .. } => true,
        Status::Failed { .. } | Status::Killed { .. } => is_at_work,
        _ => false,
    }
}

fn line(seen: Seen, waiting: Option<&WaitingRun>, no_room: Option<&String>) -> Line {
    let result: Option<RunResult> = read::json_if_there(&seen.dir.result()).ok().flatten();
    let is_waiting = matches!(seen.status, Status::Waiting { .. });
    let is_tried_again = waiting.is_some() && !is_waiting;
    let no_room = no_room.filter(|_| is_waiting || is_tried_again);
    // Events are many, so they are read only where there is a rule that could have seen something.
    let record = seen.record.as_ref().ok();
    let alerts = record
        .filter(|record| !record.alerts.is_empty())
        .map(|_| alerts::read(&seen.dir))
        .unwrap_or_default();
    let budgets = budgets::verdicts(&seen);
    let marks = marks(&alerts, &budgets);
    let note = [note(&seen, no_room.or(waiting.map(|run| &run.reason))), marks]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("; ");
    let trouble = if is_tried_again { None } else { trouble(&seen) };
    let (progress, import) = (seen.progress.as_ref(), seen.import.as_ref());
    let is_running = seen.status.is_running();
    let remaining = progress.filter(|_| is_running).and_then(|progress| progress.remaining_seconds);
    let remaining = remaining.filter(|seconds| seconds.is_finite());
    Line {
        experiment: seen.dir.experiment(),
        run: seen.dir.name(),
        step: result
            .as_ref()
            .map(|result| result.step)
            .or(progress.map(|progress| progress.step))
            .or(import.map(|import| import.step))
            .unwrap_or(0),
        steps: seen.record.as_ref().map_or(0, |record| record.steps),
        loss: progress
            .and_then(|progress| progress.loss)
            .or(import.and_then(|import| import.loss).map(Number)),
        best: result.and_then(|result| result.best).or_else(|| best_so_far(&seen)),
        remaining_seconds: remaining,
        start: waiting.and_then(|run| run.start),
        end: waiting.and_then(|run| run.end).or(remaining.map(|seconds| scan::now() + seconds)),
        attempts: last_start(&seen.attempts).map_or(0, |start| start.attempt),
        energy_joules: None,
        certificate: last_start(&seen.attempts)
            .and_then(|_| Certificate::read(&seen.dir, &seen.attempts).ok()),
        note,
        alerts,
        budgets,
        trouble,
        metric: record.map_or_else(String::new, |_| metric_of(&seen)),
        curves: Vec::new(),
        warnings: seen.warnings,
        status: seen.status,
    }
}

/// The best value of a run without a result: as its newest checkpoint remembers it, or its source tells.
fn best_so_far(seen: &Seen) -> Option<Best> {
    if let Some(import) = &seen.import {
        return import.best.clone();
    }
    let newest = checkpoint::steps(&seen.dir).pop()?;
    let state: Option<checkpoint::State> = read::json_if_there(&seen.dir.checkpoint(newest).state()).ok()?;
    state?.best
}

/// That there were alerts, and which budgets were missed.
fn marks(alerts: &[Told], budgets: &[Verdict]) -> String {
    let mut marks: Vec<String> = budgets
        .iter()
        .filter(|verdict| !verdict.met)
        .map(|verdict| format!("missed {}", verdict.line()))
        .collect();
    if let Some(last) = alerts.last() {
        let counted = say::counted(alerts.len(), "alert", "alerts");
        let last = format!("at step {}: {}", say::count(last.step), last.named());
        marks.push(if alerts.len() == 1 {
            format!("{counted} {last}")
        } else {
            format!("{counted}, last {last}")
        });
    }
    marks.join("; ")
}

/// Why it stands where it stands: as the runner says it, where it does.
fn note(seen: &Seen, known: Option<&String>) -> String {
    match (&seen.status, known) {
        (Status::Failed { .. } | Status::Killed { .. }, Some(known)) => {
            format!("will be tried again; {known}")
        }
        (Status::Waiting { .. }, Some(known)) => known.clone(),
        _ => reason::of(seen),
    }
}

/// What a run that ended badly has to say: also one that is started again after that.
fn trouble(seen: &Seen) -> Option<Trouble> {
    let is_retried =
        matches!(seen.status, Status::Waiting { because: Waiting::Retry { .. } | Waiting::Room });
    if !is_retried && !matches!(seen.status, Status::Failed { .. } | Status::Killed { .. }) {
        return None;
    }
    let end = cause::last_end(&seen.attempts)?;
    let cause = end.cause.clone().or_else(|| {
        let events = read::lines(&seen.dir.events()).map(|lines| lines.records).unwrap_or_default();
        cause::of_end(end, &events)
    });
    let name = format!("{}/{}", seen.dir.experiment(), seen.dir.name());
    let mut log = read::last_lines(&seen.dir.stderr_log(), LOG_LINES);
    if log.is_empty() {
        log = read::last_lines(&seen.dir.train_log(), LOG_LINES);
    }
    Some(Trouble {
        words: cause.as_ref().map_or_else(|| "failed".to_owned(), Cause::words),
        advice: cause.as_ref().unwrap_or(&Cause::Failed).advice(&name),
        cause,
        log,
    })
}
