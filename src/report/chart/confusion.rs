//! A confusion matrix: what the model said (columns) about each true class (rows).

use super::backend::{Escaped, TEXT_PX};
use super::number::count;
use super::text_width::text_width;
use super::{DataTable, Drawing};
use std::fmt::Write;

/// Counts by true class and predicted class.
#[derive(Clone, Debug)]
pub struct Confusion {
    pub title: String,
    pub classes: Vec<String>,
    /// One row for each true class, one count for each predicted one. Missing cells count as zero.
    pub counts: Vec<Vec<u64>>,
}

const CELL_PX: usize = 28;
/// Classes that have a name and numbers; of more only the colors are readable.
const LETTERED: usize = 20;
/// Classes that are drawn at all: each pair of them may be a rectangle.
pub const MOST: usize = 100;
/// The plot's width on a phone, in CSS pixels.
const NARROW_PX: f64 = 300.0;
/// Classes of which a phone shows all at once, and the plot's width for more of them.
const MOST_NARROW: usize = 11;
const WIDE_PX: f64 = 560.0;

/// The matrix in words and as a table as well.
pub fn drawing(confusion: &Confusion) -> Drawing {
    Drawing { svg: draw(confusion), json: String::new(), table: table(confusion), lines: 0 }
}

fn table(confusion: &Confusion) -> DataTable {
    let classes = &confusion.classes[..confusion.classes.len().min(LETTERED)];
    let mut head = vec!["true class".to_owned()];
    head.extend(classes.iter().map(|class| format!("taken for {class}")));
    let row = |(index, class): (usize, &String)| {
        let counts =
            (0..classes.len()).map(|column| row_of(confusion, index).get(column).copied().unwrap_or(0));
        [class.clone()].into_iter().chain(counts.map(count)).collect()
    };
    let rows = classes.iter().enumerate().map(row).collect();
    DataTable { head, rows, more: confusion.classes.len() - classes.len() }
}

/// Draws the matrix as one `<svg>` element: each row shaded by its own share, so that a rare class
/// shows as clearly as a frequent one.
fn draw(confusion: &Confusion) -> String {
    let classes = confusion.classes.len().min(MOST);
    let lettered = classes <= LETTERED;
    let cell = if lettered { CELL_PX } else { (560 / classes.max(1)).clamp(3, CELL_PX) };
    let height = classes * cell;
    let mut svg = format!(
        r#"<svg class="chart confusion y{}{}" role="img" height="{height}"><title>{}</title><desc>{}</desc>"#,
        label_room(confusion, lettered),
        if lettered && classes > MOST_NARROW { " scrolls" } else { "" },
        Escaped(&confusion.title),
        Escaped(&in_words(confusion))
    );
    let share_px = narrow_px(classes) / classes.max(1) as f64;
    for row in 0..classes {
        let total: u64 = row_of(confusion, row).iter().fold(0, |sum, &count| sum.saturating_add(count));
        if lettered {
            let _ = write!(
                svg,
                r#"<text x="0" dx="-8" y="{}" text-anchor="end">{}</text>"#,
                row * cell + cell / 2 + 4,
                Escaped(&confusion.classes[row])
            );
        }
        for column in 0..classes {
            let value = row_of(confusion, row).get(column).copied().unwrap_or(0);
            draw_cell(&mut svg, Cell { row, column, value, total, classes, height: cell, lettered });
        }
    }
    if lettered {
        for (column, name) in confusion.classes.iter().take(classes).enumerate() {
            let class = if text_width(name, TEXT_PX) < share_px { "" } else { r#" class="roomy""# };
            let x = (column as f64 + 0.5) * 100.0 / classes as f64;
            let _ = write!(
                svg,
                r#"<text{class} x="{x:.2}%" y="{height}" dy="15" text-anchor="middle">{}</text>"#,
                Escaped(name)
            );
        }
    }
    svg.push_str("</svg>");
    svg
}

struct Cell {
    row: usize,
    column: usize,
    value: u64,
    total: u64,
    classes: usize,
    /// In CSS pixels.
    height: usize,
    lettered: bool,
}

fn draw_cell(svg: &mut String, cell: Cell) {
    if cell.value == 0 {
        return;
    }
    let width = 100.0 / cell.classes as f64;
    let (x, y) = (cell.column as f64 * width, cell.row * cell.height);
    // Ink stays readable on every shade, so the darkest stays well below the full color.
    let shade = 0.06 + 0.44 * cell.value as f64 / cell.total.max(1) as f64;
    let class = if cell.row == cell.column { "hit" } else { "miss" };
    let _ = write!(
        svg,
        r#"<rect class="{class}" x="{x:.2}%" y="{y}" width="{width:.2}%" height="{}" fill-opacity="{shade:.2}"/>"#,
        cell.height
    );
    if cell.lettered {
        let text = count(cell.value);
        let fits = text_width(&text, TEXT_PX) < narrow_px(cell.classes) / cell.classes as f64;
        let (x, y) = (x + width / 2.0, y + cell.height / 2 + 4);
        let mut write = |class: &str, text: &str| {
            let _ = write!(
                svg,
                r#"<text class="cell{class}" x="{x:.2}%" y="{y}" text-anchor="middle">{text}</text>"#
            );
        };
        if fits {
            write("", &text);
        } else {
            write(" roomy", &text);
            write(" scant", &rounded(cell.value));
        }
    }
}

/// The plot's width on a phone: of many classes it is wider than the page, and scrolls.
fn narrow_px(classes: usize) -> f64 {
    if classes > MOST_NARROW { WIDE_PX } else { NARROW_PX }
}

/// A count in four characters, to be read exactly where there is more room.
fn rounded(value: u64) -> String {
    const UNITS: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
    let mut scaled = value as f64;
    let mut unit = 0;
    while scaled >= 999.5 && unit + 1 < UNITS.len() {
        scaled /= 1000.0;
        unit += 1;
    }
    let decimals = usize::from(unit > 0 && scaled < 9.95);
    format!("{scaled:.decimals$}{}", UNITS[unit])
}

fn row_of(confusion: &Confusion, row: usize) -> &[u64] {
    confusion.counts.get(row).map(Vec::as_slice).unwrap_or_default()
}

fn label_room(confusion: &Confusion, lettered: bool) -> usize {
    let names = confusion.classes.iter().filter(|_| lettered);
    let widest = names.map(|name| text_width(name, TEXT_PX)).fold(0.0, f64::max);
    (((widest + 10.0) / 8.0).ceil() as usize).clamp(5, 12)
}

/// Says the most frequent mistakes, which is what one looks for.
fn in_words(confusion: &Confusion) -> String {
    let name = |index: usize| confusion.classes.get(index).map_or("?", String::as_str);
    let cells = confusion.counts.iter().enumerate();
    let mut mistakes: Vec<(u64, usize, usize)> = cells
        .flat_map(|(truth, row)| row.iter().enumerate().map(move |(said, &count)| (count, truth, said)))
        .filter(|&(count, truth, said)| count > 0 && truth != said)
        .collect();
    mistakes.sort_by_key(|&(count, ..)| std::cmp::Reverse(count));
    if mistakes.is_empty() {
        return "True classes in rows, predictions in columns. No mistakes.".into();
    }
    let worst: Vec<String> = mistakes
        .iter()
        .take(5)
        .map(|&(times, truth, said)| format!("{} for {} {} times", name(said), name(truth), count(times)))
        .collect();
    format!("True classes in rows, predictions in columns. Most frequent mistakes: {}.", worst.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digits(counts: Vec<Vec<u64>>) -> Confusion {
        Confusion { title: "Confusion".into(), classes: vec!["cat".into(), "<dog>".into()], counts }
    }

    #[test]
    fn the_description_names_the_most_frequent_mistake() {
        let svg = draw(&digits(vec![vec![90, 10], vec![2, 98]]));
        assert!(
            svg.contains(
                "Most frequent mistakes: &lt;dog&gt; for cat 10 times, cat for &lt;dog&gt; 2 times."
            )
        );
    }

    #[test]
    fn a_matrix_with_missing_rows_or_no_classes_is_drawn() {
        assert!(draw(&digits(vec![vec![1]])).ends_with("</svg>"));
        assert!(draw(&digits(vec![])).contains("No mistakes."));
        let none = Confusion { title: String::new(), classes: vec![], counts: vec![] };
        assert!(draw(&none).ends_with("</svg>"));
    }

    #[test]
    fn a_large_count_is_rounded_where_its_room_is_small_and_never_left_out() {
        let values = [0, 999, 1_000, 1_049, 9_949, 9_950, 99_499, 999_499, 999_500, u64::MAX];
        let expected = ["0", "999", "1.0k", "1.0k", "9.9k", "10k", "99k", "999k", "1.0M", "18E"];
        assert_eq!(values.map(rounded), expected);
        for classes in [2, 10, 11, 12, 20] {
            let names = (0..classes).map(|class| class.to_string()).collect();
            let counts = vec![vec![12_345; classes]; classes];
            let svg = draw(&Confusion { title: String::new(), classes: names, counts });
            let (all, roomy) = (svg.matches(">12,345<").count(), svg.matches("cell roomy").count());
            assert_eq!((all, svg.matches("cell scant").count()), (classes * classes, roomy), "{classes}");
            assert!(text_width("12k", TEXT_PX) < narrow_px(classes) / classes as f64 || roomy == 0);
            assert_eq!(svg.contains(" scrolls"), classes > MOST_NARROW);
        }
    }

    #[test]
    fn many_classes_are_colors_only() {
        let classes: Vec<String> = (0..100).map(|class| format!("class {class}")).collect();
        let counts = vec![vec![1; 100]; 100];
        let svg = draw(&Confusion { title: "Confusion".into(), classes, counts });
        assert!(!svg.contains("<text") && svg.matches("<rect").count() == 10_000);
    }
}
