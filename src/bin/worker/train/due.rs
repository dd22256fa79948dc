//! What is due after a step: a pure function of the settings and the step.

use overnight::experiment::settings::{Data, Every, Settings};
use overnight::run_dir::checkpoint::State;
use overnight::run_dir::records::RunRecord;

/// What is to be done before the next step, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    pub evaluation: bool,
    /// A row of metrics; each evaluation stands in one.
    pub row: bool,
    pub sample: bool,
    pub checkpoint: bool,
}

impl Due {
    pub const NOTHING: Due = Due { evaluation: false, row: false, sample: false, checkpoint: false };

    pub fn after(step: u64, record: &RunRecord) -> Due {
        let (settings, epoch) = (&record.settings, record.steps_per_epoch);
        let last = step >= record.steps;
        let evaluation = last || settings.evaluate.every.is_due(step, epoch);
        Due {
            evaluation,
            row: evaluation || step.is_multiple_of(settings.train.log_every.max(1)),
            sample: wants_samples(settings) && settings.sample.every.is_due(step, epoch),
            checkpoint: last || settings.checkpoint.every.is_due(step, epoch),
        }
    }

    /// What an interruption left undone.
    pub fn left_over(state: &State) -> Due {
        let has = |name: &str| state.due.iter().any(|due| due == name);
        let evaluation = has("evaluation");
        Due { evaluation, row: evaluation, sample: has("sample"), checkpoint: has("checkpoint") }
    }

    pub fn names(self) -> Vec<String> {
        let all = [("evaluation", self.evaluation), ("sample", self.sample), ("checkpoint", self.checkpoint)];
        all.iter().filter(|(_, due)| *due).map(|(name, _)| (*name).to_owned()).collect()
    }

    pub fn anything(self) -> bool {
        self != Due::NOTHING
    }
}

/// Whether the last step is sampled too, wherever it falls.
pub fn samples_at_end(settings: &Settings) -> bool {
    wants_samples(settings) && settings.sample.every != Every::Never
}

/// A language model without prompts has nothing to go on from.
fn wants_samples(settings: &Settings) -> bool {
    !matches!(settings.data, Data::Text(_)) || !settings.sample.prompts.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::state::fresh;

    #[test]
    fn what_was_interrupted_is_due_again() {
        for due in [
            Due::NOTHING,
            Due { evaluation: true, row: true, sample: true, checkpoint: true },
            Due { sample: true, ..Due::NOTHING },
            Due { checkpoint: true, ..Due::NOTHING },
        ] {
            let state = State { due: due.names(), ..fresh() };
            assert_eq!(Due::left_over(&state), due);
        }
    }
}
