//! A worker that obeys the protocol and trains nothing: it counts steps, needs no libtorch, and does
//! what the run's notes say: `fail@3`, `kill@3`, ... each at the end of that step, for all runs of the
//! experiment or, as `s2:fail@3`, for the run with that seed. With `FAKE_PROTOCOL` it claims another
//! protocol, with `FAKE_DRIFT` it gives other numbers from that step on, with `FAKE_SLOW` it is
//! slower from that step on, with `FAKE_UNPREPARED` it does not listen to SIGTERM, as a worker that has just begun; with
//! `FAKE_STILLBORN` it is killed before it has loaded anything, from the attempt of that number on.
//! With `FAKE_LOADING` the first attempt at a run gets no further than loading.
//! With `FAKE_GPU_MIB` it lets the stand-in for NVIDIA's library know that it holds so much of its GPU.
//! Its probe is as fast as `FAKE_RATES` says for its number of threads (`1:121,2:200`, steps per second),
//! and fails, or says nothing, where `FAKE_PROBE` says so.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use overnight::experiment::alert::Action;
use overnight::experiment::alert::watch::Watch;
use overnight::file_size;
use overnight::run_dir::checkpoint::{Best, State, Window};
use overnight::run_dir::metrics::{self, Writer};
use overnight::run_dir::number::Number;
use overnight::run_dir::records::{
    Ask, Attempt, Device, Event, FailureKind, Phase, Progress, RunRecord, RunResult, Start, What, exit,
};
use overnight::run_dir::status::{end_of, last_start};
use overnight::run_dir::write::{Durability, append_line, replace_json};
use overnight::run_dir::{PROTOCOL, RunDir, read, requests, scan, step_name};
use rustix::process::{Signal, getpid, kill_process};

#[path = "fake_worker/crash.rs"]
mod crash;
#[path = "fake_worker/probe.rs"]
mod probe;

/// What a note makes the worker do at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trick {
    /// Fail, in every attempt.
    Fail,
    /// Fail in the first attempt only.
    FailOnce,
    /// Die by SIGKILL in the first attempt only.
    Kill,
    /// Die by SIGKILL in every attempt.
    KillAlways,
    /// Wait until asked to end, in the first attempt only.
    Hold,
    /// Wait until there is a file `go-on` in the run's directory.
    Await,
    /// Fail, and leave something behind that holds the lock until the file `go-on` is there.
    Leave,
    /// Wait and turn a deaf ear to SIGTERM.
    Deaf,
    /// The same in the first attempt only.
    Hang,
    /// End with code 0 and no result.
    Vanish,
    /// Make an error on the GPU, which NVIDIA's library tells of.
    Xid {
        code: u32,
    },
    /// Lose the GPU, in the first attempt only: as NVIDIA's library tells it, and as CUDA does.
    Gone,
    /// Be out of device memory with more examples at once than this: `oom2@3`.
    OutOfMemory {
        fits: u32,
    },
    /// Write where no memory is.
    Segfault,
    /// Execute what no processor knows.
    IllegalInstruction,
    Abort,
    /// Fill memory until somebody objects.
    Eat,
    /// Fill the disk, in the first attempt only.
    Fill,
    /// End as a worker does whose GPU went wrong, and whose GPU is gone.
    CudaError,
    LoseDevice,
}

fn main() -> ExitCode {
    file_size::survive();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--protocol"] => {
            println!("{}", std::env::var("FAKE_PROTOCOL").unwrap_or(PROTOCOL.to_string()));
            ExitCode::SUCCESS
        }
        ["probe", _, orders] => ExitCode::from(probe::probe(orders) as u8),
        ["train", path] => train(path, None),
        ["train", path, "--until", step] => train(path, step.parse().ok()),
        _ => ExitCode::from(2),
    }
}

fn train(path: &str, until: Option<u64>) -> ExitCode {
    match work(Path::new(path), until) {
        Ok(code) => ExitCode::from(code as u8),
        Err(error) => {
            eprintln!("fake-worker: {error}");
            let is_full = error.kind() == io::ErrorKind::StorageFull || file_size::is_reached(&error);
            ExitCode::from(if is_full { exit::CANNOT_WRITE } else { exit::FAILED } as u8)
        }
    }
}

fn work(path: &Path, until: Option<u64>) -> io::Result<i32> {
    let run = RunDir::new(path);
    let record = read::run_record(&run).map_err(io::Error::other)?;
    // The lock came as standard input.
    let (input, lock) = (fs::metadata("/proc/self/fd/0")?, fs::metadata(run.alive_lock())?);
    if (input.dev(), input.ino()) != (lock.dev(), lock.ino()) {
        return Err(io::Error::other("the lock did not come as standard input"));
    }
    let attempts: Vec<Attempt> = read::lines(&run.attempts()).map_err(io::Error::other)?.records;
    let start = last_start(&attempts).filter(|start| end_of(&attempts, start.attempt).is_none());
    let start = start.ok_or_else(|| io::Error::other("no start line was written for this attempt"))?;
    fs::write(run.alive_lock(), format!("{}\n", std::process::id()))?;
    eprintln!("attempt {} begins", start.attempt);
    if std::env::var("FAKE_STILLBORN")
        .is_ok_and(|first| first.parse().is_ok_and(|first: u32| start.attempt >= first))
    {
        kill_process(getpid(), Signal::KILL)?;
    }
    let _held = probe::GpuMemory::hold(start);
    Worker { run: &run, record: &record, start, until, ended: asked_to_end() }.train()
}

/// Set by SIGTERM.
fn asked_to_end() -> Arc<AtomicBool> {
    let asked = Arc::new(AtomicBool::new(false));
    if std::env::var_os("FAKE_UNPREPARED").is_some() {
        return asked;
    }
    let flag = Arc::clone(&asked);
    let (ready, listening) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let kind = tokio::signal::unix::SignalKind::terminate();
            let mut signal = tokio::signal::unix::signal(kind).unwrap();
            ready.send(()).unwrap();
            loop {
                signal.recv().await;
                flag.store(true, Ordering::Relaxed);
            }
        });
    });
    listening.recv().unwrap();
    asked
}

/// Whether this worker gives other numbers than others do, from the step on that `FAKE_DRIFT` says.
fn has_drifted(step: u64) -> bool {
    let from = std::env::var("FAKE_DRIFT").ok().and_then(|from| from.parse().ok());
    from.is_some_and(|from: u64| step >= from)
}

/// Whether this worker is four times as slow as others by now: from the step on that `FAKE_SLOW` says.
fn is_slow(step: u64) -> bool {
    let from = std::env::var("FAKE_SLOW").ok().and_then(|from| from.parse().ok());
    from.is_some_and(|from: u64| step >= from)
}

struct Worker<'a> {
    run: &'a RunDir,
    record: &'a RunRecord,
    start: &'a Start,
    until: Option<u64>,
    ended: Arc<AtomicBool>,
}

impl Worker<'_> {
    fn train(&self) -> io::Result<i32> {
        let steps = self.record.steps;
        let columns = metrics::columns(&self.record.settings);
        let (mut step, keep, remembered) = match self.start.checkpoint {
            None => (0, None, Vec::new()),
            Some(step) => {
                let state: State =
                    read::json(&self.run.checkpoint(step).state()).map_err(io::Error::other)?;
                (state.step, Some(state.metrics_length), state.alerts)
            }
        };
        let mut rows = Writer::open(&self.run.metrics(), &columns, keep)?;
        let mut alerts = Watch::new(&self.record.alerts, remembered);
        self.event(
            step,
            self.start.checkpoint.map_or(What::Started, |checkpoint| What::Resumed { checkpoint }),
        )?;
        self.progress(step)?;
        if self.start.attempt == 1 && std::env::var_os("FAKE_LOADING").is_some() {
            self.wait_until(|| self.is_asked());
        }
        while step < steps {
            if self.is_asked() || self.until.is_some_and(|until| step >= until) {
                self.checkpoint(step, &rows, &alerts)?;
                self.event(step, What::Ended { why: "asked to end".into() })?;
                return Ok(exit::ENDED_AS_ASKED);
            }
            step += 1;
            let row = self.row(step, &columns);
            rows.row(&row)?;
            self.progress(step)?;
            let cell = |name: &str| columns.iter().position(|column| *column == name).and_then(|at| row[at]);
            if let Some(why) = self.watch(step, &mut alerts, cell)?.filter(|_| step < steps) {
                self.checkpoint(step, &rows, &alerts)?;
                self.event(step, What::Ended { why })?;
                return Ok(exit::ENDED_AS_ASKED);
            }
            match self.trick(step) {
                Some(Trick::Fail | Trick::FailOnce) => {
                    let message = format!("told to fail at step {step}");
                    eprintln!("{message}");
                    self.event(step, What::Failed { kind: FailureKind::Other, message })?;
                    return Ok(exit::FAILED);
                }
                Some(Trick::Leave) => {
                    // What it starts here has its standard input, and with it the lock.
                    let command = "while [ -e run.json ] && [ ! -e go-on ]; do sleep 0.05; done";
                    std::process::Command::new("sh")
                        .args(["-c", command])
                        .current_dir(self.run.path())
                        .spawn()?;
                    return Ok(exit::FAILED);
                }
                Some(Trick::Kill | Trick::KillAlways) => kill_process(getpid(), Signal::KILL)?,
                Some(Trick::Hold) => self.wait_until(|| self.is_asked()),
                Some(Trick::Await) => self.wait_until(|| self.run.path().join("go-on").exists()),
                Some(Trick::Deaf | Trick::Hang) => self.wait_until(|| false),
                Some(Trick::Vanish) => return Ok(exit::FINISHED),
                Some(Trick::Xid { code }) => {
                    self.tell_of_the_gpu("xid", &code.to_string())?;
                    return self.lose("CUDA error: an illegal memory access was encountered", step);
                }
                Some(Trick::Gone) => {
                    self.lose_the_gpu()?;
                    let message = "CUDA error: unspecified launch failure".to_owned();
                    self.event(step, What::Failed { kind: FailureKind::DeviceLost, message })?;
                    return Ok(exit::DEVICE_LOST);
                }
                Some(Trick::OutOfMemory { fits }) if self.start.micro_batch > fits => {
                    let message = "CUDA out of memory. Tried to allocate 2.00 GiB".to_owned();
                    self.event(step, What::Failed { kind: FailureKind::OutOfDeviceMemory, message })?;
                    return Ok(exit::OUT_OF_DEVICE_MEMORY);
                }
                Some(Trick::Segfault) => crash::segfault(),
                Some(Trick::IllegalInstruction) => crash::illegal_instruction(),
                Some(Trick::Abort) => std::process::abort(),
                Some(Trick::Eat) => crash::eat(),
                Some(Trick::Fill) => crash::fill(&self.run.workspace().root().join("ballast"))?,
                Some(Trick::CudaError) => {
                    return self.lose("CUDA error: an illegal memory access was encountered", step);
                }
                Some(Trick::LoseDevice) => {
                    return self.lose("CUDA error: uncorrectable ECC error encountered", step);
                }
                Some(Trick::OutOfMemory { .. }) | None => {}
            }
            let due = self.record.settings.checkpoint.every.is_due(step, self.record.steps_per_epoch);
            if step == steps || due {
                self.checkpoint(step, &rows, &alerts)?;
            }
        }
        self.finish(step)
    }

    fn lose_the_gpu(&self) -> io::Result<()> {
        self.tell_of_the_gpu("lost", "1")?;
        self.tell_of_the_gpu("xid", "79")
    }

    /// Tells the stand-in for NVIDIA's library, which looks into this folder.
    fn tell_of_the_gpu(&self, gauge: &str, text: &str) -> io::Result<()> {
        let (Device::Cuda { uuid, .. }, Some(folder)) = (&self.start.device, std::env::var_os("NVML_STUB"))
        else {
            return Err(io::Error::other("there is no stand-in for a GPU"));
        };
        fs::write(Path::new(&folder).join(format!("{uuid}.{gauge}")), text)
    }

    fn lose(&self, message: &str, step: u64) -> io::Result<i32> {
        eprintln!("{message}");
        self.event(step, What::Failed { kind: FailureKind::DeviceLost, message: message.to_owned() })?;
        Ok(exit::DEVICE_LOST)
    }

    fn is_asked(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    fn wait_until(&self, condition: impl Fn() -> bool) {
        // A test that broke off has removed the folder; nobody would ever ask this worker to end.
        while !condition() && self.run.path().exists() {
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }

    fn trick(&self, step: u64) -> Option<Trick> {
        if self.until.is_some() {
            // A replay meets none of the accidents.
            return None;
        }
        let seed = format!("s{}", self.record.settings.train.seed);
        let first = self.start.attempt == 1;
        self.record.notes.split_whitespace().find_map(|note| {
            let note = match note.split_once(':') {
                Some((of, note)) if of == seed => note,
                Some(_) => return None,
                None => note,
            };
            let (name, at) = note.split_once('@')?;
            let trick = match name {
                "fail" => Trick::Fail,
                "failonce" if first => Trick::FailOnce,
                "kill" if first => Trick::Kill,
                "killalways" => Trick::KillAlways,
                "hold" if first => Trick::Hold,
                "await" => Trick::Await,
                "deaf" => Trick::Deaf,
                "hang" if first => Trick::Hang,
                "vanish" => Trick::Vanish,
                "leave" => Trick::Leave,
                "gone" if first => Trick::Gone,
                "segfault" => Trick::Segfault,
                "illegal" => Trick::IllegalInstruction,
                "abort" => Trick::Abort,
                "eat" => Trick::Eat,
                "fill" if first => Trick::Fill,
                "cuda" => Trick::CudaError,
                "lose" => Trick::LoseDevice,
                other => match other.strip_prefix("xid") {
                    Some(code) => Trick::Xid { code: code.parse().ok()? },
                    None => Trick::OutOfMemory { fits: other.strip_prefix("oom")?.parse().ok()? },
                },
            };
            (at.parse() == Ok(step)).then_some(trick)
        })
    }

    /// The loss is a function of seed and step, as a real worker's is.
    fn loss(&self, step: u64) -> f64 {
        let drift = if has_drifted(step) { 0.25 } else { 0.0 };
        self.record.settings.train.seed as f64 + 1.0 / step.max(1) as f64 + drift
    }

    /// Stands for the losses so far.
    fn history(&self, step: u64) -> String {
        let drift = if has_drifted(step) { "-drifted" } else { "" };
        format!("{step:x}{drift}")
    }

    fn row(&self, step: u64, columns: &[&str]) -> Vec<Option<f64>> {
        let cell = |name: &&str| match *name {
            "step" => Some(step as f64),
            "time" => Some(scan::now()),
            "elapsed" => Some(step as f64 / 100.0),
            "train/loss" => Some(self.loss(step)),
            "images_per_second" => Some(if is_slow(step) { 800.0 } else { 3200.0 }),
            _ => None,
        };
        columns.iter().map(cell).collect()
    }

    fn event(&self, step: u64, what: What) -> io::Result<()> {
        let event = Event { time: scan::now(), attempt: self.start.attempt, step, what };
        append_line(&self.run.events(), &event, Durability::Rebuildable)
    }

    fn progress(&self, step: u64) -> io::Result<()> {
        let progress = Progress {
            attempt: self.start.attempt,
            time: scan::now(),
            step,
            steps: self.record.steps,
            epoch: 0.0,
            phase: Phase::Training,
            steps_per_second: Some(100.0),
            rate: Some(("images_per_second".into(), 3200.0)),
            remaining_seconds: Some((self.record.steps - step) as f64 / 100.0),
            loss: Some(Number(self.loss(step))),
        };
        replace_json(&self.run.progress(), &progress, Durability::Rebuildable)
    }

    /// Looks at the rules; who asked for the end, where one did.
    fn watch(
        &self,
        step: u64,
        alerts: &mut Watch,
        cell: impl Fn(&str) -> Option<f64>,
    ) -> io::Result<Option<String>> {
        let mut ended = None;
        for fired in alerts.look(step, |subject| cell(subject.name())) {
            let (rule, action) = (Some(fired.rule.clone()), Some(fired.action));
            self.event(step, What::Alert { message: fired.message, rule, action })?;
            let ask = match fired.action {
                Action::Pause => Ask::Pause,
                Action::Stop => Ask::Stop,
                Action::Warn | Action::ReduceLr => continue,
            };
            let who = requests::who(&fired.rule);
            if step < self.record.steps {
                requests::ask(self.run, who.clone(), ask)?;
            }
            ended = Some(who);
        }
        Ok(ended)
    }

    fn checkpoint(&self, step: u64, rows: &Writer, alerts: &Watch) -> io::Result<()> {
        let target = self.run.checkpoint(step);
        if target.path().exists() {
            return Ok(());
        }
        rows.sync()?;
        let building = self.run.checkpoints().join(format!(".new-{}", step_name(step)));
        drop(fs::remove_dir_all(&building));
        fs::create_dir_all(&building)?;
        let (weights, averages) = (format!("weights of step {step}"), "averages");
        let hash = |text: &str| blake3::hash(text.as_bytes()).to_hex().to_string();
        fs::write(building.join("model.safetensors"), &weights)?;
        fs::write(building.join("optimizer.safetensors"), averages)?;
        let state = State {
            protocol: PROTOCOL,
            step,
            epoch: 0.0,
            model_hash: hash(&weights),
            optimizer_hash: hash(averages),
            metrics_length: rows.length(),
            elapsed_seconds: step as f64 / 100.0,
            history: self.history(step),
            best: None,
            stale_evaluations: 0,
            stop_best: None,
            lr_factor: 1.0,
            reductions: Vec::new(),
            alerts: alerts.memories().to_vec(),
            due: Vec::new(),
            window: Window::default(),
            last: BTreeMap::new(),
        };
        replace_json(&building.join("state.json"), &state, Durability::Synced)?;
        fs::rename(&building, target.path())?;
        let (history, weights) = (self.history(step), hash(&weights));
        self.event(step, What::Checkpointed { bytes: 1, seconds: 0.0, history, weights })
    }

    fn finish(&self, step: u64) -> io::Result<i32> {
        self.event(step, What::Finished)?;
        let result = RunResult {
            protocol: PROTOCOL,
            time: scan::now(),
            step,
            epoch: 0.0,
            elapsed_seconds: step as f64 / 100.0,
            stopped_early: None,
            last: BTreeMap::from([("train/loss".to_string(), Number(self.loss(step)))]),
            best: Some(Best { metric: "val/loss".to_owned(), value: self.loss(step), step }),
            last_checkpoint: step,
            best_checkpoint: Some(step),
            history: self.history(step),
            attempts: self.start.attempt,
        };
        replace_json(&self.run.result(), &result, Durability::Synced)?;
        Ok(exit::FINISHED)
    }
}
