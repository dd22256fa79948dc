//! What a run's directory says about how far it can be trusted to have been resumed at the same bits: its
//! attempts, what they left of each checkpoint for ever, and what `overnight verify` found.

use serde::Serialize;

use super::RunDir;
use super::checkpoint::chained;
use super::read::{self, ReadError};
use super::records::{Attempt, Event, Start, What};
use super::standing::standing;
use super::verdict::{Difference, Verdict};
use crate::experiment::settings::Precision;
use crate::say;

/// What is known for ever of a checkpoint that was written, also once it is deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Point {
    pub step: u64,
    /// The attempt that took the steps before it.
    pub attempt: u32,
    /// Empty where an older version wrote it.
    pub history: String,
    pub weights: String,
}

/// The checkpoints of a run as its events tell them, ascending; without those that were overtaken when it
/// went back to an earlier one.
pub fn trail(events: &[Event]) -> Vec<Point> {
    let mut trail: Vec<Point> = Vec::new();
    // The step that the present attempt began after, and the attempt that had come to it.
    let mut came_from: Option<(u64, u32)> = None;
    let mut before: Option<u32> = None;
    for event in standing(events) {
        match &event.what {
            What::Resumed { checkpoint } if came_from.is_none_or(|(step, _)| step != *checkpoint) => {
                came_from = before.map(|attempt| (*checkpoint, attempt));
            }
            What::Checkpointed { history, weights, .. } => {
                let made_before = came_from.filter(|(step, _)| *step == event.step);
                let known = trail.iter().position(|point| point.step == event.step);
                let attempt = known.map(|index| trail.remove(index).attempt);
                trail.push(Point {
                    step: event.step,
                    attempt: attempt.or(made_before.map(|(_, maker)| maker)).unwrap_or(event.attempt),
                    history: history.clone(),
                    weights: weights.clone(),
                });
            }
            _ => {}
        }
        before = Some(event.attempt);
    }
    trail.sort_by_key(|point| point.step);
    trail
}

/// Whether two records of one step hold the same losses and weights. A checkpoint that was written because
/// the run was asked to end leaves its weights out of the history until what is due there is done.
pub fn agree(one: &Point, other: &Point) -> bool {
    let with_weights = |point: &Point| chained(&point.history, point.weights.as_bytes());
    one.weights == other.weights
        && (one.history == other.history
            || with_weights(one) == other.history
            || one.history == with_weights(other))
}

/// What of that which decides the bits a later attempt did not repeat, as the end of a sentence: `with 2
/// threads instead of 1`.
pub fn changes(before: &Start, after: &Start) -> Vec<String> {
    let mut changes = Vec::new();
    let mut change = |word: &str, is: String, was: String| {
        if is != was {
            changes.push(format!("{word} {is} instead of {was}"));
        }
    };
    let both = |word: fn(&Start) -> String| (word(after), word(before));
    let (is, was) = both(|start| start.device.name().to_owned());
    change("on", is, was);
    let (is, was) = both(|start| say::counted(start.threads as usize, "thread", "threads"));
    change("with", is, was);
    let (is, was) = both(|start| precision(start.precision).to_owned());
    change("in", is, was);
    let (is, was) = both(split);
    change("with", is, was);
    if !is_same_libtorch(&before.libtorch, &after.libtorch) {
        changes.push(format!("with libtorch {} instead of {}", after.libtorch, before.libtorch));
    }
    changes
}

/// Whether two versions may be one: a worker started by hand does not know the local part of its own.
pub fn is_same_libtorch(one: &str, other: &str) -> bool {
    let public = |version: &str| version.split('+').next().map(str::to_owned);
    let is_known = |version: &str| version.contains('+');
    one == other || public(one) == public(other) && !(is_known(one) && is_known(other))
}

/// How the examples of a step were divided: `2 x 16 examples a step`.
pub fn split(start: &Start) -> String {
    match start.accumulate {
        1 => format!("{} examples a step", start.micro_batch),
        parts => format!("{parts} x {} examples a step", start.micro_batch),
    }
}

pub fn precision(precision: Precision) -> &'static str {
    match precision {
        Precision::Fp32 => "fp32",
        Precision::Bf16 => "bf16",
        Precision::Auto => "auto",
    }
}

/// The start lines, in order.
pub fn starts(attempts: &[Attempt]) -> impl DoubleEndedIterator<Item = &Start> {
    attempts.iter().filter_map(|line| match line {
        Attempt::Start(start) => Some(start),
        Attempt::End(_) => None,
    })
}

/// How a run came to its end through its attempts, and what a replay said about it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Certificate {
    pub attempts: u32,
    /// Attempts that went on from a checkpoint.
    pub resumed: u32,
    /// Attempts that a signal ended, or whose end nobody saw, and after which it went on.
    pub kills_survived: u32,
    /// Attempts that could not give the same bits as those before, and why.
    pub changes: Vec<String>,
    pub verified: Verified,
    /// The newest checkpoint that is recorded.
    pub newest: Option<Point>,
}

/// What is known of the bits.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Verified {
    No,
    /// From the beginning to the newest checkpoint.
    Equal,
    /// These steps, and no others.
    Partly {
        stretches: Vec<(u64, u64)>,
    },
    Differs {
        difference: Difference,
        why: Vec<String>,
    },
}

impl Certificate {
    /// Reads what [`Certificate::of`] needs. Events are read only where a verdict must be held against them.
    ///
    /// # Errors
    /// `verify.jsonl` or `events.jsonl` is there and cannot be read.
    pub fn read(dir: &RunDir, attempts: &[Attempt]) -> Result<Certificate, ReadError> {
        let verdicts = read::lines::<Verdict>(&dir.verify())?.records;
        let events =
            if verdicts.is_empty() { Vec::new() } else { read::lines::<Event>(&dir.events())?.records };
        Ok(Certificate::of(attempts, &trail(&events), &verdicts))
    }

    pub fn of(attempts: &[Attempt], trail: &[Point], verdicts: &[Verdict]) -> Certificate {
        let all: Vec<&Start> = starts(attempts).collect();
        let went_on = |start: &&&Start| {
            let end = super::status::end_of(attempts, start.attempt);
            end.is_none_or(|end| end.signal.is_some() || end.code.is_none())
        };
        let before_last = &all[..all.len().saturating_sub(1)];
        let changes = all.windows(2).filter_map(|pair| {
            let changes = changes(pair[0], pair[1]);
            let from = pair[1].checkpoint?;
            let words = changes.join(", ");
            (!changes.is_empty()).then(|| {
                format!("attempt {} went on from step {} {words}", pair[1].attempt, say::count(from))
            })
        });
        Certificate {
            attempts: all.last().map_or(0, |start| start.attempt),
            resumed: all.iter().filter(|start| start.checkpoint.is_some()).count() as u32,
            kills_survived: before_last.iter().filter(went_on).count() as u32,
            changes: changes.collect(),
            verified: verified(trail, verdicts),
            newest: trail.last().cloned(),
        }
    }

    /// `resumed 3 times, verified equal`.
    pub fn sentence(&self) -> String {
        let resumed = match self.resumed {
            0 => "never resumed".to_owned(),
            1 => "resumed once".to_owned(),
            times => format!("resumed {} times", say::count(u64::from(times))),
        };
        match &self.verified {
            Verified::No => format!("{resumed}, not verified"),
            Verified::Equal => format!("{resumed}, verified equal"),
            Verified::Partly { stretches } => {
                let words = stretches
                    .iter()
                    .map(|(from, to)| format!("{} to {}", say::count(*from), say::count(*to)));
                format!("{resumed}, steps {} verified equal", words.collect::<Vec<_>>().join(" and "))
            }
            Verified::Differs { difference, .. } => {
                format!("{resumed}, verified and not equal: {difference}")
            }
        }
    }
}

/// What all verdicts together say. A newer one about the same steps takes the place of an older.
fn verified(trail: &[Point], verdicts: &[Verdict]) -> Verified {
    let mut standing: Vec<&Verdict> = Vec::new();
    for verdict in verdicts.iter().rev().filter(|verdict| stands(verdict, trail)) {
        let is_covered = |newer: &&Verdict| newer.from <= verdict.from && verdict.to <= newer.to;
        if !standing.iter().any(is_covered) {
            standing.push(verdict);
        }
    }
    let different = standing.iter().find_map(|verdict| Some((verdict.difference.clone()?, &verdict.why)));
    if let Some((difference, why)) = different {
        return Verified::Differs { difference, why: why.clone() };
    }
    let mut stretches: Vec<(u64, u64)> = standing.iter().map(|verdict| (verdict.from, verdict.to)).collect();
    stretches.sort_unstable();
    let joined = stretches.into_iter().fold(Vec::<(u64, u64)>::new(), |mut joined, (from, to)| {
        match joined.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => joined.push((from, to)),
        }
        joined
    });
    let end = trail.last().map(|point| point.step);
    match joined.as_slice() {
        [] => Verified::No,
        [(0, to)] if Some(*to) == end => Verified::Equal,
        _ => Verified::Partly { stretches: joined },
    }
}

/// Whether the run is still the one that the verdict is about.
fn stands(verdict: &Verdict, trail: &[Point]) -> bool {
    let replayed = Point {
        step: verdict.to,
        attempt: 0,
        history: verdict.history.clone(),
        weights: verdict.weights.clone(),
    };
    let there = trail.iter().find(|point| point.step == verdict.to);
    there.is_some_and(|point| point.history.is_empty() || agree(point, &replayed))
}

#[cfg(test)]
mod tests;
