//! What a night of real training gains or loses by the runner: the time from a command to the first
//! step, and a sweep of small runs beside the same sweep by a plain shell loop over the worker.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use overnight::run_dir::metrics::Metrics;
use overnight::run_dir::{Workspace, scan};

use super::say;

/// Runs of the sweep.
const SWEEP: u64 = 8;
/// Pairs of sweep and loop, one after the other.
const PAIRS: usize = 3;

pub fn measure() -> anyhow::Result<()> {
    let Some(worker) = option_env!("CARGO_BIN_EXE_overnight-worker") else {
        println!("night: skipped, the worker is not built (make bench builds it)");
        return Ok(());
    };
    let mut waits = (0..5).map(|_| first_step()).collect::<anyhow::Result<Vec<Duration>>>()?;
    waits.sort();
    say("night: from overnight run to the first step", waits[waits.len() / 2]);

    let mut ratios = Vec::new();
    for pair in 0..PAIRS {
        let (by_runner, by_loop) = (in_a_batch()?, in_a_loop(Path::new(worker))?);
        ratios.push(by_loop.as_secs_f64() / by_runner.as_secs_f64());
        println!(
            "  pair {}: {SWEEP} runs in {:.1} s, by a shell loop in {:.1} s",
            pair + 1,
            by_runner.as_secs_f64(),
            by_loop.as_secs_f64()
        );
    }
    ratios.sort_by(f64::total_cmp);
    let name = format!("night: a sweep of {SWEEP} runs, beside a shell loop");
    println!("{name:<58} {:.2} times as fast (median of {PAIRS} pairs)", ratios[PAIRS / 2]);
    Ok(())
}

/// From the start of the command to the end of the first training step, as its row tells.
fn first_step() -> anyhow::Result<Duration> {
    let folder = tempfile::tempdir()?;
    let text = "[data]\nkind = \"shapes\"\ncount = 200\n[model]\nkind = \"mlp\"\n\
                [train]\nsteps = 1\nlog_every = 1\n[evaluate]\nevery = 0\n[resources]\ndevice = \"cpu\"\n";
    let workspace = workspace(folder.path(), text)?;
    let begun = scan::now();
    run(folder.path(), &["run", "experiments/small.toml", "--plain", "--no-report"])?;
    let runs = scan::runs(&workspace);
    let run = runs.first().context("no run was made")?;
    let rows = Metrics::read(&run.metrics())?;
    let time = rows.column("time").and_then(|column| column.values.first()).context("no row was written")?;
    Ok(Duration::from_secs_f64((time - begun).max(0.0)))
}

fn in_a_batch() -> anyhow::Result<Duration> {
    let folder = tempfile::tempdir()?;
    workspace(folder.path(), &sweep())?;
    run(folder.path(), &["queue", "experiments/small.toml"])?;
    let begun = Instant::now();
    run(folder.path(), &["run", "--plain", "--no-report"])?;
    Ok(begun.elapsed())
}

fn in_a_loop(worker: &Path) -> anyhow::Result<Duration> {
    let folder = tempfile::tempdir()?;
    workspace(folder.path(), &sweep())?;
    run(folder.path(), &["queue", "experiments/small.toml"])?;
    let begun = Instant::now();
    let status = Command::new("sh")
        .args(["-c", "for run in runs/small/*; do \"$0\" train \"$run\" || exit 1; done"])
        .arg(worker)
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    anyhow::ensure!(status.success(), "the loop over the worker failed");
    Ok(begun.elapsed())
}

/// A small GPT on this repository's own source text, with eight seeds.
fn sweep() -> String {
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/runner");
    let seeds: Vec<u64> = (1..=SWEEP).collect();
    format!(
        "[data]\nkind = \"text\"\nfiles = [\"{}/**/*.rs\"]\ntokenizer = \"char\"\n\
         [model]\nkind = \"gpt\"\nlayers = 2\nheads = 2\nwidth = 64\ncontext = 64\n\
         [train]\nsteps = 1000\nbatch_size = 12\n[resources]\ndevice = \"cpu\"\n[sweep]\nseeds = {seeds:?}\n",
        source.display()
    )
}

fn workspace(folder: &Path, text: &str) -> anyhow::Result<Workspace> {
    let workspace = Workspace::new(folder);
    fs::create_dir_all(workspace.experiments())?;
    fs::write(workspace.experiments().join("small.toml"), text)?;
    Ok(workspace)
}

fn run(folder: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_overnight"));
    let output = command.arg("-C").arg(folder).args(arguments).stdin(Stdio::null()).output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
