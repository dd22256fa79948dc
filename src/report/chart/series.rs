//! What becomes of a series before it is drawn: in order, smoothed, split where it is not finite,
//! reduced to what a screen can show. After this plotters sees finite values only.

use std::borrow::Cow;

/// A step (or a time) and a value. The value may be anything, the step must be finite to count.
pub type Point = (f64, f64);

/// The points in strictly rising order of x. Where x goes back, the later points win: what they
/// overtake was overtaken by a resumed run.
pub fn in_order(points: &[Point]) -> Cow<'_, [Point]> {
    let is_whole = points.iter().all(|(x, _)| x.is_finite());
    if is_whole && points.windows(2).all(|pair| pair[0].0 < pair[1].0) {
        return Cow::Borrowed(points);
    }
    let mut kept: Vec<Point> = Vec::with_capacity(points.len());
    for &(x, y) in points.iter().filter(|(x, _)| x.is_finite()) {
        if kept.last().is_some_and(|&(last, _)| last >= x) {
            let overtaken = kept.partition_point(|&(earlier, _)| earlier < x);
            kept.truncate(overtaken);
        }
        kept.push((x, y));
    }
    Cow::Owned(kept)
}

/// An exponential moving average, divided by the weight it has gathered so far, so that it starts
/// at the first value and not at zero (Kingma and Ba, 2015, section 3). The average spans about a
/// fiftieth of the points. Values that are not finite stay as they are and do not enter it.
pub fn smoothed(points: &[Point]) -> Vec<Point> {
    let keep = weight_kept(points.len());
    let (mut sum, mut weight) = (0.0, 0.0);
    let mut average = |&(x, y): &Point| {
        if !y.is_finite() {
            return (x, y);
        }
        sum = keep * sum + (1.0 - keep) * y;
        weight = keep * weight + (1.0 - keep);
        (x, sum / weight)
    };
    points.iter().map(&mut average).collect()
}

/// The weight that an average of so many rows keeps from each row to the next.
pub fn weight_kept(rows: usize) -> f64 {
    1.0 - 1.0 / (rows as f64 / 50.0).max(1.0)
}

/// A stretch of rows in one number: what an average over reduced points is made from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    /// Where the stretch ends.
    pub x: f64,
    pub mean: f64,
    /// Zero for values that are not finite: there the average has a gap as well.
    pub rows: u32,
}

impl Mean {
    fn of(stretch: &[Point]) -> Mean {
        let rows = stretch.len() as u32;
        let sum: f64 = stretch.iter().map(|(_, y)| y).sum();
        let mean = match sum.is_finite() {
            true => sum / f64::from(rows),
            // Left the range of numbers, which the mean does not.
            false => stretch.iter().map(|(_, y)| y / f64::from(rows)).sum(),
        };
        Mean { x: stretch[stretch.len() - 1].0, mean, rows }
    }

    fn of_gap(gap: &Gap) -> Mean {
        Mean { x: gap.x, mean: gap.value, rows: 0 }
    }
}

/// The means of about so many stretches, in the order of x.
pub fn means(points: &[Point], columns: u32) -> Vec<Mean> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Vec::new() };
    let width = (last.0 - first.0).max(f64::MIN_POSITIVE);
    let column = |x: f64| ((x - first.0) / width * f64::from(columns)) as i64;
    let mut means: Vec<Mean> = Vec::new();
    let split = split(points);
    let mut gaps = split.gaps.iter().peekable();
    for segment in split.segments {
        let begin = segment[0].0;
        means.extend(gaps.next_if(|gap| gap.x < begin).map(Mean::of_gap));
        let (mut start, mut width) = (0, 1);
        while start < segment.len() {
            let end = column_end(segment, start, width, column);
            means.push(Mean::of(&segment[start..end]));
            (start, width) = (end, end - start);
        }
    }
    means.extend(gaps.map(Mean::of_gap));
    means
}

/// So many neighbors in one; none across a gap.
pub fn merged(means: &[Mean], each: usize) -> Vec<Mean> {
    let mut merged: Vec<Mean> = Vec::with_capacity(means.len() / each.max(1) + 1);
    let mut left = 0;
    for mean in means {
        match merged.last_mut().filter(|last| left > 0 && last.rows > 0 && mean.rows > 0) {
            Some(last) => {
                let rows = last.rows + mean.rows;
                let share = f64::from(mean.rows) / f64::from(rows);
                *last = Mean { x: mean.x, mean: last.mean * (1.0 - share) + mean.mean * share, rows };
                left -= 1;
            }
            None => {
                merged.push(*mean);
                left = each.saturating_sub(1);
            }
        }
    }
    merged
}

/// A series cut where its values are not finite.
#[derive(Debug, Default, PartialEq)]
pub struct Split<'a> {
    pub segments: Vec<&'a [Point]>,
    pub gaps: Vec<Gap>,
}

/// Where a series stops being finite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gap {
    /// Where the first value is that is not finite.
    pub x: f64,
    /// That value: nan or an infinity.
    pub value: f64,
    /// The nearest finite value, before it or else after it: there the mark stands.
    pub beside: Option<f64>,
}

/// Cuts a series into stretches of finite values and the gaps between them.
pub fn split(points: &[Point]) -> Split<'_> {
    let mut split = Split::default();
    let mut rest = points;
    let mut last_finite = None;
    while !rest.is_empty() {
        let finite = rest.iter().position(|(_, y)| !y.is_finite()).unwrap_or(rest.len());
        let (segment, after) = rest.split_at(finite);
        if let Some(&(_, y)) = segment.last() {
            split.segments.push(segment);
            last_finite = Some(y);
        }
        let gap = after.iter().position(|(_, y)| y.is_finite()).unwrap_or(after.len());
        let (gap, after) = after.split_at(gap);
        if let Some(&(x, value)) = gap.first() {
            let beside = last_finite.or_else(|| after.first().map(|&(_, y)| y));
            split.gaps.push(Gap { x, value, beside });
        }
        rest = after;
    }
    split
}

/// The part of a stretch that shows between two ends, with the neighbor beyond each end so that
/// the line leaves the plot at its own slope.
pub fn reaching(segment: &[Point], low: f64, high: f64) -> &[Point] {
    let first = segment.partition_point(|&(x, _)| x < low).saturating_sub(1);
    let after = segment.partition_point(|&(x, _)| x <= high);
    &segment[first..(after + 1).clamp(first, segment.len())]
}

/// At most two points for each column, its lowest and its highest in the order they came, plus the
/// first and the last point of the stretch: no extreme is lost and the line looks the same.
///
/// `column` says in which column of the screen an x lies; it must not fall as x rises.
pub fn reduced(segment: &[Point], column: impl Fn(f64) -> i64) -> Vec<Point> {
    let (Some(&first), Some(&last)) = (segment.first(), segment.last()) else { return Vec::new() };
    let mut kept = vec![first];
    let (mut start, mut width) = (0, 1);
    while start < segment.len() {
        let end = column_end(segment, start, width, &column);
        let (lowest, highest) = extremes(&segment[start..end]);
        let (lowest, highest) = (start + lowest, start + highest);
        for index in [lowest.min(highest), lowest.max(highest)] {
            if kept.last() != Some(&segment[index]) {
                kept.push(segment[index]);
            }
        }
        (start, width) = (end, end - start);
    }
    if kept.last() != Some(&last) {
        kept.push(last);
    }
    kept
}

/// Where the first of the lowest and the first of the highest values stand.
fn extremes(points: &[Point]) -> (usize, usize) {
    let (mut lowest, mut highest) = (0, 0);
    // Beside their places, so that no step has to look them up.
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for (index, &(_, y)) in points.iter().enumerate() {
        if y < low {
            (low, lowest) = (y, index);
        }
        if y > high {
            (high, highest) = (y, index);
        }
    }
    (lowest, highest)
}

/// Where the column ends in which the point at `start` lies. Columns do not fall and are mostly as wide as
/// the one before, so few points are asked for theirs.
fn column_end(points: &[Point], start: usize, width: usize, column: impl Fn(f64) -> i64) -> usize {
    let here = column(points[start].0);
    let mut end = (start + width).min(points.len());
    while end > start + 1 && column(points[end - 1].0) != here {
        end -= 1;
    }
    while end < points.len() && column(points[end].0) == here {
        end += 1;
    }
    end
}

/// A series reduced to about so many columns over its own range, with one point kept in each gap:
/// what other pages remember of it.
pub fn thinned(points: &[Point], columns: u32) -> Vec<Point> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Vec::new() };
    let width = (last.0 - first.0).max(f64::MIN_POSITIVE);
    let column = |x: f64| ((x - first.0) / width * f64::from(columns)) as i64;
    let split = split(points);
    let mut kept: Vec<Point> = split.gaps.iter().map(|gap| (gap.x, gap.value)).collect();
    for segment in split.segments {
        kept.extend(reduced(segment, column));
    }
    kept.sort_by(|one, other| one.0.total_cmp(&other.0));
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn steps_that_go_back_replace_what_they_overtake() {
        let points = [(1.0, 1.0), (2.0, 2.0), (3.0, 3.0), (2.0, 20.0), (f64::NAN, 5.0), (4.0, 40.0)];
        assert_eq!(in_order(&points)[..], [(1.0, 1.0), (2.0, 20.0), (4.0, 40.0)]);
    }

    #[test]
    fn a_smoothed_line_starts_at_its_first_value_and_passes_over_what_is_not_finite() {
        let mut points: Vec<Point> = (0..500).map(|step| (f64::from(step), 2.0)).collect();
        points[3].1 = f64::NAN;
        let line = smoothed(&points);
        assert!((line[0].1 - 2.0).abs() < 1e-12 && (line[499].1 - 2.0).abs() < 1e-12);
        assert!(line[3].1.is_nan());
    }

    #[test]
    fn a_series_is_cut_where_it_is_not_finite() {
        let points =
            [(0.0, f64::NAN), (1.0, 5.0), (2.0, 4.0), (3.0, f64::NAN), (4.0, f64::INFINITY), (5.0, 3.0)];
        let split = split(&points);
        assert_eq!(split.segments, [&points[1..3], &points[5..6]]);
        assert_eq!(
            split.gaps.iter().map(|gap| (gap.x, gap.beside)).collect::<Vec<_>>(),
            [(0.0, Some(5.0)), (3.0, Some(4.0))]
        );
    }

    #[test]
    fn a_series_without_a_finite_value_is_one_gap() {
        let points = [(0.0, f64::NAN), (1.0, f64::NAN)];
        let split = split(&points);
        assert!(split.segments.is_empty());
        assert_eq!(split.gaps.len(), 1);
        assert_eq!(split.gaps[0].beside, None);
    }

    #[test]
    fn reduction_keeps_every_columns_extremes_and_both_ends() {
        let mut points: Vec<Point> =
            (0..10_000).map(|step| (f64::from(step), (f64::from(step) * 0.37).sin())).collect();
        points[5_055].1 = 9.0;
        points[7_777].1 = -9.0;
        let kept = reduced(&points, |x| (x / 100.0) as i64);
        assert!(kept.len() <= 202, "{} points in 100 columns", kept.len());
        assert!(kept.contains(&(5_055.0, 9.0)) && kept.contains(&(7_777.0, -9.0)));
        assert_eq!((kept.first(), kept.last()), (points.first(), points.last()));
        assert!(kept.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    proptest! {
        #[test]
        fn a_column_ends_where_the_first_point_of_the_next_lies(
            gaps in prop::collection::vec(0.0..3.0f64, 1..200),
            first in 0usize..200,
            width in 0usize..50,
        ) {
            let mut x = 0.0;
            let points: Vec<Point> = gaps.iter().map(|gap| { x += gap * gap * gap; (x, 0.0) }).collect();
            let start = first % points.len();
            let column = |x: f64| (x / 7.0) as i64;
            let here = column(points[start].0);
            let naive = points[start..].iter().take_while(|(x, _)| column(*x) == here).count();
            prop_assert_eq!(column_end(&points, start, width, column), start + naive);
        }
    }

    #[test]
    fn what_lies_outside_is_left_out_but_for_the_neighbors() {
        let points: Vec<Point> = (0..10).map(|step| (f64::from(step), 0.0)).collect();
        assert_eq!(reaching(&points, 3.5, 6.0), &points[3..8]);
        assert_eq!(reaching(&points, -5.0, 50.0), points);
        assert_eq!(reaching(&points, 20.0, 30.0), &points[9..]);
        assert!(reaching(&[], 0.0, 1.0).is_empty());
    }

    #[test]
    fn a_thinned_series_still_has_its_gaps() {
        let mut points: Vec<Point> = (0..1000).map(|step| (f64::from(step), 1.0)).collect();
        points[500].1 = f64::NAN;
        let kept = thinned(&points, 10);
        assert!(kept.len() < 30 && split(&kept).segments.len() == 2, "{kept:?}");
        assert!(thinned(&[], 10).is_empty());
    }

    #[test]
    fn means_count_their_rows_and_stop_at_gaps() {
        let mut points: Vec<Point> = (0..1000).map(|step| (f64::from(step), f64::from(step % 2))).collect();
        points[500].1 = f64::NAN;
        points[501].1 = f64::INFINITY;
        let means = means(&points, 10);
        assert_eq!(means.iter().map(|mean| mean.rows).sum::<u32>(), 998);
        assert_eq!(
            means.iter().filter(|mean| mean.rows == 0).map(|mean| mean.x).collect::<Vec<_>>(),
            [500.0]
        );
        assert!(means.len() < 15 && (means[0].mean - 0.5).abs() < 1e-9, "{means:?}");
        assert!(
            super::means(&[(0.0, 1e308), (1.0, 1e308), (9.0, 1e308)], 1)
                .iter()
                .all(|mean| mean.mean <= 1e308)
        );
    }

    #[test]
    fn merged_means_keep_their_rows_and_their_gaps() {
        let mean = |x: u32, mean: f64, rows: u32| Mean { x: f64::from(x), mean, rows };
        let means = [
            mean(1, 2.0, 1),
            mean(2, 5.0, 2),
            mean(3, 8.0, 1),
            mean(4, f64::NAN, 0),
            mean(5, 1.0, 4),
            mean(6, 2.0, 4),
        ];
        let merged = merged(&means, 2);
        assert_eq!(
            merged.iter().map(|mean| (mean.x, mean.rows)).collect::<Vec<_>>(),
            [(2.0, 3), (3.0, 1), (4.0, 0), (6.0, 8)]
        );
        assert_eq!((merged[0].mean, merged[3].mean), (4.0, 1.5));
    }

    #[test]
    fn few_points_stay_as_they_are() {
        let points = [(0.0, 1.0), (10.0, 3.0), (20.0, 2.0)];
        assert_eq!(reduced(&points, |x| x as i64), points);
    }
}
