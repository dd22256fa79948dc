//! Starts one worker and asks it to end. The lock on `alive.lock` and `stderr.log` go to that
//! child only; a pidfd names the process for as long as anybody holds it, so that a signal never
//! reaches a stranger who was given the same number.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::process::{Child, Command};

use crate::run_dir::read;

/// A process that can be signaled safely, whoever its parent is.
pub struct Handle {
    pub process: u32,
    pidfd: OwnedFd,
}

impl Handle {
    /// Opens the process of that number.
    ///
    /// # Errors
    /// It is gone, or the number is none.
    pub fn open(process: u32) -> io::Result<Handle> {
        let pid = i32::try_from(process)
            .ok()
            .and_then(Pid::from_raw)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not a process number"))?;
        let pidfd = pidfd_open(pid, PidfdFlags::NONBLOCK)?;
        Ok(Handle { process, pidfd })
    }

    /// The same process, for a task that outlives the loop's borrow.
    pub fn try_clone(&self) -> io::Result<Handle> {
        Ok(Handle { process: self.process, pidfd: self.pidfd.try_clone()? })
    }

    /// Asks for a checkpoint and the end.
    pub fn ask_to_end(&self) -> io::Result<()> {
        self.signal(Signal::TERM)
    }

    pub fn kill(&self) -> io::Result<()> {
        self.signal(Signal::KILL)
    }

    /// Waits until the process has ended; it need not be a child of ours.
    pub async fn gone(&self) -> io::Result<()> {
        #[expect(
            deprecated,
            reason = "an OwnedFd cannot lose its descriptor, which is all its successor asks"
        )]
        let pidfd = AsyncFd::with_interest(self.pidfd.try_clone()?, Interest::READABLE)?;
        pidfd.readable().await.map(drop)
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(&self.pidfd, signal) {
            // Already gone: what was asked for is done.
            Err(rustix::io::Errno::SRCH) => Ok(()),
            result => Ok(result?),
        }
    }
}

/// Starts `command` with the locked `lock` as its standard input, and with `stderr_log` as its
/// standard output and error. Standard input is how a lock reaches one child and no other: every
/// other descriptor is closed on exec, without a moment in which a second child could inherit it.
///
/// # Errors
/// The program cannot be started or followed, or `stderr_log` cannot be opened; no worker is left.
pub fn spawn(mut command: Command, lock: File, stderr_log: &Path) -> io::Result<(Child, Handle)> {
    let log = File::options().append(true).create(true).custom_flags(read::NOT_WAITING).open(stderr_log)?;
    let mut child = command
        .stdin(Stdio::from(lock))
        .stdout(Stdio::from(log.try_clone()?))
        .stderr(Stdio::from(log))
        // A group of its own, so that a Ctrl-C at the terminal reaches the runner alone.
        .process_group(0)
        .kill_on_drop(false)
        .spawn()?;
    let process = child.id().ok_or_else(|| io::Error::other("the worker has no process number"))?;
    // The child is not waited for yet, so its number is still its own.
    match Handle::open(process) {
        Ok(handle) => Ok((child, handle)),
        Err(error) => {
            // Nobody could follow it, and its attempt will be told to have never started.
            child.start_kill()?;
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_dir::lock;
    use std::os::unix::process::ExitStatusExt;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn the_lock_lives_in_the_child_until_its_sigkill() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alive.lock");
        let log = folder.path().join("stderr.log");
        runtime().block_on(async {
            let held = lock::try_lock(&path).unwrap().unwrap();
            let (mut child, handle) = spawn(shell("exec sleep 600"), held, &log).unwrap();
            assert!(lock::is_held(&path), "our copy is closed, the child's counts");
            handle.kill().unwrap();
            let status = child.wait().await.unwrap();
            assert_eq!(status.signal(), Some(9));
            lock::wait_until_free(&path);
            handle.kill().expect("a process that is gone needs no signal");
        });
    }

    #[test]
    fn a_child_started_in_between_inherits_no_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alive.lock");
        let log = folder.path().join("stderr.log");
        runtime().block_on(async {
            let held = lock::try_lock(&path).unwrap().unwrap();
            let mut bystander = shell("exec sleep 600").kill_on_drop(true).spawn().unwrap();
            let (mut child, _) = spawn(shell("exit 3"), held, &log).unwrap();
            assert_eq!(child.wait().await.unwrap().code(), Some(3));
            // The bystander must not keep it.
            lock::wait_until_free(&path);
            bystander.kill().await.unwrap();
        });
    }

    #[test]
    fn what_a_worker_says_goes_to_its_log_and_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alive.lock");
        let log = folder.path().join("stderr.log");
        std::fs::write(&log, "before\n").unwrap();
        runtime().block_on(async {
            let held = lock::try_lock(&path).unwrap().unwrap();
            let (mut child, _) = spawn(shell("echo out; echo err >&2"), held, &log).unwrap();
            assert!(child.wait().await.unwrap().success());
        });
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "before\nout\nerr\n");
    }

    #[test]
    fn the_end_of_a_process_that_is_no_child_is_seen() {
        runtime().block_on(async {
            // A grandchild: its parent, the shell, ends at once.
            let output = shell("sleep 600 >/dev/null 2>&1 & echo $!").output().await.unwrap();
            let process: u32 = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap();
            let handle = Handle::open(process).unwrap();
            handle.ask_to_end().unwrap();
            handle.gone().await.unwrap();
            assert!(Handle::open(0).is_err());
        });
    }

    #[test]
    fn a_pipe_in_the_place_of_the_log_is_refused_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("stderr.log");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &log, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let lock = lock::try_lock(&folder.path().join("alive.lock")).unwrap().unwrap();
        runtime().block_on(async { assert!(spawn(shell("true"), lock, &log).is_err()) });
    }
}
