//! How the runner divides the processor, with a fake worker whose probes are as fast as a test says.

use overnight::run_dir::records::{Batch, DivisionRate};
use overnight::run_dir::write::{Durability, replace_json};
use overnight::run_dir::{read, scan};
use rustix::process::Signal;

use crate::namespace::{cover, with_own_mounts};
use crate::workspace::{Running, Workspace, is_alive, starts, step, wait_until};

const X: &str = "experiments/x.toml";

/// The machine's cores and the smallest number that divides them; nothing where they cannot be divided.
fn division() -> Option<(u32, u32)> {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32);
    let smallest = (2..=cores.min(8)).find(|runs| cores.is_multiple_of(*runs));
    if smallest.is_none() {
        eprintln!("skipped: {cores} cores cannot be divided among 2 to 8 runs");
    }
    smallest.map(|runs| (cores, runs))
}

/// Runs that hold, long enough that measuring pays; so many at once are 1.21 times as fast as one.
fn workspace(cores: u32, runs: u32) -> Workspace {
    let rate = |at_once: u32| {
        let all = if at_once == runs { 121.0 } else { 100.0 / f64::from(at_once) };
        format!("{}:{}", cores / at_once, all / f64::from(at_once))
    };
    let divisors = (1..=cores).filter(|at_once| cores.is_multiple_of(*at_once));
    let rates = divisors.map(rate).collect::<Vec<_>>().join(",");
    let seeds: Vec<u64> = (1..=u64::from(runs) * 2).collect();
    Workspace::new().experiment("x", 100_000, &seeds, "hold@3").variable("FAKE_RATES", &rates)
}

fn hold_at_3(workspace: &Workspace, count: u32) {
    let held = || workspace.runs("x").iter().filter(|run| step(run) == 3).count() == count as usize;
    wait_until("they hold", held);
}

fn end(runner: Running) {
    runner.signal(Signal::INT);
    runner.wait().code(75);
}

/// A processor whose counters stand still, as nobody else's work moves them.
fn is_quiet(workspace: &Workspace) -> bool {
    std::fs::write(workspace.path("stat"), "cpu  100 0 100 800 0 0 0 0 0 0\n").unwrap();
    cover("/proc/stat", &workspace.path("stat"))
}

#[test]
fn the_processor_is_divided_as_measured_and_the_next_batch_knows_it() {
    with_own_mounts(
        "division::the_processor_is_divided_as_measured_and_the_next_batch_knows_it",
        divide_and_divide_again,
    );
}

fn divide_and_divide_again() {
    let Some((cores, runs)) = division() else { return };
    let workspace = workspace(cores, runs);
    if !is_quiet(&workspace) {
        return;
    }
    let runner = workspace.start(&[X]);
    hold_at_3(&workspace, runs);
    let threads = |count: u32| if count == 1 { "1 thread".to_owned() } else { format!("{count} threads") };
    let found = format!(
        "divided  {runs} at a time with {} each: 1.21 times the steps per second of 1 with {} (measured",
        threads(cores / runs),
        threads(cores)
    );
    assert!(runner.said().contains(&found), "{}", runner.said());
    let batch = workspace.batch_record();
    assert_eq!((batch.slots, batch.threads_per_slot), (runs, cores / runs));
    let measured = &batch.divisions[0].rates;
    let expected = DivisionRate { runs: 1, threads: cores, steps_per_second: 100.0 };
    assert_eq!((measured[0], measured[1].runs), (expected, runs));
    assert_eq!(starts(&workspace.seed("x", 1))[0].threads, cores / runs);
    end(runner);

    // Runs that have begun keep their threads, so as many go on at once.
    let runner = workspace.start(&[]);
    let begun = || workspace.runs("x").iter().filter(|run| starts(run).len() == 2).count();
    wait_until("they go on", || begun() == runs as usize);
    end(runner);
    assert!(workspace.runs("x").iter().flat_map(starts).all(|start| start.threads == cores / runs));

    // Others of the same settings need no measurement, as long as the machine was quiet then.
    remember_as_measured(&workspace, Some(0.01));
    let seeds: Vec<u64> = (1..=u64::from(runs) * 2).collect();
    let workspace = workspace.experiment("y", 100_000, &seeds, "hold@3");
    let runner = workspace.start(&["experiments/y.toml"]);
    let held = || workspace.runs("y").iter().filter(|run| step(run) == 3).count();
    wait_until("they hold, too", || held() == runs as usize);
    assert!(runner.said().contains(&format!("{found}, in an earlier batch)")), "{}", runner.said());
    assert!(workspace.events().iter().all(|line| line.event != "measuring"));
    end(runner);

    // What was measured on a busy machine is not relied on.
    remember_as_measured(&workspace, Some(0.5));
    let workspace = workspace.experiment("z", 100_000, &seeds, "hold@3");
    let runner = workspace.start(&["experiments/z.toml"]);
    wait_until("it has said how it divides", || runner.said().contains("divided  "));
    assert!(!workspace.batch_record().divisions.is_empty(), "measured again: {}", runner.said());
    end(runner);
}

/// Changes what the batches wrote down of what others did meanwhile: on the machine that runs this, that
/// may be anything, so that the second may have measured, too.
fn remember_as_measured(workspace: &Workspace, others: Option<f64>) {
    for batch in scan::batches(&overnight::run_dir::Workspace::new(workspace.path(""))) {
        let mut record: Batch = read::json(&batch.batch_json()).unwrap();
        record.divisions.iter_mut().for_each(|division| division.others = others);
        replace_json(&batch.batch_json(), &record, Durability::Rebuildable).unwrap();
    }
}

#[test]
fn a_batch_that_is_over_soon_is_not_divided() {
    let Some((cores, runs)) = division() else { return };
    let workspace = workspace(cores, runs).experiment("x", 6, &[1, 2, 3], "");
    workspace.run(&[X]).code(0);
    let batch = workspace.batch_record();
    assert_eq!((batch.slots, batch.threads_per_slot, batch.divisions.len()), (1, cores, 0));
    assert!(workspace.events().iter().all(|line| line.event != "measuring"), "not even once");
}

#[test]
fn what_is_measured_while_others_use_the_processor_is_refused() {
    with_own_mounts("division::what_is_measured_while_others_use_the_processor_is_refused", || {
        let Some((cores, runs)) = division() else { return };
        let workspace = workspace(cores, runs);
        if !is_quiet(&workspace) {
            return;
        }
        // Whoever looks sees more of it taken, and nothing of it idle.
        let counters = std::fs::File::options().write(true).open(workspace.path("stat")).unwrap();
        let is_over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for busy in (1_000_000_u64..).step_by(1000) {
                    let line = format!("cpu  {busy} 0 100 800 0 0 0 0 0 0\n");
                    std::os::unix::fs::FileExt::write_all_at(&counters, line.as_bytes(), 0).unwrap();
                    if is_over.load(std::sync::atomic::Ordering::Relaxed) {
                        break;
                    }
                }
            });
            let runner = workspace.start(&[X]);
            hold_at_3(&workspace, 1);
            let said = runner.said();
            is_over.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(said.contains("divided  not measured, so not divided: others took "), "{said}");
            let batch = workspace.batch_record();
            assert_eq!((batch.slots, batch.threads_per_slot, batch.divisions.len()), (1, cores, 0));
            end(runner);
        });
    });
}

#[test]
fn a_ratio_that_cannot_be_is_refused() {
    with_own_mounts("division::a_ratio_that_cannot_be_is_refused", || {
        let Some((cores, runs)) = division() else { return };
        let rates = format!("{cores}:1,{}:29", cores / runs);
        let workspace = workspace(cores, runs).variable("FAKE_RATES", &rates);
        if !is_quiet(&workspace) {
            return;
        }
        let runner = workspace.start(&[X]);
        hold_at_3(&workspace, 1);
        let words = format!("{runs} at a time gave {}.00 times the steps per second of 1", 29 * runs);
        assert!(runner.said().contains(&words), "{}", runner.said());
        assert_eq!(workspace.batch_record().divisions, []);
        end(runner);
    });
}

#[test]
fn slots_that_a_person_asks_for_are_not_measured() {
    let Some((cores, runs)) = division() else { return };
    let workspace = workspace(cores, runs);
    let runner = workspace.start(&[X, "--slots", "1"]);
    hold_at_3(&workspace, 1);
    assert!(workspace.events().iter().all(|line| line.event != "measuring"));
    end(runner);
}

#[test]
fn a_probe_that_fails_leaves_the_processor_undivided_and_says_why_in_the_batch() {
    let Some((cores, runs)) = division() else { return };
    let workspace = workspace(cores, runs).variable("FAKE_PROBE", "fail");
    let runner = workspace.start(&[X]);
    hold_at_3(&workspace, 1);
    let events = workspace.events();
    let why = events.iter().find(|line| line.event == "not-measured").map(|line| line.message.as_str());
    assert!(why.is_some_and(|why| why.ends_with("fake-worker: told to fail")), "{events:?}");
    assert_eq!(workspace.batch_record().slots, 1);
    end(runner);
}

#[test]
fn a_person_who_ends_the_batch_does_not_wait_for_a_measurement() {
    let Some((cores, runs)) = division() else { return };
    let workspace = workspace(cores, runs).variable("FAKE_PROBE", "silent");
    let runner = workspace.start(&[X]);
    wait_until("it measures", || {
        workspace.batches() > 0 && workspace.events().iter().any(|line| line.event == "measuring")
    });
    let mut probes = Vec::new();
    wait_until("a probe works", || {
        probes = runner.children("probe");
        !probes.is_empty()
    });
    end(runner);
    wait_until("the probe is gone", || !probes.iter().any(is_alive));
    assert_eq!(starts(&workspace.seed("x", 1)).len(), 0);
}

#[test]
fn a_measurement_ends_with_its_batch_also_where_the_runner_goes_on() {
    let Some((cores, runs)) = division() else { return };
    let workspace = workspace(cores, runs).variable("FAKE_PROBE", "silent");
    let runner = workspace.start(&[X, "--forever"]);
    let mut probes = Vec::new();
    wait_until("a probe works", || {
        probes = runner.children("probe");
        !probes.is_empty()
    });
    workspace.overnight(&["pause", "--all"]).code(0);
    wait_until("the batch is over", || workspace.batch_record().end.is_some());
    wait_until("the probe is gone", || !probes.iter().any(is_alive));
    runner.signal(Signal::INT);
    drop(runner.wait());
}
