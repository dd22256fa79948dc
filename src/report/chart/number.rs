//! Numbers as people read them: as many digits as are meant, thousands apart, powers of ten short.

pub use crate::say::count;

/// A measured value with four significant digits: `1.471`, `0.00312`, `3e-5`, `412,100`, `14.3 M`.
pub fn measured(value: f64) -> String {
    significant(value, 4)
}

/// A value with so many significant digits, without zeros that say nothing when it is whole.
pub fn significant(value: f64, digits: usize) -> String {
    if value.is_nan() {
        return "nan".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.into();
    }
    if value == 0.0 {
        return "0".into();
    }
    let exponent = exponent_of(value);
    if !(-3..12).contains(&exponent) {
        return scientific(value, digits);
    }
    for (power, suffix) in [(9, " G"), (6, " M")] {
        if exponent >= power {
            let mantissa = value / 10f64.powi(power);
            return format!("{}{suffix}", significant(mantissa, digits.min(3)));
        }
    }
    let decimals = (digits as i32 - 1 - exponent).max(0) as usize;
    let text = fixed(value, decimals);
    if value.fract() == 0.0 || exponent < -2 { without_trailing_zeros(&text).into() } else { text }
}

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

/// The power of ten of the first digit, after rounding to that digit's neighbors cannot change it.
pub fn exponent_of(value: f64) -> i32 {
    let text = format!("{:e}", value.abs());
    text.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0)
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

fn scientific(value: f64, digits: usize) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let text = format!("{:.*e}", digits.saturating_sub(1), value);
    match text.split_once('e') {
        Some((mantissa, exponent)) => format!("{}e{exponent}", without_trailing_zeros(mantissa)),
        None => text,
    }
}

/// So many decimals, thousands apart, and never a negative zero.
fn fixed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) if rest.bytes().any(|byte| (b'1'..=b'9').contains(&byte)) => ("-", rest),
        Some(rest) => ("", rest),
        None => ("", text.as_str()),
    };
    let (whole, fraction) = match digits.split_once('.') {
        Some((whole, fraction)) => (whole, format!(".{fraction}")),
        None => (digits, String::new()),
    };
    match whole.parse::<u64>() {
        Ok(whole) => format!("{sign}{}{fraction}", count(whole)),
        Err(_) => text,
    }
}

fn without_trailing_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measured_value_has_the_digits_that_are_meant() {
        let shown = [1.4709, 0.99125, 1.5, 0.0003, 412_110.4, 14_300_000.0, 5000.0, 0.0, -0.25, 2e-7, 1e300]
            .map(measured);
        assert_eq!(
            shown,
            [
                "1.471", "0.9912", "1.500", "3e-4", "412,110", "14.3 M", "5,000", "0", "-0.2500", "2e-7",
                "1e300"
            ]
        );
    }

    #[test]
    fn values_that_are_no_numbers_are_named() {
        assert_eq!([f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(measured), ["nan", "inf", "-inf"]);
    }

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
