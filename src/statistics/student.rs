//! Student's t distribution: how far a mean of few values may lie off by chance.

/// The t that a share of the distribution lies below, for so many degrees of freedom (not whole ones
/// too, as Welch's formula gives them). `share` between a half and one.
pub fn quantile(share: f64, freedom: f64) -> f64 {
    if !(0.5..1.0).contains(&share) || freedom.is_nan() || freedom <= 0.0 {
        return f64::NAN;
    }
    let (mut low, mut high) = (0.0, 1.0);
    while below(high, freedom) < share && high < 1e12 {
        (low, high) = (high, high * 2.0);
    }
    for _ in 0..100 {
        let middle = (low + high) / 2.0;
        if below(middle, freedom) < share { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

/// The share of the distribution below t, for t of zero and more: through the regularized incomplete
/// beta function (Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.1).
fn below(t: f64, freedom: f64) -> f64 {
    1.0 - incomplete_beta(freedom / 2.0, 0.5, freedom / (freedom + t * t)) / 2.0
}

/// The regularized incomplete beta function by its continued fraction (the same book, 26.5.8).
fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    // The fraction converges fast on one side of the distribution's middle only.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(b, a, 1.0 - x);
    }
    let front = (a * x.ln() + b * (1.0 - x).ln() + ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b)).exp() / a;
    // From the inside out: so many terms are enough for sixteen digits at any freedom that occurs.
    let mut fraction = 1.0;
    for term in (1..=400).rev() {
        let m = f64::from(term / 2);
        let coefficient = if term % 2 == 0 {
            m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        } else {
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        };
        fraction = 1.0 + coefficient / fraction;
    }
    front / fraction
}

/// The logarithm of the gamma function by Stirling's series, moved up to where it is exact.
fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut shift) = (x, 0.0);
    while x < 12.0 {
        shift += x.ln();
        x += 1.0;
    }
    let inverse = 1.0 / (x * x);
    let series = (1.0 / 12.0 - inverse * (1.0 / 360.0 - inverse * (1.0 / 1260.0 - inverse / 1680.0))) / x;
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + series - shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        let known = [
            (0.975, 1.0, 12.7062),
            (0.975, 2.0, 4.30265),
            (0.975, 4.0, 2.77645),
            (0.975, 10.0, 2.22814),
            (0.995, 3.0, 5.84091),
            (0.95, 30.0, 1.69726),
            (0.975, 1e6, 1.95997),
        ];
        for (share, freedom, expected) in known {
            let found = quantile(share, freedom);
            assert!((found - expected).abs() < 1e-4 * expected, "{share} {freedom}: {found}");
        }
        assert_eq!(quantile(0.5, 3.0).round(), 0.0);
        assert!(quantile(0.975, 0.0).is_nan() && quantile(0.3, 3.0).is_nan());
    }
}
