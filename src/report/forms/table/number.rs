//! Numbers of a paper: a spread with two significant digits, its mean to the same decimal.

use crate::say::number::exponent_of;

/// A mean and its spread, written to the same decimal, both times ten to a power where there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub mean: String,
    pub spread: Option<String>,
    pub power: Option<i32>,
}

/// Digits of a mean whose spread nobody knows.
const DIGITS: i32 = 4;

pub fn said(mean: f64, spread: Option<f64>) -> Said {
    let spread = spread.filter(|spread| spread.is_finite());
    if !mean.is_finite() {
        return Said { mean: crate::run_dir::number::spelled(mean), spread: None, power: None };
    }
    let largest = mean.abs().max(spread.unwrap_or(0.0));
    let exponent = if largest == 0.0 { 0 } else { exponent_of(largest) };
    let power = (!(-3..6).contains(&exponent)).then_some(exponent);
    let scale = 10f64.powi(power.unwrap_or(0));
    let (mean, spread) = (mean / scale, spread.map(|spread| spread / scale));
    let decimals = match spread {
        // 0.0996 has the two digits of 0.10.
        Some(spread) if spread > 0.0 => 1 - exponent_of(format!("{spread:.1e}").parse().unwrap_or(spread)),
        _ if mean == 0.0 => 0,
        _ => (DIGITS - 1 - exponent_of(mean)).max(0),
    };
    Said {
        mean: rounded(mean, decimals),
        spread: spread.map(|spread| if spread == 0.0 { "0".into() } else { rounded(spread, decimals) }),
        power,
    }
}

/// To so many decimals; before the point where they are negative, and never a negative zero.
fn rounded(value: f64, decimals: i32) -> String {
    let decimals = decimals.min(12);
    let text = match usize::try_from(decimals) {
        Ok(decimals) => format!("{value:.decimals$}"),
        Err(_) => {
            let unit = 10f64.powi(-decimals);
            format!("{:.0}", (value / unit).round() * unit)
        }
    };
    match text.strip_prefix('-') {
        Some(rest) if !rest.bytes().any(|byte| (b'1'..=b'9').contains(&byte)) => rest.to_owned(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_has_two_digits_and_the_mean_ends_where_it_does() {
        for (mean, spread, expected) in [
            (1.47143, Some(0.0123), ("1.471", Some("0.012"), None)),
            (1.47143, Some(0.0996), ("1.47", Some("0.10"), None)),
            (1.4, None, ("1.400", None, None)),
            (0.9, Some(0.0), ("0.9000", Some("0"), None)),
            (41_234.0, Some(321.0), ("41230", Some("320"), None)),
            (41_234.4, None, ("41234", None, None)),
            (2.346e-5, Some(1.1e-6), ("2.35", Some("0.11"), Some(-5))),
            (14_300_000.0, Some(1e5), ("1.430", Some("0.010"), Some(7))),
            (0.0, Some(0.5), ("0.00", Some("0.50"), None)),
            (-0.001, Some(12.0), ("0", Some("12"), None)),
            (f64::INFINITY, Some(1.0), ("inf", None, None)),
        ] {
            let (text, of_spread, power) = expected;
            let expected = Said { mean: text.into(), spread: of_spread.map(Into::into), power };
            assert_eq!(said(mean, spread), expected, "{mean} {spread:?}");
        }
    }
}
