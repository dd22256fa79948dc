//! The OpenAPI document, made from the routes and from the types of their answers. It stands in the
//! repository as `docs/openapi.json`, which a test holds against this.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::call::LONGEST;
use super::problem::{self, Told};
use super::route::{EXPERIMENT, Kind, Parameter, Place, RUN, Route};
use super::{checkpoints, log};
use crate::serve::control::posts::{Asks, POSTS, Post};
use crate::serve::control::session::PAGE;

/// The document of these routes.
pub(super) fn document(routes: &[Route]) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut schemas = settings.into_generator();
    let problem = schemas.subschema_for::<Told<'static>>();
    let mut paths = Map::new();
    for route in routes {
        paths.insert(route.path.to_owned(), json!({ "get": operation(route, &mut schemas) }));
    }
    for post in POSTS {
        let address = paths.entry(post.path).or_insert_with(|| json!({}));
        address["post"] = change(post, &mut schemas);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "overnight",
            "version": "1",
            "summary": "Runs of a workspace, for programs",
            "description": "Everything that `overnight serve` tells of a workspace. Times are Unix seconds. \
                            Fields may be added; none that is here changes its meaning within /api/v1/. \
                            HEAD is answered wherever GET is. What GET answers has an entity tag and \
                            is not sent again to who names it. Where the server asks for a token, send it as a \
                            bearer. A head of more than 16 KiB is refused (431). POST is answered only where \
                            people are named who may act (`control = true`); each needs the token of a person \
                            whose role allows it.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas.take_definitions(true),
            "responses": { "Problem": {
                "description": "Why there is no answer: problem details (RFC 9457).",
                "content": { problem::CONTENT_TYPE: { "schema": problem } },
            } },
            "headers": { "ETag": {
                "description": "The version of this answer.",
                "schema": { "type": "string" },
            } },
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "description": "The readers' token." },
                "person": { "type": "http", "scheme": "bearer", "description": "A person's own token." },
            },
        },
        "security": [{}, { "token": [] }, { "person": [] }],
    })
}

/// What every change may be answered with, beside 200.
const REFUSALS: [u16; 11] = [400, 401, 403, 405, 408, 411, 413, 415, 429, 431, 503];
/// The same of those that need a key.
const REFUSALS_OF_KEYS: [u16; 2] = [409, 422];

fn change(post: &Post, schemas: &mut SchemaGenerator) -> Value {
    let is_change = matches!(post.asks, Asks::Change(_));
    let content = (post.content)(schemas);
    let mut headers = json!({});
    if !is_change {
        headers["Set-Cookie"] = json!({ "description": "The cookie.", "schema": { "type": "string" } });
    }
    if post.asks == Asks::SignIn {
        headers[PAGE] = json!({ "description": "The page's word.", "schema": { "type": "string" } });
    }
    let mut responses = Map::new();
    responses.insert(
        "200".to_owned(),
        json!({
            "description": "What is true now.",
            "headers": headers,
            "content": { super::JSON: { "schema": content } },
        }),
    );
    let of_keys = if is_change { &REFUSALS_OF_KEYS[..] } else { &[] };
    let refusals = REFUSALS.iter().chain(of_keys).chain(post.refusals);
    for status in refusals.map(|status| status.to_string()).chain(["default".to_owned()]) {
        responses.insert(status, json!({ "$ref": "#/components/responses/Problem" }));
    }
    let in_path = [EXPERIMENT, RUN].into_iter().filter(|of| post.path.contains(&format!("{{{}}}", of.name)));
    let mut parameters: Vec<Value> = in_path.map(|of| parameter(&of)).collect();
    if is_change {
        parameters.push(json!({
            "name": "Idempotency-Key",
            "in": "header",
            "required": true,
            "description": "New for each change. What comes twice under one is done once; \
                            another change under it is refused (422).",
            "schema": { "type": "string", "minLength": 8, "maxLength": 100, "pattern": "^[!-~]+$" },
        }));
    }
    let security = if is_change { json!([{ "person": [] }]) } else { json!([{}]) };
    json!({
        "operationId": post.name,
        "summary": post.summary,
        "parameters": parameters,
        "requestBody": {
            "required": true,
            "content": { super::JSON: { "schema": (post.body)(schemas) } },
        },
        "responses": responses,
        "security": security,
    })
}

fn operation(route: &Route, schemas: &mut SchemaGenerator) -> Value {
    let content: Map<String, Value> = route
        .content
        .iter()
        .map(|(kind, schema)| ((*kind).to_owned(), json!({ "schema": schema(schemas) })))
        .collect();
    let tag = json!({ "ETag": { "$ref": "#/components/headers/ETag" } });
    let mut responses = Map::new();
    responses.insert(
        "200".to_owned(),
        json!({ "description": "What was asked for.", "headers": tag, "content": &content }),
    );
    responses.insert(
        "304".to_owned(),
        json!({ "description": "The version that the request names is the newest.", "headers": tag }),
    );
    if route.content.iter().all(|(kind, _)| [checkpoints::BYTES, log::TEXT].contains(kind)) {
        responses.insert(
            "206".to_owned(),
            json!({ "description": "The part that was asked for.", "headers": tag, "content": content }),
        );
        responses.insert(
            "416".to_owned(),
            json!({ "description": "Nothing of it lies in the range that was asked for.", "headers": tag }),
        );
    }
    let refusals = [400, 431].into_iter().chain(route.refusals.iter().copied());
    for status in refusals.map(|status| status.to_string()).chain(["default".to_owned()]) {
        responses.insert(status, json!({ "$ref": "#/components/responses/Problem" }));
    }
    let parameters: Vec<Value> = route.parameters.iter().map(parameter).collect();
    json!({
        "operationId": route.name,
        "summary": route.summary,
        "parameters": parameters,
        "responses": responses,
    })
}

fn parameter(parameter: &Parameter) -> Value {
    let text = json!({ "type": "string", "minLength": 1, "maxLength": LONGEST });
    let schema = match parameter.kind {
        Kind::Text => text,
        Kind::Number { least, most, default: Some(default) } => {
            json!({ "type": "integer", "minimum": least, "maximum": most, "default": default })
        }
        Kind::Number { least, most, default: None } => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Kind::Texts { most } => json!({ "type": "array", "items": text, "maxItems": most }),
        Kind::Words(words) if parameter.place == Place::Path => json!({ "type": "string", "enum": words }),
        Kind::Words(words) => json!({
            "type": "array",
            "items": { "type": "string", "enum": words },
            "maxItems": words.len(),
        }),
    };
    let (place, style) = match parameter.place {
        Place::Path => ("path", "simple"),
        Place::Query => ("query", "form"),
    };
    json!({
        "name": parameter.name,
        "in": place,
        "required": parameter.place == Place::Path,
        "description": parameter.description,
        "style": style,
        "explode": parameter.place == Place::Query,
        "schema": schema,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::api::ROUTES;

    /// Writes it anew with `OVERNIGHT_WRITE_OPENAPI=1`.
    #[test]
    fn the_document_in_the_repository_is_what_the_routes_say() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
        let new = format!("{:#}\n", document(ROUTES));
        if std::env::var_os("OVERNIGHT_WRITE_OPENAPI").is_some() {
            std::fs::write(path, &new).unwrap();
        }
        let old = std::fs::read_to_string(path).unwrap_or_default();
        assert!(old == new, "docs/openapi.json is stale: OVERNIGHT_WRITE_OPENAPI=1 cargo test --lib openapi");
    }

    #[test]
    fn every_name_in_an_address_is_a_parameter_in_its_order_and_names_of_operations_differ() {
        let mut names = std::collections::BTreeSet::new();
        for route in ROUTES {
            let in_path = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
            let said = route.parameters.iter().filter(|parameter| parameter.place == Place::Path);
            assert!(in_path.eq(said.map(|parameter| parameter.name)), "{}", route.path);
            assert!(names.insert(route.name), "{}", route.name);
        }
        for post in POSTS {
            assert!(names.insert(post.name), "{}", post.name);
        }
    }
}
