//! What of a chart lies beyond its edge: the range shows where lines differ, so first steps and spikes may
//! be cut off. A small sign at the edge and words in the description say so.

use plotters::element::Text;
use plotters::style::text_anchor::HPos;
use std::fmt::Write;

use super::axis::Scale;
use super::backend::{Ink, Role};
use super::number::measured;
use super::series::Point;
use super::{Area, Prepared, lettering};

/// The farthest value of one line beyond one edge.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cut<'a> {
    label: &'a str,
    number: u16,
    at: Point,
    edge: Edge,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edge {
    Top,
    Bottom,
}

/// Signs nearer to each other than this stand for each other, in CSS pixels.
const APART_PX: f64 = 14.0;

/// A sign at the edge where a line is farthest beyond it.
pub(super) fn draw(area: &Area, cuts: &[Cut], x: &Scale, y: &Scale, width_px: f64) {
    let mut drawn: Vec<(Edge, f64)> = Vec::new();
    for cut in cuts {
        let place = x.fraction(cut.at.0) * width_px;
        if drawn.iter().any(|(edge, other)| *edge == cut.edge && (place - other).abs() < APART_PX) {
            continue;
        }
        drawn.push((cut.edge, place));
        let (role, edge, sign) = match cut.edge {
            Edge::Top => (Role::CutAbove, y.high(), "▴"),
            Edge::Bottom => (Role::CutBelow, y.low(), "▾"),
        };
        let mut style = lettering(role, HPos::Center);
        let ink = Ink { role, series: cut.number };
        style.color = plotters::style::Color::to_backend_color(&ink.color());
        let _ = area.draw(&Text::new(sign, (cut.at.0, edge), style));
    }
}

/// ` Cut off above: train, up to 10.9 at step 10.` Of several lines the farthest is named.
pub(super) fn in_words(cuts: &[Cut], x_label: &str) -> String {
    let mut text = String::new();
    for (edge, side, end, outward) in
        [(Edge::Top, "above", "up to", 1.0), (Edge::Bottom, "below", "down to", -1.0)]
    {
        let there = || cuts.iter().filter(|cut| cut.edge == edge);
        let farther = |one: &&Cut, other: &&Cut| (one.at.1 * outward).total_cmp(&(other.at.1 * outward));
        let Some(Cut { label, at, .. }) = there().max_by(farther) else { continue };
        let (value, place) = (measured(at.1), measured(at.0));
        let who = match there().count() {
            1 => (*label).to_owned(),
            lines => format!("{lines} lines, the farthest {label}"),
        };
        let _ = write!(text, " Cut off {side}: {who}, {end} {value} at {x_label} {place}.");
    }
    text
}

/// The farthest values beyond the edges, of each line.
pub(super) fn of<'a>(prepared: &[Prepared<'a>], x: &Scale, y: &Scale) -> Vec<Cut<'a>> {
    let mut cuts = Vec::new();
    for one in prepared {
        let (mut above, mut below): (Option<Point>, Option<Point>) = (None, None);
        let shown = |(at, value): &&Point| value.is_finite() && (x.low()..=x.high()).contains(at);
        for &point in one.values.iter().filter(shown) {
            if point.1 > y.high() && above.is_none_or(|farthest| point.1 >= farthest.1) {
                above = Some(point);
            }
            if point.1 < y.low() && below.is_none_or(|farthest| point.1 <= farthest.1) {
                below = Some(point);
            }
        }
        for (edge, farthest) in [(Edge::Top, above), (Edge::Bottom, below)] {
            let (label, number) = (one.series.label.as_str(), one.series.number);
            cuts.extend(farthest.map(|at| Cut { label, number, at, edge }));
        }
    }
    cuts
}

#[cfg(test)]
mod tests {
    use super::super::*;

    fn chart(range: Range) -> Chart {
        let points: Vec<Point> = (1..=400)
            .map(|step| (f64::from(step), if step < 4 { 40.0 } else { 1.0 + 1.0 / f64::from(step) }))
            .collect();
        let series = Series {
            label: "train".into(),
            number: 2,
            points,
            weight: Weight::Plain,
            form: Form::AsIs,
            origin: Origin::default(),
        };
        let axis = |label: &str, range| Axis {
            label: label.into(),
            spread: Spread::Linear,
            range,
            counted: Counted::Steps,
        };
        Chart {
            title: "Loss".into(),
            subtitle: String::new(),
            x: axis("step", Range::All),
            y: axis("loss", range),
            series: vec![series],
            bands: Vec::new(),
            told: String::new(),
            events: Vec::new(),
            size: Size::Half,
        }
    }

    #[test]
    fn what_lies_beyond_the_edge_has_a_sign_and_is_told() {
        let svg = draw(&chart(Range::Telling)).svg;
        assert_eq!(svg.matches("▴").count(), 1, "{svg}");
        assert!(svg.contains(r#"class="cut c3""#), "{svg}");
        assert!(svg.contains("Cut off above: train, up to 40 at step "), "{svg}");
        let below = draw(&chart(Range::Fixed(10.0, 50.0))).svg;
        assert!(below.contains("▾") && below.contains("Cut off below: train, down to 1.00"), "{below}");
    }

    #[test]
    fn a_chart_that_shows_everything_has_none() {
        let svg = draw(&chart(Range::All)).svg;
        assert!(!svg.contains("cut"), "{svg}");
        assert!(!svg.contains("Cut off"), "{svg}");
    }
}
