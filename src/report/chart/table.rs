//! A chart as a table, for those who hear pages: each line's values at the ticks of x, and its extremes.

use serde::Serialize;

use super::axis::Scale;
use super::number::{labels, measured};
use super::{Chart, Point, Prepared};

/// Rows of one table; a chart of more lines says how many more. A listener goes through no more, and the page
/// has its runs in a table that sorts.
pub const MOST_ROWS: usize = 24;

/// Text in rows and columns; the first cell of a row names it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DataTable {
    pub head: Vec<String>,
    pub rows: Vec<Vec<String>>,
    /// Rows that are left out.
    pub more: usize,
}

pub(super) fn of_lines(chart: &Chart, prepared: &[Prepared], x: &Scale) -> DataTable {
    let mut head = vec!["line".to_owned()];
    head.extend(labels(x.ticks()).into_iter().map(|tick| format!("{} {tick}", chart.x.label)));
    head.extend(["lowest", "highest", "last"].map(str::to_owned));
    let row = |one: &Prepared| {
        let mut cells = vec![one.series.label.clone()];
        cells.extend(x.ticks().iter().map(|&tick| at(&one.values, tick)));
        cells.extend(extremes(&one.values, &chart.x.label));
        cells
    };
    // The best line is drawn last and is named first.
    let rows: Vec<Vec<String>> = prepared.iter().rev().take(MOST_ROWS).map(row).collect();
    DataTable { head, more: prepared.len() - rows.len(), rows }
}

/// The last value logged up to there, of a line that reaches it.
fn at(values: &[Point], tick: f64) -> String {
    let before = values.partition_point(|&(x, _)| x <= tick);
    let reaches = values.last().is_some_and(|&(last, _)| last >= tick);
    match values[..before].last() {
        Some(&(_, y)) if reaches => measured(y),
        _ => String::new(),
    }
}

fn extremes(values: &[Point], x_label: &str) -> [String; 3] {
    let finite = || values.iter().filter(|(_, y)| y.is_finite());
    let told = |point: Option<&Point>| {
        point.map_or_else(String::new, |&(x, y)| format!("{} at {x_label} {}", measured(y), measured(x)))
    };
    let lowest = finite().reduce(|low, point| if point.1 < low.1 { point } else { low });
    let highest = finite().reduce(|high, point| if point.1 >= high.1 { point } else { high });
    [told(lowest), told(highest), told(values.last())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_no_value_before_it_begins_and_after_it_ended() {
        let values = [(10.0, 4.0), (20.0, f64::NAN), (30.0, 2.0)];
        let told: Vec<String> = [0.0, 10.0, 25.0, 30.0, 40.0].map(|tick| at(&values, tick)).into();
        assert_eq!(told, ["", "4", "nan", "2", ""]);
        assert_eq!(extremes(&values, "step"), ["2 at step 30", "4 at step 10", "2 at step 30"]);
        assert_eq!(extremes(&[], "step"), ["", "", ""]);
    }
}
