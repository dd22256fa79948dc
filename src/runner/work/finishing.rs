//! How a batch ends: what became of it is written, then hooks and the report are waited for.

use super::{Work, farewell::Farewells};
use crate::runner::interrupt::{Ending, Interrupts};
use crate::runner::outcome::Outcome;
use crate::runner::schedule::{Decision, Reason};
use crate::runner::view::{Style, View};
use crate::runner::{RunnerError, words};

impl Work<'_> {
    pub(super) async fn finish(
        mut self,
        decision: &Decision,
        interrupts: &mut Interrupts,
        farewells: &mut Farewells,
    ) -> Result<Outcome, RunnerError> {
        let outcome = Outcome::of(&self.runs, Some(self.batch.name()), self.ending, decision);
        let mut outcome = outcome.judged(&self.runs, &self.options.selection);
        outcome.energy_joules = self.gauges.joules();
        outcome.is_drained = self.draining;
        outcome.has_ended_workers = self.has_ended_workers;
        outcome.known =
            self.runs.iter().map(|run| run.dir.clone()).chain(self.left_out.dirs.iter().cloned()).collect();
        let is_put_off = |(_, reason): &(usize, Reason)| matches!(reason, Reason::Waits(_));
        outcome.has_stopped_itself = self.breaker.tripped().is_some()
            || (self.options.until.is_some() && decision.waiting.iter().any(is_put_off));
        if !matches!(self.ending, Ending::Now(_)) {
            self.words.finish(&mut self.view, words::PATIENCE).await;
        }
        // Its live lines end; what hooks have to tell is still to come.
        self.view = View::open(Style::Plain);
        if let Err(error) = self.batch.end(outcome.exit(), outcome.energy_joules) {
            self.view.say(&format!("the end of the batch could not be written: {error}"));
        }
        self.finish_cleaning(interrupts).await;
        match self.report.take() {
            Some(report) if matches!(self.ending, Ending::Now(_)) => report.abandon(),
            Some(report) => tokio::select! {
                () = report.end(self.workspace, &mut self.batch) => {}
                // The runs are done; nobody has to wait for the page.
                _ = interrupts.next() => {}
            },
            None => {}
        }
        self.tell_of_the_end(&outcome, interrupts, farewells).await;
        Ok(outcome)
    }
}
