//! Watching rules over rows of metrics or samples of telemetry: pure, so that a run that is replayed
//! from a checkpoint sees the same alerts at the same steps.

use serde::{Deserialize, Serialize};

use super::condition::{Condition, Subject, Test};
use super::{Action, Alert};
use crate::experiment::metric::Metric;
use crate::run_dir::number::Number;
use crate::say;

/// What a rule remembers from row to row. It stands in `state.json`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// Whether it was true at the last look, so that it fires once until it has stopped being true.
    pub fired: bool,
    /// The best value so far, and the step since which there was no better one. Only rules that wait
    /// for something to improve remember it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best: Option<Number>,
    pub since: u64,
}

/// A rule that came true.
#[derive(Debug, Clone, PartialEq)]
pub struct Fired {
    /// The rule's name.
    pub rule: String,
    /// The condition, and what was seen.
    pub message: String,
    pub action: Action,
    /// What the learning rate is multiplied by, if it is.
    pub factor: Option<f64>,
}

/// The rules of one run while they are watched.
#[derive(Debug, Clone)]
pub struct Watch {
    rules: Vec<Alert>,
    memories: Vec<Memory>,
    /// For rules against a median: the values of this attempt so far, ascending.
    seen: Vec<Vec<f64>>,
}

/// Values that a median is made of at the least.
const LEAST_FOR_MEDIAN: usize = 5;

impl Watch {
    /// Goes on with what the rules remember; rules without a memory begin with an empty one.
    pub fn new(rules: &[Alert], mut memories: Vec<Memory>) -> Watch {
        memories.resize(rules.len(), Memory::default());
        Watch { rules: rules.to_vec(), memories, seen: vec![Vec::new(); rules.len()] }
    }

    /// Looks at what `value` gives at `step`; the rules that came true by it, in their order. A rule
    /// whose subject has no value here stays as it is.
    pub fn look(&mut self, step: u64, value: impl Fn(&Subject) -> Option<f64>) -> Vec<Fired> {
        let mut fired = Vec::new();
        for ((rule, memory), seen) in self.rules.iter().zip(&mut self.memories).zip(&mut self.seen) {
            let Some(value) = value(&rule.when.subject) else { continue };
            let found = holds(&rule.when, memory, seen, step, value).filter(|_| step >= rule.when.after);
            let is_new = found.is_some() && !memory.fired;
            memory.fired = found.is_some();
            if let Some(found) = found.filter(|_| is_new) {
                if matches!(rule.when.test, Test::NotImproving { .. }) && rule.action == Action::ReduceLr {
                    // A lower rate gets as many steps to show what it can do.
                    *memory = Memory { fired: false, since: step, ..*memory };
                }
                fired.push(Fired {
                    rule: rule.name(),
                    message: format!("{}: {found}", rule.when),
                    action: rule.action,
                    factor: rule.factor(),
                });
            }
        }
        fired
    }

    /// What is to be remembered.
    pub fn memories(&self) -> &[Memory] {
        &self.memories
    }
}

/// What was seen, in words, if the condition holds for this value.
fn holds(
    condition: &Condition,
    memory: &mut Memory,
    seen: &mut Vec<f64>,
    step: u64,
    value: f64,
) -> Option<String> {
    let said = |value: f64| condition.subject.unit().said(value);
    match condition.test {
        Test::Compared { comparison, limit } => {
            comparison.holds(value, limit).then(|| format!("it is {}", said(value)))
        }
        Test::NotImproving { steps } => {
            let before = memory.best.map_or(f64::NAN, |Number(best)| best);
            let is_better = match condition.subject {
                Subject::Metric(Metric { direction, .. }) => direction.is_better(value, before),
                Subject::Telemetry(_) => false,
            };
            if is_better {
                memory.best = Some(Number(value));
                memory.since = step;
            }
            let lasts = step.saturating_sub(memory.since);
            let words = || match memory.best {
                Some(Number(best)) => {
                    format!("not better than {} for {} steps", said(best), say::count(lasts))
                }
                None => format!("not a number for {} steps", say::count(lasts)),
            };
            (lasts >= steps).then(words)
        }
        Test::Fell { part } => against_median(seen, value)
            .filter(|median| value <= median * (1.0 - part))
            .map(|median| format!("it is {}, the median so far {}", said(value), said(median))),
        Test::Rose { part } => against_median(seen, value)
            .filter(|median| value >= median * (1.0 + part) && *median > 0.0)
            .map(|median| format!("it is {}, the median so far {}", said(value), said(median))),
    }
}

/// The median of what was seen before `value`, which is then added.
fn against_median(seen: &mut Vec<f64>, value: f64) -> Option<f64> {
    let median = (seen.len() >= LEAST_FOR_MEDIAN).then(|| seen[seen.len() / 2]);
    if value.is_finite() {
        seen.insert(seen.partition_point(|before| *before < value), value);
    }
    median
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(when: &str, action: Action) -> Alert {
        Alert { name: None, when: Condition::parse(when).unwrap(), action, factor: None }
    }

    /// The steps, from 10 on in tens, at which a rule fires over these values.
    fn steps(when: &str, action: Action, values: &[f64]) -> Vec<u64> {
        let mut watch = Watch::new(&[rule(when, action)], Vec::new());
        let steps = (1..).map(|row| row * 10).zip(values);
        steps
            .filter(|(step, value)| !watch.look(*step, |_| Some(**value)).is_empty())
            .map(|(s, _)| s)
            .collect()
    }

    #[test]
    fn rules_fire_when_they_come_true_and_once_until_they_have_stopped_being_true() {
        let warn = Action::Warn;
        for (when, values, expected) in [
            ("val/loss > 5", &[6.0, 7.0, 4.0, 6.0][..], &[10, 40][..]),
            ("val/loss > 5 after 30 steps", &[6.0, 6.0, 6.0, 6.0], &[30]),
            ("val/loss > 5", &[5.0, f64::NAN, f64::INFINITY], &[30]),
            ("val/accuracy < 0.5", &[0.5, 0.4], &[20]),
            ("val/loss not improving for 20 steps", &[3.0, 2.0, 2.0, 2.5, 2.1, 1.0, 1.0, 1.0], &[40, 80]),
            ("val/accuracy not improving for 20 steps", &[0.1, 0.2, 0.3, 0.3, 0.2], &[50]),
            ("val/loss not improving for 20 steps", &[f64::NAN, f64::NAN], &[20]),
            (
                "tokens_per_second fell by half",
                &[9.0, 10.0, 11.0, 10.0, 10.0, 6.0, 5.0, 5.0, 9.0, 4.0],
                &[70, 100],
            ),
            ("tokens_per_second fell by half", &[9.0, 1.0, 9.0, 1.0], &[]),
            ("grad_norm rose by 100 %", &[1.0, 1.0, 1.0, 1.0, 1.0, 1.9, 2.0], &[70]),
        ] {
            assert_eq!(steps(when, warn, values), expected, "{when} over {values:?}");
        }
    }

    #[test]
    fn a_lower_rate_gets_as_many_steps_again() {
        let values = [3.0; 9];
        let when = "val/loss not improving for 30 steps";
        assert_eq!(steps(when, Action::ReduceLr, &values), [40, 70]);
        assert_eq!(steps(when, Action::Warn, &values), [40]);
    }

    #[test]
    fn a_rule_without_a_value_stays_as_it_is() {
        let mut watch = Watch::new(&[rule("val/loss > 5", Action::Warn)], Vec::new());
        assert_eq!(watch.look(1, |_| Some(6.0)).len(), 1);
        assert_eq!(watch.look(2, |_| None).len(), 0);
        assert_eq!(watch.look(3, |_| Some(6.0)).len(), 0, "it has not stopped being true");
    }

    #[test]
    fn what_is_remembered_makes_a_resumed_watch_see_the_same() {
        let rules = [
            rule("val/loss not improving for 30 steps", Action::ReduceLr),
            rule("val/loss > 2.5 after 20 steps", Action::Stop),
        ];
        let values: Vec<f64> = (0..40).map(|row: i32| f64::from(row * 7 % 11) / 3.0).collect();
        let all = |cut: Option<usize>| {
            let mut watch = Watch::new(&rules, Vec::new());
            let mut fired = Vec::new();
            for (row, value) in values.iter().enumerate() {
                if cut == Some(row) {
                    let json = serde_json::to_string(watch.memories()).unwrap();
                    watch = Watch::new(&rules, serde_json::from_str(&json).unwrap());
                }
                fired.extend(watch.look(row as u64 * 10, |_| Some(*value)));
            }
            fired
        };
        assert!(all(None).len() > 3, "{:?}", all(None));
        for cut in 0..values.len() {
            assert_eq!(all(Some(cut)), all(None), "cut at row {cut}");
        }
    }

    #[test]
    fn a_message_says_what_was_seen() {
        let mut watch = Watch::new(&[rule("disk free < 5 GiB", Action::Warn)], Vec::new());
        let fired = watch.look(0, |_| Some(1e9)).remove(0);
        assert_eq!(
            (fired.rule.as_str(), fired.message.as_str()),
            ("disk free < 5 GiB", "disk free < 5 GiB: it is 954 MiB")
        );
    }
}
