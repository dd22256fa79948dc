//! Prepares the next attempts of runs aside, and holds those that need a person first.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::Work;
use super::measure::Findings;
use crate::file_size;
use crate::run_dir::RunDir;
use crate::runner::hooks::Occasion;
use crate::runner::preparing::{self, Begun, Looking, Preparation, Prepared, Unready};
use crate::runner::room::is_full;
use crate::runner::schedule::Standing;
use crate::runner::tracked;

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
        let patience = Duration::from_secs(self.options.settings.runner.data_seconds.into());
        let looking = Looking::begin(patience, dir.path(), Instant::now());
        run.preparation = Preparation::Begun(Begun { slot: Some(slot), looking: looking.clone() });
        let prepare = move || {
            let prepared =
                catch_unwind(AssertUnwindSafe(|| preparing::prepare(&dir, &record, &known, &looking)));
            let result = prepared.unwrap_or_else(|_| {
                Err(Unready::Io(io::Error::other("preparing it broke off: a defect of this program")))
            });
            // Nobody listens any more when the runner ends.
            drop(findings.send(Findings::Prepared(dir, looking, result)));
        };
        // A thread of its own, for which the end of the runner does not wait.
        let spawned = std::thread::Builder::new().name("preparing".to_owned()).spawn(prepare);
        if let Err(error) = spawned {
            self.runs[index].preparation = Preparation::None;
            self.trouble(index, &file_size::told(&error));
        }
        None
    }

    /// Lets go those that nobody wants to start any more, and gives the places to others of those whose data
    /// do not answer.
    pub(super) fn tend_preparations(&mut self, now: Instant) {
        let batch = self.batch.name();
        for run in &mut self.runs {
            let Preparation::Begun(begun) = &mut run.preparation else { continue };
            if tracked::standing(&run.seen, Some(&batch), self.options.failed) != Standing::Waiting {
                // Its thread may hang for ever; what it finds out is not heard any more.
                run.preparation = Preparation::None;
            } else if let Some(why) = begun.give_up_slot(now) {
                let why = format!("{why} (its place goes to others; it starts when they answer)");
                self.batch.event("unanswered", Some(&run.dir), &why);
                self.view.say(&format!("waits    {}: {why}", run.name()));
                self.hooks.tell(&Occasion::alert(Some(&run.dir), "data", &why));
            }
        }
    }

    pub(super) fn prepared(&mut self, dir: &RunDir, looking: &Looking, result: Result<Prepared, Unready>) {
        let Some(index) = self.runs.iter().position(|run| run.dir == *dir) else { return };
        let run = &mut self.runs[index];
        // A person may have stopped it meanwhile, and let it begin anew.
        if !matches!(&run.preparation, Preparation::Begun(begun) if begun.looking.is(looking)) {
            return;
        }
        run.due = true;
        run.preparation = match &result {
            Ok(prepared) => Preparation::Done(Box::new(prepared.clone()), Instant::now()),
            Err(_) => Preparation::None,
        };
        match result {
            Ok(_) => {}
            Err(Unready::Held(why)) => self.hold(index, why),
            Err(Unready::Io(error)) if is_full(&error) => drop(self.no_room_to_start(index, &error)),
            Err(Unready::Io(error)) => self.trouble(index, &file_size::told(&error)),
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
