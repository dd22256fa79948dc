//! Keeps the report fresh: file events as a hint, a scan every few seconds as the truth.
//!
//! Watches are placed on `runs/`, on its experiments and on live runs; never on what is built from
//! them, which would rebuild for ever. What changed in a run is the builder's business: it is told
//! where to look, and now and then to look everywhere.

mod events;

use std::collections::BTreeSet;
use std::fmt::Display;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::run_dir::write::make_folder;
use crate::run_dir::{RunDir, Workspace, lock, scan};
use events::{Events, Gathered};

/// Where the builder should look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    Everything,
    Runs(BTreeSet<RunDir>),
}

/// How often things are done; the default is for people, other values are for tests.
#[derive(Debug, Clone)]
pub struct Pace {
    /// Events that come within this time are built together. It is counted from the first one: a
    /// run that writes without pause is shown without pause.
    pub gather: Duration,
    /// Gathered at most this long, also after a build that took longer.
    pub gather_most: Duration,
    /// Between looks at which runs are live.
    pub liveness: Duration,
    /// Between builds of everything.
    pub scan: Duration,
    /// Between tries for the lock while another watcher has it.
    pub lock: Duration,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            gather: Duration::from_millis(40),
            gather_most: Duration::from_millis(100),
            liveness: Duration::from_millis(500),
            scan: Duration::from_secs(3),
            lock: Duration::from_millis(500),
        }
    }
}

/// Builds when something changed, until `stop` is set (noticed within a tenth of a second).
///
/// Only one watcher works in a workspace, under a lock in `reports/`; as long as another one has it,
/// this one waits. A single build (`overnight report`) may come in between.
/// A failed build is told to `outcome` and tried again from the start; the last good report stays.
///
/// # Errors
/// `reports/` cannot be created or its lock not opened.
pub fn watch<E: Display>(
    workspace: &Workspace,
    stop: &AtomicBool,
    pace: &Pace,
    mut build: impl FnMut(&Hint) -> Result<(), E>,
    mut outcome: impl FnMut(Result<(), E>),
) -> io::Result<()> {
    while !stop.load(Ordering::Relaxed) {
        make_folder(&workspace.reports())?;
        match lock::try_lock(&workspace.watcher_lock())? {
            Some(lock) => Watch::new(workspace, pace).work(stop, &lock, &mut build, &mut outcome),
            None => pause(stop, pace.lock),
        }
    }
    Ok(())
}

struct Watch<'a> {
    workspace: &'a Workspace,
    pace: &'a Pace,
    events: Events,
    live: BTreeSet<RunDir>,
    looked: Instant,
    /// Looking is paced by what it costs: ten thousand runs must not keep a core busy.
    look_cost: Duration,
    scanned: Option<Instant>,
    build_cost: Duration,
}

impl<'a> Watch<'a> {
    fn new(workspace: &'a Workspace, pace: &'a Pace) -> Watch<'a> {
        Watch {
            workspace,
            pace,
            events: Events::new(workspace),
            live: BTreeSet::new(),
            looked: Instant::now(),
            look_cost: Duration::ZERO,
            scanned: None,
            build_cost: Duration::ZERO,
        }
    }

    /// Builds until stopped, or until the lock file was deleted and somebody else may hold a new one.
    fn work<E>(
        &mut self,
        stop: &AtomicBool,
        lock: &File,
        build: &mut impl FnMut(&Hint) -> Result<(), E>,
        outcome: &mut impl FnMut(Result<(), E>),
    ) {
        self.look_at_liveness();
        while !stop.load(Ordering::Relaxed) && is_at(lock, &self.workspace.watcher_lock()) {
            let Some(hint) = self.next_hint(stop) else { continue };
            if hint == Hint::Everything {
                self.scanned = Some(Instant::now());
            }
            let started = Instant::now();
            let built = build(&hint);
            self.build_cost = started.elapsed();
            let is_broken = built.is_err();
            outcome(built);
            if is_broken {
                // What it was to look at is not built, so the next one looks everywhere. Not at once:
                // what is broken now is broken a moment later.
                self.scanned = None;
                pause(stop, self.pace.liveness.max(self.build_cost));
            }
        }
    }

    /// Waits for something to build; nothing when it is time to look whether to stop.
    fn next_hint(&mut self, stop: &AtomicBool) -> Option<Hint> {
        let scan_pause = self.pace.scan.max(self.build_cost * 10);
        if self.scanned.is_none_or(|at| at.elapsed() >= scan_pause) {
            self.events.drain();
            return Some(Hint::Everything);
        }
        let mut gathered = Gathered::default();
        if self.looked.elapsed() >= self.pace.liveness.max(self.look_cost * 20) {
            gathered.runs = self.look_at_liveness();
        }
        if gathered.is_empty() {
            gathered = self.events.wait(POLL)?;
            let gather = self.build_cost.clamp(self.pace.gather, self.pace.gather_most);
            pause(stop, gather);
        }
        gathered.add(self.events.drain());
        if gathered.has_new_folder {
            gathered.runs.extend(self.look_at_liveness());
        }
        if gathered.is_empty() {
            return None;
        }
        Some(match gathered.everything {
            true => Hint::Everything,
            false => Hint::Runs(gathered.runs),
        })
    }

    /// Finds out which runs are live and watches those; returns the ones that began or ended.
    fn look_at_liveness(&mut self) -> BTreeSet<RunDir> {
        self.looked = Instant::now();
        let runs = scan::runs(self.workspace);
        let live: BTreeSet<_> = runs.iter().filter(|run| lock::is_held(&run.alive_lock())).cloned().collect();
        self.events.place(wanted_watches(self.workspace, &runs, &live));
        let changed = live.symmetric_difference(&self.live).cloned().collect();
        self.live = live;
        self.look_cost = self.looked.elapsed();
        changed
    }
}

/// How long a wait for events lasts before stop and clock are looked at.
const POLL: Duration = Duration::from_millis(100);

fn pause(stop: &AtomicBool, time: Duration) {
    let started = Instant::now();
    while !stop.load(Ordering::Relaxed) && started.elapsed() < time {
        std::thread::sleep((time - started.elapsed().min(time)).min(POLL));
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

/// The folders to watch, none of them with what is in it.
fn wanted_watches(workspace: &Workspace, runs: &[RunDir], live: &BTreeSet<RunDir>) -> BTreeSet<PathBuf> {
    let mut wanted = BTreeSet::from([workspace.runs()]);
    wanted.extend(runs.iter().filter_map(|run| run.path().parent()).map(Path::to_owned));
    for run in live {
        wanted.insert(run.path().to_owned());
        wanted.insert(run.samples());
    }
    wanted.retain(|folder| folder.is_dir());
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::Mutex;

    /// A workspace with a live run and one that waits, and a builder that only writes down its hints.
    struct Scene {
        folder: tempfile::TempDir,
        workspace: Workspace,
        hints: Mutex<Vec<Hint>>,
        problems: Mutex<Vec<String>>,
        is_broken: AtomicBool,
        stop: AtomicBool,
        pace: Pace,
    }

    const LIMIT: Duration = Duration::from_secs(60);

    impl Scene {
        fn new() -> Scene {
            let folder = tempfile::tempdir().unwrap();
            let workspace = Workspace::new(folder.path());
            for name in ["live", "waiting"] {
                fs::create_dir_all(workspace.run("x", name).path()).unwrap();
            }
            Scene {
                folder,
                workspace,
                hints: Mutex::default(),
                problems: Mutex::default(),
                is_broken: AtomicBool::new(false),
                stop: AtomicBool::new(false),
                // Scans so rare that only events can be what is seen.
                pace: Pace { scan: Duration::from_secs(3600), ..Pace::default() },
            }
        }

        fn run(&self, name: &str) -> RunDir {
            self.workspace.run("x", name)
        }

        fn append(&self, name: &str) {
            let path = self.run(name).metrics();
            let file = fs::OpenOptions::new().append(true).create(true).open(path);
            file.unwrap().write_all(b"1,2\n").unwrap();
        }

        fn watch(&self) {
            let build = |hint: &Hint| {
                self.hints.lock().unwrap().push(hint.clone());
                // As a builder does, into a folder that must not be watched.
                fs::write(self.workspace.reports().join("index.html"), format!("{hint:?}")).unwrap();
                match self.is_broken.load(Ordering::Relaxed) {
                    true => Err("the template is broken"),
                    false => Ok(()),
                }
            };
            let outcome = |built: Result<(), &str>| {
                if let Err(problem) = built {
                    self.problems.lock().unwrap().push(problem.to_owned());
                }
            };
            watch(&self.workspace, &self.stop, &self.pace, build, outcome).unwrap();
        }

        /// Watches in a thread of its own while `act` goes on.
        fn while_watching(&self, act: impl FnOnce()) {
            std::thread::scope(|scope| {
                scope.spawn(|| self.watch());
                // A failed assertion must not leave the watcher running, nor the scope waiting.
                let acted = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    self.until("the first build", |hints| !hints.is_empty());
                    act();
                }));
                self.stop.store(true, Ordering::Relaxed);
                if let Err(panic) = acted {
                    std::panic::resume_unwind(panic);
                }
            });
        }

        fn until(&self, what: &str, holds: impl Fn(&[Hint]) -> bool) {
            let started = Instant::now();
            while !holds(&self.hints.lock().unwrap()) {
                assert!(started.elapsed() < LIMIT, "{what} never came: {:?}", self.hints.lock().unwrap());
                std::thread::park_timeout(Duration::from_millis(1));
            }
        }

        fn until_hinted(&self, run: &RunDir) {
            self.until(&format!("a hint at {}", run.name()), |hints| {
                hints.iter().any(|hint| matches!(hint, Hint::Runs(runs) if runs.contains(run)))
            });
        }

        fn forget(&self) {
            self.hints.lock().unwrap().clear();
        }
    }

    #[test]
    fn a_row_of_a_live_run_is_built_by_its_event() {
        let scene = Scene::new();
        let _alive = lock::try_lock(&scene.run("live").alive_lock()).unwrap().unwrap();
        scene.while_watching(|| {
            assert_eq!(scene.hints.lock().unwrap()[0], Hint::Everything);
            scene.forget();
            scene.append("live");
            scene.until_hinted(&scene.run("live"));
        });
    }

    #[test]
    fn writing_without_pause_is_shown_without_pause() {
        let scene = Scene::new();
        let _alive = lock::try_lock(&scene.run("live").alive_lock()).unwrap().unwrap();
        scene.while_watching(|| {
            scene.forget();
            scene.until("a third build while writing", |hints| {
                scene.append("live");
                hints.len() >= 3
            });
        });
    }

    #[test]
    fn a_run_that_begins_or_ends_to_live_is_noticed_without_an_event_of_its_own() {
        let scene = Scene::new();
        scene.while_watching(|| {
            scene.forget();
            let alive = lock::try_lock(&scene.run("waiting").alive_lock()).unwrap().unwrap();
            scene.until_hinted(&scene.run("waiting"));
            scene.forget();
            drop(alive);
            scene.until_hinted(&scene.run("waiting"));
        });
    }

    #[test]
    fn new_runs_new_experiments_and_deleted_runs_are_noticed() {
        let scene = Scene::new();
        scene.while_watching(|| {
            scene.forget();
            // As the queue does: built under a hidden name, then renamed.
            let hidden = scene.run(".new-1");
            fs::create_dir(hidden.path()).unwrap();
            fs::rename(hidden.path(), scene.run("new").path()).unwrap();
            scene.until_hinted(&scene.run("new"));
            scene.forget();
            fs::remove_dir_all(scene.run("waiting").path()).unwrap();
            scene.until_hinted(&scene.run("waiting"));
            scene.forget();
            fs::create_dir_all(scene.workspace.run("another", "run").path()).unwrap();
            scene.until("a look at everything", |hints| hints.contains(&Hint::Everything));
        });
        let hints = scene.hints.lock().unwrap();
        assert!(!format!("{hints:?}").contains(".new-1"), "{hints:?}");
    }

    #[test]
    fn what_events_do_not_tell_is_found_by_the_scan() {
        let mut scene = Scene::new();
        scene.pace.scan = Duration::from_millis(50);
        scene.while_watching(|| {
            scene.until("more scans", |hints| {
                hints.iter().filter(|hint| **hint == Hint::Everything).count() >= 3
            });
        });
    }

    #[test]
    fn a_failed_build_is_told_and_tried_again_from_the_start() {
        let scene = Scene::new();
        let _alive = lock::try_lock(&scene.run("live").alive_lock()).unwrap().unwrap();
        scene.while_watching(|| {
            scene.is_broken.store(true, Ordering::Relaxed);
            scene.forget();
            scene.append("live");
            scene.until("another try", |hints| hints.contains(&Hint::Everything));
            scene.is_broken.store(false, Ordering::Relaxed);
        });
        assert_eq!(scene.problems.lock().unwrap()[0], "the template is broken");
    }

    #[test]
    fn only_one_watcher_works_and_the_next_takes_over() {
        let scene = Scene::new();
        let other = {
            fs::create_dir_all(scene.workspace.reports()).unwrap();
            lock::try_lock(&scene.workspace.watcher_lock()).unwrap().unwrap()
        };
        std::thread::scope(|scope| {
            scope.spawn(|| scene.watch());
            assert!(scene.hints.lock().unwrap().is_empty());
            drop(other);
            let taken_over = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                scene.until("a build after the other ended", |hints| !hints.is_empty());
                assert!(lock::is_held(&scene.workspace.watcher_lock()));
            }));
            scene.stop.store(true, Ordering::Relaxed);
            taken_over.unwrap();
        });
        lock::wait_until_free(&scene.workspace.watcher_lock());
    }

    #[test]
    fn watches_are_placed_on_runs_and_live_runs_only() {
        let scene = Scene::new();
        fs::create_dir_all(scene.workspace.reports().join("runs/x")).unwrap();
        let runs = scan::runs(&scene.workspace);
        let live = BTreeSet::from([scene.run("live")]);
        let placed = wanted_watches(&scene.workspace, &runs, &live);
        let runs_folder = scene.folder.path().join("runs");
        let expected = [runs_folder.clone(), runs_folder.join("x"), runs_folder.join("x/live")];
        assert_eq!(placed, BTreeSet::from(expected));
    }
}
