//! The verbs: each takes what was typed, calls the parts, and prints. Results go to standard output,
//! talk to standard error.

mod again;
mod check;
mod clean;
mod compare;
mod detach;
mod doctor;
mod export;
mod fits;
mod fresh;
mod generate;
mod import;
mod init;
mod junit;
mod logs;
mod merge;
mod person;
mod place;
mod plan;
mod report;
mod requests;
mod run;
mod serve;
mod status;
mod text;
mod verify;
mod watch;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::CommandFactory;

use crate::again::AgainError;
use crate::cli::{Cli, SchemaOf, Verb};
use crate::exit::Exit;
use crate::experiment::Rejected;
use crate::experiment::schema::schema;
use crate::queue::QueueError;
use crate::queue::select::SelectError;
use crate::runner::RunnerError;
use crate::workspace_settings;
use place::Place;

/// Does what was typed. Errors are printed here, once.
pub fn carry_out(cli: Cli) -> Exit {
    match verb(cli) {
        Ok(exit) => exit,
        // Whoever reads our output has seen enough: `overnight status | head`.
        Err(error) if is_closed_pipe(&error) => Exit::Success,
        Err(error) => {
            text::talk(format_args!("{}error:{} {error:#}", text::RED.render(), text::RED.render_reset()));
            exit_of(&error)
        }
    }
}

fn verb(cli: Cli) -> anyhow::Result<Exit> {
    if matches!(&cli.verb, Verb::Run(args) if args.detach) {
        return detach::detach(&cli);
    }
    if let Some(directory) = &cli.directory {
        std::env::set_current_dir(directory)
            .map_err(|error| anyhow::anyhow!("cannot work in {}: {error}", directory.display()))?;
    }
    let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    let Place { workspace, is_above, is_new } = place::of(&cli, &here)?;
    if is_above {
        text::talk(format_args!("workspace: {}", workspace.root().display()));
    }
    match cli.verb {
        Verb::Init(args) => init::init(&args),
        Verb::Check(args) => check::check(&workspace, &args),
        Verb::Plan(args) => plan::plan(&workspace, &args),
        Verb::Run(args) => run::run(&workspace, &args),
        Verb::Queue(args) => plan::queue(&workspace, &args),
        Verb::Status(args) => status::status(&workspace, &args),
        Verb::Logs(args) => logs::logs(&workspace, &args),
        Verb::Pause(args) => requests::pause(&workspace, &args),
        Verb::Resume(args) => requests::resume(&workspace, &args),
        Verb::Stop(args) => requests::stop(&workspace, &args),
        Verb::Retry(args) => requests::retry(&workspace, &args),
        Verb::Priority(args) => requests::priority(&workspace, &args),
        Verb::Drain(args) => requests::drain(&workspace, args),
        Verb::Generate(args) => generate::generate(&workspace, &args),
        Verb::Verify(args) => verify::verify(&workspace, &args),
        Verb::Report(args) => report::report(&workspace, &args),
        Verb::Serve(args) => serve::serve(&workspace, &args),
        Verb::Export(args) => export::export(&workspace, &args),
        Verb::Merge(args) => merge::merge(&workspace, &args),
        Verb::Import(args) => {
            if is_new && !args.dry_run {
                text::talk(format_args!(
                    "no workspace is here or above: a new one is made in {} (-C DIR names another)",
                    workspace.root().display()
                ));
            }
            import::import(&workspace, &args)
        }
        Verb::Compare(args) => compare::compare(&workspace, &args),
        Verb::Clean(args) => clean::clean(&workspace, &args),
        Verb::Doctor(args) => doctor::doctor(&workspace, &args),
        Verb::Schema(args) => {
            print_json(&match args.of {
                SchemaOf::Experiment => schema(),
                SchemaOf::Workspace => workspace_settings::schema::schema(),
            })?;
            Ok(Exit::Success)
        }
        Verb::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "overnight", &mut script);
            io::stdout().write_all(&script)?;
            Ok(Exit::Success)
        }
    }
}

fn exit_of(error: &anyhow::Error) -> Exit {
    if error.downcast_ref::<SelectError>().is_some() {
        return Exit::NoRun;
    }
    if error.downcast_ref::<Rejected>().is_some() {
        return Exit::Rejected;
    }
    if error.downcast_ref::<AgainError>().is_some_and(|error| !matches!(error, AgainError::Io(_))) {
        return Exit::Rejected;
    }
    if let Some(error) = error.downcast_ref::<RunnerError>() {
        return error.exit();
    }
    match error.downcast_ref::<QueueError>() {
        Some(QueueError::Rejected(_) | QueueError::DataChanged { .. }) => Exit::Rejected,
        _ => Exit::Failure,
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// A result for programs: one JSON document on standard output.
fn print_json<T: serde::Serialize>(value: &T) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value).map_err(io::Error::from)?;
    writeln!(out)?;
    Ok(())
}
