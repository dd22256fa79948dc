//! When runs will probably start and end, from what steps took so far. Pure, and honest about what
//! it cannot know: no rate, no estimate.

use std::collections::BTreeMap;

use super::admission::{self, GpuMemory, Rules};
use super::schedule::Slot;

/// Seconds that steps took, by experiment and by what of the settings decides the rate: runs of one
/// experiment may have models of different size.
#[derive(Debug, Default)]
pub struct Rates {
    /// Of whole runs, which know evaluations and checkpoints too: seconds and steps.
    whole: BTreeMap<String, BTreeMap<String, (f64, u64)>>,
    /// Seconds for a step of the last run that has come a part of its way.
    partial: BTreeMap<String, BTreeMap<String, f64>>,
}

impl Rates {
    /// Takes in that `steps` of a run of `experiment` with these settings took `seconds`.
    pub fn add(&mut self, experiment: &str, settings: &str, seconds: f64, steps: u64) {
        if steps > 0 && seconds.is_finite() && seconds >= 0.0 {
            let entry = within(&mut self.whole, experiment, settings);
            entry.0 += seconds;
            entry.1 += steps;
        }
    }

    /// Takes in how long a step of a run takes that is not at its end.
    pub fn add_partial(&mut self, experiment: &str, settings: &str, seconds_per_step: f64) {
        if seconds_per_step.is_finite() && seconds_per_step >= 0.0 {
            *within(&mut self.partial, experiment, settings) = seconds_per_step;
        }
    }

    /// Seconds for `steps` more of that experiment: as runs of these settings took, else as all of the
    /// experiment did. One that was never measured gives none, because another experiment's steps say
    /// nothing about it.
    pub fn seconds(&self, experiment: &str, settings: &str, steps: u64) -> Option<f64> {
        let whole = self.whole.get(experiment);
        let partial = self.partial.get(experiment);
        let mean = |(seconds, steps): (f64, u64)| seconds / steps as f64;
        let of_all = |whole: &BTreeMap<String, (f64, u64)>| {
            mean(whole.values().fold((0.0, 0), |sum, more| (sum.0 + more.0, sum.1 + more.1)))
        };
        let per_step = whole
            .and_then(|whole| whole.get(settings).copied())
            .map(mean)
            .or_else(|| partial?.get(settings).copied())
            .or_else(|| whole.map(of_all))
            .or_else(|| partial?.values().copied().reduce(f64::max))?;
        Some(per_step * steps as f64)
    }
}

fn within<'a, T: Default>(
    of: &'a mut BTreeMap<String, BTreeMap<String, T>>,
    experiment: &str,
    settings: &str,
) -> &'a mut T {
    of.entry(experiment.to_owned()).or_default().entry(settings.to_owned()).or_default()
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
    fn rates_are_means_over_measured_steps_of_the_same_settings_else_of_the_experiment() {
        let mut rates = Rates::default();
        rates.add("x", "small", 10.0, 100);
        rates.add("x", "small", 30.0, 100);
        rates.add("x", "large", 260.0, 100);
        rates.add("broken", "", f64::NAN, 100);
        rates.add("broken", "", 1.0, 0);
        assert_eq!(rates.seconds("x", "small", 50), Some(10.0));
        assert_eq!(rates.seconds("x", "other", 50), Some(50.0), "the mean of all");
        rates.add_partial("x", "other", 0.5);
        assert_eq!(rates.seconds("x", "other", 50), Some(25.0), "first steps of its own are better");
        rates.add_partial("x", "small", 0.5);
        assert_eq!(rates.seconds("x", "small", 50), Some(10.0), "whole runs are better than first steps");
        rates.add_partial("broken", "", f64::NAN);
        assert_eq!(rates.seconds("broken", "", 50), None);
        rates.add_partial("broken", "a", 0.5);
        rates.add_partial("broken", "b", 0.2);
        assert_eq!(rates.seconds("broken", "c", 50), Some(25.0), "the slower one, where nobody knows");
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
