//! `/api/v1/health`: whether all is well, and what is not.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::batch::{Work, holder};
use super::call::{Call, Reply};
use super::problem::Problem;
use super::route::{Access, Route};
use crate::report::catalog;

pub(super) const ROUTE: Route = Route {
    path: "/api/v1/health",
    name: "getHealth",
    summary: "Whether all is well: the report, the runner, how the runs stand.",
    parameters: &[],
    refusals: &[],
    access: Access::Reader,
    content: &[(super::JSON, |schemas| schemas.subschema_for::<Health>())],
    answer,
};

/// How things stand.
#[derive(Serialize, JsonSchema)]
struct Health {
    /// `ok`, or `degraded` where the report is missing or could not be built.
    status: String,
    /// Version of overnight.
    version: String,
    /// Whether there is a report.
    report_built: bool,
    /// Why its last build failed, if it did.
    report_problem: Option<String>,
    /// Whether a runner works at this moment.
    runner_at_work: bool,
    /// How many runs stand so.
    runs: BTreeMap<String, usize>,
    last_batch: Option<LastBatch>,
}

/// The batch at work, or the last one.
#[derive(Serialize, JsonSchema)]
struct LastBatch {
    batch: String,
    /// Unix seconds.
    start: f64,
    end: Option<f64>,
    exit_code: Option<i32>,
    energy_joules: Option<f64>,
}

fn answer(call: &Call) -> Result<Reply, Problem> {
    let api = call.api;
    let report_built = catalog::is_built(&api.workspace);
    let report_problem = api.changes.problem();
    let is_well = report_built && report_problem.is_none();
    let work = Work::newest(&api.workspace);
    Reply::json(&Health {
        status: if is_well { "ok" } else { "degraded" }.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        report_built,
        report_problem,
        runner_at_work: holder(&api.workspace).is_some(),
        runs: api.index.runs().map_or_else(|_| BTreeMap::new(), |runs| counted(&runs)),
        last_batch: work.map(|work| LastBatch {
            batch: work.dir.name(),
            start: work.batch.start,
            end: work.batch.end,
            exit_code: work.batch.exit_code,
            energy_joules: work.batch.energy_joules,
        }),
    })
}

/// How many runs stand so, by word.
pub(super) fn counted(runs: &catalog::Runs) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for listed in runs.values() {
        *counts.entry(listed.state.word.clone()).or_insert(0) += 1;
    }
    counts
}
