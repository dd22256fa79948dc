//! Seeds of one setting as a group: which group leads, by how much, and whether that is decided.

use super::student::quantile;
use super::{Interval, mean, variance};
use crate::experiment::metric::Direction;

/// How sure one must be to call a lead decided.
pub const CONFIDENCE: f64 = 0.95;

/// A step and a value.
type Point = (f64, f64);

/// What each run had come to at one step that all have reached.
#[derive(Clone, Debug, PartialEq)]
pub struct AtEqualSteps {
    pub step: f64,
    /// The best value up to that step; none of a run without a finite one.
    pub values: Vec<Option<f64>>,
}

/// The best values of runs up to the last step that all of them have a value at; none without points.
pub fn at_equal_steps(curves: &[Vec<Point>], direction: Direction) -> Option<AtEqualSteps> {
    let last = |points: &Vec<Point>| points.iter().map(|(x, _)| *x).fold(f64::NEG_INFINITY, f64::max);
    let step = curves.iter().map(last).fold(f64::INFINITY, f64::min);
    if !step.is_finite() {
        return None;
    }
    let best = |points: &Vec<Point>| {
        let values = points.iter().filter(|(x, y)| *x <= step && y.is_finite()).map(|(_, y)| *y);
        values.reduce(|best, value| match direction {
            Direction::Higher => best.max(value),
            _ => best.min(value),
        })
    };
    Some(AtEqualSteps { step, values: curves.iter().map(best).collect() })
}

/// The difference of the means of two groups, with the interval in which it probably lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// Of the first group less that of the second.
    pub of_means: f64,
    pub interval: Interval,
}

/// Welch's interval, which does not assume that both groups scatter equally (Welch, Biometrika 34, 1947);
/// right for as few as two values a group, where resampling them would promise too much. None where a
/// group has one value: nothing is known of its scatter.
pub fn welch(one: &[f64], other: &[f64], confidence: f64) -> Option<Difference> {
    if one.len() < 2 || other.len() < 2 {
        return None;
    }
    let of_means = mean(one) - mean(other);
    let part = |values: &[f64]| variance(values) / values.len() as f64;
    let (a, b) = (part(one), part(other));
    let error = (a + b).sqrt();
    let freedom = (a + b).powi(2) / (a * a / (one.len() - 1) as f64 + b * b / (other.len() - 1) as f64);
    let reach = match error {
        0.0 => 0.0,
        error => error * quantile(0.5 + confidence / 2.0, freedom),
    };
    let interval = Interval { low: of_means - reach, high: of_means + reach };
    (interval.low.is_finite() && interval.high.is_finite()).then_some(Difference { of_means, interval })
}

/// Who leads among groups, by their means.
#[derive(Clone, Debug, PartialEq)]
pub struct Lead {
    /// Places of the groups, best first; those without a value are left out.
    pub order: Vec<usize>,
    pub verdict: Verdict,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// There is nothing to compare it with.
    Alone,
    /// The leader or this rival has one seed, so that nobody can tell.
    OneSeed { rival: usize },
    /// This rival may as well be better.
    Open { rival: usize, difference: Difference },
    /// Better than every other group. The closest rival, and the difference to it.
    Decided { rival: usize, difference: Difference },
}

/// The leading group, and whether the others are excluded. The leader was picked because it looked best,
/// so each of several rivals must be excluded with a confidence that holds for all of them together
/// (Bonferroni).
pub fn lead(groups: &[&[f64]], direction: Direction) -> Option<Lead> {
    let bad = |place: usize| match direction {
        Direction::Higher => -mean(groups[place]),
        _ => mean(groups[place]),
    };
    let mut order: Vec<usize> = (0..groups.len()).filter(|place| !groups[*place].is_empty()).collect();
    order.sort_by(|a, b| bad(*a).total_cmp(&bad(*b)));
    let (&first, rivals) = order.split_first()?;
    let Some(&closest) = rivals.first() else { return Some(Lead { order, verdict: Verdict::Alone }) };
    let confidence = 1.0 - (1.0 - CONFIDENCE) / rivals.len() as f64;
    let mut of_closest = None;
    let mut verdict = None;
    for &rival in rivals {
        match welch(groups[first], groups[rival], confidence) {
            None => verdict = verdict.or(Some(Verdict::OneSeed { rival })),
            Some(difference) if difference.interval.has_zero() => {
                // What is known to be open says more than what nobody can know.
                if !matches!(verdict, Some(Verdict::Open { .. })) && rival == closest || verdict.is_none() {
                    verdict = Some(Verdict::Open { rival, difference });
                }
            }
            Some(difference) => {
                of_closest.get_or_insert(Verdict::Decided { rival, difference });
            }
        }
    }
    let verdict = verdict.or(of_closest).unwrap_or(Verdict::OneSeed { rival: closest });
    Some(Lead { order, verdict })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn welchs_interval_is_that_of_a_worked_example() {
        // By hand: means 2 and 5, variances 1 and 4, three values each. Error sqrt(5/3), freedom
        // (5/3)^2 / (1/18 + 16/18) = 2.9412, t = 3.2193 or so.
        let difference = welch(&[1.0, 2.0, 3.0], &[3.0, 5.0, 7.0], 0.95).unwrap();
        assert_eq!(difference.of_means, -3.0);
        let reach = difference.interval.high + 3.0;
        assert!((4.14..4.17).contains(&reach), "{reach}");
        assert!(difference.interval.has_zero());
        assert_eq!(welch(&[1.0], &[3.0, 5.0], 0.95), None);
        let exact = welch(&[1.0, 1.0], &[2.0, 2.0], 0.95).unwrap();
        assert_eq!(exact.interval, Interval { low: -1.0, high: -1.0 });
        assert_eq!(welch(&[f64::NAN, 1.0], &[2.0, 2.0], 0.95), None);
    }

    #[test]
    fn a_lead_is_decided_only_where_every_rival_is_excluded() {
        let clear: [&[f64]; 3] = [&[2.0, 2.01, 2.02], &[1.0, 1.01, 1.02], &[3.0, 3.01, 3.02]];
        let lead_of = |groups: &[&[f64]]| lead(groups, Direction::Lower).unwrap();
        let found = lead_of(&clear);
        assert_eq!(found.order, [1, 0, 2]);
        assert!(matches!(found.verdict, Verdict::Decided { rival: 0, .. }));
        let close: [&[f64]; 2] = [&[1.0, 1.1, 1.2], &[1.05, 1.15, 1.25]];
        assert!(matches!(lead_of(&close).verdict, Verdict::Open { rival: 1, .. }));
        // The second is excluded, the third scatters so much that it is not.
        let wild: [&[f64]; 3] = [&[1.0, 1.01, 1.02], &[2.0, 2.01, 2.02], &[0.5, 4.0, 5.0]];
        assert!(matches!(lead_of(&wild).verdict, Verdict::Open { rival: 2, .. }));
        let single: [&[f64]; 2] = [&[1.0, 1.1], &[1.5]];
        assert_eq!(lead_of(&single).verdict, Verdict::OneSeed { rival: 1 });
        assert_eq!(lead_of(&[&[1.0], &[]]).verdict, Verdict::Alone);
        assert_eq!(lead(&[], Direction::Lower), None);
        let higher = lead(&[&[0.8, 0.81], &[0.9, 0.91]], Direction::Higher).unwrap();
        assert_eq!(higher.order, [1, 0]);
    }

    #[test]
    fn equal_groups_are_called_decided_as_seldom_as_promised() {
        let mut draws = super::super::draws::Draws::new(1);
        // Twelve even draws less six are close to a normal one.
        let mut normal =
            || (0..12).map(|_| draws.below(1 << 20) as f64 / f64::from(1 << 20)).sum::<f64>() - 6.0;
        let mut decided = 0;
        for _ in 0..1000 {
            let groups: Vec<Vec<f64>> = (0..4).map(|_| (0..3).map(|_| normal()).collect()).collect();
            let groups: Vec<&[f64]> = groups.iter().map(Vec::as_slice).collect();
            let found = lead(&groups, Direction::Lower).unwrap();
            decided += usize::from(matches!(found.verdict, Verdict::Decided { .. }));
        }
        assert!(decided <= 50, "{decided} of 1000 with nothing to decide");
    }

    #[test]
    fn runs_are_compared_at_the_last_step_that_all_have_reached() {
        let curves = vec![
            vec![(100.0, 3.0), (200.0, 2.0), (300.0, 1.0)],
            vec![(100.0, 2.5), (200.0, 2.6)],
            vec![(100.0, f64::NAN), (200.0, f64::NAN)],
        ];
        let found = at_equal_steps(&curves, Direction::Lower).unwrap();
        assert_eq!(found, AtEqualSteps { step: 200.0, values: vec![Some(2.0), Some(2.5), None] });
        assert_eq!(at_equal_steps(&[], Direction::Lower), None);
        assert_eq!(at_equal_steps(&[vec![]], Direction::Lower), None);
    }
}
