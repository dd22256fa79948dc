//! What to do next, decided from what was observed. Nothing here reads a file, a clock or a device,
//! so every rule of the queue can be tested as a table.

use std::time::Duration;

use super::interrupt::Ending;
use crate::run_dir::records::{Device, Start};

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
}

/// What can be done about a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    Waiting,
    Live(Live),
    /// It began and nobody saw its end.
    Lost,
    Finished,
    /// Failed, stopped, paused, unreadable or at work elsewhere: not ours to touch.
    Left,
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
    pub ending: Ending,
    /// How long a worker that was asked to end may go without a step.
    pub patience: Duration,
    pub gate: Gate,
    /// Nothing is started that would not end within so many seconds.
    pub seconds_left: Option<f64>,
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

/// Actions, and a reason for each run that waits on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    pub actions: Vec<Action>,
    pub waiting: Vec<(usize, String)>,
    /// Nothing is at work and nothing can be begun.
    pub done: bool,
}

pub fn decide(seen: &Observation) -> Decision {
    let mut decision = Decision::default();
    let mut taken: Vec<bool> = vec![false; seen.slots.len()];
    let mut live: Vec<&str> = Vec::new();
    for run in seen.runs {
        if let Standing::Live(worker) = &run.standing {
            live.push(&run.experiment);
            if let Some(slot) = worker.slot.and_then(|slot| taken.get_mut(slot)) {
                *slot = true;
            }
        }
    }
    for (index, run) in seen.runs.iter().enumerate() {
        match &run.standing {
            Standing::Live(worker) => decision.actions.extend(ending_of(index, run, worker, seen)),
            Standing::Lost => decision.actions.push(Action::Close { run: index }),
            Standing::Waiting => match hindrance(run, seen, &live) {
                Some(reason) => decision.waiting.push((index, reason)),
                None => match free_slot(&run.wish, seen, &taken) {
                    Some(slot) => {
                        taken[slot] = true;
                        live.push(&run.experiment);
                        decision.actions.push(Action::Start { run: index, slot });
                    }
                    None => decision.waiting.push((index, waiting_for(&run.wish))),
                },
            },
            Standing::Finished | Standing::Left => {}
        }
    }
    // At the second signal nobody waits for a worker that cannot be ended from here.
    let is_waited_for = |run: &Run| match &run.standing {
        Standing::Live(worker) => worker.in_reach || !matches!(seen.ending, Ending::Now(_)),
        _ => false,
    };
    let opens_later = matches!(seen.gate, Gate::NotYet(_)) && !decision.waiting.is_empty();
    decision.done = !seen.runs.iter().any(is_waited_for)
        && decision.actions.is_empty()
        && !(opens_later && seen.ending.is_open());
    decision
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

/// One slot a GPU, or one on the processor; `wanted` slots go round the GPUs. The processor's
/// threads are divided evenly.
pub fn slots(wanted: Option<u32>, gpus: usize, cpus: usize) -> Vec<Slot> {
    let count = wanted.map_or(gpus, |wanted| wanted as usize).max(1);
    let threads = u32::try_from(cpus / count).unwrap_or(1).max(1);
    (0..count).map(|slot| Slot { gpu: (gpus > 0).then(|| slot % gpus), threads }).collect()
}

/// Whether a run on this device may take this slot.
pub fn fits(wish: &Wish, slot: &Slot, gpus: &[String]) -> bool {
    match wish {
        Wish::Cpu => true,
        Wish::AnyGpu => slot.gpu.is_some(),
        Wish::Gpu(position) => slot.gpu == Some(*position),
        Wish::Model(name) => slot.gpu.and_then(|gpu| gpus.get(gpu)) == Some(name),
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
fn hindrance(run: &Run, seen: &Observation, live: &[&str]) -> Option<String> {
    if !seen.ending.is_open() {
        return Some("for the next overnight run".into());
    }
    if let Gate::NotYet(reason) | Gate::Shut(reason) = &seen.gate {
        return Some(reason.clone());
    }
    if let Some(reason) = &run.held {
        return Some(format!("held: {reason}"));
    }
    if let (Some(seconds), Some(left)) = (run.seconds, seen.seconds_left)
        && seconds > left
    {
        return Some("it would not end in time".into());
    }
    if run.fruitless > run.retries {
        let (experiment, name) = (&run.experiment, &run.name);
        return Some(format!(
            "held: it ended {} times without a new checkpoint (see: overnight logs {experiment}/{name})",
            run.fruitless
        ));
    }
    if !seen.slots.iter().any(|slot| fits(&run.wish, slot, seen.gpus)) {
        return Some(missing(&run.wish));
    }
    if let Some(need) = run.needs.iter().find(|need| !is_met(need, run, seen.runs)) {
        return Some(format!("after {need}"));
    }
    let at_once = live.iter().filter(|experiment| **experiment == run.experiment).count();
    match run.limit {
        Some(limit) if at_once >= limit as usize => {
            Some(format!("{limit} runs of {} at once", run.experiment))
        }
        _ => None,
    }
}

fn is_met(need: &str, run: &Run, runs: &[Run]) -> bool {
    let named = |other: &&Run| {
        other.experiment == need
            || format!("{}/{}", other.experiment, other.name) == need
            || (other.experiment == run.experiment && other.name == need)
    };
    // A need outside of this batch's view is not our business: whoever queued it checked it.
    runs.iter().filter(named).all(|other| other.standing == Standing::Finished)
}

fn free_slot(wish: &Wish, seen: &Observation, taken: &[bool]) -> Option<usize> {
    (0..seen.slots.len()).find(|&slot| !taken[slot] && fits(wish, &seen.slots[slot], seen.gpus))
}

fn waiting_for(wish: &Wish) -> String {
    match wish {
        Wish::Cpu => "for a free slot".into(),
        Wish::AnyGpu => "for a free GPU".into(),
        Wish::Gpu(position) => format!("for GPU {position}"),
        Wish::Model(name) => format!("for a free {name}"),
    }
}

fn missing(wish: &Wish) -> String {
    match wish {
        // Every slot fits a run on the processor.
        Wish::Cpu => "for a free slot".into(),
        Wish::AnyGpu => "held: it needs a GPU and none can be used (see: overnight doctor)".into(),
        Wish::Gpu(position) => {
            format!("held: it needs GPU {position}, which has no slot here (see: overnight doctor)")
        }
        Wish::Model(name) => format!(
            "held: it began on a {name} and none can be used; on another device it would end at other bits"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::interrupt::Interrupt;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn run(name: &str, standing: Standing) -> Run {
        Run {
            experiment: "x".into(),
            name: name.into(),
            wish: Wish::Cpu,
            standing,
            needs: Vec::new(),
            limit: None,
            fruitless: 0,
            retries: 3,
            hang: Some(Duration::from_secs(1800)),
            held: None,
            seconds: None,
        }
    }

    fn live(slot: usize) -> Live {
        Live {
            slot: Some(slot),
            in_reach: true,
            end_wanted: false,
            asked: None,
            quiet: Duration::ZERO,
            silent: Duration::ZERO,
        }
    }

    fn decided(runs: &[Run], slots: &[Slot], ending: Ending) -> Decision {
        let gpus = ["A100".to_string(), "H100".to_string()];
        let gpus = if slots.iter().any(|slot| slot.gpu.is_some()) { &gpus[..] } else { &[] };
        decide(&Observation {
            runs,
            slots,
            gpus,
            ending,
            patience: PATIENCE,
            gate: Gate::Open,
            seconds_left: None,
        })
    }

    fn cpu(count: usize) -> Vec<Slot> {
        slots(Some(count as u32), 0, 4)
    }

    #[test]
    fn waiting_runs_fill_the_free_slots_in_order() {
        let runs = [
            run("a", Standing::Live(live(0))),
            run("b", Standing::Left),
            run("c", Standing::Waiting),
            run("d", Standing::Waiting),
        ];
        let decision = decided(&runs, &cpu(2), Ending::Open);
        assert_eq!(decision.actions, [Action::Start { run: 2, slot: 1 }]);
        assert_eq!(decision.waiting, [(3, "for a free slot".to_string())]);
        assert!(!decision.done);
    }

    #[test]
    fn a_batch_is_done_when_nothing_lives_and_nothing_can_begin() {
        assert!(decided(&[], &cpu(1), Ending::Open).done);
        assert!(decided(&[run("a", Standing::Finished)], &cpu(1), Ending::Open).done);
        assert!(!decided(&[run("a", Standing::Live(live(0)))], &cpu(1), Ending::Asked).done);
        assert!(decided(&[run("a", Standing::Waiting)], &cpu(1), Ending::Asked).done);
        let lost = decided(&[run("a", Standing::Lost)], &cpu(1), Ending::Open);
        assert_eq!(lost.actions, [Action::Close { run: 0 }]);
        assert!(!lost.done, "once its end is written, it waits again");
    }

    #[test]
    fn asking_comes_once_and_killing_only_without_steps() {
        let stand = |asked: Option<u64>, quiet: u64| {
            let mut worker = live(0);
            worker.asked = asked.map(Duration::from_secs);
            worker.quiet = Duration::from_secs(quiet);
            decided(&[run("a", Standing::Live(worker))], &cpu(1), Ending::Asked).actions
        };
        assert_eq!(stand(None, 0), [Action::AskToEnd { run: 0 }]);
        assert_eq!(stand(Some(59), 100), []);
        assert_eq!(stand(Some(100), 10), [], "it still takes steps: let it write its checkpoint");
        assert_eq!(stand(Some(60), 60), [Action::Kill { run: 0, cause: Cause::Deaf }]);
    }

    #[test]
    fn a_second_signal_kills_at_once() {
        let runs = [run("a", Standing::Live(live(0))), run("b", Standing::Waiting)];
        let decision = decided(&runs, &cpu(2), Ending::Now(Interrupt::Int));
        assert_eq!(decision.actions, [Action::Kill { run: 0, cause: Cause::EndingNow }]);
        assert!(!decision.done);
    }

    #[test]
    fn a_worker_out_of_reach_is_waited_for_until_the_second_signal() {
        let runs = [run("a", Standing::Live(Live { in_reach: false, ..live(0) }))];
        let decision = |ending| decided(&runs, &cpu(1), ending);
        assert!(!decision(Ending::Asked).done);
        let last = decision(Ending::Now(Interrupt::Int));
        assert_eq!((last.actions, last.done), (vec![], true));
    }

    #[test]
    fn a_request_ends_one_run_and_the_others_go_on() {
        let mut stopped = live(0);
        stopped.end_wanted = true;
        let runs = [run("a", Standing::Live(stopped)), run("b", Standing::Live(live(1)))];
        let decision = decided(&runs, &cpu(2), Ending::Open);
        assert_eq!(decision.actions, [Action::AskToEnd { run: 0 }]);
    }

    #[test]
    fn a_run_that_never_gets_further_is_held() {
        let mut stuck = run("a", Standing::Waiting);
        stuck.fruitless = 4;
        let decision = decided(&[stuck], &cpu(1), Ending::Open);
        assert!(decision.done);
        assert!(decision.waiting[0].1.starts_with("held: it ended 4 times"), "{decision:?}");
    }

    #[test]
    fn runs_wait_for_the_gpu_they_need_and_others_pass() {
        let slots = slots(None, 2, 8);
        assert_eq!(slots.len(), 2);
        assert_eq!(slots[0].threads, 4);
        let mut runs = [
            run("a", Standing::Live(live(1))),
            run("b", Standing::Waiting),
            run("c", Standing::Waiting),
            run("d", Standing::Waiting),
        ];
        runs[1].wish = Wish::Model("H100".into());
        runs[2].wish = Wish::Gpu(7);
        runs[3].wish = Wish::AnyGpu;
        let decision = decided(&runs, &slots, Ending::Open);
        assert_eq!(decision.actions, [Action::Start { run: 3, slot: 0 }]);
        assert_eq!(decision.waiting[0].1, "for a free H100");
        assert!(decision.waiting[1].1.starts_with("held: it needs GPU 7"));
    }

    #[test]
    fn needs_and_limits_hold_a_run_back() {
        let mut second = run("b", Standing::Waiting);
        second.needs = vec!["a".into()];
        let mut runs = [run("a", Standing::Live(live(0))), second];
        let decision = decided(&runs, &cpu(2), Ending::Open);
        assert_eq!(decision.waiting, [(1, "after a".to_string())]);
        runs[0].standing = Standing::Finished;
        let decision = decided(&runs, &cpu(2), Ending::Open);
        assert_eq!(decision.actions, [Action::Start { run: 1, slot: 0 }]);

        let mut runs = [run("a", Standing::Waiting), run("b", Standing::Waiting)];
        runs[1].limit = Some(1);
        let decision = decided(&runs, &cpu(2), Ending::Open);
        assert_eq!(decision.actions, [Action::Start { run: 0, slot: 0 }]);
        assert_eq!(decision.waiting, [(1, "1 runs of x at once".to_string())]);
    }

    #[test]
    fn the_device_is_that_of_the_attempt_before() {
        assert_eq!(wish("auto", None, 0), Wish::Cpu);
        assert_eq!(wish("auto", None, 2), Wish::AnyGpu);
        assert_eq!(wish("cuda", None, 0), Wish::AnyGpu, "asked for by name: held, never moved");
        assert_eq!(wish("cuda:1", None, 2), Wish::Gpu(1));
        assert_eq!(wish("cpu", None, 2), Wish::Cpu);
    }

    #[test]
    fn threads_are_divided_and_never_none() {
        assert_eq!(slots(Some(3), 0, 8).iter().map(|slot| slot.threads).collect::<Vec<_>>(), [2; 3]);
        assert_eq!(slots(Some(8), 0, 2)[7].threads, 1);
        assert_eq!(slots(None, 0, 2), [Slot { gpu: None, threads: 2 }]);
        let shared: Vec<_> = slots(Some(3), 2, 6).iter().map(|slot| slot.gpu).collect();
        assert_eq!(shared, [Some(0), Some(1), Some(0)]);
    }

    #[test]
    fn a_worker_without_a_sign_of_life_is_killed_and_one_that_evaluates_is_not() {
        let hang = Duration::from_secs(1800);
        let standing = |silent| Standing::Live(Live { quiet: 2 * hang, silent, ..live(0) });
        let actions = |silent| decided(&[run("a", standing(silent))], &cpu(1), Ending::Open).actions;
        assert_eq!(actions(Duration::from_secs(60)), []);
        assert_eq!(actions(hang), [Action::Kill { run: 0, cause: Cause::Hung }]);
        let never = Run { hang: None, ..run("a", standing(2 * hang)) };
        assert_eq!(decided(&[never], &cpu(1), Ending::Open).actions, []);
    }

    #[test]
    fn a_gate_holds_back_what_is_new_and_decides_whether_the_batch_ends() {
        let runs = [run("a", Standing::Waiting)];
        let slots = cpu(1);
        let with = |gate| {
            let seen = Observation {
                runs: &runs,
                slots: &slots,
                gpus: &[],
                ending: Ending::Open,
                patience: PATIENCE,
                gate,
                seconds_left: None,
            };
            decide(&seen)
        };
        let later = with(Gate::NotYet("until 23:00".into()));
        assert_eq!((later.waiting, later.done), (vec![(0, "until 23:00".to_owned())], false));
        let shut = with(Gate::Shut("the batch ends after its current runs".into()));
        assert_eq!((shut.actions, shut.done), (vec![], true));
    }

    #[test]
    fn a_run_that_would_not_end_in_time_or_is_held_does_not_start() {
        let slots = cpu(1);
        let decision = |run: Run| {
            let runs = [run];
            decide(&Observation {
                runs: &runs,
                slots: &slots,
                gpus: &[],
                ending: Ending::Open,
                patience: PATIENCE,
                gate: Gate::Open,
                seconds_left: Some(600.0),
            })
        };
        let reason = |run| decision(run).waiting.first().map(|(_, reason)| reason.clone());
        let waiting = || run("a", Standing::Waiting);
        assert_eq!(
            reason(Run { seconds: Some(601.0), ..waiting() }).as_deref(),
            Some("it would not end in time")
        );
        assert_eq!(reason(Run { seconds: Some(599.0), ..waiting() }), None);
        assert_eq!(reason(waiting()), None, "what nobody knows is tried");
        let held = Run { held: Some("data.txt has changed".into()), ..waiting() };
        assert_eq!(reason(held).as_deref(), Some("held: data.txt has changed"));
    }
}
