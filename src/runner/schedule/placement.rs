//! Which place a run gets among those that are left: a slot, and on a GPU room in its memory.

use std::collections::BTreeMap;

use super::passing::Kept;
use super::{
    Action, GpuState, Observation, Preparing, Reason, Run, Slot, Standing, Threads, Wish, waiting_for,
};
use crate::runner::admission::{self, GpuMemory, Tenant, Verdict};
use crate::runner::division::Processor;

/// So many slots as are `wanted`, round the GPUs, or on the processor where there are none. Left out: on
/// each GPU as many as may share it, and one on the processor. Threads are divided evenly; a run on the
/// processor leaves one to each GPU's runs.
pub fn slots(wanted: Option<u32>, gpus: usize, cpus: usize, per_gpu: usize) -> Vec<Slot> {
    let threads = |count: usize| u32::try_from(cpus / count).unwrap_or(1).max(1);
    let count = wanted.map_or(gpus * per_gpu, |wanted| wanted as usize);
    let on_gpus = |slot: usize| (gpus > 0).then(|| slot % gpus);
    let mut slots: Vec<Slot> =
        (0..count).map(|slot| Slot { gpu: on_gpus(slot), threads: threads(count) }).collect();
    if wanted.is_none() {
        let rest = cpus.saturating_sub(gpus).max(cpus / 2);
        slots.push(Slot { gpu: None, threads: u32::try_from(rest).unwrap_or(1).max(1) });
    }
    slots
}

/// Whether a run on this device may take this slot. One on the processor takes a GPU's only where no slot
/// is the processor's.
pub fn fits(wish: &Wish, slot: &Slot, seen: &Observation) -> bool {
    match (wish, slot.gpu) {
        (Wish::Cpu, _) => slot.gpu.is_none() || seen.slots.iter().all(|slot| slot.gpu.is_some()),
        (_, Some(gpu)) => is_meant(wish, gpu, seen) && !matches!(seen.state(gpu), GpuState::Lost(_)),
        (_, None) => false,
    }
}

/// Whether a run with this wish would take that GPU, if it were free and well.
pub(super) fn is_meant(wish: &Wish, gpu: usize, seen: &Observation) -> bool {
    match wish {
        Wish::Cpu => false,
        Wish::AnyGpu => true,
        Wish::Gpu(position) => gpu == *position,
        Wish::Model(name) => seen.gpus.get(gpu) == Some(name),
    }
}

/// What is left while runs are placed one after the other.
pub(super) struct Places<'a> {
    seen: &'a Observation<'a>,
    taken: Vec<bool>,
    gpus: Vec<Option<GpuMemory>>,
    /// GPUs on which nothing more starts, by position, and for whose sake.
    kept: BTreeMap<usize, Kept>,
    /// Runs that wait for a GPU's own runs to end, with its position.
    waits_at: Vec<(usize, usize)>,
    /// Such runs, and those that start there all the same.
    pub passed: Vec<(usize, usize)>,
    /// More runs wait for a GPU than GPUs are without one.
    several: bool,
    /// Threads of runs at work on the processor.
    busy_threads: u32,
    /// The run whose like the processor is to be divided among, and how many there are.
    divisible: Option<(usize, usize)>,
    /// A probe was asked for: what it finds out changes where the next ones go.
    probes: bool,
    /// A division of the processor was asked for: while it is measured nothing else may use it.
    divides: bool,
    /// Something waits for what this runner does not decide: other people's memory, a measurement.
    pub wait_for_others: bool,
}

impl<'a> Places<'a> {
    /// `may_start` says whether a waiting run would start if it had a place.
    pub(super) fn new(seen: &'a Observation, may_start: impl Fn(&Run) -> bool) -> Places<'a> {
        let mut taken = vec![false; seen.slots.len()];
        let mut gpus = seen.vacancies.gpus.to_vec();
        let mut busy_threads = 0;
        for run in seen.runs {
            let slot = match &run.standing {
                Standing::Live(worker) => worker.slot,
                Standing::Preparing(Preparing { slot: Some(slot), .. }) => {
                    // The driver tells only of those that live.
                    if run.wish != Wish::Cpu {
                        promise(&mut gpus, seen.slots.get(*slot).and_then(|slot| slot.gpu), run);
                    }
                    Some(*slot)
                }
                _ => continue,
            };
            if let Some(slot) = slot.filter(|slot| *slot < taken.len()) {
                taken[slot] = true;
            }
            if run.wish == Wish::Cpu {
                busy_threads += run.threads.in_slot(1);
            }
        }
        let waiting: Vec<(usize, &Run)> = seen
            .runs
            .iter()
            .enumerate()
            .filter(|(_, run)| run.standing == Standing::Waiting && may_start(run))
            .collect();
        let empty = gpus.iter().flatten().filter(|gpu| gpu.tenants.is_empty()).count();
        let places = seen.slots.iter().filter(|slot| slot.gpu.is_some()).count();
        let may_share = places > seen.gpus.len();
        Places {
            several: may_share && waiting.iter().filter(|(_, run)| run.wish != Wish::Cpu).count() > empty,
            divisible: divisible(&waiting),
            seen,
            taken,
            gpus,
            kept: BTreeMap::new(),
            waits_at: Vec::new(),
            passed: Vec::new(),
            busy_threads,
            probes: false,
            divides: false,
            wait_for_others: false,
        }
    }

    /// What is to be done so that the run starts, or why it waits.
    pub(super) fn place(&mut self, index: usize, run: &Run) -> Result<Action, Reason> {
        match run.wish {
            Wish::Cpu => self.on_processor(index, run),
            _ => self.on_gpu(index, run),
        }
    }

    fn on_processor(&mut self, index: usize, run: &Run) -> Result<Action, Reason> {
        let measures = Reason::Waits("until it is measured how threads are best divided".to_owned());
        match self.seen.vacancies.processor {
            Processor::Measuring => {
                self.wait_for_others = true;
                return Err(measures);
            }
            Processor::Open if self.divides => return Err(measures),
            Processor::Open if self.busy_threads == 0 => {
                if let Some((run, runs)) = self.divisible {
                    self.divides = true;
                    return Ok(Action::Divide { run, runs });
                }
            }
            _ => {}
        }
        let slot = self.free_slot(&run.wish).ok_or_else(|| waiting_for(&run.wish))?;
        let threads = run.threads.in_slot(self.seen.slots[slot].threads);
        let fits = self.seen.vacancies.cores.is_none_or(|cores| self.busy_threads + threads <= cores);
        // More threads than cores wait for each other; alone a run may have what it had before.
        if !fits && self.busy_threads > 0 {
            return Err(waiting_for(&run.wish));
        }
        self.busy_threads += threads;
        self.taken[slot] = true;
        Ok(Action::Start { run: index, slot })
    }

    fn on_gpu(&mut self, index: usize, run: &Run) -> Result<Action, Reason> {
        let (mut probe, mut waits, mut full, mut too_large) = (None, None, false, None);
        // A GPU that others use in part, and whether one that they do not use becomes free by itself.
        let (mut tight, mut has_better) = (None, false);
        let mut looked_at = Vec::new();
        let mut waits_at = Vec::new();
        for slot in 0..self.seen.slots.len() {
            let fits = fits(&run.wish, &self.seen.slots[slot], self.seen);
            let Some(position) = self.seen.slots[slot].gpu.filter(|_| fits) else { continue };
            // Nothing starts on one that was lost before it has answered.
            let is_free = !self.taken[slot] && self.seen.state(position) != &GpuState::Unsure;
            let Some(gpu) = self.gpus.get(position).and_then(Option::as_ref) else {
                if is_free {
                    return Ok(self.start(index, slot, run));
                }
                full = true;
                has_better = true;
                continue;
            };
            if looked_at.contains(&position) {
                continue;
            }
            if let Some(kept) = self.kept.get(&position) {
                looked_at.push(position);
                waits = waits.or(Some(kept.reason(gpu.index)));
                has_better = true;
                continue;
            }
            let verdict = admission::admit(run.need, gpu, self.seen.vacancies.rules, self.several);
            has_better |=
                !gpu.is_crowded(self.seen.vacancies.rules) && !matches!(verdict, Verdict::TooLarge(_));
            match verdict {
                Verdict::TooLarge(reason) => too_large = too_large.or(Some(reason)),
                _ if !is_free => {
                    full = true;
                    continue;
                }
                Verdict::Fits => return Ok(self.start(index, slot, run)),
                Verdict::Tight(reason) => tight = tight.or(Some((slot, reason))),
                Verdict::Probe => probe = probe.or(Some(position)),
                Verdict::Waits(reason) => {
                    waits = waits.or(Some(reason));
                    if admission::would_fit(run.need, gpu, self.seen.vacancies.rules) {
                        waits_at.push((gpu.available(), position));
                    }
                }
            }
            looked_at.push(position);
        }
        match tight {
            Some((slot, _)) if !has_better => return Ok(self.start(index, slot, run)),
            Some((_, reason)) => waits = waits.or(Some(reason)),
            None => {}
        }
        match (probe, waits, too_large) {
            (Some(_), ..) if self.probes => {
                Err(Reason::Waits("until it is known what another run takes".to_owned()))
            }
            (Some(gpu), ..) => {
                self.probes = true;
                if let Some(memory) = &mut self.gpus[gpu] {
                    memory.probed = Some(format!("{}/{}", run.experiment, run.name));
                }
                Ok(Action::Probe { run: index, gpu })
            }
            (None, Some(reason), _) => {
                self.wait_for_others = true;
                let reason = match self.wait_at(index, run, waits_at) {
                    Some(gpu) => format!("{reason}; GPU {gpu} is kept for it"),
                    None => reason,
                };
                Err(Reason::Waits(reason))
            }
            (None, None, Some(reason)) if !full => Err(Reason::Held(reason)),
            _ => Err(waiting_for(&run.wish)),
        }
    }

    /// Lets a run wait for one of these GPUs, each with what is available there. Where it was passed often
    /// enough, the one is kept for it that has come furthest, and its number is given.
    fn wait_at(&mut self, index: usize, run: &Run, gpus: Vec<(u64, usize)>) -> Option<u32> {
        self.waits_at.extend(gpus.iter().map(|(_, gpu)| (index, *gpu)));
        // Of equals the first.
        let (_, gpu) = gpus.into_iter().rev().max_by_key(|(available, _)| *available)?;
        if !run.passed.is_enough() {
            return None;
        }
        let kept = Kept { name: format!("{}/{}", run.experiment, run.name), passed: run.passed };
        self.kept.insert(gpu, kept);
        self.gpus[gpu].as_ref().map(|memory| memory.index)
    }

    fn start(&mut self, index: usize, slot: usize, run: &Run) -> Action {
        self.taken[slot] = true;
        let position = self.seen.slots[slot].gpu;
        let passed = self.waits_at.iter().filter(|(_, gpu)| Some(*gpu) == position);
        self.passed.extend(passed.map(|(waiting, _)| (*waiting, index)));
        promise(&mut self.gpus, position, run);
        Action::Start { run: index, slot }
    }

    fn free_slot(&self, wish: &Wish) -> Option<usize> {
        let slots = &self.seen.slots;
        (0..slots.len()).find(|&slot| !self.taken[slot] && fits(wish, &slots[slot], self.seen))
    }
}

/// Counts in what a run will take of the GPU at this position, of which it holds nothing yet.
fn promise(gpus: &mut [Option<GpuMemory>], position: Option<usize>, run: &Run) {
    let gpu = position.and_then(|gpu| gpus.get_mut(gpu));
    if let Some(gpu) = gpu.and_then(Option::as_mut) {
        let need = admission::expected(run.need);
        gpu.tenants.push(Tenant { name: format!("{}/{}", run.experiment, run.name), need, used: None });
    }
}

/// The run to divide the processor by, and how many like it wait: one that has not begun, where there are
/// several, because those that have keep their threads.
fn divisible(waiting: &[(usize, &Run)]) -> Option<(usize, usize)> {
    let of = |may: fn(Threads) -> bool| {
        let runs = waiting.iter().filter(move |(_, run)| run.wish == Wish::Cpu && may(run.threads));
        let count = at_once(runs.clone().map(|(_, run)| *run));
        runs.map(|(index, _)| (*index, count)).next().filter(|(_, count)| *count > 1)
    };
    of(|threads| threads == Threads::Open).or_else(|| of(|threads| !matches!(threads, Threads::Given(_))))
}

/// How many of these runs their experiments' limits let work at once.
fn at_once<'a>(runs: impl Iterator<Item = &'a Run>) -> usize {
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for run in runs {
        let limit = run.limit.map_or(usize::MAX, |limit| limit as usize);
        let (count, most) = counts.entry(&run.experiment).or_insert((0, limit));
        (*count, *most) = (*count + 1, limit.min(*most));
    }
    counts.values().map(|(count, most)| count.min(most)).sum()
}
