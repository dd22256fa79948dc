//! File events below `runs/`, sorted by the run they belong to.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use crate::run_dir::{RunDir, Workspace};

/// File events of the folders that are watched at the moment.
pub(super) struct Events {
    /// As the workspace names it, and so the builder.
    runs: PathBuf,
    /// As events name it.
    runs_absolute: PathBuf,
    /// None where the system gives no events: then the scan alone does it.
    watcher: Option<RecommendedWatcher>,
    placed: BTreeSet<PathBuf>,
    received: mpsc::Receiver<Event>,
}

enum Event {
    Touched(Vec<PathBuf>),
    /// The queue ran over.
    Lost,
}

impl Events {
    pub fn new(workspace: &Workspace) -> Events {
        let (sender, received) = mpsc::channel();
        let tell = move |event: notify::Result<notify::Event>| {
            let event = match event {
                Ok(event) if event.need_rescan() => Event::Lost,
                Ok(event) if is_change(event.kind) => Event::Touched(event.paths),
                Ok(_) => return,
                Err(_) => Event::Lost,
            };
            let _ = sender.send(event);
        };
        let runs = workspace.runs();
        Events {
            runs_absolute: std::path::absolute(&runs).unwrap_or_else(|_| runs.clone()),
            runs,
            watcher: notify::recommended_watcher(tell).ok(),
            placed: BTreeSet::new(),
            received,
        }
    }

    pub fn place(&mut self, wanted: BTreeSet<PathBuf>) {
        let Some(watcher) = &mut self.watcher else { return };
        for gone in self.placed.difference(&wanted) {
            // A deleted folder took its watch along.
            let _ = watcher.unwatch(gone);
        }
        let mut placed: BTreeSet<_> = self.placed.intersection(&wanted).cloned().collect();
        for folder in wanted.difference(&self.placed) {
            // No watch left in the system: tried again at the next look, and the scan does it meanwhile.
            if watcher.watch(folder, RecursiveMode::NonRecursive).is_ok() {
                placed.insert(folder.clone());
            }
        }
        self.placed = placed;
    }

    pub fn wait(&self, time: Duration) -> Option<Gathered> {
        let mut gathered = Gathered::default();
        match self.received.recv_timeout(time) {
            Ok(event) => gathered.take(self, event),
            // Without a watcher nobody sends, and there is nothing to wait for but the clock.
            Err(mpsc::RecvTimeoutError::Disconnected) => std::thread::sleep(time),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
        }
        Some(gathered).filter(|gathered| !gathered.is_empty())
    }

    pub fn drain(&self) -> Gathered {
        let mut gathered = Gathered::default();
        for event in self.received.try_iter() {
            gathered.take(self, event);
        }
        gathered
    }
}

/// What file events said.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub runs: BTreeSet<RunDir>,
    pub everything: bool,
    /// A run or an experiment may have come, so what is watched must be looked at again.
    pub has_new_folder: bool,
}

impl Gathered {
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty() && !self.everything
    }

    pub fn add(&mut self, more: Gathered) {
        self.runs.extend(more.runs);
        self.everything |= more.everything;
        self.has_new_folder |= more.has_new_folder;
    }

    /// Sorts a path by its place below `runs/`, without looking at it: it may be gone.
    fn note(&mut self, events: &Events, path: &Path) {
        let Ok(below) = path.strip_prefix(&events.runs_absolute) else { return };
        let parts: Vec<_> = below.iter().collect();
        // Locks, run directories not yet renamed into place, files not yet renamed into place.
        if parts.iter().any(|part| part.as_encoded_bytes().starts_with(b".")) {
            return;
        }
        match parts.as_slice() {
            [] | [_] => {
                self.everything = true;
                self.has_new_folder = true;
            }
            [experiment, run, rest @ ..] => {
                self.has_new_folder |= rest.is_empty();
                self.runs.insert(RunDir::new(events.runs.join(experiment).join(run)));
            }
        }
    }

    fn take(&mut self, events: &Events, event: Event) {
        match event {
            Event::Touched(paths) => paths.iter().for_each(|path| self.note(events, path)),
            Event::Lost => {
                self.everything = true;
                self.has_new_folder = true;
            }
        }
    }
}

/// The builder reads all these files; reading is no change.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}
