//! What strikes: one SIGKILL after the other, at moments and to processes that a seeded generator chooses.
//! Only the runner that was started here and the holders of its runs' locks are ever struck.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

use overnight::run_dir::records::{Attempt, Event};
use overnight::run_dir::status::last_start;
use overnight::run_dir::{RunDir, checkpoint, lock, read};
use overnight::runner::tracked::holder;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::place::{Place, Size};
use super::share;

/// How long something to strike is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long steps are waited for, before the kill comes without them.
const STEPS_PATIENCE: Duration = Duration::from_secs(10);
/// How long a checkpoint is waited for, before any worker will do.
const CHECKPOINT_PATIENCE: Duration = Duration::from_secs(3);

/// What was struck so far.
#[derive(Clone, Debug, Default)]
pub struct Struck {
    pub runners: u64,
    /// Workers that trained, that were at a checkpoint, and that had not loaded yet.
    pub training: u64,
    pub at_checkpoint: u64,
    pub loading: u64,
    /// The most processes that were seen at one run at the same moment.
    pub most_at_once: usize,
}

impl Struck {
    pub fn kills(&self) -> u64 {
        self.runners + self.training + self.at_checkpoint + self.loading
    }
}

impl fmt::Display for Struck {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let Struck { runners, training, at_checkpoint, loading, .. } = self;
        write!(
            out,
            "{} kills: {runners} of the runner, {training} of workers that trained, {at_checkpoint} at a \
             checkpoint, {loading} while they loaded",
            self.kills()
        )
    }
}

pub struct Storm<'a> {
    place: &'a Place,
    random: ChaCha8Rng,
    /// Steps of all runs together.
    steps: u64,
    /// Kills that are wanted.
    kills: u64,
    runner: Child,
    pub struck: Struck,
}

impl<'a> Storm<'a> {
    pub fn over(place: &'a Place, seed: u64, size: Size, kills: u64) -> Storm<'a> {
        let random = ChaCha8Rng::seed_from_u64(seed);
        let steps = size.runs * size.steps;
        Storm { place, random, steps, kills, runner: place.runner(), struck: Struck::default() }
    }

    /// One kill. False when the runner has ended by itself: all is done.
    pub fn strike(&mut self) -> bool {
        // The first strikes the runner, so that no storm is without that; chance has the others.
        let kind = if self.struck.kills() == 0 { 0 } else { self.below(100) };
        let left = self.steps.saturating_sub(self.steps());
        let share = share(left, self.kills.saturating_sub(self.struck.kills()));
        let steps = self.below(2 * share + 1);
        let delay = Duration::from_millis(self.below(100));
        let is_due = match kind {
            0..20 | 60.. => self.wait_for_steps(steps),
            20..45 => self.wait_for_checkpoint(),
            _ => true,
        };
        // A checkpoint is written within milliseconds.
        if !(20..45).contains(&kind) {
            std::thread::sleep(delay);
        }
        is_due && if kind < 20 { self.strike_runner() } else { self.strike_worker(kind < 45) }
    }

    /// Lets the runs come to their ends undisturbed.
    pub fn pass(mut self) -> Struck {
        let code = self.runner.wait().unwrap().code();
        assert_eq!(code, Some(0), "the last runner: {}", self.place.said());
        self.struck.clone()
    }

    fn strike_runner(&mut self) -> bool {
        if self.has_ended() {
            return false;
        }
        self.runner.kill().unwrap();
        self.runner.wait().unwrap();
        self.struck.runners += 1;
        // Sometimes nobody is there for a while, and workers end unseen.
        if self.below(3) == 0 {
            std::thread::sleep(Duration::from_millis(300));
        }
        self.runner = self.place.runner();
        true
    }

    fn strike_worker(&mut self, at_checkpoint: bool) -> bool {
        if !self.wait_until(|storm| !storm.live().is_empty()) {
            return false;
        }
        let live = self.live();
        // The one at its checkpoint, if there is one; it may have ended while we looked.
        let writing = live.iter().find(|run| at_checkpoint && being_written(run).is_some());
        let index = self.below(live.len().max(1) as u64) as usize;
        let Some(run) = writing.or(live.get(index)) else { return true };
        let (was_training, was_writing) = (is_training(run), being_written(run).is_some());
        let Some(worker) = holder(run) else { return true };
        worker.kill().unwrap();
        match (was_writing, was_training) {
            (true, _) => self.struck.at_checkpoint += 1,
            (false, true) => self.struck.training += 1,
            (false, false) => self.struck.loading += 1,
        }
        true
    }

    /// Waits until all runs together have gone on by so many steps, as their checkpoints tell, or for a
    /// while. False when all is done.
    fn wait_for_steps(&mut self, steps: u64) -> bool {
        let (since, from) = (Instant::now(), self.steps());
        while self.steps() < from + steps && since.elapsed() < STEPS_PATIENCE {
            if self.has_ended() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }

    fn steps(&self) -> u64 {
        self.place.runs().iter().filter_map(|run| checkpoint::steps(run).pop()).sum()
    }

    /// Waits for a checkpoint that is being written. False when all is done.
    fn wait_for_checkpoint(&mut self) -> bool {
        let since = Instant::now();
        while since.elapsed() < CHECKPOINT_PATIENCE {
            if self.has_ended() {
                return false;
            }
            let runs = self.live();
            // Looking at a few folders over and over: they are there for milliseconds.
            for _ in 0..200 {
                if runs.iter().any(|run| being_written(run).is_some()) {
                    return true;
                }
            }
        }
        true
    }

    /// False when the runner ended first.
    fn wait_until(&mut self, condition: impl Fn(&Storm) -> bool) -> bool {
        let since = Instant::now();
        while !condition(self) {
            if self.has_ended() {
                return false;
            }
            assert!(since.elapsed() < PATIENCE, "nothing to strike: {}", self.place.said());
            std::thread::sleep(Duration::from_millis(2));
        }
        true
    }

    fn has_ended(&mut self) -> bool {
        let most = processes_by_run(&self.place.runs()).into_values().max().unwrap_or(0);
        self.struck.most_at_once = self.struck.most_at_once.max(most);
        match self.runner.try_wait().unwrap() {
            Some(status) => {
                assert_eq!(status.code(), Some(0), "a runner that nobody killed: {}", self.place.said());
                true
            }
            None => false,
        }
    }

    fn live(&self) -> Vec<RunDir> {
        self.place.runs().into_iter().filter(|run| lock::is_held(&run.alive_lock())).collect()
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.random.next_u64() % limit
    }
}

impl Drop for Storm<'_> {
    fn drop(&mut self) {
        drop(self.runner.kill());
        drop(self.runner.wait());
    }
}

/// Whether the present attempt has begun or gone on.
fn is_training(run: &RunDir) -> bool {
    let attempts = read::lines::<Attempt>(&run.attempts()).map(|lines| lines.records).unwrap_or_default();
    let events = read::lines::<Event>(&run.events()).map(|lines| lines.records).unwrap_or_default();
    let present = last_start(&attempts).map(|start| start.attempt);
    events.last().map(|event| event.attempt) == present
}

/// The folder of a checkpoint that has not its name yet.
fn being_written(run: &RunDir) -> Option<PathBuf> {
    let entries = std::fs::read_dir(run.checkpoints()).ok()?.flatten();
    entries.map(|entry| entry.path()).find(|path| path.to_string_lossy().contains("/.new-"))
}

/// How many worker processes are at each run, by their command lines.
fn processes_by_run(runs: &[RunDir]) -> BTreeMap<PathBuf, usize> {
    let mut count = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        let mut words = line.split('\0').skip(1);
        if words.next() != Some("train") {
            continue;
        }
        let path = words.next().map(PathBuf::from);
        if let Some(path) = path.filter(|path| runs.iter().any(|run| run.path() == path)) {
            *count.entry(path).or_insert(0) += 1;
        }
    }
    count
}
