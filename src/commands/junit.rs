//! `overnight run --junit FILE`: what became of a batch, as CI systems read it. A test suite for each
//! experiment, a test case for each of its runs and for each budget of a run.

use std::io;
use std::path::Path;
use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::run_dir::budgets::{self, Verdict};
use crate::run_dir::deleted::{self, Deleted};
use crate::run_dir::records::{Attempt, RunResult};
use crate::run_dir::scan::{self, Seen};
use crate::run_dir::write::{Durability, at, replace};
use crate::run_dir::{RunDir, Status, read};
use crate::runner::{LeftRun, Outcome};

/// Makes the folder of the file that will be written.
///
/// # Errors
/// It cannot be made, with the path.
pub fn make_folder(path: &Path) -> io::Result<()> {
    let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) else { return Ok(()) };
    std::fs::create_dir_all(folder).map_err(|error| at(folder, error))
}

/// Writes the file, whole or not at all.
///
/// # Errors
/// It cannot be written, with the path.
pub fn write(path: &Path, outcome: &Outcome) -> io::Result<()> {
    let (host, now) = (scan::host(), scan::now());
    let run = |dir: &RunDir, left: Option<&LeftRun>| Run::of(&scan::look(dir, &host, now), left);
    let mut deleted = deleted::of(&outcome.finished);
    let finished = |dir: &RunDir| match deleted.remove(dir) {
        Some(deleted) => Run::of_deleted(dir, deleted),
        None => run(dir, None),
    };
    let mut runs: Vec<Run> = outcome.finished.iter().map(finished).collect();
    runs.extend(outcome.left.iter().map(|left| run(&left.dir, Some(left))));
    // A name without a folder lies in this one.
    let path = if path.parent() == Some(Path::new("")) { &Path::new(".").join(path) } else { path };
    replace(path, xml(&runs)?.as_bytes(), Durability::Rebuildable)
}

/// What is told of one run.
#[derive(Debug, Clone)]
struct Run {
    experiment: String,
    name: String,
    status: Status,
    /// Why, as a person would say it.
    reason: String,
    /// Of training where that is known, else of its attempts.
    seconds: f64,
    budgets: Vec<String>,
    /// One a budget, or none while nothing can be said.
    verdicts: Vec<Verdict>,
}

impl Run {
    fn of(seen: &Seen, left: Option<&LeftRun>) -> Run {
        let result: Option<RunResult> = read::json_if_there(&seen.dir.result()).ok().flatten();
        let budgets = seen.record.iter().flat_map(|record| &record.budgets);
        Run {
            experiment: seen.dir.experiment(),
            name: seen.dir.name(),
            status: left.map_or(&seen.status, |left| &left.status).clone(),
            reason: left.map(|left| left.reason.clone()).unwrap_or_default(),
            seconds: result.map_or_else(|| worked(&seen.attempts), |result| result.elapsed_seconds),
            budgets: budgets.map(|budget| budget.name()).collect(),
            verdicts: budgets::verdicts(seen),
        }
    }

    /// A run that was done before a rule deleted it.
    fn of_deleted(dir: &RunDir, deleted: Deleted) -> Run {
        Run {
            experiment: dir.experiment(),
            name: dir.name(),
            status: Status::Finished,
            reason: String::new(),
            seconds: deleted.result.map_or(0.0, |result| result.elapsed_seconds),
            budgets: deleted.budgets.iter().map(|verdict| verdict.budget.clone()).collect(),
            verdicts: deleted.budgets,
        }
    }

    fn case(&self) -> TestCase {
        let word = self.status.word();
        let message =
            if self.reason.is_empty() { word.to_owned() } else { format!("{word}: {}", self.reason) };
        let mut status = match &self.status {
            Status::Finished => TestCaseStatus::success(),
            Status::Failed { .. } | Status::NeedFailed { .. } => {
                TestCaseStatus::non_success(NonSuccessKind::Failure)
            }
            Status::Killed { .. } | Status::Unreadable { .. } => {
                TestCaseStatus::non_success(NonSuccessKind::Error)
            }
            Status::Skipped { .. }
            | Status::Running { .. }
            | Status::Stopped
            | Status::Paused
            | Status::Waiting { .. }
            | Status::Lost => TestCaseStatus::skipped(),
        };
        if self.status != Status::Finished {
            status.set_message(message);
            status.set_type(word);
        }
        let mut case = TestCase::new(self.name.as_str(), status);
        case.set_classname(self.experiment.as_str()).set_time(duration(self.seconds));
        case
    }

    fn budget_case(&self, index: usize) -> TestCase {
        let status = match self.verdicts.get(index) {
            Some(verdict) if verdict.met => TestCaseStatus::success(),
            Some(verdict) => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_message(verdict.line()).set_type("budget");
                status
            }
            None => {
                let mut status = TestCaseStatus::skipped();
                status.set_message(format!("the run is {}", self.status.word()));
                status
            }
        };
        let mut case = TestCase::new(format!("{}: {}", self.name, self.budgets[index]), status);
        case.set_classname(self.experiment.as_str()).set_time(Duration::ZERO);
        case
    }
}

/// The whole document; runs of one experiment stand together, in the order in which they are given.
fn xml(runs: &[Run]) -> io::Result<String> {
    let mut suites: Vec<(TestSuite, f64)> = Vec::new();
    for run in runs {
        let found = suites.iter().position(|(suite, _)| suite.name.as_str() == run.experiment);
        let index = found.unwrap_or_else(|| {
            suites.push((TestSuite::new(run.experiment.as_str()), 0.0));
            suites.len() - 1
        });
        let (suite, seconds) = &mut suites[index];
        suite.add_test_case(run.case());
        suite.add_test_cases((0..run.budgets.len()).map(|index| run.budget_case(index)));
        *seconds += run.seconds;
    }
    let mut report = Report::new("overnight");
    report.set_time(duration(suites.iter().map(|(_, seconds)| seconds).sum()));
    for (mut suite, seconds) in suites {
        suite.set_time(duration(seconds));
        report.add_test_suite(suite);
    }
    report.to_string().map_err(io::Error::other)
}

/// Seconds from the start to the end of each attempt that has ended.
fn worked(attempts: &[Attempt]) -> f64 {
    let sign = |line: &Attempt| match line {
        Attempt::Start(start) => (start.attempt, -start.time),
        Attempt::End(end) => (end.attempt, end.time),
    };
    let ended = |attempt: u32| {
        attempts.iter().any(|line| matches!(line, Attempt::End(end) if end.attempt == attempt))
    };
    attempts.iter().map(sign).filter(|(attempt, _)| ended(*attempt)).map(|(_, time)| time).sum()
}

/// A clock that was set back gives no negative time.
fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str, status: Status, verdicts: Vec<Verdict>) -> Run {
        Run {
            experiment: "x".to_owned(),
            name: name.to_owned(),
            status,
            reason: String::new(),
            seconds: 1.5,
            budgets: vec!["val/loss < 1".to_owned()],
            verdicts,
        }
    }

    fn verdict(met: bool) -> Verdict {
        Verdict {
            budget: "val/loss < 1".to_owned(),
            met,
            value: None,
            found: "it was 2 & \u{1b}[2J".to_owned(),
        }
    }

    #[test]
    fn what_is_written_reads_back_as_what_it_was() {
        let failed = Run { reason: "no <data>".to_owned(), ..run("s3", Status::Failed { code: 1 }, vec![]) };
        let runs = [
            run("s1", Status::Finished, vec![verdict(true)]),
            run("s2", Status::Finished, vec![verdict(false)]),
            failed,
            run("s4", Status::Killed { signal: 9 }, vec![]),
            Run { experiment: "y".to_owned(), ..run("s5", Status::Paused, vec![]) },
        ];
        let text = xml(&runs).unwrap();
        let report = Report::deserialize_from_str(&text).unwrap();
        assert_eq!((report.tests, report.failures, report.errors, report.skipped), (10, 2, 1, 4));
        let names: Vec<&str> = report.test_suites.iter().map(|suite| suite.name.as_str()).collect();
        assert_eq!(names, ["x", "y"]);
        let kinds: Vec<&str> =
            report.test_suites[0].test_cases.iter().map(|case| kind(&case.status)).collect();
        assert_eq!(kinds, ["well", "well", "well", "failure", "failure", "skipped", "error", "skipped"]);
        let missed = &report.test_suites[0].test_cases[3];
        assert_eq!(missed.name.as_str(), "s2: val/loss < 1");
        assert_eq!(report.test_suites[0].time, Some(Duration::from_secs(6)));
        insta::assert_snapshot!(text, @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="overnight" tests="10" skipped="4" failures="2" errors="1" time="7.500">
            <testsuite name="x" tests="8" skipped="2" errors="1" failures="2" time="6.000">
                <testcase name="s1" classname="x" time="1.500"/>
                <testcase name="s1: val/loss &lt; 1" classname="x" time="0.000"/>
                <testcase name="s2" classname="x" time="1.500"/>
                <testcase name="s2: val/loss &lt; 1" classname="x" time="0.000">
                    <failure message="val/loss &lt; 1: it was 2 &amp; " type="budget"/>
                </testcase>
                <testcase name="s3" classname="x" time="1.500">
                    <failure message="failed: no &lt;data&gt;" type="failed"/>
                </testcase>
                <testcase name="s3: val/loss &lt; 1" classname="x" time="0.000">
                    <skipped message="the run is failed"/>
                </testcase>
                <testcase name="s4" classname="x" time="1.500">
                    <error message="killed" type="killed"/>
                </testcase>
                <testcase name="s4: val/loss &lt; 1" classname="x" time="0.000">
                    <skipped message="the run is killed"/>
                </testcase>
            </testsuite>
            <testsuite name="y" tests="2" skipped="2" errors="0" failures="0" time="1.500">
                <testcase name="s5" classname="y" time="1.500">
                    <skipped message="paused" type="paused"/>
                </testcase>
                <testcase name="s5: val/loss &lt; 1" classname="y" time="0.000">
                    <skipped message="the run is paused"/>
                </testcase>
            </testsuite>
        </testsuites>
        "#);
    }

    fn kind(status: &TestCaseStatus) -> &'static str {
        match status {
            TestCaseStatus::Success { .. } => "well",
            TestCaseStatus::NonSuccess { kind: NonSuccessKind::Failure, .. } => "failure",
            TestCaseStatus::NonSuccess { kind: NonSuccessKind::Error, .. } => "error",
            TestCaseStatus::Skipped { .. } => "skipped",
        }
    }
}
