use super::*;

const GIB: u64 = 1 << 30;

fn gpu(free: f64) -> GpuMemory {
    GpuMemory { total: 24 * GIB, free: gib(free), ..GpuMemory::default() }
}

fn gib(count: f64) -> u64 {
    (count * GIB as f64) as u64
}

fn tenant(need: Option<f64>, used: Option<f64>) -> Tenant {
    Tenant { name: "x/s1".into(), need: need.map(gib), used: used.map(gib) }
}

fn with(free: f64, tenants: &[Tenant]) -> GpuMemory {
    GpuMemory { tenants: tenants.to_vec(), ..gpu(free) }
}

fn last_time(bytes: f64) -> Need {
    Need::Known { bytes: gib(bytes), source: Source::LastTime }
}

fn verdict(need: Need, gpu: &GpuMemory) -> Verdict {
    admit(need, gpu, Rules::default(), true)
}

fn reason(need: Need, gpu: &GpuMemory) -> String {
    match verdict(need, gpu) {
        Verdict::Waits(reason) => reason,
        other => format!("{other:?}"),
    }
}

#[test]
fn a_run_starts_where_what_it_took_fits_beside_the_margin() {
    let shared = |free| with(free, &[tenant(Some(6.0), Some(6.0))]);
    assert_eq!(verdict(last_time(5.2), &shared(5.8)), Verdict::Fits);
    assert_eq!(
        reason(last_time(5.2), &shared(3.1)),
        "GPU 0 has 3.1 GiB free, this run took 5.2 GiB last time"
    );
    assert_eq!(
        reason(last_time(5.2), &shared(5.5)),
        "GPU 0 has 5.5 GiB free, this run took 5.2 GiB last time, and 512 MiB are to stay free"
    );
}

#[test]
fn each_source_of_a_need_is_told_apart() {
    let of = |source| reason(Need::Known { bytes: gib(5.0), source }, &gpu(3.0));
    assert_eq!(of(Source::Alike), "GPU 0 has 3.0 GiB free, a run of these settings took 5.0 GiB");
    assert_eq!(of(Source::File), "GPU 0 has 3.0 GiB free, this run takes 5.0 GiB, as its file says");
    assert_eq!(of(Source::Probe), "GPU 0 has 3.0 GiB free, a probe of this run took 5.0 GiB");
}

#[test]
fn memory_that_a_run_has_not_taken_yet_is_promised_to_it() {
    // 18 of 24 are free, but the run that lives will take 8 more than it does now.
    let growing = with(18.0, &[tenant(Some(10.0), Some(2.0))]);
    assert_eq!(growing.available(), 10 * GIB);
    assert_eq!(verdict(last_time(9.0), &growing), Verdict::Fits);
    assert_eq!(
        reason(last_time(12.0), &growing),
        "GPU 0 has 10.0 GiB free beside the 8.0 GiB promised to its runs, this run took 12.0 GiB last time"
    );
    let grown = with(10.0, &[tenant(Some(10.0), Some(11.0))]);
    assert_eq!(grown.promised(), 0, "more than was known is no debt of the others");
}

#[test]
fn processes_whose_numbers_say_nothing_are_followed_by_the_devices_growth() {
    let mut gpu = with(20.0, &[tenant(Some(6.0), None), tenant(Some(4.0), None)]);
    assert_eq!(gpu.promised(), 10 * GIB, "nothing has grown yet");
    gpu.grown = 7 * GIB;
    assert_eq!(gpu.promised(), 3 * GIB);
    gpu.grown = 12 * GIB;
    assert_eq!(gpu.promised(), 0);
}

#[test]
fn memory_not_yet_given_back_is_waited_for() {
    let returning = GpuMemory { returning: gib(2.0), ..gpu(12.0) };
    let words = "GPU 0: waiting for 2.0 GiB of ended runs to be given back";
    assert_eq!(reason(last_time(5.0), &returning), words);
    assert_eq!(reason(Need::Unknown(Probing::Possible), &returning), words);
    assert!(matches!(verdict(last_time(25.0), &returning), Verdict::TooLarge(_)), "it would not help");
}

#[test]
fn a_run_larger_than_the_gpu_is_never_started_there() {
    assert_eq!(
        verdict(last_time(25.0), &gpu(24.0)),
        Verdict::TooLarge("GPU 0 has 24.0 GiB in all, this run took 25.0 GiB last time".into())
    );
    assert_eq!(verdict(last_time(23.8), &gpu(23.9)), Verdict::Fits, "alone it needs no margin");
    assert!(matches!(verdict(last_time(17.8), &gpu(18.0)), Verdict::Waits(_)), "others are there");
}

#[test]
fn what_nobody_knows_is_probed_when_it_would_share_and_tried_when_it_is_alone() {
    let unknown =
        |probing, gpu: &GpuMemory, several| admit(Need::Unknown(probing), gpu, Rules::default(), several);
    let table = [
        // An empty GPU: alone at once, among several after a probe, beside a probe elsewhere at once.
        (Probing::Possible, gpu(23.8), false, "Fits"),
        (Probing::Possible, gpu(23.8), true, "Probe"),
        (Probing::UnderWay, gpu(23.8), true, "Fits"),
        (Probing::Failed, gpu(23.8), true, "Fits"),
        // Somebody else is on it: nothing starts without knowing, unless it cannot be known.
        (Probing::Possible, gpu(10.0), false, "Probe"),
        (Probing::UnderWay, gpu(10.0), false, "Waits"),
        (Probing::Failed, gpu(10.0), false, "Fits"),
        (Probing::Possible, gpu(0.2), false, "Waits"),
        // One of ours is on it.
        (Probing::Possible, with(10.0, &[tenant(Some(13.0), Some(13.0))]), true, "Probe"),
        (Probing::Failed, with(10.0, &[tenant(Some(13.0), Some(13.0))]), true, "Waits"),
    ];
    for (probing, gpu, several, expected) in table {
        let found = format!("{:?}", unknown(probing, &gpu, several));
        assert!(found.starts_with(expected), "{probing:?}, {gpu:?}, {several}: {found}");
    }
}

#[test]
fn nothing_starts_beside_a_run_of_unknown_need_or_a_probe() {
    let beside = with(20.0, &[tenant(None, Some(1.0))]);
    assert_eq!(reason(last_time(1.0), &beside), "GPU 0: nobody knows yet what x/s1 takes of it");
    let probed = GpuMemory { probed: Some("x/s2".into()), ..gpu(20.0) };
    assert_eq!(reason(last_time(1.0), &probed), "GPU 0: a probe finds out what x/s2 takes");
}

#[test]
fn a_run_for_which_a_probe_had_too_little_tries_a_gpu_where_none_of_ours_is() {
    let need = Need::MoreThan(gib(9.0));
    let beside = |free| with(free, &[tenant(Some(13.0), Some(13.0))]);
    let table = [
        (gpu(23.8), "Fits", "it is its own"),
        (gpu(12.0), "Fits", "others gave some back"),
        (gpu(9.5), "Tight", "others hold the rest and may do so all night"),
        (gpu(9.2), "Tight", "they took a little more since"),
        (gpu(4.0), "Waits", "it would be split for their sake alone"),
        (beside(9.5), "Waits", "one of ours is there and will end"),
        (beside(10.9), "Waits", "even where there is more now"),
    ];
    for (gpu, expected, why) in table {
        let found = format!("{:?}", verdict(need, &gpu));
        assert!(found.starts_with(expected), "{why}: {found}");
    }
    assert_eq!(
        reason(need, &beside(9.5)),
        "GPU 0 has 9.5 GiB free, and 9.0 GiB were too little for this run"
    );
}

#[test]
fn without_sharing_a_run_has_its_gpu_alone_and_is_not_probed() {
    let rules = Rules { share: false, ..Rules::default() };
    assert_eq!(admit(Need::Unknown(Probing::Possible), &gpu(23.8), rules, true), Verdict::Fits);
    let taken = with(20.0, &[tenant(Some(3.0), Some(3.0))]);
    assert_eq!(admit(last_time(1.0), &taken, rules, true), Verdict::Waits("for a free GPU".into()));
}

#[test]
fn others_are_what_is_used_by_nobody_of_ours() {
    let mut gpu = with(10.0, &[tenant(Some(6.0), Some(5.0))]);
    assert_eq!(gpu.others(), 9 * GIB);
    assert!(gpu.is_crowded(Rules::default()));
    gpu.returning = 9 * GIB;
    assert!(!gpu.is_crowded(Rules::default()));
}
