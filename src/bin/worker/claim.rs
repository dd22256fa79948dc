//! Whether this attempt still is the run's. A machine that slept may wake up to find its run taken over by
//! another: it then writes nothing more.

use std::cell::Cell;
use std::fs;

use overnight::run_dir::records::Attempt;
use overnight::run_dir::status::{end_of, last_start};
use overnight::run_dir::{RunDir, read};

use crate::failure::Failure;

pub struct Claim {
    run: RunDir,
    attempt: u32,
    /// Bytes of `attempts.jsonl` that have been read: while there are no more, nothing has changed.
    known: Cell<u64>,
}

impl Claim {
    pub fn new(run: &RunDir, attempt: u32) -> Claim {
        Claim { run: run.clone(), attempt, known: Cell::new(0) }
    }

    /// Asked before anything is written that another attempt would have to live with.
    ///
    /// # Errors
    /// Somebody has written this attempt's end, or begun another.
    pub fn check(&self) -> Result<(), Failure> {
        let path = self.run.attempts();
        let Ok(length) = fs::metadata(&path).map(|metadata| metadata.len()) else { return Ok(()) };
        if length == self.known.get() {
            return Ok(());
        }
        let attempts = read::lines::<Attempt>(&path)?.records;
        self.known.set(length);
        let newer = last_start(&attempts).filter(|start| start.attempt > self.attempt);
        match newer {
            Some(start) => Err(Failure::Orders(format!(
                "attempt {} of this run has begun on {} meanwhile; this one writes nothing more",
                start.attempt, start.host
            ))),
            None if end_of(&attempts, self.attempt).is_some() => Err(Failure::Orders(
                "this attempt was given up for lost meanwhile, so it writes nothing more".to_owned(),
            )),
            None => Ok(()),
        }
    }
}
