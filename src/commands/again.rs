//! `overnight run report.html` and `overnight verify report.html`: an exported file as the experiment.

use std::collections::BTreeMap;
use std::io::{self, BufRead, IsTerminal};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::print_json;
use super::text::{self, BOLD, RED};
use crate::again::data::Found;
use crate::again::{self, AgainError, Compared, Plan, Planned};
use crate::cli::{RunArgs, VerifyArgs};
use crate::exit::Exit;
use crate::run_dir::certificate::is_same_libtorch;
use crate::run_dir::sent::Sent;
use crate::run_dir::{RunDir, Workspace, machine, sent};
use crate::runner::devices::Devices;
use crate::runner::program::Program;
use crate::say;

/// Runs that are named one by one; of more the number is told.
const NAMED: usize = 20;

/// Whether this names an exported file, which no run is called like.
pub fn is_report(path: &Path) -> bool {
    path.extension().is_some_and(|end| end.eq_ignore_ascii_case("html") || end.eq_ignore_ascii_case("htm"))
}

/// The report that is to be run, if it is one.
///
/// # Errors
/// Something beside it does not go with it.
pub fn report(args: &RunArgs) -> anyhow::Result<Option<&Path>> {
    let Some(file) = args.files.iter().find(|file| is_report(file)) else {
        anyhow::ensure!(args.data.is_empty(), "--data goes with a report: name one (FILE.html)");
        return Ok(None);
    };
    anyhow::ensure!(args.files.len() == 1, "a report is run alone: name {} and nothing else", file.display());
    anyhow::ensure!(
        args.overrides.set.is_empty(),
        "--set does not go with a report: its runs would not be those it tells of (write an experiment file)"
    );
    anyhow::ensure!(
        !args.again,
        "--again does not go with a report: run it in another workspace to train once more what is here (-C DIR)"
    );
    Ok(Some(file))
}

/// Runs of a report that a person, or `--yes`, agreed to.
pub struct Agreed(Plan);

impl Agreed {
    /// Queues them, and gives all, also those that are here.
    ///
    /// # Errors
    /// The data do not fit after all, or the disk cannot be written to.
    pub fn queue(self, workspace: &Workspace) -> Result<Vec<RunDir>, AgainError> {
        again::queue(workspace, &self.0)?;
        Ok(self.0.runs.into_iter().map(|one| one.dir).collect())
    }
}

/// Shows what the report would run, and asks; none where nobody agrees.
///
/// # Errors
/// It cannot be run here. Nothing was changed.
pub fn agreed(workspace: &Workspace, file: &Path, args: &RunArgs) -> anyhow::Result<Option<Agreed>> {
    let plan = again::plan(workspace, file, &args.data)?;
    show(&plan, args.retry_failed);
    // First what it is about, then what speaks against it.
    again::complete(&plan, &args.data)?;
    let agreed = Agreed(plan);
    if args.yes {
        return Ok(Some(agreed));
    }
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        text::talk("nothing was changed: there is no terminal to ask at (--yes runs it without asking)");
        return Ok(None);
    }
    text::talk("run this? [y/N]");
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    if ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
        return Ok(Some(agreed));
    }
    text::talk("nothing was changed");
    Ok(None)
}

/// What it would run, on which data, and what is not as it was there.
fn show(plan: &Plan, retries: bool) {
    let Plan { runs: planned, from, left_out } = plan;
    let say = |line: String| text::talk(say::plain(&line));
    say(format!("{}, exported by overnight {}", from.file, from.program));
    let mut by_experiment: BTreeMap<String, Vec<&Planned>> = BTreeMap::new();
    for one in planned {
        by_experiment.entry(one.dir.experiment()).or_default().push(one);
    }
    for (experiment, runs) in &by_experiment {
        let steps: u64 = runs.iter().map(|one| one.steps_to_train(retries)).sum();
        let known = runs.iter().filter(|one| one.is_known).count();
        let here = if known > 0 { format!(", {known} of them here already") } else { String::new() };
        let count = say::counted(runs.len(), "run", "runs");
        say(format!("{experiment}: {count}{here}, {} steps to train", say::count(steps)));
        for one in runs.iter().take(NAMED) {
            let word = one.standing.as_ref().map_or("new", |(status, _)| status.word());
            say(format!("  {word:8} {}, {} steps", one.dir.name(), say::count(one.sent.record.steps)));
        }
        if runs.len() > NAMED {
            say(format!("  and {} more", runs.len() - NAMED));
        }
    }
    let mut lines: Vec<String> = Vec::new();
    let mut once = |line: String| {
        if !lines.contains(&line) {
            lines.push(line);
        }
    };
    for one in planned {
        data_of(one).into_iter().for_each(&mut once);
        one.remarks.iter().cloned().for_each(&mut once);
    }
    for name in left_out {
        once(format!("left out: {name}, imported from another program or unreadable there"));
    }
    for line in differences(planned) {
        once(line);
    }
    lines.into_iter().for_each(say);
}

fn data_of(one: &Planned) -> Vec<String> {
    let known = |path: &str| {
        let file = one.sent.came.data.iter().find(|file| file.path == path);
        file.map_or(String::new(), |file| format!("{}, blake3 {:.16}", say::bytes(file.bytes), file.blake3))
    };
    match &one.data {
        Found::Elsewhere { files, .. } => files
            .iter()
            .map(|(name, path)| format!("data: {name} ({}) from {}", known(name), path.display()))
            .collect(),
        Found::InPlace { .. } if !one.is_known => {
            let files = one.sent.came.data.iter();
            files.map(|file| format!("data: {} ({}) in place", file.path, known(&file.path))).collect()
        }
        _ => Vec::new(),
    }
}

/// What of this machine is not as it was where the file comes from.
fn differences(planned: &[Planned]) -> Vec<String> {
    let mut lines = Vec::new();
    let ours = env!("CARGO_PKG_VERSION");
    let libtorch = Program::find().map(|program| program.libtorch).unwrap_or_default();
    let devices = Devices::find();
    let cpu = machine::cpu_name();
    for one in planned.iter().filter(|one| !one.is_known) {
        let came = &one.sent.came;
        if !came.program.is_empty() && came.program != ours {
            lines.push(format!("differs: overnight {} there, {ours} here", came.program));
        }
        let Some(orders) = &came.orders else { continue };
        if !libtorch.is_empty()
            && !orders.libtorch.is_empty()
            && !is_same_libtorch(&orders.libtorch, &libtorch)
        {
            lines.push(format!("differs: libtorch {} there, {libtorch} here", orders.libtorch));
        }
        let (kind, name) = &orders.device;
        let is_here = match kind.as_str() {
            "cpu" => *name == cpu,
            _ => devices.gpus().iter().any(|gpu| gpu.name == *name),
        };
        if !is_here {
            lines.push(format!("differs: trained on {name}, which this machine has not"));
        }
        if one.sent.record.settings.resources.threads.is_none() {
            let threads = say::counted(orders.threads as usize, "thread", "threads");
            lines.push(format!("may differ: it had {threads}, and its settings leave that to the machine"));
        }
    }
    lines
}

/// Holds the runs here against what a report says of them; trains nothing.
///
/// # Errors
/// The report, or a file of a run here, cannot be read.
pub fn verify(workspace: &Workspace, args: &VerifyArgs) -> anyhow::Result<Exit> {
    if args.from.is_some() || args.to.is_some() || args.all {
        text::talk("error: --from, --to and --all go with a run, not with a report, which is compared whole");
        return Ok(Exit::Usage);
    }
    let file = PathBuf::from(&args.run);
    let Sent { runs, from, .. } = sent::read(&file).map_err(AgainError::from)?;
    let mut all: Vec<Compared> = Vec::new();
    for one in &runs {
        all.extend(again::compare(workspace, one)?);
    }
    if args.json.json {
        print_json(&json!({ "file": from.file, "blake3": from.blake3, "runs": all }))?;
    } else {
        all.iter().try_for_each(print)?;
    }
    Ok(exit_of(&all))
}

/// A difference counts most; then what there is nothing to say of.
fn exit_of(all: &[Compared]) -> Exit {
    if all.iter().any(|one| !one.differences.is_empty()) {
        Exit::RunsFailed
    } else if all.iter().all(|one| one.here.is_none()) {
        Exit::NoRun
    } else if all.iter().all(Compared::is_equal) {
        Exit::Success
    } else {
        Exit::TryAgain
    }
}

fn print(one: &Compared) -> io::Result<()> {
    let Compared { experiment, run, rows, checkpoints, values, .. } = one;
    let (bold, red) = (BOLD.render(), RED.render());
    let (bold_end, red_end) = (BOLD.render_reset(), RED.render_reset());
    let Some(here) = &one.here else {
        return text::result(say::plain(&format!(
            "missing {experiment}/{run}: no run here has its identity"
        )));
    };
    let compared = format!(
        "{}, {}, {}",
        say::counted(*rows, "hash of rows", "hashes of rows"),
        say::counted(*checkpoints, "checkpoint", "checkpoints"),
        say::counted(*values, "final value", "final values")
    );
    let name = say::plain(&format!("{experiment}/{here}"));
    if !one.differences.is_empty() {
        text::result(format_args!("{red}differs{red_end} {name} ({compared})"))?;
        let words = one.differences.iter().map(ToString::to_string).chain(one.why.iter().cloned());
        return words
            .map(|words| say::plain(&words))
            .try_for_each(|words| text::result(format_args!("        {words}")));
    }
    if one.is_equal() {
        return text::result(format_args!("{bold}equal{bold_end}   {name} ({compared})"));
    }
    let why = if one.finished { "the file says nothing of how it came out" } else { "not finished here yet" };
    text::result(format_args!("equal so far {name} ({compared}): {why}"))
}
