//! The child that keeps the report fresh while a batch works: `overnight report --watch`, at low
//! priority. Its death harms no run; it is started again a few times and then left out.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, setpriority_process};
use tokio::process::{Child, Command};

use super::batch::Batch;
use crate::run_dir::Workspace;

/// Starts after the first.
const RESTARTS: u32 = 3;
/// How much the processor prefers workers.
const NICENESS: i32 = 10;
/// For the watcher to notice that it should end.
const GOODBYE: Duration = Duration::from_secs(5);
/// For the last build. A report that takes longer can be built by hand.
const LAST_BUILD: Duration = Duration::from_secs(120);

/// Keeps the watcher alive; see [`FreshReport::end`].
pub struct FreshReport {
    child: Option<Child>,
    restarts_left: u32,
}

impl FreshReport {
    pub fn start(workspace: &Workspace, batch: &mut Batch) -> FreshReport {
        let mut report = FreshReport { child: None, restarts_left: RESTARTS };
        report.child = report.spawn(workspace, batch);
        report
    }

    /// Starts the watcher again if it died.
    pub fn tend(&mut self, workspace: &Workspace, batch: &mut Batch) {
        let Some(child) = &mut self.child else { return };
        let Ok(Some(status)) = child.try_wait() else { return };
        self.child = None;
        if self.restarts_left == 0 {
            batch.event("report-ended", None, &format!("{status}; it is left out from here on"));
            return;
        }
        self.restarts_left -= 1;
        batch.event("report-restarted", None, &status.to_string());
        self.child = self.spawn(workspace, batch);
    }

    /// Ends the watcher and builds once more, so that the report shows how the batch ended: to be called
    /// when that is written.
    pub async fn end(mut self, workspace: &Workspace, batch: &mut Batch) {
        if let Some(mut child) = self.child.take() {
            ask_to_end(&child);
            if tokio::time::timeout(GOODBYE, child.wait()).await.is_err() {
                drop(child.kill().await);
            }
        }
        let Some(mut build) = command(workspace, batch) else { return };
        let built = async { build.arg("report").status().await };
        match tokio::time::timeout(LAST_BUILD, built).await {
            Ok(Ok(status)) if status.success() => {}
            Ok(Ok(status)) => batch.event("report-failed", None, &status.to_string()),
            Ok(Err(error)) => batch.event("report-failed", None, &error.to_string()),
            Err(_) => batch.event("report-failed", None, "it took too long; build it with overnight report"),
        }
    }

    /// Kills the watcher. Its pages appear by a rename: what it was at is made anew next time.
    pub fn abandon(self) {
        // A child is killed when it is dropped.
        drop(self.child);
    }

    fn spawn(&self, workspace: &Workspace, batch: &mut Batch) -> Option<Child> {
        let child = command(workspace, batch)?.args(["report", "--watch"]).spawn();
        match child {
            Ok(child) => {
                let process = child.id().and_then(|id| Pid::from_raw(id as i32));
                let _ = setpriority_process(process, NICENESS);
                Some(child)
            }
            Err(error) => {
                batch.event("report-failed", None, &error.to_string());
                None
            }
        }
    }
}

/// This program on the same workspace, its complaints in `runner.log`. Its standard input is a pipe
/// that closes when the runner dies, whatever killed it: a watcher that knows this ends then.
fn command(workspace: &Workspace, batch: &Batch) -> Option<Command> {
    let mut command = Command::new(std::env::current_exe().ok()?);
    command
        .arg("-C")
        .arg(workspace.root())
        .env("OVERNIGHT_RUNNER", std::process::id().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(batch.log_file().map_or_else(|_| Stdio::null(), Stdio::from))
        .process_group(0)
        .kill_on_drop(true);
    Some(command)
}

fn ask_to_end(child: &Child) {
    // Not waited for yet, so the number is still the child's.
    if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id as i32)) {
        let _ = kill_process(pid, Signal::TERM);
    }
}
