//! One axis: a range that can be drawn, values to pixels, and ticks at round numbers.
//!
//! plotters gets the axis as its own `Ranged`, after the range has been made finite and non-empty:
//! its built-in ones hang on an infinite range and label nothing inside one decade.

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use std::ops::Range as Interval;

/// How values spread over an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    Linear,
    /// Equal ratios take equal room; values of zero and below lie under the floor.
    Log,
}

/// An axis as drawn. The range is finite and not empty, whatever it was made from.
#[derive(Clone, Debug)]
pub struct Scale {
    low: f64,
    high: f64,
    spread: Spread,
    ticks: Vec<f64>,
}

/// Beyond this nothing is told apart, and differences stay finite.
const LARGEST: f64 = 1e300;
/// Ranges narrower than this part of their magnitude are drawn as a constant.
const NARROWEST: f64 = 1e-9;
/// Values outside the range are kept this many ranges away: far enough for a line's slope to be
/// right where it leaves, near enough for whole canvas units.
const FARTHEST: f64 = 100.0;

impl Scale {
    /// An axis over exactly this range, with about so many ticks inside.
    pub fn exact(low: f64, high: f64, spread: Spread, about: usize) -> Scale {
        let (low, high) = drawable(low, high, spread);
        Scale { low, high, spread, ticks: ticks(low, high, spread, about) }
    }

    /// An axis over at least this range that begins and ends at a tick.
    pub fn rounded(low: f64, high: f64, spread: Spread, about: usize) -> Scale {
        if spread == Spread::Log {
            return Scale::exact(low, high, spread, about);
        }
        let (low, high) = drawable(low, high, spread);
        let step = Step::about(low, high, about);
        let (low, high) = (step.times(step.below(low)), step.times(step.above(high)));
        Scale { low, high, spread, ticks: step.multiples(low, high) }
    }

    /// The same axis for counts, of which there is no half: its ticks are whole numbers. A stretch between
    /// two of them keeps the ticks it has.
    pub fn of_counts(mut self) -> Scale {
        if self.ticks.iter().any(|tick| tick.fract() == 0.0) {
            self.ticks.retain(|tick| tick.fract() == 0.0);
        }
        self
    }

    #[inline]
    pub fn low(&self) -> f64 {
        self.low
    }

    #[inline]
    pub fn high(&self) -> f64 {
        self.high
    }

    #[inline]
    pub fn spread(&self) -> Spread {
        self.spread
    }

    pub fn ticks(&self) -> &[f64] {
        &self.ticks
    }

    /// Where a value lies: 0 at the low end, 1 at the high end, beyond outside.
    #[inline]
    pub fn fraction(&self, value: f64) -> f64 {
        let fraction = match self.spread {
            Spread::Linear => (value - self.low) / (self.high - self.low),
            Spread::Log if value <= 0.0 => f64::NEG_INFINITY,
            Spread::Log => (value.ln() - self.low.ln()) / (self.high.ln() - self.low.ln()),
        };
        fraction.clamp(-FARTHEST, FARTHEST + 1.0)
    }
}

impl Ranged for Scale {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let fraction = self.fraction(*value);
        (f64::from(limit.0) + fraction * f64::from(limit.1 - limit.0)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> Interval<f64> {
        self.low..self.high
    }
}

/// The same range, made finite, ordered and wide enough to divide by.
fn drawable(low: f64, high: f64, spread: Spread) -> (f64, f64) {
    let default = match spread {
        Spread::Linear => (0.0, 1.0),
        Spread::Log => (0.1, 1.0),
    };
    if low.is_nan() || high.is_nan() {
        return default;
    }
    let (low, high) = (low.min(high).clamp(-LARGEST, LARGEST), high.max(low).clamp(-LARGEST, LARGEST));
    if spread == Spread::Log {
        if high <= 0.0 {
            return default;
        }
        let high = high.max(1.0 / LARGEST);
        let low = if low <= 0.0 { high / 1e3 } else { low.max(1.0 / LARGEST / 10.0) };
        return if low < high * (1.0 - NARROWEST) { (low, high) } else { (high / 2.0, high * 2.0) };
    }
    let magnitude = low.abs().max(high.abs());
    if high - low > (magnitude * NARROWEST).max(f64::MIN_POSITIVE * 1e4) {
        return (low, high);
    }
    match magnitude * 0.05 {
        margin if margin < f64::MIN_POSITIVE * 1e4 => (low - 1.0, high + 1.0),
        // Around a whole number alone lie its neighbors.
        margin if margin < 1.0 && low.round() == low => (low - 1.0, high + 1.0),
        margin => (low - margin, high + margin),
    }
}

fn ticks(low: f64, high: f64, spread: Spread, about: usize) -> Vec<f64> {
    match spread {
        Spread::Linear => linear_ticks(low, high, about),
        Spread::Log => log_ticks(low, high, about),
    }
}

fn linear_ticks(low: f64, high: f64, about: usize) -> Vec<f64> {
    Step::about(low, high, about).multiples(low, high)
}

/// Powers of ten; within few decades also their doubles and fives; within a part of one decade
/// the round numbers of a linear axis.
fn log_ticks(low: f64, high: f64, about: usize) -> Vec<f64> {
    let about = about.max(2);
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let within = |tick: &f64| *tick >= low * (1.0 - 1e-9) && *tick <= high * (1.0 + 1e-9);
    let multiples = |factors: &[f64]| -> Vec<f64> {
        let each = |power: i32| factors.iter().map(move |factor| factor * 10f64.powi(power));
        (first..=last).flat_map(each).filter(within).collect()
    };
    let decades = multiples(&[1.0]);
    if decades.len() > about + 1 {
        let stride = decades.len().div_ceil(about);
        return decades.into_iter().step_by(stride).collect();
    }
    if decades.len() >= 3 {
        return decades;
    }
    let finer = multiples(&[1.0, 2.0, 5.0]);
    if finer.len() >= 3 { finer } else { linear_ticks(low, high, about) }
}

/// A round distance between ticks: 1, 2 or 5 times a power of ten.
#[derive(Clone, Copy)]
struct Step {
    digit: f64,
    power: i32,
}

impl Step {
    fn about(low: f64, high: f64, about: usize) -> Step {
        let ideal = (high - low) / about.max(1) as f64;
        let power = super::number::exponent_of(ideal);
        let digit = ideal / 10f64.powi(power);
        let (digit, power) = match digit {
            digit if digit <= 1.2 => (1.0, power),
            digit if digit <= 2.5 => (2.0, power),
            digit if digit <= 6.0 => (5.0, power),
            _ => (1.0, power + 1),
        };
        Step { digit, power }
    }

    fn size(self) -> f64 {
        self.digit * 10f64.powi(self.power)
    }

    /// The last multiple at or below a value, and the first at or above. A value that misses its
    /// multiple by rounding only counts as at it.
    fn below(self, value: f64) -> i64 {
        (value / self.size() + 1e-6).floor() as i64
    }

    fn above(self, value: f64) -> i64 {
        (value / self.size() - 1e-6).ceil() as i64
    }

    fn multiples(self, low: f64, high: f64) -> Vec<f64> {
        (self.above(low)..=self.below(high)).take(100).map(|index| self.times(index)).collect()
    }

    /// A multiple, by division where that keeps it at the nearest number to what is written.
    fn times(self, index: i64) -> f64 {
        let multiple = index as f64 * self.digit;
        match self.power {
            power if (-300..0).contains(&power) => multiple / 10f64.powi(-power),
            power => multiple * 10f64.powi(power),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_the_axis_ends_at_them() {
        let axis = Scale::rounded(1.43, 2.37, Spread::Linear, 5);
        assert_eq!(axis.ticks(), [1.4, 1.6, 1.8, 2.0, 2.2, 2.4]);
        assert_eq!((axis.low(), axis.high()), (1.4, 2.4));
    }

    #[test]
    fn an_exact_axis_keeps_its_ends() {
        let axis = Scale::exact(0.0, 4750.0, Spread::Linear, 5);
        assert_eq!(axis.high(), 4750.0);
        assert_eq!(axis.ticks(), [0.0, 1000.0, 2000.0, 3000.0, 4000.0]);
    }

    #[test]
    fn a_log_axis_has_ticks_also_inside_one_decade() {
        assert_eq!(Scale::exact(1.0, 1e4, Spread::Log, 5).ticks(), [1.0, 10.0, 100.0, 1e3, 1e4]);
        assert_eq!(Scale::exact(1.0, 10.0, Spread::Log, 5).ticks(), [1.0, 2.0, 5.0, 10.0]);
        assert_eq!(Scale::exact(1.43, 1.78, Spread::Log, 4).ticks(), [1.5, 1.6, 1.7]);
    }

    #[test]
    fn a_log_axis_over_many_decades_leaves_some_out() {
        assert!(Scale::exact(1e-300, 1e300, Spread::Log, 5).ticks().len() <= 7);
    }

    #[test]
    fn ranges_that_are_none_become_drawable() {
        for (low, high) in [
            (f64::NAN, f64::NAN),
            (f64::INFINITY, f64::NEG_INFINITY),
            (f64::NEG_INFINITY, f64::INFINITY),
            (3.0, 3.0),
            (0.0, 0.0),
            (1e-300, 1e-300),
            (-1e308, 1e308),
            (5e-324, 5e-324),
            (1.0, 1.0 + f64::EPSILON),
        ] {
            for spread in [Spread::Linear, Spread::Log] {
                let axis = Scale::rounded(low, high, spread, 5);
                assert!(axis.low() < axis.high(), "{low} to {high}, {spread:?}");
                assert!((axis.high() - axis.low()).is_finite());
                assert!(axis.fraction(axis.low()).abs() < 1e-9);
                assert!(
                    (2..=12).contains(&axis.ticks().len()),
                    "{low} to {high}, {spread:?}: {:?}",
                    axis.ticks()
                );
            }
        }
    }

    #[test]
    fn an_axis_of_counts_has_no_halves() {
        let counts = |low, high| Scale::rounded(low, high, Spread::Linear, 5).of_counts();
        for (low, high, expected) in [
            (2.0, 2.0, &[1.0, 2.0, 3.0][..]),
            (0.0, 0.0, &[-1.0, 0.0, 1.0]),
            (2.0, 3.0, &[2.0, 3.0]),
            (2.0, 4.0, &[2.0, 3.0, 4.0]),
            (2.0, 8.0, &[2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]),
            (40.0, 40.0, &[38.0, 39.0, 40.0, 41.0, 42.0]),
        ] {
            assert_eq!(counts(low, high).ticks(), expected, "{low} to {high}");
        }
        assert_eq!(Scale::exact(2.0, 4.0, Spread::Log, 5).of_counts().ticks(), [2.0, 3.0, 4.0]);
        assert!(Scale::exact(2.2, 2.8, Spread::Linear, 5).of_counts().ticks().len() > 2);
        let half = Scale::exact(1.5, 1.5, Spread::Linear, 5);
        assert!(half.low() > 1.4 && half.high() < 1.6);
    }

    #[test]
    fn values_far_outside_stay_on_the_canvas() {
        let axis = Scale::exact(0.0, 1.0, Spread::Linear, 5);
        assert_eq!(axis.map(&1e300, (0, 1000)), 101_000);
        assert_eq!(axis.map(&-1e300, (0, 1000)), -100_000);
        assert_eq!(Scale::exact(0.1, 1.0, Spread::Log, 5).map(&0.0, (0, 1000)), -100_000);
    }
}
