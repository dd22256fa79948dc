//! How a batch ended, and what the shell is told.

use std::collections::HashSet;

use super::Selection;
use super::interrupt::Ending;
use super::schedule::{Decision, Reason};
use super::tracked::Tracked;
use crate::exit::Exit;
use crate::run_dir::budgets::{self, Verdict};
use crate::run_dir::records::Attempt;
use crate::run_dir::scan::Seen;
use crate::run_dir::status::Stage;
use crate::run_dir::{RunDir, Status, deleted, reason, requests};

/// A run that is not finished when the batch has ended.
#[derive(Clone, Debug)]
pub struct LeftRun {
    pub dir: RunDir,
    pub status: Status,
    /// Why, as a person would say it; empty where the status says it all.
    pub reason: String,
    /// It could be read when the batch began, and cannot any more.
    pub is_spoiled: bool,
    /// Requests and lines of `attempts.jsonl` there were by then.
    lines: (usize, usize),
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
    /// What the runs of this batch took, where that was measured.
    pub energy_joules: Option<f64>,
    /// Budgets that were missed by runs that this batch answers for: see [`Outcome::judged`].
    pub missed: Vec<(RunDir, Verdict)>,
    /// A person asked for the end after the current runs.
    pub is_drained: bool,
    /// All runs that it knew of when it ended, also those that it left out.
    pub known: HashSet<RunDir>,
    /// Workers were ended at once by a second signal.
    pub has_ended_workers: bool,
    /// It left runs that could be begun: its breaker tripped, or its time is over.
    pub has_stopped_itself: bool,
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
            energy_joules: None,
            missed: Vec::new(),
            is_drained: false,
            known: HashSet::new(),
            has_ended_workers: false,
            has_stopped_itself: false,
        }
    }

    /// Of this batch and of one after it that worked other runs.
    pub fn followed_by(mut self, mut later: Outcome) -> Outcome {
        self.finished.append(&mut later.finished);
        self.left.append(&mut later.left);
        self.missed.append(&mut later.missed);
        let joules = [self.energy_joules, later.energy_joules].into_iter().flatten();
        Outcome {
            batch: later.batch.or(self.batch),
            finished: self.finished,
            finished_now: self.finished_now + later.finished_now,
            left: self.left,
            missed: self.missed,
            energy_joules: joules.reduce(|one, other| one + other),
            known: self.known.union(&later.known).cloned().collect(),
            ..later
        }
    }

    /// With the budgets that were missed. A batch answers for the runs that finished in it and, where runs
    /// were named, for all of these: asked again about the same files it says the same again. A run that
    /// a rule paused or stopped has missed what it was to come to.
    pub fn judged(mut self, runs: &[Tracked], selection: &Selection) -> Outcome {
        let answers_for = |run: &&Tracked| match selection {
            Selection::Runs(named) => named.contains(&run.dir) || !run.finished_before,
            Selection::All => !run.finished_before,
        };
        for run in runs.iter().filter(answers_for) {
            let verdicts = run.verdicts.clone().unwrap_or_else(|| budgets::verdicts(&run.seen));
            let missed = verdicts.into_iter().filter(|verdict| !verdict.met);
            self.missed.extend(missed.map(|verdict| (run.dir.clone(), verdict)));
        }
        self
    }

    /// With runs that were done before a rule deleted them: asked about them again, a batch says of them
    /// what it said then.
    pub fn with_deleted(mut self, gone: &[RunDir]) -> Outcome {
        let mut known = deleted::of(gone);
        for dir in gone {
            let verdicts = known.remove(dir).map(|deleted| deleted.budgets).unwrap_or_default();
            let missed = verdicts.into_iter().filter(|verdict| !verdict.met);
            self.missed.extend(missed.map(|verdict| (dir.clone(), verdict)));
            self.finished.push(dir.clone());
        }
        self
    }

    /// Whether a runner that waits for work may go on: nobody asked for its end, and it did not stop
    /// itself. What is held waits on with it, for a person or for another run.
    pub fn goes_on(&self) -> bool {
        self.ending == Ending::Open && !self.is_drained && !self.has_stopped_itself
    }

    /// What the shell is told: what became of the runs. A signal counts only where it left something to do.
    pub fn exit(&self) -> Exit {
        let any = |test: fn(&Status) -> bool| self.left.iter().any(|run| test(&run.status));
        // Of what was broken before nobody asked anything; what broke under the batch did not get done.
        let is_spoiled = self.left.iter().any(|run| run.is_spoiled);
        let goes_on = |status: &Status| {
            // What is skipped is not done either, and it is what failed that failed.
            matches!(
                status,
                Status::Waiting { .. } | Status::Lost | Status::Running { .. } | Status::Skipped { .. }
            )
        };
        // It lost what it had done since its last checkpoint, though a person had paused or stopped it.
        let is_cut_short =
            self.has_ended_workers && any(|status| matches!(status, Status::Paused | Status::Stopped));
        match self.ending {
            Ending::Now(interrupt) if any(goes_on) || is_cut_short => interrupt.exit(),
            Ending::Asked if any(goes_on) => Exit::TryAgain,
            _ if any(failed) || is_spoiled || !self.missed.is_empty() => Exit::RunsFailed,
            _ if any(goes_on) => Exit::TryAgain,
            _ => Exit::Success,
        }
    }

    /// One line for each run that is left, with what can be done about it, and for each missed budget.
    pub fn lines(&self) -> Vec<String> {
        let missed = self
            .missed
            .iter()
            .map(|(dir, verdict)| format!("missed {}/{}: {}", dir.experiment(), dir.name(), verdict.line()));
        self.left.iter().map(LeftRun::line).chain(missed).collect()
    }
}

impl LeftRun {
    /// A run that is not finished; `waiting` is the schedule's reason, if it gave one.
    pub fn of(run: &Tracked, waiting: Option<&Reason>) -> LeftRun {
        let reason = match (&run.trouble, &run.seen.status, waiting) {
            (Some(trouble), ..) => trouble.clone(),
            (None, Status::Unreadable { reason }, _) => reason.clone(),
            (None, Status::Skipped { need } | Status::NeedFailed { need }, _) => {
                format!("{need} did not finish")
            }
            (None, _, Some(reason)) => reason.to_string(),
            (None, Status::Lost, None) => {
                reason::lives_on(&run.seen).map_or_else(String::new, |reason| format!("held: {reason}"))
            }
            (None, Status::Running { stage: Stage::Elsewhere }, None) => "on another machine".to_owned(),
            (None, Status::Running { .. }, None) => "its worker could not be ended from here".to_owned(),
            (None, Status::Paused | Status::Stopped, None) => {
                requests::ended_by_rule(&run.seen.requests).unwrap_or_default().to_owned()
            }
            (None, Status::Failed { .. } | Status::Killed { .. }, None) => last_words(&run.seen.attempts),
            _ => String::new(),
        };
        let is_spoiled = run.was_readable && matches!(run.seen.status, Status::Unreadable { .. });
        let (dir, status) = (run.dir.clone(), run.seen.status.clone());
        LeftRun { dir, status, reason, is_spoiled, lines: lines_of(&run.seen) }
    }

    /// Whether it would have been worked, had something not held it.
    pub fn is_waiting(&self) -> bool {
        matches!(self.status, Status::Waiting { .. } | Status::Lost)
    }

    /// Whether it was asked anything since, or stands otherwise.
    pub fn has_changed(&self, seen: &Seen) -> bool {
        lines_of(seen) != self.lines || seen.status.word() != self.status.word()
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
            Status::Skipped { need } | Status::NeedFailed { need } => {
                format!(" (starts once that has: overnight retry {need})")
            }
            Status::Unreadable { .. } | Status::Finished | Status::Running { .. } => String::new(),
        };
        format!("{} {name}{reason}{remedy}", self.status.word())
    }
}

fn lines_of(seen: &Seen) -> (usize, usize) {
    (seen.requests.len(), seen.attempts.len())
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
    matches!(status, Status::Failed { .. } | Status::Killed { .. } | Status::NeedFailed { .. })
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
            is_spoiled: false,
            lines: (0, 0),
        };
        Outcome {
            batch: None,
            finished: Vec::new(),
            finished_now: 0,
            left: statuses.iter().map(left).collect(),
            ending,
            energy_joules: None,
            missed: Vec::new(),
            is_drained: false,
            known: HashSet::new(),
            has_ended_workers: false,
            has_stopped_itself: false,
        }
    }

    #[test]
    fn the_exit_code_says_what_a_script_should_do() {
        let waiting = Status::Waiting { because: Waiting::Interrupted };
        let failed = Status::Failed { code: 1 };
        let code = |ending, statuses: &[Status]| outcome(ending, statuses).exit() as u8;
        assert_eq!(code(Ending::Open, &[]), 0);
        let unreadable = [Status::Unreadable { reason: String::new() }];
        assert_eq!(code(Ending::Open, &unreadable), 0, "it was broken before");
        let mut spoiled = outcome(Ending::Open, &unreadable);
        spoiled.left[0].is_spoiled = true;
        assert_eq!(spoiled.exit() as u8, 100, "it broke under the batch");
        assert_eq!(code(Ending::Open, &[Status::Paused, Status::Stopped]), 0, "a person wanted it so");
        assert_eq!(code(Ending::Open, std::slice::from_ref(&failed)), 100);
        assert_eq!(code(Ending::Open, std::slice::from_ref(&waiting)), 75, "held: not done");
        assert_eq!(code(Ending::Asked, &[failed.clone(), waiting.clone()]), 75);
        assert_eq!(code(Ending::Asked, std::slice::from_ref(&failed)), 100, "all others were done by then");
        assert_eq!(code(Ending::Asked, &[]), 0);
        let need = "a".to_owned();
        let skipped = Status::Skipped { need: need.clone() };
        assert_eq!(code(Ending::Open, std::slice::from_ref(&skipped)), 75, "not done");
        assert_eq!(code(Ending::Open, &[skipped, failed.clone()]), 100);
        assert_eq!(code(Ending::Open, &[Status::NeedFailed { need }]), 100, "as its file asks");
        assert_eq!(code(Ending::Now(Interrupt::Int), std::slice::from_ref(&waiting)), 130);
        assert_eq!(code(Ending::Now(Interrupt::Term), &[waiting, failed.clone()]), 143);
        assert_eq!(code(Ending::Now(Interrupt::Int), &[failed]), 100, "it came when all had ended");
        assert_eq!(code(Ending::Now(Interrupt::Int), &[]), 0, "it came when all was done");
        let mut pausing = outcome(Ending::Now(Interrupt::Int), &[Status::Paused]);
        assert_eq!(pausing.exit() as u8, 0, "it came when it was paused");
        pausing.has_ended_workers = true;
        assert_eq!(pausing.exit() as u8, 130, "it came before it had a checkpoint");
    }

    #[test]
    fn a_runner_for_ever_is_ended_by_people_and_by_itself_and_not_by_what_is_held() {
        let held = [Status::Waiting { because: Waiting::New }, Status::Failed { code: 1 }, Status::Lost];
        let open = outcome(Ending::Open, &held);
        assert!(open.goes_on());
        assert!(!outcome(Ending::Asked, &held).goes_on());
        assert!(!Outcome { is_drained: true, ..open.clone() }.goes_on());
        assert!(!Outcome { has_stopped_itself: true, ..open }.goes_on());
    }

    #[test]
    fn what_is_left_is_named_with_the_command_that_restarts_it() {
        let lines = outcome(Ending::Open, &[Status::Failed { code: 1 }, Status::Paused]).lines();
        assert_eq!(lines[0], "failed x/s1 (again: overnight run --retry-failed)");
        assert_eq!(lines[1], "paused x/s1 (again: overnight resume x/s1)");
    }
}
