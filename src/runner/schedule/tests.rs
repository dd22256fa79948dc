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
    decide(&Observation {
        runs,
        slots,
        gpus,
        gpu_states: &[],
        ending,
        patience: PATIENCE,
        gate: Gate::Open,
        deadline: None,
        vacancies: &Vacancies::default(),
        others: &[],
    })
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
    let decided = |others: &[Other]| {
        let seen = Observation {
            runs: &runs,
            slots: &cpu(1),
            gpus: &[],
            gpu_states: &[],
            ending: Ending::Open,
            patience: PATIENCE,
            gate: Gate::Open,
            deadline: None,
            others,
            vacancies: &Vacancies::default(),
        };
        decide(&seen)
    };
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
        let seen = Observation {
            runs: &runs,
            slots: &slots,
            gpus: &[],
            gpu_states: &[],
            ending: Ending::Open,
            patience: PATIENCE,
            gate,
            deadline: None,
            vacancies: &Vacancies::default(),
            others: &[],
        };
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
            runs: &runs,
            slots: &slots,
            gpus: &[],
            gpu_states: &[],
            ending: Ending::Open,
            patience: PATIENCE,
            gate: Gate::Open,
            deadline: Some(Deadline { seconds_left, clock: "07:00".to_owned() }),
            vacancies: &Vacancies::default(),
            others: &[],
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
        decide(&Observation {
            runs: &runs,
            others: &[],
            slots: &slots,
            gpus: &gpus,
            gpu_states: states,
            vacancies: &Vacancies::default(),
            ending: Ending::Open,
            patience: PATIENCE,
            gate: Gate::Open,
            deadline: None,
        })
    };
    let words = "GPU 1 was lost (XID 79: it has fallen off the bus); reset it or reboot";
    let lost = decide_with(&[GpuState::Fine, GpuState::Lost(words.to_owned())]);
    assert_eq!(lost.actions, [Action::Start { run: 1, slot: 0 }, Action::Start { run: 3, slot: 1 }]);
    assert_eq!(lost.waiting[0], (0, Reason::Held(words.to_owned())));
    assert_eq!(lost.waiting[1], (2, waits("for a free H100")), "the other one will do");
    let unsure = decide_with(&[GpuState::Fine, GpuState::Unsure]);
    assert_eq!(unsure.waiting[0], (0, waits("for GPU 1")));
    let alone = decide(&Observation {
        runs: &runs[..1],
        others: &[],
        slots: &slots,
        gpus: &gpus,
        gpu_states: &[GpuState::Fine, GpuState::Unsure],
        vacancies: &Vacancies::default(),
        ending: Ending::Open,
        patience: PATIENCE,
        gate: Gate::Open,
        deadline: None,
    });
    assert_eq!((alone.actions.len(), alone.done), (0, false), "it is asked how it is first");
}

#[test]
fn runs_on_the_processor_wait_until_it_is_divided_and_never_take_more_threads_than_cores() {
    let with = |runs: &[Run], slots: &[Slot], processor| {
        let vacancies = Vacancies { processor, cores: Some(4), ..Vacancies::default() };
        decide(&Observation {
            runs,
            slots,
            gpus: &[],
            gpu_states: &[],
            ending: Ending::Open,
            patience: PATIENCE,
            gate: Gate::Open,
            deadline: None,
            vacancies: &vacancies,
            others: &[],
        })
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
fn several_runs_are_placed_on_a_gpu_one_after_the_other_by_what_is_left() {
    const GIB: u64 = 1 << 30;
    let known = |name: &str, gib: u64| Run {
        wish: Wish::AnyGpu,
        need: Need::Known { bytes: gib * GIB, source: Source::LastTime },
        ..run(name, Standing::Waiting)
    };
    let with = |runs: &[Run], free: u64| {
        let gpu = GpuMemory { total: 24 * GIB, free: free * GIB, ..GpuMemory::default() };
        let vacancies = Vacancies { gpus: vec![Some(gpu)], ..Vacancies::default() };
        decide(&Observation {
            runs,
            slots: &slots(None, 1, 8, 4),
            gpus: &["A100".to_owned()],
            gpu_states: &[],
            ending: Ending::Open,
            patience: PATIENCE,
            gate: Gate::Open,
            deadline: None,
            vacancies: &vacancies,
            others: &[],
        })
    };
    let runs = [known("a", 10), known("b", 10), known("c", 10), known("d", 2)];
    let decision = with(&runs, 24);
    let start = |run, slot| Action::Start { run, slot };
    assert_eq!(decision.actions, [start(0, 0), start(1, 1), start(3, 2)], "a smaller one passes");
    assert_eq!(
        decision.waiting,
        [(
            2,
            waits(
                "GPU 0 has 4.0 GiB free beside the 20.0 GiB promised to its runs, this run took 10.0 GiB last time"
            )
        )]
    );
    let full = with(&runs[..1], 3);
    assert_eq!((full.actions.len(), full.done), (0, false), "other people's memory is waited for");
    let unknown = |name: &str| Run { wish: Wish::AnyGpu, ..run(name, Standing::Waiting) };
    let decision = with(&[unknown("a"), unknown("b")], 24);
    assert_eq!(decision.actions, [Action::Probe { run: 0, gpu: 0 }]);
    assert_eq!(decision.waiting, [(1, waits("GPU 0: a probe finds out what x/a takes"))]);
    assert_eq!(with(&[unknown("a")], 24).actions, [start(0, 0)], "alone it needs no probe");
}

#[test]
fn a_run_that_may_be_too_large_waits_for_a_gpu_of_ours_and_not_for_other_people() {
    const GIB: u64 = 1 << 30;
    let large = Run { wish: Wish::AnyGpu, need: Need::MoreThan(18 * GIB), ..run("large", Standing::Waiting) };
    let gpu = |free: u64, ours: Option<u64>| GpuMemory {
        total: 24 * GIB,
        free: free * GIB,
        tenants: ours
            .map(|of| Tenant { name: "x/a".into(), need: Some(of * GIB), used: Some(of * GIB) })
            .into_iter()
            .collect(),
        ..GpuMemory::default()
    };
    let placed = |second: GpuMemory| {
        // Others hold six of the first.
        let vacancies = Vacancies { gpus: vec![Some(gpu(18, None)), Some(second)], ..Vacancies::default() };
        decide(&Observation {
            runs: std::slice::from_ref(&large),
            slots: &slots(None, 2, 8, 4),
            gpus: &["A100".to_owned(), "A100".to_owned()],
            gpu_states: &[],
            ending: Ending::Open,
            patience: PATIENCE,
            gate: Gate::Open,
            deadline: None,
            vacancies: &vacancies,
            others: &[],
        })
        .actions
    };
    let start = |slot| vec![Action::Start { run: 0, slot }];
    assert_eq!(placed(gpu(24, None)), start(1), "a whole one is free");
    assert_eq!(placed(gpu(20, Some(4))), [], "one becomes free when ours ends");
    assert_eq!(placed(gpu(2, None)), start(0), "others hold part of both");
}

#[test]
fn a_gpu_is_kept_for_a_large_run_that_was_passed_often_enough_where_only_ours_are_in_its_way() {
    const GIB: u64 = 1 << 30;
    let needs = |name: &str, gib: u64, runs| Run {
        wish: Wish::AnyGpu,
        need: Need::Known { bytes: gib * GIB, source: Source::LastTime },
        passed: Passed { runs, since: Duration::ZERO },
        ..run(name, Standing::Waiting)
    };
    let decided = |large: u64, passed, free: u64| {
        let tenants = vec![Tenant { name: "x/a".into(), need: Some(6 * GIB), used: Some(6 * GIB) }];
        let gpu = GpuMemory { total: 24 * GIB, free: free * GIB, tenants, ..GpuMemory::default() };
        decide(&Observation {
            runs: &[needs("large", large, passed), needs("small", 5, 0)],
            slots: &slots(None, 1, 8, 4),
            gpus: &["A100".to_owned()],
            gpu_states: &[],
            ending: Ending::Open,
            patience: PATIENCE,
            gate: Gate::Open,
            deadline: None,
            vacancies: &Vacancies { gpus: vec![Some(gpu)], ..Vacancies::default() },
            others: &[],
        })
    };
    let passing = decided(20, 2, 18);
    assert_eq!(passing.actions, [Action::Start { run: 1, slot: 0 }]);
    assert_eq!(passing.passed, [(0, 1)]);
    let kept = decided(20, 3, 18);
    assert_eq!((kept.actions.len(), kept.passed.len(), kept.done), (0, 0, false));
    let own = "GPU 0 has 18.0 GiB free, this run took 20.0 GiB last time; GPU 0 is kept for it";
    let reason = "GPU 0 is kept for x/large, which 3 later runs have passed";
    assert_eq!(kept.waiting, [(0, waits(own)), (1, waits(reason))]);
    let crowded = decided(20, 3, 12);
    assert_eq!((crowded.actions.len(), crowded.passed.len()), (1, 0), "it waits for other people");
    assert_eq!(decided(17, 3, 18).actions.len(), 1, "it fits itself");
}
