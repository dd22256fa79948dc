//! Energy by attempt and by GPU, from counters that only rise.

use super::summary::AttemptSpan;
use crate::run_dir::metrics::{Column, Metrics};
use crate::run_dir::telemetry::{RUN_CPU_JOULES, RUN_GPU_JOULES};

/// Gives each attempt what the run took during it. `table` is the run's telemetry, whose counters go on
/// over all attempts.
pub fn share_out(attempts: &mut [AttemptSpan], table: &Metrics) {
    let counters: Vec<Vec<(f64, f64)>> = [RUN_GPU_JOULES, RUN_CPU_JOULES]
        .into_iter()
        .map(|name| table.points("time", name).collect())
        .filter(|points: &Vec<(f64, f64)>| !points.is_empty())
        .collect();
    let begins: Vec<f64> = attempts.iter().map(|attempt| attempt.start).collect();
    for (index, attempt) in attempts.iter_mut().enumerate() {
        // The last row of an attempt may come a moment after its end.
        let until = begins.get(index + 1).copied().unwrap_or(f64::INFINITY);
        let taken = counters.iter().filter_map(|points| rise(points, attempt.start, until));
        attempt.energy_joules = taken.reduce(|sum, joules| sum + joules);
    }
}

/// What a counter rose by from the last row before `from` to the last row before `until`.
fn rise(points: &[(f64, f64)], from: f64, until: f64) -> Option<f64> {
    let last = points.iter().rfind(|(time, _)| (from..until).contains(time))?;
    let before = points.iter().rfind(|(time, _)| *time < from).map_or(0.0, |(_, joules)| *joules);
    Some((last.1 - before).max(0.0)).filter(|joules| joules.is_finite())
}

/// Joules of a device's counter. One that falls began anew with the machine; a device without a counter is
/// judged by its power.
pub fn of_device(table: &Metrics, device: &str) -> Option<f64> {
    let column = |end: &str| table.column(&format!("{device}_{end}"));
    let counted = column("energy_joules").filter(|column| column.values.len() > 1).map(risen);
    counted.or_else(|| integrated(table, &format!("{device}_power_watts")))
}

fn risen(counter: &Column) -> f64 {
    counter.values.windows(2).map(|pair| (pair[1] - pair[0]).max(0.0)).sum()
}

/// A power between two samples further apart than this is not known, in seconds.
const PAUSE_SECONDS: f64 = 60.0;

fn integrated(table: &Metrics, power: &str) -> Option<f64> {
    let points: Vec<(f64, f64)> = table.points("time", power).collect();
    let parts = points.windows(2).map(|pair| (pair[1].0 - pair[0].0, pair[0].1));
    let known = parts.filter(|(seconds, watts)| (0.0..PAUSE_SECONDS).contains(seconds) && watts.is_finite());
    known.map(|(seconds, watts)| seconds * watts).reduce(|sum, joules| sum + joules)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(start: f64) -> AttemptSpan {
        let (end, batch, energy_joules) = (None, None, None);
        AttemptSpan {
            start,
            end,
            batch,
            device: "CPU".into(),
            failed: false,
            checkpoint: None,
            energy_joules,
        }
    }

    #[test]
    fn each_attempt_has_what_the_counters_rose_by_during_it() {
        let rows = "time,run_gpu_energy_joules,run_cpu_energy_joules\n10,0,0\n20,100,5\n60,100,5\n70,300,6\n";
        let mut attempts = [attempt(9.0), attempt(50.0), attempt(90.0)];
        share_out(&mut attempts, &Metrics::of(rows));
        assert_eq!(attempts.map(|attempt| attempt.energy_joules), [Some(105.0), Some(201.0), None]);
        let mut attempts = [attempt(9.0)];
        share_out(&mut attempts, &Metrics::of("time,cpu_percent\n10,3\n"));
        assert_eq!(attempts[0].energy_joules, None, "absent, never zero");
    }

    #[test]
    fn a_counter_that_began_anew_loses_nothing_and_power_stands_in_for_a_missing_one() {
        let counted =
            Metrics::of("time,gpu0_energy_joules,gpu0_power_watts\n1,500,9\n2,900,9\n3,10,9\n4,40,9\n");
        assert_eq!(of_device(&counted, "gpu0"), Some(430.0));
        let powered = Metrics::of("time,gpu0_power_watts\n0,100\n2,200\n4,100\n900,100\n");
        assert_eq!(of_device(&powered, "gpu0"), Some(600.0), "of a pause nothing is known");
        assert_eq!(of_device(&powered, "gpu1"), None);
    }
}
