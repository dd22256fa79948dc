//! Numbers as people read them: as many digits as are meant, thousands apart, powers of ten short.

use super::count;

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

/// The power of ten of the first digit, after rounding to that digit's neighbors cannot change it.
pub fn exponent_of(value: f64) -> i32 {
    let text = format!("{:e}", value.abs());
    text.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0)
}

/// With a power of ten: `3e-5`.
pub fn scientific(value: f64, digits: usize) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let text = format!("{:.*e}", digits.saturating_sub(1), value);
    match text.split_once('e') {
        Some((mantissa, exponent)) => format!("{}e{exponent}", without_trailing_zeros(mantissa)),
        None => text,
    }
}

/// As somebody would have typed it: without the last digits that arithmetic leaves, which nobody meant
/// (`3e-5`, not `2.9999999999999997e-5`).
pub fn as_typed(value: f64) -> String {
    let meant = format!("{value:.11e}").parse().unwrap_or(value);
    match meant {
        0.0 => "0".into(),
        meant if meant.abs() < 1e-2 || meant.abs() >= 1e7 => format!("{meant:e}"),
        meant => format!("{meant}"),
    }
}

/// So many decimals, thousands apart, and never a negative zero.
pub fn fixed(value: f64, decimals: usize) -> String {
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

pub fn without_trailing_zeros(text: &str) -> &str {
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
    fn a_setting_is_said_without_what_arithmetic_left() {
        let shown = [3e-4 * 0.1, 0.1 + 0.2, 3e-4, 0.9, 5.0, -2e-3, 0.0, 1e9, 0.123456789, f64::INFINITY];
        assert_eq!(
            shown.map(as_typed),
            ["3e-5", "0.3", "3e-4", "0.9", "5", "-2e-3", "0", "1e9", "0.123456789", "inf"]
        );
    }

    #[test]
    fn values_that_are_no_numbers_are_named() {
        assert_eq!([f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(measured), ["nan", "inf", "-inf"]);
    }
}
