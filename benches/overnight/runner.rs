//! What the runner itself costs: time a run beyond its worker's own, processor and memory while it
//! waits beside ten thousand runs, and `status` over them. The workers here train nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use overnight::run_dir::records::{Attempt, Device, Start};
use overnight::run_dir::write::{Durability, append_line};
use overnight::run_dir::{RunDir, Workspace, lock, read, scan};

use super::{median_of, say, workspace};

/// Runs whose overhead is averaged.
const RUNS: usize = 200;
/// Runs of the large workspace.
const MANY: u32 = 10_000;
/// How long an idle runner is watched.
const WATCHED: Duration = Duration::from_secs(30);

pub fn measure() -> anyhow::Result<()> {
    let worker = fake_worker();
    if !worker.is_file() {
        println!("runner: skipped, the worker that trains nothing is not built (make bench builds it)");
        return Ok(());
    }
    overhead(&worker)?;
    let large = workspace::generated(MANY, 10)?;
    let status = median_of(5, || {
        let output = overnight(large.root(), &worker, &["status"]).output()?;
        anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    })?;
    say(&format!("runner: status over {MANY} runs"), status);
    idle(&large, &worker)
}

/// Milliseconds a run that a batch takes longer than its workers do one after the other.
fn overhead(worker: &Path) -> anyhow::Result<()> {
    let mut per_run = Vec::new();
    for _ in 0..3 {
        let folder = tempfile::tempdir()?;
        let batch = in_a_batch(folder.path(), worker)?;
        let folder = tempfile::tempdir()?;
        let alone = alone(folder.path(), worker)?;
        per_run.push((batch.as_secs_f64() - alone.as_secs_f64()) / RUNS as f64);
    }
    per_run.sort_by(f64::total_cmp);
    say(
        &format!("runner: a run, beyond its worker's own time ({RUNS} runs)"),
        Duration::from_secs_f64(per_run[per_run.len() / 2].max(0.0)),
    );
    Ok(())
}

fn in_a_batch(root: &Path, worker: &Path) -> anyhow::Result<Duration> {
    queue(root, worker)?;
    let begun = Instant::now();
    let output = overnight(root, worker, &["run", "--plain", "--no-report", "--slots", "1"]).output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(begun.elapsed())
}

/// The same runs by a plain loop that starts one worker after the other.
fn alone(root: &Path, worker: &Path) -> anyhow::Result<Duration> {
    queue(root, worker)?;
    let mut time = Duration::ZERO;
    for run in scan::runs(&Workspace::new(root)) {
        let alive = lock::try_lock(&run.alive_lock())?.context("nobody else is at work here")?;
        append_line(&run.attempts(), &Attempt::Start(orders(&run)?), Durability::Rebuildable)?;
        let stderr = fs::File::create(run.stderr_log())?;
        let begun = Instant::now();
        let status =
            Command::new(worker).arg("train").arg(run.path()).stdin(alive).stderr(stderr).status()?;
        time += begun.elapsed();
        anyhow::ensure!(status.success(), "{}", fs::read_to_string(run.stderr_log())?);
    }
    Ok(time)
}

fn orders(run: &RunDir) -> anyhow::Result<Start> {
    let settings = read::run_record(run)?.settings;
    Ok(Start {
        attempt: 1,
        time: scan::now(),
        batch: None,
        host: scan::host(),
        boot: String::new(),
        device: Device::Cpu { name: String::new() },
        precision: settings.train.precision,
        threads: 1,
        micro_batch: settings.train.batch_size,
        accumulate: settings.train.accumulate,
        libtorch: String::new(),
        checkpoint: None,
        weights: None,
        text: Vec::new(),
        data: None,
        why: String::new(),
    })
}

fn queue(root: &Path, worker: &Path) -> anyhow::Result<()> {
    let experiments = Workspace::new(root).experiments();
    fs::create_dir_all(&experiments)?;
    let seeds: Vec<usize> = (1..=RUNS).collect();
    fs::write(experiments.join("many.toml"), experiment(&seeds, ""))?;
    let output = overnight(root, worker, &["queue", "experiments/many.toml"]).output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn experiment(seeds: &[usize], notes: &str) -> String {
    format!(
        "notes = \"{notes}\"\n[data]\nkind = \"shapes\"\ncount = 100\n[model]\nkind = \"mlp\"\n\
         [train]\nsteps = 2\n[sweep]\nseeds = {seeds:?}\n"
    )
}

/// A runner that waits for work, and one that has one run at work, in a workspace full of runs.
fn idle(large: &Workspace, worker: &Path) -> anyhow::Result<()> {
    let forever =
        Ended(overnight(large.root(), worker, &["run", "--forever", "--plain", "--no-report"]).spawn()?);
    watch("waits for work", &forever.0)?;
    drop(forever);

    fs::create_dir_all(large.experiments())?;
    let file = large.experiments().join("held.toml");
    fs::write(&file, experiment(&[1], "hold@1"))?;
    let queued = overnight(large.root(), worker, &["queue", "experiments/held.toml", "--again"]).status()?;
    anyhow::ensure!(queued.success(), "a run could not be queued");
    let at_work = Ended(overnight(large.root(), worker, &["run", "--plain", "--no-report"]).spawn()?);
    let watched = watch("has one run at work", &at_work.0);
    drop(overnight(large.root(), worker, &["stop", "--all"]).output());
    drop(at_work);
    // The workspace is kept for the next time.
    fs::remove_file(file)?;
    fs::remove_dir_all(large.runs().join("held"))?;
    watched
}

fn watch(what: &str, child: &Child) -> anyhow::Result<()> {
    // Until it has looked at everything for the first time.
    std::thread::sleep(Duration::from_secs(5));
    let before = processor_seconds(child)?;
    std::thread::sleep(WATCHED);
    let percent = 100.0 * (processor_seconds(child)? - before) / WATCHED.as_secs_f64();
    let memory = peak_memory_mib(child)?;
    let name = format!("runner: {what} beside {MANY} runs");
    println!("{name:<58} {percent:.2} % of one core, {memory:.0} MiB at most");
    Ok(())
}

/// Processor time of the process, its threads included.
fn processor_seconds(child: &Child) -> anyhow::Result<f64> {
    let text = fs::read_to_string(format!("/proc/{}/stat", child.id()))?;
    // The name in parentheses may hold spaces; user and system time are the 14th and 15th field.
    let (_, fields) = text.rsplit_once(") ").context("no process")?;
    let ticks = fields.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum::<u64>();
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

fn peak_memory_mib(child: &Child) -> anyhow::Result<f64> {
    let text = fs::read_to_string(format!("/proc/{}/status", child.id()))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no peak is told")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib / 1024.0)
}

fn overnight(root: &Path, worker: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_overnight"));
    command.arg("-C").arg(root).args(arguments).env("OVERNIGHT_WORKER", worker);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Beside this benchmark, where `cargo build --release --example fake-worker` puts it.
fn fake_worker() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_overnight")).with_file_name("examples").join("fake-worker")
}

/// Ended with this value.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
