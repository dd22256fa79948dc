//! What this attempt was told to do: the start line that the runner wrote, or, for a worker started by
//! hand, one that it writes itself. And the lock that says a worker lives.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;

use overnight::experiment::settings::Precision;
use overnight::run_dir::records::{Attempt, Device, End, RunRecord, Start};
use overnight::run_dir::split::{self, Split};
use overnight::run_dir::status::{end_of, last_start};
use overnight::run_dir::write::{Durability, append_line};
use overnight::run_dir::{RunDir, checkpoint, lock, machine, read, scan};

use crate::device::LIBTORCH_VERSION;
use crate::failure::Failure;

/// The orders of one attempt, and the lock under which they are carried out.
pub struct Orders {
    pub start: Start,
    /// Nobody watches a worker started by hand, so it writes the end of its attempt too.
    by_hand: bool,
    /// Held until the process ends; the runner's lock came as standard input.
    _lock: Option<File>,
}

impl Orders {
    /// Takes the lock, or finds it inherited, and reads the orders.
    ///
    /// # Errors
    /// Another worker lives in this run, or `attempts.jsonl` cannot be read or written.
    pub fn take(run: &RunDir, record: &RunRecord) -> Result<Orders, Failure> {
        let attempts = read::lines::<Attempt>(&run.attempts())?.records;
        if is_inherited(run) {
            let ordered = last_start(&attempts).filter(|start| end_of(&attempts, start.attempt).is_none());
            let start = ordered.cloned().ok_or_else(|| {
                let path = run.attempts().display().to_string();
                Failure::Orders(format!(
                    "{path} holds no start line for this attempt (the runner writes one first)"
                ))
            })?;
            write_process_number(run)?;
            return Ok(Orders { start, by_hand: false, _lock: None });
        }
        let Some(lock) = lock::try_lock(&run.alive_lock())? else {
            let message = format!(
                "{}: another worker is at this run (wait for it, or stop it first)",
                run.path().display()
            );
            return Err(Failure::Orders(message));
        };
        write_process_number(run)?;
        let start = own_orders(run, record, &attempts);
        append_line(&run.attempts(), &Attempt::Start(start.clone()), Durability::Synced)?;
        Ok(Orders { start, by_hand: true, _lock: Some(lock) })
    }

    /// Writes the end of an attempt that nobody else watched.
    pub fn ended(&self, run: &RunDir, code: i32, why: &str) -> io::Result<()> {
        if !self.by_hand {
            return Ok(());
        }
        let end = End {
            attempt: self.start.attempt,
            time: scan::now(),
            code: Some(code),
            signal: None,
            checkpoint: checkpoint::steps(run).last().copied(),
            why: why.to_owned(),
            device_memory_bytes: None,
        };
        append_line(&run.attempts(), &Attempt::End(end), Durability::Synced)
    }
}

/// Whether standard input is the run's lock: the runner hands it over there.
fn is_inherited(run: &RunDir) -> bool {
    let (Ok(input), Ok(lock)) = (fs::metadata("/proc/self/fd/0"), fs::metadata(run.alive_lock())) else {
        return false;
    };
    (input.dev(), input.ino()) == (lock.dev(), lock.ino())
}

fn write_process_number(run: &RunDir) -> io::Result<()> {
    let mut file = File::options().write(true).truncate(true).open(run.alive_lock())?;
    writeln!(file, "{}", std::process::id())
}

/// What the runner would have written, for this machine and these settings.
fn own_orders(run: &RunDir, record: &RunRecord, attempts: &[Attempt]) -> Start {
    let settings = &record.settings;
    let before = last_start(attempts);
    let device = match (before, settings.resources.device.as_str()) {
        (Some(before), _) => before.device.clone(),
        (None, "auto") if fs::exists("/proc/driver/nvidia/version").unwrap_or(false) => cuda(0),
        (None, "cuda") => cuda(0),
        (None, name) => match name.strip_prefix("cuda:").and_then(|index| index.parse().ok()) {
            Some(index) => cuda(index),
            None => Device::Cpu { name: machine::cpu_name() },
        },
    };
    let on_gpu = matches!(device, Device::Cuda { .. });
    let precision = match (before, settings.train.precision) {
        (Some(before), _) => before.precision,
        (None, Precision::Auto) if on_gpu => Precision::Bf16,
        (None, Precision::Auto) => Precision::Fp32,
        (None, chosen) => chosen,
    };
    let whole = Split { micro_batch: settings.train.batch_size, accumulate: settings.train.accumulate };
    let split = split::next(settings, attempts).unwrap_or(whole);
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32);
    Start {
        attempt: before.map_or(0, |start| start.attempt) + 1,
        time: scan::now(),
        batch: None,
        host: scan::host(),
        boot: machine::boot_id(),
        device,
        precision,
        threads: before.map_or(settings.resources.threads.unwrap_or(cores), |start| start.threads),
        micro_batch: split.micro_batch,
        accumulate: split.accumulate,
        libtorch: LIBTORCH_VERSION.to_owned(),
        checkpoint: checkpoint::steps(run).last().copied(),
        why: "started by hand".to_owned(),
    }
}

fn cuda(index: u32) -> Device {
    Device::Cuda { uuid: String::new(), name: "CUDA device".to_owned(), driver: String::new(), index }
}
