//! A worker at work on a run, and how it ended.

use std::time::{Duration, Instant};

use crate::run_dir::records::{End, Start};
use crate::runner::alerts::Listener;
use crate::runner::child::Handle;
use crate::runner::gauges::RunTelemetry;
use crate::runner::gpu_memory::Takings;

/// An error of a GPU that is older has not ended a worker.
const JUST_NOW: Duration = Duration::from_secs(60);

/// A worker at work on a run.
pub struct Worker {
    pub attempt: u32,
    /// Checkpoint it went on from.
    pub checkpoint: Option<u64>,
    pub slot: Option<usize>,
    /// Position of its GPU among those that may be used.
    pub gpu: Option<usize>,
    pub kinship: Kinship,
    /// Something waits for its end, where it is not our child.
    pub is_followed: bool,
    /// None for an adopted worker that cannot be signaled from here.
    pub handle: Option<Handle>,
    pub asked: Option<Instant>,
    /// Why this runner killed it.
    pub killed: Option<Killed>,
    pub telemetry: Option<RunTelemetry>,
    /// Hears of its alerts.
    pub listener: Option<Listener>,
    /// What it holds of its GPU.
    pub takings: Takings,
    /// Errors of its GPU, as the driver told them.
    pub xids: Vec<(Instant, XidSeen)>,
    /// When this runner started it, or first saw it.
    pub since: Instant,
    pub(super) last_step: u64,
    pub(super) moved: Instant,
    pub(super) last_sign: f64,
    pub(super) stirred: Instant,
}

/// An error of a worker's GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum XidSeen {
    Its(u32),
    /// One of several runs there has met it, as this sentence says.
    Perhaps(String),
}

/// An end that is not written yet.
#[derive(Clone, Debug)]
pub struct PutOff {
    pub end: End,
    /// Checkpoint that the attempt went on from.
    pub from: Option<u64>,
    /// Whether it counts for nothing, whatever it looks like.
    pub is_forgiven: bool,
    /// When the attempt ended, where its GPU's driver may still say why.
    pub awaits_xid: Option<Instant>,
}

/// Why this runner killed a worker.
#[derive(Clone, Debug)]
pub struct Killed {
    pub why: String,
    /// Whether it counts against the run's retries: it does when the run itself was at fault.
    pub counts: bool,
}

/// Whose child a worker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kinship {
    /// Ours: its end comes with an exit status.
    Own,
    /// Of a runner that died, or started by hand: it has ended when its lock is free.
    Adopted,
}

impl Worker {
    /// A worker that carries out `start`.
    pub fn new(start: Option<&Start>, slot: Option<usize>, handle: Option<Handle>, now: Instant) -> Worker {
        Worker {
            attempt: start.map_or(0, |start| start.attempt),
            checkpoint: start.and_then(|start| start.checkpoint),
            slot,
            gpu: None,
            kinship: Kinship::Own,
            is_followed: false,
            handle,
            asked: None,
            killed: None,
            telemetry: None,
            listener: None,
            takings: Takings::default(),
            xids: Vec::new(),
            since: now,
            last_step: 0,
            moved: now,
            last_sign: 0.0,
            stirred: now,
        }
    }

    /// The errors of its GPU that can have to do with an end at this moment.
    pub fn xids_just_now(&self, now: Instant) -> Vec<u32> {
        let codes = self.just_now(now).filter_map(|xid| match xid {
            XidSeen::Its(code) => Some(*code),
            XidSeen::Perhaps(_) => None,
        });
        codes.collect()
    }

    /// The last of them that may have been another's, as a sentence.
    pub fn doubtful_xid(&self, now: Instant) -> Option<&str> {
        let words = self.just_now(now).filter_map(|xid| match xid {
            XidSeen::Its(_) => None,
            XidSeen::Perhaps(words) => Some(words.as_str()),
        });
        words.last()
    }

    fn just_now(&self, now: Instant) -> impl Iterator<Item = &XidSeen> {
        let is_just_now = move |at: &Instant| now.saturating_duration_since(*at) < JUST_NOW;
        self.xids.iter().filter(move |(at, _)| is_just_now(at)).map(|(_, xid)| xid)
    }

    /// Since its last sign of life.
    pub fn silent(&self, now: Instant) -> Duration {
        now.duration_since(self.stirred)
    }

    /// Since its last step.
    pub fn quiet(&self, now: Instant) -> Duration {
        now.duration_since(self.moved)
    }
}
