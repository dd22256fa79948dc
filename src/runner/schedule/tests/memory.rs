//! Decisions by what GPUs have free.

use super::*;

const GIB: u64 = 1 << 30;

fn takes(name: &str, gib: u64) -> Run {
    Run {
        wish: Wish::AnyGpu,
        need: Need::Known { bytes: gib * GIB, source: Source::LastTime },
        ..run(name, Standing::Waiting)
    }
}

/// Of 24 GiB; `ours` is what a run of ours holds there, at its peak.
fn gpu(free: u64, ours: Option<u64>) -> GpuMemory {
    let tenant = |of| Tenant { name: "x/a".into(), need: Some(of * GIB), used: Some(of * GIB) };
    GpuMemory {
        total: 24 * GIB,
        free: free * GIB,
        tenants: ours.map(tenant).into_iter().collect(),
        ..GpuMemory::default()
    }
}

/// Up to four runs on each of these.
fn decided_on(runs: &[Run], gpus: Vec<GpuMemory>) -> Decision {
    let slots = slots(None, gpus.len(), 8, 4);
    let names = vec!["A100".to_owned(); gpus.len()];
    let vacancies = Vacancies { gpus: gpus.into_iter().map(Some).collect(), ..Vacancies::default() };
    decide(&Observation { gpus: &names, vacancies: &vacancies, ..observation(runs, &slots) })
}

#[test]
fn several_runs_are_placed_on_a_gpu_one_after_the_other_by_what_is_left() {
    let with = |runs: &[Run], free: u64| decided_on(runs, vec![gpu(free, None)]);
    let runs = [takes("a", 10), takes("b", 10), takes("c", 10), takes("d", 2)];
    let decision = with(&runs, 24);
    let start = |run, slot| Action::Start { run, slot };
    assert_eq!(decision.actions, [start(0, 0), start(1, 1), start(3, 2)], "a smaller one passes");
    let left =
        "GPU 0 has 4.0 GiB free beside the 20.0 GiB promised to its runs, this run took 10.0 GiB last time";
    assert_eq!(decision.waiting, [(2, waits(left))]);
    let full = with(&runs[..1], 3);
    assert_eq!((full.actions.len(), full.done), (0, false), "other people's memory is waited for");
    let unknown = |name: &str| Run { wish: Wish::AnyGpu, ..run(name, Standing::Waiting) };
    let decision = with(&[unknown("a"), unknown("b")], 24);
    assert_eq!(decision.actions, [Action::Probe { run: 0, gpu: 0 }]);
    assert_eq!(decision.waiting, [(1, waits("GPU 0: a probe finds out what x/a takes"))]);
    assert_eq!(with(&[unknown("a")], 24).actions, [start(0, 0)], "alone it needs no probe");
}

#[test]
fn a_run_that_is_prepared_has_its_memory_promised_like_one_that_lives() {
    let prepared = |slot| Run { standing: preparing(slot), ..takes("a", 20) };
    let beside = |slot| decided_on(&[prepared(slot), takes("b", 10)], vec![gpu(24, None)]);
    let held = beside(Some(0));
    assert_eq!(held.actions, [], "both together are too large");
    let left =
        "GPU 0 has 4.0 GiB free beside the 20.0 GiB promised to its runs, this run took 10.0 GiB last time";
    assert_eq!(held.waiting[1], (1, waits(left)));
    assert_eq!(beside(None).actions.len(), 1, "one whose data do not answer keeps nothing");
    let on_processor = Run { wish: Wish::Cpu, ..prepared(Some(4)) };
    assert_eq!(decided_on(&[on_processor, takes("b", 10)], vec![gpu(24, None)]).actions.len(), 1);
}

#[test]
fn a_run_that_may_be_too_large_waits_for_a_gpu_of_ours_and_not_for_other_people() {
    let large = Run { need: Need::MoreThan(18 * GIB), ..takes("large", 0) };
    // Others hold six of the first.
    let placed = |second| decided_on(std::slice::from_ref(&large), vec![gpu(18, None), second]).actions;
    let start = |slot| vec![Action::Start { run: 0, slot }];
    assert_eq!(placed(gpu(24, None)), start(1), "a whole one is free");
    assert_eq!(placed(gpu(20, Some(4))), [], "one becomes free when ours ends");
    assert_eq!(placed(gpu(2, None)), start(0), "others hold part of both");
}

#[test]
fn a_gpu_is_kept_for_a_large_run_that_was_passed_often_enough_where_only_ours_are_in_its_way() {
    let decided = |large: u64, runs, free: u64| {
        let passed = Passed { runs, since: Duration::ZERO };
        let large = Run { passed, ..takes("large", large) };
        decided_on(&[large, takes("small", 5)], vec![gpu(free, Some(6))])
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

#[test]
fn a_run_too_large_for_one_gpu_waits_for_a_slot_of_another_and_is_held_where_none_is_large_enough() {
    let live_on = |slot| Run { standing: Standing::Live(live(slot)), ..takes(&format!("r{slot}"), 1) };
    // All slots of the second GPU, which is twice as large.
    let runs = [live_on(1), live_on(3), live_on(5), live_on(7), takes("large", 30)];
    let large = GpuMemory { total: 48 * GIB, ..gpu(40, None) };
    let decision = decided_on(&runs, vec![gpu(24, None), large]);
    assert!(matches!(decision.waiting[..], [(4, Reason::Waits(_))]), "{:?}", decision.waiting);
    let decision = decided_on(&[takes("large", 30)], vec![gpu(24, None), gpu(24, None)]);
    assert!(matches!(decision.waiting[..], [(0, Reason::Held(_))]), "{:?}", decision.waiting);
}

#[test]
fn of_runs_of_which_nobody_knows_what_they_take_one_at_a_time_is_probed() {
    let unknown = |name: &str| Run { wish: Wish::AnyGpu, ..run(name, Standing::Waiting) };
    let runs = ["a", "b", "c"].map(unknown);
    let decision = decided_on(&runs, vec![gpu(24, None), gpu(24, None)]);
    assert_eq!(decision.actions, [Action::Probe { run: 0, gpu: 0 }]);
    assert_eq!(decision.waiting.len(), 2, "{:?}", decision.waiting);
}
