//! `overnight report`: builds the pages once, or whenever something changes.

use std::sync::atomic::AtomicBool;

use super::{fresh, text};
use crate::cli::ReportArgs;
use crate::exit::Exit;
use crate::report::{Report, Scope};
use crate::run_dir::Workspace;

static STOP: AtomicBool = AtomicBool::new(false);

pub fn report(workspace: &Workspace, args: &ReportArgs) -> anyhow::Result<Exit> {
    let index = workspace.reports().join("index.html");
    if args.watch {
        fresh::stop_when_asked(&STOP)?;
        let (mut failing, mut warned) = (false, None);
        fresh::keep_fresh(workspace, &STOP, |outcome| {
            // A failure that lasts is said once.
            if let (Err(error), false) = (outcome, failing) {
                text::talk(format_args!("the report was not built: {error}"));
            }
            failing = outcome.is_err();
            // So is a theme that does not work.
            if let Ok(built) = outcome
                && built.warning != warned
            {
                warned.clone_from(&built.warning);
                built.warning.iter().for_each(text::talk);
            }
        })?;
        return Ok(Exit::Success);
    }
    let mut report = if args.cold { Report::anew(workspace.root()) } else { Report::open(workspace.root()) };
    let built = report.refresh(&Scope::All)?;
    if let Some(warning) = &built.warning {
        text::talk(warning);
    }
    text::talk(format_args!("{} runs, {} pages made anew", built.runs, built.changed_runs));
    text::result(index.display())?;
    if args.open {
        fresh::open(&index.to_string_lossy());
    }
    Ok(Exit::Success)
}
