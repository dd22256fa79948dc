//! How a run stands, and why it ended badly, in the words of pages.

use serde::{Deserialize, Serialize};

use super::super::files::RunFiles;
use crate::run_dir::cause::{self, Cause};
use crate::run_dir::scan::Seen;
use crate::run_dir::{Status, reason};

/// A status as pages show it: a word, and a class for its sign and color.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    pub word: String,
    /// `finished`, `running`, `waiting`, `failed` or `held`.
    pub class: String,
    /// More than the word says: the signal, the reason.
    pub detail: Option<String>,
    /// Another program trained it.
    #[serde(default)]
    pub is_imported: bool,
}

impl State {
    /// Whether it is an imported run that was heard of a moment ago, without anybody who follows it: what is said
    /// beside its word is just that.
    pub fn is_merely_heard_of(&self) -> bool {
        self.is_imported && self.class == "running" && self.detail.is_some()
    }
}

/// Why a run ended badly and what a person can do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Failure {
    pub message: String,
    pub hint: String,
    /// What one would type next.
    pub command: String,
    /// The cause in a few words, where the message is more than that.
    #[serde(default)]
    pub cause: String,
    /// The last lines of what the worker wrote.
    #[serde(default)]
    pub log: String,
}

/// Lines of the log that stand beside a failure.
const LAST_LINES: usize = 4;

pub fn state_of(seen: &Seen) -> State {
    let class = match &seen.status {
        _ if reason::is_held(seen) => "held",
        Status::Finished => "finished",
        Status::Running { .. } => "running",
        Status::Stopped | Status::Paused | Status::Skipped { .. } => "held",
        Status::Waiting { .. } | Status::Lost => "waiting",
        Status::Unreadable { .. }
        | Status::Failed { .. }
        | Status::Killed { .. }
        | Status::NeedFailed { .. } => "failed",
    };
    let detail = Some(reason::of(seen)).filter(|reason| !reason.is_empty());
    let is_imported = seen.record.as_ref().is_ok_and(|record| record.imported.is_some());
    State { word: seen.status.word().to_owned(), class: class.to_owned(), detail, is_imported }
}

pub fn failure(files: &RunFiles) -> Option<Failure> {
    match &files.seen.status {
        Status::Failed { .. } | Status::Killed { .. } => {}
        Status::Unreadable { reason } => {
            let hint = "copy the run again, or remove its directory".to_owned();
            let (cause, log, command) = Default::default();
            return Some(Failure { message: reason.clone(), hint, command, cause, log });
        }
        Status::NeedFailed { need } => {
            let message = format!("{need}, which it needs, did not finish");
            let (hint, command) = ("it starts once that has".to_owned(), format!("overnight retry {need}"));
            let (cause, log) = Default::default();
            return Some(Failure { message, hint, command, cause, log });
        }
        _ => return None,
    }
    let end = cause::last_end(&files.seen.attempts)?;
    let cause = cause::of_end(end, &files.events).unwrap_or(Cause::Failed);
    let message = reason::of(&files.seen);
    let advice = cause.advice(&format!("{}/{}", files.dir().experiment(), files.dir().name()));
    let hint = match files.checkpoints.last() {
        Some((step, _)) => format!("{advice}; checkpoint {step} is good"),
        None => advice,
    };
    let words = cause.words();
    Some(Failure {
        // A message that begins with the cause needs it no second time.
        cause: if message.starts_with(&words) || cause == Cause::Failed { String::new() } else { words },
        log: last_words(files),
        message,
        hint,
        command: "overnight run --retry-failed".into(),
    })
}

/// The end of what the worker said: on standard error, else in its log.
fn last_words(files: &RunFiles) -> String {
    let text = if files.stderr.trim().is_empty() { &files.log } else { &files.stderr };
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}
