//! Which events and rows of a run still count.

use super::records::{Event, What};

/// Events of steps that still count: what a later attempt overtook by going on from an earlier checkpoint
/// is left out.
pub fn standing(events: &[Event]) -> Vec<&Event> {
    let mut standing: Vec<&Event> = Vec::new();
    for event in events {
        match event.what {
            What::Resumed { checkpoint } => standing.retain(|earlier| earlier.step <= checkpoint),
            What::Started => standing.clear(),
            _ => {}
        }
        standing.push(event);
    }
    standing
}

/// Positions of the steps that still count, rising strictly: where steps go back, the rows before were
/// overtaken by a run that went on from an earlier one.
pub fn rising(steps: impl DoubleEndedIterator<Item = f64> + ExactSizeIterator) -> Vec<usize> {
    let mut ahead = f64::INFINITY;
    let mut kept: Vec<usize> = Vec::with_capacity(steps.len());
    for (position, step) in steps.enumerate().rev() {
        if step.is_finite() && step < ahead {
            ahead = step;
            kept.push(position);
        }
    }
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_counts_unless_a_later_row_is_not_beyond_it() {
        let kept = |steps: &[f64]| rising(steps.iter().copied());
        assert_eq!(kept(&[1.0, 2.0, 3.0]), [0, 1, 2]);
        assert_eq!(kept(&[10.0, 20.0, 30.0, 20.0, 30.0]), [0, 3, 4]);
        assert_eq!(kept(&[1.0, 1.0, f64::NAN, 2.0, f64::INFINITY]), [1, 3]);
        assert!(kept(&[]).is_empty());
    }
}
