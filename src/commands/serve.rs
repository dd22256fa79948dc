//! `overnight serve`: the report on this machine, refreshing while runs go on.

use std::net::IpAddr;

use super::{fresh, text};
use crate::cli::ServeArgs;
use crate::exit::Exit;
use crate::run_dir::Workspace;
use crate::serve::control::role::Role;
use crate::serve::{self, Port, ServeOptions};
use crate::workspace_settings::{ServerSettings, WorkspaceSettings};

/// The port that is tried first.
pub const PORT: u16 = 8990;

/// What `overnight.toml` says of the server.
pub fn options(settings: &ServerSettings) -> ServeOptions {
    let port = if settings.port == 0 { Port::FreeFrom(PORT) } else { Port::Exactly(settings.port) };
    let (hosts, token) = (settings.hosts.clone(), settings.token.clone());
    let people = if settings.control { settings.people.clone() } else { Vec::new() };
    ServeOptions { address: settings.address, port, hosts, token, people, ..ServeOptions::default() }
}

pub fn serve(workspace: &Workspace, args: &ServeArgs) -> anyhow::Result<Exit> {
    if let Some(name) = &args.add_person {
        return super::person::add(workspace, name, args.role.unwrap_or(Role::Viewer));
    }
    let mut options = options(&WorkspaceSettings::read(workspace)?.server);
    options.address = args.address.unwrap_or(options.address);
    options.port = args.port.map_or(options.port, Port::Exactly);
    for name in &args.hosts {
        // Nobody calls a server by these: they mean where to listen.
        match name.parse::<IpAddr>() {
            Ok(every) if every.is_unspecified() => options.address = every,
            _ => options.hosts.push(name.clone()),
        }
    }
    options.token = args.token.clone().or(options.token);
    let ready = |server: &serve::Server| {
        // Who started it may not be listening; the address is the usual one then.
        drop(text::result(server.url()));
        if let Some(url) = server.url_elsewhere() {
            text::talk(format_args!(
                "other machines read this report at {url}; without encryption, so only in a network you trust"
            ));
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
