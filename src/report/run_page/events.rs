//! What happened to a run, for the time line of each of its charts: over steps, and over time.

use super::super::chart::Event as Mark;
use super::super::files::RunFiles;
use super::super::summary::RunSummary;
use crate::run_dir::records::{Event, What};

/// Marks of one kind on one chart; lines beside lines say no more.
const MOST: usize = 40;

/// Resumes, alerts, failures and the best checkpoint, at their steps.
pub fn over_steps(files: &RunFiles, summary: &RunSummary) -> Vec<Mark> {
    let told = told(&files.standing_events(), best_checkpoint(files, summary));
    told.into_iter().map(|(event, word)| Mark { x: step_of(event), word: word.to_owned() }).collect()
}

/// The same at their times, Unix seconds; with what happened in steps that were taken again.
pub fn over_time(files: &RunFiles, summary: &RunSummary) -> Vec<Mark> {
    let events: Vec<&Event> = files.events.iter().collect();
    let machine = files.machine_alerts.iter().take(MOST);
    let machine = machine.map(|event| Mark { x: event.time, word: "alert".to_owned() });
    let told = told(&events, best_checkpoint(files, summary));
    told.into_iter()
        .map(|(event, word)| Mark { x: event.time, word: word.to_owned() })
        .chain(machine)
        .collect()
}

fn best_checkpoint(files: &RunFiles, summary: &RunSummary) -> Option<u64> {
    let told = files.result.as_ref().and_then(|result| result.best_checkpoint);
    told.or(summary.best.map(|best| best.step))
}

/// Events that a chart marks, with their words.
fn told<'a>(events: &[&'a Event], best: Option<u64>) -> Vec<(&'a Event, &'static str)> {
    let word = |event: &Event| match &event.what {
        What::Resumed { .. } => Some("resumed"),
        What::Alert { .. } => Some("alert"),
        What::Failed { .. } => Some("failed"),
        What::Checkpointed { .. } if Some(event.step) == best => Some("best"),
        _ => None,
    };
    let mut told: Vec<(&Event, &str)> = Vec::new();
    for event in events {
        let Some(word) = word(event) else { continue };
        // A step taken again writes its checkpoint again.
        if word == "best" {
            told.retain(|(_, known)| *known != "best");
        }
        if told.iter().filter(|(_, known)| *known == word).count() < MOST {
            told.push((event, word));
        }
    }
    told
}

fn step_of(event: &Event) -> f64 {
    match event.what {
        What::Resumed { checkpoint } => checkpoint as f64,
        _ => event.step as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(time: f64, step: u64, what: What) -> Event {
        Event { time, attempt: 1, step, what }
    }

    fn checkpointed() -> What {
        What::Checkpointed { bytes: 1, seconds: 0.1, history: String::new(), weights: String::new() }
    }

    #[test]
    fn resumes_alerts_failures_and_the_best_checkpoint_are_marked() {
        let alert = What::Alert { message: "m".into(), rule: None, action: None };
        let events = [
            event(1.0, 0, What::Started),
            event(2.0, 10, checkpointed()),
            event(3.0, 20, checkpointed()),
            event(4.0, 25, alert),
            event(5.0, 10, What::Resumed { checkpoint: 10 }),
            event(6.0, 20, checkpointed()),
            event(7.0, 30, What::Finished),
        ];
        let events: Vec<&Event> = events.iter().collect();
        let words = |best| -> Vec<(f64, &str)> {
            told(&events, best).into_iter().map(|(event, word)| (event.time, word)).collect()
        };
        assert_eq!(words(Some(20)), [(4.0, "alert"), (5.0, "resumed"), (6.0, "best")]);
        assert_eq!(words(None), [(4.0, "alert"), (5.0, "resumed")]);
    }

    #[test]
    fn a_hundred_alerts_are_few_marks() {
        let alert = || What::Alert { message: "m".into(), rule: None, action: None };
        let events: Vec<Event> = (0..100).map(|step| event(step as f64, step, alert())).collect();
        let events: Vec<&Event> = events.iter().collect();
        assert_eq!(told(&events, None).len(), MOST);
    }
}
