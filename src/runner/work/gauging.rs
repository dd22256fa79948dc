//! What the loop does with what is measured: rows of telemetry, accounts of energy, and what happened to
//! GPUs.

use std::time::{Duration, Instant};

use super::Work;
use crate::run_dir::cause::Xid;
use crate::run_dir::records::exit;
use crate::run_dir::{RunDir, Status, scan};
use crate::runner::gauges::{self, GpuEvent};
use crate::runner::tracked::{Worker, XidSeen};
use crate::runner::whose::{self, Of, Whose};
use crate::runner::{kernel, telemetry};

/// An error of a GPU that comes so long after a run has ended there was probably that run's end.
const LATE: Duration = Duration::from_secs(10);

/// A run that has ended on a GPU.
pub(super) struct JustEnded {
    gpu: usize,
    dir: RunDir,
    process: Option<u32>,
    at: Instant,
}

/// A run that may have met an error of its GPU.
struct Met {
    dir: RunDir,
    process: Option<u32>,
    is_alive: bool,
}

impl Work<'_> {
    /// Takes in what happened to GPUs, and a sample of everything when one is due.
    pub(super) fn gauge(&mut self, now: Instant) {
        self.just_ended.retain(|run| now.saturating_duration_since(run.at) < LATE);
        for event in self.gauges.hear(now) {
            self.tell_gpu_event(&event);
        }
        self.memories.look(self.gauges.memories(), &mut self.runs);
        self.take_answer(now);
        if self.sampled.is_none_or(|last| now.duration_since(last) >= telemetry::INTERVAL) {
            self.sampled = Some(now);
            self.gauges.settle(&mut self.runs, now);
            let row = self.gauges.write_rows(&mut self.runs);
            self.batch.write_telemetry(&row);
            self.watch_machine();
        }
    }

    fn tell_gpu_event(&mut self, event: &GpuEvent) {
        match event {
            GpuEvent::Lost { gpu, words } => self.tell_of_gpu("gpu-lost", &self.runs_on(Some(*gpu)), words),
            GpuEvent::Back { gpu, words } => self.tell_of_gpu("gpu-back", &self.runs_on(Some(*gpu)), words),
            GpuEvent::Xid { gpu, code, words } => self.tell_xid(*gpu, *code, words),
        }
    }

    fn tell_of_gpu(&mut self, event: &str, concerned: &[RunDir], words: &str) {
        if concerned.is_empty() {
            self.batch.event(event, None, words);
        }
        for dir in concerned {
            self.batch.event(event, Some(dir), words);
        }
        self.view.say(words);
    }

    /// An error of a GPU is that of the run whose process the driver names, be it alive or just ended; where
    /// it names none, nobody of several is blamed for it.
    fn tell_xid(&mut self, gpu: Option<usize>, code: u64, words: &str) {
        let Ok(short) = u32::try_from(code) else { return self.tell_of_gpu("xid", &[], words) };
        let met = self.may_have_met(gpu);
        let is_of_device = Xid { code: short, process: None }.is_of_device();
        let named = match is_of_device || met.is_empty() {
            true => Vec::new(),
            false => kernel::processes_of_xid(code, LATE.as_secs_f64()),
        };
        let of = if is_of_device { Of::Device } else { Of::Program(&named) };
        let processes: Vec<Option<u32>> = met.iter().map(|run| run.process).collect();
        let (concerned, words) = match whose::whose(&processes, of) {
            Whose::Theirs(positions) => (positions, words.to_owned()),
            Whose::OneOf(positions) => {
                let names: Vec<String> = positions.iter().map(|position| name(&met[*position].dir)).collect();
                (
                    positions,
                    format!("{words}; the driver names no process: it may be of {}", names.join(" or of ")),
                )
            }
            Whose::Strangers => (Vec::new(), format!("{words}; of a process that is none of these runs'")),
        };
        let is_sure = concerned.len() == 1 || is_of_device || !named.is_empty();
        for Met { dir, is_alive, .. } in concerned.iter().map(|position| &met[*position]) {
            if !is_alive {
                gauges::write_late_xid(dir, code, scan::now());
            }
            match (is_alive, is_sure) {
                (false, true) => self.take_late_xid(dir, short),
                (false, false) => self.take_doubtful_xid(dir, &words),
                (true, true) => self.note_xid(dir, XidSeen::Its(short)),
                (true, false) => self.note_xid(dir, XidSeen::Perhaps(words.clone())),
            }
        }
        let dirs: Vec<RunDir> = concerned.into_iter().map(|position| met[position].dir.clone()).collect();
        self.tell_of_gpu("xid", &dirs, &words);
    }

    fn note_xid(&mut self, dir: &RunDir, xid: XidSeen) {
        let run = self.runs.iter_mut().find(|run| run.dir == *dir);
        if let Some(worker) = run.and_then(|run| run.worker.as_mut()) {
            worker.xids.push((Instant::now(), xid));
        }
    }

    /// The runs that can have met an error of this GPU: those on it, and those that have just ended there
    /// otherwise than well.
    fn may_have_met(&self, gpu: Option<usize>) -> Vec<Met> {
        let alive = self.runs.iter().filter_map(|run| {
            let worker = run.worker.as_ref().filter(|worker| gpu.is_some() && worker.gpu == gpu)?;
            let process = worker.handle.as_ref().map(|handle| handle.process);
            Some(Met { dir: run.dir.clone(), process, is_alive: true })
        });
        // What has met it can hardly finish, or be at its next attempt.
        let is_over = |dir: &RunDir| {
            let run = self.runs.iter().find(|run| run.dir == *dir);
            run.is_some_and(|run| run.worker.is_none() && run.seen.status != Status::Finished)
        };
        let ended = self.just_ended.iter().filter(|run| Some(run.gpu) == gpu && is_over(&run.dir));
        let ended = ended.map(|run| Met { dir: run.dir.clone(), process: run.process, is_alive: false });
        alive.chain(ended).collect()
    }

    fn runs_on(&self, gpu: Option<usize>) -> Vec<RunDir> {
        let is_there = |worker: &Worker| gpu.is_some() && worker.gpu == gpu;
        let runs = self.runs.iter().filter(|run| run.worker.as_ref().is_some_and(is_there));
        runs.map(|run| run.dir.clone()).collect()
    }

    /// Takes the worker off a run that has ended, with its energy written to the end.
    pub(super) fn close_account(&mut self, index: usize) -> Option<Worker> {
        let now = Instant::now();
        for event in self.gauges.hear(now) {
            self.tell_gpu_event(&event);
        }
        self.gauges.settle(&mut self.runs, now);
        let run = &mut self.runs[index];
        let mut worker = run.worker.take()?;
        self.gauges.write_last_row(&mut worker, scan::now());
        if let Some(gpu) = worker.gpu {
            let process = worker.handle.as_ref().map(|handle| handle.process);
            self.just_ended.retain(|before| before.dir != run.dir);
            self.just_ended.push(JustEnded { gpu, dir: run.dir.clone(), process, at: now });
        }
        Some(worker)
    }

    /// A worker whose GPU was lost is not followed by another there before the GPU has answered.
    pub(super) fn doubt_device(&mut self, gpu: Option<usize>, code: Option<i32>) {
        if let (Some(gpu), Some(exit::DEVICE_LOST)) = (gpu, code) {
            self.gauges.doubt(gpu, Instant::now());
        }
    }
}

fn name(dir: &RunDir) -> String {
    format!("{}/{}", dir.experiment(), dir.name())
}
