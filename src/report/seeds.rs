//! Runs that differ by their seed alone, taken together: who leads, and whether that is decided.

use std::collections::BTreeMap;

use super::chart::Point;
use super::chart::number::{count, measured, significant};
use super::say;
use super::summary::RunSummary;
use crate::experiment::metric::{Direction, direction_of};
use crate::statistics::groups::{self, AtEqualSteps, CONFIDENCE, Difference, Lead, Verdict, welch};
use crate::statistics::{Interval, mean};

/// More groups than these are compared by their runs alone: an interval that holds for all of them would
/// be so wide that it says nothing.
const MOST_GROUPS: usize = 200;

/// The runs of one setting.
pub struct Group<'a> {
    /// Its runs' name without the seed.
    pub name: String,
    /// In the order of their numbers.
    pub runs: Vec<&'a RunSummary>,
    /// The best value of each run up to the step at which all are compared, where there is one.
    pub values: Vec<f64>,
}

/// The settings of an experiment side by side.
pub struct Seeds<'a> {
    /// Best first.
    pub groups: Vec<Group<'a>>,
    pub metric: String,
    /// The step up to which values count.
    pub step: f64,
    verdict: Verdict,
}

impl<'a> Seeds<'a> {
    /// Groups of the runs that can be compared: finished ones, where there are any, else all that have
    /// values and did not fail. None where fewer than two have.
    pub fn of(runs: &[&'a RunSummary]) -> Option<Seeds<'a>> {
        let metric = runs.first()?.metric.clone();
        let direction = direction_of(&metric);
        let has_values = |run: &&&RunSummary| run.metric == metric && run.curves.contains_key(&metric);
        let with_values: Vec<&'a RunSummary> = runs.iter().filter(has_values).copied().collect();
        let of_class = |class: &str| -> Vec<&'a RunSummary> {
            with_values.iter().filter(|run| run.state.class == class).copied().collect()
        };
        let finished = of_class("finished");
        let compared = match finished.len() {
            0 | 1 => with_values.iter().filter(|run| run.state.class != "failed").copied().collect(),
            _ => finished,
        };
        let curves: Vec<Vec<Point>> = compared.iter().map(|run| run.curve(&metric)).collect();
        let AtEqualSteps { step, values } = groups::at_equal_steps(&curves, direction)?;
        let mut by_setting: BTreeMap<&str, Group<'a>> = BTreeMap::new();
        for (&run, value) in compared.iter().zip(values) {
            let key = if run.group.is_empty() { run.run.as_str() } else { run.group.as_str() };
            let group = by_setting.entry(key).or_insert_with(|| Group {
                name: name_without_seed(run),
                runs: Vec::new(),
                values: Vec::new(),
            });
            group.runs.push(run);
            group.values.extend(value);
        }
        let mut groups: Vec<Group<'a>> = by_setting.into_values().collect();
        groups.iter_mut().for_each(|group| group.runs.sort_by_key(|run| run.number));
        if compared.len() < 2 || groups.len() > MOST_GROUPS {
            return None;
        }
        let values: Vec<&[f64]> = groups.iter().map(|group| group.values.as_slice()).collect();
        let Lead { order, verdict } = groups::lead(&values, direction)?;
        let place = |rival: usize| order.iter().position(|known| *known == rival).unwrap_or(0);
        let verdict = match verdict {
            Verdict::Alone => Verdict::Alone,
            Verdict::OneSeed { rival } => Verdict::OneSeed { rival: place(rival) },
            Verdict::Open { rival, difference } => Verdict::Open { rival: place(rival), difference },
            Verdict::Decided { rival, difference } => Verdict::Decided { rival: place(rival), difference },
        };
        let mut groups: Vec<Option<Group<'a>>> = groups.into_iter().map(Some).collect();
        let groups = order.iter().filter_map(|place| groups[*place].take()).collect();
        Some(Seeds { groups, metric, step, verdict })
    }

    /// Whether any setting has more than one seed.
    pub fn has_several(&self) -> bool {
        self.groups.iter().any(|group| group.values.len() > 1)
    }

    /// Whether the first group is ahead of every other one.
    pub fn is_decided(&self) -> bool {
        matches!(self.verdict, Verdict::Decided { .. })
    }

    /// Who leads and whether that is decided, in sentences.
    pub fn sentence(&self) -> Option<String> {
        let first = self.groups.first()?;
        let mean_of = |group: &Group| {
            let seeds = say::counted(group.values.len(), "seed", "seeds");
            format!("{} over {seeds}", measured(mean(&group.values)))
        };
        let until = format!("up to step {}, which all have reached", count(self.step.max(0.0) as u64));
        let second = self.groups.get(1);
        let lead = match second {
            Some(second) => format!(
                "{} leads with a mean {} of {}, {until}; {} has {}.",
                first.name,
                self.metric,
                mean_of(first),
                second.name,
                mean_of(second)
            ),
            None => format!(
                "{} has a mean {} of {}, from {} to {}, {until}.",
                first.name,
                self.metric,
                mean_of(first),
                measured(first.values.iter().copied().fold(f64::INFINITY, f64::min)),
                measured(first.values.iter().copied().fold(f64::NEG_INFINITY, f64::max))
            ),
        };
        let others = self.groups.len().saturating_sub(1);
        let percent = CONFIDENCE * 100.0;
        let sure = match others {
            1 => format!("{percent:.0} % confidence"),
            _ => format!("{percent:.0} % confidence over all {others} comparisons"),
        };
        Some(match self.verdict {
            Verdict::Alone => lead,
            Verdict::OneSeed { .. } if !self.has_several() => {
                // What another program ran is not swept here.
                let is_ours =
                    self.groups.iter().flat_map(|group| &group.runs).all(|run| !run.state.is_imported);
                let way = if is_ours { " (seeds = [1, 2, 3] under [sweep])" } else { "" };
                format!("With one seed each, nobody can tell whether that is more than chance{way}.")
            }
            Verdict::OneSeed { rival } => {
                let single = if first.values.len() < 2 { first } else { &self.groups[rival] };
                format!("{lead} That is not decided: {} has one seed.", single.name)
            }
            Verdict::Open { rival, difference } => format!(
                "{lead} That is not decided: it is ahead of {} by {}, with {sure}.",
                self.groups[rival].name,
                self.said(&difference)
            ),
            Verdict::Decided { rival, difference } => format!(
                "{lead} That is decided: it is ahead of {}, the closest, by {}, with {sure}.",
                self.groups[rival].name,
                self.said(&difference)
            ),
        })
    }

    /// By how much a group lies behind the first: "0.012, between 0.008 and 0.016"; empty for the first
    /// itself and where nobody knows.
    pub fn behind(&self, place: usize) -> String {
        let (Some(first), Some(group)) = (self.groups.first(), self.groups.get(place)) else {
            return String::new();
        };
        let difference = welch(&first.values, &group.values, CONFIDENCE).filter(|_| place > 0);
        difference.map_or_else(String::new, |difference| self.said(&difference))
    }

    /// A lead of the first group: "0.012, between 0.008 and 0.016", whichever way is better.
    fn said(&self, difference: &Difference) -> String {
        let Interval { low, high } = difference.interval;
        let short = |value: f64| significant(value, 2);
        let (lead, low, high) = match direction_of(&self.metric) {
            Direction::Higher => (difference.of_means, low, high),
            _ => (-difference.of_means, -high, -low),
        };
        format!("{}, between {} and {}", short(lead), short(low), short(high))
    }
}

/// "lr3e-4-layers4-s2" without its seed.
fn name_without_seed(run: &RunSummary) -> String {
    let Some(seed) = run.seed else { return run.label.clone() };
    let seed = format!("s{seed}");
    // What the command line changed stands behind the name, after a space.
    let (name, changed) = run.label.split_once(' ').unwrap_or((&run.label, ""));
    let parts: Vec<&str> = name.split('-').filter(|part| *part != seed).collect();
    let name = if parts.is_empty() { run.experiment.clone() } else { parts.join("-") };
    format!("{name} {changed}").trim_end().to_owned()
}
