//! A point for each run: one of its settings or metrics against another. Everything is placed in shares
//! of the drawing, so that a script can move points without drawing anew.

use std::fmt::Write;

use super::backend::Escaped;
use super::dimension::{Dimension, Placed};
use super::number::measured;

/// Room between the outermost values and the edge, where those without a value stand.
const MARGIN: f64 = 0.03;

/// One run's point.
#[derive(Clone, Debug)]
pub struct Dot {
    pub key: String,
    pub name: String,
    pub class: String,
    pub href: String,
    pub is_lead: bool,
}

/// The drawing; the first is the best run and lies on top.
pub fn draw(title: &str, x: &Dimension, y: &Dimension, dots: &[Dot]) -> String {
    let (across, up) = (x.placed(6), y.placed(4));
    let mut svg = format!(
        r#"<svg class="chart scatter full y8" role="group" aria-label="{}"><g class="scale">"#,
        Escaped(title)
    );
    for (place, word) in up.ticks() {
        let y = (1.0 - inside(place)) * 100.0;
        let _ = write!(
            svg,
            r#"<line class="gridline" x1="0" y1="{y:.2}%" x2="100%" y2="{y:.2}%"/><text x="0" dx="-8" y="{y:.2}%" dy="4" text-anchor="end">{}</text>"#,
            Escaped(&super::parallel::shortened(&word, 56.0))
        );
    }
    for (place, word) in across.ticks() {
        let x = inside(place) * 100.0;
        let anchor = if place > 0.97 { "end" } else { "middle" };
        let _ = write!(
            svg,
            r#"<text x="{x:.2}%" y="100%" dy="17" text-anchor="{anchor}">{}</text>"#,
            Escaped(&super::parallel::shortened(&word, 90.0))
        );
    }
    svg.push_str("</g>");
    for (at, dot) in dots.iter().enumerate().rev() {
        draw_dot(&mut svg, dot, (x, &across), (y, &up), at);
    }
    svg + "</svg>"
}

fn draw_dot(svg: &mut String, dot: &Dot, x: (&Dimension, &Placed), y: (&Dimension, &Placed), at: usize) {
    let value = |one: &Dimension| one.values.get(at).copied().unwrap_or(f64::NAN);
    let (across, up) = (x.1.fraction(value(x.0)), y.1.fraction(value(y.0)));
    let class = if across.is_some() && up.is_some() { "dot" } else { "gap" };
    let _ = write!(
        svg,
        r#"<a href="{}" data-run="{}" aria-label="{}: {}, {}"><title>{}</title><circle class="{class} {}" cx="{:.2}%" cy="{:.2}%" r="{}"/></a>"#,
        Escaped(&dot.href),
        Escaped(&dot.key),
        Escaped(&dot.name),
        Escaped(&said(x.0, at)),
        Escaped(&said(y.0, at)),
        Escaped(&dot.name),
        Escaped(&dot.class),
        across.map_or(0.0, inside) * 100.0,
        (1.0 - up.map_or(0.0, inside)) * 100.0,
        if dot.is_lead { 6 } else { 4 }
    );
}

/// A share of the axis as a share of the drawing.
fn inside(part: f64) -> f64 {
    MARGIN + part * (1.0 - 2.0 * MARGIN)
}

/// A run's value with its name: "lr 0.001".
fn said(dimension: &Dimension, at: usize) -> String {
    format!("{} {}", dimension.name, word(dimension, at))
}

/// A run's value in words.
pub fn word(dimension: &Dimension, at: usize) -> String {
    match (dimension.values.get(at), &dimension.measure) {
        (Some(value), super::dimension::Measure::Kinds(words)) if value.is_finite() => {
            words.get(*value as usize).cloned().unwrap_or_default()
        }
        (Some(value), _) if value.is_finite() => measured(*value),
        _ => "no value".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_run_is_a_link_and_what_is_no_number_a_hollow_point_at_the_edge() {
        let dot = |at: usize| Dot {
            key: format!("x/{at}"),
            name: "\"long\" <name> ".repeat(30),
            class: "c1".into(),
            href: format!("r/{at}"),
            is_lead: at == 0,
        };
        let odd = vec![1.0, f64::NAN, f64::INFINITY, 1e-300, 1e300];
        for (count, values) in [(0, vec![]), (1, vec![2.0]), (5, odd), (40, vec![7.0; 40])] {
            let dots: Vec<Dot> = (0..count).map(dot).collect();
            let x = Dimension::amounts("lr", (0..count).map(|at| at as f64).collect());
            let svg = draw("t", &x, &Dimension::amounts("loss", values.clone()), &dots);
            let hollow = values.iter().filter(|value| !value.is_finite()).count();
            assert_eq!((svg.matches("<a href").count(), svg.matches("\"gap ").count()), (count, hollow));
            assert!(!svg.contains("NaN") && !svg.contains("inf") && !svg.contains("<name>"), "{svg}");
        }
    }
}
