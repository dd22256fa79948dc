//! A model as a diagram: its layers below each other as data flows, blocks that repeat drawn once.
//!
//! Each box says its layer's name, kind, shape and parameters, and is filled as far as its part of all
//! parameters goes. A box is a link to the layer's tensors in the list beside it.

mod fold;
mod layout;

use std::fmt::Write;

use super::backend::{Escaped, TEXT_PX};
use super::text_width::text_width;
use crate::run_dir::records::ModelRecord;
use crate::say::{count, measured};

pub use layout::{Form, Row, listed, shape};
use layout::{Layout, layout};

/// Width of a box on a phone, in CSS pixels, without its padding.
const NARROW_PX: f64 = 286.0;
/// Between a text on the left and one on the right.
const APART_PX: f64 = 14.0;
/// Room that a detour takes left of the boxes, and a bracket beside them.
const DETOUR_PX: i32 = 12;
const BRACKET_PX: i32 = 18;
const NESTED_PX: i32 = 6;

/// The diagram as one `<svg>` element; empty where nothing is known of the layers. The tensors of layer
/// number n are expected at `#layer-n`, of the first `linked` layers.
pub fn draw(model: &ModelRecord, linked: usize) -> String {
    let layout = layout(model);
    if layout.rows.is_empty() {
        return String::new();
    }
    let mut svg = format!(
        r#"<svg class="chart architecture" role="group" height="{}" aria-label="{}">"#,
        layout.height,
        Escaped(&in_words(model))
    );
    draw_ways(&mut svg, &layout);
    for row in &layout.rows {
        let link = row.layer.filter(|layer| *layer < linked);
        if let Some(layer) = link {
            let _ = write!(svg, r##"<a href="#layer-{layer}">"##);
        }
        match row.form {
            Form::Layer => draw_box(&mut svg, row),
            Form::Block | Form::More => draw_head(&mut svg, row),
        }
        if link.is_some() {
            svg.push_str("</a>");
        }
    }
    svg.push_str("</svg>");
    svg
}

/// What its parameters and its part of all of them are, in words: `6 × 196,608 · 89.1 %`.
pub fn share_in_words(row: &Row) -> String {
    let times = if row.times > 1 { format!("{} × ", count(row.times)) } else { String::new() };
    let share = match row.share * 100.0 {
        0.0 => String::new(),
        percent if percent < 0.1 => " · under 0.1 %".to_owned(),
        percent => format!(" · {percent:.1} %"),
    };
    format!("{times}{}{share}", short_count(row.parameters))
}

/// All digits as long as they can be read at a glance.
fn short_count(parameters: u64) -> String {
    match parameters {
        0 => "no parameters".into(),
        1 => "1 parameter".into(),
        few if few < 10_000_000 => count(few),
        many => measured(many as f64),
    }
}

/// Lines from box to box, ways around them, and brackets around blocks.
fn draw_ways(svg: &mut String, layout: &Layout) {
    let boxes = layout.rows.iter().filter(|row| row.form == Form::Layer);
    let boxes: Vec<&Row> = boxes.collect();
    for pair in boxes.windows(2) {
        let (from, to) = (pair[0].top + pair[0].height, pair[1].top);
        // The head of a block stands on the way.
        let (from, to) = if to - from > 20 { (to - 7, to) } else { (from, to) };
        let _ = write!(svg, r#"<line class="way" x1="50%" x2="50%" y1="{from}" y2="{to}"/>"#);
    }
    for (from, to) in &layout.detours {
        let left = -DETOUR_PX;
        let _ = write!(
            svg,
            r#"<path class="way" fill="none" d="M0 {}H{}q-4 0 -4 4V{}q0 4 4 4H0"/>"#,
            from + 6,
            left + 4,
            to.saturating_sub(6 + 4)
        );
    }
    for bracket in &layout.brackets {
        let out = BRACKET_PX + NESTED_PX * bracket.depth.min(1) as i32;
        let (top, bottom) = (bracket.top, bracket.bottom + 2);
        let _ = write!(
            svg,
            r#"<path class="bracket" fill="none" d="M{} {top}H{}V{bottom}H{}"/>"#,
            6 - out,
            -out,
            6 - out
        );
        // Percentages have no place in a path: a line, moved as a whole.
        let out = 6 + NESTED_PX * (1 - bracket.depth.min(1) as i32);
        let _ = write!(
            svg,
            r#"<g transform="translate({out} 0)"><line class="bracket" x1="100%" x2="100%" y1="{top}" y2="{bottom}"/></g>"#
        );
    }
}

fn draw_box(svg: &mut String, row: &Row) {
    let Row { top, height, .. } = row;
    let share = share_in_words(row);
    let name = fitting(&row.name, NARROW_PX - text_width(&share, TEXT_PX) - APART_PX, Keep::End);
    let kind = fitting(&row.kind, NARROW_PX - text_width(&row.shape, TEXT_PX) - APART_PX, Keep::Beginning);
    let (first, second) = (top + 17, top + 33);
    let _ = write!(
        svg,
        r#"<title>{}</title><rect class="box" y="{top}" width="100%" height="{height}" rx="4"/>"#,
        Escaped(&[row.full_name.as_str(), &row.kind, &row.shape, &share].join(", "))
    );
    if row.share > 0.0 {
        let _ = write!(
            svg,
            r#"<rect class="fill" y="{top}" width="{:.2}%" height="{height}" rx="4"/>"#,
            row.share * 100.0
        );
    }
    let _ = write!(
        svg,
        r#"<text class="inside name" x="8" y="{first}">{}</text> <text class="inside" x="100%" dx="-8" y="{first}" text-anchor="end">{share}</text> <text x="8" y="{second}">{}</text> <text class="inside" x="100%" dx="-8" y="{second}" text-anchor="end">{}</text>"#,
        Escaped(&name),
        Escaped(&kind),
        row.shape
    );
}

fn draw_head(svg: &mut String, row: &Row) {
    let y = row.top + 14;
    let share = match row.form {
        Form::More => String::new(),
        _ => share_in_words(row),
    };
    let name = fitting(&row.name, NARROW_PX - text_width(&share, TEXT_PX) - APART_PX, Keep::End);
    let _ = write!(
        svg,
        r#"<text class="inside name" x="0" y="{y}">{}</text> <text class="inside" x="100%" y="{y}" text-anchor="end">{share}</text>"#,
        Escaped(&name)
    );
}

#[derive(Clone, Copy)]
enum Keep {
    Beginning,
    End,
}

/// As much of a text as has room.
fn fitting(text: &str, room_px: f64, keep: Keep) -> String {
    if text_width(text, TEXT_PX) <= room_px {
        return text.to_owned();
    }
    let mut room = room_px - text_width("…", TEXT_PX);
    let mut fits = |letter: &char| {
        room -= text_width(letter.encode_utf8(&mut [0; 4]), TEXT_PX);
        room >= 0.0
    };
    match keep {
        Keep::Beginning => text.chars().take_while(&mut fits).collect::<String>() + "…",
        Keep::End => {
            let end: Vec<char> = text.chars().rev().take_while(&mut fits).collect();
            format!("…{}", end.into_iter().rev().collect::<String>())
        }
    }
}

fn in_words(model: &ModelRecord) -> String {
    format!(
        "Architecture: {} layers from top to bottom, {} parameters. The list of layers says the same.",
        count(model.layers.len() as u64),
        count(model.parameters)
    )
}

#[cfg(test)]
mod tests {
    use super::fold::tests::{gpt, layer};
    use super::*;

    fn model(layers: Vec<crate::run_dir::records::Layer>) -> ModelRecord {
        let parameters = layers.iter().map(|layer| layer.parameters).sum();
        ModelRecord { kind: "gpt".into(), parameters, layers, vocabulary: None, classes: None }
    }

    #[test]
    fn a_box_says_its_shape_its_parameters_and_its_share_and_leads_to_its_tensors() {
        let svg = draw(&model(gpt(6)), 400);
        for text in [
            "attn",
            "attention",
            "64 × 128",
            "6 × 196,864",
            "6 × 65,536",
            "transformer.h.0 … 5",
            "no parameters",
        ] {
            assert!(svg.contains(&format!(">{text}")) || svg.contains(text), "{text}");
        }
        assert_eq!((svg.matches(r##"<a href="#layer-"##).count(), svg.matches("bracket").count()), (8, 2));
        assert!(!draw(&model(gpt(6)), 3).contains("#layer-3"), "the list ends before");
    }

    #[test]
    fn names_are_escaped_and_cut_to_their_room() {
        let long = "encoder".repeat(20);
        let svg = draw(&model(vec![layer(&format!("<b>.{long}.attention"), "<i>", &[1], &[])]), 9);
        assert!(!svg.contains("<b>") && !svg.contains("<i>") && svg.contains("&lt;i&gt;"));
        assert!(svg.contains("encoder.attention</text>"));
        let texts = svg.split("<text").skip(1).map(|text| text.split(['>', '<']).nth(1).unwrap_or_default());
        assert!(
            texts.clone().count() == 4 && texts.map(|text| text_width(text, TEXT_PX)).all(|px| px < 290.0)
        );
    }

    #[test]
    fn nothing_known_is_nothing_drawn() {
        assert_eq!(draw(&model(Vec::new()), 9), "");
    }
}
