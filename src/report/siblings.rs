//! Which run another one's settings are compared with: the best other of its experiment that finished.
//!
//! Only who that is matters to the others' pages, so a new row of one run touches none of them.

use std::collections::BTreeMap;

use crate::experiment::metric::{Direction, direction_of};
use crate::run_dir::records::RunResult;

/// A run that finished, and what it came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Finished {
    pub experiment: String,
    pub run: String,
    pub metric: String,
    pub best: f64,
}

/// The best two finished runs of each experiment, by each metric that counts there: the best one's own
/// sibling is the second.
#[derive(Clone, Debug, Default)]
pub struct Leaders(BTreeMap<(String, String), Vec<Finished>>);

impl Leaders {
    pub fn of(finished: impl IntoIterator<Item = Finished>) -> Leaders {
        let mut leaders = Leaders::default();
        for run in finished.into_iter().filter(|run| !run.best.is_nan()) {
            let first = leaders.0.entry((run.experiment.clone(), run.metric.clone())).or_default();
            // Of equals the one whose name comes first, whatever the order in which they are told.
            let place = first.partition_point(|known| is_before(known, &run));
            if place < 2 {
                first.insert(place, run);
                first.truncate(2);
            }
        }
        leaders
    }

    /// The best other run, by this run's metric.
    pub fn beside(&self, experiment: &str, run: &str, metric: &str) -> Option<&Finished> {
        let first = self.0.get(&(experiment.to_owned(), metric.to_owned()))?;
        first.iter().find(|leader| leader.run != run)
    }

    pub fn all(&self) -> impl Iterator<Item = &Finished> {
        self.0.values().flatten()
    }
}

fn is_before(one: &Finished, other: &Finished) -> bool {
    let order = match direction_of(&one.metric) {
        Direction::Higher => other.best.total_cmp(&one.best),
        _ => one.best.total_cmp(&other.best),
    };
    order.then_with(|| one.run.cmp(&other.run)).is_lt()
}

/// What a result says of the best value: the metric and the value.
pub fn best_of(result: &RunResult) -> Option<(String, f64)> {
    let best = result.best.as_ref()?;
    best.value.is_finite().then(|| (best.metric.clone(), best.value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(experiment: &str, run: &str, metric: &str, best: f64) -> Finished {
        Finished { experiment: experiment.into(), run: run.into(), metric: metric.into(), best }
    }

    #[test]
    fn the_sibling_is_the_best_other_one_by_the_same_metric() {
        let runs = [
            run("x", "a", "val/loss", 1.5),
            run("x", "b", "val/loss", 1.25),
            run("x", "c", "val/loss", 2.0),
            run("x", "d", "val/loss", f64::NAN),
            run("x", "high", "val/accuracy", 0.75),
            run("x", "higher", "val/accuracy", 0.875),
            run("y", "alone", "val/loss", 1.0),
        ];
        for turned in [false, true] {
            let mut runs = runs.to_vec();
            if turned {
                runs.reverse();
            }
            let leaders = Leaders::of(runs);
            let beside = |experiment, run, metric| {
                leaders.beside(experiment, run, metric).map(|leader| leader.run.clone()).unwrap_or_default()
            };
            assert_eq!(beside("x", "a", "val/loss"), "b");
            assert_eq!(beside("x", "b", "val/loss"), "a", "the best has the second");
            assert_eq!(beside("x", "waiting", "val/accuracy"), "higher");
            assert_eq!(beside("y", "alone", "val/loss"), "");
            assert_eq!(beside("z", "a", "val/loss"), "");
        }
    }

    #[test]
    fn of_equals_it_is_always_the_same_one() {
        let one = [run("x", "a", "val/loss", 1.0), run("x", "b", "val/loss", 1.0)];
        let other = [one[1].clone(), one[0].clone()];
        for runs in [one, other] {
            assert_eq!(Leaders::of(runs).beside("x", "c", "val/loss").unwrap().run, "a");
        }
    }
}
