//! A chart in words, for those who do not see it and for whoever copies it as text.

use super::axis::Scale;
use super::number::measured;
use super::{Chart, Point, Prepared};
use std::fmt::Write;

/// Lines described one by one; a chart of more says how many more.
const DESCRIBED: usize = 8;
const EVENTS_NAMED: usize = 6;

/// What the chart shows: its axes, what is told of its lines, else each line's start, end and extremes,
/// its events.
pub(super) fn in_words(chart: &Chart, prepared: &[Prepared], x: &Scale) -> String {
    let mut text = String::new();
    if !chart.subtitle.is_empty() {
        let _ = write!(text, "{}. ", chart.subtitle.trim_end_matches('.'));
    }
    let shown: Vec<&Prepared> = prepared.iter().filter(|one| !one.values.is_empty()).collect();
    if shown.is_empty() {
        text.push_str("No values yet.");
        return text;
    }
    let _ = write!(
        text,
        "{} by {}, from {} to {}.",
        chart.y.label,
        chart.x.label,
        measured(x.low()),
        measured(x.high())
    );
    if !chart.told.is_empty() {
        let _ = write!(text, " {}", chart.told);
    } else {
        for one in shown.iter().take(DESCRIBED) {
            let _ = write!(text, " {}: {}.", one.series.label, line(&one.values, &chart.x.label));
        }
    }
    if chart.told.is_empty() && shown.len() > DESCRIBED {
        let _ = write!(text, " And {} more.", shown.len() - DESCRIBED);
    }
    for event in chart.events.iter().take(EVENTS_NAMED) {
        let _ = write!(text, " {} at {} {}.", event.word, chart.x.label, measured(event.x));
    }
    text
}

fn line(values: &[Point], x_label: &str) -> String {
    let finite: Vec<Point> = values.iter().copied().filter(|(_, y)| y.is_finite()).collect();
    let (Some(first), Some(last)) = (finite.first(), finite.last()) else {
        return "no finite value".into();
    };
    let by_value = |one: &&Point, other: &&Point| one.1.total_cmp(&other.1);
    let mut text = match finite.len() {
        1 => format!("one value, {} at {x_label} {}", measured(first.1), measured(first.0)),
        _ => format!("from {} to {}", measured(first.1), measured(last.1)),
    };
    if let (Some(lowest), Some(highest)) = (finite.iter().min_by(by_value), finite.iter().max_by(by_value))
        && finite.len() > 1
    {
        let _ = write!(text, ", lowest {} at {x_label} {}", measured(lowest.1), measured(lowest.0));
        let _ = write!(text, ", highest {} at {x_label} {}", measured(highest.1), measured(highest.0));
    }
    let lost = values.len() - finite.len();
    if lost > 0 {
        let _ = write!(text, ", {lost} not finite");
    }
    text
}
