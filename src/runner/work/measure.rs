//! What the loop finds out before it starts runs: what one takes of a GPU, and how the processor is best
//! divided. Both by probes that work aside; the loop goes on meanwhile.

use std::time::Instant;

use tokio::task::JoinSet;

use super::Work;
use crate::run_dir::records::{DivisionRate, MeasuredDivision, MeasuredMemory, Start};
use crate::run_dir::status::last_start;
use crate::run_dir::{RunDir, scan};
use crate::runner::admission::Rules;
use crate::runner::attempt::{self, Place};
use crate::runner::devices;
use crate::runner::division::{self, Like, Processor, Refusal};
use crate::runner::gpu_memory::{self, Probed};
use crate::runner::preparing::{Looking, Prepared, Unready};
use crate::runner::probing::{self, Found, ProbeFailure};
use crate::runner::program::Program;
use crate::runner::schedule::Slot;
use crate::say;

/// What a measurement of one division is taken to cost before the first has shown it.
const MEASURING_SECONDS: f64 = 4.0;

/// Runs may take this part of the machine's memory together.
const MEMORY_PART: f64 = 0.7;

/// A batch measures no longer on a machine that lets it measure nothing: so many refused, and it is left at that.
const TRIES: u32 = 3;

/// What others that work aside have to say.
pub enum Findings {
    /// Of the probe on a GPU.
    Probed(Result<Found, ProbeFailure>),
    Divided(Division),
    /// A run is prepared, or cannot be; with who found that out.
    Prepared(RunDir, Looking, Result<Prepared, Unready>),
}

/// What the probe on a GPU found, and when it said so.
pub struct Answered {
    found: Found,
    at: Instant,
}

/// How a measurement of the processor ended.
pub struct Division {
    of: Divided,
    /// Every division that was measured before something failed.
    rates: Vec<DivisionRate>,
    /// The largest part of the processor that others took meanwhile.
    others: Option<f64>,
    /// Why it went no further.
    failure: Option<Failure>,
}

enum Failure {
    Probe(ProbeFailure),
    Refused(Refusal),
}

/// What was divided.
#[derive(Clone)]
struct Divided {
    settings: String,
    name: String,
    runs: usize,
    steps: u64,
    cores: u32,
}

impl Work<'_> {
    /// Starts a probe of the run on a GPU that others may be using.
    pub(super) fn probe(&mut self, index: usize, gpu: usize) -> bool {
        let rules = Rules::of(&self.options.settings.devices);
        let memories = self.memories.gpus(self.devices.gpus(), &self.runs);
        let Some(memory) = memories.get(gpu).cloned().flatten() else { return true };
        let Some(orders) = self.probe_orders(index, Some(gpu)) else { return true };
        let run = &self.runs[index];
        let (dir, name) = (run.dir.clone(), run.name());
        let room = memory.available().saturating_sub(rules.margin);
        self.memories.begin_probe(run, gpu, room);
        let part = room as f64 / memory.total.max(1) as f64;
        let words = format!("{name} on GPU {} to see what it takes", memory.index);
        self.batch.event("probing", Some(&dir), &words);
        self.view.say(&format!("probing  {words}"));
        match probing::start(&self.program, &dir, &orders, Some(part)) {
            Ok(probe) => {
                self.memories.probe_started(probe.process());
                let findings = self.findings.0.clone();
                self.probes.spawn(async move { drop(findings.send(Findings::Probed(probe.answer().await))) });
            }
            Err(error) => self.probed(Err(ProbeFailure::Other(error.to_string()))),
        }
        true
    }

    /// Divides the processor among `runs` runs like this one: as it was for one that has begun, else as an
    /// earlier batch found it best, else as measuring shows, where that pays.
    pub(super) fn divide(&mut self, index: usize, runs: usize) -> bool {
        self.processor = Processor::Settled;
        let run = &self.runs[index];
        let cores = u32::try_from(devices::cpu_count()).unwrap_or(1);
        if let Some(start) = last_start(&run.seen.attempts) {
            let threads = start.threads.clamp(1, cores);
            self.set_slots(cores / threads, threads);
            return true;
        }
        let of =
            Divided { settings: run.settings_key(), name: run.name(), runs, steps: run.steps_left(), cores };
        let libtorch = &self.program.libtorch;
        let like = Like { settings: &of.settings, processor: &self.cpu_name, cores, libtorch };
        if let Some(known) = division::remembered(&self.found.divisions, like, scan::now()) {
            let rates = known.rates.clone();
            self.settle(&of, &rates, ", in an earlier batch");
            return true;
        }
        let guess = || {
            let record = run.seen.record.as_ref().ok()?;
            Some(division::seconds_at_most(&record.settings, of.steps, cores))
        };
        let seconds = self.rates.seconds(&run.dir.experiment(), run.settings_hash(), of.steps).or_else(guess);
        if seconds.is_some_and(|seconds| !division::pays(seconds * runs as f64, MEASURING_SECONDS)) {
            return true;
        }
        let Some(orders) = self.probe_orders(index, None) else { return true };
        self.processor = Processor::Measuring;
        self.batch.event("measuring", Some(&self.runs[index].dir), "how the processor is best divided");
        let (program, dir, findings) =
            (self.program.clone(), self.runs[index].dir.clone(), self.findings.0.clone());
        self.probes.spawn(async move {
            drop(findings.send(Findings::Divided(measure(program, dir, orders, of).await)))
        });
        true
    }

    /// Ends what is being tried out as soon as nothing new will be started.
    pub(super) fn end_probes(&mut self) {
        let is_over = !self.ending.is_open() || self.draining || self.breaker.tripped().is_some();
        if is_over && !self.probes.is_empty() {
            // Dropping them ends them, and their probes with them.
            self.probes = JoinSet::new();
            self.found_of_gpu = None;
            self.memories.drop_probe(Instant::now());
            if self.processor == Processor::Measuring {
                self.processor = Processor::Settled;
            }
        }
        while self.probes.try_join_next().is_some() {}
    }

    pub(super) fn heard(&mut self, findings: Findings) {
        match findings {
            // The probe still holds what it took, until this is dropped.
            Findings::Probed(Ok(found)) => {
                self.found_of_gpu = Some(Answered { found, at: Instant::now() });
            }
            Findings::Probed(failed) => self.probed(failed),
            Findings::Prepared(dir, looking, result) => self.prepared(&dir, &looking, result),
            Findings::Divided(Division { of, rates, others, failure }) => {
                self.processor = Processor::Settled;
                match failure {
                    Some(Failure::Probe(failure)) => {
                        self.batch.event("not-measured", None, &format!("a probe of {}: {failure}", of.name));
                    }
                    Some(Failure::Refused(refusal)) => {
                        let words = format!("not measured, so not divided: {refusal}");
                        self.batch.event("not-measured", None, &words);
                        self.view.say(&format!("divided  {words}"));
                        return;
                    }
                    None => {}
                }
                if rates.len() > 1 {
                    let found = MeasuredDivision {
                        settings: of.settings.clone(),
                        processor: self.cpu_name.clone(),
                        cores: of.cores,
                        libtorch: self.program.libtorch.clone(),
                        time: scan::now(),
                        others,
                        rates: rates.clone(),
                    };
                    self.batch.remember(|batch| batch.divisions.push(found));
                    let busy = others.filter(|_| !division::is_quiet(others)).map(|part| {
                        let percent = part * 100.0;
                        format!(", while others took {percent:.0} % of it: the next batch measures again")
                    });
                    self.settle(&of, &rates, busy.as_deref().unwrap_or_default());
                }
            }
        }
    }

    /// Takes the probe's answer once the driver was asked what it holds.
    pub(super) fn take_answer(&mut self, now: Instant) {
        let sampled = self.memories.sampled();
        let answered = self.found_of_gpu.take_if(|found| gpu_memory::is_seen(found.at, sampled, now));
        if let Some(Answered { found, .. }) = answered {
            self.probed(Ok(found));
        }
    }

    fn probed(&mut self, answer: Result<Found, ProbeFailure>) {
        let now = Instant::now();
        let allocated = answer.as_ref().ok().and_then(|found| found.result.peak_device_bytes);
        let ended = self.memories.end_probe(
            |probe| match &answer {
                Ok(_) => probe.peak().max(allocated).map_or(Probed::Failed, Probed::Takes),
                Err(ProbeFailure::OutOfDeviceMemory) => Probed::MoreThan(probe.room),
                Err(_) => Probed::Failed,
            },
            now,
        );
        let Some((probe, found)) = ended else { return };
        let words = match (found, &answer) {
            (Probed::Takes(bytes), _) => format!("it takes {}", say::bytes(bytes)),
            (Probed::MoreThan(room), _) => format!("it takes more than {}", say::bytes(room)),
            (Probed::Failed, Ok(_)) => "the driver does not tell what it takes".to_owned(),
            (Probed::Failed, Err(failure)) => format!("it cannot be known what it takes: {failure}"),
        };
        self.batch.event("probed", None, &format!("{}: {words}", probe.name));
        self.view.say(&format!("probed   {}: {words}", probe.name));
        if let (Probed::Takes(bytes), Some(gpu)) = (found, self.gpus.get(probe.gpu)) {
            let memory = MeasuredMemory { settings: probe.settings, gpu: gpu.clone(), bytes };
            self.batch.remember(|batch| batch.device_memory.push(memory));
        }
    }

    /// Divides the processor as the rates say, and tells it.
    fn settle(&mut self, of: &Divided, rates: &[DivisionRate], when: &str) {
        let Some(best) = division::best(rates, of.runs, of.steps) else { return };
        self.set_slots(best.runs, best.threads);
        let words = division::words(&best, rates).replace("(measured)", &format!("(measured{when})"));
        self.batch.event("divided", None, &words);
        self.view.say(&format!("divided  {words}"));
    }

    /// Nothing is at work on the processor, so its slots may change.
    fn set_slots(&mut self, runs: u32, threads: u32) {
        let before = self.slots.len();
        self.slots.retain(|slot| slot.gpu.is_some());
        self.slots.extend(std::iter::repeat_n(Slot { gpu: None, threads }, runs as usize));
        let slots = self.slots.len();
        if slots != before {
            self.batch.remember(|batch| (batch.slots, batch.threads_per_slot) = (slots as u32, threads));
        }
    }

    /// What the run's next attempt would be told, or the processor's, where no GPU is given.
    fn probe_orders(&self, index: usize, gpu: Option<usize>) -> Option<Start> {
        let run = &self.runs[index];
        let record = run.seen.record.as_ref().ok()?;
        let place = Place {
            batch: Some(&self.batch.name()),
            host: &self.host,
            boot: &self.boot,
            gpu: gpu.and_then(|gpu| self.devices.gpus().get(gpu)),
            cpu_name: &self.cpu_name,
            threads: self.slots.iter().find(|slot| slot.gpu == gpu).map_or(1, |slot| slot.threads),
            libtorch: &self.program.libtorch,
            time: scan::now(),
        };
        Some(attempt::start_line(record, &run.seen.attempts, None, &place))
    }
}

async fn measure(program: Program, dir: RunDir, orders: Start, of: Divided) -> Division {
    let limit = devices::memory_limit_bytes().map(|bytes| (bytes as f64 * MEMORY_PART) as u64);
    let mut seen = division::Batch {
        cores: of.cores,
        runs: of.runs,
        steps: of.steps,
        measuring_seconds: MEASURING_SECONDS,
        run_bytes: 0,
        memory_left_bytes: limit,
    };
    let (mut rates, mut others, mut failure) = (Vec::new(), None::<f64>, None);
    let mut refused = 0;
    while let Some(runs) = division::next(&rates, &seen) {
        let begun = Instant::now();
        match probing::together(&program, &dir, &orders, runs, of.cores / runs).await {
            Ok(found) => match division::refusal(&rates, &found.rate, found.others) {
                Some(refusal) => {
                    refused += 1;
                    if refused == TRIES {
                        failure = Some(Failure::Refused(refusal));
                        break;
                    }
                    continue;
                }
                None => {
                    rates.push(found.rate);
                    others = [others, found.others].into_iter().flatten().reduce(f64::max);
                    seen.run_bytes = seen.run_bytes.max(found.memory_bytes);
                }
            },
            Err(found) => {
                failure = Some(Failure::Probe(found));
                break;
            }
        }
        // The next one is as costly, and no cheaper than its timed steps.
        seen.measuring_seconds = begun.elapsed().as_secs_f64().max(probing::SECONDS);
    }
    Division { of, rates, others, failure }
}
