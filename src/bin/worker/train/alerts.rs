//! Alerts while a run is trained: rules are looked at in each row of metrics, so a run that goes on from
//! a checkpoint sees the same ones at the same steps, and lowers its learning rate at the same steps.

use overnight::experiment::alert::Action;
use overnight::experiment::alert::condition::Subject;
use overnight::run_dir::checkpoint::{Reduction, lr_factor};
use overnight::run_dir::records::{Ask, What};

use super::Training;
use crate::failure::Failure;

/// A rule wants the run to end.
pub struct Wish {
    pub rule: String,
    pub ask: Ask,
}

impl Training<'_> {
    /// Looks at the row of this step, tells of the rules that came true by it and does what they say.
    pub fn watch_row(&mut self, cells: &[(&str, f64)]) -> Result<(), Failure> {
        if self.record.alerts.is_empty() {
            return Ok(());
        }
        let (step, elapsed) = (self.state.step, self.clock.elapsed_seconds());
        let value = |subject: &Subject| match subject.name() {
            "elapsed" => Some(elapsed),
            name => cells.iter().find(|(cell, _)| *cell == name).map(|(_, value)| *value),
        };
        for fired in self.alerts.look(step, value) {
            let (rule, action) = (Some(fired.rule.clone()), Some(fired.action));
            self.journal.event(step, What::Alert { message: fired.message.clone(), rule, action })?;
            self.journal.say(&format!("alert: {}", fired.message))?;
            if let Some(factor) = fired.factor {
                self.state.reductions.push(Reduction { step, factor });
                self.state.lr_factor = lr_factor(&self.state.reductions, step + 1);
                self.journal
                    .say(&format!("lowers the learning rate to {} of its schedule", self.state.lr_factor))?;
            }
            // A stop counts more than a pause, and else the first rule.
            let before = self.wish.as_ref().map(|wish| &wish.ask);
            let ask = match (fired.action, before) {
                (Action::Stop, None | Some(Ask::Pause)) => Some(Ask::Stop),
                (Action::Pause, None) => Some(Ask::Pause),
                _ => None,
            };
            if let Some(ask) = ask {
                self.wish = Some(Wish { rule: fired.rule, ask });
            }
        }
        Ok(())
    }
}
