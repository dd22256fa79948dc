//! A storm: SIGKILLs at random times to workers and to the runner, and at the end the same bits as of a
//! batch that nobody disturbed. Short here; `make storm` makes it long. Lengths and the seed come from the
//! environment, and are printed, so that a storm can be had again.

mod compare;
mod place;
mod thunder;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use overnight::run_dir::records::RunResult;
use overnight::run_dir::{RunDir, read};
use overnight::say;

use place::{Place, Size};
use thunder::Storm;

/// A number from the environment.
fn wanted(name: &str, otherwise: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.trim().parse().unwrap_or_else(|error| panic!("{name}={text}: {error}")),
        Err(_) => otherwise,
    }
}

#[test]
fn a_storm_of_kills_changes_no_bit() {
    let size = Size { runs: wanted("OVERNIGHT_STORM_RUNS", 4), steps: wanted("OVERNIGHT_STORM_STEPS", 40) };
    let kills = wanted("OVERNIGHT_STORM_KILLS", 12);
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let seed = wanted("OVERNIGHT_STORM_SEED", clock);
    println!("storm: {} runs of {} steps, {kills} kills, OVERNIGHT_STORM_SEED={seed}", size.runs, size.steps);

    let began = Instant::now();
    let calm = Place::new(size);
    let status = calm.runner().wait().unwrap();
    assert_eq!(status.code(), Some(0), "the undisturbed batch: {}", calm.said());
    let calm_took = began.elapsed();
    let trained: f64 = calm.runs().iter().map(|run| result(run).elapsed_seconds).sum();
    println!("calm:  {} training in {}", say::duration(trained), seconds(calm_took));

    let began = Instant::now();
    let place = Place::new(size);
    let mut storm = Storm::over(&place, seed, size, kills);
    while storm.struck.kills() < kills && storm.strike() {}
    let struck_for = began.elapsed();
    let struck = storm.pass();
    println!("storm: {struck} in {}; all runs ended after {}", seconds(struck_for), seconds(began.elapsed()));
    assert!(struck.kills() * 10 >= kills * 9, "the runs were over too soon for a storm: {struck}");
    let workers = struck.training + struck.at_checkpoint + struck.loading;
    assert!(struck.runners > 0 && workers > 0, "a storm strikes both: {struck}");

    let attempts = compare::assert_same_bits(&calm, &place);
    compare::assert_nothing_ran_twice(&place, &struck);
    compare::assert_no_leftovers(&place);
    compare::assert_verified(&place);
    println!(
        "equal: {} runs in {attempts} attempts, bit for bit; nothing ran twice, nothing is left over",
        size.runs
    );
}

fn result(run: &RunDir) -> RunResult {
    read::json(&run.result()).expect("a finished run has a result")
}

fn seconds(duration: Duration) -> String {
    say::duration(duration.as_secs_f64())
}

/// The steps that may pass from one kill to the next, on the whole, so that all kills that are left come in the
/// steps that are left, with a fifth of these to spare.
fn share(steps: u64, kills: u64) -> u64 {
    steps * 4 / 5 / kills.max(1)
}

#[test]
fn the_kills_of_a_storm_are_spread_over_four_fifths_of_its_steps() {
    assert_eq!(share(20 * 300, 200), 24);
    assert_eq!(share(50, 25), 1, "they come closer where steps went by faster than was planned");
    assert_eq!(share(3, 7), 0);
    assert_eq!(share(1, 0), 0);
}
