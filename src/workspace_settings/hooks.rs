//! `[[hooks]]`: what is told to whom. Carried out by the runner.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::out_of_range;
use crate::experiment::Problem;

/// One hook: when, and one of a command, a webhook or a notice on the desktop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HookSettings {
    /// When it is carried out.
    #[schemars(length(min = 1))]
    pub on: Vec<On>,
    /// A program and its arguments, or a string that `sh -c` runs, in the workspace. The facts are in
    /// variables such as OVERNIGHT_EVENT and OVERNIGHT_RUN, and as JSON on standard input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandLine>,
    /// An address that is sent a POST request. `${NAME}` is replaced by that environment variable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<String>,
    /// What the webhook is sent. Default: json.
    #[serde(default)]
    pub form: Form,
    /// Further headers of the webhook's request, for example
    /// { Authorization = "Bearer ${NTFY_TOKEN}" }; `${NAME}` is replaced by that environment variable.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Whether a notice is shown on the desktop, by `notify-send`. Default: false.
    #[serde(default)]
    pub desktop: bool,
    /// Seconds after which it is ended, 1 to 3,600. Default: 10.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 3600))]
    pub timeout_seconds: u32,
}

/// What a hook can wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum On {
    /// A run has finished.
    RunFinished,
    /// A run has failed, was killed for good, or is held until a person sees to it.
    RunFailed,
    /// Nothing is left to do, or the batch was ended.
    BatchFinished,
    /// A rule of `[[alerts]]` holds.
    Alert,
}

impl fmt::Display for On {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(match self {
            On::RunFinished => "run-finished",
            On::RunFailed => "run-failed",
            On::BatchFinished => "batch-finished",
            On::Alert => "alert",
        })
    }
}

/// A command, with or without a shell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected [\"program\", \"argument\"] or \"a line for sh\"")]
pub enum CommandLine {
    Shell(String),
    Program(Vec<String>),
}

/// What a webhook is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// All facts as one JSON object.
    #[default]
    Json,
    /// The message as text, its title, priority and tags in the headers that ntfy knows.
    Ntfy,
    /// { "text": "..." }, as Slack and those that imitate it take.
    Slack,
}

fn ten() -> u32 {
    10
}

impl HookSettings {
    pub(super) fn problems(&self, index: usize) -> Vec<Problem> {
        let at = |key: &str| format!("hooks[{index}].{key}");
        let mut problems = Vec::new();
        if self.on.is_empty() {
            let reason = "the hook waits for nothing";
            problems.push(Problem::new(at("on"), reason, "write for example on = [\"batch-finished\"]"));
        }
        let ways = [self.command.is_some(), self.webhook.is_some(), self.desktop];
        match ways.iter().filter(|way| **way).count() {
            0 => problems.push(Problem::new(
                format!("hooks[{index}]"),
                "the hook does nothing",
                "give it one of command, webhook and desktop",
            )),
            1 => {}
            _ => problems.push(Problem::new(
                format!("hooks[{index}]"),
                "a hook has one of command, webhook and desktop",
                "write one [[hooks]] for each",
            )),
        }
        let is_empty = match &self.command {
            Some(CommandLine::Shell(line)) => line.trim().is_empty(),
            Some(CommandLine::Program(words)) => words.first().is_none_or(String::is_empty),
            None => false,
        };
        if is_empty {
            problems.push(Problem::new(at("command"), "the command is empty", "name a program"));
        }
        if let Some(webhook) = &self.webhook
            && !["http://", "https://", "${"].iter().any(|start| webhook.starts_with(start))
        {
            let reason = format!("\"{webhook}\" is no address of the web");
            problems.push(Problem::new(at("webhook"), reason, "begin it with https:// or http://"));
        }
        if self.webhook.is_none() && (!self.headers.is_empty() || self.form != Form::Json) {
            let key = if self.headers.is_empty() { "form" } else { "headers" };
            let reason = format!("{key} belongs to a webhook");
            problems.push(Problem::new(at(key), reason, "leave it out, or give the hook a webhook"));
        }
        if !(1..=3600).contains(&self.timeout_seconds) {
            problems.push(out_of_range(&at("timeout_seconds"), self.timeout_seconds, "1 to 3600"));
        }
        problems
    }
}
