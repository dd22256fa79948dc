//! Building the report of a large workspace: all of it, nothing of it, one run of it.

use std::fs::OpenOptions;
use std::io::Write;

use overnight::report::{Report, Scope};
use overnight::run_dir::{Workspace, scan};

use super::{median_of, say};

pub fn measure(workspace: &Workspace) {
    let runs = scan::runs(workspace);
    let count = runs.len();
    // Read once, so that the first timing is not that of the disk.
    for run in &runs {
        let _ = std::fs::read(run.metrics());
    }
    let cold = median_of(3, || {
        let _ = std::fs::remove_dir_all(workspace.reports());
        build(&mut Report::open(workspace.root()), &Scope::All);
    });
    say(&format!("report of {count} runs, cold"), &format!("{:.2} s", cold.as_secs_f64()));

    let unchanged = median_of(5, || build(&mut Report::open(workspace.root()), &Scope::All));
    say("the same in a new process, nothing changed", &format!("{:.0} ms", unchanged.as_secs_f64() * 1e3));

    let mut report = Report::open(workspace.root());
    build(&mut report, &Scope::All);
    let scanned = median_of(9, || build(&mut report, &Scope::All));
    say("scan by a watcher, nothing changed", &format!("{:.1} ms", scanned.as_secs_f64() * 1e3));
    let Some(run) = runs.get(count / 2) else { return };
    let cells = ",".repeat(empty_cells(run));
    let mut step = 1_000_000;
    let changed = median_of(9, || {
        step += 1;
        let mut file = OpenOptions::new().append(true).open(run.metrics()).expect("the run is there");
        writeln!(file, "{step},1,1.8e9,1,0.5{cells}").expect("it can be written to");
        build(&mut report, &Scope::Runs(vec![run.clone()]));
    });
    say("one run of them got a row", &format!("{:.1} ms", changed.as_secs_f64() * 1e3));
    say("memory at its height", &format!("{} MiB", peak_mib()));
}

fn build(report: &mut Report, scope: &Scope) {
    report.refresh(scope).expect("the generated workspace can be built");
}

/// Commas after `train/loss`, so that the row has a cell for each column.
fn empty_cells(run: &overnight::run_dir::RunDir) -> usize {
    let text = std::fs::read_to_string(run.metrics()).unwrap_or_default();
    text.lines().next().map_or(0, |header| header.matches(',').count().saturating_sub(4))
}

/// Of this process since its start, from the kernel.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) >> 10
}
