//! The labels of an axis. Single numbers are said as everywhere ([`crate::say`]).

use crate::say::number::{fixed, scientific, without_trailing_zeros};

pub use crate::say::count;
pub use crate::say::number::{exponent_of, measured, significant};

/// Labels for the ticks of one axis: all with the same decimals, suffix or form of power.
pub fn labels(ticks: &[f64]) -> Vec<String> {
    let largest = ticks.iter().fold(0f64, |high, tick| high.max(tick.abs()));
    let step = ticks.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(f64::INFINITY, f64::min);
    let step = if step.is_finite() && step > 0.0 { step } else { largest };
    let smallest = ticks.first().copied().unwrap_or(0.0);
    let over_decades = smallest > 0.0 && largest / smallest > 90.0;
    let (scale, suffix) = match largest {
        high if !(9e-3..1e12).contains(&high) || (over_decades && (smallest < 0.9e-3 || high > 1e5)) => {
            return ticks.iter().map(|&tick| scientific(tick, digits_apart(largest, step))).collect();
        }
        _ if over_decades => {
            return ticks.iter().map(|&tick| without_trailing_zeros(&fixed(tick, 6)).into()).collect();
        }
        high if high >= 1e9 => (1e9, " G"),
        high if high >= 1e6 => (1e6, " M"),
        high if high >= 1e5 => (1e3, " k"),
        _ => (1.0, ""),
    };
    let step = step / scale;
    let decimals = decimals_of(step);
    ticks
        .iter()
        .map(|&tick| match tick {
            0.0 => "0".into(),
            tick => format!("{}{suffix}", fixed(tick / scale, decimals)),
        })
        .collect()
}

/// Decimals after which a step of ticks has no further digit, twelve at the most.
fn decimals_of(step: f64) -> usize {
    (0..12).find(|&decimals| is_whole(step * 10f64.powi(decimals))).unwrap_or(12) as usize
}

fn is_whole(value: f64) -> bool {
    (value - value.round()).abs() < 1e-6 * value.abs().max(1e-300) && value.abs() >= 0.5
}

/// Significant digits that keep neighbors apart when the largest is written as a power of ten.
fn digits_apart(largest: f64, step: f64) -> usize {
    let apart = exponent_of(largest) - exponent_of(step) + 1;
    let half_steps = if is_whole(step / 10f64.powi(exponent_of(step))) { 0 } else { 1 };
    (apart + half_steps).clamp(1, 8) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ticks_of_an_axis_share_one_form() {
        assert_eq!(labels(&[1.4, 1.6, 1.8, 2.0]), ["1.4", "1.6", "1.8", "2.0"]);
        assert_eq!(labels(&[0.0, 2500.0, 5000.0]), ["0", "2,500", "5,000"]);
        assert_eq!(labels(&[0.0, 1e-4, 2e-4, 3e-4]), ["0", "1e-4", "2e-4", "3e-4"]);
        assert_eq!(labels(&[0.0, 200_000.0, 400_000.0]), ["0", "200 k", "400 k"]);
        assert_eq!(labels(&[0.0, 0.5e6, 1e6]), ["0", "0.5 M", "1.0 M"]);
        assert_eq!(labels(&[0.01, 0.1, 1.0, 10.0]), ["0.01", "0.1", "1", "10"]);
        assert_eq!(labels(&[1e-5, 1e-4, 1e-3, 1e-2]), ["1e-5", "1e-4", "1e-3", "1e-2"]);
        assert_eq!(labels(&[-0.2, -0.0, 0.2]), ["-0.2", "0", "0.2"]);
    }
}
