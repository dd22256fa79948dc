//! `overnight-worker train RUN_DIR`: trains one run, given its directory, and ends.
//!
//! It reads the run's settings and orders, its data and its own checkpoints; it writes every other file
//! of the run. It knows nothing of the queue, of other runs or of reports.

mod by_hand;
mod checkpoint;
mod claim;
mod data;
mod device;
mod failure;
mod generate;
mod journal;
mod losses;
mod models;
mod optimizer;
mod order;
mod orders;
mod probe;
mod progress;
mod prompted;
mod replay;
mod schedule;
mod signals;
mod step;
mod task;
mod tasks;
mod torch_ext;
mod train;
mod weights;

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

use overnight::run_dir::records::{What, exit};
use overnight::run_dir::{PROTOCOL, RunDir, checkpoint as checkpoints, read};

use failure::Failure;
use journal::append_event;
use orders::Orders;
use train::{Outcome, train};

const USAGE: &str = "usage: overnight-worker train RUN_DIR [--until STEP] | probe RUN_DIR ORDERS | generate RUN_DIR ORDERS | --protocol | --version";
const WRONG_USAGE: u8 = 2;

fn main() -> ExitCode {
    device::set_environment();
    overnight::file_size::survive();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [flag] if flag == "--protocol" => {
            println!("{PROTOCOL}");
            ExitCode::SUCCESS
        }
        [flag] if flag == "--version" => {
            println!(
                "overnight-worker {} (libtorch {})",
                env!("CARGO_PKG_VERSION"),
                device::LIBTORCH_VERSION
            );
            ExitCode::SUCCESS
        }
        [verb, path] if verb == "train" => ExitCode::from(work(Path::new(path), None) as u8),
        [verb, path, flag, step] if verb == "train" && flag == "--until" => match step.parse() {
            Ok(step) => ExitCode::from(work(Path::new(path), Some(step)) as u8),
            Err(error) => {
                eprintln!("overnight-worker: --until {step}: {error}\n{USAGE}");
                ExitCode::from(WRONG_USAGE)
            }
        },
        [verb, path, orders] if verb == "probe" => {
            ExitCode::from(look(Path::new(path), orders, probe::probe))
        }
        [verb, path, orders] if verb == "generate" => {
            ExitCode::from(look(Path::new(path), orders, prompted::generate))
        }
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(WRONG_USAGE)
        }
    }
}

/// Carries out the orders in the run directory, but ends as if asked to after the step `until`. Gives the
/// exit code.
fn work(path: &Path, until: Option<u64>) -> i32 {
    let run = RunDir::new(absolute(path));
    if let Err(error) = signals::listen() {
        return say_failed(&run, None, &Failure::Orders(error.to_string()));
    }
    let prepared = || {
        let record = read::run_record(&run)?;
        let mut orders = Orders::take(&run, &record)?;
        orders.until = until;
        Ok((record, orders))
    };
    let (record, orders) = match prepared() {
        Ok(prepared) => prepared,
        Err(failure) => return say_failed(&run, None, &failure),
    };
    // `tch` panics where it has no other way to say that libtorch failed.
    let result = catch_unwind(AssertUnwindSafe(|| train(&run, &record, &orders, &signals::asked_to_end)))
        .unwrap_or_else(|panic| Err(Failure::Panic(words_of(panic.as_ref()))));
    let (code, why) = match &result {
        Ok(Outcome::Finished) => (exit::FINISHED, "finished".to_owned()),
        Ok(Outcome::Ended) => (exit::ENDED_AS_ASKED, "ended as asked".to_owned()),
        Err(failure) => (say_failed(&run, Some(&orders), failure), failure.to_string()),
    };
    if let Err(error) = orders.ended(&run, code, &why) {
        complain(&error);
    }
    code
}

/// The path from the root, links left as they are: the workspace lies three folders above the run as it
/// was named, which is somewhere else where `runs/` is a link.
fn absolute(path: &Path) -> PathBuf {
    let has_parents = path.components().any(|part| part == Component::ParentDir);
    let found = if has_parents { path.canonicalize() } else { std::path::absolute(path) };
    found.unwrap_or_else(|_| path.to_owned())
}

/// What leaves a run's directory as it is, under orders as JSON and until it is asked to end.
type Look = fn(&RunDir, &str, &dyn Fn() -> bool) -> Result<Outcome, Failure>;

/// Does that. Gives the exit code.
fn look(path: &Path, orders: &str, look: Look) -> u8 {
    let run = RunDir::new(absolute(path));
    let looked = || {
        signals::listen().map_err(|error| Failure::Orders(error.to_string()))?;
        look(&run, orders, &signals::asked_to_end)
    };
    let result = catch_unwind(AssertUnwindSafe(looked))
        .unwrap_or_else(|panic| Err(Failure::Panic(words_of(panic.as_ref()))));
    let code = match result {
        Ok(Outcome::Finished) => exit::FINISHED,
        Ok(Outcome::Ended) => exit::ENDED_AS_ASKED,
        Err(failure) => say_failed(&run, None, &failure),
    };
    code as u8
}

/// Says why, in the run's last event and on standard error. Gives the exit code.
fn say_failed(run: &RunDir, orders: Option<&Orders>, failure: &Failure) -> i32 {
    complain(failure);
    if let Some(orders) = orders {
        let step = match failure {
            Failure::NotFinite(found) => found.step,
            _ => checkpoints::steps(run).last().copied().unwrap_or(0),
        };
        let what = What::Failed { kind: failure.kind(), message: failure.to_string() };
        if let Err(error) = append_event(run, orders.start.attempt, step, what) {
            complain(&error);
        }
    }
    failure.exit_code()
}

/// Standard error is a file of the run: on a full disk it takes nothing, which `eprintln!` would end with a panic
/// and another exit code.
fn complain(about: &dyn std::fmt::Display) {
    drop(writeln!(std::io::stderr(), "overnight-worker: {about}"));
}

fn words_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "a panic without words".to_owned())
}
