//! `/api/v1/runs/{experiment}/{run}/progress`: where a run is at this moment, from its own directory: the
//! report is a moment behind.

use schemars::JsonSchema;
use serde::Serialize;

use super::call::{Call, Reply};
use super::problem::Problem;
use super::route::{Access, EXPERIMENT, RUN, Route};
use super::runs::{Measured, Rate};
use crate::run_dir::records::Phase;
use crate::run_dir::{Status, reason, scan};

pub(super) const ROUTE: Route = Route {
    path: "/api/v1/runs/{experiment}/{run}/progress",
    name: "getProgress",
    summary: "Where a run is at this moment.",
    parameters: &[EXPERIMENT, RUN],
    refusals: &[404, 503],
    access: Access::Reader,
    content: &[(super::JSON, |schemas| schemas.subschema_for::<Progress>())],
    answer,
};

/// Where a run is. What only a worker knows is null before the first one has said so.
#[derive(Serialize, JsonSchema)]
struct Progress {
    experiment: String,
    run: String,
    /// How it stands, in one word.
    status: String,
    /// Why it stands so, where the word does not say all.
    reason: Option<String>,
    /// Steps done, and steps planned.
    step: u64,
    steps: u64,
    /// When its worker last said so, in Unix seconds.
    time: Option<f64>,
    attempt: Option<u32>,
    epoch: Option<f64>,
    /// `loading`, `training`, `evaluating`, `sampling` or `checkpointing`; null unless it runs.
    phase: Option<String>,
    steps_per_second: Option<f64>,
    rate: Option<Rate>,
    remaining_seconds: Option<f64>,
    /// The last training loss.
    loss: Option<Measured>,
}

fn answer(call: &Call) -> Result<Reply, Problem> {
    let (listed, dir) = call.run()?;
    let seen = scan::look(&dir, &scan::host(), scan::now());
    let (status, reason) = match &seen.status {
        // That its needs did not finish is known of all runs together only.
        Status::Waiting { .. } => (listed.state.word.clone(), listed.state.detail.clone()),
        status => (status.word().to_owned(), Some(reason::of(&seen)).filter(|reason| !reason.is_empty())),
    };
    let is_running = seen.status.is_running();
    let told = seen.progress.as_ref();
    Reply::json(&Progress {
        experiment: listed.experiment.clone(),
        run: listed.run.clone(),
        status,
        reason,
        step: told.map_or(listed.step, |told| told.step.max(listed.step)),
        steps: told.map_or(listed.steps, |told| told.steps),
        time: told.map(|told| told.time),
        attempt: told.map(|told| told.attempt),
        epoch: told.map(|told| told.epoch),
        phase: told.filter(|_| is_running).map(|told| word(told.phase).to_owned()),
        steps_per_second: told.filter(|_| is_running).and_then(|told| told.steps_per_second),
        rate: told
            .filter(|_| is_running)
            .and_then(|told| told.rate.clone())
            .map(|(metric, value)| Rate { metric, value: value.into() }),
        remaining_seconds: told.filter(|_| is_running).and_then(|told| told.remaining_seconds),
        loss: told.and_then(|told| told.loss).map(Measured),
    })
}

fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Loading => "loading",
        Phase::Training => "training",
        Phase::Evaluating => "evaluating",
        Phase::Sampling => "sampling",
        Phase::Checkpointing => "checkpointing",
    }
}
