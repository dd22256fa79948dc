//! How `overnight status` looks: a table, its sum, and what is to be said about bits.

use std::collections::BTreeSet;
use std::io::{self, Write};

use jiff::tz::TimeZone;

use super::{Line, troubles};
use crate::commands::text::{self, Cell, Table};
use crate::curves;

use crate::run_dir::certificate::Verified;
use crate::run_dir::scan;
use crate::runner::view::{self, Facts};
use crate::say;

/// Sentences about the curves of one run; of thousands of metrics nobody reads every one.
const SENTENCES: usize = 12;

/// What is shown of a workspace.
pub struct Shown {
    pub(super) lines: Vec<Line>,
    /// When the batch at work will probably have ended, in Unix seconds.
    pub(super) end: Option<f64>,
    /// What holds for that batch as a whole.
    pub(super) remarks: Vec<String>,
}

impl Shown {
    /// Everything but what concerns single runs and their bits.
    ///
    /// # Errors
    /// `out` is closed or full.
    pub fn print(&self, out: &mut impl Write) -> io::Result<()> {
        self.as_lines().iter().try_for_each(|line| writeln!(out, "{}", line.styled()))?;
        troubles::print(&self.lines, out)?;
        for warning in self.lines.iter().flat_map(|line| &line.warnings) {
            writeln!(out, "warning: {}", say::plain(warning))?;
        }
        Ok(())
    }

    /// The table and its sum.
    pub fn as_lines(&self) -> Vec<view::Line> {
        if self.lines.is_empty() {
            let way = "no runs yet: overnight run experiments/NAME.toml makes some";
            return vec![view::Line::new().plain(way)];
        }
        let mut lines = self.table().lines();
        lines.push(self.summary());
        let remarks = self.remarks.iter().map(|remark| view::Line::new().with(text::BOLD, remark));
        lines.extend(remarks);
        lines
    }

    /// What the curves of each run that was asked for by name did.
    pub fn print_curves(&self, out: &mut impl Write) -> io::Result<()> {
        for line in self.lines.iter().filter(|line| !line.curves.is_empty()) {
            let name = format!("{}/{}", line.experiment, line.run);
            writeln!(out, "\n{}{}{}", text::BOLD.render(), say::plain(&name), text::BOLD.render_reset())?;
            let (told, left_out) = curves::foremost(&line.curves, &line.metric, SENTENCES);
            told.into_iter().try_for_each(|sentence| writeln!(out, "  {}", say::plain(sentence)))?;
            if left_out > 0 {
                let left_out = say::count(left_out as u64);
                writeln!(out, "  {left_out} more: see overnight status {} --json", say::plain(&name))?;
            }
        }
        Ok(())
    }

    /// What is to be said about the bits of each run that was asked for by name.
    pub fn print_certificates(&self, out: &mut impl Write) -> io::Result<()> {
        for line in &self.lines {
            let Some(certificate) = &line.certificate else { continue };
            if certificate.resumed == 0 && certificate.verified == Verified::No {
                continue;
            }
            let name = format!("{}/{}", line.experiment, line.run);
            let hint = match certificate.verified {
                Verified::No => format!(" (overnight verify {name})"),
                _ => String::new(),
            };
            writeln!(out, "{name}: {}{hint}", say::plain(&certificate.sentence()))?;
            for change in &certificate.changes {
                writeln!(out, "    {}", say::plain(change))?;
            }
        }
        Ok(())
    }

    fn table(&self) -> Table {
        let now = scan::now();
        let zone = TimeZone::system();
        // The metric stands in the heading where it is one for all, else beside each value.
        let of_best = self.lines.iter().filter_map(|line| line.best.as_ref());
        let metrics: BTreeSet<&str> = of_best.map(|best| best.metric.as_str()).collect();
        let common = metrics.first().filter(|_| metrics.len() == 1);
        let best_name = common.map_or_else(|| "best>".to_owned(), |metric| format!("best {metric}>"));
        let header = ["run", "state", "step>", "loss>", &best_name, "left>", "ends>", ""];
        let mut table = Table::new(&header).dispensable(&["left", "loss", "ends", &best_name, "step"]);
        for line in &self.lines {
            let (sign, style) = text::status_style(&line.status);
            let step = if line.steps > 0 {
                format!("{}/{}", say::count(line.step), say::count(line.steps))
            } else if line.step > 0 {
                say::count(line.step)
            } else {
                String::new()
            };
            let loss = line.loss.map(|loss| say::value(loss.0)).unwrap_or_default();
            let best = line.best.as_ref().map(|best| match common {
                Some(_) => say::value(best.value),
                None => format!("{} {}", best.metric, say::value(best.value)),
            });
            table.row(vec![
                Cell::new(format!("{}/{}", line.experiment, line.run)),
                Cell::styled(format!("{sign} {}", line.status.word()), style),
                Cell::new(step),
                Cell::new(loss),
                Cell::new(best.unwrap_or_default()),
                Cell::new(line.remaining_seconds.map(say::duration).unwrap_or_default()),
                Cell::new(line.end.map(|end| view::clock(end, now, &zone)).unwrap_or_default()),
                Cell::new(&line.note),
            ]);
        }
        table
    }

    /// How many runs stand where, and when all will have ended.
    fn summary(&self) -> view::Line {
        let mut counts: Vec<(&str, usize)> = Vec::new();
        for line in &self.lines {
            match counts.iter_mut().find(|(word, _)| *word == line.status.word()) {
                Some((_, count)) => *count += 1,
                None => counts.push((line.status.word(), 1)),
            }
        }
        let words: Vec<String> = counts.iter().map(|(word, count)| format!("{count} {word}")).collect();
        let facts = Facts { now: scan::now(), end: self.end, ..Facts::default() };
        let ending = view::ending(&facts, &TimeZone::system());
        let ending = ending.map(|ending| format!("; the batch {ending}")).unwrap_or_default();
        view::Line::new().with(text::BOLD, &words.join(", ")).plain(&ending)
    }
}
