//! How much energy a device took since it was last asked, and each run's share. Pure: readings go in,
//! joules come out.
//!
//! What runs share is divided equally among them: no driver tells a process's part of a GPU's power, and
//! the time for which a process keeps a GPU busy says little about it. Power without load counts in; it
//! would not be drawn without the runs. Energy in times without a run is nobody's.

/// What a device said at a moment. Seconds are of any monotonic clock.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reading {
    pub seconds: f64,
    /// A counter that only rises, where the device has one.
    pub counter_joules: Option<f64>,
    pub power_watts: Option<f64>,
}

/// Follows one device.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    last: Option<Reading>,
    /// Up to when energy was given out.
    settled: Option<f64>,
    /// Joules given out from the power alone since the counter was last read.
    ahead: f64,
}

impl Meter {
    /// Joules from the last call up to `now`; none where nothing was measured. Between two readings the
    /// power of the last one stands in, and the counter puts it right afterwards.
    pub fn advance(&mut self, now: f64, reading: Option<Reading>) -> Option<f64> {
        let mut joules = None;
        let new = reading.filter(|new| self.last.is_none_or(|last| new.seconds > last.seconds));
        if let Some(new) = new {
            let counted = self.last.and_then(|last| last.counter_joules).zip(new.counter_joules);
            let before = self.last.and_then(|last| last.power_watts);
            match counted {
                // A driver that was loaded again counts from zero.
                Some((from, to)) if to >= from => {
                    let left = to - from - self.ahead;
                    self.ahead = (-left).max(0.0);
                    joules = add(joules, left.max(0.0));
                    self.settled = Some(self.settled.map_or(new.seconds, |settled| settled.max(new.seconds)));
                }
                _ => {
                    self.ahead = 0.0;
                    let from = self.settled.unwrap_or(new.seconds);
                    let power = mean(before, new.power_watts);
                    if let Some(power) = power.filter(|_| new.seconds > from) {
                        joules = add(joules, power * (new.seconds - from));
                    }
                    self.settled = Some(self.settled.map_or(new.seconds, |settled| settled.max(new.seconds)));
                }
            }
            self.last = Some(new);
        }
        let from = self.settled.unwrap_or(now);
        if let Some(last) = self.last.filter(|_| now > from) {
            if let Some(power) = last.power_watts {
                let guessed = power * (now - from);
                if last.counter_joules.is_some() {
                    self.ahead += guessed;
                }
                joules = add(joules, guessed);
            }
            self.settled = Some(now);
        }
        joules
    }
}

/// Each run's part of what a device took while `runs` of them were on it.
pub fn share(joules: f64, runs: usize) -> f64 {
    joules / runs.max(1) as f64
}

/// A run's part of what the processor took, by the time that it computed: `run` and `machine` are seconds
/// of processor time.
pub fn share_of_processor(joules: f64, run: f64, machine: f64) -> Option<f64> {
    (machine > 0.0 && run >= 0.0).then(|| joules * (run / machine).min(1.0))
}

fn mean(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    match (one, other) {
        (Some(one), Some(other)) => Some((one + other) / 2.0),
        (one, other) => one.or(other),
    }
}

fn add(sum: Option<f64>, more: f64) -> Option<f64> {
    Some(sum.unwrap_or(0.0) + more)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(seconds: f64, counter: f64, power: f64) -> Option<Reading> {
        Some(Reading { seconds, counter_joules: Some(counter), power_watts: Some(power) })
    }

    fn powered(seconds: f64, power: f64) -> Option<Reading> {
        Some(Reading { seconds, counter_joules: None, power_watts: Some(power) })
    }

    #[test]
    fn a_counter_is_taken_at_its_word() {
        let mut meter = Meter::default();
        assert_eq!(meter.advance(10.0, counted(10.0, 5000.0, 300.0)), None, "nothing was measured yet");
        assert_eq!(meter.advance(12.0, counted(12.0, 5580.0, 290.0)), Some(580.0));
        assert_eq!(meter.advance(14.0, counted(14.0, 6000.0, 290.0)), Some(420.0));
    }

    #[test]
    fn the_power_stands_in_between_two_readings_and_the_counter_puts_it_right() {
        let mut meter = Meter::default();
        meter.advance(10.0, counted(10.0, 5000.0, 300.0));
        assert_eq!(meter.advance(11.0, counted(10.0, 5000.0, 300.0)), Some(300.0), "a run ends here");
        assert_eq!(meter.advance(12.0, counted(12.0, 5580.0, 290.0)), Some(280.0));
        // Guessed too high: what was given out too much is held back.
        assert_eq!(meter.advance(13.0, None), Some(290.0));
        assert_eq!(meter.advance(14.0, counted(14.0, 5780.0, 50.0)), Some(0.0));
        assert_eq!(meter.advance(16.0, counted(16.0, 6000.0, 50.0)), Some(130.0));
    }

    #[test]
    fn without_a_counter_power_is_added_up_over_time() {
        let mut meter = Meter::default();
        assert_eq!(meter.advance(10.0, powered(10.0, 200.0)), None);
        assert_eq!(meter.advance(12.0, powered(12.0, 300.0)), Some(500.0));
        assert_eq!(meter.advance(13.0, powered(12.0, 300.0)), Some(300.0));
        assert_eq!(meter.advance(14.0, powered(14.0, 100.0)), Some(200.0));
    }

    #[test]
    fn what_is_not_measured_is_absent_and_a_driver_that_was_loaded_again_harms_nothing() {
        let mut meter = Meter::default();
        let silent = |seconds| Some(Reading { seconds, ..Reading::default() });
        assert_eq!(meter.advance(10.0, silent(10.0)), None);
        assert_eq!(meter.advance(12.0, silent(12.0)), None);
        assert_eq!(meter.advance(14.0, None), None);
        let mut meter = Meter::default();
        meter.advance(10.0, counted(10.0, 9e9, 100.0));
        assert_eq!(meter.advance(12.0, counted(12.0, 40.0, 100.0)), Some(200.0), "by its power then");
        assert_eq!(meter.advance(14.0, counted(14.0, 140.0, 100.0)), Some(100.0));
    }

    #[test]
    fn runs_on_one_device_share_equally_and_on_the_processor_by_their_time() {
        assert_eq!(share(300.0, 3), 100.0);
        assert_eq!(share_of_processor(100.0, 1.5, 2.0), Some(75.0));
        assert_eq!(share_of_processor(100.0, 2.1, 2.0), Some(100.0), "clocks tick apart");
        assert_eq!(share_of_processor(100.0, 0.0, 0.0), None);
    }
}
