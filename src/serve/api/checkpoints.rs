//! `/api/v1/runs/{experiment}/{run}/checkpoints`: which there are, and their files. What a request names is
//! a step and one of the names that a checkpoint's files have; paths are ours.

use std::fs;
use std::path::Path;

use schemars::{JsonSchema, json_schema};
use serde::Serialize;

use super::call::{Call, Reply};
use super::problem::Problem;
use super::route::{Access, EXPERIMENT, Kind, LARGEST, Parameter, Place, RUN, Route};
use super::runs::href;
use crate::clean::observe;
use crate::run_dir::{checkpoint, step_name};
use crate::serve::control::role::Action;

pub(super) const LIST: Route = Route {
    path: "/api/v1/runs/{experiment}/{run}/checkpoints",
    name: "listCheckpoints",
    summary: "The complete checkpoints of a run, oldest first.",
    parameters: &[EXPERIMENT, RUN],
    refusals: &[401, 403, 404, 503],
    access: Access::Role(Action::Checkpoints),
    content: &[(super::JSON, |schemas| schemas.subschema_for::<Checkpoints>())],
    answer: list,
};

pub(super) const FILE: Route = Route {
    path: "/api/v1/runs/{experiment}/{run}/checkpoints/{step}/{file}",
    name: "getCheckpointFile",
    summary: "A file of a checkpoint. Takes a range.",
    parameters: &[
        EXPERIMENT,
        RUN,
        Parameter {
            name: "step",
            place: Place::Path,
            kind: Kind::Number { least: 0, most: LARGEST, default: None },
            description: "Its step.",
        },
        Parameter { name: "file", place: Place::Path, kind: Kind::Words(&FILES), description: "Its name." },
    ],
    content: &[(BYTES, |_| json_schema!({ "type": "string", "format": "binary" }))],
    answer: file,
    ..LIST
};

pub(super) const BYTES: &str = "application/octet-stream";
/// All that a checkpoint consists of.
const FILES: [&str; 3] = ["model.safetensors", "optimizer.safetensors", "state.json"];

/// The checkpoints of a run.
#[derive(Serialize, JsonSchema)]
struct Checkpoints {
    checkpoints: Vec<Checkpoint>,
}

/// The state of a run after some step.
#[derive(Serialize, JsonSchema)]
struct Checkpoint {
    step: u64,
    /// Whether the run had its best value there, by `checkpoint.best`.
    best: bool,
    /// Whether the run goes on from it.
    last: bool,
    /// Of all its files.
    bytes: u64,
    files: Vec<File>,
}

/// A file of a checkpoint.
#[derive(Serialize, JsonSchema)]
struct File {
    file: &'static str,
    bytes: u64,
    /// Its address here.
    href: String,
}

fn list(call: &Call) -> Result<Reply, Problem> {
    let (listed, dir) = call.run()?;
    let steps = checkpoint::steps(&dir);
    let last = steps.last().copied();
    let best = observe::best(&dir, last).map(|best| best.step);
    let checkpoints = steps.into_iter().map(|step| {
        let found = FILES.into_iter().filter_map(|file| {
            // A link is none of ours.
            let metadata = fs::symlink_metadata(dir.checkpoint(step).path().join(file)).ok()?;
            let href = format!("{}/checkpoints/{step}/{file}", href(&listed));
            metadata.is_file().then_some(File { file, bytes: metadata.len(), href })
        });
        let files: Vec<File> = found.collect();
        let bytes = files.iter().map(|file| file.bytes).sum();
        Checkpoint { step, best: Some(step) == best, last: Some(step) == last, bytes, files }
    });
    Reply::json(&Checkpoints { checkpoints: checkpoints.collect() })
}

fn file(call: &Call) -> Result<Reply, Problem> {
    let (_, dir) = call.run()?;
    let (step, file) = (call.values.number("step").unwrap_or(u64::MAX), call.values.text("file"));
    let relative = Path::new("checkpoints").join(step_name(step)).join(file.unwrap_or_default());
    call.file(&dir, &relative, BYTES)
}
