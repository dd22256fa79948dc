//! What is left to do at the end of a batch: deleting what the rules let go, telling hooks of it.

use std::collections::BTreeMap;

use super::Work;
use super::farewell::{Farewell, Farewells};
use crate::experiment::metric::direction_of;
use crate::run_dir::records::RunResult;
use crate::run_dir::{RunDir, Status};
use crate::runner::hooks::Occasion;
use crate::runner::interrupt::{Ending, Interrupts};
use crate::runner::tracked::Tracked;
use crate::runner::{Afterwards, Outcome, Report};

impl Work<'_> {
    /// Waits until what the rules let go is deleted, so that the report shows what is left; a signal
    /// ends the waiting.
    pub(super) async fn finish_cleaning(&mut self, interrupts: &mut Interrupts) {
        while !self.retention.is_done() && !matches!(self.ending, Ending::Now(_)) {
            tokio::select! {
                cleaned = self.retention.news() => cleaned.tell(&mut self.batch, &mut self.view),
                _ = interrupts.next() => break,
            }
        }
    }

    /// Tells hooks that the batch is over, and sees to it that those at work are waited for, no longer than
    /// their timeout. The exit code stands by then: it speaks of the runs, and nothing of them is lost with a
    /// hook.
    pub(super) async fn tell_of_the_end(
        mut self,
        outcome: &Outcome,
        interrupts: &mut Interrupts,
        farewells: &mut Farewells,
    ) {
        let is_in_a_hurry = matches!(self.ending, Ending::Now(_));
        if !is_in_a_hurry {
            let best = best(&self.runs);
            let report = (self.options.report == Report::Keep)
                .then(|| self.workspace.reports().join("index.html"))
                .filter(|index| index.is_file());
            let best = best.as_ref().map(|(run, result)| (*run, result));
            let seconds = self.begun.elapsed().as_secs_f64();
            self.hooks.tell(&Occasion::batch_finished(outcome, best, seconds, report.as_deref()));
        }
        let farewell = Farewell { hooks: self.hooks, batch: self.batch };
        if is_in_a_hurry {
            farewell.abandon();
        } else if self.options.afterwards == Afterwards::Wait {
            // What is queued meanwhile does not wait for them.
            farewells.add(farewell);
        } else {
            farewell.wait(async { _ = interrupts.next().await }).await;
        }
    }
}

/// The best of the runs that finished in this batch, by the metric that most of them are judged by.
fn best(runs: &[Tracked]) -> Option<(&RunDir, RunResult)> {
    let finished = runs.iter().filter(|run| run.seen.status == Status::Finished && !run.finished_before);
    let judged = finished.filter_map(|run| Some((&run.dir, run.result()?)));
    of_the_commonest_metric(judged.collect())
}

fn of_the_commonest_metric(runs: Vec<(&RunDir, RunResult)>) -> Option<(&RunDir, RunResult)> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for best in runs.iter().filter_map(|(_, result)| result.best.as_ref()) {
        *counts.entry(&best.metric).or_default() += 1;
    }
    // Of those that are as common the first by name.
    let commonest = counts.into_iter().rev().max_by_key(|(_, count)| *count)?.0.to_owned();
    let direction = direction_of(&commonest);
    let value = |result: &RunResult| result.best.as_ref().map_or(f64::NAN, |best| best.value);
    let is_judged_by_it =
        |result: &RunResult| result.best.as_ref().is_some_and(|best| best.metric == commonest);
    let judged = runs.into_iter().filter(|(_, result)| is_judged_by_it(result));
    judged.reduce(|best, run| if direction.is_better(value(&run.1), value(&best.1)) { run } else { best })
}
