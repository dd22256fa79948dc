//! When runs will probably start and end, from what steps took so far. Pure, and honest about what
//! it cannot know: no rate, no estimate.

use std::collections::BTreeMap;

use super::admission::{self, GpuMemory, Rules};
use super::schedule::Slot;

/// Seconds a step took, by experiment.
#[derive(Debug, Default)]
pub struct Rates {
    measured: BTreeMap<String, (f64, u64)>,
}

impl Rates {
    /// Takes in that `steps` of a run of `experiment` took `seconds`.
    pub fn add(&mut self, experiment: &str, seconds: f64, steps: u64) {
        if steps > 0 && seconds.is_finite() && seconds >= 0.0 {
            let entry = self.measured.entry(experiment.to_owned()).or_default();
            entry.0 += seconds;
            entry.1 += steps;
        }
    }

    /// Seconds for `steps` more of that experiment; one that was never measured gives none, because
    /// another experiment's steps say nothing about it.
    pub fn seconds(&self, experiment: &str, steps: u64) -> Option<f64> {
        let (seconds, measured) = self.measured.get(experiment)?;
        Some(seconds / *measured as f64 * steps as f64)
    }
}

/// Which slots runs can be expected to use: on a GPU those that are taken, and as many more as its memory
/// has room for runs that take `need` bytes, or one where nobody knows what they take.
pub fn usable(
    slots: &[Slot],
    taken: &[bool],
    gpus: &[Option<GpuMemory>],
    need: Option<u64>,
    rules: Rules,
) -> Vec<bool> {
    let mut usable = taken.to_vec();
    for (position, gpu) in gpus.iter().enumerate() {
        let of_gpu = || (0..slots.len()).filter(|slot| slots[*slot].gpu == Some(position));
        let busy = of_gpu().filter(|slot| taken[*slot]).count();
        let more = match (gpu, need) {
            (None, _) => slots.len(),
            (Some(gpu), Some(need)) => admission::room_for(need, gpu, rules) as usize,
            (Some(_), None) => usize::from(busy == 0),
        };
        of_gpu().filter(|slot| !taken[*slot]).take(more).for_each(|slot| usable[slot] = true);
    }
    slots.iter().zip(usable).map(|(slot, usable)| usable || slot.gpu.is_none()).collect()
}

/// Start and end of each waiting run, in seconds from now, when runs take the slot that is free
/// first. `slots` holds the seconds until each slot is free, `waiting` what each run takes; a slot
/// that gets a run of unknown length is unknown from then on.
pub fn simulate(slots: &[Option<f64>], waiting: &[Option<f64>]) -> Vec<(Option<f64>, Option<f64>)> {
    let mut free = slots.to_vec();
    waiting
        .iter()
        .map(|seconds| {
            let next = (0..free.len())
                .filter(|&slot| free[slot].is_some())
                .min_by(|&a, &b| free[a].partial_cmp(&free[b]).unwrap_or(std::cmp::Ordering::Equal));
            let Some(next) = next else { return (None, None) };
            let start = free[next];
            let end = start.zip(*seconds).map(|(start, seconds)| start + seconds);
            free[next] = end;
            (start, end)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_means_over_all_measured_steps_of_an_experiment() {
        let mut rates = Rates::default();
        rates.add("x", 10.0, 100);
        rates.add("x", 30.0, 100);
        rates.add("broken", f64::NAN, 100);
        rates.add("broken", 1.0, 0);
        assert_eq!(rates.seconds("x", 50), Some(10.0));
        assert_eq!(rates.seconds("broken", 50), None);
    }

    #[test]
    fn a_gpu_has_as_many_places_as_its_memory_has_room() {
        const GIB: u64 = 1 << 30;
        let slot = |gpu| Slot { gpu, threads: 1 };
        let slots = [slot(Some(0)), slot(Some(1)), slot(Some(0)), slot(Some(1)), slot(None)];
        let gpu = |free| Some(GpuMemory { total: 24 * GIB, free: free * GIB, ..GpuMemory::default() });
        let found = |taken: [bool; 5], gpus: &[_], need| {
            usable(&slots, &taken, gpus, need, Rules::default())
                .iter()
                .map(|yes| u8::from(*yes))
                .collect::<Vec<_>>()
        };
        let (none, first) = ([false; 5], [true, false, false, false, false]);
        assert_eq!(found(none, &[gpu(24), gpu(24)], Some(10 * GIB)), [1, 1, 1, 1, 1]);
        assert_eq!(found(none, &[gpu(24), gpu(24)], Some(20 * GIB)), [1, 1, 0, 0, 1]);
        assert_eq!(
            found(none, &[gpu(24), gpu(5)], Some(20 * GIB)),
            [1, 0, 0, 0, 1],
            "others fill the second"
        );
        assert_eq!(found(first, &[gpu(4), gpu(24)], Some(20 * GIB)), [1, 1, 0, 0, 1]);
        assert_eq!(found(first, &[gpu(4), gpu(24)], None), [1, 1, 0, 0, 1], "alone, where nothing is known");
        assert_eq!(found(none, &[None, None], None), [1, 1, 1, 1, 1], "as many as were asked for");
    }

    #[test]
    fn runs_take_the_slot_that_is_free_first() {
        let plan = simulate(&[Some(10.0), Some(0.0)], &[Some(5.0), Some(7.0), None, Some(1.0), Some(1.0)]);
        assert_eq!(plan[0], (Some(0.0), Some(5.0)));
        assert_eq!(plan[1], (Some(5.0), Some(12.0)));
        assert_eq!(plan[2], (Some(10.0), None), "its slot is unknown from then on");
        assert_eq!(plan[3], (Some(12.0), Some(13.0)));
        assert_eq!(simulate(&[None], &[Some(1.0)]), [(None, None)]);
        assert_eq!(simulate(&[], &[Some(1.0)]), [(None, None)]);
    }
}
