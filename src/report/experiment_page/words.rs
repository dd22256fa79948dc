//! The paragraph of an experiment: who leads, what the best run's curves did, what others did.

use super::super::lead::leader;
use super::super::seeds::Seeds;
use super::super::summary::RunSummary;
use crate::curves::{Kind, foremost};

/// Runs that are named for one thing; the others are counted.
const NAMED: usize = 3;
/// Sentences about the curves of the best one.
const OF_BEST: usize = 9;
/// What is said of runs that are not the best, with its words.
const TOLD: [(Kind, &str); 5] = [
    (Kind::NotFinite, "had values that are not finite"),
    (Kind::Diverged, "diverged"),
    (Kind::Overfitting, "over-fitted"),
    (Kind::Spikes, "spiked"),
    (Kind::Slowdown, "slowed down"),
];

/// Sentences about all runs, the best one first in `ranked`.
pub fn sentences(ranked: &[&RunSummary], seeds: Option<&Seeds>) -> Vec<String> {
    let mut said: Vec<String> = Vec::new();
    if !seeds.is_some_and(Seeds::has_several) {
        said.extend(leader(ranked));
    }
    if let Some(sentence) = seeds.and_then(Seeds::sentence) {
        match said.first_mut() {
            Some(first) => *first += &format!(" {sentence}"),
            None => said.push(sentence),
        }
    }
    if let Some(best) = ranked.first().filter(|run| run.best.is_some()) {
        let (of_best, _) = foremost(&best.said, &best.metric, OF_BEST);
        if !of_best.is_empty() {
            said.push(format!("{}, the best run: {}", best.label, of_best.join(" ")));
        }
    }
    let others = ranked.get(1..).unwrap_or_default();
    said.extend(unranked(ranked));
    let of_kind = |(kind, words): &(Kind, &str)| {
        let has = |run: &&&RunSummary| run.said.iter().any(|one| one.kind == *kind);
        let names: Vec<&str> = others.iter().filter(has).map(|run| run.label.as_str()).collect();
        (!names.is_empty()).then(|| format!("{} {words}", listed(&names)))
    };
    let told: Vec<String> = TOLD.iter().filter_map(of_kind).collect();
    if !told.is_empty() {
        said.push(format!("Of the others, {}.", told.join("; ")));
    }
    said
}

/// Runs that came to an end without a value to rank them by, where others have one.
fn unranked(ranked: &[&RunSummary]) -> Option<String> {
    let first = ranked.first().filter(|run| run.best.is_some())?;
    let without = ranked.iter().filter(|run| run.state.class == "finished" && run.best.is_none());
    let names: Vec<&str> = without.map(|run| run.label.as_str()).collect();
    let (have, are) = if names.len() == 1 { ("has", "is") } else { ("have", "are") };
    let none = format!("{have} no value of {} and {are} not ranked.", first.metric);
    (!names.is_empty()).then(|| format!("{} {none}", listed(&names)))
}

/// "a, b and c", "a, b, c and 4 more".
fn listed(names: &[&str]) -> String {
    let named = |names: &[&str]| names.join(", ");
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [before @ .., last] if names.len() <= NAMED => format!("{} and {last}", named(before)),
        _ => format!("{} and {} more", named(&names[..NAMED]), names.len() - NAMED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_names_are_listed_and_the_others_counted() {
        let names = ["a", "b", "c", "d", "e"];
        let listed: Vec<String> = (0..=5).map(|many| listed(&names[..many])).collect();
        assert_eq!(listed, ["", "a", "a and b", "a, b and c", "a, b, c and 1 more", "a, b, c and 2 more"]);
    }
}
