//! One hook on one occasion: what it is called, and what is done.

use std::time::Duration;

use super::command::{self, Groups};
use super::occasion::Told;
use super::webhook;
use crate::workspace_settings::HookSettings;
use crate::workspace_settings::hooks::{CommandLine, On};

/// Characters of a command or an address that stand in a line of the log.
const MOST_SHOWN: usize = 60;

/// What a person would call it: `webhook https://ntfy.sh/x, on run-failed`. An address is shown as it
/// stands in the file, without what its variables hold.
pub fn name(hook: &HookSettings, told: &Told) -> String {
    let what = match (&hook.command, &hook.webhook) {
        (Some(CommandLine::Shell(line)), _) => format!("command {line}"),
        (Some(CommandLine::Program(words)), _) => format!("command {}", words.join(" ")),
        (None, Some(address)) => format!("webhook {address}"),
        (None, None) => "desktop notice".to_owned(),
    };
    let mut shown: String = what.chars().take(MOST_SHOWN).collect();
    if what.chars().count() > MOST_SHOWN {
        shown.push('…');
    }
    format!("{shown}, on {}", told.on)
}

/// Does it and waits for its end, no longer than its timeout.
///
/// # Errors
/// Why it failed, as a sentence.
pub fn carry_out(hook: &HookSettings, told: &Told, groups: &Groups) -> Result<(), String> {
    let timeout = Duration::from_secs(u64::from(hook.timeout_seconds));
    let words = match (&hook.command, &hook.webhook) {
        // The facts come by the environment alone: nothing of them is ever part of the line.
        (Some(CommandLine::Shell(line)), _) => vec!["sh".to_owned(), "-c".to_owned(), line.clone()],
        (Some(CommandLine::Program(words)), _) => words.clone(),
        (None, Some(address)) => return webhook::send(address, hook, told, timeout),
        (None, None) => notice(told),
    };
    command::run(&words, told, timeout, groups)
}

/// A notice on the desktop, by the program that desktops have for it.
fn notice(told: &Told) -> Vec<String> {
    let urgency = match told.on {
        On::RunFailed | On::Alert => "critical",
        On::RunFinished | On::BatchFinished => "normal",
    };
    // Its text may have markup.
    let message = told.message.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let urgency = format!("--urgency={urgency}");
    ["notify-send", "--app-name=overnight", &urgency, "--", &told.title, &message].map(str::to_owned).to_vec()
}
