//! Stops a batch in which run after run fails for the same reason: a typing error in the data path, a
//! broken driver. What it has counted is forgotten with the first run that comes further; once it has
//! tripped it stays so.

use std::collections::BTreeSet;

use crate::run_dir::RunDir;

/// Runs in a row that failed with the same cause.
#[derive(Debug)]
pub struct Breaker {
    /// So many stop the batch; 0 never does.
    limit: usize,
    cause: String,
    runs: BTreeSet<RunDir>,
    /// Why the batch stops, for good: a run that comes further later on was begun before.
    tripped: Option<String>,
}

impl Breaker {
    pub fn new(limit: u32) -> Breaker {
        Breaker { limit: limit as usize, cause: String::new(), runs: BTreeSet::new(), tripped: None }
    }

    /// An attempt ended without having come further. Attempts at one run count once: those are what its
    /// retries are for.
    pub fn count(&mut self, run: &RunDir, why: &str) {
        let cause = without_numbers(why);
        if cause != self.cause {
            self.cause = cause;
            self.runs.clear();
        }
        self.runs.insert(run.clone());
        let count = self.runs.len();
        if self.limit > 0 && count >= self.limit && self.tripped.is_none() {
            let words = format!("the batch stopped itself: {count} runs in a row failed with the same cause");
            self.tripped = Some(words);
        }
    }

    pub fn reset(&mut self) {
        self.runs.clear();
    }

    /// Why the batch should stop, if it should.
    pub fn tripped(&self) -> Option<String> {
        self.tripped.clone()
    }
}

/// Two failures have one cause when they differ in numbers only: a step, an address, a size.
fn without_numbers(why: &str) -> String {
    let mut text = String::with_capacity(why.len());
    for c in why.chars() {
        match c {
            '0'..='9' if text.ends_with('#') => {}
            '0'..='9' => text.push('#'),
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str) -> RunDir {
        RunDir::new(format!("runs/x/{name}"))
    }

    #[test]
    fn the_same_cause_in_a_row_trips_it_and_one_run_counts_once() {
        let mut breaker = Breaker::new(3);
        breaker.count(&run("a"), "not finite at step 412");
        breaker.count(&run("a"), "not finite at step 12");
        breaker.count(&run("b"), "not finite at step 7");
        assert_eq!(breaker.tripped(), None);
        breaker.count(&run("c"), "not finite at step 99");
        assert!(breaker.tripped().unwrap().contains("3 runs in a row"));
        breaker.reset();
        assert!(breaker.tripped().is_some(), "what was at work meanwhile opens nothing again");
    }

    #[test]
    fn another_cause_or_a_run_that_comes_further_begins_anew() {
        let mut breaker = Breaker::new(2);
        breaker.count(&run("a"), "no such file");
        breaker.count(&run("b"), "out of memory");
        assert_eq!(breaker.tripped(), None);
        breaker.reset();
        breaker.count(&run("c"), "out of memory");
        assert_eq!(breaker.tripped(), None);
        let mut never = Breaker::new(0);
        (0..50).for_each(|number| never.count(&run(&number.to_string()), "no such file"));
        assert_eq!(never.tripped(), None);
    }

    #[test]
    fn numbers_of_any_length_are_one_sign_and_words_stay() {
        assert_eq!(without_numbers("step 412 of 9000 at 0x7f"), "step # of # at #x#f");
        let mut breaker = Breaker::new(2);
        breaker.count(&run("a"), "no file a1");
        breaker.count(&run("b"), "no file b1");
        assert_eq!(breaker.tripped(), None);
    }
}
