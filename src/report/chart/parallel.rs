//! Parallel coordinates: an axis for each dimension, a line for each run. Words keep their size at any
//! width; only the lines are stretched.

use std::fmt::Write;

use super::backend::{Escaped, TEXT_PX};
use super::dimension::{Dimension, Placed};
use super::text_width::text_width;

/// Units of the canvas that is stretched.
const CANVAS: f64 = 1000.0;
/// Pixels above the axes, of the axes, and from their foot to the row of those without a value.
const ABOVE: f64 = 26.0;
const HEIGHT: f64 = 220.0;
const EDGE: f64 = 22.0;
/// Shares of the width left of the first axis and right of the last, for its words.
const LEFT: f64 = 0.01;
const RIGHT: f64 = 0.11;
/// Narrower the drawing never is; names are cut to what it leaves.
const NARROWEST_PX: f64 = 560.0;

/// One run's look.
#[derive(Clone, Debug)]
pub struct Line {
    /// As scripts name the run.
    pub key: String,
    pub name: String,
    pub class: String,
    pub is_lead: bool,
}

/// The drawing; the first line is the best run and lies on top.
pub fn draw(title: &str, dimensions: &[Dimension], lines: &[Line]) -> String {
    let placed: Vec<Placed> = dimensions.iter().map(|dimension| dimension.placed(5)).collect();
    let apart = (1.0 - LEFT - RIGHT) / dimensions.len().saturating_sub(1).max(1) as f64;
    let x = |at: usize| LEFT + apart * at as f64;
    let mut svg = format!(r#"<svg class="parallel scrolls" role="group" aria-label="{}">"#, Escaped(title));
    let (mut paths, mut marks) = (String::new(), String::new());
    for (run, line) in lines.iter().enumerate().rev() {
        let places = dimensions.iter().zip(&placed);
        let places: Vec<Option<f64>> = places
            .map(|(one, placed)| placed.fraction(one.values.get(run).copied().unwrap_or(f64::NAN)))
            .collect();
        draw_line(&mut paths, line, &places, x);
        for (at, _) in places.iter().enumerate().filter(|(_, place)| place.is_none()) {
            let _ = write!(
                marks,
                r#"<circle class="gap {}" data-run="{}" cx="{:.2}%" cy="{:.0}" r="3"/>"#,
                Escaped(&line.class),
                Escaped(&line.key),
                x(at) * 100.0,
                ABOVE + HEIGHT + EDGE
            );
        }
    }
    let high = HEIGHT + EDGE;
    let _ = write!(
        svg,
        r#"<svg class="plot" x="0" y="{ABOVE}" width="100%" height="{high}" viewBox="0 0 {CANVAS} {high}" preserveAspectRatio="none">{paths}</svg>{marks}"#
    );
    for (at, (dimension, placed)) in dimensions.iter().zip(&placed).enumerate() {
        draw_axis(&mut svg, dimension, placed, x(at), apart.min(RIGHT * 2.0) * NARROWEST_PX);
    }
    svg + "</svg>"
}

fn draw_line(svg: &mut String, line: &Line, places: &[Option<f64>], x: impl Fn(usize) -> f64) {
    let y = |place: &Option<f64>| place.map_or(HEIGHT + EDGE, |place| (1.0 - place) * HEIGHT);
    let point = |(at, place): (usize, &Option<f64>)| format!("{:.1} {:.1}", x(at) * CANVAS, y(place));
    let path: Vec<String> = places.iter().enumerate().map(point).collect();
    let told = |place: &Option<f64>| place.map_or("-".to_owned(), |place| format!("{place:.4}"));
    let told: Vec<String> = places.iter().map(told).collect();
    let _ = write!(
        svg,
        r#"<path class="line {}{}" data-run="{}" data-at="{}" d="M{}"><title>{}</title></path>"#,
        Escaped(&line.class),
        if line.is_lead { " lead" } else { "" },
        Escaped(&line.key),
        told.join(" "),
        path.join("L"),
        Escaped(&line.name)
    );
}

fn draw_axis(svg: &mut String, dimension: &Dimension, placed: &Placed, x: f64, room: f64) {
    let x = x * 100.0;
    let (low, high) = placed.ends();
    let bottom = ABOVE + HEIGHT;
    let _ = write!(
        svg,
        r#"<g class="axis" data-field="{name}" data-low="{low:e}" data-high="{high:e}" data-log="{log}"><title>{name}</title><text class="name" x="{x:.2}%" y="12">{cut}</text><line x1="{x:.2}%" y1="{ABOVE}" x2="{x:.2}%" y2="{bottom}"/>"#,
        name = Escaped(&dimension.name),
        log = u8::from(dimension.is_log()),
        cut = Escaped(&shortened(&dimension.name, room - 8.0)),
    );
    for (place, word) in placed.ticks() {
        let y = ABOVE + (1.0 - place) * HEIGHT;
        let _ = write!(
            svg,
            r#"<text class="tick" x="{x:.2}%" dx="7" y="{y:.1}" dy="4">{}</text>"#,
            Escaped(&shortened(&word, room - 12.0))
        );
    }
    if dimension.values.iter().any(|value| !value.is_finite()) {
        let _ = write!(svg, r#"<text x="{x:.2}%" dx="7" y="{}" dy="4">no value</text>"#, bottom + EDGE);
    }
    svg.push_str("</g>");
}

/// A text cut to its room, with dots where it goes on.
pub fn shortened(text: &str, room: f64) -> String {
    if text_width(text, TEXT_PX) <= room {
        return text.to_owned();
    }
    let mut kept = String::new();
    for character in text.chars() {
        if text_width(&kept, TEXT_PX) + text_width("w…", TEXT_PX) > room {
            break;
        }
        kept.push(character);
    }
    kept + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(count: usize) -> Vec<Line> {
        let line = |at: usize| Line {
            key: format!("x/{at}"),
            name: format!("<run {at}>"),
            class: format!("c{}", at % 8 + 1),
            is_lead: at == 0,
        };
        (0..count).map(line).collect()
    }

    #[test]
    fn every_run_has_a_line_and_what_is_no_number_a_mark_at_the_edge() {
        let values = vec![1e-300, 1e300, f64::NAN, f64::INFINITY, 0.5];
        let axes =
            [Dimension::amounts("lr", vec![1.0, 2.0, 3.0, 4.0, 5.0]), Dimension::amounts("loss", values)];
        let svg = draw("runs", &axes, &lines(5));
        assert_eq!((svg.matches("<path").count(), svg.matches("class=\"gap").count()), (5, 2), "{svg}");
        assert!(!svg.contains("NaN") && !svg.contains("inf") && !svg.contains("<run"), "{svg}");
        assert!(svg.contains("data-at=\"0.5000 -\"") && svg.contains("no value"), "{svg}");
        // The best one lies on top.
        assert!(svg.rfind("line c1 lead").unwrap() > svg.rfind("line c5").unwrap());
    }

    #[test]
    fn no_run_one_run_forty_runs_and_long_names_are_drawn() {
        assert!(!draw("none", &[], &[]).contains("<path"));
        let long = "incomprehensibilities.".repeat(20);
        for count in [0, 1, 40] {
            let svg = draw("runs", &[Dimension::amounts(&long, vec![3.0; count])], &lines(count));
            assert_eq!(svg.matches("<path").count(), count);
            assert!(svg.contains('…') && !svg.contains("NaN"), "{svg}");
        }
    }
}
