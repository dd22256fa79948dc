//! Under the table of `overnight status`: what happened to the runs that need somebody, and what to do. One
//! mistake in an experiment fails all of its runs, so what failed alike is told once.

use std::io::{self, Write};

use super::{Line, Trouble};
use crate::commands::text;
use crate::run_dir::Status;
use crate::say;

/// Causes that have their last words under the table, where all are listed.
const MOST: usize = 8;
/// Of runs that failed alike, so many are named.
const NAMED: usize = 4;

/// Runs of one experiment with the same trouble.
struct Alike<'a> {
    trouble: &'a Trouble,
    runs: Vec<&'a Line>,
}

/// # Errors
/// `out` is closed or full.
pub fn print(lines: &[Line], out: &mut impl Write) -> io::Result<()> {
    let all = alike(lines);
    for Alike { trouble: Trouble { words, advice, log, .. }, runs } in all.iter().take(MOST) {
        let heading = say::plain(&heading(runs));
        writeln!(out, "\n{}{heading}{}: {words}", text::RED.render(), text::RED.render_reset())?;
        if runs.len() > 1 {
            writeln!(out, "  {}", say::plain(&names(runs)))?;
        }
        for said in log {
            writeln!(out, "  {}| {}{}", text::DIM.render(), say::plain(said), text::DIM.render_reset())?;
        }
        writeln!(out, "  what to do: {}", say::plain(advice))?;
    }
    match all.iter().skip(MOST).map(|alike| alike.runs.len()).sum::<usize>() {
        0 => Ok(()),
        more => writeln!(out, "\nand {more} more: overnight status RUN"),
    }
}

/// The runs that need somebody, by experiment and cause, in the order of the table.
fn alike(lines: &[Line]) -> Vec<Alike<'_>> {
    let mut all: Vec<Alike> = Vec::new();
    let bad =
        lines.iter().filter(|line| matches!(line.status, Status::Failed { .. } | Status::Killed { .. }));
    for (line, trouble) in bad.filter_map(|line| Some((line, line.trouble.as_ref()?))) {
        let is_like = |known: &&mut Alike| {
            known.trouble.words == trouble.words
                && known.runs.iter().any(|run| run.experiment == line.experiment && run.note == line.note)
        };
        match all.iter_mut().find(is_like) {
            Some(known) => known.runs.push(line),
            None => all.push(Alike { trouble, runs: vec![line] }),
        }
    }
    all
}

fn heading(runs: &[&Line]) -> String {
    match runs {
        [line] => format!("{}/{}", line.experiment, line.run),
        [first, ..] => format!("{}: {} runs, the same cause", first.experiment, runs.len()),
        [] => String::new(),
    }
}

/// `s1-1f3a9c07 (its last words follow), s2-..., s3-... and 4 more`.
fn names(runs: &[&Line]) -> String {
    let named: Vec<&str> = runs.iter().take(NAMED).map(|line| line.run.as_str()).collect();
    let more = match runs.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}; the last words of the first:", named.join(", "))
}
