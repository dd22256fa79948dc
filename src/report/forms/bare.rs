//! Our charts for programs that are no browser: the same SVG with every class as plain attributes, places in
//! numbers instead of percentages, and colors and strokes from the variables of a theme.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::super::chart::backend::{FINENESS, TEXT_PX};

/// What a theme says of charts.
#[derive(Debug, Clone)]
pub struct Look {
    variables: BTreeMap<String, String>,
    /// The family that words are set in.
    pub family: String,
}

impl Look {
    /// From a style: the variables of `:root` outside of conditions, the last of each name.
    pub fn of(style: &str, family: String) -> Look {
        Look { variables: variables(style), family }
    }

    pub fn color(&self, name: &str) -> &str {
        self.variables.get(name).map_or("#000000", String::as_str)
    }

    /// Families that the theme would like, first to last.
    pub fn families(style: &str) -> Vec<String> {
        let list = variables(style).remove("text").unwrap_or_default();
        list.split(',').map(|name| name.trim().trim_matches('"').to_owned()).collect()
    }

    fn number(&self, name: &str, otherwise: f64) -> f64 {
        self.variables
            .get(name)
            .and_then(|value| value.trim_end_matches("px").parse().ok())
            .unwrap_or(otherwise)
    }

    /// The color of a series by its classes.
    pub fn series(&self, classes: &str) -> &str {
        let color = classes.split(' ').find_map(|class| {
            let number = class.strip_prefix('c')?.parse::<u8>().ok()?;
            Some(if number == 0 { self.color("soft") } else { self.color(&format!("s{number}")) })
        });
        color.unwrap_or_else(|| self.color("ink"))
    }
}

/// The variables that rules on `:root` set, in a style whose braces are in order.
fn variables(style: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let without_comments: String =
        style.split("/*").map(|part| part.split_once("*/").map_or(part, |(_, rest)| rest)).collect();
    let (mut depth, mut selector, mut body) = (0, String::new(), String::new());
    for sign in without_comments.chars() {
        match sign {
            '{' => {
                depth += 1;
                if depth == 1 {
                    body.clear();
                }
            }
            '}' => {
                depth -= 1;
                if depth == 0 {
                    if selector.trim() == ":root" {
                        found.extend(body.split(';').filter_map(variable));
                    }
                    selector.clear();
                }
            }
            ';' if depth == 0 => selector.clear(),
            sign if depth == 0 => selector.push(sign),
            sign if depth == 1 => body.push(sign),
            _ => {}
        }
    }
    found
}

fn variable(declaration: &str) -> Option<(String, String)> {
    let (name, value) = declaration.trim().strip_prefix("--")?.split_once(':')?;
    Some((name.trim().to_owned(), value.trim().to_owned()))
}

/// A chart as a group whose plot has its upper left corner at zero and this size; `id` is unique in the whole.
pub fn bare(svg: &str, (width, height): (f64, f64), id: &str, look: &Look) -> String {
    let mut out = String::with_capacity(svg.len() * 2);
    let mut closing: Vec<&'static str> = Vec::new();
    let is_many = svg.split('>').next().is_some_and(|first| first.contains(" many"));
    let mut rest = svg;
    while let Some(at) = rest.find('<') {
        if !closing.is_empty() {
            out += &rest[..at];
        }
        let Some(length) = rest[at..].find('>') else { break };
        let tag = &rest[at + 1..at + length];
        rest = &rest[at + length + 1..];
        if tag.starts_with('/') {
            out += closing.pop().unwrap_or_default();
            continue;
        }
        let is_alone = tag.ends_with('/');
        let tag = tag.trim_end_matches('/');
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        let attributes = parsed(attributes);
        match (name, attributes.get("class").copied().unwrap_or_default()) {
            ("title" | "desc", _) => {
                // Words for those who hear a page.
                let end = format!("</{name}>");
                rest = rest.split_once(end.as_str()).map_or("", |(_, after)| after);
                continue;
            }
            ("svg", "plot") => {
                let scale = 1.0 / f64::from(FINENESS);
                let _ = write!(
                    out,
                    r#"<clipPath id="{id}"><rect width="{width}" height="{height}"/></clipPath><g clip-path="url(#{id})"><g transform="scale({scale})" fill="none">"#
                );
                closing.push("</g></g>");
                continue;
            }
            ("svg" | "g", _) => {
                out += "<g>";
                closing.push("</g>");
                continue;
            }
            (name, class) => {
                let _ = write!(out, "<{name}");
                for (key, value) in &attributes {
                    if *key != "class" {
                        let _ = write!(out, r#" {key}="{}""#, absolute(key, value, width, height));
                    }
                }
                out += &style(name, class, is_many, look);
                closing.push(match name {
                    "text" => "</text>",
                    "path" => "</path>",
                    "line" => "</line>",
                    "circle" => "</circle>",
                    _ => "</g>",
                });
            }
        }
        out.push('>');
        if is_alone {
            out += closing.pop().unwrap_or_default();
        }
    }
    out
}

/// The attributes of our own elements: each value in quotation marks, without any inside.
fn parsed(text: &str) -> BTreeMap<&str, &str> {
    let mut parts = text.split('"');
    let mut found = BTreeMap::new();
    while let (Some(key), Some(value)) = (parts.next(), parts.next()) {
        found.insert(key.trim().trim_end_matches('='), value);
    }
    found
}

/// A percentage as a number of pixels.
fn absolute(key: &str, value: &str, width: f64, height: f64) -> String {
    let Some(percent) = value.strip_suffix('%').and_then(|number| number.parse::<f64>().ok()) else {
        return value.to_owned();
    };
    let whole = if key.contains('y') { height } else { width };
    format!("{:.2}", percent / 100.0 * whole)
}

/// Lengths of strokes and gaps of a series, by its classes; none where its line is whole.
pub fn dashes_of(classes: &str) -> Option<&'static [i32]> {
    classes.split(' ').find_map(|class| match class {
        "d1" => Some([7, 3].as_slice()),
        "d2" => Some(&[2, 3]),
        "d3" => Some(&[9, 3, 2, 3]),
        _ => None,
    })
}

fn style(name: &str, class: &str, is_many: bool, look: &Look) -> String {
    let has = |word: &str| class.split(' ').any(|known| known == word);
    let color = look.series(class);
    let fine = f64::from(FINENESS);
    match name {
        "text" => {
            let color = if has("cut") { color } else { look.color("soft") };
            format!(r#" font-family="{}" font-size="{TEXT_PX}" fill="{color}""#, look.family)
        }
        "line" if has("event") => {
            format!(r#" stroke="{}" stroke-width="1" stroke-dasharray="2 3""#, look.color("accent"))
        }
        "line" => format!(r#" stroke="{}" stroke-width="1""#, look.color("grid")),
        "circle" if has("gap") => {
            format!(r#" fill="{}" stroke="{color}" stroke-width="1.4""#, look.color("paper"))
        }
        "circle" => format!(r#" fill="{color}""#),
        "path" if has("spread") => format!(r#" fill="{color}" fill-opacity="0.14" stroke="none""#),
        "path" => {
            let (stroke, opacity) = match () {
                () if has("lead") => (look.number("stroke-lead", 2.4), 1.0),
                () if is_many => (1.1, 0.7),
                () if has("faint") => (1.0, 0.28),
                () => (look.number("stroke", 1.6), 1.0),
            };
            let dash = dashes_of(class).map_or_else(String::new, |lengths| {
                let lengths = lengths.iter().map(|length| (length * FINENESS).to_string());
                format!(r#" stroke-dasharray="{}""#, lengths.collect::<Vec<_>>().join(" "))
            });
            format!(
                r#" stroke="{color}" stroke-width="{}" stroke-linejoin="round" stroke-opacity="{opacity}"{dash}"#,
                stroke * fine
            )
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STYLE: &str = "/* --ink: no */ :root { --s1: #112233; --soft: #444; --stroke: 1.5 }
        @media (x) { :root { --s1: #ffffff } } a { --s1: red } :root { --grid: #eee }";

    #[test]
    fn variables_are_those_of_the_root_outside_of_conditions() {
        let found = variables(STYLE);
        assert_eq!(found["s1"], "#112233");
        assert_eq!(found["grid"], "#eee");
        assert_eq!(found.len(), 4);
    }

    #[test]
    fn classes_become_attributes_and_percentages_numbers() {
        let svg = concat!(
            r#"<svg class="chart half y5" role="img"><title>T</title><desc>a &lt; b</desc>"#,
            r#"<g class="scale"><line class="gridline" x1="0%" y1="50%" x2="100%" y2="50%"/>"#,
            r#"<text x="0" dx="-8" y="50%" dy="4" text-anchor="end">1 &amp; 2</text></g>"#,
            r#"<svg class="plot" viewBox="0 0 2000 1000" preserveAspectRatio="none"><path class="line c1 d2" d="M0 0l5 5"/></svg>"#,
            r#"<circle class="dot c1" cx="25%" cy="10%" r="2.2"/></svg>"#,
        );
        let look = Look::of(STYLE, "Serif".into());
        let expected = concat!(
            r##"<g><g><line x1="0.00" x2="200.00" y1="50.00" y2="50.00" stroke="#eee" stroke-width="1"></line>"##,
            r##"<text dx="-8" dy="4" text-anchor="end" x="0" y="50.00" font-family="Serif" font-size="11" fill="#444">1 &amp; 2</text></g>"##,
            r##"<clipPath id="p"><rect width="200" height="100"/></clipPath><g clip-path="url(#p)"><g transform="scale(0.1)" fill="none">"##,
            r##"<path d="M0 0l5 5" stroke="#112233" stroke-width="15" stroke-linejoin="round" stroke-opacity="1" stroke-dasharray="20 30"></path></g></g>"##,
            r##"<circle cx="50.00" cy="10.00" r="2.2" fill="#112233"></circle></g>"##,
        );
        assert_eq!(bare(svg, (200.0, 100.0), "p", &look), expected);
    }
}
