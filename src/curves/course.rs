//! A curve made ready to be judged: what is finite of it, its noise, and its level window by window.

use super::robust::{median, median_in, noise};
use super::{Curve, Extent, Point};
use crate::experiment::metric::{Direction, direction_of};

/// Longer curves are folded into so many cells of several values: spikes show at that fineness, and
/// everything stays as fast for a million points.
pub const CELLS: usize = 1024;
/// Windows whose medians are the curve's levels: enough to say when something began, and wide enough
/// that noise is divided by the root of many values.
const LEVELS: usize = 40;
/// Values in a level of a noisy curve at least; the median of fewer is hardly calmer than one value.
const LEAST_IN_LEVEL: usize = 5;
/// With more values than this the metric of a single step is noise: its course is told by levels.
const NOISY_BEYOND: usize = 60;

/// A curve in terms of badness: below is better, whatever the metric.
#[derive(Clone, Debug)]
pub struct Course {
    pub name: String,
    pub direction: Direction,
    pub extent: Extent,
    /// The finite points, with their own values.
    pub points: Vec<Point>,
    /// The points that are not finite.
    pub lost: Lost,
    pub levels: Vec<Level>,
    /// Standard deviation of a single value around the curve.
    pub noise: f64,
    /// Whether each value is one step's, so that single ones say little.
    pub is_noisy: bool,
}

/// What of a curve is not finite.
#[derive(Clone, Debug, Default)]
pub struct Lost {
    pub count: usize,
    pub first: Option<Point>,
    /// From where on nothing is finite, if the curve ends so.
    pub since: Option<f64>,
}

/// One point, or several of a long curve.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    pub x: f64,
    pub middle: f64,
    pub worst: f64,
    /// Where the worst value stands.
    pub worst_x: f64,
}

/// The median of a window.
#[derive(Clone, Copy, Debug)]
pub struct Level {
    pub from: f64,
    pub to: f64,
    /// Badness.
    pub value: f64,
    /// Standard error of the median.
    pub error: f64,
}

impl Course {
    pub fn of(curve: &Curve, extent: Extent) -> Course {
        let direction = direction_of(&curve.name);
        let sign = if direction == Direction::Higher { -1.0 } else { 1.0 };
        let mut lost = Lost::default();
        let mut points = Vec::with_capacity(curve.points.len());
        for &(x, y) in &curve.points {
            if y.is_finite() {
                points.push((x, y));
                lost.since = None;
            } else {
                lost.count += 1;
                lost.first.get_or_insert((x, y));
                lost.since.get_or_insert(x);
            }
        }
        let bad: Vec<f64> = points.iter().map(|(_, y)| sign * y).collect();
        let noise = noise(&bad);
        let is_noisy = points.len() > NOISY_BEYOND && !curve.name.starts_with("val/");
        Course {
            name: curve.name.clone(),
            direction,
            extent,
            lost,
            levels: levels(&points, &bad, noise),
            noise,
            is_noisy,
            points,
        }
    }

    /// A badness as the metric's own value.
    pub fn value(&self, bad: f64) -> f64 {
        if self.direction == Direction::Higher { -bad } else { bad }
    }

    /// A point's badness.
    pub fn bad(&self, point: Point) -> f64 {
        self.value(point.1)
    }

    /// The curve as single points, or as cells of several.
    pub fn cells(&self) -> Vec<Cell> {
        let mut bad: Vec<f64> = Vec::new();
        let cell = |points: &[Point]| {
            bad.clear();
            bad.extend(points.iter().map(|point| self.bad(*point)));
            let worst =
                (1..bad.len()).fold(0, |worst, index| if bad[index] > bad[worst] { index } else { worst });
            let (worst, worst_x) = (bad[worst], points[worst].0);
            Cell { x: points[points.len() / 2].0, middle: median_in(&mut bad), worst, worst_x }
        };
        self.points.chunks(self.points.len().div_ceil(CELLS).max(1)).map(cell).collect()
    }

    /// First and last step with a finite value.
    pub fn span(&self) -> Option<(f64, f64)> {
        Some((self.points.first()?.0, self.points.last()?.0))
    }

    /// The best single point, the earliest of equals.
    pub fn best(&self) -> Option<(usize, Point)> {
        let mut best: Option<(usize, Point)> = None;
        for (index, &point) in self.points.iter().enumerate() {
            if best.is_none_or(|(_, known)| self.bad(point) < self.bad(known)) {
                best = Some((index, point));
            }
        }
        best
    }

    /// The median badness of the points between two steps, with its standard error.
    pub fn level_between(&self, from: f64, to: f64) -> Option<(f64, f64)> {
        let first = self.points.partition_point(|(x, _)| *x < from);
        let after = self.points.partition_point(|(x, _)| *x <= to);
        let bad: Vec<f64> = self.points.get(first..after)?.iter().map(|point| self.bad(*point)).collect();
        (!bad.is_empty()).then(|| (median(&bad), error_of_median(self.noise, bad.len())))
    }
}

fn levels(points: &[Point], bad: &[f64], noise: f64) -> Vec<Level> {
    // Few values are few evaluations: each is a mean already.
    let least = if points.len() > LEVELS { LEAST_IN_LEVEL } else { 1 };
    let count = (points.len() / least).min(LEVELS);
    let edge = |index: usize| points.len() * index / count;
    let level = |index: usize| {
        let (start, end) = (edge(index), edge(index + 1));
        let within = &bad[start..end];
        Level {
            from: points[start].0,
            to: points[end - 1].0,
            value: median(within),
            error: error_of_median(noise, within.len()),
        }
    };
    (0..count).map(level).collect()
}

/// The median of normal values scatters by a quarter more than their mean (the root of half of pi).
fn error_of_median(noise: f64, count: usize) -> f64 {
    let factor = if count > 2 { 1.2533 } else { 1.0 };
    factor * noise / (count as f64).sqrt()
}
