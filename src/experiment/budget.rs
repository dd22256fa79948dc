//! Budgets: what a run must have come to, in words. They are judged when it has finished, from its
//! files alone ([`crate::run_dir::budgets`]), and decide nothing of what it computes.
//!
//! ```text
//! requirement = [ "best" | "last" ] metric ( "<" | "<=" | ">" | ">=" ) amount [ "at step" N ]
//! ```
//!
//! Without `best` or `at step` the last value counts; of a rate, the median of all rows.

use std::fmt;
use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use toml::Value;

use super::alert::condition::{Subject, metric, metrics};
use super::alert::not_given;
use super::diagnostic::{Part, Problem};
use super::metric::{Direction, Metric};
use super::mistakes::read_all;
use super::parse::{self, FileKind, nearest};
use super::sentence::{Comparison, Misread, Sentence};
use super::settings::{Every, Settings};
use crate::run_dir::metrics::columns;

/// One budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// What the budget is called in messages and test reports; left out, its requirement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What a finished run must have come to: a metric compared with a number. The last value counts;
    /// with `best` before the metric the best one, with `at step N` behind the number the one of that
    /// step; of a rate the median of the whole run.
    pub require: Requirement,
}

/// A requirement, as it was written and as it was understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Requirement {
    text: String,
    pub which: Which,
    pub metric: &'static Metric,
    pub comparison: Comparison,
    /// In the unit that the metric's unit names first.
    pub limit: f64,
    /// Where the metric stands, in characters of the text.
    metric_at: Range<usize>,
    /// Where `at step` stands.
    step_at: Range<usize>,
}

/// Which value of a metric counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    Last,
    Best,
    /// The one in the row of this step.
    At(u64),
}

impl Budget {
    /// How the budget is called.
    pub fn name(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.require.to_string())
    }
}

impl Requirement {
    /// # Errors
    /// What is not understood, with its place and the nearest word that would be.
    pub fn parse(text: &str) -> Result<Requirement, Misread> {
        let mut sentence = Sentence::new(text);
        let which_at = sentence.here();
        let best = sentence.takes("best");
        if !best {
            sentence.takes("last");
        }
        let (name, metric_at) = sentence.words_until(&["at"]);
        let metric = metric(&name).ok_or_else(|| unknown(&name, metric_at.clone()))?;
        if best && metric.direction == Direction::Neither {
            let reason = format!("neither way is better for {}", metric.name);
            return Err(Misread { at: which_at, reason, way_out: "leave out `best`".to_owned() });
        }
        let comparison = sentence
            .comparison()
            .ok_or_else(|| sentence.misread("a comparison is expected here", "write <, <=, > or >="))?;
        let limit = sentence.amount(Subject::Metric(metric).unit())?;
        let begin = sentence.here().start;
        let mut which = if best { Which::Best } else { Which::Last };
        if !best && sentence.takes("at") {
            if !sentence.takes("step") {
                return Err(sentence.misread("`step` is expected here", "write for example: at step 2000"));
            }
            which = Which::At(sentence.count()?);
        }
        let step_at = begin..sentence.here().start.max(begin);
        sentence.end(if best { &[] } else { &["at"] })?;
        Ok(Requirement { text: text.trim().to_owned(), which, metric, comparison, limit, metric_at, step_at })
    }
}

fn unknown(name: &str, at: Range<usize>) -> Misread {
    let known: Vec<&str> = metrics().map(|metric| metric.name).collect();
    let way_out = match nearest(name, &known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known are {}", known.join(", ")),
    };
    let reason = match name {
        "" => "a budget begins with a metric".to_owned(),
        name => format!("there is no metric `{name}`"),
    };
    Misread { at, reason, way_out }
}

/// As a budget is written, before its requirement is understood.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: Option<String>,
    require: String,
}

/// Reads the budgets at `path`, the value of `[[budgets]]`: None for one that does not fit. Everything wrong
/// is added to `found`, with its path and its place within a sentence.
pub fn read(path: &str, value: Value, found: &mut Vec<Problem>) -> Vec<Option<Budget>> {
    let budgets = parse::sections(path, value, found);
    let understood = |(path, budget): (String, Value)| {
        let before = found.len();
        let written: Written = read_all(FileKind::Experiment, &path, budget, found)?;
        let require = Requirement::parse(&written.require)
            .map_err(|misread| found.push(misread.problem(format!("{path}.require"))))
            .ok();
        if written.name.as_ref().is_some_and(|name| name.trim().is_empty()) {
            let path = format!("{path}.name");
            found.push(Problem::new(path, "a budget's name cannot be empty", "leave it out, or name it"));
        }
        require
            .filter(|_| found.len() == before)
            .map(|require| Budget { name: written.name.clone(), require })
    };
    budgets.map(understood).collect()
}

/// What a run of these settings can never give of what its budgets require.
pub fn problems(budgets: &[Option<Budget>], settings: &Settings) -> Vec<Problem> {
    let problem = |(index, budget): (usize, &Option<Budget>)| {
        let path = format!("budgets[{index}].require");
        let require = &budget.as_ref()?.require;
        let (at, problem) = if !columns(settings).contains(&require.metric.name) {
            (&require.metric_at, not_given(&path, require.metric.name, settings))
        } else {
            let Which::At(step) = require.which else { return None };
            let (reason, way_out) = never_logged(require.metric, step, settings)?;
            (&require.step_at, Problem::new(path, reason, way_out))
        };
        Some(Problem { part: Part::Within { start: at.start, end: at.end }, ..problem })
    };
    budgets.iter().enumerate().filter_map(problem).collect()
}

/// Why no row of that step can hold the metric, and what would; as far as settings alone can tell.
fn never_logged(metric: &Metric, step: u64, settings: &Settings) -> Option<(String, String)> {
    let last = match (settings.train.steps, settings.train.epochs) {
        (Some(steps), _) => Some(steps),
        (None, Some(_)) => None,
        (None, None) => Some(settings.total_steps(1)),
    };
    if let Some(last) = last.filter(|last| step > *last) {
        return Some((format!("the run ends at step {last}"), format!("write a step up to {last}")));
    }
    let is_evaluation = metric.name.starts_with("val/");
    let (every, name) = if is_evaluation {
        (settings.evaluate.every, "evaluate.every")
    } else {
        (Every::Steps(settings.train.log_every.max(1)), "train.log_every")
    };
    let is_due = match (every, settings.evaluate.every) {
        // The row of an evaluation holds all metrics.
        (Every::Steps(every), Every::Steps(evaluated)) => {
            step.is_multiple_of(every) || step.is_multiple_of(evaluated)
        }
        (Every::Never, _) => false,
        (Every::Steps(every), Every::Never) => step.is_multiple_of(every),
        // How long an epoch is, only the data says.
        _ => true,
    };
    // The last step is always evaluated.
    if is_due || last.is_none_or(|last| step == last) {
        return None;
    }
    let value = match every {
        Every::Steps(every) => every.to_string(),
        _ => "0".to_owned(),
    };
    let reason = format!("{} is not logged at step {step} ({name} is {value})", metric.name);
    Some((reason, format!("write a step at which it is logged, or change {name}")))
}

impl fmt::Display for Requirement {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl Serialize for Requirement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Requirement {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Requirement::parse(&text).map_err(de::Error::custom)
    }
}

impl JsonSchema for Requirement {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Requirement".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "examples": [
                "val/loss < 1.5 at step 2000",
                "best val/accuracy > 0.99",
                "elapsed < 2 h",
                "tokens_per_second > 10000"
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_dir::scan::sample_record;

    #[test]
    fn each_form_is_understood() {
        for (text, which, name, limit) in [
            ("val/loss < 1.5 at step 2000", Which::At(2000), "val/loss", 1.5),
            ("best val/accuracy > 0.99", Which::Best, "val/accuracy", 0.99),
            ("last val/accuracy >= 0.99", Which::Last, "val/accuracy", 0.99),
            ("elapsed < 2 h", Which::Last, "elapsed", 7200.0),
            ("tokens_per_second > 10000", Which::Last, "tokens_per_second", 10000.0),
        ] {
            let require = Requirement::parse(text).unwrap_or_else(|misread| panic!("{text}: {misread}"));
            assert_eq!((require.which, require.metric.name, require.limit), (which, name, limit));
            assert_eq!(require.to_string(), text);
        }
    }

    #[test]
    fn each_mistake_is_named_at_its_place() {
        for (text, place, reason) in [
            ("", 0..0, "begins with a metric"),
            ("val/los < 1.5", 0..7, "no metric `val/los`"),
            ("best grad_norm < 5", 0..4, "neither way is better"),
            ("val/loss 1.5", 9..12, "a comparison is expected"),
            ("val/loss < 1.5 at 2000", 18..22, "`step` is expected"),
            ("best val/loss < 1.5 at step 20", 20..22, "`at` has no meaning here"),
            ("elapsed < 2", 11..11, "needs a unit"),
            ("gpu temperature < 80", 0..15, "no metric `gpu temperature`"),
        ] {
            let misread = Requirement::parse(text).expect_err(text);
            assert_eq!(misread.at, place, "{text}: {misread}");
            assert!(misread.reason.contains(reason), "{text}: {misread}");
        }
    }

    #[test]
    fn a_step_at_which_nothing_is_logged_is_refused() {
        let mut settings = sample_record("x", "y").settings;
        settings.train.steps = Some(1010);
        let complaint = |text: &str, settings: &Settings| {
            let budget = Budget { name: None, require: Requirement::parse(text).unwrap() };
            problems(&[Some(budget)], settings).pop().map(|problem| problem.reason)
        };
        for (text, expected) in [
            ("val/loss < 1 at step 500", None),
            ("val/loss < 1 at step 1010", None),
            ("train/loss < 1 at step 20", None),
            ("train/loss < 1 at step 1010", None),
            ("val/loss < 1 at step 510", Some("val/loss is not logged at step 510 (evaluate.every is 250)")),
            ("train/loss < 1 at step 5", Some("train/loss is not logged at step 5 (train.log_every is 10)")),
            ("val/loss < 1 at step 1020", Some("the run ends at step 1010")),
            ("val/perplexity < 1", Some("runs of these settings give no `val/perplexity`")),
        ] {
            assert_eq!(complaint(text, &settings).as_deref(), expected, "{text}");
        }
        settings.evaluate.every = Every::Epoch;
        assert_eq!(complaint("val/loss < 1 at step 510", &settings), None, "only the data knows");
    }
}
