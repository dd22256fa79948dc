//! Checkpoints, and the ways in which a run comes to its end.

use std::time::Instant;

use overnight::run_dir::PROTOCOL;
use overnight::run_dir::checkpoint::steps;
use overnight::run_dir::records::{Phase, RunResult, What};
use overnight::run_dir::scan;
use overnight::run_dir::write::{Durability, replace_json};

use super::due::Due;
use super::{Outcome, Training};
use crate::checkpoint::{self, Occasion};
use crate::failure::Failure;
use crate::torch_ext;

impl Training<'_> {
    /// The checkpoint that the settings ask for at this step, unless it is there already; and deletes
    /// those that are not to be kept.
    pub fn save_planned(&mut self) -> Result<(), Failure> {
        if self.saved == Some(self.state.step) {
            return Ok(());
        }
        self.save(Due::NOTHING, Occasion::Planned)?;
        let best = self.state.best.as_ref().map(|best| best.step);
        Ok(checkpoint::prune(self.dir, self.record.settings.checkpoint.keep, best)?)
    }

    /// Ends where it stands: what is `due` at this step will be done when the run goes on.
    pub fn end_as_asked(&mut self, due: Due) -> Result<Outcome, Failure> {
        self.fetch_losses()?;
        if self.saved != Some(self.state.step) && self.state.step > 0 {
            self.save(due, Occasion::Interruption)?;
        }
        let step = self.state.step;
        self.show_progress();
        self.progress.show();
        self.journal.event(step, What::Ended { why: "asked to end".to_owned() })?;
        self.journal.say(&format!("ends after step {step} of {}, as asked", self.record.steps))?;
        Ok(Outcome::Ended)
    }

    /// Writes the result, as the last thing.
    pub fn finish(&mut self, stopped_early: Option<String>, attempt: u32) -> Result<Outcome, Failure> {
        let (step, state) = (self.state.step, &self.state);
        self.show_progress();
        self.progress.show();
        if let Some(why) = &stopped_early {
            self.journal.say(&format!("ends early: {why}"))?;
        }
        if let Some(bytes) = torch_ext::peak_memory_bytes(self.learner.device) {
            self.journal.say(&format!("took up to {} MiB of the GPU's memory", bytes >> 20))?;
        }
        self.journal.say(&format!("finished after step {step}"))?;
        self.journal.event(step, What::Finished)?;
        self.journal.sync_metrics()?;
        let kept = steps(self.dir);
        let result = RunResult {
            protocol: PROTOCOL,
            time: scan::now(),
            step,
            epoch: state.epoch,
            elapsed_seconds: self.clock.elapsed_seconds(),
            stopped_early,
            last: state.last.clone(),
            best: state.best.clone(),
            last_checkpoint: step,
            best_checkpoint: state.best.as_ref().map(|best| best.step).filter(|best| kept.contains(best)),
            history: state.history.clone(),
            attempts: attempt,
        };
        replace_json(&self.dir.result(), &result, Durability::Synced)?;
        Ok(Outcome::Finished)
    }

    fn save(&mut self, due: Due, occasion: Occasion) -> Result<(), Failure> {
        self.progress.phase(Phase::Checkpointing);
        let began = Instant::now();
        self.state.due = due.names();
        self.state.metrics_length = self.journal.sync_metrics()?;
        self.state.elapsed_seconds = self.clock.elapsed_seconds();
        self.state.epoch = self.state.step as f64 / self.record.steps_per_epoch.max(1) as f64;
        let bytes = checkpoint::save(self.dir, &self.learner, &mut self.state, occasion)?;
        let seconds = began.elapsed().as_secs_f64();
        self.saved = Some(self.state.step);
        self.leave_trail(bytes, seconds)
    }

    /// Notes the checkpoint that was just written or gone on from, so that it can be verified also when
    /// it is deleted.
    pub fn leave_trail(&self, bytes: u64, seconds: f64) -> Result<(), Failure> {
        let (history, weights) = (self.state.history.clone(), self.state.model_hash.clone());
        Ok(self.journal.event(self.state.step, What::Checkpointed { bytes, seconds, history, weights })?)
    }
}
