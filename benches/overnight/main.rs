//! How fast the parts are on this machine: `make bench`, or one part by `cargo bench -- report`.
//! Nothing is asserted here; figures that go elsewhere carry the machine's name with them.
//!
//! `--runs N` and `--rows N` choose the size of the made-up workspace.

#[path = "../made_up.rs"]
#[allow(dead_code)] // Tests use the rest of it.
mod made_up;
mod night;
mod pages;
mod report;
mod runner;
mod scalars;
mod tensorboard;
mod training;
mod workspace;

use std::time::{Duration, Instant};

const PARTS: [&str; 6] = ["scalars", "report", "pages", "runner", "night", "training"];

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(at) = arguments.iter().position(|argument| argument == pages::SERVE) {
        return pages::serve(arguments.get(at + 1).map_or(".".as_ref(), |folder| folder.as_ref()));
    }
    let number = |name: &str, default: u32| {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)).and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (runs, rows) = (number("--runs", 1000), number("--rows", 10_000));
    let is_named = |part: &str| arguments.iter().any(|argument| argument == part);
    let all = !PARTS.iter().any(|part| is_named(part));

    println!("{}", machine());
    if all || is_named("scalars") {
        let scalars = scalars::made(runs, rows)?;
        report::measure(&scalars.workspace)?;
        tensorboard::measure(&scalars)?;
    }
    if all || is_named("report") || is_named("pages") {
        let workspace = workspace::generated(runs, rows)?;
        if all || is_named("report") {
            report::measure(&workspace)?;
        }
        if all || is_named("pages") {
            pages::measure(&workspace)?;
        }
    }
    if all || is_named("runner") {
        runner::measure()?;
    }
    if all || is_named("night") {
        night::measure()?;
    }
    if all || is_named("training") {
        training::measure()?;
    }
    Ok(())
}

fn machine() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let named = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let name = named.map_or("unknown processor", |(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    format!("{name}, {cores} cores")
}

/// The middle of several timings of `work`.
fn median_of(times: usize, mut work: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<Duration> {
    let mut timings = Vec::new();
    for _ in 0..times {
        let started = Instant::now();
        work()?;
        timings.push(started.elapsed());
    }
    timings.sort();
    Ok(timings[times / 2])
}

fn say(what: &str, time: Duration) {
    println!("{what:<58} {:.1} ms", time.as_secs_f64() * 1e3);
}
