//! Which run used which device and when, as lanes of bars.

use std::collections::BTreeMap;

use super::chart::night::{Bar, Kind, Lane};
use super::summary::{AttemptSpan, RunSummary};

/// The number that stands for each run on a page, by experiment and run.
pub type Numbers<'a> = BTreeMap<(&'a str, &'a str), u16>;

/// Two attempts nearer to each other than this follow each other in one lane, in seconds.
const OVERLAP: f64 = 0.5;

/// A lane for each device; attempts that overlap on one get lanes of their own, without a label.
pub fn lanes(mut attempts: Vec<(&RunSummary, &AttemptSpan)>, numbers: &Numbers, now: f64) -> Vec<Lane> {
    attempts.sort_by(|one, other| one.1.start.total_cmp(&other.1.start));
    let mut lanes: BTreeMap<&str, Vec<Vec<Bar>>> = BTreeMap::new();
    for (run, attempt) in attempts {
        let end = attempt.end.unwrap_or(if run.is_active() { now } else { attempt.start });
        let number = numbers.get(&(run.experiment.as_str(), run.run.as_str())).copied();
        let kind = if attempt.failed { Kind::Failed } else { Kind::Series(number.unwrap_or(run.number)) };
        let bar = Bar { start: attempt.start, end, label: run.label.clone(), kind };
        let of_device = lanes.entry(&attempt.device).or_default();
        let is_free =
            |lane: &&mut Vec<Bar>| lane.last().is_none_or(|before| before.end <= bar.start + OVERLAP);
        match of_device.iter_mut().find(is_free) {
            Some(lane) => lane.push(bar),
            None => of_device.push(vec![bar]),
        }
    }
    let named = lanes.into_iter().flat_map(|(device, lanes)| {
        lanes.into_iter().enumerate().map(move |(slot, bars)| {
            let label = if slot == 0 { device.to_owned() } else { String::new() };
            Lane { label, bars }
        })
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::settings::Task;

    #[test]
    fn attempts_that_overlap_have_lanes_of_their_own_and_one_at_work_ends_now() {
        let mut run = crate::report::models_page::tests::run("x", "s1", Task::LanguageModel, "running");
        let spans = [
            ("GPU 0", 10.0, Some(20.0)),
            ("GPU 0", 20.2, None),
            ("GPU 0", 15.0, Some(30.0)),
            ("CPU", 0.0, Some(5.0)),
        ];
        let span = |(device, start, end): (&str, f64, Option<f64>)| AttemptSpan {
            start,
            end,
            batch: None,
            device: device.into(),
            failed: start == 15.0,
            checkpoint: None,
            energy_joules: None,
        };
        run.attempts = spans.map(span).to_vec();
        let attempts = run.attempts.iter().map(|attempt| (&run, attempt)).collect();
        let lanes = lanes(attempts, &Numbers::new(), 99.0);
        let told: Vec<(String, Vec<(f64, f64)>)> = lanes
            .iter()
            .map(|lane| (lane.label.clone(), lane.bars.iter().map(|bar| (bar.start, bar.end)).collect()))
            .collect();
        let expected = [
            ("CPU".to_owned(), vec![(0.0, 5.0)]),
            ("GPU 0".to_owned(), vec![(10.0, 20.0), (20.2, 99.0)]),
            (String::new(), vec![(15.0, 30.0)]),
        ];
        assert_eq!(told, expected);
        assert_eq!(lanes[2].bars[0].kind, Kind::Failed);
    }
}
