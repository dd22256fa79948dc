//! `/api/v1/runs`: the runs of the workspace, page by page.

use std::ops::Bound;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::call::{Call, Reply};
use super::problem::Problem;
use super::route::{Access, CURSOR, Kind, LIMIT, Parameter, Place, Route};
use crate::report::catalog::{self, Key, Listed};
use crate::run_dir::number::Number;

pub(super) const ROUTE: Route = Route {
    path: "/api/v1/runs",
    name: "listRuns",
    summary: "Runs, sorted by experiment and name, page by page.",
    parameters: &[
        Parameter {
            name: "experiment",
            place: Place::Query,
            kind: Kind::Text,
            description: "Runs of this experiment alone.",
        },
        Parameter {
            name: "status",
            place: Place::Query,
            kind: Kind::Words(&STATUSES),
            description: "Runs that stand so alone; several mean any of them.",
        },
        Parameter {
            name: "tag",
            place: Place::Query,
            kind: Kind::Texts { most: 20 },
            description: "Runs with this tag alone; several mean all of them.",
        },
        LIMIT,
        CURSOR,
    ],
    refusals: &[503],
    access: Access::Reader,
    content: &[(super::JSON, |schemas| schemas.subschema_for::<RunList>())],
    answer,
};

/// The words for how a run stands.
pub(super) const STATUSES: [&str; 13] = [
    "failed",
    "finished",
    "killed",
    "lost",
    "paused",
    "pausing",
    "running",
    "skipped",
    "starting",
    "stopped",
    "stopping",
    "unreadable",
    "waiting",
];

/// Some of the runs.
#[derive(Serialize, JsonSchema)]
struct RunList {
    runs: Vec<Run>,
    /// How many there are that were asked for, on all pages.
    total: usize,
    /// The cursor of the next page; null on the last.
    next: Option<String>,
}

/// A run in few words.
#[derive(Serialize, JsonSchema)]
pub(super) struct Run {
    experiment: String,
    /// The name of its directory.
    run: String,
    /// The name for people, without its hash.
    label: String,
    /// Number within the experiment.
    number: u16,
    description: String,
    tags: Vec<String>,
    /// When it was queued, in Unix seconds.
    created: f64,
    /// How it stands, in one word.
    status: String,
    /// Why it stands so, where the word does not say all.
    reason: Option<String>,
    /// Whether another program trained it: it is shown, and never run.
    imported: bool,
    /// Steps done, and steps planned.
    step: u64,
    steps: u64,
    /// Seconds of training, and those that are probably left.
    elapsed_seconds: Option<f64>,
    remaining_seconds: Option<f64>,
    seed: Option<u64>,
    /// What the sweep varied, by setting.
    varied: Map<String, Value>,
    /// The metric whose best value counts.
    metric: String,
    best: Option<Best>,
    rate: Option<Rate>,
    energy_joules: Option<f64>,
    /// The address of its page.
    page: String,
    /// Its own address here.
    href: String,
}

/// The best value of the metric that counts.
#[derive(Serialize, JsonSchema)]
pub(super) struct Best {
    pub value: Measured,
    pub step: u64,
}

/// How fast it trains.
#[derive(Serialize, JsonSchema)]
pub(super) struct Rate {
    /// `tokens_per_second` or `images_per_second`.
    pub metric: String,
    pub value: Measured,
}

/// A number, or `nan`, `inf` or `-inf` as a word.
#[derive(Serialize)]
#[serde(transparent)]
pub(super) struct Measured(pub Number);

impl JsonSchema for Measured {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Number".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A number, or one that JSON cannot write as a word.",
            "anyOf": [{ "type": "number" }, { "type": "string", "enum": ["nan", "inf", "-inf"] }]
        })
    }
}

impl From<f64> for Measured {
    fn from(value: f64) -> Measured {
        Measured(Number(value))
    }
}

impl From<&Listed> for Run {
    fn from(listed: &Listed) -> Run {
        Run {
            experiment: listed.experiment.clone(),
            run: listed.run.clone(),
            label: listed.label.clone(),
            number: listed.number,
            description: listed.description.clone(),
            tags: listed.tags.clone(),
            created: listed.created,
            status: listed.state.word.clone(),
            reason: listed.state.detail.clone(),
            imported: listed.state.is_imported,
            step: listed.step,
            steps: listed.steps,
            elapsed_seconds: listed.elapsed_seconds,
            remaining_seconds: listed.remaining_seconds,
            seed: listed.seed,
            varied: listed.varied.iter().cloned().collect(),
            metric: listed.metric.clone(),
            best: listed.best.map(|best| Best { value: best.value.into(), step: best.step }),
            rate: listed.rate.clone().map(|(metric, value)| Rate { metric, value: value.into() }),
            energy_joules: listed.energy_joules,
            page: format!("/{}", catalog::address_of(&catalog::run_page(listed))),
            href: href(listed),
        }
    }
}

/// A run's own address here.
pub(super) fn href(listed: &Listed) -> String {
    format!("/api/v1/runs/{}", catalog::address_of(&format!("{}/{}", listed.experiment, listed.run)))
}

fn answer(call: &Call) -> Result<Reply, Problem> {
    let all = call.api.index.runs()?;
    let (experiment, tags) = (call.values.text("experiment"), call.values.all("tag"));
    let statuses = call.values.all("status");
    let is_wanted = |listed: &Listed| {
        experiment.is_none_or(|name| listed.experiment == name)
            && (statuses.is_empty() || statuses.contains(&listed.state.word))
            && tags.iter().all(|tag| listed.tags.contains(tag))
    };
    let wanted = all.values().filter(|listed| is_wanted(listed));
    let total = wanted.count();
    let after = call.values.text("cursor").map_or(Bound::Unbounded, |cursor| Bound::Excluded(key(cursor)));
    let mut rest = all.range((after, Bound::Unbounded)).filter(|(_, listed)| is_wanted(listed));
    let runs: Vec<&Listed> = rest.by_ref().map(|(_, listed)| &**listed).take(call.values.limit()).collect();
    let next = rest.next().and(runs.last()).map(|last| format!("{}/{}", last.experiment, last.run));
    Reply::json(&RunList { runs: runs.into_iter().map(Run::from).collect(), total, next })
}

/// The run that a cursor names; it may be gone meanwhile.
fn key(cursor: &str) -> Key {
    let (experiment, run) = cursor.split_once('/').unwrap_or((cursor, ""));
    (experiment.to_owned(), run.to_owned())
}
