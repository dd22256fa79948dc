//! Alert rules: a condition in words, and what is done when it comes true.
//!
//! `[[alerts]]` stands in an experiment file and, in the same form, in the workspace's settings. Rules
//! are fixed with the run when it is queued. Those over metrics are watched by the worker at its rows,
//! those over numbers of the machine by the runner in its samples; both by [`watch::Watch`].

pub mod condition;
pub mod watch;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::Value;

use super::diagnostic::{Part, Problem};
use super::mistakes::read_all;
use super::parse::{self, FileKind, nearest};
use super::sentence::Misread;
use super::settings::Settings;
use crate::run_dir::metrics::columns;
use condition::{Condition, Subject};

/// One rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Alert {
    /// What the rule is called in messages; left out, its condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The condition: a metric or a number of the machine, a test, and where wanted `after N steps`.
    /// Tests are `> 5` (also `<`, `<=`, `>=`), `not improving for 2000 steps`, and against the median
    /// of this attempt so far `fell by half`, `fell by 30 %`, `rose by 50 %`. Numbers of the machine are
    /// `gpu temperature`, `gpu memory`, `gpu use`, `gpu power`, `gpu throttled` (for how long now heat, its
    /// own hardware or the power supply hold its clocks down), `cpu use`, `memory used`, `process memory`,
    /// `disk free`.
    pub when: Condition,
    /// What is done when the condition comes true, once until it has stopped being true. `warn` says so;
    /// `pause` and `stop` also write a checkpoint and end the run, which goes on when it is resumed;
    /// `reduce-lr` multiplies the learning rate by `factor` from the next step on.
    /// Default: "warn".
    #[serde(rename = "do", default)]
    pub action: Action,
    /// What `reduce-lr` multiplies the learning rate by. Above 0, below 1; 0.5 where nothing is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub factor: Option<f64>,
}

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    #[default]
    Warn,
    Pause,
    Stop,
    ReduceLr,
}

const DEFAULT_FACTOR: f64 = 0.5;

impl Alert {
    /// How the rule is called.
    pub fn name(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.when.to_string())
    }

    /// What the learning rate is multiplied by, if this rule does that.
    pub fn factor(&self) -> Option<f64> {
        (self.action == Action::ReduceLr).then(|| self.factor.unwrap_or(DEFAULT_FACTOR))
    }

    /// What of the rule decides what a run computes: only `reduce-lr` does.
    pub fn identity(&self) -> Option<String> {
        self.factor().map(|factor| format!("{} times {factor:e}", self.when.canonical()))
    }

    /// The same rule, which only warns where it would have ended the run: for who takes steps again.
    pub fn without_end(&self) -> Alert {
        let action = match self.action {
            Action::Pause | Action::Stop => Action::Warn,
            other => other,
        };
        Alert { action, ..self.clone() }
    }

    /// Whether a run of these settings gives what the rule watches.
    pub fn applies_to(&self, settings: &Settings) -> bool {
        match self.when.subject {
            Subject::Metric(metric) => columns(settings).contains(&metric.name),
            Subject::Telemetry(_) => true,
        }
    }
}

/// As a rule is written, before its condition is understood.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: Option<String>,
    when: String,
    #[serde(rename = "do", default)]
    action: Action,
    factor: Option<f64>,
}

/// Reads the rules at `path`, the value of `[[alerts]]`: None for one of which nobody knows what it watches.
/// Everything wrong is added to `found`, with its path and its place within a sentence.
pub fn read(path: &str, value: Value, found: &mut Vec<Problem>) -> Vec<Option<Alert>> {
    let rules = parse::sections(path, value, found);
    let understood = |(path, rule): (String, Value)| {
        let before = found.len();
        let written: Written = read_all(FileKind::Experiment, &path, rule, found)?;
        // Whatever else is wrong, what it watches can be looked at.
        let watches = Condition::parse(&written.when);
        let only_watching = |when| Alert { name: None, when, action: Action::Warn, factor: None };
        if found.len() > before {
            let misread = |misread: Misread| found.push(misread.problem(format!("{path}.when")));
            return watches.map_err(misread).ok().map(only_watching);
        }
        match written.understood(&path) {
            Ok(alert) => Some(alert),
            Err(problem) => {
                found.push(problem);
                watches.ok().map(only_watching)
            }
        }
    };
    rules.map(understood).collect()
}

impl Written {
    fn understood(self, path: &str) -> Result<Alert, Problem> {
        let when_path = format!("{path}.when");
        let when = Condition::parse(&self.when).map_err(|misread| misread.problem(&when_path))?;
        let alert = Alert { name: self.name, when, action: self.action, factor: self.factor };
        let refused = |part: &str, reason: String, way_out: &str| {
            Err(Problem::new(format!("{path}.{part}"), reason, way_out))
        };
        if alert.name.as_ref().is_some_and(|name| name.trim().is_empty()) {
            return refused("name", "a rule's name cannot be empty".to_owned(), "leave it out, or name it");
        }
        if let Some(factor) = alert.factor {
            if alert.action != Action::ReduceLr {
                let reason = "a factor is what reduce-lr multiplies the learning rate by".to_owned();
                return refused("factor", reason, "write do = \"reduce-lr\", or leave factor out");
            }
            let lowers = factor > 0.0 && factor < 1.0;
            if !lowers {
                let reason = format!("a factor of {factor} does not lower the learning rate");
                return refused("factor", reason, "write a number above 0, below 1");
            }
        }
        if alert.action == Action::ReduceLr && !alert.when.is_reproducible() {
            let reason = format!(
                "\"{}\" is not the same in two attempts, so a learning rate that follows it could not be replayed",
                alert.when
            );
            return refused(
                "do",
                reason,
                "write do = \"warn\", \"pause\" or \"stop\", or watch a metric such as val/loss against a number",
            );
        }
        Ok(alert)
    }
}

/// What a run of these settings cannot give of what the experiment's rules watch.
pub fn problems(alerts: &[Option<Alert>], settings: &Settings) -> Vec<Problem> {
    let mut found = Vec::new();
    let understood = alerts.iter().enumerate().filter_map(|(index, alert)| Some((index, alert.as_ref()?)));
    for (index, alert) in understood.filter(|(_, alert)| !alert.applies_to(settings)) {
        let at = alert.when.subject_at();
        found.push(Problem {
            part: Part::Within { start: at.start, end: at.end },
            ..not_given(&format!("alerts[{index}].when"), alert.when.subject.name(), settings)
        });
    }
    found
}

/// The complaint about a metric that runs of these settings do not log.
pub fn not_given(path: &str, name: &str, settings: &Settings) -> Problem {
    let given: Vec<&str> =
        columns(settings).into_iter().filter(|name| condition::metric(name).is_some()).collect();
    let way_out = match nearest(name, &given) {
        Some(near) => format!("did you mean `{near}`? These settings give {}", given.join(", ")),
        None => format!("these settings give {}", given.join(", ")),
    };
    Problem::new(path, format!("runs of these settings give no `{name}`"), way_out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_dir::scan::sample_record;

    fn rules(text: &str) -> Result<Vec<Alert>, Problem> {
        let mut table: toml::Table = toml::from_str(text).unwrap();
        let mut found = Vec::new();
        let rules = read("alerts", table.remove("alerts").unwrap(), &mut found);
        found.into_iter().next().map_or_else(|| Ok(rules.into_iter().flatten().collect()), Err)
    }

    fn rule(when: &str, more: &str) -> Result<Alert, Problem> {
        rules(&format!("[[alerts]]\nwhen = {when:?}\n{more}")).map(|mut rules| rules.remove(0))
    }

    #[test]
    fn a_rule_survives_being_written() {
        let rule = rule("val/loss > 5 after 500 steps", "do = \"reduce-lr\"\nname = \"high\"").unwrap();
        let json = serde_json::to_string(&rule).unwrap();
        assert_eq!(json, r#"{"name":"high","when":"val/loss > 5 after 500 steps","do":"reduce-lr"}"#);
        assert_eq!(serde_json::from_str::<Alert>(&json).unwrap(), rule);
        assert_eq!((rule.name().as_str(), rule.factor()), ("high", Some(0.5)));
    }

    #[test]
    fn what_does_not_fit_is_refused_at_its_place() {
        for (when, more, path, reason) in [
            ("val/loss > 5", "do = \"wran\"", "alerts[0].do", "cannot be \"wran\""),
            ("val/loss > 5", "facto = 1", "alerts[0].facto", "no setting `facto`"),
            ("val/loss > 5", "factor = 0.5", "alerts[0].factor", "what reduce-lr multiplies"),
            ("val/loss > 5", "do = \"reduce-lr\"\nfactor = 2", "alerts[0].factor", "does not lower"),
            ("val/loss > 5", "name = \" \"", "alerts[0].name", "cannot be empty"),
            ("tokens_per_second < 5", "do = \"reduce-lr\"", "alerts[0].do", "could not be replayed"),
            ("val/loss fell by half", "do = \"reduce-lr\"", "alerts[0].do", "could not be replayed"),
            ("disk free < 5 GB", "do = \"reduce-lr\"", "alerts[0].do", "could not be replayed"),
            ("val/los > 5", "", "alerts[0].when", "no metric `val/los`"),
        ] {
            let problem = rule(when, more).expect_err(when);
            assert_eq!(problem.path, path, "{problem:?}");
            assert!(problem.reason.contains(reason), "{problem:?}");
        }
    }

    #[test]
    fn what_a_rule_watches_is_held_against_the_settings_though_another_key_of_it_is_wrong() {
        for (wrong, path) in [("facto = 1", "alerts[0].facto"), ("factor = 0.5", "alerts[0].factor")] {
            let text = format!("[[alerts]]\nwhen = \"val/perplexity > 5\"\n{wrong}");
            let mut table: toml::Table = toml::from_str(&text).unwrap();
            let mut found = Vec::new();
            let rules = read("alerts", table.remove("alerts").unwrap(), &mut found);
            assert_eq!(found.iter().map(|problem| problem.path.as_str()).collect::<Vec<_>>(), [path]);
            let problems = problems(&rules, &sample_record("x", "y").settings);
            assert_eq!(problems.len(), 1, "{wrong}");
            assert!(problems[0].reason.contains("give no `val/perplexity`"), "{problems:?}");
        }
    }

    #[test]
    fn a_metric_that_these_settings_cannot_give_is_refused() {
        let settings = sample_record("x", "y").settings;
        let rule = rule("val/perplexity > 5", "").unwrap();
        let problem = problems(&[None, Some(rule)], &settings).remove(0);
        assert_eq!(problem.path, "alerts[1].when");
        assert!(problem.reason.contains("give no `val/perplexity`"), "{problem:?}");
        assert!(problem.way_out.contains("val/accuracy"), "{problem:?}");
    }

    #[test]
    fn only_what_changes_the_result_is_part_of_who_a_run_is() {
        let of = |when: &str, more: &str| rule(when, more).unwrap().identity();
        for action in ["warn", "pause", "stop"] {
            assert_eq!(of("val/loss > 5", &format!("do = \"{action}\"")), None);
        }
        let reduce = "do = \"reduce-lr\"";
        assert_eq!(
            of("val/loss > 5", reduce),
            of("val/loss>5.0", "do=\"reduce-lr\"\nfactor=0.5\nname=\"x\"")
        );
        assert_ne!(of("val/loss > 5", reduce), of("val/loss > 6", reduce));
        assert_ne!(of("val/loss > 5", reduce), of("val/loss > 5", "do=\"reduce-lr\"\nfactor=0.1"));
    }
}
