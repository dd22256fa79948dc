//! What the runner knows of GPU memory in this batch: who holds what, what runs took, what ended runs have
//! not given back. Decides nothing; [`admission`](super::admission) does.

mod takings;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::admission::{GpuMemory, Need, Probing, Source, Tenant, expected};
use super::devices::Gpu;
use super::devices::memory::DeviceMemory;
use super::tracked::Tracked;
use crate::run_dir::records::{Attempt, MeasuredMemory, exit};

pub use takings::{Held, Takings};

/// As long as memory of an ended run is waited for; then what the driver says counts.
const GIVING_BACK: Duration = Duration::from_secs(30);

/// A probe that has answered is not kept any longer than this for want of a sample.
const SILENCE: Duration = Duration::from_secs(10);

/// What is known of the memory of this machine's GPUs.
#[derive(Default)]
pub struct GpuMemories {
    /// By position.
    gpus: Vec<Looked>,
    /// The most that runs of these settings took.
    measured: BTreeMap<String, u64>,
    /// What probes found out, by settings.
    probed: BTreeMap<String, Probed>,
    /// The probe that is at work.
    probe: Option<Probe>,
    /// When the driver was asked for what was looked at last.
    sampled: Option<Instant>,
}

/// What a probe came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probed {
    Takes(u64),
    /// So much was there, and it was too little.
    MoreThan(u64),
    Failed,
}

/// A probe at work on a GPU.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The run that is tried out.
    pub name: String,
    pub settings: String,
    pub gpu: usize,
    pub process: Option<u32>,
    /// What it was given.
    pub room: u64,
    takings: Takings,
}

/// One GPU as it was looked at last.
#[derive(Default)]
struct Looked {
    memory: Option<DeviceMemory>,
    /// What is held by nobody of ours whose use the driver tells, and is not on its way back.
    untold: u64,
    /// The same when all of ours were told apart.
    others: u64,
    /// By how much that grew since.
    grown: u64,
    returning: Vec<Returning>,
}

/// Memory that an ended run held.
struct Returning {
    bytes: u64,
    /// Of [`Held::expected`].
    expected: u64,
    since: Instant,
}

impl GpuMemories {
    pub fn new(gpus: usize) -> GpuMemories {
        GpuMemories { gpus: (0..gpus).map(|_| Looked::default()).collect(), ..GpuMemories::default() }
    }

    /// Takes in what an earlier batch found out by probes.
    pub fn recall(&mut self, gpus: &[Gpu], found: impl IntoIterator<Item = MeasuredMemory>) {
        for memory in found {
            if gpus.iter().any(|gpu| gpu.name == memory.gpu) {
                self.probed.insert(memory.settings, Probed::Takes(memory.bytes));
            }
        }
    }

    /// Takes in what the attempts of a run were measured to take.
    pub fn learn(&mut self, run: &Tracked) {
        for Measured { settings, bytes, sufficed } in measured(run) {
            if sufficed {
                let known = self.measured.entry(settings).or_default();
                *known = bytes.max(*known);
            } else if self.probed.get(&settings).is_none_or(|probed| probed.bytes() < bytes) {
                self.probed.insert(settings, Probed::MoreThan(bytes));
            }
        }
    }

    /// Takes in what the driver said when it was asked `at` that moment, of each GPU by position, and finds
    /// what each run of ours holds there. What is known already changes nothing, and silence leaves nothing
    /// to rely on.
    pub fn look(&mut self, told: Option<(Instant, Vec<Option<&DeviceMemory>>)>, runs: &mut [Tracked]) {
        let Some((at, memories)) = told else {
            self.gpus.iter_mut().for_each(|looked| looked.memory = None);
            return;
        };
        if self.sampled.is_some_and(|sampled| sampled >= at) {
            return;
        }
        self.sampled = Some(at);
        for (position, memory) in memories.into_iter().enumerate() {
            let Some(looked) = self.gpus.get_mut(position) else { continue };
            looked.memory = memory.cloned();
            let Some(memory) = &looked.memory else { continue };
            let workers = runs.iter_mut().filter_map(|run| run.worker.as_mut());
            let workers = workers.filter(|worker| worker.gpu == Some(position));
            let mut holders: Vec<(Option<u32>, &mut Takings)> = workers
                .map(|worker| (worker.handle.as_ref().map(|h| h.process), &mut worker.takings))
                .filter(|(_, takings)| takings.had_begun(at))
                .collect();
            if let Some(probe) = self.probe.as_mut().filter(|probe| probe.gpu == position) {
                holders.extend(probe.takings.had_begun(at).then_some((probe.process, &mut probe.takings)));
            }
            let told_of = |process: Option<u32>| process.and_then(|process| memory.of(process));
            let told: u64 = holders.iter().filter_map(|(process, _)| told_of(*process)).sum();
            // What would be free if those told of were gone: no growth of theirs changes it.
            let net = (memory.free + told).min(memory.total);
            looked.returning.retain(|returning| {
                let waited = at.checked_duration_since(returning.since);
                // A little may have been taken by others meanwhile.
                let is_back = net + returning.bytes / 20 >= returning.expected;
                waited.is_none_or(|waited| !is_back && waited < GIVING_BACK)
            });
            let returning: u64 = looked.returning.iter().map(|returning| returning.bytes).sum();
            looked.untold = memory.held().saturating_sub(told + returning);
            let mut untold: Vec<&mut Takings> = Vec::new();
            for (process, takings) in holders {
                match told_of(process) {
                    Some(bytes) => takings.told(bytes, net),
                    None => untold.push(takings),
                }
            }
            if untold.is_empty() {
                looked.others = looked.untold;
            }
            looked.grown = looked.untold.saturating_sub(looked.others);
            let alone = untold.len() == 1;
            for takings in untold {
                takings.untold(looked.untold, alone, net);
            }
        }
    }

    /// A run on this GPU has ended, and held so much at the last look.
    pub fn ended(&mut self, gpu: Option<usize>, takings: &Takings, now: Instant) {
        let Some(looked) = gpu.and_then(|gpu| self.gpus.get_mut(gpu)) else { return };
        let Some(Held { bytes, expected }) = takings.last() else { return };
        looked.returning.push(Returning { bytes, expected, since: now });
    }

    /// What this run takes of a GPU, from the surest source that says anything.
    pub fn need(&self, run: &Tracked) -> Need {
        let settings = run.settings_key();
        if let Some(need) = own(&measured(run), &settings) {
            return need;
        }
        if let Some(bytes) = self.measured.get(&settings) {
            return Need::Known { bytes: *bytes, source: Source::Alike };
        }
        let record = run.seen.record.as_ref().ok();
        let said = record.and_then(|record| record.settings.resources.gpu_memory_mib);
        // The file speaks of the split that it asks for, not of the smaller one after that was too large.
        if let Some(mib) = said.filter(|_| run.has_split_of_its_file()) {
            return Need::Known { bytes: u64::from(mib) << 20, source: Source::File };
        }
        match self.probed.get(&settings) {
            Some(Probed::Takes(bytes)) => Need::Known { bytes: *bytes, source: Source::Probe },
            Some(Probed::MoreThan(bytes)) => Need::MoreThan(*bytes),
            Some(Probed::Failed) => Need::Unknown(Probing::Failed),
            None if self.probe.as_ref().is_some_and(|probe| probe.settings == settings) => {
                Need::Unknown(Probing::UnderWay)
            }
            None => Need::Unknown(Probing::Possible),
        }
    }

    /// Each GPU as a decision sees it, by position.
    pub fn gpus(&self, gpus: &[Gpu], runs: &[Tracked]) -> Vec<Option<GpuMemory>> {
        let see = |(position, (looked, gpu)): (usize, (&Looked, &Gpu))| {
            let memory = looked.memory.as_ref()?;
            let probe = self.probe.as_ref().filter(|probe| probe.gpu == position);
            Some(GpuMemory {
                index: gpu.index,
                total: memory.total,
                free: memory.free,
                tenants: runs.iter().filter_map(|run| self.tenant(run, position)).collect(),
                grown: looked.grown,
                returning: looked.returning.iter().map(|returning| returning.bytes).sum(),
                probed: probe.map(|probe| probe.name.clone()),
            })
        };
        self.gpus.iter().zip(gpus).enumerate().map(see).collect()
    }

    fn tenant(&self, run: &Tracked, position: usize) -> Option<Tenant> {
        let worker = run.worker.as_ref().filter(|worker| worker.gpu == Some(position))?;
        let known = expected(self.need(run));
        // More than was thought, or, after its first evaluation, all that is known.
        let shown = worker.takings.peak().filter(|_| known.is_some() || run.is_settled());
        Some(Tenant { name: run.name(), need: known.max(shown), used: worker.takings.now() })
    }

    /// A probe begins on this GPU, and may take so much.
    pub fn begin_probe(&mut self, run: &Tracked, gpu: usize, room: u64) {
        let takings = self.takings(gpu, Some(Instant::now()));
        let (name, settings) = (run.name(), run.settings_key());
        self.probe = Some(Probe { name, settings, gpu, process: None, room, takings });
    }

    /// The probe's process, once it is started.
    pub fn probe_started(&mut self, process: Option<u32>) {
        if let Some(probe) = &mut self.probe {
            probe.process = process;
        }
    }

    /// The probe was ended before it could say anything.
    pub fn drop_probe(&mut self, now: Instant) {
        if let Some(probe) = self.probe.take() {
            self.ended(Some(probe.gpu), &probe.takings, now);
        }
    }

    /// The probe has ended with this. Gives what it tried out.
    pub fn end_probe(
        &mut self,
        found: impl FnOnce(&Probe) -> Probed,
        now: Instant,
    ) -> Option<(Probe, Probed)> {
        let probe = self.probe.take()?;
        let found = found(&probe);
        self.ended(Some(probe.gpu), &probe.takings, now);
        self.probed.insert(probe.settings.clone(), found);
        Some((probe, found))
    }

    /// What is to be seen of a process that begins there at that moment, or that was there before.
    pub fn takings(&self, gpu: usize, begun: Option<Instant>) -> Takings {
        let before = self.gpus.get(gpu).map_or(0, |looked| looked.untold);
        Takings::new(before, begun)
    }

    /// When the driver was asked for what is known.
    pub fn sampled(&self) -> Option<Instant> {
        self.sampled
    }
}

/// Whether a probe that answered then can be let go: what it held at that moment is known, or nobody
/// will tell it.
pub fn is_seen(answered: Instant, sampled: Option<Instant>, now: Instant) -> bool {
    sampled.is_some_and(|at| at > answered) || now.saturating_duration_since(answered) >= SILENCE
}

impl Probed {
    /// What it is known to take at least.
    fn bytes(self) -> u64 {
        match self {
            Probed::Takes(bytes) | Probed::MoreThan(bytes) => bytes,
            Probed::Failed => 0,
        }
    }
}

impl Probe {
    /// The most it was seen to hold.
    pub fn peak(&self) -> Option<u64> {
        self.takings.peak()
    }
}

/// What a run's own attempts say of its next one. Only the same split tells: what was too little for
/// twice as many examples at once says nothing about half of them.
fn own(measured: &[Measured], settings: &str) -> Option<Need> {
    let most = |sufficed: bool| {
        let like = measured.iter().filter(|one| one.settings == settings && one.sufficed == sufficed);
        like.map(|one| one.bytes).max()
    };
    match (most(true), most(false)) {
        (Some(bytes), too_little) if too_little.is_none_or(|too_little| too_little < bytes) => {
            Some(Need::Known { bytes, source: Source::LastTime })
        }
        (_, too_little) => too_little.map(Need::MoreThan),
    }
}

/// What one attempt was measured to take.
struct Measured {
    /// The settings with the split that it had.
    settings: String,
    bytes: u64,
    /// Otherwise it was out of memory with so much.
    sufficed: bool,
}

fn measured(run: &Tracked) -> Vec<Measured> {
    let mut orders = None;
    let mut found = Vec::new();
    for line in &run.seen.attempts {
        match line {
            Attempt::Start(start) => orders = Some(start),
            Attempt::End(end) => {
                let start = orders.filter(|start| start.attempt == end.attempt);
                if let (Some(start), Some(bytes)) = (start, end.device_memory_bytes) {
                    let settings = run.key_with(start.micro_batch, start.accumulate);
                    let sufficed = end.code != Some(exit::OUT_OF_DEVICE_MEMORY);
                    found.push(Measured { settings, bytes, sufficed });
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_that_answered_is_kept_until_a_later_sample_shows_what_it_holds() {
        let answered = Instant::now();
        let at = |seconds: u64| answered + Duration::from_secs(seconds);
        let before = answered.checked_sub(Duration::from_millis(1));
        assert!(!is_seen(answered, before, at(1)), "the driver was asked before that");
        assert!(!is_seen(answered, None, at(1)));
        assert!(is_seen(answered, Some(at(1)), at(1)));
        assert!(is_seen(answered, None, at(10)), "the driver is silent");
    }

    #[test]
    fn attempts_of_the_same_split_tell_what_the_next_one_takes() {
        let one = |settings: &str, bytes, sufficed| Measured { settings: settings.into(), bytes, sufficed };
        let known = |bytes| Some(Need::Known { bytes, source: Source::LastTime });
        let table = [
            (vec![], None, "nothing was measured"),
            (vec![one("8x1", 5, true), one("8x1", 3, true)], known(5), "the most that sufficed"),
            (vec![one("16x1", 9, false)], None, "what was too little for twice as many at once"),
            (vec![one("16x1", 9, true), one("16x1", 7, false)], None, "another split"),
            (vec![one("8x1", 6, false)], Some(Need::MoreThan(6)), "as many at once were too many"),
            (vec![one("8x1", 5, true), one("8x1", 3, false)], known(5), "others had the rest then"),
            (vec![one("8x1", 5, true), one("8x1", 7, false)], Some(Need::MoreThan(7)), "it grew"),
        ];
        for (measured, expected, why) in table {
            assert_eq!(own(&measured, "8x1"), expected, "{why}");
        }
    }
}
