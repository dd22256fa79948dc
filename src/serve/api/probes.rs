//! `/healthz` and `/readyz`, for whoever starts servers anew: the process lives; there is something to
//! serve.

use std::fs;

use schemars::JsonSchema;
use serde::Serialize;

use super::call::{Call, Reply};
use super::problem::Problem;
use super::route::{Access, Route};
use crate::report::catalog;

pub(super) const HEALTHZ: Route = Route {
    path: "/healthz",
    name: "isAlive",
    summary: "Whether the server lives.",
    parameters: &[],
    refusals: &[],
    access: Access::Reader,
    content: &[(super::JSON, |schemas| schemas.subschema_for::<Well>())],
    answer: |_| well(),
};

pub(super) const READYZ: Route = Route {
    path: "/readyz",
    name: "isReady",
    summary: "Whether the report is built and the workspace can be read.",
    parameters: &[],
    refusals: &[503],
    access: Access::Reader,
    content: &[(super::JSON, |schemas| schemas.subschema_for::<Well>())],
    answer: is_ready,
};

/// All is well.
#[derive(Serialize, JsonSchema)]
struct Well {
    /// Always `ok`: anything else is a refusal.
    status: &'static str,
}

fn well() -> Result<Reply, Problem> {
    Reply::json(&Well { status: "ok" })
}

fn is_ready(call: &Call) -> Result<Reply, Problem> {
    let workspace = &call.api.workspace;
    if let Err(error) = fs::read_dir(workspace.root()) {
        let detail = format!("the workspace {} cannot be read: {error}", workspace.root().display());
        return Err(Problem::unavailable(detail));
    }
    if !catalog::is_built(workspace) {
        return Err(match call.api.changes.problem() {
            Some(problem) => Problem::unavailable(format!("the report could not be built: {problem}")),
            None => Problem::not_built(),
        });
    }
    well()
}
