//! Where a curve began, how good it became, where it ended, and what of it is no number.

use super::course::Course;
use super::robust::median_in;
use super::{Extent, step, title};
use crate::experiment::metric::Direction;
use crate::say::measured;

/// The last values whose middle stands for the end of a noisy curve.
const LAST: usize = 50;

/// "Validation loss fell from 4.2 to 1.471 at step 4,750, its best, and ended at 1.502 at step 10,000."
pub fn sentence(course: &Course) -> Option<String> {
    let name = title(&course.name);
    let (first, last) = (*course.points.first()?, *course.points.last()?);
    let (_, best) = course.best()?;
    if course.points.len() == 1 {
        return Some(format!("{name} has one value, {} at step {}.", measured(first.1), step(first.0)));
    }
    let values = || course.points.iter().map(|(_, y)| *y);
    let (lowest, highest) =
        values().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), y| (low.min(y), high.max(y)));
    if lowest == highest {
        let span = format!("from step {} to step {}", step(first.0), step(last.0));
        return Some(format!("{name} stayed at {} {span}.", measured(lowest)));
    }
    if course.direction == Direction::Neither || super::is_rate(&course.name) {
        return Some(format!(
            "{name} went from {} to {}, between {} and {}.",
            measured(first.1),
            measured(last.1),
            measured(lowest),
            measured(highest)
        ));
    }
    if course.is_noisy {
        return Some(noisy(course, name));
    }
    let (to, at_the_end) = match course.extent {
        Extent::Whole => ("ended at", "best and last value"),
        Extent::SoFar => ("is at", "best and newest value"),
    };
    let (best_value, best_step) = (measured(best.1), step(best.0));
    let way = if best.1 < first.1 { "fell" } else { "rose" };
    let from = measured(first.1);
    Some(match () {
        () if best.0 == first.0 => format!(
            "{name} was best at its start, {best_value} at step {best_step}, and {to} {} at step {}.",
            measured(last.1),
            step(last.0)
        ),
        () if best.0 == last.0 => {
            format!("{name} {way} from {from} to {best_value} at step {best_step}, its {at_the_end}.")
        }
        () => format!(
            "{name} {way} from {from} to {best_value} at step {best_step}, its best, and {to} {} at step {}.",
            measured(last.1),
            step(last.0)
        ),
    })
}

/// Of values of single steps the middle of many says more than the last or the best.
fn noisy(course: &Course, name: &str) -> String {
    let points = &course.points;
    let many = LAST.min(points.len() / 4);
    let mut values: Vec<f64> = points[points.len() - many..].iter().map(|(_, y)| *y).collect();
    let (begin, end) = (points[0].1, median_in(&mut values));
    let way = if end < begin { "fell" } else { "rose" };
    let last = points[points.len() - 1];
    format!(
        "{name} {way} from {} to about {} at step {}, the middle of its last {many} values; the last one is {}.",
        measured(begin),
        measured(end),
        step(last.0),
        measured(last.1)
    )
}

/// "Training loss is not finite from step 310 on."
pub fn not_finite(course: &Course) -> Option<String> {
    let lost = &course.lost;
    let (first, value) = lost.first?;
    let name = title(&course.name);
    Some(match lost.since {
        Some(_) if course.points.is_empty() => format!("{name} has no finite value."),
        Some(since) if since == first => {
            format!("{name} is {} from step {} on.", measured(value), step(since))
        }
        Some(since) => {
            format!(
                "{name} is not finite from step {} on, and was so first at step {}.",
                step(since),
                step(first)
            )
        }
        None => format!(
            "{name} was not finite in {}, first at step {} ({}).",
            crate::say::counted(lost.count, "row", "rows"),
            step(first),
            measured(value)
        ),
    })
}
