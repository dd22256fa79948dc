//! `/api/v1/queue`: what runs, what waits and why, in the order in which it is to start.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::batch::Work;
use super::call::{Call, Reply};
use super::problem::Problem;
use super::route::{Access, Kind, Parameter, Place, Route};
use super::runs::href;
use crate::report::catalog::{Listed, Runs};
use crate::run_dir::records::{QueueState, WaitingRun};

pub(super) const ROUTE: Route = Route {
    path: "/api/v1/queue",
    name: "getQueue",
    summary: "What runs, what waits and why, in the order in which it is to start.",
    parameters: &[Parameter {
        name: "limit",
        place: Place::Query,
        kind: Kind::Number { least: 1, most: 5000, default: Some(500) },
        description: "How many waiting runs are told at the most.",
    }],
    refusals: &[503],
    access: Access::Reader,
    content: &[(super::JSON, |schemas| schemas.subschema_for::<Queue>())],
    answer,
};

/// The queue of the workspace.
#[derive(Serialize, JsonSchema)]
struct Queue {
    /// Whether a runner works on it at this moment.
    at_work: bool,
    /// The batch at work, or the last one.
    batch: Option<String>,
    /// When it will probably end, in Unix seconds.
    end: Option<f64>,
    /// Whether nothing new is started any more, because a person asked.
    drain: bool,
    /// Why the batch stopped itself, where it did.
    breaker: Option<String>,
    running: Vec<RunName>,
    waiting: Vec<Waiting>,
    /// How many wait in all.
    total: usize,
}

/// A run.
#[derive(Serialize, JsonSchema)]
struct RunName {
    experiment: String,
    run: String,
    /// Its address here.
    href: String,
}

/// A run that waits.
#[derive(Serialize, JsonSchema)]
struct Waiting {
    experiment: String,
    run: String,
    /// Its address here.
    href: String,
    /// Why it waits.
    reason: String,
    /// When it will probably start and end, in Unix seconds.
    start: Option<f64>,
    end: Option<f64>,
}

fn answer(call: &Call) -> Result<Reply, Problem> {
    let runs = call.api.index.runs()?;
    let work = Work::newest(&call.api.workspace);
    let at_work = work.as_ref().is_some_and(|work| work.is_at_work);
    let state = work.as_ref().and_then(state);
    let mut waiting = waiting(&runs, state.as_ref(), at_work);
    let total = waiting.len();
    waiting.truncate(call.values.limit());
    let now = state.filter(|_| at_work);
    let live = runs.values().filter(|listed| listed.is_live());
    Reply::json(&Queue {
        at_work,
        batch: work.map(|work| work.dir.name()),
        end: now.as_ref().and_then(|state| state.end),
        drain: now.as_ref().is_some_and(|state| state.drain),
        breaker: now.and_then(|state| state.breaker),
        running: live.map(|listed| named(listed)).collect(),
        waiting,
        total,
    })
}

/// What the runner says. A batch that was broken off says nothing that still holds.
fn state(work: &Work) -> Option<QueueState> {
    work.queue().filter(|_| work.is_at_work || work.batch.end.is_some())
}

/// Those that the runner knows first, in its order.
fn waiting(runs: &Runs, state: Option<&QueueState>, at_work: bool) -> Vec<Waiting> {
    let told: &[WaitingRun] = state.map_or(&[], |state| &state.waiting);
    let names = told.iter().enumerate().map(|(place, run)| ((&*run.experiment, &*run.run), (place, run)));
    let told: BTreeMap<(&str, &str), (usize, &WaitingRun)> = names.collect();
    let all = runs.values().filter(|listed| listed.state.word == "waiting");
    let mut waiting: Vec<(&Listed, Option<(usize, &WaitingRun)>)> =
        all.map(|listed| (&**listed, told.get(&(&*listed.experiment, &*listed.run)).copied())).collect();
    waiting.sort_by_key(|(_, told)| told.map_or(usize::MAX, |(place, _)| place));
    let one = |(listed, told): (&Listed, Option<(usize, &WaitingRun)>)| {
        let told = told.map(|(_, told)| told);
        let own = || listed.state.detail.clone().unwrap_or_default();
        Waiting {
            experiment: listed.experiment.clone(),
            run: listed.run.clone(),
            href: href(listed),
            reason: told.map_or_else(own, |told| told.reason.clone()),
            start: told.filter(|_| at_work).and_then(|told| told.start),
            end: told.filter(|_| at_work).and_then(|told| told.end),
        }
    };
    waiting.into_iter().map(one).collect()
}

fn named(listed: &Listed) -> RunName {
    RunName { experiment: listed.experiment.clone(), run: listed.run.clone(), href: href(listed) }
}
