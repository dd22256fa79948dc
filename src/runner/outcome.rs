//! How a batch ended, and what the shell is told.

use super::interrupt::Ending;
use super::schedule::{Decision, Reason};
use super::tracked::{self, Tracked};
use crate::exit::Exit;
use crate::run_dir::records::Attempt;
use crate::run_dir::status::Stage;
use crate::run_dir::{RunDir, Status};

/// A run that is not finished when the batch has ended.
#[derive(Clone, Debug)]
pub struct LeftRun {
    pub dir: RunDir,
    pub status: Status,
    /// Why, as a person would say it; empty where the status says it all.
    pub reason: String,
}

/// What became of the selected runs.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// None when there was nothing to do.
    pub batch: Option<String>,
    /// Finished, now or before, in the order of the plan.
    pub finished: Vec<RunDir>,
    /// How many of them in this batch.
    pub finished_now: usize,
    pub left: Vec<LeftRun>,
    pub ending: Ending,
    /// A person asked for the end after the current runs.
    pub is_drained: bool,
}

impl Outcome {
    /// Of these runs, with the reasons that the last decision gave.
    pub fn of(runs: &[Tracked], batch: Option<String>, ending: Ending, decision: &Decision) -> Outcome {
        let is_finished = |run: &&Tracked| run.seen.status == Status::Finished;
        let now = |run: &&Tracked| is_finished(run) && !run.finished_before;
        let reason = |index| decision.waiting.iter().find(|(run, _)| *run == index);
        let unfinished = |(_, run): &(usize, &Tracked)| run.seen.status != Status::Finished;
        let left =
            |(index, run): (usize, &Tracked)| LeftRun::of(run, reason(index).map(|(_, reason)| reason));
        Outcome {
            batch,
            finished: runs.iter().filter(is_finished).map(|run| run.dir.clone()).collect(),
            finished_now: runs.iter().filter(now).count(),
            left: runs.iter().enumerate().filter(unfinished).map(left).collect(),
            ending,
            is_drained: false,
        }
    }

    /// Whether a runner that waits for work may go on: nobody asked for its end, and it did not stop
    /// itself with work left.
    pub fn goes_on(&self) -> bool {
        let is_held = |run: &LeftRun| run.status == Status::Lost && run.reason.starts_with("held: ");
        let waits =
            |run: &LeftRun| matches!(run.status, Status::Waiting { .. } | Status::Lost) && !is_held(run);
        self.ending == Ending::Open && !self.is_drained && !self.left.iter().any(waits)
    }

    /// What the shell is told.
    pub fn exit(&self) -> Exit {
        let any = |test: fn(&Status) -> bool| self.left.iter().any(|run| test(&run.status));
        let goes_on = |status: &Status| {
            matches!(status, Status::Waiting { .. } | Status::Lost | Status::Running { .. })
        };
        match self.ending {
            Ending::Now(interrupt) => interrupt.exit(),
            Ending::Asked if any(goes_on) => Exit::TryAgain,
            _ if any(failed) => Exit::RunsFailed,
            _ if any(goes_on) => Exit::TryAgain,
            _ => Exit::Success,
        }
    }

    /// One line for each run that is left, with what can be done about it.
    pub fn lines(&self) -> Vec<String> {
        self.left.iter().map(LeftRun::line).collect()
    }
}

impl LeftRun {
    /// A run that is not finished; `waiting` is the schedule's reason, if it gave one.
    pub fn of(run: &Tracked, waiting: Option<&Reason>) -> LeftRun {
        let reason = match (&run.trouble, &run.seen.status, waiting) {
            (Some(trouble), ..) => trouble.clone(),
            (None, Status::Unreadable { reason }, _) => reason.clone(),
            (None, Status::Skipped { need }, _) => format!("{need} did not finish"),
            (None, _, Some(reason)) => reason.to_string(),
            (None, Status::Lost, None) => {
                tracked::elsewhere(&run.seen).map_or_else(String::new, |reason| format!("held: {reason}"))
            }
            (None, Status::Running { stage: Stage::Elsewhere }, None) => "on another machine".to_owned(),
            (None, Status::Running { .. }, None) => "its worker could not be ended from here".to_owned(),
            (None, Status::Failed { .. } | Status::Killed { .. }, None) => last_words(&run.seen.attempts),
            _ => String::new(),
        };
        LeftRun { dir: run.dir.clone(), status: run.seen.status.clone(), reason }
    }

    /// A sentence with what can be done about it.
    pub fn line(&self) -> String {
        let name = format!("{}/{}", self.dir.experiment(), self.dir.name());
        let reason = if self.reason.is_empty() { String::new() } else { format!(": {}", self.reason) };
        let remedy = match &self.status {
            Status::Failed { .. } | Status::Killed { .. } => {
                " (again: overnight run --retry-failed)".to_owned()
            }
            Status::Stopped | Status::Paused => format!(" (again: overnight resume {name})"),
            // The reason says it already.
            Status::Waiting { .. } | Status::Lost if self.reason.ends_with("overnight run") => String::new(),
            Status::Lost if self.reason.starts_with("held: ") => String::new(),
            Status::Waiting { .. } | Status::Lost => " (goes on with: overnight run)".to_owned(),
            Status::Skipped { need } => format!(" (starts once that has: overnight retry {need})"),
            Status::Unreadable { .. } | Status::Finished | Status::Running { .. } => String::new(),
        };
        format!("{} {name}{reason}{remedy}", self.status.word())
    }
}

/// What the last attempt's end says.
fn last_words(attempts: &[Attempt]) -> String {
    let ends = attempts.iter().rev().filter_map(|line| match line {
        Attempt::End(end) => Some(end.why.clone()),
        Attempt::Start(_) => None,
    });
    ends.into_iter().next().unwrap_or_default()
}

fn failed(status: &Status) -> bool {
    matches!(status, Status::Failed { .. } | Status::Killed { .. } | Status::Skipped { .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_dir::status::Waiting;
    use crate::runner::interrupt::Interrupt;

    fn outcome(ending: Ending, statuses: &[Status]) -> Outcome {
        let left = |status: &Status| LeftRun {
            dir: RunDir::new("runs/x/s1"),
            status: status.clone(),
            reason: String::new(),
        };
        Outcome {
            batch: None,
            finished: Vec::new(),
            finished_now: 0,
            left: statuses.iter().map(left).collect(),
            ending,
            is_drained: false,
        }
    }

    #[test]
    fn the_exit_code_says_what_a_script_should_do() {
        let waiting = Status::Waiting { because: Waiting::Interrupted };
        let failed = Status::Failed { code: 1 };
        let code = |ending, statuses: &[Status]| outcome(ending, statuses).exit() as u8;
        assert_eq!(code(Ending::Open, &[]), 0);
        assert_eq!(code(Ending::Open, &[Status::Paused, Status::Stopped]), 0, "a person wanted it so");
        assert_eq!(code(Ending::Open, std::slice::from_ref(&failed)), 100);
        assert_eq!(code(Ending::Open, std::slice::from_ref(&waiting)), 75, "held: not done");
        assert_eq!(code(Ending::Asked, &[failed.clone(), waiting.clone()]), 75);
        assert_eq!(code(Ending::Asked, std::slice::from_ref(&failed)), 100, "all others were done by then");
        assert_eq!(code(Ending::Asked, &[]), 0);
        assert_eq!(code(Ending::Now(Interrupt::Int), std::slice::from_ref(&waiting)), 130);
        assert_eq!(code(Ending::Now(Interrupt::Term), &[waiting]), 143);
    }

    #[test]
    fn what_is_left_is_named_with_the_command_that_restarts_it() {
        let lines = outcome(Ending::Open, &[Status::Failed { code: 1 }, Status::Paused]).lines();
        assert_eq!(lines[0], "failed x/s1 (again: overnight run --retry-failed)");
        assert_eq!(lines[1], "paused x/s1 (again: overnight resume x/s1)");
    }
}
