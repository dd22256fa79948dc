//! What comes from outside of the batch, and what it does to the machine: a person's signal, the terminal that
//! goes away, workers of others whose end is waited for, sleep that is held off.

use std::time::Instant;

use super::Work;
use crate::runner::interrupt::{Ending, Interrupt};
use crate::runner::terminal::{News, Terminal};
use crate::runner::tracked::Kinship;

impl Work<'_> {
    pub(super) fn terminal_changed(&mut self, news: News, terminal: &mut Terminal) {
        match news {
            News::Resized => self.view.redraw(),
            News::Gone => {
                terminal.leave();
                self.view.leave_terminal();
                terminal.begun(self.batch.dir());
                let words = "the terminal is gone; the batch goes on (overnight status --watch shows it, \
                             overnight drain ends it)";
                self.batch.event("terminal-gone", None, words);
                self.view.say(words);
            }
        }
    }

    pub(super) fn interrupted(&mut self, interrupt: Interrupt) {
        self.ending = self.ending.after(interrupt);
        let words = match self.ending {
            Ending::Now(_) => "ending at once",
            _ => "starting nothing new; workers write their checkpoints and end (once more: at once)",
        };
        self.batch.event("interrupted", None, words);
        self.view.say(words);
    }

    /// Lets the end of each adopted worker wake the loop. Its lock stays the truth: it is free by then.
    pub(super) fn follow_adopted(&mut self) {
        for worker in self.runs.iter_mut().filter_map(|run| run.worker.as_mut()) {
            if worker.kinship != Kinship::Adopted || worker.is_followed {
                continue;
            }
            // One that cannot be signaled from here is seen to end at the next tick.
            let Some(Ok(handle)) = worker.handle.as_ref().map(|handle| handle.try_clone()) else { continue };
            worker.is_followed = true;
            let gone = self.gone.clone();
            tokio::spawn(async move {
                if handle.gone().await.is_ok() {
                    gone.notify_one();
                }
            });
        }
    }

    /// Keeps the machine awake while a worker lives.
    pub(super) fn keep_awake(&mut self, now: Instant) {
        self.awake.tend(self.runs.iter().any(|run| run.worker.is_some()), now);
    }
}
