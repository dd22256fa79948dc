//! What a view of a batch shows, from what is on disk for everybody: `queue.json`, and the progress of
//! the few runs that are at work.

use crate::run_dir::records::{Counts, FailedRun, Phase, Progress, QueueState, WaitingRun};
use crate::run_dir::scan::Seen;
use crate::run_dir::status::{Stage, Status, last_start};

/// Everything that a view shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// Unix seconds.
    pub now: f64,
    pub live: Vec<LiveRun>,
    /// In the order in which they will probably start.
    pub waiting: Vec<WaitingRun>,
    /// Newest first; not all of them.
    pub failed: Vec<FailedRun>,
    pub counts: Counts,
    /// When the batch will probably have ended, in Unix seconds.
    pub end: Option<f64>,
    /// What holds for the batch as a whole: it drains, it stopped itself, nobody works on it.
    pub remarks: Vec<String>,
}

/// Where one live run stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LiveRun {
    pub name: String,
    /// `starting`, `training`, `evaluating`, `pausing`, ...
    pub phase: String,
    pub step: u64,
    pub steps: u64,
    pub loss: Option<f64>,
    /// Tokens or images a second, and which of them.
    pub rate: Option<(f64, String)>,
    pub left_seconds: Option<f64>,
}

impl Facts {
    pub fn of(state: &QueueState, live: Vec<LiveRun>) -> Facts {
        let mut remarks = Vec::new();
        remarks.extend(state.breaker.clone());
        if state.drain && state.breaker.is_none() {
            remarks.push("nothing new is started; the runner ends after its current runs".to_owned());
        }
        Facts {
            now: state.time,
            live,
            waiting: state.waiting.clone(),
            failed: state.failed.clone(),
            counts: state.counts,
            end: state.end,
            remarks,
        }
    }
}

impl LiveRun {
    /// Of a run whose worker lives, as it was just looked at.
    pub fn of(seen: &Seen) -> LiveRun {
        let name = format!("{}/{}", seen.dir.experiment(), seen.dir.name());
        let steps = seen.record.as_ref().map_or(0, |record| record.steps);
        let attempt = last_start(&seen.attempts).map_or(0, |start| start.attempt);
        let asked = match &seen.status {
            Status::Running { stage: Stage::Pausing } => Some("pausing"),
            Status::Running { stage: Stage::Stopping } => Some("stopping"),
            _ => None,
        };
        let of_attempt = |progress: &&Progress| progress.attempt == attempt;
        let Some(progress) = seen.progress.as_ref().filter(of_attempt) else {
            return LiveRun { name, phase: asked.unwrap_or("starting").into(), steps, ..LiveRun::default() };
        };
        LiveRun {
            name,
            phase: asked.unwrap_or(phase(progress.phase)).into(),
            step: progress.step,
            steps: progress.steps,
            loss: progress.loss.map(|loss| loss.0),
            rate: progress.rate.as_ref().map(|(name, rate)| (*rate, unit(name))),
            left_seconds: progress.remaining_seconds,
        }
    }
}

fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Loading => "loading",
        Phase::Training => "training",
        Phase::Evaluating => "evaluating",
        Phase::Sampling => "sampling",
        Phase::Checkpointing => "checkpointing",
    }
}

/// What a rate counts: `tokens_per_second` counts tokens.
fn unit(rate: &str) -> String {
    rate.strip_suffix("_per_second").unwrap_or(rate).to_owned()
}
