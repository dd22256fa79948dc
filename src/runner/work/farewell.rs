//! Hooks of a batch that is over: they are waited for, no longer than their timeout, and what became of them
//! stands in that batch's events, whatever its runner does meanwhile.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::runner::batch::Batch;
use crate::runner::hooks::Hooks;
use crate::runner::interrupt::Interrupts;
use crate::runner::view::{self, View};

pub(super) struct Farewell {
    pub hooks: Hooks,
    pub batch: Batch,
}

impl Farewell {
    /// Waits for them; `end` ends the waiting.
    pub async fn wait(mut self, end: impl Future<Output = ()>) {
        let latest = Instant::now() + self.hooks.longest();
        let mut view = View::open(view::Style::Plain);
        tokio::pin!(end);
        while !self.hooks.is_done() {
            tokio::select! {
                // A runner that was held up finds both: what a hook came to, and that its time is over.
                biased;
                news = self.hooks.news() => news.tell(&mut self.batch, &mut view),
                () = &mut end => break,
                () = tokio::time::sleep_until(latest.into()) => break,
            }
        }
        self.abandon();
    }

    /// Ends those that are at work.
    pub fn abandon(mut self) {
        let left = self.hooks.abandon();
        if left > 0 {
            let words = format!("{left} of the hooks were not carried out to their end");
            self.batch.event("hooks-left", None, &words);
            View::open(view::Style::Plain).say(&words);
        }
    }
}

/// Those of batches before, while the runner waits for work or is at the next batch.
#[derive(Default)]
pub(super) struct Farewells {
    waiting: JoinSet<()>,
    is_over: Arc<Notify>,
}

impl Farewells {
    pub fn add(&mut self, farewell: Farewell) {
        let is_over = self.is_over.clone();
        self.waiting.spawn(async move { farewell.wait(is_over.notified()).await });
    }

    /// Waits until all have ended; a signal ends the waiting.
    pub async fn finish(mut self, interrupts: &mut Interrupts) {
        tokio::select! {
            () = async { while self.waiting.join_next().await.is_some() {} } => {}
            _ = interrupts.next() => self.abandon().await,
        }
    }

    /// Ends those that are at work.
    pub async fn abandon(mut self) {
        // One that has not listened yet does so now.
        while !self.waiting.is_empty() {
            self.is_over.notify_waiters();
            tokio::task::yield_now().await;
            while self.waiting.try_join_next().is_some() {}
        }
    }
}
