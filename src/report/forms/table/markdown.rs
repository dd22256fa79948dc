//! A table for Markdown, as GitHub and Pandoc read it. What names hold is escaped.

use serde_json::Value;

use super::number::said;
use super::{Cell, Grid};
use crate::experiment::identity::short;
use crate::experiment::metric::Direction;
use crate::say::is_hidden;

pub fn head(made: &str) -> String {
    // Two hyphens would end the comment.
    format!("<!-- {} -->\n", made.replace("--", "- -"))
}

pub fn table(grid: &Grid) -> String {
    let (heads, rows) = cells(grid);
    let escaped_row = |row: &[String]| format!("| {} |\n", row.join(" | "));
    let heads: Vec<String> = heads.iter().map(|head| escaped(head)).collect();
    let sides = grid.settings.iter().map(|_| ":--").chain(grid.metrics.iter().map(|_| "--:")).chain(["--:"]);
    let mut text = format!("\n**{}**\n\n", escaped(&grid.experiment)) + &escaped_row(&heads);
    text += &format!("| {} |\n", sides.collect::<Vec<_>>().join(" | "));
    for (row, plain) in grid.rows.iter().zip(rows) {
        let decided = |at: usize| {
            let cell = at.checked_sub(grid.settings.len() + 1).and_then(|at| row.cells.get(at)?.as_ref());
            cell.is_some_and(|cell| cell.is_decided)
        };
        let cells = plain
            .iter()
            .enumerate()
            .map(|(at, cell)| if decided(at) { format!("**{}**", escaped(cell)) } else { escaped(cell) });
        text += &escaped_row(&cells.collect::<Vec<_>>());
    }
    let notes = ["Mean ± standard deviation over seeds".to_owned()].into_iter().chain(grid.notes.clone());
    let notes: Vec<String> = notes.map(|note| escaped(&note)).collect();
    text + "\n" + &notes.join("; ") + ".\n"
}

/// Heads and cells as plain text, which other forms show too.
pub fn cells(grid: &Grid) -> (Vec<String>, Vec<Vec<String>>) {
    let metrics = grid.metrics.iter().map(|metric| {
        let unit = if metric.unit.is_empty() { String::new() } else { format!(" ({})", metric.unit) };
        let way = match metric.direction {
            Direction::Lower => " ↓",
            Direction::Higher => " ↑",
            Direction::Neither => "",
        };
        format!("{}{unit}{way}", metric.title)
    });
    let heads = grid.settings.iter().cloned().chain(["Seeds".to_owned()]).chain(metrics).collect();
    let rows = grid.rows.iter().map(|row| {
        let settings = row.settings.iter().map(|value| setting(value.as_ref()));
        let cells = row.cells.iter().map(|cell| cell.as_ref().map_or_else(|| "–".to_owned(), measured));
        settings.chain([row.seeds.to_string()]).chain(cells).collect()
    });
    (heads, rows.collect())
}

fn setting(value: Option<&Value>) -> String {
    value.filter(|value| !value.is_null()).map_or_else(|| "–".into(), short)
}

fn measured(cell: &Cell) -> String {
    let said = said(cell.mean, cell.spread);
    let power = said.power.map_or_else(String::new, |power| format!("e{power}"));
    match said.spread {
        None => said.mean + &power,
        Some(spread) if power.is_empty() => format!("{} ± {spread}", said.mean),
        Some(spread) => format!("({} ± {spread}){power}", said.mean),
    }
}

/// Text as it stands, in one line.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for sign in text.chars() {
        match sign {
            '<' => out += "&lt;",
            '&' => out += "&amp;",
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '#' | '|' | '~' | '$' => {
                out.extend(['\\', sign])
            }
            sign if sign.is_control() => out.push(' '),
            sign if is_hidden(sign) => {}
            sign => out.push(sign),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::sample_grid;
    use super::*;

    #[test]
    fn a_table_has_escaped_names_and_bold_where_it_is_decided() {
        let expected = r"
**tiny\_gpt**

| train.optimizer.lr | model.kind | Seeds | Validation loss ↓ | Tokens per second (1/s) ↑ |
| :-- | :-- | --: | --: | --: |
| 3e-4 | gpt | 3 | **1.471 ± 0.012** | 41230 ± 320 |
| 0.01 | a\|b\_&amp; | 3 | 1.600 | – |

Mean ± standard deviation over seeds; bold: ahead of all others with 95 % confidence.
";
        assert_eq!(table(&sample_grid()), expected);
    }

    #[test]
    fn no_name_leaves_its_cell_or_becomes_markup() {
        assert_eq!(escaped("a|b\n<script>*x*"), "a\\|b &lt;script>\\*x\\*");
        assert_eq!(escaped("\u{202e}a\\_[x](y)&"), "a\\\\\\_\\[x\\](y)&amp;");
        assert_eq!(head("a --> b"), "<!-- a - -> b -->\n");
    }
}
