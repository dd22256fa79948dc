//! Slowdowns of throughput: stretches in which a run was clearly slower than for most of its time.

use super::course::{Course, Level};
use super::robust::quantile;
use super::{Happened, Mark, step};
use crate::say::measured;

/// Fewer levels, or levels of fewer values, do not tell a slow stretch from a slow moment.
const LEAST: usize = 10;
/// The usual pace is what a fifth of the time was faster than: a slow half does not hide itself.
const USUAL: f64 = 0.8;
/// Slower than this share of the usual pace; machines that do other things as well vary by less.
const SLOW: f64 = 0.8;
/// The difference in standard errors.
const SURE: f64 = 4.0;
/// A stretch takes at least this share of the levels.
const LONG: f64 = 0.1;

/// "From step 3,000 on it trained at 61 % of its usual pace, 38,000 instead of 62,000 tokens per second."
pub fn sentence(rate: &Course, marks: &[Mark]) -> Option<String> {
    let levels = &rate.levels;
    if levels.len() < LEAST {
        return None;
    }
    let speeds: Vec<f64> = levels.iter().map(|level| rate.value(level.value)).collect();
    let usual = quantile(&speeds, USUAL);
    let is_slow = |level: &Level| usual - rate.value(level.value) > (1.0 - SLOW) * usual + SURE * level.error;
    let least = ((levels.len() as f64 * LONG).ceil() as usize).max(3);
    // Programs are slow at first: they load, compile and fill caches.
    let start = levels.iter().position(|level| !is_slow(level))?;
    let mut longest: Option<(usize, usize)> = None;
    let mut from = start;
    for end in start..=levels.len() {
        if end == levels.len() || !is_slow(&levels[end]) {
            if end - from >= least && longest.is_none_or(|(a, b)| end - from > b - a) {
                longest = Some((from, end));
            }
            from = end + 1;
        }
    }
    let (from, end) = longest?;
    let slow = quantile(&speeds[from..end], 0.5);
    let span = match end == levels.len() {
        true => format!("From step {} on", step(levels[from].from)),
        false => format!("From step {} to step {}", step(levels[from].from), step(levels[end - 1].to)),
    };
    Some(format!(
        "{span} it trained at {:.0} % of its usual pace, {} instead of {} {}{}.",
        slow / usual * 100.0,
        measured(rounded(slow)),
        measured(rounded(usual)),
        rate.name.replace('_', " "),
        meanwhile(marks, levels[from].from, levels[end - 1].to)
    ))
}

/// What else is known of that time.
fn meanwhile(marks: &[Mark], from: f64, to: f64) -> String {
    let width = (to - from) * 0.1;
    let resumed =
        marks.iter().find(|mark| mark.what == Happened::Resumed && (mark.from - from).abs() <= width);
    let throttled = marks.iter().find_map(|mark| match &mark.what {
        Happened::Throttled(why) if mark.from < to && mark.to > from => Some(why),
        _ => None,
    });
    let resumed = resumed.map(|mark| format!("; it was resumed at step {}", step(mark.from)));
    let throttled = throttled.map(|why| format!("; the GPU's clocks were held down then ({why})"));
    [resumed, throttled].into_iter().flatten().collect()
}

/// Three digits: more of a rate are never meant.
fn rounded(rate: f64) -> f64 {
    let power = 10f64.powi(2 - rate.abs().log10().floor() as i32);
    if power.is_normal() { (rate * power).round() / power } else { rate }
}
