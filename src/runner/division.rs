//! How the processor's threads are divided among runs so that a batch ends soonest. Pure: measured rates
//! go in, a division comes out.

mod guess;
mod sample;

use crate::run_dir::records::{DivisionRate, MeasuredDivision};

pub use guess::seconds_at_most;
pub use sample::{Refusal, refusal};

/// Another division must end the batch so much sooner to be preferred: measurements of a few seconds
/// are no better than that.
const LEAST_GAIN: f64 = 0.03;

/// A measurement may cost this part of what the batch takes undivided.
const WORTH: f64 = 0.1;

/// A further division is not measured when the last one was slower than the best by more than this.
const HOPELESS: f64 = 0.9;

/// Others may take this part of the processor while it is measured for a later batch to rely on it.
const QUIET: f64 = 0.1;

/// Drivers, libraries and what else runs on the machine change: after so many seconds it is measured anew.
const REMEMBERED_SECONDS: f64 = 7.0 * 24.0 * 3600.0;

/// How far the processor's division is known in this batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Processor {
    /// Given by a person, measured, or not worth it.
    #[default]
    Settled,
    /// Nobody has looked yet.
    Open,
    Measuring,
}

/// Runs at once that divide `cores` without a rest, at most `runs`, in rising order.
pub fn candidates(cores: u32, runs: usize) -> Vec<u32> {
    let most = u32::try_from(runs).unwrap_or(u32::MAX);
    (1..=cores.min(most)).filter(|count| cores.is_multiple_of(*count)).collect()
}

/// The division to measure next, in runs at once. None when what is known is enough: everything was
/// measured, dividing further only slows down, memory would not do, or the batch is too short.
pub fn next(known: &[DivisionRate], seen: &Batch) -> Option<u32> {
    let candidates = candidates(seen.cores, seen.runs);
    let next = candidates.into_iter().find(|runs| known.iter().all(|rate| rate.runs < *runs))?;
    let Some(last) = known.last() else { return (seen.cores > 1 && seen.runs > 1).then_some(next) };
    let best = known.iter().map(|rate| rate.steps_per_second).fold(0.0, f64::max);
    let fits = seen.memory_left_bytes.is_none_or(|left| u64::from(next) * seen.run_bytes <= left);
    let undivided = batch_seconds(&known[0], seen.runs, seen.steps);
    let pays = undivided * WORTH >= seen.measuring_seconds;
    (last.steps_per_second >= best * HOPELESS && fits && pays).then_some(next)
}

/// What decides whether measuring goes on.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    pub cores: u32,
    /// Runs that wait and may be divided.
    pub runs: usize,
    /// Of one of them.
    pub steps: u64,
    /// What one measurement takes.
    pub measuring_seconds: f64,
    /// Memory of one run's process.
    pub run_bytes: u64,
    /// Memory of the machine that runs may take together, where it is known.
    pub memory_left_bytes: Option<u64>,
}

/// What a measurement is of: another of any of these says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Like<'a> {
    pub settings: &'a str,
    /// The processor as it names itself.
    pub processor: &'a str,
    /// Threads that may be used.
    pub cores: u32,
    /// Version, with its local part.
    pub libtorch: &'a str,
}

/// What an earlier batch measured of such runs on such a processor, unless that is too long ago or the
/// machine was busy with something else. `known` has the oldest first.
pub fn remembered<'a>(known: &'a [MeasuredDivision], like: Like, now: f64) -> Option<&'a MeasuredDivision> {
    let same = |known: &&MeasuredDivision| {
        let MeasuredDivision { settings, processor, cores, libtorch, .. } = *known;
        Like { settings, processor, cores: *cores, libtorch } == like
    };
    // A clock that went back makes a record of the future no younger.
    let is_fresh = |known: &&MeasuredDivision| (now - known.time).abs() <= REMEMBERED_SECONDS;
    known.iter().rev().filter(same).find(|known| is_fresh(known) && is_quiet(known.others))
}

/// Whether what was measured meanwhile says something about later.
pub fn is_quiet(others: Option<f64>) -> bool {
    others.is_none_or(|part| part <= QUIET)
}

/// Part of the processor's time between two readings, each of ticks taken and ticks there were, that
/// went to others than us.
pub fn part_of_others(before: (u64, u64), after: (u64, u64), ours: u64) -> Option<f64> {
    let (busy, all) = (after.0.checked_sub(before.0)?, after.1.checked_sub(before.1)?);
    (all > 0).then(|| busy.saturating_sub(ours) as f64 / all as f64)
}

/// Whether measuring is worth its while at all, from how long the runs would take one after another.
pub fn pays(undivided_seconds: f64, measuring_seconds: f64) -> bool {
    undivided_seconds * WORTH >= measuring_seconds
}

/// The division under which `runs` equal runs end soonest.
pub fn best(known: &[DivisionRate], runs: usize, steps: u64) -> Option<DivisionRate> {
    let sound = |rate: &&DivisionRate| rate.steps_per_second.is_finite() && rate.steps_per_second > 0.0;
    known.iter().filter(sound).copied().reduce(|best, rate| {
        let (now, then) = (batch_seconds(&best, runs, steps), batch_seconds(&rate, runs, steps));
        if then < now * (1.0 - LEAST_GAIN) { rate } else { best }
    })
}

/// Seconds until `runs` runs of `steps` steps have ended, under this division: the last round takes as
/// long as any other, because what is left idle stays idle.
pub fn batch_seconds(rate: &DivisionRate, runs: usize, steps: u64) -> f64 {
    let rounds = runs.div_ceil(rate.runs.max(1) as usize);
    let seconds_of_one = steps as f64 * f64::from(rate.runs) / rate.steps_per_second;
    rounds as f64 * seconds_of_one
}

/// What was found, in one line: `2 at a time with 1 thread each: 1.21 times the steps per second of 1 with
/// 2 threads (measured)`.
pub fn words(chosen: &DivisionRate, known: &[DivisionRate]) -> String {
    let threads = |rate: &DivisionRate| match rate.threads {
        1 => "1 thread".to_owned(),
        count => format!("{count} threads"),
    };
    let each = |rate: &DivisionRate| if rate.runs > 1 { " each" } else { "" };
    let other = |rate: &&DivisionRate| rate.runs != chosen.runs;
    let fastest = |a: &&DivisionRate, b: &&DivisionRate| a.steps_per_second.total_cmp(&b.steps_per_second);
    let (first, compared) = match known.first().filter(other) {
        Some(undivided) => (chosen, Some(undivided)),
        None => (chosen, known.iter().filter(other).max_by(fastest)),
    };
    let first = format!("{} at a time with {}{}", first.runs, threads(first), each(first));
    match compared {
        Some(compared) => format!(
            "{first}: {:.2} times the steps per second of {} with {}{} (measured)",
            chosen.steps_per_second / compared.steps_per_second,
            compared.runs,
            threads(compared),
            each(compared)
        ),
        None => first,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(runs: u32, threads: u32, steps_per_second: f64) -> DivisionRate {
        DivisionRate { runs, threads, steps_per_second }
    }

    fn batch(cores: u32, runs: usize) -> Batch {
        Batch {
            cores,
            runs,
            steps: 10_000,
            measuring_seconds: 4.0,
            run_bytes: 1 << 30,
            memory_left_bytes: None,
        }
    }

    #[test]
    fn cores_are_divided_without_a_rest_and_among_no_more_than_wait() {
        assert_eq!(candidates(12, 40), [1, 2, 3, 4, 6, 12]);
        assert_eq!(candidates(12, 4), [1, 2, 3, 4]);
        assert_eq!(candidates(2, 8), [1, 2]);
        assert_eq!(candidates(7, 3), [1]);
    }

    #[test]
    fn measuring_goes_on_while_it_can_pay() {
        let known = [rate(1, 4, 100.0), rate(2, 2, 130.0)];
        assert_eq!(next(&[], &batch(4, 8)), Some(1));
        assert_eq!(next(&known[..1], &batch(4, 8)), Some(2));
        assert_eq!(next(&known, &batch(4, 8)), Some(4));
        assert_eq!(next(&known, &batch(4, 3)), None, "three runs do not fill four places");
        assert_eq!(next(&[], &batch(4, 1)), None, "one run has the processor alone");
        assert_eq!(next(&[], &batch(1, 8)), None, "nothing can be divided");
        let slower = [rate(1, 4, 100.0), rate(2, 2, 80.0)];
        assert_eq!(next(&slower, &batch(4, 8)), None, "dividing further would slow down further");
        let short = Batch { steps: 20, ..batch(4, 8) };
        assert_eq!(next(&known[..1], &short), None, "the batch ends before it would pay");
        let large = Batch { memory_left_bytes: Some((1 << 30) + 1), ..batch(4, 8) };
        assert_eq!(next(&known[..1], &large), None, "two would not fit into memory");
    }

    #[test]
    fn the_division_that_ends_the_batch_soonest_wins() {
        let known = [rate(1, 4, 100.0), rate(2, 2, 120.0), rate(4, 1, 130.0)];
        let chosen = |runs| best(&known, runs, 1000).map(|rate| rate.runs);
        assert_eq!(chosen(1), Some(1));
        assert_eq!(chosen(2), Some(2));
        assert_eq!(chosen(3), Some(1), "the third would be alone in its round");
        assert_eq!(chosen(4), Some(4));
        assert_eq!(chosen(5), Some(1), "the fifth would be alone with one thread");
        assert_eq!(chosen(40), Some(4));
        let equal = [rate(1, 2, 100.0), rate(2, 1, 102.0)];
        assert_eq!(best(&equal, 8, 1000).map(|rate| rate.runs), Some(1), "that much is chance");
        assert_eq!(best(&[rate(1, 2, f64::NAN)], 8, 1000), None);
    }

    #[test]
    fn a_batch_takes_as_many_rounds_as_its_places_are_filled() {
        assert_eq!(batch_seconds(&rate(2, 1, 100.0), 4, 1000), 40.0);
        assert_eq!(batch_seconds(&rate(2, 1, 100.0), 5, 1000), 60.0);
    }

    #[test]
    fn a_measurement_is_relied_on_for_some_days_and_only_if_the_machine_was_quiet() {
        const DAY: f64 = 24.0 * 3600.0;
        let measured = |time: f64, others| MeasuredDivision {
            settings: "s".to_owned(),
            processor: "p".to_owned(),
            cores: 4,
            libtorch: "2.11.0+cpu".to_owned(),
            time,
            others,
            rates: vec![rate(1, 4, time)],
        };
        let now = 100.0 * DAY;
        let times =
            |known: &[MeasuredDivision], like| remembered(known, like, now).map(|known| known.time / DAY);
        let like = Like { settings: "s", processor: "p", cores: 4, libtorch: "2.11.0+cpu" };
        for (known, expected) in [
            (vec![(99.0, None)], Some(99.0)),
            (vec![(99.0, Some(0.05))], Some(99.0)),
            (vec![(99.0, Some(0.4))], None),
            (vec![(92.0, Some(0.0))], None),
            (vec![(0.0, None)], None),
            (vec![(120.0, None)], None),
            (vec![(96.0, Some(0.0)), (98.0, Some(0.0)), (99.0, Some(0.4))], Some(98.0)),
        ] {
            let records: Vec<_> = known.iter().map(|(day, others)| measured(day * DAY, *others)).collect();
            assert_eq!(times(&records, like), expected, "{known:?}");
        }
        let fresh = [measured(99.0 * DAY, None)];
        for other in [
            Like { settings: "t", ..like },
            Like { processor: "q", ..like },
            Like { cores: 8, ..like },
            Like { libtorch: "2.12.0+cpu", ..like },
        ] {
            assert_eq!(times(&fresh, other), None, "{other:?}");
        }
    }

    #[test]
    fn what_others_take_is_what_is_left_of_the_processors_time() {
        assert_eq!(part_of_others((100, 1000), (500, 1800), 300), Some(0.125));
        assert_eq!(part_of_others((100, 1000), (500, 1800), 450), Some(0.0), "ticks are coarse");
        assert_eq!(part_of_others((100, 1000), (100, 1000), 0), None, "no time has passed");
        assert_eq!(part_of_others((500, 1800), (100, 1000), 0), None, "the counters began again");
    }

    #[test]
    fn what_was_found_is_said_in_one_line() {
        let known = [rate(1, 2, 100.0), rate(2, 1, 121.0)];
        assert_eq!(
            words(&known[1], &known),
            "2 at a time with 1 thread each: 1.21 times the steps per second of 1 with 2 threads (measured)"
        );
        assert_eq!(
            words(&known[0], &known),
            "1 at a time with 2 threads: 0.83 times the steps per second of 2 with 1 thread each (measured)"
        );
        assert_eq!(words(&known[0], &known[..1]), "1 at a time with 2 threads");
    }
}
