//! How fast the parts are on this machine: `make bench`, or for one part `cargo bench -- report`.
//! Nothing is asserted here; figures that go elsewhere carry the machine's name with them.
//!
//! `--runs N` and `--rows N` choose the size of the generated workspace.

#[path = "../made_up.rs"]
mod made_up;
mod pages;
mod report;
mod training;
mod workspace;

use std::time::{Duration, Instant};

fn main() {
    // Cargo adds its own flag.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let number = |name: &str, default: usize| {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)).and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (runs, rows) = (number("--runs", 1000), number("--rows", 10_000));
    let parts = ["report", "pages", "training"];
    let chosen: Vec<_> = parts.iter().filter(|part| arguments.iter().any(|named| named == *part)).collect();
    let wanted = |part: &str| chosen.is_empty() || chosen.iter().any(|named| **named == part);

    println!("{}", machine());
    if wanted("report") || wanted("pages") {
        let (_folder, workspace) = workspace::generated(runs, rows);
        if wanted("report") {
            report::measure(&workspace);
        }
        if wanted("pages") {
            pages::measure(&workspace);
        }
    }
    if wanted("training") {
        training::measure();
    }
}

fn machine() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let named = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let name = named.map_or("unknown processor", |(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    format!("{name}, {cores} cores")
}

/// The middle of several timings of `work`.
fn median_of(times: usize, mut work: impl FnMut()) -> Duration {
    let mut timings: Vec<_> = (0..times)
        .map(|_| {
            let started = Instant::now();
            work();
            started.elapsed()
        })
        .collect();
    timings.sort();
    timings[times / 2]
}

fn say(what: &str, value: &str) {
    println!("{what:<58} {value}");
}
