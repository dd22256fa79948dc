//! Colors where runs of several experiments meet.
//!
//! A run's color and dash follow from its number within its experiment, so two experiments have them
//! in common. Where both are on one chart, the later one gets the next free pair there, and the
//! legend says so.

use super::backend::PAIRS;
use std::collections::BTreeSet;

/// The number that stands for each run here, in the order given: its own, or the next whose color and
/// dash are free. With more runs than pairs, the rest keep their own.
pub fn numbers(own: &[u16]) -> Vec<u16> {
    let mut taken = BTreeSet::new();
    let free = |number: u16, taken: &mut BTreeSet<u16>| {
        let candidates = (0..PAIRS).map(|further| (number % PAIRS + further) % PAIRS);
        candidates.into_iter().find(|pair| taken.insert(*pair))
    };
    let mut here = Vec::with_capacity(own.len());
    for &number in own {
        here.push(match taken.insert(number % PAIRS) {
            true => number,
            false => free(number, &mut taken).unwrap_or(number),
        });
    }
    here
}

/// Whom the color and dash of this number stand for among runs with these numbers.
pub fn holder(here: &[u16], number: u16) -> Option<usize> {
    here.iter().position(|other| other % PAIRS == number % PAIRS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_of_two_equals_gets_the_next_free_pair() {
        assert_eq!(numbers(&[0, 1, 2]), [0, 1, 2], "one experiment keeps its own");
        assert_eq!(numbers(&[0, 1, 0, 1, 5]), [0, 1, 2, 3, 5]);
        assert_eq!(numbers(&[31, 31]), [31, 0], "after the last pair comes the first");
        assert_eq!(numbers(&[3, 35]), [3, 4], "numbers of one pair look alike");
        assert_eq!((holder(&[3, 4], 35), holder(&[3, 4], 5)), (Some(0), None));
    }

    #[test]
    fn more_runs_than_pairs_keep_their_own() {
        let own: Vec<u16> = (0..40).map(|run| run % 8).collect();
        let here = numbers(&own);
        let pairs: BTreeSet<u16> = here[..PAIRS.into()].iter().copied().collect();
        assert_eq!(pairs.len(), usize::from(PAIRS));
        assert_eq!(here[32..], own[32..]);
    }
}
