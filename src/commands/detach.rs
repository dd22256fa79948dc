//! `overnight run --detach`: starts the same command line in a session of its own, and waits until that
//! runner has begun or was refused. Its words and its exit code until then are ours.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::place::{self, Place};
use super::text;
use crate::cli::Cli;
use crate::doctor::logout;
use crate::exit::Exit;
use crate::run_dir::records::RunnerLock;
use crate::run_dir::{BatchDir, Workspace, read};

/// Starts the runner in the background. To be called before the current folder is changed, because the
/// child reads the command line anew.
///
/// # Errors
/// It cannot be started at all, or a signal ended it before it had begun.
pub fn detach(cli: &Cli) -> anyhow::Result<Exit> {
    let program = std::env::current_exe().context("this program does not find itself")?;
    let mut child = Command::new(&program)
        .args(arguments(std::env::args_os().skip(1)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let (results, talk) = (child.stdout.take(), child.stderr.take());
    // Both end when the child lets go of them, because it has begun or because it has ended.
    let passing_on =
        std::thread::spawn(move || results.map(|mut from| io::copy(&mut from, &mut io::stdout())));
    // Whoever reads no further still wants the runner.
    drop(talk.map(|mut from| io::copy(&mut from, &mut io::stderr())));
    drop(passing_on.join());

    let folder = cli.directory.clone().unwrap_or_else(|| PathBuf::from("."));
    // The child has said where it works.
    let Place { workspace, .. } = place::of(cli, &std::path::absolute(&folder).unwrap_or(folder))?;
    let begun = Instant::now();
    loop {
        // First what it wrote: one that has begun and ended since has ended as one that was left alone.
        let holder = read::json::<RunnerLock>(&workspace.runner_lock()).ok();
        if let Some(holder) = holder.filter(|holder| holder.process == child.id() && holder.has_begun()) {
            text::result(leave_taking(cli, &workspace, &holder))?;
            if let Some(words) = logout::warning(Path::new("/"), rustix::process::geteuid().as_raw()) {
                text::talk(format_args!("warning: {words}"));
            }
            return Ok(Exit::Success);
        }
        if let Some(status) = child.try_wait()? {
            return match status.code().and_then(Exit::of) {
                Some(exit) => Ok(exit),
                None => anyhow::bail!("the runner ended before it had begun ({status})"),
            };
        }
        // It is about to end, or at this moment writes who it is. On a full disk it cannot say that.
        if begun.elapsed() >= LIMIT {
            let batches = workspace.batches();
            text::result(format_args!(
                "runner (process {}) is at work, its log in {}",
                child.id(),
                batches.display()
            ))?;
            return Ok(Exit::Success);
        }
        std::thread::sleep(PAUSE);
    }
}

const PAUSE: Duration = Duration::from_millis(10);
const LIMIT: Duration = Duration::from_secs(5);

/// Becomes the leader of a session without a terminal, so that the end of no terminal is ours.
pub fn leave_session() {
    // It fails for one that leads its group already, as a service does: that has no terminal either.
    let _ = rustix::process::setsid();
}

/// The command line of the child: the word that brought us here becomes the one that does the work.
fn arguments(given: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut given: Vec<OsString> = given.collect();
    if let Some(word) = given.iter_mut().find(|word| *word == "--detach") {
        *word = "--detached".into();
    }
    given
}

fn leave_taking(cli: &Cli, workspace: &Workspace, holder: &RunnerLock) -> String {
    let change = cli.directory.as_ref().map_or(String::new(), |folder| format!("-C {} ", folder.display()));
    let batch = BatchDir::new(workspace.batches().join(&holder.batch));
    let (does, log) = if batch.path().is_dir() {
        (format!("works on batch {}", holder.batch), batch.terminal_log())
    } else {
        (holder.batch.clone(), workspace.batches())
    };
    format!(
        "runner (process {}) {does}\n  log    {}\n  watch  overnight {change}status --watch\n  \
         end    overnight {change}drain (after its current runs) or overnight {change}stop --all \
         (now, with checkpoints)",
        holder.process,
        log.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_child_is_told_to_do_the_work_and_everything_else_as_it_was_typed() {
        let typed = ["-C", "dir", "run", "--detach", "x.toml", "--", "--detach"].map(OsString::from);
        let expected = ["-C", "dir", "run", "--detached", "x.toml", "--", "--detach"].map(OsString::from);
        assert_eq!(arguments(typed.into_iter()), expected);
    }
}
