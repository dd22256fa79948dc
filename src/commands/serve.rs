use crate::cli::*;
use crate::exit::Exit;
use crate::run_dir::Workspace;
pub fn serve(_: &Workspace, _: &ServeArgs) -> anyhow::Result<Exit> {
    anyhow::bail!("not yet")
}
