//! `overnight.toml` beside `runs/`: what holds for every batch of a workspace. Strict and typed as
//! experiment files are, with the same complaints; a missing file means the defaults. The command
//! line stands above it.

pub mod devices;
pub mod hooks;
pub mod pages;
pub mod retention;
pub mod runner;
pub mod schema;
pub mod server;
pub mod template;

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::Value;

use crate::experiment::alert::{self, Alert};
use crate::experiment::diagnostic::{self, Diagnostic, Problem, Rejected, Source, Unread};
use crate::experiment::mistakes::{read_all, stands_apart};
use crate::experiment::parse::{FileKind, sections};
use crate::run_dir::Workspace;

pub use devices::DeviceSettings;
pub use hooks::HookSettings;
pub use pages::ReportSettings;
pub use retention::RetentionSettings;
pub use runner::RunnerSettings;
pub use server::ServerSettings;

/// Everything that `overnight.toml` says, complete.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WorkspaceSettings {
    /// How runs are worked off.
    pub runner: RunnerSettings,
    /// What runs may take of this machine's devices.
    pub devices: DeviceSettings,
    /// What is deleted, by `overnight clean --yes` or after each run.
    pub retention: RetentionSettings,
    /// What is told to whom: commands, webhooks and notices on the desktop.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<HookSettings>,
    /// What is watched for in every run that is queued from now on, as in an experiment file. A rule
    /// about a metric that a run does not log is left out for that run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<Alert>,
    /// How the pages of the report look.
    pub report: ReportSettings,
    /// Where `overnight serve` shows the report.
    pub server: ServerSettings,
}

impl WorkspaceSettings {
    /// Reads the settings of a workspace.
    ///
    /// # Errors
    /// Everything that is wrong with the file, each with its place.
    pub fn read(workspace: &Workspace) -> Result<WorkspaceSettings, Rejected> {
        let path = workspace.settings();
        // As a person would name it, from where the command works.
        let is_here = std::env::current_dir().is_ok_and(|here| here == workspace.root());
        let shown = path.file_name().filter(|_| is_here).map_or(path.as_path(), Path::new);
        match diagnostic::read_text(&path, "make it a readable file, or take it away") {
            Ok(text) => WorkspaceSettings::from_text(shown, &text),
            Err(Unread::Missing(_)) => Ok(WorkspaceSettings::default()),
            Err(Unread::Wrong(rejected)) => Err(rejected),
        }
    }

    /// Reads the text of a file that lies, or would lie, at `path`.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn from_text(path: &Path, text: &str) -> Result<WorkspaceSettings, Rejected> {
        let source = Source::new(path, text);
        let mut table = source.table()?;
        let mut wrong = Vec::new();
        // Apart from the others, because a sentence has places within.
        let alerts = table.remove("alerts").map(|alerts| alert::read("alerts", alerts, &mut wrong));
        // One by one, so that a mistake in one hides none in the next.
        let hooks = table.remove("hooks").map(|hooks| sections("hooks", hooks, &mut wrong).collect());
        let hooks: Vec<(String, Value)> = hooks.unwrap_or_default();
        let hooks =
            hooks.into_iter().map(|(path, hook)| read_all(FileKind::Workspace, &path, hook, &mut wrong));
        let hooks: Vec<Option<HookSettings>> = hooks.collect();
        let settings: Option<WorkspaceSettings> =
            read_all(FileKind::Workspace, "", Value::Table(table), &mut wrong);
        let mut wrong: Vec<Problem> = wrong.into_iter().map(under_its_section).collect();
        let of_hooks = hooks.iter().enumerate().filter_map(|(index, hook)| Some((index, hook.as_ref()?)));
        let of_hooks = of_hooks.flat_map(|(index, hook)| hook.problems(index));
        let problems = settings.iter().flat_map(|settings| settings.problems()).chain(of_hooks);
        let problems: Vec<Problem> =
            problems.filter(|problem| stands_apart(problem, &wrong, |path| source.gives(path))).collect();
        wrong.extend(problems);
        let alerts = alerts.into_iter().flatten().flatten().collect();
        match settings {
            Some(settings) if wrong.is_empty() => {
                let hooks = hooks.into_iter().flatten().collect();
                Ok(WorkspaceSettings { alerts, hooks, ..settings })
            }
            _ => {
                let mut wrong: Vec<Diagnostic> =
                    wrong.into_iter().map(|problem| source.locate(problem)).collect();
                wrong.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
                Err(Rejected(wrong))
            }
        }
    }

    /// What types cannot say: ranges, and keys that exclude each other. Hooks apart.
    fn problems(&self) -> Vec<Problem> {
        let mut problems = self.runner.problems();
        problems.extend(self.devices.problems());
        problems.extend(self.retention.problems());
        problems.extend(self.report.problems());
        problems.extend(self.server.problems());
        problems
    }
}

/// A key that stands at the top and belongs below a section: its line was uncommented, the section's
/// not.
fn under_its_section(problem: Problem) -> Problem {
    let defaults = toml::Table::try_from(WorkspaceSettings::default()).unwrap_or_default();
    let has_it = |section: &Value| section.as_table().is_some_and(|table| table.contains_key(&problem.path));
    match defaults.iter().find(|(_, section)| has_it(section)) {
        Some((name, _)) => Problem { way_out: format!("it belongs below the line [{name}]"), ..problem },
        None => problem,
    }
}

/// A number that is not in its range.
fn out_of_range(path: &str, found: impl std::fmt::Display, range: &str) -> Problem {
    Problem::new(path, format!("{path} cannot be {found}"), format!("write a number from {range}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<WorkspaceSettings, String> {
        WorkspaceSettings::from_text(Path::new("overnight.toml"), text)
            .map_err(|rejected| rejected.to_string())
    }

    #[test]
    fn what_is_not_written_is_a_default() {
        assert_eq!(read("").unwrap(), WorkspaceSettings::default());
        let folder = tempfile::tempdir().unwrap();
        let missing = WorkspaceSettings::read(&Workspace::new(folder.path())).unwrap();
        assert_eq!(missing, WorkspaceSettings::default());
    }

    #[test]
    fn a_wrong_file_is_refused_with_the_place_and_the_way_out() {
        insta::assert_snapshot!(read("[runner]\nslosts = 3\n").unwrap_err(), @r"
        overnight.toml:2:1: [runner] has no setting `slosts`
          2 | slosts = 3
            | ^^^^^^
          did you mean `slots`?
        ");
        insta::assert_snapshot!(read("[retension]\n").unwrap_err(), @r"
        overnight.toml:1:2: overnight.toml has no setting `retension`
          1 | [retension]
            |  ^^^^^^^^^
          did you mean `retention`?
        ");
        insta::assert_snapshot!(read("[runner]\nslots = 3\nbreaker = \"two\"\n").unwrap_err(), @r#"
        overnight.toml:3:11: runner.breaker: invalid type: string "two", expected u32
          3 | breaker = "two"
            |           ^^^^^
          `overnight schema workspace` describes every setting of [runner]
        "#);
        insta::assert_snapshot!(read("slots = 3\n").unwrap_err(), @r"
        overnight.toml:1:1: overnight.toml has no setting `slots`
          1 | slots = 3
            | ^^^^^
          it belongs below the line [runner]
        ");
        insta::assert_snapshot!(read("[runner]\nslots = 3000\npatience_seconds = 0\n").unwrap_err(), @r"
        overnight.toml:2:9: runner.slots cannot be 3000
          2 | slots = 3000
            |         ^^^^
          write a number from 1 to 1024, or 0 to let it be found

        overnight.toml:3:20: runner.patience_seconds cannot be 0
          3 | patience_seconds = 0
            |                    ^
          write a number from 1 to 86400
        ");
    }

    #[test]
    fn what_is_wrong_in_a_rule_has_its_place_within_the_sentence() {
        insta::assert_snapshot!(read("[[alerts]]\nwhen = \"disk fre < 5 GiB\"\n").unwrap_err(), @r#"
        overnight.toml:2:9: there is no metric `disk fre`
          2 | when = "disk fre < 5 GiB"
            |         ^^^^^^^^
          did you mean `disk free`?
        "#);
        let rules = read("[[alerts]]\nwhen = \"val/accuracy < 0.5\"\n").unwrap().alerts;
        assert_eq!(rules[0].name(), "val/accuracy < 0.5");
    }

    #[test]
    fn what_is_wrong_in_one_of_several_hooks_has_its_place_there() {
        let good = "[[hooks]]\non = [\"alert\"]\ncommand = [\"true\"]\n";
        let after_good = |text: &str| read(&format!("{good}{text}")).unwrap_err();
        insta::assert_snapshot!(after_good("[[hooks]]\non = [\"alert\", \"run-ended\"]\n"), @r#"
        overnight.toml:5:16: hooks[1].on[1] cannot be "run-ended"
          5 | on = ["alert", "run-ended"]
            |                ^^^^^^^^^^^
          did you mean "run-failed"? Known are "run-finished", "run-failed", "batch-finished", "alert"
        "#);
        insta::assert_snapshot!(after_good("[[hooks]]\non = []\ncomand = \"x\"\n"), @r#"
        overnight.toml:5:6: the hook waits for nothing
          5 | on = []
            |      ^^
          write for example on = ["batch-finished"]

        overnight.toml:6:1: [[hooks]] has no setting `comand`
          6 | comand = "x"
            | ^^^^^^
          did you mean `command`?
        "#);
        insta::assert_snapshot!(after_good("[[hooks]]\non = []\n"), @r#"
        overnight.toml:4:1: the hook does nothing
          4 | [[hooks]]
            | ^^^^^^^^^
          give it one of command, webhook and desktop

        overnight.toml:5:6: the hook waits for nothing
          5 | on = []
            |      ^^
          write for example on = ["batch-finished"]
        "#);
    }
}
