//! Steps a second of nanoGPT's CPU configuration, as the worker logs them: training only, on this
//! repository's own source text. `benches/peers/gpt_eager.py` is the peer.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;
use overnight::run_dir::metrics::Metrics;
use overnight::run_dir::{Workspace, scan};

const STEPS: usize = 300;
const TOKENS_PER_STEP: f64 = 12.0 * 64.0;

pub fn measure() -> anyhow::Result<()> {
    let what = "training: nanoGPT's CPU configuration, fp32";
    if option_env!("CARGO_BIN_EXE_overnight-worker").is_none() {
        println!("{what}: skipped, the worker is not built (make bench builds it)");
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let mut rates = rates(folder.path())?;
    // The first quarter warms up.
    let mut steady = rates.split_off(rates.len() / 4);
    steady.sort_by(f64::total_cmp);
    let tokens = steady.get(steady.len() / 2).copied().unwrap_or(f64::NAN);
    let steps = tokens / TOKENS_PER_STEP;
    println!("{what:<58} {steps:.1} steps/s, {:.1} ms a step, {tokens:.0} tokens/s", 1000.0 / steps);
    Ok(())
}

/// Tokens a second, row by row.
fn rates(folder: &Path) -> anyhow::Result<Vec<f64>> {
    let workspace = Workspace::new(folder);
    std::fs::create_dir_all(workspace.experiments())?;
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src");
    std::fs::write(workspace.experiments().join("cpu.toml"), experiment(&source))?;
    let output = Command::new(env!("CARGO_BIN_EXE_overnight"))
        .arg("-C")
        .arg(folder)
        .args(["run", "experiments/cpu.toml", "--plain", "--no-report"])
        .stdin(Stdio::null())
        .output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let runs = scan::runs(&workspace);
    let run = runs.first().context("no run was made")?;
    let metrics = Metrics::read(&run.metrics())?;
    Ok(metrics.column("tokens_per_second").context("no rate was logged")?.values.clone())
}

fn experiment(source: &Path) -> String {
    format!(
        "[data]\nkind = \"text\"\nfiles = [\"{}/**/*.rs\"]\ntokenizer = \"char\"\n\
         [model]\nkind = \"gpt\"\nlayers = 4\nheads = 4\nwidth = 128\ncontext = 64\n\
         [train]\nsteps = {STEPS}\nbatch_size = 12\nlog_every = 10\n\
         [evaluate]\nevery = 0\n[checkpoint]\nevery = 0\n[resources]\ndevice = \"cpu\"\n",
        source.display()
    )
}
