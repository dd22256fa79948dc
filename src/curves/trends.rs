//! Divergence and over-fitting: where a curve went the wrong way and stayed there.

use super::course::{CELLS, Course};
use super::robust::{median, noise};
use super::{Happened, Kind, Mark, Said, step, title, title_within};
use crate::say::measured;

/// Fewer values do not show a trend.
const LEAST: usize = 6;
/// A curve has diverged that lost at least this share of all that it had gained ...
const LOST_SHARE: f64 = 0.5;
/// ... by so many standard errors of a level. Levels of a plain curve scatter by less than four.
const SURE: f64 = 8.0;
/// ... and at least this share of its best level: a metric that only trembles in its last digits has
/// not diverged.
const LEAST_LOST: f64 = 0.02;
/// Where it left its best level: this share of what was lost in the end, or out of the level's noise.
const LEFT: f64 = 0.02;
/// What precedes a turn by at most this share of the steps is named beside it.
const RIGHT_BEFORE: f64 = 0.02;

/// "Training loss diverged: since step 310, right after the resume at step 300, it rose from 1.9 to 7.4."
pub fn divergence(course: &Course, marks: &[Mark]) -> Option<String> {
    let levels = &course.levels;
    if course.points.len() < LEAST || levels.len() < LEAST {
        return None;
    }
    let (place, best) = levels.iter().enumerate().min_by(|a, b| a.1.value.total_cmp(&b.1.value))?;
    let end = levels[levels.len() - 2].value.min(levels[levels.len() - 1].value);
    let first = levels[0].value;
    let (gained, lost) = (first - best.value, end - best.value);
    let steady: Vec<f64> = levels.iter().map(|level| level.value).collect();
    let error = best.error.max(noise(&steady));
    let is_far = lost > SURE * error && lost > LEAST_LOST * best.value.abs();
    if !is_far || lost < LOST_SHARE * gained {
        return None;
    }
    let near = best.value + (LEFT * lost).max(SURE * error);
    let left = levels.iter().enumerate().skip(place).rev().find(|(_, level)| level.value <= near);
    let (place, level) = left?;
    // Within the window after which it stayed away, the last value that was still near.
    let until = levels.get(place + 1).map_or(level.to, |next| next.to);
    let cells = course.cells();
    let near_cells = cells.iter().filter(|cell| cell.x >= level.from && cell.x <= until);
    let since =
        near_cells.filter(|cell| cell.middle <= near).map(|cell| cell.x).next_back().unwrap_or(level.to);
    let way = if course.value(end) > course.value(best.value) { "rose" } else { "fell" };
    Some(format!(
        "{} diverged: since step {}{} it {way} from {} to {}.",
        title(&course.name),
        step(since),
        beside(marks, since, course),
        measured(course.value(best.value)),
        measured(course.value(end))
    ))
}

/// ", right after the resume at step 300,": facts that stand right before a step, or nothing.
pub fn beside(marks: &[Mark], at: f64, course: &Course) -> String {
    let Some((first, last)) = course.span() else { return String::new() };
    let spacing = (last - first) / (course.points.len().clamp(2, CELLS) - 1) as f64;
    let near = (RIGHT_BEFORE * (last - first)).max(2.0 * spacing);
    let holds = |mark: &&Mark| match mark.what {
        Happened::Throttled(_) => mark.from <= at && at <= mark.to,
        _ => mark.from <= at + spacing && at - mark.to <= near,
    };
    let words: Vec<String> = marks.iter().filter(holds).map(said_of).take(2).collect();
    if words.is_empty() { String::new() } else { format!(", {},", words.join(" and ")) }
}

fn said_of(mark: &Mark) -> String {
    match &mark.what {
        Happened::Resumed => format!("right after the resume at step {}", step(mark.from)),
        Happened::LearningRate { from, to } => format!(
            "right after the learning rate went from {} to {} at step {}",
            measured(*from),
            measured(*to),
            step(mark.from)
        ),
        Happened::Throttled(why) => format!("while the GPU's clocks were held down ({why})"),
    }
}

/// Values after the best one that it takes to speak of over-fitting.
const LEAST_AFTER: usize = 3;
/// The rise, in standard errors of what is compared.
const RISE_SURE: f64 = 5.0;
/// The rise as a share of the level at the best: less nobody would act upon.
const LEAST_RISE: f64 = 0.005;
/// Of the pairs of later values, rising ones must outnumber falling ones by this share (Kendall's tau):
/// a curve that wanders rises and falls.
const MONOTONE: f64 = 0.3;
/// The training metric's fall, in standard errors.
const FALL_SURE: f64 = 4.0;
/// Where the training metric is looked at, around a step: this share of the steps.
const AROUND: f64 = 0.05;
/// Pairs are counted among at most about this many values.
const PAIRED: usize = 200;

/// Validation that gets worse while training gets better, by loss, else by accuracy.
pub fn overfitting<'a>(course: impl Fn(&str) -> Option<&'a Course>) -> Vec<Said> {
    let pair = |metric: &str| course(&format!("val/{metric}")).zip(course(&format!("train/{metric}")));
    let seen = ["loss", "accuracy"].into_iter().filter_map(pair).find_map(|(val, train)| {
        let text = overfit(val, train)?;
        Some(Said { kind: Kind::Overfitting, about: vec![val.name.clone(), train.name.clone()], text })
    });
    seen.into_iter().collect()
}

fn overfit(val: &Course, train: &Course) -> Option<String> {
    let bad: Vec<f64> = val.points.iter().map(|point| val.bad(*point)).collect();
    let (place, best) = val.best()?;
    let after = &bad[place + 1..];
    if bad.len() < LEAST || after.len() < LEAST_AFTER {
        return None;
    }
    let around = &bad[place.saturating_sub(1)..(place + 2).min(bad.len())];
    let many = (after.len() / 3).max(LEAST_AFTER);
    let (level, end) = (median(around), median(&after[after.len() - many..]));
    let rise = end - level;
    // The later part is calmer than the beginning, so its own noise counts where there is enough of it.
    let spread = if after.len() >= 8 { noise(after) } else { val.noise };
    let error = spread * (1.0 / around.len() as f64 + 1.0 / many as f64).sqrt();
    if rise <= RISE_SURE * error || rise <= LEAST_RISE * level.abs() || tau(after) < MONOTONE {
        return None;
    }
    let (first, last) = val.span()?;
    let width = AROUND * (last - first);
    let (then, then_error) = train.level_between(best.0 - width, best.0 + width)?;
    let (now, now_error) = train.level_between(last - width, last)?;
    if then - now <= FALL_SURE * then_error.hypot(now_error) || then <= now {
        return None;
    }
    let way = |from: f64, to: f64| if to > from { "rose" } else { "fell" };
    let part = |course: &Course, from: f64, to: f64| {
        let (from, to) = (course.value(from), course.value(to));
        format!("{} from {} to {}", way(from, to), measured(from), measured(to))
    };
    Some(format!(
        "Over-fitting since step {}: {} {} while {} {}.",
        step(best.0),
        title_within(&val.name),
        part(val, level, end),
        title_within(&train.name),
        part(train, then, now)
    ))
}

/// Kendall's rank correlation of the values with their order.
fn tau(values: &[f64]) -> f64 {
    let every = values.len().div_ceil(PAIRED).max(1);
    let values: Vec<f64> = values.iter().copied().step_by(every).collect();
    let mut balance = 0i64;
    for (index, early) in values.iter().enumerate() {
        for late in &values[index + 1..] {
            balance += i64::from(late > early) - i64::from(late < early);
        }
    }
    let pairs = values.len() * values.len().saturating_sub(1) / 2;
    balance as f64 / pairs.max(1) as f64
}
