//! What a column is, by its name.

use std::collections::HashMap;

/// Columns by which steps are known, the best first. Letters of any size; all but letters and digits is one.
const STEPS: [&str; 14] = [
    "step",
    "global step",
    "trainer global step",
    "steps",
    "iter",
    "iteration",
    "iterations",
    "it",
    "n iter",
    "update",
    "updates",
    "num updates",
    "batch",
    "epoch",
];
const TIMES: [&str; 4] = ["timestamp", "wall time", "time", "date"];
const ELAPSED: [&str; 4] = ["runtime", "elapsed", "relative time", "relative time process"];
const RUNS: [&str; 4] = ["run", "run id", "run name", "runid"];
const METRICS: [&str; 5] = ["metric", "name", "key", "tag", "variable"];

/// What its cells mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Run,
    Time,
    Elapsed,
    Epoch,
    /// The name of a metric, in the long form.
    Metric,
    /// Its value there.
    Value,
    Other,
}

/// What a column is, and how well it would do for steps, the less the better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning {
    pub kind: Kind,
    pub step: Option<usize>,
}

/// The meanings of names that came before: a file has the same ones in all of its rows.
#[derive(Debug, Default)]
pub struct Names(HashMap<String, Meaning>);

impl Names {
    pub fn of(&mut self, name: &str) -> Meaning {
        const MOST: usize = 100_000;
        if let Some(known) = self.0.get(name) {
            return *known;
        }
        let meaning = of(name);
        if self.0.len() < MOST {
            self.0.insert(name.to_owned(), meaning);
        }
        meaning
    }
}

pub fn of(name: &str) -> Meaning {
    let lower = name.to_lowercase();
    let words = lower.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    let plain = words.collect::<Vec<_>>().join(" ");
    let is = |names: &[&str]| names.contains(&plain.as_str());
    let kind = match plain.as_str() {
        "epoch" => Kind::Epoch,
        "value" => Kind::Value,
        _ if is(&RUNS) => Kind::Run,
        _ if is(&TIMES) => Kind::Time,
        _ if is(&ELAPSED) => Kind::Elapsed,
        _ if is(&METRICS) => Kind::Metric,
        _ => Kind::Other,
    };
    Meaning { kind, step: STEPS.iter().position(|step| *step == plain) }
}
