//! `/api/v1/runs/{experiment}/{run}/log` and `/stderr`: a run's logs as they are on the disk, to the length
//! they have at this moment.

use std::path::PathBuf;

use schemars::json_schema;

use super::call::{Call, Reply};
use super::problem::Problem;
use super::route::{Access, EXPERIMENT, RUN, Route};
use crate::run_dir::RunDir;
use crate::serve::control::role::Action;

pub(super) const LOG: Route = Route {
    path: "/api/v1/runs/{experiment}/{run}/log",
    name: "getLog",
    summary: "What the run logged, for a person to read. Takes a range.",
    parameters: &[EXPERIMENT, RUN],
    refusals: &[401, 403, 404, 503],
    access: Access::RoleWhereNamed(Action::Log),
    content: &[(TEXT, |_| json_schema!({ "type": "string" }))],
    answer: |call| answer(call, RunDir::train_log),
};

pub(super) const STDERR: Route = Route {
    path: "/api/v1/runs/{experiment}/{run}/stderr",
    name: "getStderr",
    summary: "What the run's process wrote to its standard error. Takes a range.",
    answer: |call| answer(call, RunDir::stderr_log),
    ..LOG
};

pub(super) const TEXT: &str = "text/plain; charset=utf-8";

fn answer(call: &Call, log: fn(&RunDir) -> PathBuf) -> Result<Reply, Problem> {
    let (_, dir) = call.run()?;
    let path = log(&dir);
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    call.file(&dir, name.as_ref(), TEXT)
}
