//! What an experiment varies, and the points that come of it.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::Deserialize;
use toml::{Table, Value};

use super::diagnostic::Problem;

/// `[sweep]` as it stands in the file.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sweep {
    /// `grid` makes every combination, `random` draws `draws` points.
    pub method: Method,
    /// How many points `random` draws. Raising it adds points and keeps the others.
    #[schemars(range(min = 1, max = 100_000))]
    pub draws: Option<u32>,
    /// Every point is trained once with each of these seeds; replaces `train.seed`.
    pub seeds: Vec<u64>,
    /// For each setting that varies, by its dotted path, its values.
    #[schemars(with = "BTreeMap<String, Values>")]
    pub values: Table,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    #[default]
    Grid,
    Random,
}

/// The values of one setting: a list, a choice, or a range to draw from.
#[derive(Debug, Clone, PartialEq, JsonSchema)]
#[schemars(untagged)]
pub enum Values {
    /// Every value of a grid, or what `random` chooses from.
    List(#[schemars(with = "Vec<serde_json::Value>")] Vec<Value>),
    Choice {
        #[schemars(with = "Vec<serde_json::Value>")]
        choice: Vec<Value>,
    },
    Range {
        min: f64,
        max: f64,
        /// `uniform`, `log-uniform`, or `integer` (both ends included).
        distribution: Distribution,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Distribution {
    Uniform,
    LogUniform,
    Integer,
}

/// One combination of values, and its seed where the sweep gives seeds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Point {
    /// Dotted path and value, in the order of the file.
    pub values: Vec<(String, Value)>,
    pub seed: Option<u64>,
}

/// More runs than this of one experiment are taken for a mistake.
pub const MOST_RUNS: usize = 100_000;

impl Sweep {
    /// The settings that are drawn log-uniformly: axes show them so.
    pub fn log_uniform(&self) -> Vec<String> {
        let is_log = |value: &Value| value.get("distribution").and_then(Value::as_str) == Some("log-uniform");
        self.values.iter().filter(|(_, value)| is_log(value)).map(|(path, _)| path.clone()).collect()
    }

    /// The points of the sweep, every combination before any is repeated with the next seed; and what is
    /// wrong with it: values that cannot be varied or drawn so, or more than `most` of them. Then the points
    /// are those of the others.
    pub fn points(&self, most: usize) -> (Vec<Point>, Vec<Problem>) {
        let mut wrong = Vec::new();
        let mut axes: Vec<(String, Values)> = Vec::new();
        for (path, value) in &self.values {
            match values(path, value) {
                Ok(values) => axes.push((path.clone(), values)),
                Err(problem) => wrong.push(problem),
            }
        }
        let combinations = match self.method {
            Method::Grid => grid(&axes, self.draws, most),
            Method::Random => random(&axes, self.draws, most),
        };
        let combinations = combinations.unwrap_or_else(|problem| {
            wrong.push(problem);
            vec![Vec::new()]
        });
        let seeds: Vec<Option<u64>> =
            if self.seeds.is_empty() { vec![None] } else { self.seeds.iter().copied().map(Some).collect() };
        if combinations.len().saturating_mul(seeds.len()) > most {
            let reason = format!("the sweep has {} runs", combinations.len().saturating_mul(seeds.len()));
            let way_out = format!("at most {most} fit; draw at random instead");
            wrong.push(Problem::new("sweep", reason, way_out));
            return (vec![Point::default()], wrong);
        }
        let of_seed = |seed: &Option<u64>| {
            combinations
                .iter()
                .map(|values| Point { values: values.clone(), seed: *seed })
                .collect::<Vec<_>>()
        };
        (seeds.iter().flat_map(of_seed).collect(), wrong)
    }
}

fn values(path: &str, value: &Value) -> Result<Values, Problem> {
    let refuse = |reason: &str, way_out: &str| Err(Problem::new(path, format!("{path} {reason}"), way_out));
    match value {
        Value::Array(list) if list.is_empty() => refuse("has no values", "write at least one"),
        Value::Array(list) => Ok(Values::List(list.clone())),
        Value::Table(table) if table.contains_key("choice") => match (table.len(), &table["choice"]) {
            (1, Value::Array(choice)) if !choice.is_empty() => Ok(Values::Choice { choice: choice.clone() }),
            _ => refuse("has a choice that is not a list", "write { choice = [1, 2] }"),
        },
        Value::Table(table) => range(path, table),
        _ => refuse("must have a list of values", "write them in brackets: [1e-3, 3e-4]"),
    }
}

fn range(path: &str, table: &Table) -> Result<Values, Problem> {
    let way_out =
        "write { min = 1e-4, max = 1e-2, distribution = \"log-uniform\" }, \"uniform\" or \"integer\"";
    let refuse = |reason: &str| Problem::new(path, format!("{path} {reason}"), way_out);
    let number = |key: &str| match table.get(key) {
        Some(Value::Float(value)) if value.is_finite() => Ok(*value),
        Some(Value::Integer(value)) => Ok(*value as f64),
        _ => Err(refuse(&format!("needs a number for {key}"))),
    };
    if let Some(unknown) = table.keys().find(|key| !["min", "max", "distribution"].contains(&key.as_str())) {
        return Err(refuse(&format!("has no `{unknown}`")));
    }
    let (min, max) = (number("min")?, number("max")?);
    let distribution = match table.get("distribution").and_then(Value::as_str) {
        Some("uniform") => Distribution::Uniform,
        Some("log-uniform") => Distribution::LogUniform,
        Some("integer") => Distribution::Integer,
        _ => return Err(refuse("needs a distribution")),
    };
    if min >= max {
        return Err(refuse(&format!("has a min of {min} that is not below its max of {max}")));
    }
    if distribution == Distribution::LogUniform && min <= 0.0 {
        return Err(refuse("is drawn by its logarithm, so its min must be above 0"));
    }
    if distribution == Distribution::Integer && (min.fract() != 0.0 || max.fract() != 0.0) {
        return Err(refuse("is drawn as a whole number, so min and max must be whole"));
    }
    Ok(Values::Range { min, max, distribution })
}

type Combination = Vec<(String, Value)>;

fn grid(axes: &[(String, Values)], draws: Option<u32>, most: usize) -> Result<Vec<Combination>, Problem> {
    if draws.is_some() {
        return Err(Problem::new(
            "sweep.draws",
            "a grid is not drawn",
            "write method = \"random\" or leave draws out",
        ));
    }
    let mut combinations: Vec<Combination> = vec![Vec::new()];
    for (path, values) in axes {
        let (Values::List(list) | Values::Choice { choice: list }) = values else {
            let reason = format!("{path} is a range, and a grid needs a list");
            return Err(Problem::new(
                path,
                reason,
                "list its values, or write method = \"random\" and draws",
            ));
        };
        if combinations.len().saturating_mul(list.len()) > most {
            let reason = format!("the grid has more than {most} runs");
            return Err(Problem::new("sweep", reason, "write method = \"random\" and draws"));
        }
        combinations = combinations
            .iter()
            .flat_map(|before| {
                list.iter().map(|value| {
                    let mut combination = before.clone();
                    combination.push((path.clone(), value.clone()));
                    combination
                })
            })
            .collect();
    }
    Ok(combinations)
}

fn random(axes: &[(String, Values)], draws: Option<u32>, most: usize) -> Result<Vec<Combination>, Problem> {
    let Some(draws) = draws.filter(|draws| *draws > 0) else {
        return Err(Problem::new(
            "sweep",
            "a random sweep does not say how many",
            "write draws = 20, for example",
        ));
    };
    if draws as usize > most {
        let reason = format!("{draws} draws are too many");
        return Err(Problem::new("sweep.draws", reason, format!("at most {most}")));
    }
    Ok((0..draws)
        .map(|draw| axes.iter().map(|(path, values)| (path.clone(), drawn(path, values, draw))).collect())
        .collect())
}

/// One value. It follows from the setting's name and the number of the draw alone, so that neither
/// more draws nor another setting in the sweep changes what was drawn before.
fn drawn(path: &str, values: &Values, draw: u32) -> Value {
    let mut hasher = blake3::Hasher::new_derive_key("overnight sweep draw, protocol 1");
    hasher.update(path.as_bytes()).update(&draw.to_le_bytes());
    let mut generator = ChaCha8Rng::from_seed(*hasher.finalize().as_bytes());
    match values {
        Values::List(list) | Values::Choice { choice: list } => {
            list[generator.random_range(0..list.len())].clone()
        }
        Values::Range { min, max, distribution } => match distribution {
            Distribution::Uniform => Value::Float(rounded(min + (max - min) * generator.random::<f64>())),
            Distribution::LogUniform => {
                let (low, high) = (min.ln(), max.ln());
                Value::Float(rounded(
                    (low + (high - low) * generator.random::<f64>()).exp().clamp(*min, *max),
                ))
            }
            Distribution::Integer => Value::Integer(generator.random_range(*min as i64..=*max as i64)),
        },
    }
}

/// Four significant digits: what a person would have written, and what fits in a run's name.
fn rounded(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep(text: &str) -> Sweep {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_grid_has_every_combination_before_the_next_seed() {
        let points =
            sweep("seeds = [1, 2]\n[values]\na = [1, 2]\nb = [\"x\", \"y\", \"z\"]").points(MOST_RUNS).0;
        assert_eq!(points.len(), 12);
        assert!(points[..6].iter().all(|point| point.seed == Some(1)));
        assert_eq!(
            points[1].values,
            [("a".into(), Value::Integer(1)), ("b".into(), Value::String("y".into()))]
        );
    }

    #[test]
    fn a_sweep_without_values_is_one_point() {
        assert_eq!(sweep("").points(MOST_RUNS).0, [Point { values: vec![], seed: None }]);
    }

    #[test]
    fn more_draws_keep_the_earlier_ones() {
        let text =
            "method = \"random\"\n[values]\nlr = { min = 1e-5, max = 1e-1, distribution = \"log-uniform\" }";
        let few = sweep(&format!("draws = 5\n{text}")).points(MOST_RUNS).0;
        let many =
            sweep(&format!("draws = 50\n{text}\nn = {{ min = 1, max = 3, distribution = \"integer\" }}"))
                .points(MOST_RUNS)
                .0;
        assert_eq!(sweep(&format!("draws = 5\n{text}\nn = [1, 2]")).log_uniform(), ["lr"]);
        for (few, many) in few.iter().zip(&many) {
            assert_eq!(few.values[0], many.values[0]);
        }
        let mut integers: Vec<i64> = many.iter().filter_map(|point| point.values[1].1.as_integer()).collect();
        integers.sort_unstable();
        integers.dedup();
        assert_eq!(integers, [1, 2, 3]);
        let low = many.iter().filter(|point| point.values[0].1.as_float() < Some(1e-3)).count();
        assert!((15..35).contains(&low), "half of a log-uniform draw lies below the middle power: {low}");
    }

    #[test]
    fn what_cannot_be_drawn_is_refused() {
        for (text, reason) in [
            ("[values]\na = 3", "list of values"),
            ("[values]\na = []", "has no values"),
            ("[values]\na = { min = 1, max = 2, distribution = \"uniform\" }", "a grid needs a list"),
            ("method = \"random\"", "does not say how many"),
            (
                "method = \"random\"\ndraws = 3\n[values]\na = { min = 2, max = 1, distribution = \"uniform\" }",
                "not below",
            ),
            (
                "method = \"random\"\ndraws = 3\n[values]\na = { min = 0, max = 1, distribution = \"log-uniform\" }",
                "above 0",
            ),
            ("draws = 3", "a grid is not drawn"),
        ] {
            let problem = sweep(text).points(MOST_RUNS).1.remove(0);
            assert!(problem.reason.contains(reason), "{text}: {problem:?}");
            assert!(!problem.way_out.is_empty());
        }
    }
}
