mod memory;

use std::sync::LazyLock;

use super::*;
use crate::runner::admission::{GpuMemory, Probing, Source, Tenant};
use crate::runner::division::Processor;
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
        need: Need::Unknown(Probing::Possible),
        threads: Threads::Open,
        passed: Passed::default(),
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
    decide(&Observation { gpus, ending, ..observation(runs, slots) })
}

/// Nothing hinders anything, and of devices nothing is known.
fn observation<'a>(runs: &'a [Run], slots: &'a [Slot]) -> Observation<'a> {
    static NOTHING_KNOWN: LazyLock<Vacancies> = LazyLock::new(Vacancies::default);
    Observation {
        runs,
        slots,
        gpus: &[],
        gpu_states: &[],
        ending: Ending::Open,
        patience: PATIENCE,
        gate: Gate::Open,
        deadline: None,
        vacancies: &NOTHING_KNOWN,
        others: &[],
    }
}

fn preparing(slot: Option<usize>) -> Standing {
    Standing::Preparing(Preparing { slot, unanswered: None })
}

fn waits(reason: &str) -> Reason {
    Reason::Waits(reason.to_owned())
}

fn cpu(count: usize) -> Vec<Slot> {
    slots(Some(count as u32), 0, 4, 4)
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
    assert_eq!(decision.waiting, [(3, waits("for a free slot"))]);
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
    assert!(decision.waiting[0].1.to_string().starts_with("held: it ended 4 times"), "{decision:?}");
}

#[test]
fn runs_wait_for_the_gpu_they_need_and_others_pass() {
    let slots = slots(None, 2, 8, 1);
    assert_eq!(slots.len(), 3, "one on the processor");
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
    assert_eq!(decision.waiting[0].1, waits("for a free H100"));
    assert!(decision.waiting[1].1.to_string().starts_with("held: it needs GPU 7"));
}

#[test]
fn needs_and_limits_hold_a_run_back() {
    let mut second = run("b", Standing::Waiting);
    second.needs = vec!["a".into()];
    let mut runs = [run("a", Standing::Live(live(0))), second];
    let decision = decided(&runs, &cpu(2), Ending::Open);
    assert_eq!(decision.waiting, [(1, waits("after a"))]);
    runs[0].standing = Standing::Finished;
    let decision = decided(&runs, &cpu(2), Ending::Open);
    assert_eq!(decision.actions, [Action::Start { run: 1, slot: 0 }]);

    let mut runs = [run("a", Standing::Waiting), run("b", Standing::Waiting)];
    runs[1].limit = Some(1);
    let decision = decided(&runs, &cpu(2), Ending::Open);
    assert_eq!(decision.actions, [Action::Start { run: 0, slot: 0 }]);
    assert_eq!(decision.waiting, [(1, waits("1 run of x at once"))]);
}

#[test]
fn a_need_outside_of_the_batch_counts_as_what_it_is() {
    let mut needy = run("b", Standing::Waiting);
    needy.needs = vec!["y".into()];
    let runs = [needy];
    let other = |name: &str, is_finished| Other { experiment: "y".into(), name: name.into(), is_finished };
    let decided = |others: &[Other]| decide(&Observation { others, ..observation(&runs, &cpu(1)) });
    assert_eq!(decided(&[other("s1", true), other("s2", false)]).waiting, [(0, waits("after y"))]);
    let both = decided(&[other("s1", true), other("s2", true)]);
    assert_eq!(both.actions, [Action::Start { run: 0, slot: 0 }]);
    let nothing = decided(&[]);
    assert_eq!(nothing.actions, []);
    assert!(nothing.waiting[0].1.to_string().contains("there is no such run"), "{nothing:?}");
}

#[test]
fn what_its_files_hold_waits_for_a_person_and_keeps_no_batch_open() {
    let decision = decided(&[run("a", Standing::Held("asleep".into()))], &cpu(1), Ending::Open);
    assert_eq!(decision.waiting, [(0, Reason::Held("asleep".into()))]);
    assert!(decision.done);
    let decision = decided(&[run("a", Standing::PutOff)], &cpu(1), Ending::Open);
    assert!(!decision.done && decision.actions.is_empty());
    assert!(decided(&[run("a", Standing::PutOff)], &cpu(1), Ending::Asked).done);
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
    assert_eq!(slots(Some(3), 0, 8, 1).iter().map(|slot| slot.threads).collect::<Vec<_>>(), [2; 3]);
    assert_eq!(slots(Some(8), 0, 2, 1)[7].threads, 1);
    assert_eq!(slots(None, 0, 2, 4), [Slot { gpu: None, threads: 2 }]);
    let on = |slots: Vec<Slot>| slots.iter().map(|slot| (slot.gpu, slot.threads)).collect::<Vec<_>>();
    assert_eq!(on(slots(Some(3), 2, 6, 1)), [(Some(0), 2), (Some(1), 2), (Some(0), 2)]);
    let shared = [(Some(0), 2), (Some(1), 2), (Some(0), 2), (Some(1), 2), (None, 6)];
    assert_eq!(on(slots(None, 2, 8, 2)), shared);
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
        let seen = Observation { gate, ..observation(&runs, &slots) };
        decide(&seen)
    };
    let later = with(Gate::NotYet("until 23:00".into()));
    assert_eq!((later.waiting, later.done), (vec![(0, waits("until 23:00"))], false));
    let shut = with(Gate::Shut("the batch ends after its current runs".into()));
    assert_eq!((shut.actions, shut.done), (vec![], true));
}

#[test]
fn a_run_that_would_not_end_in_time_or_is_held_does_not_start() {
    let slots = cpu(1);
    let decision = |run: Run, seconds_left: f64| {
        let runs = [run];
        decide(&Observation {
            deadline: Some(Deadline { seconds_left, clock: "07:00".to_owned() }),
            ..observation(&runs, &slots)
        })
    };
    let reason = |run, left| decision(run, left).waiting.first().map(|(_, reason)| reason.to_string());
    let waiting = || run("a", Standing::Waiting);
    assert_eq!(
        reason(Run { seconds: Some(660.0), ..waiting() }, 600.0).as_deref(),
        Some("it would not end by 07:00: it takes about 11 min")
    );
    assert_eq!(reason(Run { seconds: Some(599.0), ..waiting() }, 600.0), None);
    assert_eq!(reason(waiting(), 600.0), None, "what nobody knows is tried");
    assert_eq!(reason(waiting(), -1.0).as_deref(), Some("nothing more is started, it is past 07:00"));
    let held = Run { held: Some("data.txt has changed".into()), ..waiting() };
    assert_eq!(reason(held, 600.0).as_deref(), Some("held: data.txt has changed"));
}

#[test]
fn runs_wait_for_a_lost_gpu_and_others_go_on() {
    let gpus = ["H100".to_owned(), "H100".to_owned()];
    let slots = slots(Some(2), 2, 4, 1);
    let on = |wish| Run { wish, ..run("a", Standing::Waiting) };
    let runs = [on(Wish::Gpu(1)), on(Wish::AnyGpu), on(Wish::Model("H100".to_owned())), on(Wish::Cpu)];
    let decide_with = |states: &[GpuState]| {
        decide(&Observation { gpus: &gpus, gpu_states: states, ..observation(&runs, &slots) })
    };
    let words = "GPU 1 was lost (XID 79: it has fallen off the bus); reset it or reboot";
    let lost = decide_with(&[GpuState::Fine, GpuState::Lost(words.to_owned())]);
    assert_eq!(lost.actions, [Action::Start { run: 1, slot: 0 }, Action::Start { run: 3, slot: 1 }]);
    assert_eq!(lost.waiting[0], (0, Reason::Held(words.to_owned())));
    assert_eq!(lost.waiting[1], (2, waits("for a free H100")), "the other one will do");
    let unsure = decide_with(&[GpuState::Fine, GpuState::Unsure]);
    assert_eq!(unsure.waiting[0], (0, waits("for GPU 1")));
    let alone = decide(&Observation {
        gpus: &gpus,
        gpu_states: &[GpuState::Fine, GpuState::Unsure],
        ..observation(&runs[..1], &slots)
    });
    assert_eq!((alone.actions.len(), alone.done), (0, false), "it is asked how it is first");
}

#[test]
fn runs_on_the_processor_wait_until_it_is_divided_and_never_take_more_threads_than_cores() {
    let with = |runs: &[Run], slots: &[Slot], processor| {
        let vacancies = Vacancies { processor, cores: Some(4), ..Vacancies::default() };
        decide(&Observation { vacancies: &vacancies, ..observation(runs, slots) })
    };
    let begun =
        |name: &str, threads| Run { threads: Threads::Begun(threads), ..run(name, Standing::Waiting) };
    let fresh = |name: &str| run(name, Standing::Waiting);
    let whole = slots(None, 0, 4, 1);

    let several = [begun("a", 4), fresh("b"), fresh("c")];
    let open = with(&several, &whole, Processor::Open);
    assert_eq!(open.actions, [Action::Divide { run: 1, runs: 2 }], "by one that has not begun");
    let alone = with(&several[1..2], &whole, Processor::Open);
    assert_eq!(alone.actions, [Action::Start { run: 0, slot: 0 }], "nothing to divide among");
    let limited = [Run { limit: Some(1), ..fresh("b") }, Run { limit: Some(1), ..fresh("c") }];
    assert_eq!(with(&limited, &whole, Processor::Open).actions, [Action::Start { run: 0, slot: 0 }]);
    let measuring = with(&several, &whole, Processor::Measuring);
    assert_eq!((measuring.actions.len(), measuring.waiting.len(), measuring.done), (0, 3, false));

    let halves = [Slot { gpu: None, threads: 2 }, Slot { gpu: None, threads: 2 }];
    let settled = with(&several, &halves, Processor::Settled);
    assert_eq!(settled.actions, [Action::Start { run: 0, slot: 0 }], "it has all four cores");
    let both = with(&several[1..], &halves, Processor::Settled);
    assert_eq!(both.actions, [Action::Start { run: 0, slot: 0 }, Action::Start { run: 1, slot: 1 }]);
}

#[test]
fn a_run_that_is_prepared_keeps_its_slot_and_holds_up_nobody_else() {
    let runs = [run("a", preparing(Some(0))), run("b", Standing::Waiting), run("c", Standing::Waiting)];
    let decision = decided(&runs, &cpu(2), Ending::Open);
    assert_eq!(decision.actions, [Action::Start { run: 1, slot: 1 }]);
    assert_eq!(decision.waiting[0], (0, waits("until its data and weights are looked at")));
    assert!(!decided(&runs[..1], &cpu(1), Ending::Open).done, "it starts in a moment");
    assert!(decided(&runs[..1], &cpu(1), Ending::Asked).done, "nobody waits for that at the end");
    let mut limited = runs.clone();
    limited[1].limit = Some(1);
    assert!(decided(&limited[..2], &cpu(2), Ending::Open).actions.is_empty(), "it counts to the limit");
}

#[test]
fn a_run_whose_data_do_not_answer_is_named_and_gives_its_place_and_its_number_to_others() {
    let why = "its data have not answered for 2 min: /mnt/a.txt";
    let unanswered = Standing::Preparing(Preparing { slot: None, unanswered: Some(why.to_owned()) });
    let next = Run { limit: Some(1), ..run("b", Standing::Waiting) };
    let runs = [run("a", unanswered), next];
    let decision = decided(&runs, &cpu(1), Ending::Open);
    assert_eq!(decision.actions, [Action::Start { run: 1, slot: 0 }]);
    assert_eq!(decision.waiting, [(0, waits(why))]);
    let alone = |gate, deadline| {
        let slots = cpu(1);
        decide(&Observation { gate, deadline, ..observation(&runs[..1], &slots) }).done
    };
    assert!(!alone(Gate::Open, None), "they may answer");
    assert!(alone(Gate::Shut("the batch ends".to_owned()), None), "it would not be started any more");
    let late = Deadline { seconds_left: 0.0, clock: "07:00".to_owned() };
    assert!(alone(Gate::Open, Some(late)), "nor after the time that was given");
}
