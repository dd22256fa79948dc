//! A chart with its heading and its legend, as one group of SVG.

use super::super::super::chart::backend::{Escaped, TEXT_PX};
use super::super::super::chart::text_width::text_width;
use super::super::super::planned::Planned;
use super::super::bare::{Look, bare, dashes_of};
use crate::say;

/// Its upper left corner is at zero; in CSS pixels.
pub struct Drawn {
    pub svg: String,
    pub width: f64,
    pub height: f64,
}

const HEADING_PX: f64 = 13.0;
/// Room below the plot for the labels of x, and right of it for the half of the last one.
const BELOW: f64 = 26.0;
const RIGHT: f64 = 14.0;
const SWATCH: f64 = 20.0;
/// Fonts of this machine may be wider than the estimate.
const CAUTION: f64 = 1.08;

pub fn drawn(planned: Planned, id: &str, look: &Look) -> Drawn {
    let (width, height) = planned.chart.size.plot_px();
    let (width, height) = (f64::from(width), f64::from(height));
    let figure = planned.drawn();
    let room = label_room(&figure.drawing.svg);
    let whole = room + width + RIGHT;
    let mut svg =
        words(0.0, HEADING_PX, HEADING_PX, &figure.title, look.color("ink"), look, "font-weight=\"bold\"");
    if !figure.note.is_empty() {
        svg +=
            &words(whole, HEADING_PX, TEXT_PX, &figure.note, look.color("soft"), look, "text-anchor=\"end\"");
    }
    let (mut x, mut y) = (0.0, HEADING_PX + 16.0);
    for key in &figure.legend {
        let length = SWATCH + 6.0 + text_width(&key.name, TEXT_PX) * CAUTION + 16.0;
        if x > 0.0 && x + length > whole {
            (x, y) = (0.0, y + 16.0);
        }
        svg += &format!(
            r#"<line x1="{x:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}" stroke="{}" stroke-width="2"{}/>"#,
            y - 4.0,
            x + SWATCH,
            y - 4.0,
            look.series(&key.class),
            dashes(&key.class),
        );
        svg += &words(x + SWATCH + 6.0, y, TEXT_PX, &key.name, look.color("soft"), look, "");
        x += length;
    }
    let top = if figure.legend.is_empty() { HEADING_PX + 12.0 } else { y + 12.0 };
    let plot = bare(&figure.drawing.svg, (width, height), id, look);
    svg += &format!(r#"<g transform="translate({room} {top:.1})">{plot}</g>"#);
    Drawn { svg, width: whole, height: top + height + BELOW }
}

/// A line of text, with further attributes.
pub fn words(x: f64, y: f64, size: f64, text: &str, color: &str, look: &Look, more: &str) -> String {
    // XML has no place for most signs that control something.
    let shown = text.chars().filter(|sign| !say::is_hidden(*sign));
    let text: String = shown.map(|sign| if sign.is_control() { ' ' } else { sign }).collect();
    format!(
        r#"<text x="{x:.1}" y="{y:.1}" font-family="{}" font-size="{size}" fill="{color}" {more}>{}</text>"#,
        look.family,
        Escaped(&text)
    )
}

fn dashes(classes: &str) -> String {
    dashes_of(classes).map_or_else(String::new, |lengths| {
        let lengths: Vec<String> = lengths.iter().map(ToString::to_string).collect();
        format!(r#" stroke-dasharray="{}""#, lengths.join(" "))
    })
}

/// The room for labels of y that the chart's class asks for, in steps of eight.
fn label_room(svg: &str) -> f64 {
    let classes = svg.split('"').nth(1).unwrap_or_default();
    let steps = classes.split(' ').find_map(|class| class.strip_prefix('y')?.parse::<u8>().ok());
    f64::from(steps.unwrap_or(5)) * 8.0
}
