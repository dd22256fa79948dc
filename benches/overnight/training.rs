//! Steps a second of nanoGPT's CPU configuration, as the worker logs them: training only, on this
//! repository's own source text. `../shared/bench/gpt_torch.py cpu eager_fused 200` is the peer.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use overnight::run_dir::metrics::Metrics;
use overnight::run_dir::{Workspace, scan};

use super::say;

const STEPS: usize = 300;
const TOKENS_PER_STEP: f64 = 12.0 * 64.0;

pub fn measure() {
    let what = "training: nanoGPT's CPU configuration, fp32";
    if option_env!("CARGO_BIN_EXE_overnight-worker").is_none() {
        return say(&format!("{what}: skipped"), "the worker is not built (make bench builds it)");
    }
    let folder = match tempfile::tempdir() {
        Ok(folder) => folder,
        Err(error) => return say(&format!("{what}: skipped"), &error.to_string()),
    };
    match rates(folder.path()) {
        Err(problem) => say(&format!("{what}: skipped"), &problem),
        Ok(mut rates) => {
            // The first quarter warms up.
            let mut steady = rates.split_off(rates.len() / 4);
            steady.sort_by(f64::total_cmp);
            let tokens = steady.get(steady.len() / 2).copied().unwrap_or(f64::NAN);
            let steps = tokens / TOKENS_PER_STEP;
            let milliseconds = 1000.0 / steps;
            say(what, &format!("{steps:.1} steps/s, {milliseconds:.1} ms a step, {tokens:.0} tokens/s"));
        }
    }
}

fn rates(folder: &Path) -> Result<Vec<f64>, String> {
    let workspace = Workspace::new(folder);
    let file = workspace.experiments().join("cpu.toml");
    let text = experiment(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src"));
    std::fs::create_dir_all(workspace.experiments()).map_err(|error| error.to_string())?;
    std::fs::write(&file, text).map_err(|error| error.to_string())?;
    let output = Command::new(env!("CARGO_BIN_EXE_overnight"))
        .arg("-C")
        .arg(folder)
        .args(["run", "experiments/cpu.toml", "--plain", "--no-report"])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let runs = scan::runs(&workspace);
    let run = runs.first().ok_or("no run was made")?;
    let metrics = Metrics::read(&run.metrics()).map_err(|error| error.to_string())?;
    let rates = metrics.column("tokens_per_second").ok_or("no rate was logged")?;
    Ok(rates.values.clone())
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
