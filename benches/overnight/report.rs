//! Building the report of a large workspace: all of it, nothing of it, one run of it.

use std::fs::OpenOptions;
use std::io::Write;
use std::time::{Duration, Instant};

use overnight::report::{Report, Scope};
use overnight::run_dir::{Workspace, scan};

use super::workspace::Live;
use super::{median_of, say};

pub fn measure(workspace: &Workspace) -> anyhow::Result<()> {
    let runs = scan::runs(workspace);
    // Read once, so that the first timing is not that of the disk.
    let bytes: usize =
        runs.iter().map(|run| std::fs::read(run.metrics()).map_or(0, |bytes| bytes.len())).sum();
    // Older reports are moved aside before the clock starts: deleting thousands of files is another
    // matter, and file systems are slow to give out numbers of files that were deleted a moment ago.
    let aside = workspace.root().join("reports-aside");
    for left in [&aside, &workspace.reports()] {
        if left.exists() {
            std::fs::remove_dir_all(left)?;
        }
    }
    std::fs::create_dir_all(&aside)?;
    let (mut cold, mut processor) = (Vec::new(), Vec::new());
    for time in 0..3 {
        if time > 0 {
            std::fs::rename(workspace.reports(), aside.join(time.to_string()))?;
        }
        let (begun, used) = (Instant::now(), processor_time());
        build(&mut Report::open(workspace.root()), &Scope::All)?;
        cold.push(begun.elapsed());
        processor.push(processor_time().saturating_sub(used));
    }
    std::fs::remove_dir_all(&aside)?;
    cold.sort();
    processor.sort();
    say(&format!("report of {} runs ({} MiB of metrics), cold", runs.len(), bytes >> 20), cold[1]);
    say("processor time of that, user and system", processor[1]);
    let unchanged = median_of(5, || build(&mut Report::open(workspace.root()), &Scope::All))?;
    say("the same by a new process, nothing changed", unchanged);
    let mut report = Report::open(workspace.root());
    build(&mut report, &Scope::All)?;
    let scanned = median_of(9, || build(&mut report, &Scope::All))?;
    say("a watcher's scan, nothing changed", scanned);

    let Some(run) = runs.get(runs.len() / 2) else { return Ok(()) };
    let header = std::fs::read_to_string(run.metrics())?;
    let held = header.len() as u64;
    let columns = header.lines().next().map_or(0, |line| line.split(',').count());
    let live = Live::begin(run)?;
    let scope = Scope::Runs(vec![run.clone()]);
    build(&mut report, &scope)?;
    let mut step = 1_000_000;
    let changed = median_of(9, || {
        step += 1;
        let mut file = OpenOptions::new().append(true).open(run.metrics())?;
        writeln!(file, "{step},1,1.8e9,1,0.5{}", ",".repeat(columns.saturating_sub(5)))?;
        build(&mut report, &scope)
    })?;
    say("one live run of them got a row", changed);
    drop(live);
    OpenOptions::new().write(true).open(run.metrics())?.set_len(held)?;
    println!("{:<58} {} MiB", "memory at its height", peak_mib());
    Ok(())
}

fn build(report: &mut Report, scope: &Scope) -> anyhow::Result<()> {
    report.refresh(scope)?;
    Ok(())
}

/// What this process has used of all cores, in ticks of a hundredth of a second.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = after_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok());
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

/// Of this process since its start, from the kernel.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) >> 10
}
