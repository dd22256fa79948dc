//! `overnight verify`: trains a part of a run again, from one of its checkpoints, and says whether the bits
//! are the same. What was compared, and with what result, is kept in the run's `verify.jsonl`; nothing else
//! of the run is touched, and it may go on meanwhile.

mod compare;
mod judge;
pub mod plan;
mod replay;
pub(crate) mod scratch;

use std::io;
use std::time::Instant;

use crate::data_files;
use crate::run_dir::certificate::{Certificate, Point, is_same_libtorch, starts, trail};
use crate::run_dir::checkpoint::{self, State};
use crate::run_dir::metrics::Metrics;
use crate::run_dir::read::ReadError;
use crate::run_dir::records::{Attempt, Device, Environment, Event, RunRecord, RunResult};
use crate::run_dir::verdict::Verdict;
use crate::run_dir::write::{Durability, append_line};
use crate::run_dir::{RunDir, machine, read, scan};
use crate::runner::devices::Devices;
use crate::runner::interrupt::Interrupts;
use crate::runner::program::{Program, ProgramError};
use judge::{Judgment, Recorded, Replayed, judge};
use plan::{Past, PlanError, Stretch, Wish};
use scratch::Scratch;

/// Checkpoints of a run that goes on may be deleted while they are taken; so often it is tried.
const TRIES: usize = 3;

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The device is busy or away, or something it needs is missing.
    #[error("it cannot be verified now: {0}")]
    NotNow(String),
    /// Another program trained it.
    #[error("it {0}")]
    Imported(String),
    #[error("ended by a signal; nothing is left of the replay")]
    Interrupted,
    #[error(transparent)]
    Program(#[from] ProgramError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Replays what `wish` says, and keeps the verdict. `tell` is given a sentence before each replay.
///
/// # Errors
/// There is no verdict.
pub fn verify(run: &RunDir, wish: Wish, tell: &dyn Fn(&str)) -> Result<Verdict, VerifyError> {
    let verdict = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(verdict(run, wish, tell))?;
    append_line(&run.verify(), &verdict, Durability::Synced)?;
    Ok(verdict)
}

async fn verdict(run: &RunDir, wish: Wish, tell: &dyn Fn(&str)) -> Result<Verdict, VerifyError> {
    let mut interrupts = Interrupts::listen()?;
    let began = Instant::now();
    let record = read::run_record(run)?;
    if let Some(why) = record.refusal() {
        return Err(VerifyError::Imported(why));
    }
    let attempts = read::lines::<Attempt>(&run.attempts())?.records;
    let (scratch, stretches, recorded) = prepare(run, &record, &attempts, wish)?;
    let program = Program::find()?;
    tokio::select! {
        answer = program.shake_hands() => answer?,
        _ = interrupts.next() => return Err(VerifyError::Interrupted),
    }
    let devices = Devices::find();
    let mut used = Vec::new();
    for stretch in &stretches {
        let device = replay::device(&stretch.orders.device, devices.gpus(), &machine::cpu_name());
        let device = device.map_err(VerifyError::NotNow)?;
        tell(&sentence(stretch, &device));
        replay::replay(&scratch.run, &program, stretch, device.clone(), &mut interrupts).await?;
        used.push(device);
    }
    let (first, last) = (&stretches[0], &stretches[stretches.len() - 1]);
    let judgment = judge(&recorded, &Replayed::read(&scratch.run, last.to)?, first.from, last.to);
    let why = why(run, &record, &attempts, &stretches, &used, &program, &judgment);
    let point = recorded.point(last.to);
    Ok(Verdict {
        time: scan::now(),
        host: scan::host(),
        from: first.from,
        to: last.to,
        history: point.map(|point| point.history.clone()).unwrap_or_default(),
        weights: point.map(|point| point.weights.clone()).unwrap_or_default(),
        checkpoints: judgment.checkpoints,
        rows: judgment.rows,
        equal: judgment.difference.is_none(),
        difference: judgment.difference,
        why,
        device: used.pop().unwrap_or_else(|| last.orders.device.clone()),
        libtorch: program.libtorch,
        seconds: began.elapsed().as_secs_f64(),
    })
}

/// Takes hold of everything that is recorded, before the run goes on.
fn prepare(
    run: &RunDir,
    record: &RunRecord,
    attempts: &[Attempt],
    wish: Wish,
) -> Result<(Scratch, Vec<Stretch>, Recorded), VerifyError> {
    let mut tries = 0;
    let mut wish = wish;
    loop {
        let past = past(run, attempts)?;
        let stretches = past.stretches(wish)?;
        let (Some(first), Some(last)) = (stretches.first(), stretches.last()) else {
            return Err(PlanError::Nothing.into());
        };
        let (from, to) = (first.from, last.to);
        let start = run.checkpoint(from);
        if from > 0 && start.path().exists() && judge::damage(&start).is_some() {
            // Nothing can be replayed from it; what is wrong with it shows when it is replayed to.
            wish = Wish { from: None, to: Some(from), all: false };
            continue;
        }
        let gone = match take(run, record, &past, from, to) {
            Ok((scratch, recorded)) => return Ok((scratch, stretches, recorded)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => error,
            Err(error) => return Err(error.into()),
        };
        tries += 1;
        if tries == TRIES {
            return Err(VerifyError::NotNow(gone.to_string()));
        }
    }
}

fn take(
    run: &RunDir,
    record: &RunRecord,
    past: &Past,
    from: u64,
    to: u64,
) -> io::Result<(Scratch, Recorded)> {
    let scratch = Scratch::make(run, record, from)?;
    let kept = past.kept.contains(&to).then(|| scratch.keep_recorded(run, to)).transpose()?;
    let result = read::json_if_there::<RunResult>(&run.result()).map_err(io::Error::other)?;
    let metrics = Metrics::read(&run.metrics()).map_err(io::Error::other)?;
    let recorded = Recorded { trail: past.trail.clone(), kept, result, metrics };
    Ok((scratch, recorded))
}

/// What the run has recorded of itself, its checkpoints' own words where an older version wrote no others.
fn past(run: &RunDir, attempts: &[Attempt]) -> Result<Past, ReadError> {
    let kept = checkpoint::steps(run);
    let starts: Vec<_> = starts(attempts).cloned().collect();
    let mut trail = trail(&read::lines::<Event>(&run.events())?.records);
    for step in &kept {
        let known = trail.iter().position(|point| point.step == *step);
        if known.is_some_and(|index| !trail[index].history.is_empty()) {
            continue;
        }
        // One that cannot be read is nothing to compare with; the worker sets it aside one day.
        let Ok(state) = read::json::<State>(&run.checkpoint(*step).state()) else { continue };
        let attempt = match known {
            Some(index) => trail.remove(index).attempt,
            None => starts
                .iter()
                .rev()
                .find(|start| start.checkpoint < Some(*step))
                .map_or(0, |start| start.attempt),
        };
        trail.push(Point { step: *step, attempt, history: state.history, weights: state.model_hash });
    }
    trail.retain(|point| !point.history.is_empty());
    trail.sort_by_key(|point| point.step);
    Ok(Past { trail, kept, starts })
}

fn sentence(stretch: &Stretch, device: &Device) -> String {
    let Stretch { from, to, orders } = stretch;
    let threads = crate::say::counted(orders.threads as usize, "thread", "threads");
    format!("training steps {from} to {to} again on {}, {threads}", device.name())
}

/// What may explain a difference, as far as anything recorded tells it.
fn why(
    run: &RunDir,
    record: &RunRecord,
    attempts: &[Attempt],
    stretches: &[Stretch],
    used: &[Device],
    program: &Program,
    judgment: &Judgment,
) -> Vec<String> {
    if judgment.difference.is_none() {
        return Vec::new();
    }
    if let Some(changed) = &judgment.changed {
        return vec![format!("{changed} was changed after it was written: everything else agrees")];
    }
    let mut why = Vec::new();
    for (stretch, device) in stretches.iter().zip(used) {
        let orders = &stretch.orders;
        if device.name() != orders.device.name() {
            why.push(format!("the replay was on {}, the run on {}", device.name(), orders.device.name()));
        }
        if !is_same_libtorch(&program.libtorch, &orders.libtorch) {
            why.push(format!(
                "the replay was with libtorch {}, the run with {}",
                program.libtorch, orders.libtorch
            ));
        }
    }
    why.dedup();
    why.extend(changed_data(run, record).map(|path| format!("{path} has changed since the run was queued")));
    why.extend(Certificate::of(attempts, &[], &[]).changes);
    if why.is_empty() {
        why.push("nothing that is recorded differs: this device does not give the same bits twice".into());
    }
    why
}

fn changed_data(run: &RunDir, record: &RunRecord) -> Option<String> {
    let environment: Environment = read::json_if_there(&run.env_json()).ok().flatten()?;
    let base = run.workspace().root().join(&record.base);
    let now = data_files::fingerprints(&record.settings, &base, &data_files::unheard).ok()?;
    environment.data.into_iter().find(|before| !now.contains(before)).map(|before| before.path)
}
