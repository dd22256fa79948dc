//! Which runs a decision must see: beside ten thousand that have finished, the few that have not. Pure.

use super::{Action, Decision, Standing};

/// Positions of the runs that a decision depends on. Runs that are done with matter only to those that need
/// others, which `has_needs` tells of a position.
pub fn relevant(standings: &[Standing], has_needs: impl Fn(usize) -> bool) -> Vec<usize> {
    let all = || 0..standings.len();
    if all().any(|run| standings[run] == Standing::Waiting && has_needs(run)) {
        return all().collect();
    }
    all().filter(|run| !matches!(standings[*run], Standing::Finished | Standing::Left)).collect()
}

impl Decision {
    /// The same about the runs at these positions of a longer list.
    pub fn among(mut self, positions: &[usize]) -> Decision {
        for action in &mut self.actions {
            let (Action::Start { run, .. }
            | Action::Probe { run, .. }
            | Action::Divide { run, .. }
            | Action::AskToEnd { run }
            | Action::Kill { run, .. }
            | Action::Close { run }) = action;
            *run = positions[*run];
        }
        self.waiting.iter_mut().for_each(|(run, _)| *run = positions[*run]);
        self.passed.iter_mut().for_each(|(run, by)| (*run, *by) = (positions[*run], positions[*by]));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::super::Reason;
    use super::*;

    #[test]
    fn runs_that_are_done_with_matter_only_to_those_that_need_others() {
        let standings = [Standing::Finished, Standing::Waiting, Standing::Left, Standing::Lost];
        assert_eq!(relevant(&standings, |_| false), [1, 3]);
        assert_eq!(relevant(&standings, |run| run == 1), [0, 1, 2, 3]);
        assert_eq!(relevant(&standings, |run| run == 0), [1, 3], "what has finished needs nothing more");
    }

    #[test]
    fn a_decision_about_some_is_one_about_their_places_among_all() {
        let waits = Reason::Waits("for a free slot".to_owned());
        let decision = Decision {
            actions: vec![Action::Start { run: 0, slot: 7 }, Action::Close { run: 2 }],
            waiting: vec![(1, waits.clone())],
            passed: vec![(1, 0)],
            done: false,
        };
        let found = decision.among(&[4, 6, 9]);
        assert_eq!(found.actions, [Action::Start { run: 4, slot: 7 }, Action::Close { run: 9 }]);
        assert_eq!((found.waiting, found.passed), (vec![(6, waits)], vec![(6, 4)]));
    }
}
