//! Follows a source that grows: file events as a hint, a scan every few seconds as the truth.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime};

use notify::{RecursiveMode, Watcher};

use super::files::Files;

/// How often things are done.
#[derive(Debug, Clone)]
pub struct Pace {
    /// Between looks at whether to stop.
    pub tick: Duration,
    /// Events that come within this time are read together.
    pub gather: Duration,
    /// Between scans of a source of which no event came.
    pub scan: Duration,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            tick: Duration::from_millis(100),
            gather: Duration::from_millis(300),
            scan: Duration::from_secs(3),
        }
    }
}

/// Calls `read` whenever a file below `root` came, went or changed, and `rest` at each scan where none did, until
/// `stop` is set. Reading is paced by what it costs: a large log that grows all the time is read anew each time.
pub fn follow(root: &Path, stop: &AtomicBool, pace: &Pace, mut read: impl FnMut(), mut rest: impl FnMut()) {
    let (sender, events) = mpsc::channel();
    let tell = move |event: notify::Result<notify::Event>| {
        let is_reading = event.is_ok_and(|event| event.kind.is_access());
        if !is_reading {
            // Nobody listens any more: it ends.
            let _ = sender.send(());
        }
    };
    // Where the system gives no events, the scan alone does it.
    let mut watcher = notify::recommended_watcher(tell).ok();
    let placed = watcher.as_mut().map(|watcher| watcher.watch(root, RecursiveMode::Recursive));
    let _is_placed = placed.is_some_and(|placed| placed.is_ok());
    let mut stamps = Stamps::new();
    let mut looked: Option<Instant> = None;
    let mut cost = Duration::ZERO;
    while !stop.load(Ordering::Relaxed) {
        let mut hinted: Option<Instant> = None;
        while !stop.load(Ordering::Relaxed) {
            match events.recv_timeout(pace.tick) {
                Ok(()) => hinted = hinted.or_else(|| Some(Instant::now())),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => std::thread::sleep(pace.tick),
            }
            let is_gathered = hinted.is_some_and(|hinted| hinted.elapsed() >= pace.gather);
            let is_due = looked.is_none_or(|looked| looked.elapsed() >= pace.scan);
            let is_paid = looked.is_none_or(|looked| looked.elapsed() >= cost * 5);
            if (is_gathered || is_due) && is_paid {
                break;
            }
        }
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let found = stamps_of(root);
        let begun = Instant::now();
        if found == stamps {
            rest();
        } else {
            stamps = found;
            read();
            cost = begun.elapsed();
        }
        looked = Some(Instant::now());
    }
}

type Stamps = BTreeMap<PathBuf, (u64, Option<SystemTime>)>;

fn stamps_of(root: &Path) -> Stamps {
    let files = Files::of(root).map(|files| files.left).unwrap_or_default();
    let stamp = |path: PathBuf| {
        let metadata = fs::metadata(&path).ok()?;
        Some((path, (metadata.len(), metadata.modified().ok())))
    };
    files.into_iter().filter_map(stamp).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_source_is_read_at_first_and_whenever_it_grew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.csv");
        fs::write(&path, "1").unwrap();
        let pace = Pace {
            tick: Duration::from_millis(1),
            gather: Duration::from_millis(1),
            scan: Duration::from_millis(20),
        };
        let stop = AtomicBool::new(false);
        let (read, rests) = (Cell::new(0), Cell::new(0));
        follow(
            folder.path(),
            &stop,
            &pace,
            || {
                read.set(read.get() + 1);
                match read.get() {
                    1 => fs::write(&path, "12").unwrap(),
                    2 => fs::write(folder.path().join("other"), "").unwrap(),
                    _ => stop.store(true, Ordering::Relaxed),
                }
            },
            || rests.set(rests.get() + 1),
        );
        assert_eq!(read.get(), 3);
    }

    #[test]
    fn a_source_at_rest_is_not_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let pace = Pace { tick: Duration::from_millis(1), gather: Duration::ZERO, scan: Duration::ZERO };
        let stop = AtomicBool::new(false);
        let rests = Cell::new(0);
        let count = || {
            rests.set(rests.get() + 1);
            stop.store(rests.get() == 5, Ordering::Relaxed);
        };
        fs::write(folder.path().join("log"), "1").unwrap();
        let read = Cell::new(0);
        follow(folder.path(), &stop, &pace, || read.set(read.get() + 1), count);
        assert_eq!((read.get(), rests.get()), (1, 5));
    }
}
