//! What the loop does with what is measured: rows of telemetry, accounts of energy, and what happened to
//! GPUs.

use std::time::{Duration, Instant};

use super::Work;
use crate::run_dir::records::exit;
use crate::run_dir::{RunDir, scan};
use crate::runner::gauges::{self, GpuEvent};
use crate::runner::telemetry;
use crate::runner::tracked::Worker;

/// An error of a GPU that comes so long after a run has ended there was probably that run's end.
const LATE: Duration = Duration::from_secs(10);

/// A run that has ended on a GPU.
pub(super) struct JustEnded {
    gpu: usize,
    dir: RunDir,
    at: Instant,
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
        let (name, gpu, words) = match event {
            GpuEvent::Lost { gpu, words } => ("gpu-lost", Some(*gpu), words),
            GpuEvent::Back { gpu, words } => ("gpu-back", Some(*gpu), words),
            GpuEvent::Xid { gpu, words, .. } => ("xid", *gpu, words),
        };
        let mut concerned = self.runs_on(gpu);
        if let (GpuEvent::Xid { code, .. }, true) = (event, concerned.is_empty()) {
            let late = self.just_ended.iter().filter(|run| Some(run.gpu) == gpu);
            concerned = late.map(|run| run.dir.clone()).collect();
            for dir in &concerned {
                gauges::write_late_xid(dir, *code, scan::now());
                self.take_late_xid(dir, *code);
            }
        } else if let GpuEvent::Xid { code, .. } = event {
            self.note_xid(gpu, *code);
        }
        if concerned.is_empty() {
            self.batch.event(name, None, words);
        }
        for dir in &concerned {
            self.batch.event(name, Some(dir), words);
        }
        self.view.say(words);
    }

    fn note_xid(&mut self, gpu: Option<usize>, code: u64) {
        let workers = self.runs.iter_mut().filter_map(|run| run.worker.as_mut());
        let code = u32::try_from(code).unwrap_or(u32::MAX);
        workers
            .filter(|worker| gpu.is_some() && worker.gpu == gpu)
            .for_each(|worker| worker.xids.push((Instant::now(), code)));
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
            self.just_ended.push(JustEnded { gpu, dir: run.dir.clone(), at: now });
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
