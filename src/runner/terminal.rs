//! The terminal that a runner was started in, and its end. A closed window or a broken connection
//! (SIGHUP) ends no batch: a runner is something to be left alone, and whoever wants its end says so
//! by Ctrl-C, `drain` or `stop`. It goes on and writes to a log what it would have shown.

use std::fs::File;
use std::io;
use std::path::Path;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::run_dir::BatchDir;

/// Whether the runner keeps the terminal it was started in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tie {
    #[default]
    Kept,
    /// It lets go of the standard streams as soon as it has something to do or to wait for; whoever
    /// started it reads until then.
    Cut,
}

/// What happened to the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    Resized,
    Gone,
}

/// Listens from its creation on; a hangup that came before ends the program as usual.
pub struct Terminal {
    hangup: Signal,
    resized: Signal,
    tie: Tie,
}

impl Terminal {
    pub fn listen(tie: Tie) -> io::Result<Terminal> {
        let hangup = signal(SignalKind::hangup())?;
        Ok(Terminal { hangup, resized: signal(SignalKind::window_change())?, tie })
    }

    pub async fn next(&mut self) -> News {
        tokio::select! {
            _ = self.hangup.recv() => News::Gone,
            _ = self.resized.recv() => News::Resized,
        }
    }

    /// A batch has begun: without a terminal, what is said from here on stands in its directory.
    pub fn begun(&self, batch: &BatchDir) {
        if self.tie == Tie::Cut {
            redirect(&batch.terminal_log());
        }
    }

    /// The runner waits for work: without a terminal nobody hears what is said meanwhile.
    pub fn waits(&self) {
        if self.tie == Tie::Cut {
            redirect(Path::new("/dev/null"));
        }
    }

    /// Does without the terminal from here on.
    pub fn leave(&mut self) {
        self.tie = Tie::Cut;
    }
}

/// Puts a file in the place of the standard streams. Where it cannot be opened, they stay: to write to a
/// terminal that is gone fails, and fails nothing else.
fn redirect(path: &Path) {
    let log = File::options().append(true).create(true).open(path);
    if let (Ok(log), Ok(nothing)) = (log, File::open("/dev/null")) {
        let _ = rustix::stdio::dup2_stdin(&nothing);
        let _ = rustix::stdio::dup2_stdout(&log);
        let _ = rustix::stdio::dup2_stderr(&log);
    }
}
