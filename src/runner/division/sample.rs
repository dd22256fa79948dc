//! Whether one measurement of the processor can be believed. Pure.

use std::fmt;

use crate::run_dir::records::DivisionRate;

/// Others may take this part of the processor while it is measured: a browser does, a build does not.
const BUSY: f64 = 0.25;

/// Threads that are of no use at all make as many runs at once as many times as fast, and those that hinder
/// each other a little more; beyond that something else was measured.
const BEYOND: f64 = 1.5;

/// Runs beside each other that are slower than this part of one alone were hindered by somebody else.
const LEAST: f64 = 0.25;

/// Why a measurement says nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Refusal {
    /// Others took this part of the processor.
    Busy(f64),
    /// So many runs at once came to so many times the first division's steps.
    Impossible { runs: u32, times: f64 },
}

/// Why `sample` is not to be believed beside what is `known`, where it is not. `others` is the part of the
/// processor that others took meanwhile.
pub fn refusal(known: &[DivisionRate], sample: &DivisionRate, others: Option<f64>) -> Option<Refusal> {
    if let Some(part) = others.filter(|part| *part > BUSY) {
        return Some(Refusal::Busy(part));
    }
    let first = known.first()?;
    let times = sample.steps_per_second / first.steps_per_second;
    let most = BEYOND * f64::from(sample.runs) / f64::from(first.runs.max(1));
    let is_possible = (LEAST..=most).contains(&times);
    (!is_possible).then_some(Refusal::Impossible { runs: sample.runs, times })
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Refusal::Busy(part) => {
                write!(f, "others took {:.0} % of the processor while it was measured", part * 100.0)
            }
            Refusal::Impossible { runs, times } => {
                let figure = format!("{runs} at a time gave {times:.2} times the steps per second of 1");
                write!(f, "{figure}, which cannot be")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_on_a_busy_machine_or_cannot_be_is_refused() {
        let rate = |runs, steps_per_second| DivisionRate { runs, threads: 1, steps_per_second };
        let first = [rate(1, 100.0)];
        let of = |known: &[DivisionRate], sample, others| refusal(known, &sample, others);
        let table = [
            (rate(2, 121.0), None, None),
            (rate(2, 121.0), Some(0.2), None),
            (rate(2, 121.0), Some(0.43), Some(Refusal::Busy(0.43))),
            (rate(2, 290.0), None, None),
            (rate(2, 2900.0), None, Some(Refusal::Impossible { runs: 2, times: 29.0 })),
            (rate(4, 500.0), None, None),
            (rate(2, 20.0), None, Some(Refusal::Impossible { runs: 2, times: 0.2 })),
        ];
        for (sample, others, expected) in table {
            assert_eq!(of(&first, sample, others), expected, "{sample:?}, {others:?}");
        }
        assert_eq!(of(&[], rate(1, 5.0), None), None, "the first has nothing to be compared with");
        assert_eq!(of(&[], rate(1, 5.0), Some(0.5)), Some(Refusal::Busy(0.5)));
        assert!(of(&first, rate(2, f64::NAN), None).is_some());
        assert_eq!(
            Refusal::Busy(0.43).to_string(),
            "others took 43 % of the processor while it was measured"
        );
        assert_eq!(
            Refusal::Impossible { runs: 2, times: 29.0 }.to_string(),
            "2 at a time gave 29.00 times the steps per second of 1, which cannot be"
        );
    }
}
