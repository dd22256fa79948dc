//! How the commands print: tables, colors, measured values.

use std::fmt::Display;
use std::io::{IsTerminal, Write};

use anstyle::{AnsiColor, Style};

use crate::run_dir::Status;
use crate::runner::view::{Line, middle, width};
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
        Status::Failed { .. }
        | Status::NeedFailed { .. }
        | Status::Killed { .. }
        | Status::Unreadable { .. } => ("✕", RED),
        Status::Paused | Status::Stopped | Status::Skipped { .. } => ("‖", AnsiColor::Yellow.on_default()),
        Status::Waiting { .. } | Status::Lost => ("○", Style::new()),
    }
}

/// Rows under a header, columns as wide as they need to be within bounds. Cells may be styled; the last
/// column is as long as it is.
pub struct Table {
    header: Vec<&'static str>,
    right: Vec<bool>,
    rows: Vec<Vec<Cell>>,
    /// On a terminal long cells are cut; a program that reads the table wants them whole.
    is_cut: bool,
}

/// No column but the last makes the others' rows wider than this.
const WIDEST: usize = 44;

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
            is_cut: std::io::stdout().is_terminal(),
        }
    }

    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// The header and the rows.
    pub fn lines(&self) -> Vec<Line> {
        let column = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| width(&cell.text));
            cells.chain([width(self.header[column])]).max().unwrap_or(0).min(WIDEST)
        };
        let widths: Vec<usize> = (0..self.header.len()).map(column).collect();
        let header = self.header.iter().map(|name| Cell::styled(*name, DIM)).collect::<Vec<_>>();
        std::iter::once(&header).chain(&self.rows).map(|row| self.line(row, &widths)).collect()
    }

    pub fn print(&self, out: &mut impl Write) -> std::io::Result<()> {
        self.lines().iter().try_for_each(|line| writeln!(out, "{}", line.styled()))
    }

    fn line(&self, row: &[Cell], widths: &[usize]) -> Line {
        let last = row.iter().rposition(|cell| !cell.text.is_empty()).unwrap_or(0);
        let mut line = Line::new();
        for (column, cell) in row.iter().enumerate().take(last + 1) {
            let is_open = column + 1 == self.header.len();
            let text = if self.is_cut && !is_open { middle(&cell.text, WIDEST) } else { cell.text.clone() };
            let space = " ".repeat(widths[column].saturating_sub(width(&text)));
            let gap = if column == last { "" } else { "  " };
            line = match (self.right[column], column == last) {
                (true, _) => line.plain(&space).with(cell.style, &text).plain(gap),
                (false, true) => line.with(cell.style, &text),
                (false, false) => line.with(cell.style, &text).plain(&space).plain(gap),
            };
        }
        line
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

    #[test]
    fn one_long_name_does_not_make_all_rows_as_wide() {
        let printed = |is_cut| {
            let mut table = Table { is_cut, ..Table::new(&["run", "state", "note"]) };
            table.row(vec![
                Cell::new(format!("x/{}", "n".repeat(255))),
                Cell::new("waiting"),
                Cell::new("a"),
            ]);
            table.row(vec![Cell::new("x/s1"), Cell::new("waiting"), Cell::new("b".repeat(90))]);
            table.lines().iter().map(Line::text).collect::<Vec<_>>()
        };
        let (cut, whole) = (printed(true), printed(false));
        let name = format!("x/{}…{}", "n".repeat(20), "n".repeat(21));
        assert_eq!(cut[1], format!("{name}  waiting  a"));
        assert_eq!(cut[2], format!("x/s1{}  waiting  {}", " ".repeat(40), "b".repeat(90)));
        assert_eq!(whole[1], format!("x/{}  waiting  a", "n".repeat(255)), "programs get the whole name");
        assert_eq!(whole[2], cut[2]);
    }
}
