//! One run as the runner follows it: the last look at its directory, and its worker while one lives.

mod holder;
mod worker;

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::FailedRuns;
use super::admission::{Need, Probing};
use super::alerts::Listener;
use super::left_out::{LeftOut, Looks};
use super::preparing::Preparation;
use super::schedule::{self, Live, Passed, Standing, Threads};
use super::skips::Skips;
use crate::experiment::settings::{Every, Settings};
use crate::run_dir::budgets::{self, Verdict};
use crate::run_dir::needs::{self, Fate};
use crate::run_dir::records::{Ask, Device, PassedBy, RunResult, Start};
use crate::run_dir::scan::{self, Seen};
use crate::run_dir::status::{Stage, Status, Waiting, last_start};
use crate::run_dir::{RunDir, deleted, read, reason, split};

pub use holder::{has_open, holder};
pub use worker::{Killed, Kinship, PutOff, Worker, XidSeen};

/// An attempt takes at least so many steps before what it holds is all that it will take.
const SETTLING_STEPS: u64 = 10;

/// A run of the batch.
pub struct Tracked {
    pub dir: RunDir,
    pub seen: Seen,
    pub worker: Option<Worker>,
    /// Attempts of this batch, in a row, that ended without a newer checkpoint.
    pub fruitless: u32,
    /// Whether it came to what its file requires, judged when it was first seen finished: the workspace's
    /// rules may delete it before the batch is over.
    pub verdicts: Option<Vec<Verdict>>,
    /// Something was done about it, so its directory has to be looked at.
    pub due: bool,
    /// It was looked at, and nobody has asked yet what that means for those that need it.
    pub is_news: bool,
    /// Finished before this batch looked at it for the first time.
    pub finished_before: bool,
    /// It could be read when this batch looked at it for the first time.
    pub was_readable: bool,
    /// Why this runner leaves it alone, beyond what its files say.
    pub trouble: Option<String>,
    /// How its last attempt ended, until the disk takes it.
    pub put_off: Option<PutOff>,
    /// How far its next attempt is prepared.
    pub preparation: Preparation,
    /// The need that did not finish, once it was told.
    pub skipped: Option<String>,
    /// Later runs that started where it waits, since its last start, and when the first did.
    passed: Option<(u32, Instant)>,
    /// Why it waits for a person, until one asks anything of it.
    held: Option<Held>,
    /// It was seen running, and then no more, and this runner did not follow it meanwhile.
    pub ended_alone: bool,
    /// What of its settings decides speed and memory.
    key: OnceCell<String>,
}

/// A run that may not start until a person has seen to it.
struct Held {
    reason: String,
    /// Requests there were then.
    requests: usize,
}

impl Tracked {
    pub fn new(dir: RunDir, host: &str) -> Tracked {
        let seen = scan::look(&dir, host, scan::now());
        let finished_before = seen.status == Status::Finished;
        let was_readable = !matches!(seen.status, Status::Unreadable { .. });
        Tracked {
            dir,
            seen,
            worker: None,
            fruitless: 0,
            due: false,
            is_news: true,
            was_readable,
            verdicts: None,
            finished_before,
            trouble: None,
            put_off: None,
            preparation: Preparation::None,
            skipped: None,
            passed: None,
            held: None,
            ended_alone: false,
            key: OnceCell::new(),
        }
    }

    /// `experiment/run`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.dir.experiment(), self.dir.name())
    }

    /// Looks again, unless nothing can have changed: a result beats everything.
    pub fn look(&mut self, host: &str, now: Instant) {
        self.due = false;
        if self.worker.is_none() && self.seen.status == Status::Finished {
            return;
        }
        let was_running = self.seen.status.is_running();
        self.seen = scan::look(&self.dir, host, scan::now());
        self.ended_alone |= was_running && self.worker.is_none() && !self.seen.status.is_running();
        self.is_news = true;
        if self.verdicts.is_none() && self.seen.status == Status::Finished {
            self.verdicts = Some(budgets::verdicts(&self.seen));
        }
        let progress = self.seen.progress.as_ref();
        if let Some(worker) = &mut self.worker {
            // A worker that has just begun may not have written its number when it was adopted.
            if worker.handle.is_none() {
                worker.handle = holder(&self.dir);
            }
            let progress = progress.filter(|progress| progress.attempt == worker.attempt);
            if let Some(progress) = progress.filter(|progress| progress.time != worker.last_sign) {
                worker.last_sign = progress.time;
                worker.stirred = now;
            }
            if let Some(step) = progress.map(|p| p.step).filter(|step| *step != worker.last_step) {
                worker.last_step = step;
                worker.moved = now;
            }
        }
    }

    /// Whether a worker lives that this runner does not follow yet.
    pub fn is_to_be_adopted(&self) -> bool {
        let elsewhere = Status::Running { stage: Stage::Elsewhere };
        self.worker.is_none() && self.seen.status.is_running() && self.seen.status != elsewhere
    }

    /// Follows a worker that lives already.
    pub fn adopt(&mut self, now: Instant) {
        let start = last_start(&self.seen.attempts);
        let handle = holder(&self.dir);
        self.worker = Some(Worker { kinship: Kinship::Adopted, ..Worker::new(start, None, handle, now) });
    }

    /// What the schedule may do about it.
    pub fn standing(&self, now: Instant, batch: Option<&str>, failed: FailedRuns) -> Standing {
        if let Some(worker) = &self.worker {
            let end_wanted =
                matches!(self.seen.status, Status::Running { stage: Stage::Pausing | Stage::Stopping });
            return Standing::Live(Live {
                slot: worker.slot,
                in_reach: worker.handle.is_some(),
                end_wanted,
                asked: worker.asked.map(|asked| now.duration_since(asked)),
                quiet: now.duration_since(worker.moved),
                silent: now.duration_since(worker.stirred),
            });
        }
        if self.put_off.is_some() {
            return Standing::PutOff;
        }
        if self.trouble.is_some() {
            return Standing::Left;
        }
        match (standing(&self.seen, batch, failed), &self.preparation) {
            (Standing::Waiting, Preparation::Begun(begun)) => Standing::Preparing(begun.standing(now)),
            (standing, _) => standing,
        }
    }

    /// Hears of the alerts of an attempt from now on.
    pub fn listener(&self) -> Listener {
        let alerts = self.seen.record.as_ref().map(|record| record.alerts.as_slice());
        Listener::new(&self.dir, alerts.unwrap_or_default())
    }

    /// Whether it ended without coming further once more than its retries allow.
    pub fn has_no_retries_left(&self) -> bool {
        self.fruitless > self.seen.record.as_ref().map_or(0, |record| record.queue.retries)
    }

    /// A later run has started where this one waits.
    pub fn is_passed(&mut self, now: Instant) {
        let (runs, first) = self.passed.unwrap_or((0, now));
        self.passed = Some((runs + 1, first));
    }

    /// The same for those who come after this runner; `now` is Unix seconds.
    pub fn passed_by(&self, now: f64) -> Option<PassedBy> {
        self.passed.map(|(runs, first)| PassedBy { runs, since: now - first.elapsed().as_secs_f64() })
    }

    /// Takes in what an earlier runner wrote of that, unless the run has begun since.
    pub fn recall_passed(&mut self, by: PassedBy, now: f64) {
        if last_start(&self.seen.attempts).is_some_and(|start| start.time > by.since) {
            return;
        }
        let ago = Duration::try_from_secs_f64(now - by.since).unwrap_or_default();
        let first = Instant::now().checked_sub(ago).unwrap_or_else(Instant::now);
        self.passed = Some((by.runs, first));
    }

    /// An attempt at it has begun.
    pub fn begin(&mut self, worker: Worker) {
        self.worker = Some(worker);
        self.passed = None;
    }

    /// Lets the run wait until a person asks something of it.
    pub fn hold(&mut self, reason: String) {
        self.held = Some(Held { reason, requests: self.seen.requests.len() });
    }

    /// Why its files alone say that it waits for a person.
    fn held_by_its_files(&self) -> Option<String> {
        let Status::Waiting { because: Waiting::BatchNorm } = self.seen.status else { return None };
        Some(format!("{} ({})", split::HELD, split::WAY_OUT))
    }

    /// The device it must have.
    pub fn wish(&self, gpus: usize) -> schedule::Wish {
        let record = self.seen.record.as_ref().ok();
        let device = record.map_or("cpu", |record| record.settings.resources.device.as_str());
        schedule::wish(device, last_start(&self.seen.attempts), gpus)
    }

    /// The run in the schedule's words. `seconds` is what it will probably take.
    pub fn scheduled(
        &self,
        standing: Standing,
        gpus: usize,
        seconds: Option<f64>,
        now: Instant,
    ) -> schedule::Run {
        let record = self.seen.record.as_ref().ok();
        let last = last_start(&self.seen.attempts);
        schedule::Run {
            experiment: self.dir.experiment(),
            name: self.dir.name(),
            wish: self.wish(gpus),
            standing,
            needs: record.map(|record| record.queue.needs.clone()).unwrap_or_default(),
            limit: record.and_then(|record| record.queue.limit),
            fruitless: self.fruitless,
            retries: record.map_or(0, |record| record.queue.retries),
            hang: record.and_then(|record| record.queue.hang()),
            held: self
                .held
                .as_ref()
                .filter(|held| held.requests == self.seen.requests.len())
                .map(|held| held.reason.clone())
                .or_else(|| self.held_by_its_files()),
            seconds,
            need: Need::Unknown(Probing::Possible),
            threads: match (record.and_then(|record| record.settings.resources.threads), last) {
                (Some(given), last) => Threads::Given(last.map_or(given, |start| start.threads)),
                (None, Some(start)) => Threads::Begun(start.threads),
                (None, None) => Threads::Open,
            },
            passed: self.passed.map_or_else(Passed::default, |(runs, first)| Passed {
                runs,
                since: now.saturating_duration_since(first),
            }),
        }
    }

    /// What of its settings decides how fast it is and how much memory it takes, as a hash, and how its
    /// next attempt would split a batch.
    pub fn settings_key(&self) -> String {
        let settings = self.seen.record.as_ref().ok().map(|record| &record.settings);
        let (micro_batch, accumulate) = settings
            .and_then(|settings| split::next(settings, &self.seen.attempts))
            .map(|split| (split.micro_batch, split.accumulate))
            .or_else(|| settings.map(|settings| (settings.train.batch_size, settings.train.accumulate)))
            .unwrap_or_default();
        self.key_with(micro_batch, accumulate)
    }

    /// What of its settings decides how fast it is, as a hash.
    pub fn settings_hash(&self) -> &str {
        self.key.get_or_init(|| match &self.seen.record {
            Ok(record) => key_of(&record.settings),
            Err(_) => String::new(),
        })
    }

    /// The same for another split.
    pub fn key_with(&self, micro_batch: u32, accumulate: u32) -> String {
        let key = self.settings_hash();
        format!("{key}-{micro_batch}x{accumulate}")
    }

    /// Whether its next attempt computes as many examples at once as its settings say.
    pub fn has_split_of_its_file(&self) -> bool {
        self.seen.record.as_ref().is_ok_and(|record| {
            let train = &record.settings.train;
            self.settings_key() == self.key_with(train.batch_size, train.accumulate)
        })
    }

    /// Whether this attempt at it has made a step, as was last seen.
    pub fn has_trained(&self, worker: &Worker) -> bool {
        self.steps_of(worker) > 0
    }

    /// Steps that an attempt has made beyond the checkpoint it went on from.
    fn steps_of(&self, worker: &Worker) -> u64 {
        let progress = self.seen.progress.as_ref().filter(|progress| progress.attempt == worker.attempt);
        progress.map_or(0, |progress| progress.step.saturating_sub(worker.checkpoint.unwrap_or(0)))
    }

    /// Whether its live attempt has shown what it takes: it has trained and evaluated.
    pub fn is_settled(&self) -> bool {
        let (Some(worker), Ok(record)) = (&self.worker, &self.seen.record) else { return false };
        let taken = self.steps_of(worker);
        let until_evaluated = match record.settings.evaluate.every {
            Every::Steps(steps) => steps,
            Every::Epoch => record.steps_per_epoch,
            Every::Never => 0,
        };
        taken > until_evaluated.max(SETTLING_STEPS)
    }

    /// What must have finished before it.
    pub fn needs(&self) -> &[String] {
        needs_of(&self.seen)
    }

    /// Higher ones start first: what was asked for last, else what the file says.
    pub fn priority(&self) -> i64 {
        let asked = self.seen.requests.iter().rev().find_map(|request| match request.ask {
            Ask::Priority { priority } => Some(priority),
            _ => None,
        });
        let own = || self.seen.record.as_ref().map_or(0, |record| record.queue.priority);
        asked.unwrap_or_else(own)
    }

    /// Time of queueing, then number within the experiment.
    fn age(&self) -> (f64, u32) {
        self.seen.record.as_ref().map_or((f64::MAX, 0), |record| (record.created, record.number))
    }

    /// Steps that are still to be done, as far as is known.
    pub fn steps_left(&self) -> u64 {
        let steps = self.seen.record.as_ref().map_or(0, |record| record.steps);
        steps.saturating_sub(self.seen.progress.as_ref().map_or(0, |progress| progress.step))
    }

    /// What a finished run came to.
    pub fn result(&self) -> Option<RunResult> {
        read::json(&self.dir.result()).ok()
    }
}

/// Hash of what decides how fast a run of these settings is and how much memory it takes: neither its seed
/// nor its rates, but data, model, kind of optimizer and precision.
fn key_of(settings: &Settings) -> String {
    let train = &settings.train;
    let optimizer = serde_json::to_value(&train.optimizer).ok().and_then(|value| value.get("kind").cloned());
    let deciding = serde_json::json!([settings.data, settings.model, optimizer, train.precision]);
    let hash = blake3::hash(deciding.to_string().as_bytes()).to_hex();
    hash[..16].to_owned()
}

/// Puts runs into the order in which they were queued.
pub fn in_order_of_age(runs: &mut [Tracked]) {
    runs.sort_by(|a, b| a.age().partial_cmp(&b.age()).unwrap_or(std::cmp::Ordering::Equal));
}

/// How a batch judges runs that it does not work at this moment.
#[derive(Clone, Copy)]
pub struct Judge<'a> {
    pub host: &'a str,
    pub batch: Option<&'a str>,
    pub failed: FailedRuns,
}

/// Makes skipped those of `runs` that wait for one that did not finish; of `others`, which this batch leaves
/// out, those are looked at that are needed. A failed one that this batch tries again is not lost yet. The
/// positions of the runs that may stand otherwise than before.
pub fn skip(
    runs: &mut [Tracked],
    others: &mut LeftOut,
    skips: &mut Skips,
    is_hinted: bool,
    judge: Judge,
) -> BTreeSet<usize> {
    let fate = |seen: &Seen| {
        let fate = Fate::of(&seen.status);
        let is_waiting = standing(seen, judge.batch, judge.failed) == Standing::Waiting;
        // One that failed and is tried again needs what it needed before.
        let is_open = fate == Fate::Waiting || is_waiting;
        (if fate == Fate::Bad && is_waiting { Fate::Other } else { fate }, is_open)
    };
    let mut news = BTreeSet::new();
    let mut changed = BTreeSet::new();
    for (index, run) in runs.iter_mut().enumerate().filter(|(_, run)| run.is_news) {
        run.is_news = false;
        news.insert(index);
        let (fate, is_open) = fate(&run.seen);
        changed.append(&mut skips.put(&run.dir, run.needs(), fate, is_open));
    }
    let workspace = runs.first().map(|run| run.dir.workspace());
    let looks = Looks {
        at: &mut |dir| scan::look(dir, judge.host, scan::now()),
        gone: &mut |(of, need)| {
            let gone = workspace.iter().flat_map(|workspace| deleted::meant(workspace, need, of));
            gone.map(|(experiment, gone)| (experiment, gone.run)).collect()
        },
    };
    if others.look(skips.open(), is_hinted, Instant::now(), looks) {
        let others = others.seen().iter().map(|seen| (&seen.dir, needs_of(seen), fate(seen).0));
        changed.append(&mut skips.put_others(others));
    }
    if !changed.is_empty() {
        news.extend((0..runs.len()).filter(|index| changed.contains(&runs[*index].dir)));
    }
    for index in &news {
        let run = &mut runs[*index];
        match (skips.failed(&run.dir), &run.seen.status) {
            (Some(need), _) => run.seen.status = needs::without(need.to_owned(), &run.seen),
            // What it is without that, its files say.
            (None, Status::Skipped { .. } | Status::NeedFailed { .. }) => run.due = true,
            (None, _) => {}
        }
    }
    news
}

fn needs_of(seen: &Seen) -> &[String] {
    seen.record.as_ref().map_or(&[], |record| &record.queue.needs)
}

/// What may be done about a run without a worker. A failed one is tried again at most once in a batch
/// that is asked to, however it ends then.
pub fn standing(seen: &Seen, batch: Option<&str>, failed: FailedRuns) -> Standing {
    match &seen.status {
        Status::Finished => Standing::Finished,
        Status::Waiting { .. } => Standing::Waiting,
        Status::Lost => match reason::elsewhere(seen) {
            Some(reason) => Standing::Held(reason),
            None => Standing::Lost,
        },
        Status::Failed { .. } | Status::Killed { .. } if failed == FailedRuns::Retry => {
            let last = last_start(&seen.attempts).and_then(|start| start.batch.as_deref());
            if batch.is_some() && last == batch { Standing::Left } else { Standing::Waiting }
        }
        _ => Standing::Left,
    }
}

/// UUID of the GPU that a start line names.
pub fn gpu_uuid(start: Option<&Start>) -> Option<&str> {
    match start.map(|start| &start.device) {
        Some(Device::Cuda { uuid, .. }) => Some(uuid),
        _ => None,
    }
}
