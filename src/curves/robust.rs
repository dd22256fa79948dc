//! Middles and spreads that single values cannot move (Huber and Ronchetti, Robust Statistics, 2009).

/// The median absolute deviation of a normal distribution times this is its standard deviation.
const MAD_TO_SIGMA: f64 = 1.4826;
/// Of long series about so many triples of neighbors are looked at: more make the noise no surer.
const TRIPLES: usize = 4000;

/// The value with half of the others on each side; not a number where there is none.
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value that a share of the values lies below: one of them, without interpolation.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    let mut values = values.to_vec();
    let place = ((values.len() - 1) as f64 * share).round() as usize;
    *values.select_nth_unstable_by(place, f64::total_cmp).1
}

/// The median of values whose order is of no use any more.
pub fn median_in(values: &mut [f64]) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    let place = values.len() / 2;
    if values.len() <= FEW
        && let Some(median) = of_rank(values, place)
    {
        return median;
    }
    *values.select_nth_unstable_by(place, f64::total_cmp).1
}

/// Of so few values each is compared with all others sooner than they are sorted.
const FEW: usize = 16;

/// The value that so many others precede; none where some cannot be compared.
fn of_rank(values: &[f64], place: usize) -> Option<f64> {
    let lies_there = |value: &&f64| {
        let lower = values.iter().filter(|other| other < value).count();
        let upto = values.iter().filter(|other| other <= value).count();
        lower <= place && place < upto
    };
    values.iter().find(lies_there).copied()
}

/// The noise of one value of a series that moves slowly against it: from each value's distance to the
/// middle of its neighbors, whose variance is one and a half times that of a value (Gasser, Sroka and
/// Jennen-Steinmetz, Biometrika 73, 1986). Zero where there are fewer than three.
pub fn noise(values: &[f64]) -> f64 {
    let every = (values.len() / TRIPLES).max(1);
    let triples = values.windows(3).step_by(every);
    let mut distances: Vec<f64> =
        triples.map(|three| (three[1] - (three[0] / 2.0 + three[2] / 2.0)).abs()).collect();
    if distances.is_empty() {
        return 0.0;
    }
    MAD_TO_SIGMA * median_in(&mut distances) / 1.5f64.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wild_value_moves_no_middle() {
        let calm = [1.0, 2.0, 3.0, 4.0, 5.0];
        let wild = [1.0, 2.0, 3.0, 4.0, 1e300];
        assert_eq!((median(&calm), median_in(&mut wild.clone())), (3.0, 3.0));
        assert_eq!(quantile(&wild, 0.25), 2.0);
        assert!(median(&[]).is_nan() && noise(&[]) == 0.0 && noise(&[1.0, 2.0]) == 0.0);
    }

    #[test]
    fn a_straight_line_has_no_noise_and_a_zigzag_has() {
        let line: Vec<f64> = (0..50).map(|step| f64::from(step) * 3.0).collect();
        assert_eq!(noise(&line), 0.0);
        let zigzag: Vec<f64> = (0..50).map(|step| f64::from(step % 2)).collect();
        assert!(noise(&zigzag) > 0.5);
    }
}
