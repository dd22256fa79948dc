//! What data hold that are not as they were queued: read once, however many runs share them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::looking::Looking;
use crate::data_files::DataError;
use crate::run_dir::records::{Fingerprint, Stamp};

/// How often those who wait look how far the one is who reads.
const PAUSE: Duration = Duration::from_millis(250);

/// Contents of data by what the file system said of it.
#[derive(Clone, Debug, Default)]
pub struct KnownData(Arc<Shared>);

/// The folder that paths are relative to, and the stamps of the files.
pub type Key = (PathBuf, Vec<Stamp>);

#[derive(Debug, Default)]
struct Shared {
    entries: Mutex<HashMap<Key, Entry>>,
    changed: Condvar,
}

#[derive(Debug)]
enum Entry {
    /// Somebody reads them.
    UnderWay(Looking),
    Known(Vec<Fingerprint>),
}

impl KnownData {
    /// The contents, which `read` finds out unless they are known or somebody is at it already. One whose
    /// data do not answer is not waited for by those who come later.
    ///
    /// # Errors
    /// As `read`.
    pub fn contents(
        &self,
        key: Key,
        looking: &Looking,
        read: impl FnOnce() -> Result<Vec<Fingerprint>, DataError>,
    ) -> Result<Vec<Fingerprint>, DataError> {
        let mut entries = self.0.entries();
        let mut waits = false;
        loop {
            match entries.get(&key) {
                Some(Entry::Known(contents)) => return Ok(contents.clone()),
                Some(Entry::UnderWay(other)) if waits || other.unanswered(Instant::now()).is_none() => {
                    waits = true;
                    looking.follow(other);
                }
                _ => break,
            }
            let woken = self.0.changed.wait_timeout(entries, PAUSE);
            entries = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        entries.insert(key.clone(), Entry::UnderWay(looking.clone()));
        drop(entries);
        let mut mine = Mine { shared: &self.0, key, looking, found: None };
        let contents = read()?;
        mine.found = Some(contents.clone());
        Ok(contents)
    }
}

impl Shared {
    fn entries(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes those who wait, however reading ended.
struct Mine<'a> {
    shared: &'a Shared,
    key: Key,
    looking: &'a Looking,
    found: Option<Vec<Fingerprint>>,
}

impl Drop for Mine<'_> {
    fn drop(&mut self) {
        let mut entries = self.shared.entries();
        match self.found.take() {
            Some(contents) => drop(entries.insert(self.key.clone(), Entry::Known(contents))),
            // The next one tries for itself.
            None => {
                let is_mine = |entry: &Entry| matches!(entry, Entry::UnderWay(at) if at.is(self.looking));
                if entries.get(&self.key).is_some_and(is_mine) {
                    entries.remove(&self.key);
                }
            }
        }
        self.shared.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::mpsc::channel;

    use super::*;

    fn key() -> Key {
        (PathBuf::from("/w"), vec![Stamp { path: "a".to_owned(), changed: 1.0, mark: String::new() }])
    }

    fn looking(patience: Duration) -> Looking {
        Looking::begin(patience, Path::new("/w/a"), Instant::now())
    }

    fn contents() -> Vec<Fingerprint> {
        vec![Fingerprint { path: "a".to_owned(), bytes: 1, blake3: "b".to_owned() }]
    }

    #[test]
    fn many_runs_that_share_data_let_it_be_read_once() {
        let known = KnownData::default();
        let reads = AtomicU32::new(0);
        let (go, may_go) = channel::<()>();
        std::thread::scope(|scope| {
            let (begun, has_begun) = channel();
            let first = known.clone();
            let reads = &reads;
            scope.spawn(move || {
                let read = || {
                    reads.fetch_add(1, Ordering::SeqCst);
                    begun.send(()).unwrap();
                    may_go.recv().unwrap();
                    Ok(contents())
                };
                assert_eq!(first.contents(key(), &looking(Duration::MAX), read).unwrap(), contents());
            });
            has_begun.recv().unwrap();
            for _ in 0..8 {
                let known = known.clone();
                scope.spawn(move || {
                    let read = || {
                        reads.fetch_add(1, Ordering::SeqCst);
                        Ok(contents())
                    };
                    assert_eq!(known.contents(key(), &looking(Duration::MAX), read).unwrap(), contents());
                });
            }
            go.send(()).unwrap();
        });
        assert_eq!(reads.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn who_fails_or_does_not_answer_keeps_nobody_from_reading() {
        let known = KnownData::default();
        let failed = known.contents(key(), &looking(Duration::MAX), || Err(DataError::NothingNamed));
        assert!(failed.is_err());
        let broken_off = std::panic::catch_unwind(|| {
            drop(known.contents(key(), &looking(Duration::MAX), || panic!("on purpose")));
        });
        assert!(broken_off.is_err());
        let inside = known.clone();
        // It is at it, and silent at once; meanwhile another comes.
        let read = || inside.contents(key(), &looking(Duration::MAX), || Ok(contents()));
        assert_eq!(known.contents(key(), &looking(Duration::ZERO), read).unwrap(), contents());
    }
}
