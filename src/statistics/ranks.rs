//! Ranks instead of values: one run that diverged weighs no more than any other bad one.

use super::mean;

/// The rank of each value from 1 on, equal values sharing the middle of theirs.
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    while start < order.len() {
        let mut end = start + 1;
        while end < order.len() && values[order[end]] == values[order[start]] {
            end += 1;
        }
        for &place in &order[start..end] {
            ranks[place] = (start + end + 1) as f64 / 2.0;
        }
        start = end;
    }
    ranks
}

/// Spearman's rank correlation; zero where a side does not vary.
pub fn spearman(one: &[f64], other: &[f64]) -> f64 {
    correlation(&ranks(one), &ranks(other))
}

fn correlation(one: &[f64], other: &[f64]) -> f64 {
    let (a, b) = (mean(one), mean(other));
    let product = |left: &[f64], right: &[f64], l: f64, r: f64| -> f64 {
        left.iter().zip(right).map(|(x, y)| (x - l) * (y - r)).sum()
    };
    let scale = (product(one, one, a, a) * product(other, other, b, b)).sqrt();
    if scale > 0.0 { product(one, other, a, b) / scale } else { 0.0 }
}

/// For values that have no order: the root of the share of the ranks' variance that lies between the
/// kinds (the correlation ratio). From zero to one.
pub fn correlation_ratio(kinds: &[f64], values: &[f64]) -> f64 {
    let ranks = ranks(values);
    let middle = mean(&ranks);
    let all: f64 = ranks.iter().map(|rank| (rank - middle).powi(2)).sum();
    let mut between = 0.0;
    let mut seen: Vec<f64> = Vec::new();
    for &kind in kinds {
        if seen.contains(&kind) {
            continue;
        }
        seen.push(kind);
        let of_kind: Vec<f64> =
            kinds.iter().zip(&ranks).filter(|(other, _)| **other == kind).map(|(_, rank)| *rank).collect();
        between += of_kind.len() as f64 * (mean(&of_kind) - middle).powi(2);
    }
    if all > 0.0 { (between / all).sqrt() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_share_their_ranks() {
        assert_eq!(ranks(&[10.0, 30.0, 10.0, 1e300]), [1.5, 3.0, 1.5, 4.0]);
        assert!(ranks(&[]).is_empty());
    }

    #[test]
    fn correlations_are_known_at_their_ends() {
        let rising = [1.0, 2.0, 3.0, 100.0];
        assert_eq!(spearman(&rising, &[1e-4, 2e-4, 3e-4, 4e-4]), 1.0);
        assert_eq!(spearman(&rising, &[4.0, 3.0, 2.0, 1.0]), -1.0);
        assert_eq!(spearman(&rising, &[1.0; 4]), 0.0);
        assert_eq!(correlation_ratio(&[0.0, 0.0, 1.0, 1.0], &[5.0, 5.0, 7.0, 7.0]), 1.0);
        assert_eq!(correlation_ratio(&[0.0, 1.0, 0.0, 1.0], &[5.0, 5.0, 7.0, 7.0]), 0.0);
    }
}
