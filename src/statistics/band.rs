//! Several curves as one: their mean, and between which values they lie.

/// Where curves lie at one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slice {
    pub x: f64,
    pub mean: f64,
    pub low: f64,
    pub high: f64,
}

/// The curves together over the steps that all of them cover. Where one has no value of its own it is
/// the straight line between its neighbors; values that are not finite are passed over.
pub fn of(curves: &[Vec<(f64, f64)>]) -> Vec<Slice> {
    let finite = |points: &Vec<(f64, f64)>| -> Vec<(f64, f64)> {
        points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite()).collect()
    };
    let curves: Vec<Vec<(f64, f64)>> = curves.iter().map(finite).collect();
    if curves.is_empty() || curves.iter().any(Vec::is_empty) {
        return Vec::new();
    }
    let from = curves.iter().map(|points| points[0].0).fold(f64::NEG_INFINITY, f64::max);
    let to = curves.iter().map(|points| points[points.len() - 1].0).fold(f64::INFINITY, f64::min);
    let mut steps: Vec<f64> = curves.iter().flatten().map(|(x, _)| *x).collect();
    steps.retain(|x| (from..=to).contains(x));
    steps.sort_by(f64::total_cmp);
    steps.dedup();
    let mut places = vec![0; curves.len()];
    let slice = |x: f64| {
        let mut slice = Slice { x, mean: 0.0, low: f64::INFINITY, high: f64::NEG_INFINITY };
        for (points, place) in curves.iter().zip(&mut places) {
            while points.get(*place + 1).is_some_and(|(next, _)| *next <= x) {
                *place += 1;
            }
            let y = between(points[*place], points.get(*place + 1), x);
            slice.mean += y / curves.len() as f64;
            (slice.low, slice.high) = (slice.low.min(y), slice.high.max(y));
        }
        slice
    };
    steps.into_iter().map(slice).collect()
}

fn between(one: (f64, f64), other: Option<&(f64, f64)>, x: f64) -> f64 {
    match other {
        Some(other) if x > one.0 => one.1 + (other.1 - one.1) * ((x - one.0) / (other.0 - one.0)),
        _ => one.1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_are_joined_where_all_have_values() {
        let one = vec![(0.0, 0.0), (10.0, 10.0), (20.0, f64::NAN), (30.0, 30.0)];
        let other = vec![(10.0, 20.0), (20.0, 20.0), (40.0, 20.0)];
        let slices: Vec<(f64, f64, f64, f64)> =
            of(&[one, other]).into_iter().map(|slice| (slice.x, slice.mean, slice.low, slice.high)).collect();
        let expected = [(10.0, 15.0, 10.0, 20.0), (20.0, 20.0, 20.0, 20.0), (30.0, 25.0, 20.0, 30.0)];
        assert_eq!(slices, expected);
    }

    #[test]
    fn nothing_in_common_is_no_band() {
        assert!(of(&[]).is_empty() && of(&[vec![], vec![(1.0, 1.0)]]).is_empty());
        assert!(of(&[vec![(0.0, 1.0)], vec![(5.0, 1.0)]]).is_empty());
        assert!(of(&[vec![(0.0, f64::NAN)]]).is_empty());
    }
}
