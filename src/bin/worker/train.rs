//! The training loop, from the settings to the result. Read this first.
//!
//! Everything that is computed is a function of the settings, the seed and the step, so a run that was
//! interrupted anywhere ends at the same bits as one that was not.

mod alerts;
mod clock;
mod due;
mod end;
mod rows;
mod state;

use overnight::experiment::alert::watch::Watch as AlertWatch;
use overnight::run_dir::certificate::trail;
use overnight::run_dir::checkpoint::{self as checkpoints, State};
use overnight::run_dir::records::{Event, RunRecord, What};
use overnight::run_dir::write::{Durability, replace_json};
use overnight::run_dir::{RunDir, metrics, read};
use tch::Device;

use crate::checkpoint;
use crate::claim::Claim;
use crate::device;
use crate::failure::Failure;
use crate::journal::{Journal, append_event};
use crate::losses::LossBuffer;
use crate::orders::Orders;
use crate::progress::ProgressFile;
use crate::replay;
use crate::step::Learner;
use crate::task::{Measured, Watch};
use alerts::Wish;
use clock::Clock;
use due::Due;
pub use state::NotFinite;

/// How a worker ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Finished,
    /// Asked to end; the checkpoint is written.
    Ended,
}

/// Trains the run from where it stands to its end, or until `ended` says so.
pub fn train(
    dir: &RunDir,
    record: &RunRecord,
    orders: &Orders,
    ended: &dyn Fn() -> bool,
) -> Result<Outcome, Failure> {
    let progress = ProgressFile::start(dir, record, orders.start.attempt);
    // Asked in every step, and by the task between batches and tokens: a sign of life each time.
    let ended = || {
        progress.beat();
        ended()
    };
    let device = device::prepare(&orders.start)?;
    match train_on(device, dir, record, orders, &progress, &ended) {
        // The model and its optimizer are gone by now, so the replay has their memory.
        Err(Failure::NotFinite(found)) => {
            let suspect =
                replay::first_not_finite(dir, || beginning(dir, record, orders, device), &found, &ended);
            Err(Failure::NotFinite(found.with_suspect(suspect)))
        }
        Err(Failure::AskedToEnd) => {
            let step = orders.start.checkpoint.unwrap_or(0);
            let why = "asked to end while it loaded".to_owned();
            append_event(dir, orders.start.attempt, step, What::Ended { why })?;
            Ok(Outcome::Ended)
        }
        result => result,
    }
}

fn train_on(
    device: Device,
    dir: &RunDir,
    record: &RunRecord,
    orders: &Orders,
    progress: &ProgressFile,
    ended: &dyn Fn() -> bool,
) -> Result<Outcome, Failure> {
    // Data, model and optimizer.
    let learner = beginning(dir, record, orders, device)?;
    replace_json(&dir.model_json(), &learner.task.model_record(), Durability::Rebuildable)?;

    // Where the last attempt left off.
    let found = checkpoint::load_newest(dir, &learner, orders.start.checkpoint)?;
    let kept_rows = found.state.as_ref().map(|state| state.metrics_length);
    let state = found.state.unwrap_or_else(state::fresh);
    checkpoint::forget_after(dir, state.step)?;
    let journal = Journal::open(dir, metrics::columns(&record.settings), kept_rows, orders.start.attempt)?;
    let mut due = Due::left_over(&state);
    let mut run = Training {
        dir,
        record,
        progress,
        claim: Claim::new(dir, orders.start.attempt),
        saved: (kept_rows.is_some() && !due.anything()).then_some(state.step),
        clock: Clock::new(state.elapsed_seconds),
        losses: LossBuffer::default(),
        alerts: AlertWatch::new(&record.alerts, state.alerts.clone()),
        wish: None,
        measured: None,
        learner,
        state,
        journal,
    };
    run.say_start(orders, &found.damaged, found.begins.as_deref())?;

    loop {
        // What the settings ask for after this step.
        if due.evaluation && !run.evaluate(ended)? {
            return run.end_as_asked(due);
        }
        let improved = due.row && run.write_row(due)?;
        let stopped_early = state::early_stop(&run.state, &record.settings);
        let is_last = run.state.step >= record.steps || stopped_early.is_some();
        due = Due {
            sample: due.sample || is_last && due.evaluation && due::samples_at_end(&record.settings),
            checkpoint: due.checkpoint || improved || is_last,
            ..Due::NOTHING
        };
        if let Some(wish) = run.wish.take().filter(|_| !is_last) {
            return run.end_by_alert(&wish, due);
        }
        if due.sample && !run.sample(ended)? {
            return run.end_as_asked(due);
        }
        if due.checkpoint {
            run.save_planned()?;
        }
        if is_last {
            return run.finish(stopped_early, orders.start.attempt);
        }
        if ended() || orders.until.is_some_and(|until| run.state.step >= until) {
            return run.end_as_asked(Due::NOTHING);
        }

        // One step: gather, forward, backward, clip, update.
        run.clock.resume();
        run.state.step += 1;
        let step = run.state.step;
        let lr = run.rate_of(step);
        let taken = run.learner.step(step, lr, Watch::NOBODY)?;
        run.losses.push(step, taken);
        run.clock.step();
        due = Due::after(step, record);
        if due.anything() || run.losses.is_full() {
            run.fetch_losses()?;
        }
        run.show_progress();
    }
}

/// Everything as it is before the first step.
fn beginning(dir: &RunDir, record: &RunRecord, orders: &Orders, device: Device) -> Result<Learner, Failure> {
    Learner::new(record, &orders.start, dir, device)
}

/// A run while it is trained.
struct Training<'a> {
    dir: &'a RunDir,
    record: &'a RunRecord,
    progress: &'a ProgressFile,
    learner: Learner,
    /// What the next checkpoint will say.
    state: State,
    journal: Journal,
    claim: Claim,
    clock: Clock,
    /// Losses that are still on the device.
    losses: LossBuffer,
    /// The rules of its alerts, and what they remember.
    alerts: AlertWatch,
    /// A rule of this step's row that wants the run to end, until it has.
    wish: Option<Wish>,
    /// The evaluation of this step, until its row is written.
    measured: Option<Measured>,
    /// The step of the checkpoint that holds everything so far.
    saved: Option<u64>,
}

impl Training<'_> {
    fn say_start(
        &mut self,
        orders: &Orders,
        damaged: &[String],
        begins: Option<&str>,
    ) -> Result<(), Failure> {
        let start = &orders.start;
        let (attempt, step, steps) = (start.attempt, self.state.step, self.record.steps);
        for message in damaged {
            self.journal.event(step, What::Alert { message: message.clone(), rule: None, action: None })?;
            self.journal.say(message)?;
        }
        let device = start.device.name();
        if step > 0 {
            self.journal.event(step, What::Resumed { checkpoint: step })?;
            // A worker that was killed between the checkpoint and its event left it to us.
            let events = read::lines::<Event>(&self.dir.events())?.records;
            let is_noted = trail(&events).iter().any(|point| point.step == step && !point.history.is_empty());
            if !is_noted {
                self.leave_trail(0, 0.0)?;
            }
            self.journal
                .say(&format!("attempt {attempt} goes on after step {step} of {steps}, on {device}"))?;
        } else {
            self.journal.event(step, What::Started)?;
            self.journal
                .say(&format!("attempt {attempt} starts at the beginning of {steps} steps, on {device}"))?;
            begins.map_or(Ok(()), |words| self.journal.say(words))?;
        }
        Ok(())
    }

    /// Brings the losses since the last time to the host: for the next row, for the history, and to
    /// see whether they are finite.
    fn fetch_losses(&mut self) -> Result<(), Failure> {
        let numbers = self.losses.fetch()?;
        self.clock.pause();
        match state::absorb(&mut self.state, &numbers, self.record.settings.examples_per_step()) {
            None => Ok(()),
            Some(found) => {
                self.write_bad_row(&found)?;
                Err(Failure::NotFinite(found))
            }
        }
    }

    /// The learning rate of a step.
    fn rate_of(&self, step: u64) -> f64 {
        self.learner.learning_rate(step) * checkpoints::lr_factor(&self.state.reductions, step)
    }

    fn show_progress(&self) {
        let (state, clock) = (&self.state, &self.clock);
        let remaining = clock.remaining_seconds(self.record.steps.saturating_sub(state.step));
        self.progress.trained(state.step, self.record, remaining);
    }
}
