use crate::cli::*;
use crate::exit::Exit;
use crate::run_dir::Workspace;
pub fn run(_: &Workspace, _: &RunArgs) -> anyhow::Result<Exit> {
    anyhow::bail!("not yet")
}
