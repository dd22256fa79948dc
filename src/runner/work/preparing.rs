//! Prepares the next attempts of runs aside, and holds those that need a person first.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use super::Work;
use super::measure::Findings;
use crate::run_dir::RunDir;
use crate::runner::hooks::Occasion;
use crate::runner::preparing::{self, Preparation, Prepared, Unready};
use crate::runner::room::is_full;

impl Work<'_> {
    /// What the run's next attempt begins with, once that is known; until then somebody finds out, and
    /// `slot` is kept for it.
    pub(super) fn take_prepared(&mut self, index: usize, slot: usize) -> Option<Prepared> {
        let run = &mut self.runs[index];
        if let Some(prepared) = run.preparation.take(Instant::now()) {
            return Some(prepared);
        }
        let record = run.seen.record.as_ref().ok()?.clone();
        if preparing::is_idle(&record) {
            return Some(Prepared::default());
        }
        let (dir, known, findings) = (run.dir.clone(), self.known_data.clone(), self.findings.0.clone());
        run.preparation = Preparation::Begun { slot };
        let prepare = move || {
            let prepared = catch_unwind(AssertUnwindSafe(|| preparing::prepare(&dir, &record, &known)));
            let result = prepared.unwrap_or_else(|_| {
                Err(Unready::Io(io::Error::other("preparing it broke off: a defect of this program")))
            });
            // Nobody listens any more when the runner ends.
            drop(findings.send(Findings::Prepared(dir, result)));
        };
        // A thread of its own, for which the end of the runner does not wait.
        let spawned = std::thread::Builder::new().name("preparing".to_owned()).spawn(prepare);
        if let Err(error) = spawned {
            self.runs[index].preparation = Preparation::None;
            self.trouble(index, &error.to_string());
        }
        None
    }

    pub(super) fn prepared(&mut self, dir: &RunDir, result: Result<Prepared, Unready>) {
        let Some(index) = self.runs.iter().position(|run| run.dir == *dir) else { return };
        let run = &mut self.runs[index];
        run.due = true;
        run.preparation = match &result {
            Ok(prepared) => Preparation::Done(Box::new(prepared.clone()), Instant::now()),
            Err(_) => Preparation::None,
        };
        match result {
            Ok(_) => {}
            Err(Unready::Held(why)) => self.hold(index, why),
            Err(Unready::Io(error)) if is_full(&error) => drop(self.no_room_to_start(index, &error)),
            Err(Unready::Io(error)) => self.trouble(index, &error.to_string()),
        }
    }

    /// Whether the directories must be looked at again: not while the queue is held for want of room.
    pub(super) fn no_room_to_start(&mut self, index: usize, error: &io::Error) -> bool {
        let dir = self.runs[index].dir.clone();
        self.no_room(&dir);
        if self.room.is_held() {
            return false;
        }
        // There is room, but not for this user, or no more files: nobody knows when that will change.
        self.hold(index, format!("{error} (make room, then overnight resume it)"));
        true
    }

    /// Lets a run wait for a person, and says so.
    fn hold(&mut self, index: usize, why: String) {
        let run = &mut self.runs[index];
        let (name, dir) = (run.name(), run.dir.clone());
        run.hold(why.clone());
        self.batch.event("held", Some(&dir), &why);
        self.view.say(&format!("held     {name}: {why}"));
        self.hooks.tell(&Occasion::run_ended(&dir, "held", &why, None));
    }
}
