//! Which run of an experiment leads, in sentences. Runs that have not come to the same step are compared
//! where both have been.

use super::chart::number::{count, measured, significant};
use super::experiment_page::metric_title;
use super::say;
use super::summary::RunSummary;
use crate::experiment::metric::{Direction, direction_of};

/// "d8-lr3e-4 is best: validation loss 1.471 at step 4,750.", or that it leads as long as others go on, or
/// that several are equal.
pub fn best(ranked: &[&RunSummary]) -> Option<String> {
    let best = ranked.first()?;
    let value = best.best?;
    let title = metric_title(&best.metric).to_lowercase();
    let goes_on = ranked.iter().any(|run| goes_on(run));
    let others =
        ranked[1..].iter().take_while(|run| run.best.is_some_and(|other| other.value == value.value));
    let others = match others.collect::<Vec<_>>()[..] {
        [] => {
            let is = if goes_on { "leads so far" } else { "is best" };
            let (step, value) = (count(value.step), measured(value.value));
            return Some(format!("{} {is}: {title} {value} at step {step}.", best.label));
        }
        [other] => other.label.clone(),
        ref more => say::counted(more.len(), "other", "others"),
    };
    let lead = if goes_on { "lead so far" } else { "are best" };
    Some(format!("{} and {others} {lead}, equal: {title} {}.", best.label, measured(value.value)))
}

/// How the first run lies to the second.
pub fn leader(ranked: &[&RunSummary]) -> Option<String> {
    let (first, second) = (ranked.first()?, ranked.get(1)?);
    let (one, other) = (first.best?, second.best?);
    if first.metric != second.metric {
        return None;
    }
    if goes_on(first) || goes_on(second) {
        return at_equal_steps(first, second);
    }
    Some(compared("", first, one.value, second, other.value))
}

/// Whether it may still come to another value: it is at work, waits or is held. One that was stopped has
/// ended for good, and one that is skipped never begins.
fn goes_on(run: &RunSummary) -> bool {
    let ended = ["stopped", "skipped"].contains(&run.state.word.as_str());
    matches!(run.state.class.as_str(), "running" | "waiting" | "held") && !ended && run.step < run.steps
}

/// The two at the last step at which both were measured; nothing where there is none.
fn at_equal_steps(one: &RunSummary, other: &RunSummary) -> Option<String> {
    let (of_one, of_other) = (one.curve(&one.metric), other.curve(&one.metric));
    let finite = of_one.iter().rev().filter(|(_, value)| value.is_finite());
    let (step, value, facing) = finite.into_iter().find_map(|&(step, value)| {
        let facing = of_other.iter().rev().find(|(at, _)| *at == step)?;
        facing.1.is_finite().then_some((step, value, facing.1))
    })?;
    let is_first_better = match direction_of(&one.metric) {
        Direction::Higher => value >= facing,
        _ => value <= facing,
    };
    let at = format!("At step {}, where both have been, ", count(step as u64));
    Some(match is_first_better {
        true => compared(&at, one, value, other, facing),
        false => compared(&at, other, facing, one, value),
    })
}

fn compared(at: &str, first: &RunSummary, value: f64, second: &RunSummary, facing: f64) -> String {
    let way = match direction_of(&first.metric) {
        Direction::Higher => "above",
        _ => "below",
    };
    match (value - facing).abs() {
        0.0 => format!("{at}{} and {} are equal in {}.", first.label, second.label, first.metric),
        apart => {
            let next = if at.is_empty() { "the next, " } else { "" };
            format!("{at}{} is {} {way} {next}{}.", first.label, significant(apart, 2), second.label)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::summary::{BestValue, sample};
    use super::*;

    #[test]
    fn equal_runs_are_said_to_be_equal() {
        let with = |name: &str, value: f64| {
            let mut run = sample("x", name);
            run.label = name.to_owned();
            run.best = Some(BestValue { value, step: 100 });
            run.state.class = "finished".into();
            run
        };
        let runs = [with("a", 1.5), with("b", 1.5), with("c", 1.5), with("d", 1.6)];
        let said = |runs: &[&RunSummary]| best(runs).unwrap();
        assert_eq!(said(&[&runs[0], &runs[3]]), "a is best: validation loss 1.500 at step 100.");
        assert_eq!(said(&[&runs[0], &runs[1], &runs[3]]), "a and b are best, equal: validation loss 1.500.");
        assert_eq!(
            said(&[&runs[0], &runs[1], &runs[2]]),
            "a and 2 others are best, equal: validation loss 1.500."
        );
    }
}
