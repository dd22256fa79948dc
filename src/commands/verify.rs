//! `overnight verify`: whether a part of a run, trained again, gives the same bits.

use super::print_json;
use super::text::{self, BOLD, RED};
use crate::cli::VerifyArgs;
use crate::exit::Exit;
use crate::queue::select;
use crate::run_dir::Workspace;
use crate::run_dir::verdict::Verdict;
use crate::say;
use crate::verify::plan::{PlanError, Wish};
use crate::verify::{self, VerifyError};

/// The exit code says what was found: 1 is a difference and nothing else.
pub fn verify(workspace: &Workspace, args: &VerifyArgs) -> anyhow::Result<Exit> {
    let run = select::run(workspace, &args.run)?;
    let name = format!("{}/{}", run.experiment(), run.name());
    let wish = Wish { from: args.from, to: args.to, all: args.all };
    let tell = |sentence: &str| text::talk(format_args!("{name}: {}", say::plain(sentence)));
    match verify::verify(&run, wish, &tell) {
        Ok(verdict) => {
            if args.json.json {
                print_json(&verdict)?;
            } else {
                print(&name, &verdict)?;
            }
            Ok(if verdict.equal { Exit::Success } else { Exit::Failure })
        }
        Err(error) => {
            let (red, reset) = (RED.render(), RED.render_reset());
            text::talk(format_args!("{red}error:{reset} {name}: {}", say::plain(&error.to_string())));
            Ok(exit_of(&error))
        }
    }
}

fn exit_of(error: &VerifyError) -> Exit {
    match error {
        VerifyError::Imported(_) => Exit::Usage,
        VerifyError::Plan(PlanError::From { .. } | PlanError::To { .. }) => Exit::Usage,
        _ => Exit::TryAgain,
    }
}

fn print(name: &str, verdict: &Verdict) -> std::io::Result<()> {
    let Verdict { from, to, .. } = verdict;
    let compared = format!(
        "{}, {} of metrics.csv, in {}",
        say::counted(verdict.checkpoints as usize, "checkpoint", "checkpoints"),
        say::counted(verdict.rows as usize, "row", "rows"),
        say::duration(verdict.seconds)
    );
    let steps = format!("steps {} to {}", say::count(*from), say::count(*to));
    let Some(difference) = &verdict.difference else {
        let (bold, reset) = (BOLD.render(), BOLD.render_reset());
        return text::result(format_args!("{bold}equal{reset}   {name}: {steps} ({compared})"));
    };
    let (red, reset) = (RED.render(), RED.render_reset());
    text::result(format_args!("{red}differs{reset} {name}: {steps} ({compared})"))?;
    text::result(format_args!("        {}", say::plain(&difference.to_string())))?;
    for why in &verdict.why {
        text::result(format_args!("        {}", say::plain(why)))?;
    }
    Ok(())
}
