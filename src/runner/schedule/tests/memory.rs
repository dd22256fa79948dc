//! Decisions by what GPUs have free.

use super::*;

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
