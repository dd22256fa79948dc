//! Holds off the machine's sleep while runs go on, where logind is there: a child `systemd-inhibit`,
//! whose command waits on a pipe from us. When this process dies, whatever killed it, the pipe closes and
//! the machine may sleep again. Where it cannot be had, runs go on without; `doctor` says so.

use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::{Child, ChildStdin, Command};

/// After it failed it is not tried again for so long.
const PAUSE: Duration = Duration::from_secs(600);

/// Takes and gives back what keeps the machine awake.
#[derive(Default)]
pub struct Awake {
    /// The child, and the pipe whose closing ends it.
    held: Option<(Child, ChildStdin)>,
    failed: Option<Instant>,
}

impl Awake {
    /// To be called now and then; `runs_go_on` says whether the machine should stay awake.
    pub fn tend(&mut self, runs_go_on: bool, now: Instant) {
        if let Some((child, _)) = &mut self.held
            && !matches!(child.try_wait(), Ok(None))
        {
            // It ends by itself only where logind is missing, or refuses.
            self.held = None;
            self.failed = Some(now);
        }
        if !runs_go_on {
            self.held = None;
        } else if self.held.is_none() && self.failed.is_none_or(|at| now.duration_since(at) >= PAUSE) {
            self.held = hold();
            self.failed = self.held.is_none().then_some(now);
        }
    }
}

fn hold() -> Option<(Child, ChildStdin)> {
    let mut child = command("overnight: runs are at work", "cat").process_group(0).spawn().ok()?;
    let pipe = child.stdin.take()?;
    Some((child, pipe))
}

/// Holds off sleep for as long as `program` runs.
fn command(why: &str, program: &str) -> Command {
    let mut command = Command::new("systemd-inhibit");
    command
        .args(["--what=sleep:idle", "--who=overnight", "--mode=block"])
        .args([&format!("--why={why}"), program])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// Whether sleep can be held off here, and why not.
///
/// # Errors
/// What systemd says, or why it is not there.
pub fn probe() -> Result<(), String> {
    let mut command = command("overnight doctor asks whether it can", "true").into_std();
    let output = command.stdin(Stdio::null()).stderr(Stdio::piped()).output();
    let output = output.map_err(|error| format!("systemd-inhibit cannot be started: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(crate::say::plain(said.lines().last().unwrap_or("systemd-inhibit failed without a word")))
        }
    }
}
