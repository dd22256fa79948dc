//! What the report costs: a cold build of many runs, a build after one more row, one without a change.
//! Shown are the time by the clock and the processor time of all threads.
//!
//! `cargo bench --bench report -- [RUNS] [ROWS]`, 1,000 runs of 10,000 rows where nothing is said.

#[path = "made_up.rs"]
mod made_up;

use std::fs::OpenOptions;
use std::io::Write;
use std::time::Instant;

use made_up::{Ending, MadeUp};
use overnight::experiment::settings::Task;
use overnight::report::{Report, Scope};
use overnight::run_dir::{Workspace, lock};

fn main() -> anyhow::Result<()> {
    let numbers: Vec<u32> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let (runs, rows) = (numbers.first().copied().unwrap_or(1000), numbers.get(1).copied().unwrap_or(10_000));
    let folder = tempfile::tempdir()?;
    let mut names = Vec::new();
    for (index, experiment) in ["depth", "width", "rate", "batch"].into_iter().enumerate() {
        let share = runs / 4 + u32::from((index as u32) < runs % 4);
        let made_up =
            MadeUp { experiment, task: Task::LanguageModel, runs: share, rows, end: Ending::AllFinished };
        let made = made_up::experiment(folder.path(), &made_up)?;
        names.extend(made.into_iter().map(|run| (experiment, run)));
    }
    made_up::batch(folder.path(), "20261119T211000-ada-01-0001", &names, Some(made_up::EVENING + 30_000.0))?;

    let timed = |what: &str, report: &mut Report, scope: &Scope| -> anyhow::Result<()> {
        let (start, busy) = (Instant::now(), processor_seconds());
        let built = report.refresh(scope)?;
        let (seconds, busy) = (start.elapsed().as_secs_f64(), processor_seconds() - busy);
        println!(
            "{what:<34} {:>9.1} ms, {:>9.1} ms of processor time, {} of {} run pages",
            seconds * 1e3,
            busy * 1e3,
            built.changed_runs,
            built.runs
        );
        Ok(())
    };
    println!("report of {runs} runs with {rows} rows each");
    let mut report = Report::open(folder.path());
    timed("cold build", &mut report, &Scope::All)?;
    timed("again, nothing changed", &mut report, &Scope::All)?;

    // One run goes on: a worker holds its lock and writes rows.
    let (experiment, name) = &names[0];
    let dir = Workspace::new(folder.path()).run(experiment, name);
    std::fs::remove_file(dir.result())?;
    let _alive = lock::try_lock(&dir.alive_lock())?;
    let scope = Scope::Runs(vec![dir.clone()]);
    timed("a run goes on", &mut report, &scope)?;
    for _ in 0..3 {
        let mut metrics = OpenOptions::new().append(true).open(dir.metrics())?;
        let cells = vec![""; 11 - 5].join(",");
        writeln!(metrics, "{},1,1,1,1.5,{cells}", u64::from(rows) * 10 + 10)?;
        timed("one more row", &mut report, &scope)?;
    }
    let start = Instant::now();
    let mut reopened = Report::open(folder.path());
    println!("{:<34} {:>9.1} ms", "another process remembers", start.elapsed().as_secs_f64() * 1e3);
    timed("and finds nothing changed", &mut reopened, &Scope::All)?;
    Ok(())
}

/// Processor time of all threads so far: unlike the clock, little moved by what else the machine does.
fn processor_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}
