//! Which steps to take again, and with whose orders: decided from what the run has recorded.

use crate::run_dir::certificate::{Point, changes};
use crate::run_dir::records::Start;

/// What a person wants to be verified.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wish {
    /// A step with a checkpoint that is still there; 0 is the beginning.
    pub from: Option<u64>,
    pub to: Option<u64>,
    /// From the beginning to the newest checkpoint.
    pub all: bool,
}

/// What is recorded of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Past {
    /// Every checkpoint of which the hashes are known, ascending.
    pub trail: Vec<Point>,
    /// Steps of the checkpoints that are still there, ascending.
    pub kept: Vec<u64>,
    pub starts: Vec<Start>,
}

/// Steps that were taken with one set of orders: after `from`, up to and with `to`.
#[derive(Debug, Clone, PartialEq)]
pub struct Stretch {
    pub from: u64,
    pub to: u64,
    pub orders: Start,
}

/// Why nothing can be chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("it has no checkpoint yet, so there is nothing to compare a replay with")]
    Nothing,
    #[error("it has no checkpoint of step {step} any more to replay from (there is: {there})")]
    From { step: u64, there: String },
    #[error("nothing is recorded of step {step} to compare with (there is: {there})")]
    To { step: u64, there: String },
    #[error("attempts.jsonl has no start line of attempt {attempt}, which came to step {step}")]
    Orders { attempt: u32, step: u64 },
}

impl Past {
    /// The steps to take again, cut where the orders changed. Without a wish it is the cheapest that says
    /// something: from the last checkpoint but one to the last.
    ///
    /// # Errors
    /// There is nothing to compare with, or not what was wished for.
    pub fn stretches(&self, wish: Wish) -> Result<Vec<Stretch>, PlanError> {
        let (from, to) = self.ends(wish)?;
        let mut stretches: Vec<Stretch> = Vec::new();
        let mut at = from;
        for point in self.trail.iter().filter(|point| from < point.step && point.step <= to) {
            let Some(start) = self.starts.iter().find(|start| start.attempt == point.attempt) else {
                return Err(PlanError::Orders { attempt: point.attempt, step: point.step });
            };
            match stretches.last_mut() {
                Some(last) if changes(&last.orders, start).is_empty() => last.to = point.step,
                _ => stretches.push(Stretch { from: at, to: point.step, orders: start.clone() }),
            }
            at = point.step;
        }
        Ok(stretches)
    }

    fn ends(&self, wish: Wish) -> Result<(u64, u64), PlanError> {
        let newest = self.trail.last().ok_or(PlanError::Nothing)?.step;
        if let Some(step) = wish.from.filter(|step| *step > 0 && !self.kept.contains(step)) {
            return Err(PlanError::From { step, there: listed(std::iter::once(0).chain(self.kept.clone())) });
        }
        let (from, to) = match (wish.from, wish.to) {
            _ if wish.all => (0, newest),
            (Some(from), Some(to)) => (from, to),
            (Some(from), None) => (from, self.next_after(from)?),
            (None, to) => {
                let to = to.unwrap_or(newest);
                let before = self.kept.iter().rfind(|step| **step < to);
                (before.copied().unwrap_or(0), to)
            }
        };
        if to <= from || !self.trail.iter().any(|point| point.step == to) {
            return Err(self.no_end(from, to));
        }
        Ok((from, to))
    }

    fn next_after(&self, from: u64) -> Result<u64, PlanError> {
        let next = self.trail.iter().map(|point| point.step).find(|step| *step > from);
        next.ok_or_else(|| self.no_end(from, from))
    }

    fn no_end(&self, from: u64, to: u64) -> PlanError {
        let there = self.trail.iter().map(|point| point.step).filter(|step| *step > from);
        PlanError::To { step: to, there: listed(there) }
    }
}

fn listed(steps: impl Iterator<Item = u64>) -> String {
    let words: Vec<String> = steps.map(|step| step.to_string()).collect();
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::settings::Precision;
    use crate::run_dir::records::Device;

    fn start(attempt: u32, threads: u32) -> Start {
        Start {
            attempt,
            time: 0.0,
            batch: None,
            host: String::new(),
            boot: String::new(),
            device: Device::Cpu { name: "a processor".into() },
            precision: Precision::Fp32,
            threads,
            micro_batch: 1,
            accumulate: 1,
            libtorch: "2.11.0".into(),
            checkpoint: None,
            weights: None,
            text: Vec::new(),
            data: None,
            why: String::new(),
        }
    }

    fn past() -> Past {
        let point = |(step, attempt)| Point { step, attempt, history: "h".into(), weights: "w".into() };
        Past {
            trail: [(10, 1), (20, 1), (27, 2), (30, 3), (40, 3), (50, 3)].map(point).to_vec(),
            kept: vec![20, 40, 50],
            starts: vec![start(1, 1), start(2, 1), start(3, 2)],
        }
    }

    fn chosen(wish: Wish) -> Result<Vec<(u64, u64, u32)>, String> {
        let stretches = past().stretches(wish).map_err(|error| error.to_string())?;
        Ok(stretches.iter().map(|stretch| (stretch.from, stretch.to, stretch.orders.threads)).collect())
    }

    #[test]
    fn the_cheapest_stretch_and_those_that_were_asked_for_are_chosen() {
        let wish = Wish::default();
        let cases = [
            (wish, vec![(40, 50, 2)]),
            (Wish { from: Some(20), ..wish }, vec![(20, 27, 1)]),
            (Wish { from: Some(0), ..wish }, vec![(0, 10, 1)]),
            (Wish { to: Some(20), ..wish }, vec![(0, 20, 1)]),
            (Wish { to: Some(30), ..wish }, vec![(20, 27, 1), (27, 30, 2)]),
            (Wish { from: Some(20), to: Some(50), ..wish }, vec![(20, 27, 1), (27, 50, 2)]),
            (Wish { all: true, ..wish }, vec![(0, 27, 1), (27, 50, 2)]),
        ];
        for (wish, expected) in cases {
            assert_eq!(chosen(wish), Ok(expected), "{wish:?}");
        }
    }

    #[test]
    fn what_is_not_there_is_named_with_what_is() {
        let wish = Wish::default();
        let said = |wish| chosen(wish).unwrap_err();
        let gone = said(Wish { from: Some(10), ..wish });
        assert!(gone.contains("step 10 any more") && gone.contains("0, 20, 40, 50"), "{gone}");
        let unknown = said(Wish { to: Some(33), ..wish });
        assert!(unknown.contains("of step 33") && unknown.contains("27, 30, 40, 50"), "{unknown}");
        assert!(said(Wish { from: Some(50), ..wish }).contains("there is: none"));
        let new = Past { trail: Vec::new(), ..past() };
        assert_eq!(new.stretches(wish), Err(PlanError::Nothing));
        let torn = Past { starts: Vec::new(), ..past() };
        assert_eq!(torn.stretches(wish), Err(PlanError::Orders { attempt: 3, step: 50 }));
    }
}
