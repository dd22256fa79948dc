//! Tells others what happened: commands, webhooks, notices on the desktop, as `overnight.toml` says.
//!
//! The loop only puts occasions into a bounded queue and takes note of what became of them. A few
//! threads carry the hooks out, so that one that hangs, fails or talks too much delays no run and not
//! the loop; at the end of the batch they are waited for no longer than their own timeout.

mod carry;
mod command;
pub mod occasion;
mod webhook;

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::batch::Batch;
use super::view::View;
use crate::workspace_settings::HookSettings;
use command::Groups;
use occasion::Told;
pub use occasion::{Occasion, Place};

/// Hooks at once. More wait for one of them to end.
const AT_ONCE: usize = 4;
/// Hooks that wait. Further ones are left out, and said to be.
const WAITING: usize = 64;
/// What a hook that reached its timeout is given to be ended and told of, on a machine that is busy.
const GRACE: Duration = Duration::from_secs(5);

/// The hooks of a batch.
pub struct Hooks {
    settings: Vec<HookSettings>,
    place: Place,
    queue: Option<SyncSender<Task>>,
    tasks: Arc<Mutex<Receiver<Task>>>,
    threads: usize,
    groups: Arc<Groups>,
    news: (UnboundedSender<News>, UnboundedReceiver<News>),
    /// Put into the queue and not told of yet.
    pending: usize,
}

/// One hook on one occasion.
struct Task {
    hook: HookSettings,
    told: Arc<Told>,
}

/// What became of a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// `command notify-me, on run-failed`.
    pub hook: String,
    /// Why it failed, where it did.
    pub outcome: Result<(), String>,
}

impl News {
    /// In the batch's diary; what failed also where a person looks.
    pub fn tell(&self, batch: &mut Batch, view: &mut View) {
        let (event, words) = self.said();
        batch.event(event, None, &words);
        if let Err(why) = &self.outcome {
            view.say(&format!("hook     {} failed: {why}", self.hook));
        }
    }

    /// The event of the diary, and its words.
    pub fn said(&self) -> (&'static str, String) {
        match &self.outcome {
            Ok(()) => ("hook", self.hook.clone()),
            Err(why) => ("hook-failed", format!("{}: {why}", self.hook)),
        }
    }
}

impl Hooks {
    pub fn new(settings: &[HookSettings], place: Place) -> Hooks {
        let (queue, tasks) = sync_channel(WAITING);
        Hooks {
            settings: settings.to_vec(),
            place,
            queue: Some(queue),
            tasks: Arc::new(Mutex::new(tasks)),
            threads: 0,
            groups: Arc::default(),
            news: unbounded_channel(),
            pending: 0,
        }
    }

    /// Carries out all hooks that wait for such an occasion, aside. Returns at once.
    pub fn tell(&mut self, occasion: &Occasion) {
        let hooks: Vec<HookSettings> =
            self.settings.iter().filter(|hook| hook.on.contains(&occasion.on)).cloned().collect();
        if hooks.is_empty() {
            return;
        }
        let told = Arc::new(occasion.told(&self.place));
        for hook in hooks {
            self.begin(Task { hook, told: told.clone() });
        }
    }

    fn begin(&mut self, task: Task) {
        let Some(queue) = &self.queue else { return };
        let hook = carry::name(&task.hook, &task.told);
        self.pending += 1;
        let refused = match queue.try_send(task) {
            Ok(()) if self.threads < AT_ONCE => {
                let added = self.add_thread();
                // Those that are there carry it out, later.
                added.err().filter(|_| self.threads == 0).map(|error| error.to_string())
            }
            Ok(()) => None,
            Err(TrySendError::Full(_)) => Some(format!("left out: {WAITING} others wait already")),
            Err(TrySendError::Disconnected(_)) => Some("left out: no thread to carry it out".to_owned()),
        };
        if let Some(why) = refused {
            // Its own receiver is there as long as this is.
            drop(self.news.0.send(News { hook, outcome: Err(why) }));
        }
    }

    fn add_thread(&mut self) -> std::io::Result<()> {
        let (tasks, groups, news) = (self.tasks.clone(), self.groups.clone(), self.news.0.clone());
        std::thread::Builder::new().name("hook".to_owned()).spawn(move || {
            loop {
                let next = tasks.lock().unwrap_or_else(PoisonError::into_inner).recv();
                let Ok(task) = next else { return };
                let outcome = carry::carry_out(&task.hook, &task.told, &groups);
                let hook = carry::name(&task.hook, &task.told);
                if news.send(News { hook, outcome }).is_err() {
                    return;
                }
            }
        })?;
        self.threads += 1;
        Ok(())
    }

    /// The next thing to tell of a hook; never, while none is carried out.
    pub async fn news(&mut self) -> News {
        match self.news.1.recv().await {
            Some(news) => {
                self.pending = self.pending.saturating_sub(1);
                news
            }
            // We hold a sender ourselves.
            None => std::future::pending().await,
        }
    }

    /// Whether all that was told has been carried out or given up.
    pub fn is_done(&self) -> bool {
        self.pending == 0
    }

    /// How long the end of a batch may wait for them.
    pub fn longest(&self) -> Duration {
        let seconds = self.settings.iter().map(|hook| hook.timeout_seconds).max().unwrap_or(0);
        Duration::from_secs(u64::from(seconds)) + GRACE
    }

    /// Ends what is still at work; returns how many were not carried out to their end.
    pub fn abandon(mut self) -> usize {
        self.queue = None;
        self.groups.abandon();
        self.pending
    }
}

#[cfg(test)]
mod tests;
