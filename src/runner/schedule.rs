//! What to do next, decided from what was observed. Nothing here reads a file, a clock or a device,
//! so every rule of the queue can be tested as a table.

use std::fmt;
use std::time::Duration;

use super::admission::{Need, Vacancies};
use super::interrupt::Ending;
use crate::run_dir::needs::means;
use crate::run_dir::records::{Device, Start};
use crate::say;

mod passing;
mod placement;
mod relevant;

pub use passing::Passed;
use placement::{Places, is_meant};
pub use placement::{fits, slots};
pub use relevant::relevant;

/// A place for one run at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Position in the list of GPUs that may be used; none is the processor.
    pub gpu: Option<usize>,
    /// Threads for the run's process.
    pub threads: u32,
}

/// The device that a run must have, whatever is free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    Cpu,
    AnyGpu,
    /// By position: `cuda:1`.
    Gpu(usize),
    /// A GPU of the model that the run began on, because another gives other bits.
    Model(String),
}

/// One run as the runner sees it at this moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    pub experiment: String,
    pub name: String,
    pub wish: Wish,
    pub standing: Standing,
    /// Runs and experiments that must have finished before.
    pub needs: Vec<String>,
    /// Runs of the same experiment at once.
    pub limit: Option<u32>,
    /// Attempts of this batch, in a row, that ended without a newer checkpoint than they began with.
    pub fruitless: u32,
    /// How many of them are allowed.
    pub retries: u32,
    /// Without a sign of life for so long it counts as hung.
    pub hang: Option<Duration>,
    /// Why it waits for a person.
    pub held: Option<String>,
    /// Seconds it will probably take, where anything is known.
    pub seconds: Option<f64>,
    /// What it takes of a GPU.
    pub need: Need,
    pub threads: Threads,
    /// By later runs, on a GPU that has no room for it.
    pub passed: Passed,
}

/// Threads of a run's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// As many as its slot has.
    Open,
    /// As many as its first attempt had, so that it ends at the same bits.
    Begun(u32),
    /// `resources.threads`.
    Given(u32),
}

impl Threads {
    /// In a slot of so many.
    pub fn in_slot(self, slot: u32) -> u32 {
        match self {
            Threads::Open => slot,
            Threads::Begun(threads) | Threads::Given(threads) => threads,
        }
    }
}

/// What can be done about a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    Waiting,
    /// Somebody looks at what it needs.
    Preparing(Preparing),
    Live(Live),
    /// It waits for a person, as its files say.
    Held(String),
    /// What it needs of the system cannot be had for now: why, as a sentence.
    Occupied(String),
    /// It began and nobody saw its end.
    Lost,
    /// It has ended, and the disk does not take its end yet.
    PutOff,
    Finished,
    /// Failed, stopped, paused, unreadable or at work elsewhere: not ours to touch.
    Left,
}

/// A run whose data and weights are looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preparing {
    /// Kept for it, and what it takes of it; none once its data have not answered for long.
    pub slot: Option<usize>,
    /// What does not answer, as a sentence.
    pub unanswered: Option<String>,
}

/// A worker at work.
#[derive(Clone, Debug, PartialEq)]
pub struct Live {
    /// None for an adopted worker whose device has no slot.
    pub slot: Option<usize>,
    /// Whether it can be signaled from here.
    pub in_reach: bool,
    /// A request says that it should end.
    pub end_wanted: bool,
    /// Since it was asked to end.
    pub asked: Option<Duration>,
    /// Since its last step, or since it started.
    pub quiet: Duration,
    /// Since its last sign of life: a step, a batch evaluated, a token sampled.
    pub silent: Duration,
}

/// Everything a decision rests on. Runs stand in the order in which they should start.
pub struct Observation<'a> {
    pub runs: &'a [Run],
    pub slots: &'a [Slot],
    /// Model names of the GPUs that may be used, by position.
    pub gpus: &'a [String],
    /// How each of them is, by position; fine where nothing is said.
    pub gpu_states: &'a [GpuState],
    pub ending: Ending,
    /// How long a worker that was asked to end may go without a step.
    pub patience: Duration,
    pub gate: Gate,
    /// Nothing is started that would not end by then.
    pub deadline: Option<Deadline>,
    pub vacancies: &'a Vacancies,
    /// Runs outside of the batch that runs of it need.
    pub others: &'a [Other],
}

/// The time by which all that is started should have ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Deadline {
    pub seconds_left: f64,
    /// As a person says it: `07:00`.
    pub clock: String,
}

/// A run that another batch, or nobody, works at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    pub experiment: String,
    pub name: String,
    pub is_finished: bool,
}

/// Whether a GPU can be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum GpuState {
    #[default]
    Fine,
    /// A worker found it lost and the driver has not answered since.
    Unsure,
    /// Why, and what a person can do.
    Lost(String),
}

/// Whether anything new may start, and why not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Gate {
    #[default]
    Open,
    /// Not now; the batch waits.
    NotYet(String),
    /// Not any more; the batch ends after its current runs.
    Shut(String),
}

/// What the loop carries out; runs and slots by position in the observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Start {
        run: usize,
        slot: usize,
    },
    /// Find out what a run like this takes of the GPU, by position.
    Probe {
        run: usize,
        gpu: usize,
    },
    /// Divide the processor among so many runs like this, as is best.
    Divide {
        run: usize,
        runs: usize,
    },
    /// SIGTERM: checkpoint and end.
    AskToEnd {
        run: usize,
    },
    Kill {
        run: usize,
        cause: Cause,
    },
    /// Write the end that nobody saw.
    Close {
        run: usize,
    },
}

/// Why a worker is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A second signal ends everything at once.
    EndingNow,
    /// It was asked to end and made no step since.
    Deaf,
    /// It gave no sign of life.
    Hung,
}

/// Why a run waits, as a person would say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It starts by itself in the end.
    Waits(String),
    /// A person must see to it first.
    Held(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Reason::Waits(reason) => f.write_str(reason),
            Reason::Held(reason) => write!(f, "held: {reason}"),
        }
    }
}

/// Actions, and a reason for each run that waits on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    pub actions: Vec<Action>,
    pub waiting: Vec<(usize, Reason)>,
    /// Waiting runs, and the later ones that start where they would if it were empty.
    pub passed: Vec<(usize, usize)>,
    /// Nothing is at work and nothing can be begun.
    pub done: bool,
}

impl Observation<'_> {
    /// How the GPU at this position is.
    fn state(&self, gpu: usize) -> &GpuState {
        self.gpu_states.get(gpu).unwrap_or(&GpuState::Fine)
    }
}

pub fn decide(seen: &Observation) -> Decision {
    let mut decision = Decision::default();
    let mut live: Vec<&str> = Vec::new();
    for run in seen.runs {
        if let Standing::Live(_) | Standing::Preparing(Preparing { slot: Some(_), .. }) = &run.standing {
            live.push(&run.experiment);
        }
    }
    let mut places = Places::new(seen, |run| hindrance(run, seen, &live).is_none());
    for (index, run) in seen.runs.iter().enumerate() {
        match &run.standing {
            Standing::Live(worker) => decision.actions.extend(ending_of(index, run, worker, seen)),
            Standing::Preparing(Preparing { unanswered, .. }) => {
                let reason = || "until its data and weights are looked at".to_owned();
                decision.waiting.push((index, Reason::Waits(unanswered.clone().unwrap_or_else(reason))));
            }
            Standing::Held(reason) => decision.waiting.push((index, Reason::Held(reason.clone()))),
            Standing::Occupied(reason) => decision.waiting.push((index, Reason::Waits(reason.clone()))),
            Standing::Lost => decision.actions.push(Action::Close { run: index }),
            Standing::Waiting => {
                let placed = match hindrance(run, seen, &live) {
                    Some(reason) => Err(reason),
                    None => places.place(index, run),
                };
                match placed {
                    Ok(action) => {
                        if let Action::Start { .. } = action {
                            live.push(&run.experiment);
                        }
                        decision.actions.push(action);
                    }
                    Err(reason) => decision.waiting.push((index, reason)),
                }
            }
            Standing::PutOff | Standing::Finished | Standing::Left => {}
        }
    }
    decision.passed = std::mem::take(&mut places.passed);
    // At the second signal nobody waits for a worker that cannot be ended from here.
    let is_waited_for = |run: &Run| match &run.standing {
        Standing::Live(worker) => worker.in_reach || !matches!(seen.ending, Ending::Now(_)),
        // The next runner finds it lost, which is better than to keep a person waiting.
        Standing::PutOff => seen.ending.is_open(),
        Standing::Preparing(_) | Standing::Occupied(_) => may_open(seen),
        _ => false,
    };
    let is_asked = seen.gpu_states.contains(&GpuState::Unsure);
    let opens_later = (is_asked || matches!(seen.gate, Gate::NotYet(_))) && !decision.waiting.is_empty();
    decision.done = !seen.runs.iter().any(is_waited_for)
        && decision.actions.is_empty()
        && !((opens_later || places.wait_for_others) && seen.ending.is_open());
    decision
}

/// Whether anything can still be started in this batch.
fn may_open(seen: &Observation) -> bool {
    let is_late = seen.deadline.as_ref().is_some_and(|deadline| deadline.seconds_left <= 0.0);
    seen.ending.is_open() && !matches!(seen.gate, Gate::Shut(_)) && !is_late
}

/// The device a run must have: that of its last attempt, so that it ends at the same bits, else what
/// its settings say.
pub fn wish(device: &str, last: Option<&Start>, gpus: usize) -> Wish {
    match last.map(|start| &start.device) {
        Some(Device::Cpu { .. }) => return Wish::Cpu,
        Some(Device::Cuda { name, .. }) => return Wish::Model(name.clone()),
        None => {}
    }
    match device {
        "cpu" => Wish::Cpu,
        "auto" if gpus == 0 => Wish::Cpu,
        _ => match device.strip_prefix("cuda:").and_then(|number| number.parse().ok()) {
            Some(position) => Wish::Gpu(position),
            None => Wish::AnyGpu,
        },
    }
}

fn ending_of(index: usize, run: &Run, worker: &Live, seen: &Observation) -> Option<Action> {
    let kill = |cause| Some(Action::Kill { run: index, cause });
    match seen.ending {
        Ending::Now(_) => return if worker.in_reach { kill(Cause::EndingNow) } else { None },
        Ending::Open if !worker.end_wanted => {
            return if run.hang.is_some_and(|hang| worker.silent >= hang) { kill(Cause::Hung) } else { None };
        }
        _ => {}
    }
    match worker.asked {
        None => Some(Action::AskToEnd { run: index }),
        Some(asked) if asked >= seen.patience && worker.quiet >= seen.patience => kill(Cause::Deaf),
        Some(_) => None,
    }
}

/// Why a waiting run may not start even if a slot is free.
fn hindrance(run: &Run, seen: &Observation, live: &[&str]) -> Option<Reason> {
    if !seen.ending.is_open() {
        return Some(Reason::Waits("for the next overnight run".into()));
    }
    if let Gate::NotYet(reason) | Gate::Shut(reason) = &seen.gate {
        return Some(Reason::Waits(reason.clone()));
    }
    if let Some(reason) = &run.held {
        return Some(Reason::Held(reason.clone()));
    }
    if let Some(reason) = seen.deadline.as_ref().and_then(|deadline| too_late(run, deadline)) {
        return Some(reason);
    }
    if run.fruitless > run.retries {
        let (experiment, name) = (&run.experiment, &run.name);
        return Some(Reason::Held(format!(
            "it ended {} times without a new checkpoint (see: overnight logs {experiment}/{name})",
            run.fruitless
        )));
    }
    if !seen.slots.iter().any(|slot| fits(&run.wish, slot, seen)) {
        return Some(lost(&run.wish, seen).unwrap_or_else(|| missing(&run.wish)));
    }
    for need in &run.needs {
        match met(need, run, seen) {
            Met::Yes => {}
            Met::NotYet => return Some(Reason::Waits(format!("after {need}"))),
            Met::Never => {
                let reason = format!("after {need}, and there is no such run (see: overnight queue FILE)");
                return Some(Reason::Waits(reason));
            }
        }
    }
    let at_once = live.iter().filter(|experiment| **experiment == run.experiment).count();
    match run.limit {
        Some(limit) if at_once >= limit as usize => {
            let runs = say::counted(limit as usize, "run", "runs");
            Some(Reason::Waits(format!("{runs} of {} at once", run.experiment)))
        }
        _ => None,
    }
}

/// Why a run may not start so late. One whose length nobody has measured may, until the time is over.
fn too_late(run: &Run, Deadline { seconds_left, clock }: &Deadline) -> Option<Reason> {
    if *seconds_left <= 0.0 {
        return Some(Reason::Waits(format!("nothing more is started, it is past {clock}")));
    }
    let seconds = run.seconds.filter(|seconds| seconds > seconds_left)?;
    let takes = say::duration(seconds);
    Some(Reason::Waits(format!("it would not end by {clock}: it takes about {takes}")))
}

/// Whether what a run needs has finished.
enum Met {
    Yes,
    NotYet,
    /// Nothing bears that name.
    Never,
}

fn met(need: &str, run: &Run, seen: &Observation) -> Met {
    let is_meant = |experiment: &str, name: &str| means(need, &run.experiment, experiment, name);
    let within = seen.runs.iter().filter(|other| is_meant(&other.experiment, &other.name));
    let without = seen.others.iter().filter(|other| is_meant(&other.experiment, &other.name));
    let mut all = within
        .map(|other| other.standing == Standing::Finished)
        .chain(without.map(|other| other.is_finished))
        .peekable();
    if all.peek().is_none() {
        Met::Never
    } else if all.all(|is_finished| is_finished) {
        Met::Yes
    } else {
        Met::NotYet
    }
}

fn waiting_for(wish: &Wish) -> Reason {
    Reason::Waits(match wish {
        Wish::Cpu => "for a free slot".into(),
        Wish::AnyGpu => "for a free GPU".into(),
        Wish::Gpu(position) => format!("for GPU {position}"),
        Wish::Model(name) => format!("for a free {name}"),
    })
}

/// Why a run waits whose GPUs are lost, all that it could take.
fn lost(wish: &Wish, seen: &Observation) -> Option<Reason> {
    (0..seen.gpus.len()).filter(|gpu| is_meant(wish, *gpu, seen)).find_map(|gpu| match seen.state(gpu) {
        GpuState::Lost(why) => Some(Reason::Held(why.clone())),
        _ => None,
    })
}

fn missing(wish: &Wish) -> Reason {
    Reason::Held(match wish {
        // Every slot fits a run on the processor.
        Wish::Cpu => return waiting_for(wish),
        Wish::AnyGpu => "it needs a GPU and none can be used (see: overnight doctor)".into(),
        Wish::Gpu(position) => {
            format!("it needs GPU {position}, which has no slot here (see: overnight doctor)")
        }
        Wish::Model(name) => {
            format!("it began on a {name} and none can be used; on another device it would end at other bits")
        }
    })
}

#[cfg(test)]
mod tests;
