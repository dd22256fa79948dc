//! `overnight doctor`: what this machine lacks, and what to do about it.

use std::io::Write;

use super::print_json;
use crate::cli::JsonArgs;
use crate::doctor::{Diagnosis, observe};
use crate::exit::Exit;
use crate::run_dir::Workspace;
use crate::runner::devices::Devices;

pub fn doctor(workspace: &Workspace, args: &JsonArgs) -> anyhow::Result<Exit> {
    let diagnosis = Diagnosis::of(observe(workspace, &Devices::find()));
    if args.json {
        print_json(&diagnosis)?;
    } else {
        write!(anstream::stdout().lock(), "{}", diagnosis.text())?;
    }
    Ok(if diagnosis.is_healthy { Exit::Success } else { Exit::Failure })
}
