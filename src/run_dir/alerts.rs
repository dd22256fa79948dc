//! The alerts of a run: those that its worker told of and those that the runner did, in order of time.

use serde::{Deserialize, Serialize};

use super::records::{Event, What};
use super::standing::standing;
use super::{RunDir, read};
use crate::experiment::alert::Action;

/// An alert that still counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Told {
    pub time: f64,
    pub step: u64,
    /// The rule's name; none for what no rule was needed to see, such as a damaged checkpoint.
    pub rule: Option<String>,
    pub message: String,
    pub action: Option<Action>,
}

/// Of the worker's events and the runner's alerts those that count, by time.
pub fn told(events: &[Event], of_runner: &[Event]) -> Vec<Told> {
    let mut told: Vec<Told> = standing(events).into_iter().chain(of_runner).filter_map(Told::of).collect();
    told.sort_by(|a, b| a.time.total_cmp(&b.time));
    told
}

/// The same, read from the run's directory; what cannot be read is left out.
pub fn read(dir: &RunDir) -> Vec<Told> {
    let lines = |path: &std::path::Path| read::lines(path).map(|lines| lines.records).unwrap_or_default();
    told(&lines(&dir.events()), &lines(&dir.alerts()))
}

/// What was seen, with the rule's name before it where it has one of its own.
pub fn named(rule: Option<&str>, message: &str) -> String {
    match rule.filter(|rule| !message.contains(rule)) {
        Some(rule) => format!("{rule}: {message}"),
        None => message.to_owned(),
    }
}

impl Told {
    fn of(event: &Event) -> Option<Told> {
        match &event.what {
            What::Alert { message, rule, action } => Some(Told {
                time: event.time,
                step: event.step,
                rule: rule.clone(),
                message: message.clone(),
                action: *action,
            }),
            _ => None,
        }
    }

    /// What was seen, and by which rule.
    pub fn named(&self) -> String {
        named(self.rule.as_deref(), &self.message)
    }

    /// What was done about it, in words; empty where that was nothing.
    pub fn done(&self) -> &'static str {
        match self.action {
            Some(Action::Pause) => "paused the run",
            Some(Action::Stop) => "stopped the run",
            Some(Action::ReduceLr) => "lowered the learning rate",
            Some(Action::Warn) | None => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(time: f64, step: u64, what: What) -> Event {
        Event { time, attempt: 1, step, what }
    }

    fn alert(message: &str) -> What {
        What::Alert { message: message.to_owned(), rule: None, action: None }
    }

    #[test]
    fn what_was_overtaken_is_left_out_and_the_rest_is_in_order() {
        let events = [
            event(1.0, 0, What::Started),
            event(2.0, 10, alert("kept")),
            event(3.0, 30, alert("overtaken")),
            event(5.0, 20, What::Resumed { checkpoint: 20 }),
            event(6.0, 30, alert("again")),
        ];
        let hot = [event(4.0, 25, alert("hot"))];
        let messages: Vec<String> = told(&events, &hot).into_iter().map(|told| told.message).collect();
        assert_eq!(messages, ["kept", "hot", "again"]);
    }
}
