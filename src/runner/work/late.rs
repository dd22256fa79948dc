//! Ends of runs that came while no runner lived: the next one writes them, and tells hooks of them once. That
//! an end stands in the run's attempts is the mark of it.

use super::Work;
use crate::run_dir::records::{BatchEvent, End};
use crate::run_dir::status::last_start;
use crate::run_dir::{RunDir, Status, Workspace, read, scan};
use crate::runner::attempt::Witness;
use crate::runner::hooks::Occasion;
use crate::runner::starting;
use crate::runner::tracked::Tracked;

impl Work<'_> {
    /// Tells of runs that lived when this batch looked at them first, and ended before it followed them.
    pub(super) fn catch_up_with_ends(&mut self) {
        for index in 0..self.runs.len() {
            let run = &mut self.runs[index];
            if std::mem::take(&mut run.ended_alone) && run.worker.is_none() && run.put_off.is_none() {
                self.catch_up(index);
                self.catch_up_end(index);
            }
        }
    }

    /// Tells of a run that finished alone.
    pub(super) fn catch_up_end(&mut self, index: usize) {
        let Some(end) = untold(self.workspace, &self.runs[index]) else { return };
        let run = &self.runs[index];
        self.batch.event(EVENT, Some(&run.dir), &message(&end));
        self.view.say(&line(run, &end));
        self.tell_hooks_of_end(index, &end.why);
    }

    /// Tells hooks how a run has ended, by what it is now, where it has ended for good.
    pub(super) fn tell_hooks_of_end(&mut self, index: usize, why: &str) {
        if let Some(occasion) = occasion(&self.runs[index], why) {
            self.hooks.tell(&occasion);
        }
    }
}

/// What the batch's diary calls the end of a run.
pub(super) const EVENT: &str = "run-ended";

pub(super) fn message(end: &End) -> String {
    format!("{}: {}", Status::Finished.word(), end.why)
}

pub(super) fn line(run: &Tracked, end: &End) -> String {
    format!("finished {}: {}", run.name(), end.why)
}

/// What hooks are told of a run that has ended for good.
pub(super) fn occasion(run: &Tracked, why: &str) -> Option<Occasion> {
    let word = match &run.seen.status {
        Status::Finished | Status::Failed { .. } | Status::Killed { .. } => run.seen.status.word(),
        Status::Waiting { .. } if run.has_no_retries_left() => "held",
        _ => return None,
    };
    Some(Occasion::run_ended(&run.dir, word, why, run.result().as_ref()))
}

/// Writes the end of a run that a runner began and that finished alone; what was told before, by a runner
/// that wrote no such end, is not given back. Its worker may still be there, on its way out: nothing that it
/// does after its result changes what is told.
pub(super) fn untold(workspace: &Workspace, run: &Tracked) -> Option<End> {
    if run.worker.is_some() || run.seen.status != Status::Finished || !starting::has_unseen_end(&run.seen) {
        return None;
    }
    let start = last_start(&run.seen.attempts)?;
    let batch = start.batch.as_deref()?;
    // Where the disk takes no line, it is told the next time.
    let end = starting::end(&run.dir, start.attempt, None, None, &Witness::default());
    starting::write_end(&run.dir, &end).ok()?;
    (!was_told(workspace, &run.dir, batch, start.time)).then_some(end)
}

fn was_told(workspace: &Workspace, dir: &RunDir, batch: &str, since: f64) -> bool {
    let batches = scan::batches(workspace).into_iter().filter(|dir| *dir.name() >= *batch);
    let mut lines = batches.filter_map(|batch| read::lines::<BatchEvent>(&batch.events()).ok());
    let (experiment, name) = (Some(dir.experiment()), Some(dir.name()));
    let is_it = |line: &BatchEvent| {
        line.event == EVENT && line.time >= since && (&line.experiment, &line.run) == (&experiment, &name)
    };
    lines.any(|lines| lines.records.iter().any(is_it))
}
