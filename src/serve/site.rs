//! Notices what changes under `reports/`, whoever builds it: file events as a hint, a scan every
//! few seconds as the truth.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use super::events::Changes;

/// A build replaces many files in one go: gathered this long, they are told in one message.
const GATHER: Duration = Duration::from_millis(25);
/// Between scans while file events come.
const SCAN: Duration = Duration::from_secs(3);
/// Between scans where no file events can be had: a network drive, no watches left.
const SCAN_ALONE: Duration = Duration::from_millis(400);

/// Announces changes under a folder until it is dropped.
pub(super) struct SiteWatch {
    signals: mpsc::Sender<Signal>,
    thread: Option<JoinHandle<()>>,
}

enum Signal {
    Touched(Vec<PathBuf>),
    /// Events were lost.
    Scan,
    Stop,
}

impl SiteWatch {
    pub fn start(reports: PathBuf, changes: Changes) -> std::io::Result<SiteWatch> {
        let (signals, received) = mpsc::channel();
        let sender = signals.clone();
        let thread = std::thread::Builder::new()
            .name("site watch".to_owned())
            .spawn(move || look(&reports, &changes, &sender, &received))?;
        Ok(SiteWatch { signals, thread: Some(thread) })
    }
}

impl Drop for SiteWatch {
    fn drop(&mut self) {
        let _ = self.signals.send(Signal::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn look(root: &Path, changes: &Changes, sender: &mpsc::Sender<Signal>, received: &mpsc::Receiver<Signal>) {
    let mut seen = Seen::default();
    let mut watched = Watched::default();
    watched.follow(root, sender);
    seen.scan(root);
    changes.begin();
    let mut scanned = Instant::now();
    loop {
        let pause = match watched.watcher {
            Some(_) => SCAN,
            None => SCAN_ALONE,
        };
        let mut touched = BTreeSet::new();
        let first = received.recv_timeout(pause.saturating_sub(scanned.elapsed()));
        if matches!(first, Ok(Signal::Touched(_))) {
            std::thread::sleep(GATHER);
        }
        let mut is_lost = matches!(first, Err(RecvTimeoutError::Timeout));
        for signal in first.into_iter().chain(received.try_iter()) {
            match signal {
                Signal::Touched(paths) => touched.extend(paths),
                Signal::Scan => is_lost = true,
                Signal::Stop => return,
            }
        }
        let changed = if is_lost || scanned.elapsed() >= pause {
            watched.follow(root, sender);
            scanned = Instant::now();
            seen.scan(root)
        } else {
            seen.look_at(root, &touched)
        };
        changes.announce(changed);
    }
}

/// The watcher and the folder it was placed on, which may have been replaced since.
#[derive(Default)]
struct Watched {
    watcher: Option<RecommendedWatcher>,
    inode: Option<u64>,
}

impl Watched {
    fn follow(&mut self, root: &Path, sender: &mpsc::Sender<Signal>) {
        let inode = std::fs::metadata(root).ok().map(|folder| folder.ino());
        if inode == self.inode && (inode.is_none() || self.watcher.is_some()) {
            return;
        }
        let sender = sender.clone();
        let tell = move |event: notify::Result<notify::Event>| {
            let signal = match event {
                Ok(event) if event.need_rescan() => Signal::Scan,
                Ok(event) if is_change(event.kind) => Signal::Touched(event.paths),
                Ok(_) => return,
                Err(_) => Signal::Scan,
            };
            let _ = sender.send(signal);
        };
        self.inode = inode;
        self.watcher = notify::recommended_watcher(tell).ok().and_then(|mut watcher| {
            // Too few watches for all folders: scanning alone is slower and still right.
            watcher.watch(root, RecursiveMode::Recursive).ok()?;
            Some(watcher)
        });
    }
}

/// Reading a file is no change of it; this server reads all day.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}

/// What each file looked like when it was last looked at.
#[derive(Default)]
struct Seen {
    files: BTreeMap<PathBuf, Look>,
}

#[derive(PartialEq, Eq, Clone, Copy)]
struct Look {
    inode: u64,
    bytes: u64,
    seconds: i64,
    nanoseconds: i64,
}

impl Seen {
    /// Looks at everything; returns what differs from last time, relative to `root`.
    fn scan(&mut self, root: &Path) -> Vec<String> {
        self.look_at(root, &BTreeSet::from([root.to_owned()]))
    }

    /// Looks at these files and at everything in these folders. One that is gone is a change too,
    /// with everything that was in it.
    fn look_at(&mut self, root: &Path, touched: &BTreeSet<PathBuf>) -> Vec<String> {
        let mut changed = BTreeSet::new();
        for path in touched {
            let Ok(relative) = path.strip_prefix(root) else {
                continue;
            };
            if is_hidden(relative) {
                continue;
            }
            let mut found = BTreeMap::new();
            for entry in walkdir::WalkDir::new(path)
                .into_iter()
                .filter_entry(|entry| entry.depth() == 0 || !is_hidden(Path::new(entry.file_name())))
                .flatten()
            {
                if let Ok(metadata) = entry.metadata()
                    && metadata.is_file()
                {
                    found.insert(entry.into_path(), Look::at(&metadata));
                }
            }
            let gone: Vec<_> = self
                .files
                .range(path.clone()..)
                .take_while(|(known, _)| known.starts_with(path))
                .filter(|(known, _)| !found.contains_key(*known))
                .map(|(known, _)| known.clone())
                .collect();
            for known in gone {
                self.files.remove(&known);
                changed.extend(name_below(root, &known));
            }
            for (file, look) in found {
                if self.files.insert(file.clone(), look) != Some(look) {
                    changed.extend(name_below(root, &file));
                }
            }
        }
        changed.into_iter().collect()
    }
}

impl Look {
    fn at(metadata: &std::fs::Metadata) -> Look {
        Look {
            inode: metadata.ino(),
            bytes: metadata.len(),
            seconds: metadata.mtime(),
            nanoseconds: metadata.mtime_nsec(),
        }
    }
}

/// Locks and files not yet renamed into place.
fn is_hidden(relative: &Path) -> bool {
    relative.components().any(|part| part.as_os_str().as_encoded_bytes().starts_with(b"."))
}

fn name_below(root: &Path, path: &Path) -> Option<String> {
    Some(path.strip_prefix(root).ok()?.to_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_changed_and_deleted_files_are_told_once_and_hidden_ones_never() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let mut seen = Seen::default();
        std::fs::create_dir_all(root.join("runs/x")).unwrap();
        std::fs::write(root.join("index.html"), "1").unwrap();
        std::fs::write(root.join("runs/x/index.html"), "1").unwrap();
        std::fs::write(root.join(".lock"), "1").unwrap();
        assert_eq!(seen.scan(root), ["index.html", "runs/x/index.html"]);
        assert_eq!(seen.scan(root), Vec::<String>::new());

        std::fs::write(root.join("index.html"), "12").unwrap();
        let touched = BTreeSet::from([root.join("index.html"), root.join(".lock")]);
        assert_eq!(seen.look_at(root, &touched), ["index.html"]);

        std::fs::remove_dir_all(root.join("runs")).unwrap();
        let touched = BTreeSet::from([root.join("runs")]);
        assert_eq!(seen.look_at(root, &touched), ["runs/x/index.html"]);
        std::fs::remove_file(root.join("index.html")).unwrap();
        assert_eq!(seen.scan(root), ["index.html"]);
    }
}
