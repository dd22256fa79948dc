//! What the loop can do about a run: start it, ask its worker to end, kill it, follow one that lives
//! already, and take note of an end.

use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::process::Child;

use super::{Ended, Work, late};
use crate::file_size;
use crate::run_dir::cause::{self, Cause};
use crate::run_dir::status::{Waiting, last_start};
use crate::run_dir::{RunDir, Status, scan, split};
use crate::runner::admission::Rules;
use crate::runner::attempt::{Place, Witness};
use crate::runner::gauges::RunTelemetry;
use crate::runner::hooks::Occasion;
use crate::runner::room::is_full;
use crate::runner::schedule::{self, Cause as KillCause, Slot, Standing};
use crate::runner::stack;
use crate::runner::starting::{self, Beginning};
use crate::runner::tell;
use crate::runner::tracked::{self, Killed, Kinship, PutOff, Worker};
use crate::say;

impl Work<'_> {
    pub(super) async fn start(&mut self, index: usize, slot: usize) -> bool {
        let Some(prepared) = self.take_prepared(index, slot) else { return false };
        let Slot { gpu, threads } = self.slots[slot].clone();
        let run = &self.runs[index];
        let is_cpu_run = run.wish(self.gpus.len()) == schedule::Wish::Cpu;
        let gpu = gpu.filter(|_| !is_cpu_run);
        let batch = self.batch.name();
        let place = Place {
            batch: Some(&batch),
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
        // From before the start on: an attempt can be over in a moment.
        let listener = run.listener();
        let begun = starting::start(&run.dir, &place, &self.program, prepared, may_start).await;
        let now = Instant::now();
        match begun {
            Ok(Beginning::Started { child, handle, start }) => {
                let telemetry = RunTelemetry::open(&run.dir, Kinship::Own);
                let on = tell::device_name(gpu, &self.devices, start.threads);
                let (name, dir, why) = (run.name(), run.dir.clone(), start.why.clone());
                let mut worker = Worker::new(Some(&*start), Some(slot), Some(handle), now);
                worker.gpu = gpu;
                worker.telemetry = telemetry;
                worker.listener = Some(listener);
                worker.takings = gpu.map(|gpu| self.memories.takings(gpu, Some(now))).unwrap_or_default();
                let beside = self.beside(gpu);
                // Until now the device was others' alone.
                self.gauges.settle(&mut self.runs, now);
                self.runs[index].begin(worker);
                self.watch(dir.clone(), child);
                self.batch.event("run-started", Some(&dir), &format!("{why}, on {on}{beside}"));
                let why = if start.attempt == 1 { String::new() } else { format!(", {why}") };
                self.view.say(&format!("started  {name} on {on}{beside}{why}"));
                false
            }
            // Whoever has its lock may keep it for long: others go on meanwhile, and the next tick looks again.
            Ok(Beginning::Occupied) => false,
            Ok(Beginning::Obsolete) => true,
            Ok(Beginning::Failed { why }) => {
                self.trouble(index, &why);
                true
            }
            Err(error) if is_full(&error) => self.no_room_to_start(index, &error),
            Err(error) => {
                self.trouble(index, &file_size::told(&error));
                true
            }
        }
    }

    /// Who else is on that GPU, in words: nothing starts on one that somebody else fills in silence.
    fn beside(&self, gpu: Option<usize>) -> String {
        let memories = self.memories.gpus(self.devices.gpus(), &self.runs);
        let Some(memory) = gpu.and_then(|gpu| memories.into_iter().nth(gpu).flatten()) else {
            return String::new();
        };
        let ours = match memory.tenants.len() {
            0 => String::new(),
            count => format!(", beside {}", say::counted(count, "other run", "other runs")),
        };
        match memory.is_crowded(Rules::of(&self.options.settings.devices)) {
            true => format!("{ours}, where other processes hold {}", say::bytes(memory.others())),
            false => ours,
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

    pub(super) fn ask_to_end(&mut self, index: usize) -> bool {
        let run = &mut self.runs[index];
        let (name, dir) = (run.name(), run.dir.clone());
        let Some(worker) = &mut run.worker else { return true };
        // Without a handle nobody was asked; one is looked for at each look.
        if let Some(handle) = &worker.handle {
            worker.asked = Some(Instant::now());
            drop(handle.ask_to_end());
            self.batch.event("asked-to-end", Some(&dir), "checkpoint and end");
            self.view.say(&format!("ending   {name}: it writes a checkpoint"));
        }
        false
    }

    pub(super) fn kill(&mut self, index: usize, cause: KillCause) -> bool {
        let run = &mut self.runs[index];
        let dir = run.dir.clone();
        let Some(worker) = &mut run.worker else { return true };
        if worker.killed.is_some() {
            // Its stack may still be being saved, and nobody waits for that any more.
            if let (KillCause::EndingNow, Some(handle)) = (cause, &worker.handle) {
                drop(handle.kill());
            }
            return false;
        }
        let since = |since: Duration| say::duration(since.as_secs_f64());
        let now = Instant::now();
        let why = match cause {
            KillCause::EndingNow => "ended at once by a second signal".to_owned(),
            KillCause::Deaf => {
                format!("killed after {} without a step, though asked to end", since(worker.quiet(now)))
            }
            KillCause::Hung => format!("hung: no sign of life for {}", since(worker.silent(now))),
        };
        match &worker.handle {
            Some(handle) if cause == KillCause::Hung => match handle.try_clone() {
                Ok(handle) => {
                    tokio::spawn(stack::save_and_kill(handle, dir.stack(worker.attempt)));
                }
                // Out of descriptors: the end matters more than the stack.
                Err(_) => drop(handle.kill()),
            },
            Some(handle) => drop(handle.kill()),
            None => {}
        }
        self.batch.event("killed", Some(&dir), &why);
        worker.killed = Some(Killed { why, counts: cause == KillCause::Hung });
        false
    }

    pub(super) async fn close(&mut self, index: usize) -> bool {
        let dir = self.runs[index].dir.clone();
        match starting::close(&dir, &self.host, None).await {
            Ok(Some(end)) => {
                self.batch.event("lost", Some(&dir), &end.why);
                self.runs[index].look(&self.host, Instant::now());
                self.tell_hooks_of_end(index, &end.why);
            }
            Ok(None) => {}
            // The disk may have room later; nobody waits for that once the end was asked for.
            Err(error) if is_full(&error) && self.ending.is_open() => {
                self.no_room(&dir);
                return false;
            }
            Err(error) => self.trouble(index, &file_size::told(&error)),
        }
        true
    }

    pub(super) fn adopt(&mut self, index: usize, now: Instant) {
        let run = &mut self.runs[index];
        run.adopt(now);
        let uuid = tracked::gpu_uuid(last_start(&run.seen.attempts)).map(str::to_owned);
        let gpu = uuid.and_then(|uuid| self.devices.gpus().iter().position(|gpu| gpu.uuid == uuid));
        let taken = |slot: usize| {
            self.runs.iter().filter_map(|run| run.worker.as_ref()).any(|worker| worker.slot == Some(slot))
        };
        let free = || (0..self.slots.len()).filter(|&slot| !taken(slot));
        let slot = free()
            .find(|&slot| self.slots[slot].gpu == gpu)
            .or_else(|| free().next().filter(|_| gpu.is_none()));
        let run = &mut self.runs[index];
        let (name, dir, listener) = (run.name(), run.dir.clone(), run.listener());
        if let Some(worker) = &mut run.worker {
            worker.listener = Some(listener);
            worker.slot = slot;
            worker.gpu = gpu;
            worker.takings = gpu.map(|gpu| self.memories.takings(gpu, None)).unwrap_or_default();
            worker.telemetry = RunTelemetry::open(&dir, Kinship::Adopted);
        }
        self.batch.event("adopted", Some(&dir), "its worker lives, started by somebody else");
        self.view.say(&format!("adopted  {name}: its worker lives"));
        self.catch_up(index);
    }

    /// An adopted worker has ended when its lock is free; its end is then written like a lost one's.
    pub(super) fn end_adopted(&mut self, index: usize) {
        let run = &mut self.runs[index];
        let is_adopted = run.worker.as_ref().is_some_and(|worker| worker.kinship == Kinship::Adopted);
        if !is_adopted || run.seen.status.is_running() {
            return;
        }
        let Some(worker) = self.close_account(index) else { return };
        self.memories.ended(worker.gpu, &worker.takings, Instant::now());
        let run = &mut self.runs[index];
        let dir = run.dir.clone();
        if run.seen.status == Status::Lost {
            let witness = self.witness(index, &worker, false);
            let end = starting::end(&dir, worker.attempt, None, worker.killed.as_ref(), &witness);
            // Nobody knows its exit status: what it counts for stays open.
            let put_off = PutOff { end, from: worker.checkpoint, is_forgiven: true, awaits_xid: None };
            self.take_new_end(index, &worker, put_off);
        } else {
            if starting::has_unseen_end(&run.seen) {
                let end = starting::end(&dir, worker.attempt, None, None, &Witness::default());
                // It has finished: where the disk takes no line, the next runner tells of it once more.
                drop(starting::write_end(&dir, &end));
            }
            self.told_end(index, "its worker is gone");
        }
    }

    pub(super) fn ended(&mut self, ended: Ended) {
        let Some(index) = self.runs.iter().position(|run| run.dir == ended.dir) else { return };
        self.hear_alerts(index);
        let Some(worker) = self.close_account(index) else { return };
        self.memories.ended(worker.gpu, &worker.takings, Instant::now());
        let status = ended.status.ok();
        let terminated = status.is_some_and(|status| status.signal() == Some(Signal::TERM.as_raw()));
        // A worker that was asked to end before it listened for that died of it. It counts as asked.
        let unheard = (worker.asked.is_some() && terminated)
            .then(|| Killed { why: "ended as asked, before it began".to_owned(), counts: false });
        let killed = worker.killed.clone().or(unheard);
        let badly = status.is_some_and(|status| !status.success() && killed.is_none());
        let witness = self.witness(index, &worker, badly);
        let end = starting::end(&ended.dir, worker.attempt, status, killed.as_ref(), &witness);
        self.doubt_device(worker.gpu, end.code);
        let is_forgiven = killed.is_some_and(|killed| !killed.counts);
        let put_off = PutOff { end, from: worker.checkpoint, is_forgiven, awaits_xid: None };
        self.take_new_end(index, &worker, put_off);
    }

    /// Says how an attempt ended, by what the run is now.
    pub(super) fn told_end(&mut self, index: usize, why: &str) {
        let host = self.host.clone();
        let run = &mut self.runs[index];
        run.look(&host, Instant::now());
        let (name, dir) = (run.name(), run.dir.clone());
        self.memories.learn(run);
        let result = run.result();
        if let Some(result) = &result {
            self.rates.add(&dir.experiment(), run.settings_hash(), result.elapsed_seconds, result.step);
        }
        let line = match &run.seen.status {
            Status::Finished => {
                format!("finished {name}{}", result.as_ref().map(tell::achieved).unwrap_or_default())
            }
            Status::Failed { .. } => {
                let cause = cause::last_end(&run.seen.attempts).and_then(|end| end.cause.clone());
                let advice = match cause {
                    Some(Cause::OutOfDeviceMemory) if split::is_at_one(&run.seen.attempts) => {
                        "with already one example at once, it needs a device with more memory, or a smaller model".to_owned()
                    }
                    cause => cause.unwrap_or(Cause::Failed).advice(&name),
                };
                format!("failed   {name}: {why} (what to do: {advice}; more: overnight logs {name})")
            }
            Status::Killed { .. } => {
                format!("killed   {name}: {why}; no retries left (more: overnight logs {name})")
            }
            Status::Waiting { because: Waiting::Smaller { micro_batch } } => {
                format!("ended    {name}: {why}; it {}", split::goes_on_with(*micro_batch))
            }
            Status::Waiting { because: Waiting::BatchNorm } => {
                format!("held     {name}: {} ({})", split::HELD, split::WAY_OUT)
            }
            Status::Waiting { .. } => format!("ended    {name}: {why}; it goes on from its last checkpoint"),
            other => format!("{:8} {name}: {why}", other.word()),
        };
        let word = self.runs[index].seen.status.word();
        self.batch.event(late::EVENT, Some(&dir), &format!("{word}: {why}"));
        self.retention.run_ended(&dir);
        self.view.say(&line);
        self.words.ask(&self.runs[index]);
        self.tell_hooks_of_end(index, why);
    }

    /// Leaves a run alone for the rest of the batch.
    pub(super) fn trouble(&mut self, index: usize, why: &str) {
        let run = &mut self.runs[index];
        run.trouble = Some(why.to_owned());
        let (name, dir) = (run.name(), run.dir.clone());
        self.batch.event("left-alone", Some(&dir), why);
        self.view.say(&format!("left     {name}: {why}"));
        self.hooks.tell(&Occasion::run_ended(&dir, "left alone", why, None));
    }
}
