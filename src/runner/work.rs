//! The loop of a batch: observe, decide, carry out, tell; until nothing is left. All decisions are in
//! [`schedule`](super::schedule); all that is remembered here can be found again on disk.

use std::process::ExitStatus;
use std::time::{Duration, Instant};

use tokio::process::Child;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::MissedTickBehavior;

use super::attempt::{Place, signal_name};
use super::batch::Batch;
use super::devices::{self, Devices};
use super::estimate::Rates;
use super::fresh_report::FreshReport;
use super::hold::Hold;
use super::interrupt::{Ending, Interrupt, Interrupts};
use super::outcome::{LeftRun, Outcome, last_words};
use super::program::Program;
use super::schedule::{self, Action, Decision, Observation, Slot, Standing};
use super::starting::{self, Beginning};
use super::telemetry::{self, Sampler, TelemetryFile};
use super::tracked::{self, Kinship, Tracked, Worker};
use super::view::{self, View};
use super::{Report, RunnerError, RunnerOptions, Selection, tell};
use crate::run_dir::records::{Batch as BatchRecord, PlanEntry, exit};
use crate::run_dir::status::last_start;
use crate::run_dir::{PROTOCOL, RunDir, Status, Workspace, scan};

/// Time between two looks at the run directories.
const TICK: Duration = Duration::from_millis(500);

/// Works the selected runs; the workspace is held by the caller.
///
/// # Errors
/// There is no worker to start, or the batch's directory cannot be written to.
pub async fn work(
    workspace: &Workspace,
    options: &RunnerOptions,
    hold: &mut Hold,
) -> Result<Outcome, RunnerError> {
    let mut interrupts = Interrupts::listen()?;
    let host = scan::host();
    let runs = selected(workspace, options, &host);
    let idle = |run: &Tracked| {
        let standing = tracked::standing(&run.seen, None, options.failed);
        !run.is_to_be_adopted() && matches!(standing, Standing::Finished | Standing::Left)
    };
    if runs.iter().all(idle) {
        return Ok(outcome(&runs, None, Ending::Open, &Decision::default()));
    }
    let program = Program::find()?;
    program.shake_hands().await?;
    let devices = Devices::find();
    let work = Work::begin(workspace, options, host, runs, program, devices)?;
    hold.name(&work.batch.name())?;
    work.go(&mut interrupts).await
}

struct Work<'a> {
    workspace: &'a Workspace,
    options: &'a RunnerOptions,
    host: String,
    boot: String,
    cpu_name: String,
    program: Program,
    devices: Devices,
    /// Model names of the GPUs, by position.
    gpus: Vec<String>,
    slots: Vec<Slot>,
    runs: Vec<Tracked>,
    rates: Rates,
    ending: Ending,
    batch: Batch,
    report: Option<FreshReport>,
    sampler: Sampler,
    sampled: Option<Instant>,
    view: View,
    ended: (UnboundedSender<Ended>, UnboundedReceiver<Ended>),
}

/// A child of ours has ended.
struct Ended {
    dir: RunDir,
    status: std::io::Result<ExitStatus>,
}

impl<'a> Work<'a> {
    fn begin(
        workspace: &'a Workspace,
        options: &'a RunnerOptions,
        host: String,
        runs: Vec<Tracked>,
        program: Program,
        devices: Devices,
    ) -> Result<Work<'a>, RunnerError> {
        let slots = schedule::slots(options.slots, devices.gpus().len(), devices::cpu_count());
        let mut rates = Rates::default();
        for run in &runs {
            if let Some((steps, seconds)) = run.measured() {
                rates.add(&run.dir.experiment(), seconds, steps);
            }
        }
        let record = BatchRecord {
            protocol: PROTOCOL,
            host: host.clone(),
            process: std::process::id(),
            start: scan::now(),
            end: None,
            exit_code: None,
            arguments: options.arguments.clone(),
            slots: slots.len() as u32,
            threads_per_slot: slots.first().map_or(1, |slot| slot.threads),
            plan: runs.iter().filter_map(|run| plan_entry(run, &rates)).collect(),
        };
        let indices: Vec<u32> = devices.gpus().iter().map(|gpu| gpu.index).collect();
        let mut batch = Batch::begin(workspace, record, &indices)?;
        batch.event("batch-started", None, &format!("{} runs, {} at once", runs.len(), slots.len()));
        let report = (options.report == Report::Keep).then(|| FreshReport::start(workspace, &mut batch));
        Ok(Work {
            workspace,
            options,
            host,
            boot: boot_id(),
            cpu_name: devices::cpu_name(),
            program,
            gpus: devices.gpus().iter().map(|gpu| gpu.name.clone()).collect(),
            devices,
            slots,
            runs,
            rates,
            ending: Ending::Open,
            batch,
            report,
            sampler: Sampler::new(workspace.root()),
            sampled: None,
            view: View::open(options.style),
            ended: unbounded_channel(),
        })
    }

    async fn go(mut self, interrupts: &mut Interrupts) -> Result<Outcome, RunnerError> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.name_what_is_left_alone();
        let decision = loop {
            self.observe();
            let now = Instant::now();
            let standings: Vec<Standing> = self.runs.iter().map(|run| self.standing(run, now)).collect();
            let decision = self.decide(&standings);
            self.tell(&decision, &standings, now);
            if decision.done {
                break decision;
            }
            let mut look_again = false;
            for action in &decision.actions {
                look_again |= self.carry_out(*action).await;
            }
            if look_again {
                continue;
            }
            tokio::select! {
                Some(ended) = self.ended.1.recv() => self.ended(ended),
                interrupt = interrupts.next() => self.interrupted(interrupt),
                _ = tick.tick() => {}
            }
        };
        self.finish(&decision).await
    }

    fn observe(&mut self) {
        let now = Instant::now();
        if self.options.selection == Selection::All {
            for dir in scan::runs(self.workspace) {
                if !self.runs.iter().any(|run| run.dir == dir) {
                    self.runs.push(Tracked::new(dir, &self.host));
                }
            }
        }
        for index in 0..self.runs.len() {
            self.runs[index].look(&self.host, now);
            self.end_adopted(index);
            if self.runs[index].is_to_be_adopted() {
                self.adopt(index, now);
            }
        }
        // Stable: runs of one priority keep their order.
        self.runs.sort_by_key(|run| std::cmp::Reverse(run.priority()));
    }

    fn standing(&self, run: &Tracked, now: Instant) -> Standing {
        run.standing(now, Some(&self.batch.name()), self.options.failed)
    }

    fn decide(&self, standings: &[Standing]) -> Decision {
        let runs: Vec<schedule::Run> = self
            .runs
            .iter()
            .zip(standings)
            .map(|(run, standing)| run.scheduled(standing.clone(), self.gpus.len()))
            .collect();
        schedule::decide(&Observation {
            runs: &runs,
            slots: &self.slots,
            gpus: &self.gpus,
            ending: self.ending,
            patience: self.options.patience,
        })
    }

    /// Whether the directories must be looked at again before waiting for news.
    async fn carry_out(&mut self, action: Action) -> bool {
        match action {
            Action::Start { run, slot } => self.start(run, slot).await,
            Action::AskToEnd { run } => self.ask_to_end(run),
            Action::Kill { run } => self.kill(run),
            Action::Close { run } => self.close(run).await,
        }
    }

    async fn start(&mut self, index: usize, slot: usize) -> bool {
        let Slot { gpu, threads } = self.slots[slot].clone();
        let run = &self.runs[index];
        let is_cpu_run = run.scheduled(Standing::Waiting, self.gpus.len()).wish == schedule::Wish::Cpu;
        let gpu = gpu.filter(|_| !is_cpu_run);
        let batch = self.batch.name();
        let place = Place {
            batch: &batch,
            host: &self.host,
            boot: &self.boot,
            gpu: gpu.and_then(|gpu| self.devices.gpus().get(gpu)),
            cpu_name: &self.cpu_name,
            threads,
            libtorch: &self.program.libtorch,
            time: scan::now(),
        };
        let may_start = |seen: &scan::Seen| {
            tracked::standing(seen, Some(&batch), self.options.failed) == Standing::Waiting
        };
        let begun = starting::start(&run.dir, &place, &self.program, may_start).await;
        let now = Instant::now();
        match begun {
            Ok(Beginning::Started { child, handle, start }) => {
                let telemetry = TelemetryFile::open(&run.dir.telemetry(), &telemetry::run_columns()).ok();
                let on = tell::device_name(gpu, &self.devices, start.threads);
                let (name, dir, why) = (run.name(), run.dir.clone(), start.why.clone());
                let mut worker = Worker::new(Some(&*start), Some(slot), Some(handle), now);
                worker.gpu = gpu;
                worker.telemetry = telemetry;
                self.runs[index].worker = Some(worker);
                self.watch(dir.clone(), child);
                self.batch.event("run-started", Some(&dir), &format!("{why}, on {on}"));
                let why = if start.attempt == 1 { String::new() } else { format!(", {why}") };
                self.view.say(&format!("started  {name} on {on}{why}"));
                false
            }
            Ok(Beginning::Occupied | Beginning::Obsolete) => true,
            Ok(Beginning::Failed { why }) => {
                self.trouble(index, &why);
                true
            }
            Err(error) => {
                self.trouble(index, &error.to_string());
                true
            }
        }
    }

    fn watch(&self, dir: RunDir, mut child: Child) {
        let ended = self.ended.0.clone();
        tokio::spawn(async move {
            let status = child.wait().await;
            // Nobody listens any more when the runner ends: the next one sees the run as lost.
            drop(ended.send(Ended { dir, status }));
        });
    }

    fn ask_to_end(&mut self, index: usize) -> bool {
        let run = &mut self.runs[index];
        let (name, dir) = (run.name(), run.dir.clone());
        let Some(worker) = &mut run.worker else { return true };
        worker.asked = Some(Instant::now());
        if let Some(handle) = &worker.handle {
            drop(handle.ask_to_end());
            self.batch.event("asked-to-end", Some(&dir), "checkpoint and end");
            self.view.say(&format!("ending   {name}: it writes a checkpoint"));
        }
        false
    }

    fn kill(&mut self, index: usize) -> bool {
        let ending = self.ending;
        let run = &mut self.runs[index];
        let dir = run.dir.clone();
        let Some(worker) = &mut run.worker else { return true };
        if worker.killed.is_some() {
            return false;
        }
        let why = match ending {
            Ending::Now(_) => "ended at once by a second signal".to_owned(),
            _ => format!(
                "killed after {} without a step, though asked to end",
                view::duration(worker.quiet(Instant::now()).as_secs_f64())
            ),
        };
        if let Some(handle) = &worker.handle {
            drop(handle.kill());
        }
        self.batch.event("killed", Some(&dir), &why);
        worker.killed = Some(why);
        false
    }

    async fn close(&mut self, index: usize) -> bool {
        let dir = self.runs[index].dir.clone();
        match starting::close(&dir, &self.host, None).await {
            Ok(Some(end)) => self.batch.event("lost", Some(&dir), &end.why),
            Ok(None) => {}
            Err(error) => self.trouble(index, &error.to_string()),
        }
        true
    }

    fn adopt(&mut self, index: usize, now: Instant) {
        let run = &mut self.runs[index];
        run.adopt(now);
        let uuid = tracked::gpu_uuid(last_start(&run.seen.attempts)).map(str::to_owned);
        let gpu = uuid.and_then(|uuid| self.devices.gpus().iter().position(|gpu| gpu.uuid == uuid));
        let taken = |slot: usize| {
            self.runs.iter().filter_map(|run| run.worker.as_ref()).any(|worker| worker.slot == Some(slot))
        };
        let slot = (0..self.slots.len())
            .find(|&slot| !taken(slot) && (gpu.is_none() || self.slots[slot].gpu == gpu));
        let run = &mut self.runs[index];
        let (name, dir) = (run.name(), run.dir.clone());
        if let Some(worker) = &mut run.worker {
            worker.slot = slot;
            worker.gpu = gpu;
            worker.telemetry = TelemetryFile::open(&dir.telemetry(), &telemetry::run_columns()).ok();
        }
        self.batch.event("adopted", Some(&dir), "its worker lives, started by somebody else");
        self.view.say(&format!("adopted  {name}: its worker lives"));
    }

    /// An adopted worker has ended when its lock is free; its end is then written like a lost one's.
    fn end_adopted(&mut self, index: usize) {
        let run = &mut self.runs[index];
        let is_adopted = run.worker.as_ref().is_some_and(|worker| worker.kinship == Kinship::Adopted);
        if !is_adopted || run.seen.status.is_running() {
            return;
        }
        let Some(worker) = run.worker.take() else { return };
        let dir = run.dir.clone();
        if run.seen.status == Status::Lost {
            match starting::write_end(&dir, worker.attempt, None, worker.killed.as_deref()) {
                Ok(end) => self.told_end(index, &end.why),
                Err(error) => self.trouble(index, &error.to_string()),
            }
        } else {
            self.told_end(index, "its worker is gone");
        }
    }

    fn ended(&mut self, ended: Ended) {
        let Some(index) = self.runs.iter().position(|run| run.dir == ended.dir) else { return };
        let Some(worker) = self.runs[index].worker.take() else { return };
        let status = ended.status.ok();
        match starting::write_end(&ended.dir, worker.attempt, status, worker.killed.as_deref()) {
            Ok(end) => {
                let further = end.checkpoint > worker.checkpoint;
                let run = &mut self.runs[index];
                run.fruitless = if further || worker.killed.is_some() { 0 } else { run.fruitless + 1 };
                self.told_end(index, &end.why);
            }
            Err(error) => self.trouble(index, &error.to_string()),
        }
    }

    /// Says how an attempt ended, by what the run is now.
    fn told_end(&mut self, index: usize, why: &str) {
        let host = self.host.clone();
        let run = &mut self.runs[index];
        run.look(&host, Instant::now());
        let (name, dir) = (run.name(), run.dir.clone());
        if let (Status::Finished, Some((steps, seconds))) = (&run.seen.status, run.measured()) {
            self.rates.add(&dir.experiment(), seconds, steps);
        }
        let line = match &run.seen.status {
            Status::Finished => format!("finished {name}"),
            Status::Failed { code } => {
                let hint = match *code {
                    exit::OUT_OF_DEVICE_MEMORY => {
                        "; a smaller train.batch_size with a larger train.accumulate takes less"
                    }
                    exit::CANNOT_WRITE => "; see: overnight doctor",
                    _ => "",
                };
                format!("failed   {name}: {why}{hint} (more: overnight logs {name})")
            }
            Status::Killed { signal } => {
                format!(
                    "killed   {name} by {}, no retries left (more: overnight logs {name})",
                    signal_name(*signal)
                )
            }
            Status::Waiting { .. } => format!("ended    {name}: {why}; it goes on from its last checkpoint"),
            other => format!("{:8} {name}: {why}", other.word()),
        };
        self.batch.event("run-ended", Some(&dir), &format!("{}: {why}", self.runs[index].seen.status.word()));
        self.view.say(&line);
    }

    fn interrupted(&mut self, interrupt: Interrupt) {
        self.ending = self.ending.after(interrupt);
        let words = match self.ending {
            Ending::Now(_) => "ending at once",
            _ => "starting nothing new; workers write their checkpoints and end (once more: at once)",
        };
        self.batch.event("interrupted", None, words);
        self.view.say(words);
    }

    /// Leaves a run alone for the rest of the batch.
    fn trouble(&mut self, index: usize, why: &str) {
        let run = &mut self.runs[index];
        run.trouble = Some(why.to_owned());
        let (name, dir) = (run.name(), run.dir.clone());
        self.batch.event("left-alone", Some(&dir), why);
        self.view.say(&format!("left     {name}: {why}"));
    }

    fn name_what_is_left_alone(&mut self) {
        for run in &self.runs {
            let standing = tracked::standing(&run.seen, None, self.options.failed);
            if standing == Standing::Left && !run.seen.status.is_running() {
                self.view.say(&left(run, &Decision::default(), 0).line());
            }
        }
    }

    fn tell(&mut self, decision: &Decision, standings: &[Standing], now: Instant) {
        if self.sampled.is_none_or(|last| now.duration_since(last) >= telemetry::INTERVAL) {
            self.sampled = Some(now);
            let sample = self.sampler.sample(&self.devices);
            self.batch.write_telemetry(&sample);
            tell::write_run_telemetry(&mut self.runs, &sample);
        }
        if self.batch.queue_is_due(now) || decision.done {
            let drain = !self.ending.is_open();
            let state = tell::queue_state(&self.runs, &self.slots, decision, &self.rates, drain, scan::now());
            self.batch.write_queue(now, &state);
            let lines = tell::run_lines(&self.runs);
            self.view.update(now, &lines, &tell::batch_line(&self.runs, standings));
            if let Some(report) = &mut self.report {
                report.tend(self.workspace, &mut self.batch);
            }
        }
    }

    async fn finish(mut self, decision: &Decision) -> Result<Outcome, RunnerError> {
        let outcome = outcome(&self.runs, Some(self.batch.name()), self.ending, decision);
        drop(self.view);
        match self.report.take() {
            Some(report) if matches!(self.ending, Ending::Now(_)) => report.abandon(),
            Some(report) => report.end(self.workspace, &mut self.batch).await,
            None => {}
        }
        self.batch.end(outcome.exit_code())?;
        Ok(outcome)
    }
}

fn selected(workspace: &Workspace, options: &RunnerOptions, host: &str) -> Vec<Tracked> {
    match &options.selection {
        Selection::Runs(runs) => runs.iter().map(|dir| Tracked::new(dir.clone(), host)).collect(),
        Selection::All => {
            let runs = scan::runs(workspace).into_iter();
            let mut runs: Vec<Tracked> = runs.map(|dir| Tracked::new(dir, host)).collect();
            runs.sort_by(|a, b| a.age().partial_cmp(&b.age()).unwrap_or(std::cmp::Ordering::Equal));
            runs
        }
    }
}

fn plan_entry(run: &Tracked, rates: &Rates) -> Option<PlanEntry> {
    if run.seen.status == Status::Finished {
        return None;
    }
    let record = run.seen.record.as_ref().ok()?;
    Some(PlanEntry {
        experiment: run.dir.experiment(),
        run: run.dir.name(),
        steps: record.steps,
        estimated_seconds: rates.seconds(&run.dir.experiment(), run.steps_left()),
    })
}

fn outcome(runs: &[Tracked], batch: Option<String>, ending: Ending, decision: &Decision) -> Outcome {
    let is_finished = |run: &&Tracked| run.seen.status == Status::Finished;
    let now = |run: &&Tracked| is_finished(run) && !run.finished_before;
    Outcome {
        batch,
        finished: runs.iter().filter(is_finished).map(|run| run.dir.clone()).collect(),
        finished_now: runs.iter().filter(now).count(),
        left: (0..runs.len())
            .filter(|index| runs[*index].seen.status != Status::Finished)
            .map(|index| left(&runs[index], decision, index))
            .collect(),
        ending,
    }
}

fn left(run: &Tracked, decision: &Decision, index: usize) -> LeftRun {
    let waiting = decision.waiting.iter().find(|(waiting, _)| *waiting == index);
    let reason = match (&run.trouble, &run.seen.status, waiting) {
        (Some(trouble), ..) => trouble.clone(),
        (None, Status::Unreadable { reason }, _) => reason.clone(),
        (None, _, Some((_, reason))) => reason.clone(),
        (None, Status::Failed { .. } | Status::Killed { .. }, None) => last_words(&run.seen.attempts),
        _ => String::new(),
    };
    LeftRun { dir: run.dir.clone(), status: run.seen.status.clone(), reason }
}

fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}
