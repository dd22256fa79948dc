//! `/api/v1/openapi.json`: the description of all this; the same stands in the repository as
//! `docs/openapi.json`.

use std::sync::OnceLock;

use schemars::json_schema;

use super::call::{Call, Reply};
use super::openapi;
use super::problem::Problem;
use super::route::{Access, Route};

pub(super) const ROUTE: Route = Route {
    path: "/api/v1/openapi.json",
    name: "getDescription",
    summary: "This description, in OpenAPI 3.1.",
    parameters: &[],
    refusals: &[],
    access: Access::Reader,
    content: &[(
        super::JSON,
        |_| json_schema!({ "type": "object", "required": ["openapi", "info", "paths", "components"] }),
    )],
    answer,
};

fn answer(_: &Call) -> Result<Reply, Problem> {
    static DOCUMENT: OnceLock<String> = OnceLock::new();
    let document = DOCUMENT.get_or_init(|| format!("{:#}\n", openapi::document(super::ROUTES)));
    Ok(Reply::Now { content_type: super::JSON, body: document.as_bytes().to_vec() })
}
