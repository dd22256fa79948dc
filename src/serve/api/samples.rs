//! `/api/v1/runs/{experiment}/{run}/samples`: what a run's model wrote or predicted on its way.

use std::fs;

use schemars::JsonSchema;
use serde::Serialize;

use super::call::{Call, Reply};
use super::problem::Problem;
use super::route::{Access, EXPERIMENT, FROM, Kind, Parameter, Place, RUN, Route, TO};
use super::runs::Measured;
use crate::report::catalog;
use crate::run_dir::records::{self, SampleItem};
use crate::run_dir::{RunDir, read, step_name, step_of};

pub(super) const ROUTE: Route = Route {
    path: "/api/v1/runs/{experiment}/{run}/samples",
    name: "getSamples",
    summary: "What the model wrote or predicted, by step.",
    parameters: &[
        EXPERIMENT,
        RUN,
        FROM,
        TO,
        Parameter {
            name: "limit",
            place: Place::Query,
            kind: Kind::Number { least: 1, most: 100, default: Some(20) },
            description: "How many are told at the most.",
        },
    ],
    refusals: &[404, 503],
    access: Access::Reader,
    content: &[(super::JSON, |schemas| schemas.subschema_for::<Samples>())],
    answer,
};

/// A file of samples larger than this is not told.
const LARGEST_BYTES: u64 = 1 << 20;

/// Some of a run's samples, by rising steps.
#[derive(Serialize, JsonSchema)]
struct Samples {
    experiment: String,
    run: String,
    samples: Vec<Sample>,
    /// How many there are in the range.
    total: usize,
    /// `from` of the next page; null on the last.
    next: Option<u64>,
    /// Steps of this page whose samples cannot be read or are too large.
    left_out: Vec<u64>,
}

/// What the model did at one step.
#[derive(Serialize, JsonSchema)]
struct Sample {
    step: u64,
    items: Vec<Item>,
    /// The address of the sheet of images, where there is one.
    image: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Item {
    Text {
        prompt: String,
        /// What the model added.
        text: String,
        temperature: Measured,
        top_k: u32,
        top_p: Measured,
    },
    /// What another program logged, of an imported run: a text, or with none the name of a picture.
    Logged { title: String, text: String },
    Prediction {
        /// Its number in the sheet, from the top left.
        tile: u32,
        actual: String,
        predicted: String,
        probability: Measured,
    },
}

fn answer(call: &Call) -> Result<Reply, Problem> {
    let (listed, dir) = call.run()?;
    let (from, to) = call.values.steps();
    let mut steps = steps(&dir);
    steps.retain(|step| (from..=to).contains(step));
    let total = steps.len();
    let next = steps.get(call.values.limit()).copied();
    steps.truncate(call.values.limit());
    let (mut samples, mut left_out) = (Vec::new(), Vec::new());
    for step in steps {
        let Some(sample) = sample(&dir, step) else {
            left_out.push(step);
            continue;
        };
        let image = format!("samples/{}.png", step_name(step));
        let is_there = catalog::table(&call.api.workspace, &listed, &image).is_file();
        let address = || format!("/{}{image}", catalog::address_of(&catalog::run_page(&listed)));
        let items = sample.items.into_iter().map(Item::from).collect();
        samples.push(Sample { step, items, image: is_there.then(address) });
    }
    let (experiment, run) = (listed.experiment.clone(), listed.run.clone());
    Reply::json(&Samples { experiment, run, samples, total, next, left_out })
}

fn steps(dir: &RunDir) -> Vec<u64> {
    let entries = fs::read_dir(dir.samples()).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut steps: Vec<u64> =
        names.filter(|name| name.ends_with(".json")).filter_map(|name| step_of(&name)).collect();
    steps.sort_unstable();
    steps.dedup();
    steps
}

/// A link may lead to what was never meant to be shown.
fn sample(dir: &RunDir, step: u64) -> Option<records::Sample> {
    let path = dir.sample_json(step);
    let file = fs::symlink_metadata(&path).ok()?;
    (file.is_file() && file.len() <= LARGEST_BYTES).then(|| read::json(&path).ok())?
}

impl From<SampleItem> for Item {
    fn from(item: SampleItem) -> Item {
        match item {
            SampleItem::Text { prompt, text, temperature, top_k, top_p } => {
                Item::Text { prompt, text, temperature: temperature.into(), top_k, top_p: top_p.into() }
            }
            SampleItem::Logged { title, text } => Item::Logged { title, text },
            SampleItem::Prediction { tile, actual, predicted, probability } => {
                Item::Prediction { tile, actual, predicted, probability: probability.into() }
            }
        }
    }
}
