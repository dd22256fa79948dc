//! What changed in the report, told to every page that listens (`GET /events`, Server-Sent Events).
//!
//! A message is a hint to look: `{"paths": [...], "missed": false}`, paths relative to `reports/`.
//! `missed` means that changes are not listed one by one (a first connection, a restart of this
//! server, a listener too slow, very many files): look at everything you show. Each message has an
//! id; a page that comes back with the last one it saw is told what it missed meanwhile.
//! Where people may change something, messages with `missed`, of which each page hears one first, say so:
//! `"control": true`.
//! A failed build is told as an event named `problem`, `{"problem": "..."}`; null when it is over.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::json;
use tokio::sync::{broadcast, watch};

/// Messages kept for those who come back.
const KEPT: usize = 256;
/// More paths than this in one message are told as "look at everything".
const MOST_PATHS: usize = 500;

/// Tells listeners what changed. Clones speak to the same listeners.
#[derive(Debug, Clone)]
pub struct Changes {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Differs between two lives of a server, so that ids of an earlier one are recognized.
    session: String,
    state: Mutex<State>,
    sender: broadcast::Sender<Arc<str>>,
    /// Whether the files have been looked at once, so that a change of theirs can be seen.
    watches: watch::Sender<bool>,
    /// Whether people may change something here.
    has_control: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    last: u64,
    recent: VecDeque<(u64, Vec<String>)>,
    problem: Option<String>,
}

impl Default for Changes {
    fn default() -> Changes {
        let started = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Changes {
            shared: Arc::new(Shared {
                session: format!("{:x}", started.as_nanos()),
                state: Mutex::default(),
                sender: broadcast::channel(64).0,
                watches: watch::channel(false).0,
                has_control: AtomicBool::new(false),
            }),
        }
    }
}

impl Changes {
    /// Tells that files changed, appeared or are gone; `paths` are relative to `reports/`.
    pub fn announce(&self, paths: Vec<String>) {
        if paths.is_empty() {
            return;
        }
        let mut state = self.lock();
        state.last += 1;
        let number = state.last;
        let frame = self.frame(number, &paths);
        state.recent.push_back((number, paths));
        if state.recent.len() > KEPT {
            state.recent.pop_front();
        }
        // Sent under the lock: whoever subscribes sees a change once, replayed or live.
        let _ = self.shared.sender.send(frame.into());
    }

    /// From now on listeners are told that people may change something here.
    pub(super) fn set_control(&self) {
        self.shared.has_control.store(true, Ordering::Relaxed);
    }

    /// From now on each change is told.
    pub(super) fn begin(&self) {
        self.shared.watches.send_replace(true);
    }

    /// Waits for that. What changed before is known to nobody: a page that was told to look at everything
    /// earlier would not hear of it.
    pub(super) async fn begun(&self) {
        // We hold a sender ourselves.
        drop(self.shared.watches.subscribe().wait_for(|watches| *watches).await);
    }

    /// Tells that the last build failed and why, or that builds succeed again.
    pub fn set_problem(&self, problem: Option<String>) {
        let mut state = self.lock();
        if state.problem != problem {
            let _ = self.shared.sender.send(problem_frame(&problem).into());
            state.problem = problem;
        }
    }

    pub(super) fn problem(&self) -> Option<String> {
        self.lock().problem.clone()
    }

    /// What a new listener is sent first, and where it hears the rest. `last_seen` is the id that
    /// it names, if it names one.
    pub(super) fn listen(&self, last_seen: Option<&str>) -> (String, Listener) {
        let state = self.lock();
        let mut opening = match last_seen.and_then(|id| self.missed_since(id, &state)) {
            Some(paths) if paths.is_empty() => String::new(),
            Some(paths) => self.frame(state.last, &paths),
            None => self.everything(state.last),
        };
        if state.problem.is_some() {
            opening.push_str(&problem_frame(&state.problem));
        }
        let listener = Listener { changes: self.clone(), receiver: self.shared.sender.subscribe() };
        (opening, listener)
    }

    /// The paths changed since the message `id`, or nothing when that cannot be told.
    fn missed_since(&self, id: &str, state: &State) -> Option<Vec<String>> {
        let (session, number) = id.split_once('-')?;
        let number: u64 = number.parse().ok()?;
        let oldest_told = state.last - state.recent.len() as u64;
        if session != self.shared.session || number < oldest_told || number > state.last {
            return None;
        }
        let missed = state.recent.iter().filter(|(told, _)| *told > number);
        let paths: BTreeSet<_> = missed.flat_map(|(_, paths)| paths).cloned().collect();
        Some(paths.into_iter().collect())
    }

    fn frame(&self, number: u64, paths: &[String]) -> String {
        if paths.len() > MOST_PATHS {
            return self.everything(number);
        }
        self.message(number, json!({ "paths": paths, "missed": false }))
    }

    fn everything(&self, number: u64) -> String {
        let mut told = json!({ "paths": [], "missed": true });
        if self.shared.has_control.load(Ordering::Relaxed) {
            told["control"] = true.into();
        }
        self.message(number, told)
    }

    /// JSON holds no line breaks, so one `data:` line does.
    fn message(&self, number: u64, data: serde_json::Value) -> String {
        format!("id: {}-{number}\ndata: {data}\n\n", self.shared.session)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        let state = self.shared.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }
}

fn problem_frame(problem: &Option<String>) -> String {
    format!("event: problem\ndata: {}\n\n", json!({ "problem": problem }))
}

/// One page's ear.
pub(super) struct Listener {
    changes: Changes,
    receiver: broadcast::Receiver<Arc<str>>,
}

impl Listener {
    /// Everything told since the last call, at least one message; nothing when all speakers are
    /// gone. May be dropped while it waits without losing a message.
    pub async fn next(&mut self) -> Option<String> {
        let mut told = self.one().await?;
        while !self.receiver.is_empty() {
            told.push_str(&self.one().await?);
        }
        Some(told)
    }

    async fn one(&mut self) -> Option<String> {
        match self.receiver.recv().await {
            Ok(frame) => Some(frame.to_string()),
            Err(broadcast::error::RecvError::Lagged(_)) => {
                let state = self.changes.lock();
                // What it missed may have been that a build failed, or that one no longer does.
                Some(self.changes.everything(state.last) + &problem_frame(&state.problem))
            }
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes() -> Changes {
        Changes::default()
    }

    fn id_in(frame: &str) -> String {
        let id = frame.lines().find_map(|line| line.strip_prefix("id: "));
        id.unwrap().to_owned()
    }

    #[tokio::test]
    async fn a_listener_hears_each_change_once() {
        let changes = changes();
        let (opening, mut listener) = changes.listen(None);
        assert!(opening.contains("\"missed\":true"), "{opening}");
        changes.announce(vec!["index.html".to_owned()]);
        changes.announce(vec!["a\nb".to_owned()]);
        let told = listener.next().await.unwrap();
        assert_eq!(told.matches("data: ").count(), 2, "{told}");
        assert!(told.contains(r#"{"paths":["index.html"],"missed":false}"#));
        assert!(told.contains(r#""a\nb""#), "{told}");
    }

    #[tokio::test]
    async fn who_comes_before_the_first_look_at_the_files_waits_for_it() {
        let changes = changes();
        tokio::select! {
            biased;
            () = changes.begun() => panic!("nobody has looked yet"),
            () = std::future::ready(()) => {}
        }
        let (waits, begins) = (changes.begun(), async { changes.begin() });
        tokio::join!(waits, begins);
        changes.begun().await;
    }

    #[tokio::test]
    async fn who_comes_back_is_told_what_was_missed_and_nothing_else() {
        let changes = changes();
        let (opening, listener) = changes.listen(None);
        let seen = id_in(&opening);
        drop(listener);
        changes.announce(vec!["b".to_owned(), "a".to_owned()]);
        changes.announce(vec!["a".to_owned()]);
        let (opening, _) = changes.listen(Some(&seen));
        assert!(opening.contains(r#"{"paths":["a","b"],"missed":false}"#), "{opening}");
        let (opening, _) = changes.listen(Some(&id_in(&opening)));
        assert_eq!(opening, "");
    }

    #[test]
    fn ids_of_another_life_or_too_old_mean_look_at_everything() {
        let changes = changes();
        let (opening, _) = changes.listen(None);
        let first = id_in(&opening);
        for number in 0..=KEPT {
            changes.announce(vec![number.to_string()]);
        }
        for id in [first.as_str(), "0-1", "", "-", "1", "x-y"] {
            let (opening, _) = changes.listen(Some(id));
            assert!(opening.contains("\"missed\":true"), "{id}: {opening}");
        }
    }

    #[tokio::test]
    async fn a_listener_that_fell_behind_is_told_to_look_at_everything() {
        let changes = changes();
        let (_, mut listener) = changes.listen(None);
        for number in 0..1000 {
            changes.announce(vec![number.to_string()]);
        }
        let told = listener.next().await.unwrap();
        assert!(told.contains("\"missed\":true"), "{told}");
    }

    #[tokio::test]
    async fn a_failed_build_is_told_once_and_to_those_who_come_later() {
        let changes = changes();
        let (_, mut listener) = changes.listen(None);
        changes.set_problem(Some("no template".to_owned()));
        changes.set_problem(Some("no template".to_owned()));
        let told = listener.next().await.unwrap();
        assert_eq!(told, "event: problem\ndata: {\"problem\":\"no template\"}\n\n");
        assert!(changes.listen(None).0.contains("no template"));
        changes.set_problem(None);
        assert!(listener.next().await.unwrap().contains("null"));
    }
}
