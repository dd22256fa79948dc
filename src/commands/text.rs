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

/// Rows under a header, columns as wide as they need to be within bounds. Cells may be styled. On a terminal
/// it fits into its width; a program that reads the table gets all of it, whole.
pub struct Table {
    header: Vec<String>,
    right: Vec<bool>,
    rows: Vec<Vec<Cell>>,
    /// Columns that a narrow terminal goes without, first to last.
    dispensable: Vec<usize>,
    /// Room for a line; none where there is no terminal.
    room: Option<usize>,
}

/// No column but the last makes the others' rows wider than this.
const WIDEST: usize = 44;
/// Wide columns, which name things, are made as narrow as this before others are left out.
const FAIR_NAME: usize = 24;
/// And never narrower than this.
const LEAST_NAME: usize = 18;
/// The last column has at least so much room beside the others, or stands below them.
const LEAST_LAST: usize = 24;
/// How far the last column stands from the edge when it is below the others.
const INDENT: usize = 4;
const GAP: usize = 2;

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
    pub fn new(header: &[&str]) -> Table {
        Table {
            right: header.iter().map(|name| name.ends_with('>')).collect(),
            header: header.iter().map(|name| name.trim_end_matches('>').to_owned()).collect(),
            rows: Vec::new(),
            dispensable: Vec::new(),
            room: room(),
        }
    }

    /// With the names of columns that a narrow terminal goes without, the first one first.
    pub fn dispensable(mut self, names: &[&str]) -> Table {
        let place = |name: &&str| self.header.iter().position(|known| known == name.trim_end_matches('>'));
        self.dispensable = names.iter().filter_map(place).collect();
        self
    }

    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// The header and the rows.
    pub fn lines(&self) -> Vec<Line> {
        let layout = self.layout();
        let header = self.header.iter().map(|name| Cell::styled(name, DIM)).collect::<Vec<_>>();
        std::iter::once(&header).chain(&self.rows).flat_map(|row| self.lines_of(row, &layout)).collect()
    }

    pub fn print(&self, out: &mut impl Write) -> std::io::Result<()> {
        self.lines().iter().try_for_each(|line| writeln!(out, "{}", line.styled()))
    }

    fn layout(&self) -> Layout {
        let column = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| width(&cell.text));
            (cells.clone().max().unwrap_or(0), cells.chain([width(&self.header[column])]).max().unwrap_or(0))
        };
        let columns: Vec<(usize, usize)> = (0..self.header.len()).map(column).collect();
        let mut widths: Vec<usize> = columns.iter().map(|(_, width)| *width.min(&WIDEST)).collect();
        let last = self.header.len().saturating_sub(1);
        let mut shown: Vec<usize> = (0..self.header.len()).collect();
        let Some(room) = self.room else { return Layout { shown, widths, last: Last::Open } };
        let of_last = columns.get(last).map_or(0, |(cells, _)| *cells);
        let wanted = of_last.min(LEAST_LAST) + if of_last > 0 { GAP } else { 0 };
        let taken = |shown: &[usize], widths: &[usize]| {
            let before = shown.iter().filter(|column| **column != last);
            before.map(|column| widths[*column] + GAP).sum::<usize>().saturating_sub(GAP)
        };
        // Names can be shortened before anything is left out.
        let shortened: Vec<usize> = widths.iter().map(|width| *width.min(&FAIR_NAME)).collect();
        let empty = (1..last).filter(|column| columns[*column].0 == 0);
        for column in empty.chain(self.dispensable.iter().copied()).collect::<Vec<_>>() {
            if taken(&shown, &shortened) + wanted > room {
                shown.retain(|kept| *kept != column);
            }
        }
        let mut over = (taken(&shown, &widths) + wanted).saturating_sub(room);
        while over > 0 {
            let widest = shown.iter().filter(|column| **column != last).max_by_key(|column| widths[**column]);
            let Some(widest) = widest.copied().filter(|column| widths[*column] > LEAST_NAME) else { break };
            widths[widest] -= 1;
            over -= 1;
        }
        let left = room.saturating_sub(taken(&shown, &widths) + GAP);
        let last = if left >= of_last.min(LEAST_LAST) { Last::Beside(left) } else { Last::Below(room) };
        Layout { shown, widths, last }
    }

    /// The lines of a row: the first, and those that its last cell goes on in.
    fn lines_of(&self, row: &[Cell], layout: &Layout) -> Vec<Line> {
        let Layout { shown, widths, last } = layout;
        let open = self.header.len().saturating_sub(1);
        let wrapped = row.get(open).map(|cell| match last {
            Last::Open => (cell, vec![cell.text.clone()]),
            Last::Beside(room) => (cell, wrapped(&cell.text, *room)),
            Last::Below(room) => (cell, wrapped(&cell.text, room.saturating_sub(INDENT))),
        });
        let is_below = matches!(last, Last::Below(_));
        let end = shown.iter().rposition(|column| {
            row.get(*column).is_some_and(|cell| !cell.text.is_empty()) && !(is_below && *column == open)
        });
        let mut line = Line::new();
        for (place, &column) in shown.iter().enumerate().take(end.map_or(0, |end| end + 1)) {
            let Some(cell) = row.get(column) else { continue };
            let text = match &wrapped {
                Some((_, parts)) if column == open => parts.first().cloned().unwrap_or_default(),
                _ if self.room.is_some() => middle(&cell.text, widths[column]),
                _ => cell.text.clone(),
            };
            let space = " ".repeat(widths[column].saturating_sub(width(&text)));
            let is_end = Some(place) == end;
            let gap = if is_end { "" } else { "  " };
            line = match (self.right[column], is_end) {
                (true, _) => line.plain(&space).with(cell.style, &text).plain(gap),
                (false, true) => line.with(cell.style, &text),
                (false, false) => line.with(cell.style, &text).plain(&space).plain(gap),
            };
        }
        let mut lines = vec![line];
        let Some((cell, parts)) = wrapped else { return lines };
        let before: usize =
            shown.iter().filter(|column| **column != open).map(|column| widths[*column] + GAP).sum();
        let (indent, done) = if is_below { (INDENT, 0) } else { (before, 1) };
        let rest = parts.iter().skip(done).filter(|part| !part.is_empty());
        lines.extend(rest.map(|part| Line::new().plain(&" ".repeat(indent)).with(cell.style, part)));
        lines
    }
}

/// Which columns are shown, how wide, and where the last one stands.
struct Layout {
    shown: Vec<usize>,
    widths: Vec<usize>,
    last: Last,
}

enum Last {
    /// As long as it is.
    Open,
    /// Beside the others, in so many columns.
    Beside(usize),
    /// Below the others, in lines of so many columns.
    Below(usize),
}

/// Columns of the terminal that standard output is, the last one left free, as terminals differ in what
/// they do after it.
fn room() -> Option<usize> {
    let stdout = std::io::stdout();
    let size = stdout.is_terminal().then(|| rustix::termios::tcgetwinsize(&stdout).ok()).flatten()?;
    let columns = if size.ws_col == 0 { 80 } else { usize::from(size.ws_col) };
    Some(columns.saturating_sub(1).max(LEAST_NAME))
}

/// `text` in lines of at most `room` columns, broken between words where that is possible.
fn wrapped(text: &str, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split(' ') {
        let mut word = word.to_owned();
        loop {
            let line = lines.last_mut().expect("there is always a line");
            let gap = usize::from(!line.is_empty());
            if width(line) + gap + width(&word) <= room {
                line.push_str(if gap == 1 { " " } else { "" });
                line.push_str(&word);
                break;
            }
            if !line.is_empty() {
                lines.push(String::new());
                continue;
            }
            // A word that is longer than a line.
            let fits = word
                .char_indices()
                .map(|(at, c)| at + c.len_utf8())
                .take_while(|end| width(&word[..*end]) <= room);
            let end = fits.last().unwrap_or_else(|| word.chars().next().map_or(0, char::len_utf8));
            let rest = word.split_off(end);
            line.push_str(&word);
            if rest.is_empty() {
                break;
            }
            lines.push(String::new());
            word = rest;
        }
    }
    lines
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

    fn narrow(room: usize) -> Vec<String> {
        let header = ["run", "state", "step>", "best val/loss>", ""];
        let mut table = Table::new(&header).dispensable(&["best val/loss", "step"]);
        table.row(
            [
                "shakespeare/lr3e-4-s1-1f3a9c07",
                "○ waiting",
                "10/2,000",
                "1.4712",
                "GPU 0 has 3.1 GiB free, this run took 5.2 GiB",
            ]
            .map(Cell::new)
            .to_vec(),
        );
        table.row(
            ["shakespeare/lr1e-3-s1-22222222", "✓ finished", "2,000/2,000", "1.4", ""]
                .map(Cell::new)
                .to_vec(),
        );
        Table { room: Some(room), ..table }.lines().iter().map(Line::text).collect()
    }

    #[test]
    fn a_table_fits_into_its_terminal_and_the_reason_is_wrapped() {
        let shown: Vec<String> = [110, 79, 39].iter().flat_map(|room| narrow(*room)).collect();
        insta::assert_snapshot!(shown.join("\n"), @r"
        run                             state              step  best val/loss
        shakespeare/lr3e-4-s1-1f3a9c07  ○ waiting      10/2,000         1.4712  GPU 0 has 3.1 GiB free, this run took
                                                                                5.2 GiB
        shakespeare/lr1e-3-s1-22222222  ✓ finished  2,000/2,000            1.4
        run                           state              step
        shakespeare/lr…4-s1-1f3a9c07  ○ waiting      10/2,000  GPU 0 has 3.1 GiB free,
                                                               this run took 5.2 GiB
        shakespeare/lr…3-s1-22222222  ✓ finished  2,000/2,000
        run                 state
        shakespea…1f3a9c07  ○ waiting
            GPU 0 has 3.1 GiB free, this run
            took 5.2 GiB
        shakespea…22222222  ✓ finished
        ");
        for room in 18..120 {
            for line in narrow(room).iter().filter(|_| room >= 34) {
                assert!(width(line) <= room, "{room}: {line}");
            }
            let words = narrow(room).join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(room < 34 || words.contains("took"), "nothing of the reason is lost: {words}");
        }
    }

    #[test]
    fn text_is_broken_between_words_and_a_long_word_within() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("sevenseven 数据数据 x", 5), ["seven", "seven", "数据", "数据", "x"]);
        assert_eq!(wrapped("", 5), [""]);
        assert_eq!(wrapped("ab", 0), ["a", "b"]);
    }

    #[test]
    fn one_long_name_does_not_make_all_rows_as_wide() {
        let printed = |room| {
            let mut table = Table { room, ..Table::new(&["run", "state", "note"]) };
            table.row(vec![
                Cell::new(format!("x/{}", "n".repeat(255))),
                Cell::new("waiting"),
                Cell::new("a"),
            ]);
            table.row(vec![Cell::new("x/s1"), Cell::new("waiting"), Cell::new("b".repeat(90))]);
            table.lines().iter().map(Line::text).collect::<Vec<_>>()
        };
        let (cut, whole) = (printed(Some(160)), printed(None));
        let name = format!("x/{}…{}", "n".repeat(20), "n".repeat(21));
        assert_eq!(cut[1], format!("{name}  waiting  a"));
        assert_eq!(cut[2], format!("x/s1{}  waiting  {}", " ".repeat(40), "b".repeat(90)));
        assert_eq!(whole[1], format!("x/{}  waiting  a", "n".repeat(255)), "programs get the whole name");
        assert_eq!(whole[2], cut[2]);
    }
}
