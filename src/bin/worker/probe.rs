//! `overnight-worker probe RUN_DIR ORDERS`: takes some steps of a run as these orders would, says how
//! fast they went and what they took, and writes nothing into the run's directory.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use overnight::run_dir::records::{ProbeOrders, ProbeResult};
use overnight::run_dir::{RunDir, machine, read};

use crate::device;
use crate::failure::Failure;
use crate::losses::LossBuffer;
use crate::step::Learner;
use crate::task::{Asked, Watch};
use crate::torch_ext;
use crate::train::Outcome;

/// The first steps allocate memory and choose kernels: they are not timed.
const WARM_UP_STEPS: u64 = 3;
const WARM_UP: Duration = Duration::from_millis(300);
/// Timed, however long they take.
const LEAST_STEPS: u64 = 3;

/// Carries out `orders`, a [`ProbeOrders`] as JSON, until they are done or `ended` says so. Then goes on
/// taking steps, untimed, until standard input ends: others may be timed beside this one.
pub fn probe(run: &RunDir, orders: &str, ended: &dyn Fn() -> bool) -> Result<Outcome, Failure> {
    let ProbeOrders { start, seconds } = serde_json::from_str(orders)
        .map_err(|error| Failure::Orders(format!("these orders cannot be read: {error} ({orders})")))?;
    let record = read::run_record(run)?;
    let device = device::prepare(&start)?;
    let learner = Learner::new(&record, &start, run, device)?;
    let mut steps = Steps { learner, planned: record.steps.max(1), taken: 0, losses: LossBuffer::default() };
    let let_go = end_of_input();

    let begun = Instant::now();
    while steps.taken < WARM_UP_STEPS || begun.elapsed() < WARM_UP {
        steps.take()?;
        if ended() {
            return Ok(Outcome::Ended);
        }
    }
    // A batch that is evaluated can take more memory than a step.
    let asked = Asked { batches: Some(1), at_once: steps.learner.at_once() };
    if steps.learner.without_gradients(|task| task.evaluate(asked, ended))?.is_none() {
        return Ok(Outcome::Ended);
    }
    steps.wait()?;

    let (begun, before) = (Instant::now(), steps.taken);
    let window = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    while steps.taken < before + LEAST_STEPS || begun.elapsed() < window {
        steps.take()?;
        // As a run does whenever it writes a row.
        if steps.taken.is_multiple_of(record.settings.train.log_every) {
            steps.wait()?;
        }
        if ended() {
            return Ok(Outcome::Ended);
        }
    }
    steps.wait()?;
    let (seconds, timed) = (begun.elapsed().as_secs_f64(), steps.taken - before);
    say(&ProbeResult {
        steps_per_second: timed as f64 / seconds,
        steps: timed,
        seconds,
        peak_device_bytes: torch_ext::peak_memory_bytes(device),
        process_memory_bytes: machine::process_memory_bytes(std::process::id()).unwrap_or(0),
    })?;
    while !let_go.load(Ordering::Relaxed) {
        steps.take()?;
        steps.wait()?;
        if ended() {
            return Ok(Outcome::Ended);
        }
    }
    Ok(Outcome::Finished)
}

/// The steps of the run, from the first on, and again from the first after the last.
struct Steps {
    learner: Learner,
    planned: u64,
    taken: u64,
    losses: LossBuffer,
}

impl Steps {
    fn take(&mut self) -> Result<(), Failure> {
        let step = self.taken % self.planned + 1;
        let lr = self.learner.learning_rate(step);
        let taken = self.learner.step(step, lr, Watch::NOBODY)?;
        self.losses.push(step, taken);
        self.taken += 1;
        if self.losses.is_full() { self.wait() } else { Ok(()) }
    }

    /// Waits for the device.
    fn wait(&mut self) -> Result<(), Failure> {
        self.losses.fetch()?;
        Ok(())
    }
}

fn say(result: &ProbeResult) -> Result<(), Failure> {
    let line = serde_json::to_string(result).map_err(io::Error::other)?;
    let mut output = io::stdout().lock();
    writeln!(output, "{line}")?;
    Ok(output.flush()?)
}

/// A flag that is set once nobody holds the other end of standard input.
fn end_of_input() -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&flag);
    std::thread::spawn(move || {
        let mut ignored = [0; 64];
        while io::stdin().read(&mut ignored).is_ok_and(|bytes| bytes > 0) {}
        ended.store(true, Ordering::Relaxed);
    });
    flag
}
