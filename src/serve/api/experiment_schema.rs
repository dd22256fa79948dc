//! `/api/v1/schema`: what may stand in an experiment file, as `overnight schema` prints it.

use schemars::json_schema;

use super::call::{Call, Reply};
use super::problem::Problem;
use super::route::{Access, Route};
use crate::experiment::schema::schema;

pub(super) const ROUTE: Route = Route {
    path: "/api/v1/schema",
    name: "getExperimentSchema",
    summary: "The JSON Schema of experiment files.",
    parameters: &[],
    refusals: &[],
    access: Access::Reader,
    content: &[(super::JSON, |_| json_schema!({ "type": "object", "required": ["properties", "$defs"] }))],
    answer,
};

fn answer(_: &Call) -> Result<Reply, Problem> {
    Reply::json(&schema())
}
