//! Standing still: since when a curve has not moved, where it rested on its way, or that it still moves.

use super::course::{Course, Level};
use super::robust::quantile;
use super::{Extent, Kind, step, title};
use crate::say::measured;

/// Fewer levels do not show a stretch that stands still.
const LEAST: usize = 10;
/// A stretch counts from this share of the levels on.
const LONG: f64 = 0.2;
/// How far levels may lie from their middle in a stretch that stands still: so many standard errors ...
const ERRORS: f64 = 3.0;
/// ... or this share of the curve's range without its first and last tenth: what is smaller cannot be
/// seen on a chart.
const UNSEEN: f64 = 0.01;
/// With errors beyond this share of the range nothing can be said about standing still.
const TOO_NOISY: f64 = 0.05;
/// Of a rest, in as many levels as it took, the curve must then have moved by this share of its range ...
const WENT_ON: f64 = 0.25;
/// ... and by so many standard errors: else the whole of it may be one slow fall.
const WENT_ON_ERRORS: f64 = 8.0;
/// The last quarter of a curve that still improves is better than the quarter before by so many standard
/// errors.
const SURE: f64 = 5.0;

/// What may be said of how the curve stands, in sentences.
pub fn sentences(course: &Course) -> Vec<(Kind, String)> {
    let levels = &course.levels;
    if levels.len() < LEAST {
        return Vec::new();
    }
    let values: Vec<f64> = levels.iter().map(|level| level.value).collect();
    let range = quantile(&values, 0.9) - quantile(&values, 0.1);
    let error = quantile(&levels.iter().map(|level| level.error).collect::<Vec<_>>(), 0.5);
    let band = (ERRORS * error).max(UNSEEN * range);
    if range <= 0.0 || !range.is_finite() || ERRORS * error > TOO_NOISY * range {
        return Vec::new();
    }
    let mut said = Vec::new();
    match at_the_end(levels, band) {
        Some(from) => {
            let level = quantile(&values[from..], 0.5);
            said.push((Kind::Plateau, plateau(course, &levels[from], level)));
        }
        None => said.extend(still_improving(course).map(|text| (Kind::StillImproving, text))),
    }
    said.extend(
        rest(course, band, (WENT_ON * range).max(WENT_ON_ERRORS * error)).map(|text| (Kind::Rest, text)),
    );
    said
}

fn plateau(course: &Course, from: &Level, level: f64) -> String {
    let name = title(&course.name);
    let (since, level) = (step(from.from), measured(course.value(level)));
    match course.extent {
        Extent::SoFar => {
            format!("{name} has stood still since step {since}, within its noise, near {level}.")
        }
        Extent::Whole => format!("{name} stood still from step {since} on, within its noise, near {level}."),
    }
}

/// The first level of a stretch at the end that stands still, if it is long enough.
fn at_the_end(levels: &[Level], band: f64) -> Option<usize> {
    let from = stretch_before(levels, levels.len(), band);
    (levels.len() - from >= long(levels)).then_some(from)
}

fn long(levels: &[Level]) -> usize {
    ((levels.len() as f64 * LONG).ceil() as usize).max(4)
}

/// The beginning of the longest stretch that ends before `end`, keeps within the band, and whose second
/// half is not better than its first by more than noise.
fn stretch_before(levels: &[Level], end: usize, band: f64) -> usize {
    let (mut lowest, mut highest) = (f64::INFINITY, f64::NEG_INFINITY);
    let values: Vec<f64> = levels[..end].iter().map(|level| level.value).collect();
    let mut longest = end - 1;
    for from in (0..end).rev() {
        (lowest, highest) = (lowest.min(levels[from].value), highest.max(levels[from].value));
        if highest - lowest > 2.0 * band {
            break;
        }
        if end - from < long(levels) {
            continue;
        }
        let half = from + (end - from) / 2;
        let drift = quantile(&values[from..half], 0.5) - quantile(&values[half..], 0.5);
        if drift.abs() <= band / 2.0 {
            longest = from;
        }
    }
    longest
}

/// "Validation loss still improved at the end: the middle of the last quarter of the steps is 1.471, of the
/// quarter before 1.483."
fn still_improving(course: &Course) -> Option<String> {
    let (first, last) = course.span()?;
    let width = (last - first) / 4.0;
    let (before, before_error) = course.level_between(last - 2.0 * width, last - width)?;
    let (end, end_error) = course.level_between(last - width, last)?;
    let better = before - end;
    if better <= SURE * before_error.hypot(end_error) || better <= 0.0 {
        return None;
    }
    let verb = match course.extent {
        Extent::SoFar => "still improves",
        Extent::Whole => "still improved at the end",
    };
    Some(format!(
        "{} {verb}: the middle of the last quarter of the steps is {}, of the quarter before {}.",
        title(&course.name),
        measured(course.value(end)),
        measured(course.value(before))
    ))
}

/// "Validation loss rested from step 800 to 2,400 near 2.31 and went on to fall."
fn rest(course: &Course, band: f64, least: f64) -> Option<String> {
    let levels = &course.levels;
    let stretch = |end: usize| {
        let from = stretch_before(levels, end, band);
        let middle = quantile(&levels[from..end].iter().map(|level| level.value).collect::<Vec<_>>(), 0.5);
        (from, end, middle)
    };
    let counts = |(from, end, middle): &(usize, usize, f64)| {
        let later = (end + (end - from)).min(levels.len() - 1);
        end - from >= long(levels) && middle - levels[later].value > least
    };
    let longest = (1..levels.len()).map(stretch).filter(counts).max_by_key(|(from, end, _)| end - from)?;
    let (from, end, middle) = longest;
    Some(format!(
        "{} rested from step {} to step {} near {} and then went on to improve.",
        title(&course.name),
        step(levels[from].from),
        step(levels[end - 1].to),
        measured(course.value(middle))
    ))
}
