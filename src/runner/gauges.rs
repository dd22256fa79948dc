//! Everything that is measured while runs go on: the machine, the GPUs, and who used how much energy.

use std::path::Path;
use std::time::{Duration, Instant};

use super::devices::memory::DeviceMemory;
use super::devices::{Devices, Gpu};
use super::energy::{self, Meter, Reading};
use super::gpu_monitor::{Monitor, News, Xid};
use super::gpu_sample::GpuSample;
use super::processor_energy::{self, Packages};
use super::schedule::GpuState;
use super::telemetry::table::{self, GpuRow, ProcessRow, TelemetryFile};
use super::telemetry::{MachineSample, Sampler};
use super::tracked::{Kinship, Tracked, Worker};
use crate::run_dir::RunDir;
use crate::run_dir::machine::process_memory_bytes;
use crate::run_dir::telemetry::{Energy, is_distress, xid_words};

/// A GPU that has not answered for so long, after a worker found it lost or the driver fell silent, is
/// taken for lost.
const ANSWER: Duration = Duration::from_secs(15);

/// The driver may tell an error a moment after the program has met it.
const MOMENT: Duration = Duration::from_millis(500);

pub struct Gauges {
    sampler: Sampler,
    /// What the machine did at the last row.
    machine: MachineSample,
    monitor: Option<Monitor>,
    packages: Packages,
    machine_seconds: Option<f64>,
    began: Instant,
    /// By position of the GPU.
    gpus: Vec<Watched>,
    /// Of all runs together, in this batch.
    joules: Option<f64>,
}

/// One GPU.
#[derive(Default)]
struct Watched {
    index: u32,
    sample: GpuSample,
    /// When the driver was asked for it.
    at: Option<Instant>,
    meter: Meter,
    /// The last error that it reported.
    xid: Option<u64>,
    /// Errors that stand in no row yet.
    untold: Option<u64>,
    /// Since a worker said that it is lost, or the driver fell silent.
    doubted: Option<Instant>,
    /// Since something that it suffers from holds its clocks down.
    throttled: Option<Instant>,
}

/// The table of a live run, and its account of energy.
pub struct RunTelemetry {
    file: TelemetryFile,
    energy: Energy,
    /// Processor time of its process when it was last asked.
    process_seconds: Option<f64>,
}

/// Something that happened to a GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GpuEvent {
    Lost { gpu: usize, words: String },
    Back { gpu: usize, words: String },
    Xid { gpu: Option<usize>, code: u64, words: String },
}

impl RunTelemetry {
    /// Goes on with the table of the run's earlier attempts.
    pub fn open(dir: &RunDir, kinship: Kinship) -> Option<RunTelemetry> {
        let file = TelemetryFile::open(&dir.telemetry(), &table::run_columns()).ok()?;
        let process_seconds = (kinship == Kinship::Own).then_some(0.0);
        Some(RunTelemetry { file, energy: Energy::read(&dir.telemetry()), process_seconds })
    }
}

impl Gauges {
    pub fn new(workspace: &Path, devices: &Devices) -> Gauges {
        let watched = |gpu: &Gpu| Watched { index: gpu.index, ..Watched::default() };
        let mut packages = Packages::find(Path::new("/sys/class/powercap"));
        packages.joules();
        Gauges {
            sampler: Sampler::new(workspace),
            machine: MachineSample::default(),
            monitor: devices.watch(),
            packages,
            machine_seconds: processor_energy::machine_seconds(),
            began: Instant::now(),
            gpus: devices.gpus().iter().map(watched).collect(),
            joules: None,
        }
    }

    /// Joules that runs of this batch took.
    pub fn joules(&self) -> Option<f64> {
        self.joules
    }

    /// What the schedule must know of each GPU.
    pub fn states(&self, now: Instant) -> Vec<GpuState> {
        self.gpus.iter().map(|gpu| gpu.state(now)).collect()
    }

    /// A worker said that its GPU is lost, or that CUDA broke down: nothing is started there until it
    /// has answered again.
    pub fn doubt(&mut self, gpu: usize, now: Instant) {
        if let Some(gpu) = self.gpus.get_mut(gpu) {
            gpu.doubted = Some(now);
        }
    }

    /// Whether an error of a GPU that came until `since`, or a moment after it, has been heard by now, or will
    /// not be any more.
    pub fn has_said_all(&self, since: Instant, now: Instant) -> bool {
        let heard = self.monitor.as_ref().and_then(Monitor::heard_until);
        heard.is_some_and(|heard| heard >= since + MOMENT) || now.saturating_duration_since(since) >= ANSWER
    }

    /// Takes in what the driver has said since the last call.
    pub fn hear(&mut self, now: Instant) -> Vec<GpuEvent> {
        let Some(monitor) = &self.monitor else { return Vec::new() };
        let News { at, samples, xids } = monitor.news(now);
        let mut events: Vec<GpuEvent> = xids.into_iter().map(|xid| self.note_xid(xid)).collect();
        for (position, gpu) in self.gpus.iter_mut().enumerate() {
            let before = gpu.state(now);
            gpu.sample = samples.get(position).cloned().unwrap_or_default();
            gpu.at = at;
            gpu.throttled = gpu.throttled.or(at).filter(|_| gpu.is_in_distress());
            gpu.doubted = doubt(gpu.doubted, at, now);
            match (before, gpu.state(now)) {
                (GpuState::Lost(_), GpuState::Lost(_)) => {}
                (_, GpuState::Lost(words)) => events.push(GpuEvent::Lost { gpu: position, words }),
                (GpuState::Lost(_), GpuState::Fine) => {
                    let words = format!("GPU {} answers again", gpu.index);
                    events.push(GpuEvent::Back { gpu: position, words });
                }
                _ => {}
            }
        }
        events
    }

    fn note_xid(&mut self, Xid { gpu, code }: Xid) -> GpuEvent {
        // A GPU that has gone cannot even be named: then it is the one that is lost.
        let lost = || self.gpus.iter().position(|gpu| gpu.sample.lost);
        let gpu = gpu.or_else(lost);
        let name = match gpu.and_then(|gpu| self.gpus.get_mut(gpu)) {
            Some(watched) => {
                (watched.xid, watched.untold) = (Some(code), Some(code));
                format!("GPU {}", watched.index)
            }
            None => "a GPU".to_owned(),
        };
        GpuEvent::Xid { gpu, code, words: format!("{name} reported XID {code}: {}", xid_words(code)) }
    }

    /// Gives the energy since the last call to the runs that live.
    pub fn settle(&mut self, runs: &mut [Tracked], now: Instant) {
        let seconds = |at: Instant| at.saturating_duration_since(self.began).as_secs_f64();
        for (position, gpu) in self.gpus.iter_mut().enumerate() {
            let reading = gpu.at.map(|at| Reading {
                seconds: seconds(at),
                counter_joules: gpu.sample.energy_joules,
                power_watts: gpu.sample.power_watts,
            });
            let Some(joules) = gpu.meter.advance(seconds(now), reading) else { continue };
            let on_it = |worker: &&mut Worker| worker.gpu == Some(position);
            let count = workers(runs).filter(on_it).count();
            let share = energy::share(joules, count);
            for account in workers(runs).filter(on_it).filter_map(|worker| worker.telemetry.as_mut()) {
                add(&mut account.energy.gpu_joules, share);
                add(&mut self.joules, share);
            }
        }
        self.settle_processor(runs);
    }

    fn settle_processor(&mut self, runs: &mut [Tracked]) {
        let Some(joules) = self.packages.joules() else { return };
        let before = std::mem::replace(&mut self.machine_seconds, processor_energy::machine_seconds());
        let Some((before, now)) = before.zip(self.machine_seconds) else { return };
        for worker in workers(runs) {
            let process = worker.handle.as_ref().map(|handle| handle.process);
            let Some(account) = worker.telemetry.as_mut() else { continue };
            let Some(spent) = process.and_then(processor_energy::process_seconds) else { continue };
            let earlier = account.process_seconds.replace(spent);
            let share =
                earlier.and_then(|earlier| energy::share_of_processor(joules, spent - earlier, now - before));
            if let Some(share) = share {
                add(&mut account.energy.cpu_joules, share);
                add(&mut self.joules, share);
            }
        }
    }

    /// What the machine did at the last row.
    pub fn machine(&self) -> &MachineSample {
        &self.machine
    }

    /// What each GPU did when it was last looked at, by position, and for how long it has been throttled.
    pub fn gpu_samples(&self, now: Instant) -> Vec<(GpuSample, Option<f64>)> {
        self.gpus.iter().map(|gpu| (gpu.sample.clone(), gpu.throttled_seconds(now))).collect()
    }

    /// Who holds what of each GPU, by position, and when the driver was asked; nothing while it is silent.
    pub fn memories(&self) -> Option<(Instant, Vec<Option<&DeviceMemory>>)> {
        let at = self.gpus.first()?.at?;
        Some((at, self.gpus.iter().map(|gpu| gpu.sample.memory.as_ref()).collect()))
    }

    /// Samples everything, appends a row to the table of each live run, and gives the batch's.
    pub fn write_rows(&mut self, runs: &mut [Tracked]) -> Vec<String> {
        let machine = self.sampler.sample();
        self.machine.clone_from(&machine);
        let rows: Vec<GpuRow> = self.gpus.iter_mut().map(Watched::row).collect();
        for worker in workers(runs) {
            let process = worker.handle.as_ref().map(|handle| handle.process);
            let gpu = worker.gpu.and_then(|gpu| rows.get(gpu));
            let Some(account) = &mut worker.telemetry else { continue };
            let process = ProcessRow {
                memory_bytes: process.and_then(process_memory_bytes),
                gpu_memory_bytes: process.zip(gpu).and_then(|(process, gpu)| own(process, &gpu.sample)),
            };
            // A table that cannot be written harms no run.
            drop(account.file.append(&table::run_row(&machine, process, gpu, account.energy)));
        }
        table::batch_row(&machine, &rows)
    }

    /// The last row of an attempt: its energy to the end, and an error that ended it. `time` is Unix
    /// seconds.
    pub fn write_last_row(&mut self, worker: &mut Worker, time: f64) {
        let xid = worker.gpu.and_then(|gpu| self.gpus.get(gpu)).and_then(|gpu| gpu.untold);
        if let Some(account) = &mut worker.telemetry {
            let machine = MachineSample { time, ..MachineSample::default() };
            let gpu = GpuRow { sample: GpuSample::default(), xid };
            let row = table::run_row(&machine, ProcessRow::default(), Some(&gpu), account.energy);
            drop(account.file.append(&row));
        }
    }
}

/// Appends the error that a GPU reported to the table of a run that has just ended on it.
pub fn write_late_xid(dir: &RunDir, xid: u64, time: f64) {
    let Ok(mut file) = TelemetryFile::open(&dir.telemetry(), &table::run_columns()) else { return };
    let machine = MachineSample { time, ..MachineSample::default() };
    let gpu = GpuRow { sample: GpuSample::default(), xid: Some(xid) };
    let energy = Energy::read(&dir.telemetry());
    drop(file.append(&table::run_row(&machine, ProcessRow::default(), Some(&gpu), energy)));
}

impl Watched {
    fn is_in_distress(&self) -> bool {
        self.sample.throttle.iter().flatten().any(|reason| is_distress(reason))
    }

    /// How long its clocks have been held down so; none where the driver does not say.
    fn throttled_seconds(&self, now: Instant) -> Option<f64> {
        self.sample.throttle.as_ref()?;
        let since = |since| now.saturating_duration_since(since).as_secs_f64();
        Some(self.throttled.map_or(0.0, since))
    }

    fn state(&self, now: Instant) -> GpuState {
        let index = self.index;
        let way_out = format!("reset it (nvidia-smi --gpu-reset -i {index}) or reboot");
        if self.sample.lost {
            let xid = self.xid.map_or_else(String::new, |xid| format!(" (XID {xid}: {})", xid_words(xid)));
            return GpuState::Lost(format!("GPU {index} was lost{xid}; {way_out}"));
        }
        match self.doubted {
            Some(since) if now.saturating_duration_since(since) < ANSWER => GpuState::Unsure,
            Some(_) => GpuState::Lost(format!("GPU {index} does not answer; {way_out}")),
            None => GpuState::Fine,
        }
    }

    fn row(&mut self) -> GpuRow {
        GpuRow { sample: self.sample.clone(), xid: self.untold.take() }
    }
}

/// Since when it is open whether a GPU answers: a sample that was asked for later dispels a doubt, and
/// silence raises one.
fn doubt(doubted: Option<Instant>, sampled: Option<Instant>, now: Instant) -> Option<Instant> {
    match (doubted, sampled) {
        (Some(since), Some(at)) if at > since => None,
        (None, None) => Some(now),
        (doubted, _) => doubted,
    }
}

fn workers(runs: &mut [Tracked]) -> impl Iterator<Item = &mut Worker> {
    runs.iter_mut().filter_map(|run| run.worker.as_mut())
}

fn own(process: u32, sample: &GpuSample) -> Option<u64> {
    let processes = sample.processes.as_ref()?;
    processes.iter().find(|known| known.process == process)?.memory_bytes
}

fn add(sum: &mut Option<f64>, more: f64) {
    *sum = Some(sum.unwrap_or(0.0) + more);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_is_in_doubt_from_the_last_word_on_and_until_it_answers() {
        let begun = Instant::now();
        let at = |seconds: u64| begun + Duration::from_secs(seconds);
        let table = [
            (None, Some(at(9)), None, "it answers"),
            (None, None, Some(at(10)), "the driver fell silent"),
            (Some(at(5)), None, Some(at(5)), "and is so since then"),
            (Some(at(5)), Some(at(4)), Some(at(5)), "asked before a worker found it lost"),
            (Some(at(5)), Some(at(6)), None, "asked after that"),
        ];
        for (doubted, sampled, expected, why) in table {
            assert_eq!(doubt(doubted, sampled, at(10)), expected, "{why}");
        }
    }

    #[test]
    fn nothing_is_started_on_a_gpu_that_does_not_answer() {
        let begun = Instant::now();
        let silent = Watched { index: 2, doubted: Some(begun), ..Watched::default() };
        assert_eq!(silent.state(begun + ANSWER / 2), GpuState::Unsure);
        let words = "GPU 2 does not answer; reset it (nvidia-smi --gpu-reset -i 2) or reboot";
        assert_eq!(silent.state(begun + ANSWER), GpuState::Lost(words.to_owned()));
    }
}
