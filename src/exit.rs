//! Exit codes of `overnight`, all in one place. That of a batch says what became of its runs, as its
//! `batch.json` does: a signal that comes when no worker lives any more, while a report is built or a hook is
//! waited for, cuts that short and changes no code.

/// What the shell is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Well, also when all was finished before.
    Success = 0,
    Failure = 1,
    /// The command line was wrong; clap ends with it by itself.
    Usage = 2,
    /// The selection matches no run.
    NoRun = 4,
    /// Not done, run me again: interrupted with checkpoints, or another runner is at work.
    TryAgain = 75,
    /// An experiment file or overnight.toml is wrong.
    Rejected = 78,
    /// Some runs failed.
    RunsFailed = 100,
    /// Workers were ended at once by a second Ctrl-C.
    Interrupted = 130,
    /// Workers were ended at once by a second SIGTERM.
    Terminated = 143,
}

impl Exit {
    /// The one with this code.
    pub fn of(code: i32) -> Option<Exit> {
        use Exit::*;
        let all = [Success, Failure, Usage, NoRun, TryAgain, Rejected, RunsFailed, Interrupted, Terminated];
        all.into_iter().find(|exit| *exit as i32 == code)
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        (exit as u8).into()
    }
}
