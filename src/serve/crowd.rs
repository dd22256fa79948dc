//! Connections that may be ended to make room: the one that has been at it longest goes first, or the one that
//! has not come forward for longest.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

#[derive(Default)]
pub(super) struct Crowd {
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    next: u64,
    members: BTreeMap<u64, Inmate>,
}

struct Inmate {
    since: Instant,
    /// When its reader last took anything.
    stirred: Instant,
    ended: Arc<Notify>,
}

/// A place in the crowd; given up when dropped.
pub(super) struct Member<'a> {
    crowd: &'a Crowd,
    number: u64,
    ended: Arc<Notify>,
}

impl Crowd {
    pub fn join(&self) -> Member<'_> {
        let mut inside = self.lock();
        let (number, ended) = (inside.next, Arc::new(Notify::new()));
        inside.next += 1;
        let now = Instant::now();
        let inmate = Inmate { since: now, stirred: now, ended: ended.clone() };
        inside.members.insert(number, inmate);
        Member { crowd: self, number, ended }
    }

    /// Ends the oldest member if it has had at least the time `spared`; tells whether there was one.
    pub fn end_oldest(&self, spared: Duration) -> bool {
        let mut inside = self.lock();
        let Some(oldest) = inside.members.first_entry() else {
            return false;
        };
        if oldest.get().since.elapsed() < spared {
            return false;
        }
        // Stored, so it also reaches a member that is not waiting at this moment.
        oldest.remove().ended.notify_one();
        true
    }

    /// Ends the member that has not come forward for longest, and for so long at least; tells whether there
    /// was one.
    pub fn end_idlest(&self, idle: Duration) -> bool {
        let mut inside = self.lock();
        let idlest = inside.members.iter().min_by_key(|(_, inmate)| inmate.stirred);
        let idlest = idlest.filter(|(_, inmate)| inmate.stirred.elapsed() >= idle).map(|(number, _)| *number);
        let Some(ended) = idlest.and_then(|number| inside.members.remove(&number)) else { return false };
        ended.ended.notify_one();
        true
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member<'_> {
    /// The reader has taken something.
    pub fn came_forward(&self) {
        if let Some(inmate) = self.crowd.lock().members.get_mut(&self.number) {
            inmate.stirred = Instant::now();
        }
    }

    /// Runs `work` until it is done, or until this member is ended to make room.
    pub async fn unless_ended<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            () = self.ended.notified() => None,
        }
    }
}

impl Drop for Member<'_> {
    fn drop(&mut self) {
        self.crowd.lock().members.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_goes_first_and_those_who_left_are_not_counted() {
        let crowd = Crowd::default();
        let left = crowd.join();
        let oldest = crowd.join();
        let younger = crowd.join();
        drop(left);
        assert!(!crowd.end_oldest(Duration::from_secs(3600)));
        assert!(crowd.end_oldest(Duration::ZERO));
        assert_eq!(oldest.unless_ended(std::future::pending::<()>()).await, None);
        assert_eq!(younger.unless_ended(async { 1 }).await, Some(1));
        drop((oldest, younger));
        assert!(!crowd.end_oldest(Duration::ZERO));
    }

    #[tokio::test]
    async fn who_comes_forward_goes_after_those_who_do_not_however_long_it_takes() {
        let crowd = Crowd::default();
        let (slow, idle) = (crowd.join(), crowd.join());
        slow.came_forward();
        assert!(!crowd.end_idlest(Duration::from_secs(3600)), "both have just stirred");
        assert!(crowd.end_idlest(Duration::ZERO));
        assert_eq!(idle.unless_ended(std::future::pending::<()>()).await, None);
        assert_eq!(slow.unless_ended(async { 1 }).await, Some(1), "the older one");
    }
}
