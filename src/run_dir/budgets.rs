//! Whether a run kept its budgets: judged from its files alone, so that everybody comes to the same.

use serde::{Deserialize, Serialize};

use super::metrics::Metrics;
use super::number::Number;
use super::records::RunResult;
use super::scan::Seen;
use super::{Status, read, requests};
use crate::experiment::alert::condition::Subject;
use crate::experiment::budget::{Budget, Which};
use crate::experiment::metric::direction_of;
use crate::say;

/// What became of one budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The budget's name.
    pub budget: String,
    pub met: bool,
    /// The value that counts, where there is one.
    pub value: Option<Number>,
    /// What was found, as a person would say it: `it was 1.62`.
    pub found: String,
}

impl Verdict {
    /// `val/loss < 1.5 at step 2000: it was 1.62`.
    pub fn line(&self) -> String {
        format!("{}: {}", self.budget, self.found)
    }
}

/// The verdicts on a run, in the order of its file: on one that has finished by what it came to; on one
/// that a rule paused or stopped, that it has missed all. There are none on any other that has not
/// finished, because somebody wanted it so, or it will go on.
pub fn verdicts(seen: &Seen) -> Vec<Verdict> {
    let Ok(record) = &seen.record else { return Vec::new() };
    match &seen.status {
        _ if record.budgets.is_empty() => Vec::new(),
        Status::Finished => {
            let Ok(result) = read::json::<RunResult>(&seen.dir.result()) else { return Vec::new() };
            // What cannot be read of the table has no value, and a budget without a value is missed.
            let metrics = Metrics::read(&seen.dir.metrics()).unwrap_or_default();
            record.budgets.iter().map(|budget| judge(budget, &result, &metrics)).collect()
        }
        Status::Paused | Status::Stopped => {
            let rule = requests::ended_by_rule(&seen.requests);
            let missed = |rule: &str, budget: &Budget| Verdict {
                budget: budget.name(),
                met: false,
                value: None,
                found: format!("the run was ended by {rule}"),
            };
            rule.into_iter()
                .flat_map(|rule| record.budgets.iter().map(move |budget| missed(rule, budget)))
                .collect()
        }
        _ => Vec::new(),
    }
}

fn judge(budget: &Budget, result: &RunResult, metrics: &Metrics) -> Verdict {
    let require = &budget.require;
    let name = require.metric.name;
    let value = match require.which {
        Which::At(step) => {
            metrics.points("step", name).filter(|(at, _)| *at == step as f64).map(|(_, value)| value).last()
        }
        Which::Best => best(metrics, name),
        Which::Last if name == "elapsed" => Some(result.elapsed_seconds),
        Which::Last if name.ends_with("_per_second") => median(metrics, name),
        Which::Last => result.last.get(name).map(|Number(value)| *value),
    };
    let found = match (value, require.which) {
        (Some(value), _) => format!("it was {}", Subject::Metric(require.metric).unit().said(value)),
        (None, Which::At(step)) if result.step < step => {
            format!("the run ended at step {}", say::count(result.step))
        }
        (None, _) => "no value was logged".to_owned(),
    };
    Verdict {
        budget: budget.name(),
        met: value.is_some_and(|value| require.comparison.holds(value, require.limit)),
        value: value.map(Number),
        found,
    }
}

fn best(metrics: &Metrics, name: &str) -> Option<f64> {
    let direction = direction_of(name);
    let values = metrics.column(name)?.values.iter().copied().filter(|value| !value.is_nan());
    values.reduce(|best, value| if direction.is_better(value, best) { value } else { best })
}

/// The middle of the values: single slow steps do not count.
fn median(metrics: &Metrics, name: &str) -> Option<f64> {
    let mut values: Vec<f64> = metrics.column(name)?.values.clone();
    values.retain(|value| value.is_finite());
    if values.is_empty() {
        return None;
    }
    let middle = values.len() / 2;
    Some(*values.select_nth_unstable_by(middle, f64::total_cmp).1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::budget::Requirement;
    use crate::run_dir::PROTOCOL;
    use std::collections::BTreeMap;

    fn result() -> RunResult {
        RunResult {
            protocol: PROTOCOL,
            time: 0.0,
            step: 30,
            epoch: 1.0,
            elapsed_seconds: 7000.0,
            stopped_early: None,
            last: BTreeMap::from([("val/loss".to_owned(), Number(1.6))]),
            best: None,
            last_checkpoint: 30,
            best_checkpoint: None,
            history: String::new(),
            attempts: 1,
        }
    }

    #[test]
    fn each_form_is_judged_by_the_value_it_names() {
        let mut metrics = Metrics::default();
        metrics
            .extend(b"step,val/loss,tokens_per_second\n10,2,100\n20,1.4,9\n25,,120\n30,1.6,110\n35,nan,\n");
        for (text, met, found) in [
            ("val/loss < 1.7", true, "it was 1.6000"),
            ("val/loss < 1.6", false, "it was 1.6000"),
            ("val/loss <= 1.6", true, "it was 1.6000"),
            ("best val/loss < 1.5", true, "it was 1.4000"),
            ("val/loss < 1.5 at step 20", true, "it was 1.4000"),
            ("val/loss < 1.5 at step 10", false, "it was 2.0000"),
            ("val/loss < 1.5 at step 25", false, "no value was logged"),
            ("val/loss < 1.5 at step 40", false, "the run ended at step 30"),
            ("val/loss < 9 at step 35", false, "it was nan"),
            ("elapsed < 2 h", true, "it was 1 h 56 min"),
            ("elapsed < 1 h", false, "it was 1 h 56 min"),
            ("tokens_per_second > 100", true, "it was 110.0"),
            ("val/accuracy > 0.5", false, "no value was logged"),
        ] {
            let budget = Budget { name: None, require: Requirement::parse(text).unwrap() };
            let verdict = judge(&budget, &result(), &metrics);
            assert_eq!((verdict.met, verdict.found.as_str()), (met, found), "{text}");
        }
    }
}
