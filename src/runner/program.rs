//! The worker program: where it is, what it is started with, and whether it speaks our protocol.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;

use super::attempt::environment;
use crate::libtorch::{self, LibtorchError};
use crate::run_dir::records::{GenerateOrders, ProbeOrders, Start};
use crate::run_dir::{PROTOCOL, RunDir};

/// Names another worker program, for tests and for those who build their own.
const OVERRIDE: &str = "OVERNIGHT_WORKER";

/// Loading libtorch takes half a second from a warm disk; this is for a cold and slow one.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(120);

/// Why no worker can be started.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    #[error(
        "{path} is missing (build it with `make build`, or copy overnight-worker there from where overnight was built)"
    )]
    Missing { path: PathBuf },
    #[error(transparent)]
    Libtorch(#[from] LibtorchError),
    #[error("{path} cannot be started: {error}")]
    Start { path: PathBuf, error: io::Error },
    #[error("{path} gave no answer within {} s when asked for its protocol", HANDSHAKE_LIMIT.as_secs())]
    Silent { path: PathBuf },
    #[error(
        "{path} was asked for its protocol and ended with {end}: {words} (`overnight doctor` says what is wrong)"
    )]
    Broken { path: PathBuf, end: String, words: String },
    #[error(
        "{path} speaks protocol {found}, this overnight speaks {PROTOCOL} (build both from the same source, with `make build`)"
    )]
    Protocol { path: PathBuf, found: String },
}

/// A worker program that can be started.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    library_path: Option<OsString>,
    /// Version with its local part; empty for a worker that brings its own.
    pub libtorch: String,
}

impl Program {
    /// The worker beside this program and the libtorch it needs, or the worker that
    /// `OVERNIGHT_WORKER` names.
    ///
    /// # Errors
    /// There is none, or no libtorch for it.
    pub fn find() -> Result<Program, ProgramError> {
        if let Some(path) = std::env::var_os(OVERRIDE) {
            let path = existing(PathBuf::from(path))?;
            // Such a worker may need no libtorch at all; one that does says so itself.
            let libtorch = libtorch::find().ok();
            let library_path = libtorch.as_ref().map(libtorch::library_path_env);
            let libtorch = libtorch.map(|libtorch| libtorch.version).unwrap_or_default();
            return Ok(Program { path, library_path, libtorch });
        }
        let own = std::env::current_exe()
            .map_err(|error| ProgramError::Start { path: "overnight".into(), error })?;
        let path = existing(own.with_file_name("overnight-worker"))?;
        let libtorch = libtorch::find()?;
        let library_path = Some(libtorch::library_path_env(&libtorch));
        Ok(Program { path, library_path, libtorch: libtorch.version })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Asks the program for its protocol and refuses another than ours.
    ///
    /// # Errors
    /// It cannot be started, does not answer, or speaks another protocol.
    pub async fn shake_hands(&self) -> Result<(), ProgramError> {
        let mut command = self.command();
        command.arg("--protocol").stdin(Stdio::null()).kill_on_drop(true);
        let output = match tokio::time::timeout(HANDSHAKE_LIMIT, command.output()).await {
            Ok(Ok(output)) => output,
            Ok(Err(error)) => return Err(ProgramError::Start { path: self.path.clone(), error }),
            Err(_) => return Err(ProgramError::Silent { path: self.path.clone() }),
        };
        judge(&self.path, &output)
    }

    /// The command that trains one run; see [`super::child::spawn`] for what else it gets.
    pub fn train(&self, run: &RunDir, start: &Start) -> Command {
        let mut command = self.command();
        command.arg("train").arg(run.path()).envs(environment(start));
        command
    }

    /// The command that tries one run out and writes nothing.
    pub fn probe(&self, run: &RunDir, orders: &ProbeOrders) -> Command {
        let mut command = self.command();
        let line = serde_json::to_string(orders).unwrap_or_default();
        command.arg("probe").arg(run.path()).arg(line).envs(environment(&orders.start));
        command
    }

    /// The command that writes text with the run's weights and changes nothing.
    pub fn generate(&self, run: &RunDir, orders: &GenerateOrders) -> Command {
        let mut command = self.command();
        let line = serde_json::to_string(orders).unwrap_or_default();
        command.arg("generate").arg(run.path()).arg(line).envs(environment(&orders.start));
        command
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        if let Some(library_path) = &self.library_path {
            command.env("LD_LIBRARY_PATH", library_path);
        }
        command
    }
}

fn existing(path: PathBuf) -> Result<PathBuf, ProgramError> {
    if path.is_file() { Ok(path) } else { Err(ProgramError::Missing { path }) }
}

fn judge(path: &Path, output: &Output) -> Result<(), ProgramError> {
    let path = path.to_path_buf();
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        let words = words.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
        return Err(ProgramError::Broken { path, end: output.status.to_string(), words: words.to_owned() });
    }
    let answer = String::from_utf8_lossy(&output.stdout);
    let found = answer.split_whitespace().next().unwrap_or("none").to_owned();
    if found == PROTOCOL.to_string() { Ok(()) } else { Err(ProgramError::Protocol { path, found }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    fn judged(raw: i32, stdout: &str, stderr: &str) -> Result<(), String> {
        let output = Output {
            status: ExitStatus::from_raw(raw),
            stdout: stdout.as_bytes().to_vec(),
            stderr: stderr.as_bytes().to_vec(),
        };
        judge(Path::new("overnight-worker"), &output).map_err(|error| error.to_string())
    }

    #[test]
    fn a_worker_of_another_protocol_is_refused_in_a_sentence() {
        assert_eq!(judged(0, &format!("{PROTOCOL}\n"), ""), Ok(()));
        insta::assert_snapshot!(judged(0, "99\n", "").unwrap_err(), @"overnight-worker speaks protocol 99, this overnight speaks 1 (build both from the same source, with `make build`)");
        assert!(judged(0, "", "").unwrap_err().contains("speaks protocol none"));
    }

    #[test]
    fn a_worker_that_cannot_load_its_libraries_is_quoted() {
        let error =
            judged(127 << 8, "", "loading: libtorch_cpu.so: cannot open shared object\n").unwrap_err();
        assert!(error.contains("libtorch_cpu.so: cannot open"), "{error}");
    }
}
