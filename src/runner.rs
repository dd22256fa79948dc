//! The runner: works the runs of a workspace, one worker process a run, until nothing is left.
//!
//! What to do is decided by pure functions ([`schedule`], [`attempt`], [`estimate`], [`interrupt`]);
//! [`work`] is the loop that observes, decides and carries out. The runner talks to nobody: orders go
//! to workers through `attempts.jsonl`, news come from the files that workers write. It can die at any
//! moment; the next one goes on from what the directories say.

pub mod admission;
pub mod alerts;
pub mod attempt;
pub mod awake;
pub mod batch;
pub mod breaker;
pub mod child;
pub mod devices;
pub mod division;
pub mod energy;
pub mod estimate;
pub mod fresh_report;
pub mod gauges;
pub mod gpu_memory;
pub mod gpu_monitor;
pub mod gpu_sample;
pub mod hold;
pub mod hooks;
pub mod interrupt;
pub mod kernel;
pub mod left_out;
pub mod outcome;
pub mod preparing;
pub mod probing;
pub mod processor_energy;
pub mod program;
pub mod removed_lock;
pub mod retention;
pub mod room;
pub mod rota;
pub mod schedule;
pub mod skips;
pub mod stack;
pub mod starting;
pub mod telemetry;
pub mod tell;
pub mod terminal;
pub mod tracked;
pub mod view;
pub mod whose;
pub mod words;
pub mod work;

use std::io;
use std::time::Duration;

use crate::exit::Exit;
use crate::run_dir::records::RunnerLock;
use crate::run_dir::{RunDir, Workspace, scan};
use crate::workspace_settings::WorkspaceSettings;

pub use hold::Hold;
pub use outcome::{LeftRun, Outcome};

/// Which runs a batch works.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Selection {
    /// All that waits, also what is queued meanwhile.
    #[default]
    All,
    /// These, in this order.
    Runs(Vec<RunDir>),
}

/// What becomes of runs that failed in an earlier batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailedRuns {
    /// They are named and stay as they are.
    #[default]
    Leave,
    /// They go on from their last checkpoint.
    Retry,
}

/// Whether a child keeps the report fresh meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Report {
    #[default]
    Keep,
    Leave,
}

/// What a batch is asked to do.
#[derive(Clone, Debug)]
pub struct RunnerOptions {
    pub selection: Selection,
    /// Runs at once; by default as many as GPUs have room for, and on the processor as many as end soonest.
    pub slots: Option<u32>,
    pub failed: FailedRuns,
    pub report: Report,
    pub style: view::Style,
    /// The command line, for `batch.json`.
    pub arguments: Vec<String>,
    /// How long a worker that was asked to end may go without a step before it is killed.
    pub patience: Duration,
    /// Runs in a row that fail with the same cause before the batch stops itself; 0 never does.
    pub breaker: u32,
    /// Unix seconds before which nothing is started.
    pub at: Option<f64>,
    /// Unix seconds by which everything that is started should have ended.
    pub until: Option<f64>,
    /// What becomes of the runner when nothing is left.
    pub afterwards: Afterwards,
    /// What becomes of the terminal it was started in.
    pub terminal: terminal::Tie,
    /// What `overnight.toml` says beside what stands above.
    pub settings: WorkspaceSettings,
}

/// What the runner does when nothing is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Afterwards {
    #[default]
    End,
    /// It waits for what will be queued, in a new batch.
    Wait,
}

impl Default for RunnerOptions {
    fn default() -> Self {
        RunnerOptions {
            selection: Selection::All,
            slots: None,
            failed: FailedRuns::Leave,
            report: Report::Keep,
            style: view::Style::Auto,
            arguments: std::env::args().collect(),
            patience: Duration::from_secs(60),
            breaker: 5,
            at: None,
            until: None,
            afterwards: Afterwards::End,
            terminal: terminal::Tie::Kept,
            settings: WorkspaceSettings::default(),
        }
    }
}

/// Why a batch could not be begun or brought to its end.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    #[error(
        "another runner works in this workspace since {since} (host {}, process {}, batch {}); \
         add runs to its queue with: overnight queue FILE", .holder.host, .holder.process, .holder.batch
    )]
    Held { holder: RunnerLock, since: String },
    #[error(
        "another runner works in this workspace and has not said who it is yet; \
         add runs to its queue with: overnight queue FILE"
    )]
    HeldByUnknown,
    #[error(
        "another runner works in this workspace (process {process}), though its lock file was removed; \
         wait for its end, or end it: kill {process}"
    )]
    HeldWithoutLock { process: u32 },
    #[error(transparent)]
    Program(#[from] program::ProgramError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl RunnerError {
    /// What the shell is told.
    pub fn exit(&self) -> Exit {
        match self {
            RunnerError::Held { .. } | RunnerError::HeldByUnknown | RunnerError::HeldWithoutLock { .. } => {
                Exit::TryAgain
            }
            RunnerError::Program(_) | RunnerError::Io(_) => Exit::Failure,
        }
    }
}

/// Works the selected runs until nothing is left or a person ends it. The workspace is held by the
/// caller, who took it before queueing anything: a second runner changes nothing.
///
/// # Errors
/// There is no worker to start, or the disk cannot be written to.
/// What happens to single runs is never an error: it stands in the outcome.
pub fn run(workspace: &Workspace, mut hold: Hold, options: RunnerOptions) -> Result<Outcome, RunnerError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(work::work(workspace, &options, &mut hold))
}

/// A time of today as `23:10`, another with its date; `unix_seconds` in the machine's time zone.
pub(crate) fn clock(unix_seconds: f64) -> String {
    view::clock(unix_seconds, scan::now(), &jiff::tz::TimeZone::system())
}
