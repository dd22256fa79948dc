//! Which values an axis shows.

use super::axis::Spread;
use super::series::Point;

/// How the ends of an axis follow from the data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Range {
    /// From the lowest to the highest value.
    All,
    /// Where series differ from each other: the first quarter of each series, rare spikes and single
    /// series far from the others widen the axis only if that costs little.
    Telling,
    /// From zero to a little above the highest value, for rates and memory.
    FromZero,
    /// Exactly this, for shares and for axes that several charts have in common.
    Fixed(f64, f64),
}

/// A wider range is taken when its height is at most this many times that of the telling part.
const CHEAP: f64 = 2.5;
/// A series counts as far from the others beyond this many times what half of them need.
const FAR: f64 = 4.0;
/// At most one series in so many counts as far from the others: more of them are a part of the picture.
const FEW: usize = 5;
/// Quantiles of a series are taken from at most about this many of its values.
const SAMPLE: usize = 2_000;

impl Range {
    /// The ends for these series, ordered by x each. May be infinite or crossed when there is
    /// nothing to show; the axis copes.
    pub fn of(self, series: &[&[Point]], spread: Spread) -> (f64, f64) {
        match self {
            Range::Fixed(low, high) => (low, high),
            Range::All => all(series, spread),
            // Nothing but zeros stand at the foot of an axis that goes up.
            Range::FromZero => (0.0, Some(all(series, spread).1).filter(|high| *high > 0.0).unwrap_or(1.0)),
            Range::Telling if spread == Spread::Log => all(series, spread),
            Range::Telling => telling(series),
        }
    }
}

/// The lowest and the highest x of all series.
pub fn of_x(series: &[&[Point]]) -> (f64, f64) {
    let ends = series.iter().filter_map(|points| Some((points.first()?.0, points.last()?.0)));
    ends.fold(NOTHING, union)
}

const NOTHING: (f64, f64) = (f64::INFINITY, f64::NEG_INFINITY);

fn union(one: (f64, f64), other: (f64, f64)) -> (f64, f64) {
    (one.0.min(other.0), one.1.max(other.1))
}

fn all(series: &[&[Point]], spread: Spread) -> (f64, f64) {
    let shown = |y: &f64| y.is_finite() && (spread == Spread::Linear || *y > 0.0);
    let values = series.iter().flat_map(|points| points.iter().map(|&(_, y)| y)).filter(shown);
    values.fold(NOTHING, |range, y| union(range, (y, y)))
}

fn telling(series: &[&[Point]]) -> (f64, f64) {
    let tails: Vec<(f64, f64)> = series.iter().filter_map(|points| tail(points)).collect();
    let (Some(low), Some(high)) = (
        nearest_to_most(tails.iter().map(|tail| tail.0), &tails, -1.0),
        nearest_to_most(tails.iter().map(|tail| tail.1), &tails, 1.0),
    ) else {
        return all(series, Spread::Linear);
    };
    let (lowest, highest) = all(series, Spread::Linear);
    let height = (high - low).max(0.0);
    (
        if high - lowest <= CHEAP * height { lowest } else { low },
        if highest - low <= CHEAP * height { highest } else { high },
    )
}

/// The farthest end that is still near to those of most series.
fn nearest_to_most(ends: impl Iterator<Item = f64>, tails: &[(f64, f64)], outward: f64) -> Option<f64> {
    let mut ends: Vec<f64> = ends.map(|end| end * outward).collect();
    ends.sort_by(f64::total_cmp);
    let middle = *ends.get(ends.len() / 2)?;
    let heights = tails.iter().map(|(low, high)| high - low);
    let best = ends.first().copied().unwrap_or(middle);
    let height = heights.fold(f64::INFINITY, f64::min).max(middle - best).max(middle.abs() * 0.01);
    let fence = best + FAR * height;
    let near = ends.iter().take_while(|end| **end <= fence).count();
    let is_all = ends.len() < 3 || (ends.len() - near) * FEW > ends.len();
    ends.get(if is_all { ends.len() - 1 } else { near.saturating_sub(1) }).map(|end| end * outward)
}

/// The ends of a series after its first quarter, without the outermost hundredth.
fn tail(points: &[Point]) -> Option<(f64, f64)> {
    let (first, last) = (points.first()?.0, points.last()?.0);
    let from = first + (last - first) * 0.25;
    let start = points.partition_point(|&(x, _)| x < from);
    let late = if points.len() - start >= 3 { &points[start..] } else { points };
    let stride = late.len().div_ceil(SAMPLE).max(1);
    let mut values: Vec<f64> =
        late.iter().step_by(stride).map(|&(_, y)| y).filter(|y| y.is_finite()).collect();
    // The last value always counts: it is where the series is now.
    values.extend(late.last().map(|&(_, y)| y).filter(|y| y.is_finite()));
    if values.is_empty() {
        return None;
    }
    let outermost = values.len() / 200;
    let top = values.len() - 1 - outermost;
    let low = *values.select_nth_unstable_by(outermost, f64::total_cmp).1;
    let high = *values.select_nth_unstable_by(top, f64::total_cmp).1;
    Some((low, high))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A curve that falls from `from` to `to` over so many steps.
    fn falling(from: f64, to: f64, steps: u32) -> Vec<Point> {
        (0..steps)
            .map(|step| {
                (f64::from(step), to + (from - to) * (-6.0 * f64::from(step) / f64::from(steps) * 5.0).exp())
            })
            .collect()
    }

    fn telling_of(series: &[Vec<Point>]) -> (f64, f64) {
        let series: Vec<&[Point]> = series.iter().map(Vec::as_slice).collect();
        Range::Telling.of(&series, Spread::Linear)
    }

    #[test]
    fn the_first_steps_of_a_falling_loss_do_not_flatten_the_rest() {
        let (low, high) = telling_of(&[falling(11.0, 1.5, 2000), falling(11.0, 1.6, 2000)]);
        assert!((1.4..1.51).contains(&low) && (1.6..4.0).contains(&high), "{low} to {high}");
    }

    #[test]
    fn a_warm_up_from_zero_is_shown_whole() {
        let rate = (0..1000).map(f64::from).map(|step| (step, (step / 100.0).min(1.0) * 3e-4)).collect();
        let (low, high) = telling_of(&[rate]);
        assert_eq!(high, 3e-4);
        assert!(low > 0.0 - 1e-12);
    }

    #[test]
    fn one_diverged_run_does_not_hide_the_others() {
        let mut runs: Vec<Vec<Point>> =
            (0..5).map(|run| falling(4.0, 1.5 + 0.02 * f64::from(run), 1000)).collect();
        runs.push((0..1000).map(|step| (f64::from(step), 7.5)).collect());
        let (_, high) = telling_of(&runs);
        assert!(high < 3.0, "the axis ends at {high}");
    }

    #[test]
    fn a_third_of_the_runs_are_shown_however_far_they_are() {
        let falling_by = |to: f64| falling(4.0, to, 1000);
        let mut runs: Vec<Vec<Point>> = (0..6).map(|run| falling_by(3.1 + 0.01 * f64::from(run))).collect();
        runs.extend([1.9, 1.2, 0.17].map(falling_by));
        let (low, high) = telling_of(&runs);
        assert!(low <= 0.18 && high >= 3.15, "{low} to {high}");
    }

    #[test]
    fn single_spikes_do_not_count() {
        let mut points: Vec<Point> =
            (0..1000).map(|step| (f64::from(step), 0.4 + 0.1 * f64::from(step % 3))).collect();
        points[500].1 = 90.0;
        assert!(telling_of(&[points]).1 <= 1.0);
    }

    #[test]
    fn zeros_alone_stand_at_the_foot_of_the_axis() {
        let zeros: Vec<Point> = vec![(0.0, 0.0), (1.0, 0.0)];
        assert_eq!(Range::FromZero.of(&[&zeros], Spread::Linear), (0.0, 1.0));
        assert_eq!(Range::FromZero.of(&[&[(0.0, 0.0), (1.0, 3.0)]], Spread::Linear), (0.0, 3.0));
    }

    #[test]
    fn nothing_at_all_has_no_range() {
        assert!(telling_of(&[]).0 > telling_of(&[]).1);
        assert!(telling_of(&[vec![(0.0, f64::NAN)]]).0.is_infinite());
    }
}
