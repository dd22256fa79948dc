//! `/api/v1/runs/{experiment}/{run}`: all that is known of one run but its curves.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::call::{Call, Reply};
use super::problem::Problem;
use super::route::{Access, EXPERIMENT, RUN, Route};
use super::runs::{Measured, Run};
use crate::report::catalog::Facts;

pub(super) const ROUTE: Route = Route {
    path: "/api/v1/runs/{experiment}/{run}",
    name: "getRun",
    summary: "One run: settings, attempts, values, alerts, budgets, notes.",
    parameters: &[EXPERIMENT, RUN],
    refusals: &[404, 503],
    access: Access::Reader,
    content: &[(super::JSON, |schemas| schemas.subschema_for::<WholeRun>())],
    answer,
};

/// A run in full.
#[derive(Serialize, JsonSchema)]
struct WholeRun {
    #[serde(flatten)]
    run: Run,
    /// What it needs before it starts: experiments or runs.
    needs: Vec<String>,
    /// Every setting by its dotted path.
    settings: BTreeMap<String, Value>,
    /// The last logged value of each metric.
    last: BTreeMap<String, Measured>,
    attempts: Vec<Attempt>,
    failure: Option<Failure>,
    alerts: Vec<Alert>,
    budgets: Vec<Budget>,
    /// Its own note and those that were added, oldest first.
    notes: Vec<String>,
}

/// One start of a worker.
#[derive(Serialize, JsonSchema)]
struct Attempt {
    /// Unix seconds.
    start: f64,
    /// Null while it lives, and where nobody saw it end.
    end: Option<f64>,
    batch: Option<String>,
    device: String,
    failed: bool,
    /// Step of the checkpoint it went on from.
    checkpoint: Option<u64>,
    energy_joules: Option<f64>,
}

/// Why it ended badly, and what to do about it.
#[derive(Serialize, JsonSchema)]
struct Failure {
    message: String,
    hint: String,
    /// What one would type next.
    command: String,
}

/// Something that a rule saw.
#[derive(Serialize, JsonSchema)]
struct Alert {
    /// Unix seconds.
    time: f64,
    step: u64,
    rule: Option<String>,
    message: String,
}

/// What became of a budget.
#[derive(Serialize, JsonSchema)]
struct Budget {
    budget: String,
    met: bool,
    value: Option<Measured>,
    /// What was found, in words.
    found: String,
}

fn answer(call: &Call) -> Result<Reply, Problem> {
    Reply::json(&WholeRun::from(call.facts()?))
}

impl From<Facts> for WholeRun {
    fn from(facts: Facts) -> WholeRun {
        WholeRun {
            run: Run::from(&facts.listed),
            needs: facts.needs,
            settings: facts.settings,
            last: facts.last.into_iter().map(|(metric, value)| (metric, Measured(value))).collect(),
            attempts: facts
                .attempts
                .into_iter()
                .map(|attempt| Attempt {
                    start: attempt.start,
                    end: attempt.end,
                    batch: attempt.batch,
                    device: attempt.device,
                    failed: attempt.failed,
                    checkpoint: attempt.checkpoint,
                    energy_joules: attempt.energy_joules,
                })
                .collect(),
            failure: facts.failure.map(|failure| Failure {
                message: failure.message,
                hint: failure.hint,
                command: failure.command,
            }),
            alerts: facts
                .alerts
                .into_iter()
                .map(|told| Alert {
                    time: told.time,
                    step: told.step,
                    rule: told.rule,
                    message: told.message,
                })
                .collect(),
            budgets: facts
                .budgets
                .into_iter()
                .map(|verdict| Budget {
                    budget: verdict.budget,
                    met: verdict.met,
                    value: verdict.value.map(Measured),
                    found: verdict.found,
                })
                .collect(),
            notes: facts.notes,
        }
    }
}
