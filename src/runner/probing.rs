//! Tries runs out: starts the worker's probe, reads the one line it says, and lets it go on until it is
//! let go. A probe writes nothing into the run's directory.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

use super::program::Program;
use super::{division, processor_energy};
use crate::run_dir::RunDir;
use crate::run_dir::records::{DivisionRate, ProbeOrders, ProbeResult, Start, exit};

/// Loading data and libtorch, a warm-up and the timed steps; a probe that takes longer is no short one.
const LIMIT: Duration = Duration::from_secs(120);

/// Seconds of steps that are timed.
pub const SECONDS: f64 = 1.5;

/// A probe at work; killed when dropped.
pub struct LiveProbe {
    child: Child,
}

/// What a probe found, while it still goes on.
pub struct Found {
    pub result: ProbeResult,
    probe: LiveProbe,
}

/// What probes beside each other came to.
pub struct Together {
    pub rate: DivisionRate,
    /// Memory of the largest.
    pub memory_bytes: u64,
    /// Part of the processor's time that others took meanwhile, where the kernel tells it.
    pub others: Option<f64>,
}

/// Why a probe found nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeFailure {
    #[error("it ran out of device memory")]
    OutOfDeviceMemory,
    #[error("{0}")]
    Other(String),
}

/// Starts a probe of the run under these orders. `part` is how much of the GPU's memory its tensors may
/// take, as a part of all of it.
///
/// # Errors
/// The worker cannot be started.
pub fn start(program: &Program, run: &RunDir, start: &Start, part: Option<f64>) -> io::Result<LiveProbe> {
    let orders = ProbeOrders { start: start.clone(), seconds: SECONDS };
    let mut command = program.probe(run, &orders);
    if let Some(part) = part.filter(|part| *part < 1.0) {
        limit_memory(&mut command, part);
    }
    // Its standard input ends with this process, however that ends, and the probe with it.
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(LiveProbe { child: command.process_group(0).kill_on_drop(true).spawn()? })
}

impl LiveProbe {
    pub fn process(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for what the probe says.
    ///
    /// # Errors
    /// It ended, or did not end, without a word.
    pub async fn answer(mut self) -> Result<Found, ProbeFailure> {
        let line = tokio::time::timeout(LIMIT, self.first_line())
            .await
            .map_err(|_| ProbeFailure::Other(format!("it said nothing within {} s", LIMIT.as_secs())))??;
        let result = serde_json::from_str(&line)
            .map_err(|error| ProbeFailure::Other(format!("what it says cannot be read: {error}")))?;
        Ok(Found { result, probe: self })
    }

    async fn first_line(&mut self) -> Result<String, ProbeFailure> {
        let other = |error: io::Error| ProbeFailure::Other(error.to_string());
        let mut line = String::new();
        if let Some(output) = self.child.stdout.as_mut() {
            BufReader::new(output).read_line(&mut line).await.map_err(other)?;
        }
        if line.ends_with('\n') {
            return Ok(line);
        }
        let mut words = String::new();
        if let Some(errors) = self.child.stderr.as_mut() {
            drop(errors.read_to_string(&mut words).await);
        }
        let status = self.child.wait().await.map_err(other)?;
        if status.code() == Some(exit::OUT_OF_DEVICE_MEMORY) {
            return Err(ProbeFailure::OutOfDeviceMemory);
        }
        let last = words.lines().rev().find(|line| !line.trim().is_empty());
        Err(ProbeFailure::Other(format!("it ended with {status}: {}", last.unwrap_or("it said nothing"))))
    }
}

/// Times `runs` probes of one run beside each other, with `threads` each.
///
/// # Errors
/// One of them cannot be started or says nothing.
pub async fn together(
    program: &Program,
    run: &RunDir,
    orders: &Start,
    runs: u32,
    threads: u32,
) -> Result<Together, ProbeFailure> {
    let before = processor_energy::machine_ticks();
    let orders = Start { threads, ..orders.clone() };
    let probes: io::Result<Vec<LiveProbe>> = (0..runs).map(|_| start(program, run, &orders, None)).collect();
    let probes = probes.map_err(|error| ProbeFailure::Other(error.to_string()))?;
    // Each goes on until the last one has said what it found, so that none is timed alone.
    let mut waiting = tokio::task::JoinSet::new();
    for probe in probes {
        waiting.spawn(probe.answer());
    }
    let mut found = Vec::new();
    while let Some(answer) = waiting.join_next().await {
        found.push(answer.map_err(|error| ProbeFailure::Other(error.to_string()))??);
    }
    let steps_per_second = found.iter().map(|found| found.result.steps_per_second).sum();
    let memory_bytes = found.iter().map(|found| found.result.process_memory_bytes).max().unwrap_or(0);
    // All of them live on, so the kernel still tells what they took.
    let ours = found.iter().filter_map(|found| processor_energy::ticks_of(found.probe.process()?)).sum();
    let after = processor_energy::machine_ticks();
    let others = before.zip(after).and_then(|(before, after)| division::part_of_others(before, after, ours));
    Ok(Together { rate: DivisionRate { runs, threads, steps_per_second }, memory_bytes, others })
}

/// libtorch's allocator fails, as it does when a GPU is full, before it takes what others were promised.
fn limit_memory(command: &mut Command, part: f64) {
    let mut options = format!("per_process_memory_fraction:{:.4}", part.max(0.01));
    if let Some(own) = std::env::var("PYTORCH_CUDA_ALLOC_CONF").ok().filter(|own| !own.is_empty()) {
        options = format!("{own},{options}");
    }
    command.env("PYTORCH_CUDA_ALLOC_CONF", options);
}
