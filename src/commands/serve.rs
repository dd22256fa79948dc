//! `overnight serve`: the report on this machine, refreshing while runs go on.

use super::{fresh, text};
use crate::cli::ServeArgs;
use crate::exit::Exit;
use crate::run_dir::Workspace;
use crate::serve::{self, Port, ServeOptions};

/// The port that is tried first.
pub const PORT: u16 = 8990;

pub fn serve(workspace: &Workspace, args: &ServeArgs) -> anyhow::Result<Exit> {
    let options = ServeOptions {
        address: args.address,
        port: args.port.map_or(Port::FreeFrom(PORT), Port::Exactly),
        hosts: args.hosts.clone(),
        ..ServeOptions::default()
    };
    let ready = |server: &serve::Server| {
        // Who started it may not be listening; the address is the usual one then.
        drop(text::result(server.url()));
        if !args.address.is_loopback() {
            text::talk(format_args!("anyone who reaches {} can read this report", args.address));
        }
        if args.open {
            fresh::open(&server.url());
        }
    };
    serve::run(&workspace.reports(), options, ready, |stop, changes| {
        let kept = fresh::keep_fresh(workspace, stop, |outcome| match outcome {
            // What was written is noticed by the server itself, whoever wrote it.
            Ok(_) => changes.set_problem(None),
            Err(error) => changes.set_problem(Some(error.to_string())),
        });
        if let Err(error) = kept {
            text::talk(format_args!("the report is not kept fresh: {error}"));
        }
    })?;
    Ok(Exit::Success)
}
