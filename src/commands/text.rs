//! How the commands print: tables, colors, measured values.

use std::fmt::Display;
use std::io::Write;

use anstyle::{AnsiColor, Style};

use crate::run_dir::Status;
use crate::say::plain;

pub const RED: Style = AnsiColor::Red.on_default().bold();
pub const BOLD: Style = Style::new().bold();
pub const DIM: Style = Style::new().dimmed();

/// A line of the result, on standard output.
///
/// # Errors
/// Standard output is closed or full; the macros that print panic when it is full.
pub fn result(line: impl Display) -> std::io::Result<()> {
    writeln!(anstream::stdout().lock(), "{line}")
}

/// A line of talk, on standard error. Nothing depends on whether anybody listens.
pub fn talk(line: impl Display) {
    drop(writeln!(anstream::stderr().lock(), "{line}"));
}

/// A sign and a color for each state; the word always stands beside them.
pub fn status_style(status: &Status) -> (&'static str, Style) {
    match status {
        Status::Finished => ("✓", AnsiColor::Green.on_default()),
        Status::Running { .. } => ("▸", AnsiColor::Blue.on_default()),
        Status::Failed { .. } | Status::Killed { .. } | Status::Unreadable { .. } => ("✕", RED),
        Status::Paused | Status::Stopped | Status::Skipped { .. } => ("‖", AnsiColor::Yellow.on_default()),
        Status::Waiting { .. } | Status::Lost => ("○", Style::new()),
    }
}

/// Rows under a header, columns as wide as they need to be. Cells may be styled; the last column is
/// as long as it is.
pub struct Table {
    header: Vec<&'static str>,
    right: Vec<bool>,
    rows: Vec<Vec<Cell>>,
}

/// One cell of a table.
#[derive(Clone, Default)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    pub fn new(text: impl Into<String>) -> Cell {
        Cell { text: plain(&text.into()), style: Style::new() }
    }

    pub fn styled(text: impl Into<String>, style: Style) -> Cell {
        Cell { style, ..Cell::new(text) }
    }
}

impl Table {
    /// Names of columns; those that end with `>` stand to the right.
    pub fn new(header: &[&'static str]) -> Table {
        Table {
            right: header.iter().map(|name| name.ends_with('>')).collect(),
            header: header.iter().map(|name| name.trim_end_matches('>')).collect(),
            rows: Vec::new(),
        }
    }

    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    pub fn print(&self, out: &mut impl Write) -> std::io::Result<()> {
        let width = |column: usize| {
            let cells =
                self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.text.chars().count());
            cells.chain([self.header[column].chars().count()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.header.len()).map(width).collect();
        let header = self.header.iter().map(|name| Cell::styled(*name, DIM)).collect::<Vec<_>>();
        for row in std::iter::once(&header).chain(&self.rows) {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let space = " ".repeat(widths[column].saturating_sub(cell.text.chars().count()));
                let styled = format!("{}{}{}", cell.style.render(), cell.text, cell.style.render_reset());
                let is_last = column + 1 == row.len();
                match (self.right[column], is_last) {
                    (true, _) => line.push_str(&format!("{space}{styled}  ")),
                    (false, true) => line.push_str(&styled),
                    (false, false) => line.push_str(&format!("{styled}{space}  ")),
                }
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_line_up_and_hostile_text_stays_text() {
        let mut table = Table::new(&["run", "steps>", "note"]);
        table.row(vec![Cell::new("lr1e-3"), Cell::new("5"), Cell::new("fine")]);
        table.row(vec![Cell::new("x\x1b[31m"), Cell::new("1,000"), Cell::default()]);
        let mut out = anstream::StripStream::new(Vec::new());
        table.print(&mut out).unwrap();
        let text = String::from_utf8(out.into_inner()).unwrap();
        assert_eq!(text, "run     steps  note\nlr1e-3      5  fine\nx\u{fffd}[31m  1,000\n");
    }
}
