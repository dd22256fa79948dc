use crate::cli::*;
use crate::exit::Exit;
use crate::run_dir::Workspace;
pub fn report(_: &Workspace, _: &ReportArgs) -> anyhow::Result<Exit> {
    anyhow::bail!("not yet")
}
