//! The surface plotters draws on: SVG whose colors are classes and whose text never scales.
//!
//! plotters gives a backend whole pixels and a color. So its canvas is ten times as fine as the
//! nominal one, and the color carries what a stroke is for (`Ink`), which becomes a class that the
//! theme fills in. Lines go into an inner SVG that is stretched to whatever room the page has, with
//! strokes that keep their width; everything with letters is placed by percentages in the outer
//! one, so it keeps its size in CSS pixels at any width.

use plotters::prelude::DrawingBackend;
use plotters::style::RGBAColor;
use plotters::style::text_anchor::HPos;
use plotters_backend::{BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingErrorKind};
use std::convert::Infallible;
use std::fmt::Write;
use std::ops::Range;

use super::text_width::text_width;

/// Canvas units in one nominal CSS pixel.
pub const FINENESS: i32 = 10;
/// Size of all text inside charts, in CSS pixels.
pub const TEXT_PX: f64 = 11.0;
/// Colors a theme has; series beyond repeat them with another dash.
const COLORS: u16 = 8;
const DASHES: u16 = 4;
/// Pairs of a color and a dash: as many lines can be told apart.
pub const PAIRS: u16 = COLORS * DASHES;

/// What a stroke or a text is for; decides its class and its layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Role {
    Grid,
    TickX,
    /// A tick's label that only wide pages have room for.
    TickXWide,
    TickY,
    Line,
    Faint,
    Lead,
    Event,
    EventWord,
    EventWordWide,
    Gap,
    /// Signs at the edges, where a line goes on beyond them.
    CutAbove,
    CutBelow,
    /// The area of a band.
    Spread,
}

const ROLES: [Role; 14] = [
    Role::Grid,
    Role::TickX,
    Role::TickXWide,
    Role::TickY,
    Role::Line,
    Role::Faint,
    Role::Lead,
    Role::Event,
    Role::EventWord,
    Role::EventWordWide,
    Role::Gap,
    Role::CutAbove,
    Role::CutBelow,
    Role::Spread,
];

/// A role and the number of a series, carried through plotters as a color.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ink {
    pub role: Role,
    pub series: u16,
}

impl Ink {
    pub fn of(role: Role) -> Ink {
        Ink { role, series: 0 }
    }

    pub fn color(self) -> RGBAColor {
        let [high, low] = self.series.to_be_bytes();
        RGBAColor(self.role as u8, high, low, 1.0)
    }

    fn read(color: BackendColor) -> Ink {
        let (role, high, low) = color.rgb;
        let role = ROLES.get(usize::from(role)).copied().unwrap_or(Role::Grid);
        Ink { role, series: u16::from_be_bytes([high, low]) }
    }
}

/// The number of a line that is no run's own: `c0`, the color of soft text.
pub const NEUTRAL: u16 = u16::MAX;

/// The classes of a series: a color, and from the ninth series on a dash as well.
pub fn series_class(series: u16) -> String {
    if series == NEUTRAL {
        return "c0".into();
    }
    match (series % COLORS + 1, series / COLORS % DASHES) {
        (color, 0) => format!("c{color}"),
        (color, dash) => format!("c{color} d{dash}"),
    }
}

/// The layers of a chart, in the order in which they lie on each other.
#[derive(Default)]
pub struct Layers {
    /// Grid and labels, below the lines.
    pub under: String,
    /// Paths in canvas units, for the stretched inner SVG.
    pub lines: String,
    /// Points, marks and words above the lines.
    pub over: String,
}

/// How many plots the canvas extends beyond the plot on each side.
pub const MARGIN: i32 = 100;

/// Writes into the layers. plotters moves whatever lies outside of the canvas to its edge, which
/// would bend lines; so the canvas is far larger than the plot, which lies in its middle, and the
/// inner SVG clips.
pub struct Surface<'a> {
    pub layers: &'a mut Layers,
    /// Size of the plot in canvas units.
    pub width: i32,
    pub height: i32,
}

type Drawn = Result<(), DrawingErrorKind<Infallible>>;

impl Surface<'_> {
    /// A position as a percentage of the plot's width.
    fn across(&self, x: i32) -> Percent {
        Percent(f64::from(x - MARGIN * self.width) / f64::from(self.width) * 100.0)
    }

    fn down(&self, y: i32) -> Percent {
        Percent(f64::from(y - MARGIN * self.height) / f64::from(self.height) * 100.0)
    }

    /// Where the plot lies on the canvas: columns from left to right, rows from bottom to top.
    pub fn plot(&self) -> (Range<i32>, Range<i32>) {
        let (left, top) = (MARGIN * self.width, MARGIN * self.height);
        (left..left + self.width, top + self.height..top)
    }

    fn holds(&self, (x, y): BackendCoord) -> bool {
        let (columns, rows) = self.plot();
        (columns.start..=columns.end).contains(&x) && (rows.end..=rows.start).contains(&y)
    }

    /// A point that stands for a whole stretch, or the mark of a gap.
    fn dot(&mut self, at: BackendCoord, class: &str, radius: f64) {
        if self.holds(at) {
            let (cx, cy) = (self.across(at.0), self.down(at.1));
            let _ = write!(self.layers.over, r#"<circle class="{class}" cx="{cx}" cy="{cy}" r="{radius}"/>"#);
        }
    }
}

impl DrawingBackend for Surface<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        let plots = 2 * MARGIN as u32 + 1;
        (self.width as u32 * plots, self.height as u32 * plots)
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, at: BackendCoord, color: BackendColor) -> Drawn {
        let ink = Ink::read(color);
        let class = series_class(ink.series);
        match ink.role {
            Role::Gap => self.dot(at, &format!("gap {class}"), 3.0),
            _ => self.dot(at, &format!("dot {class}"), 2.2),
        }
        Ok(())
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S) -> Drawn {
        let class = match Ink::read(style.color()).role {
            Role::Event => "event",
            _ => "gridline",
        };
        let (x1, y1, x2, y2) = (self.across(from.0), self.down(from.1), self.across(to.0), self.down(to.1));
        let _ =
            write!(self.layers.under, r#"<line class="{class}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>"#);
        Ok(())
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Drawn {
        let ink = Ink::read(style.color());
        if ink.role == Role::Event {
            let mut ends = path.into_iter();
            return match (ends.next(), ends.last()) {
                (Some(from), Some(to)) => self.draw_line(from, to, style),
                _ => Ok(()),
            };
        }
        let (kind, weight) = match ink.role {
            Role::Spread => ("spread", ""),
            Role::Faint => ("line", " faint"),
            Role::Lead => ("line", " lead"),
            _ => ("line", ""),
        };
        let _ = write!(self.layers.lines, r#"<path class="{kind} {}{weight}" d=""#, series_class(ink.series));
        let (left, top) = (MARGIN * self.width, MARGIN * self.height);
        write_path(&mut self.layers.lines, path.into_iter().map(|(x, y)| (x - left, y - top)));
        self.layers.lines.push_str("\"/>");
        Ok(())
    }

    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, at: BackendCoord) -> Drawn {
        let Ink { role, series } = Ink::read(style.color());
        let anchor = match style.anchor().h_pos {
            HPos::Left => "start",
            HPos::Center => "middle",
            HPos::Right => "end",
        };
        let (x, y) = (self.across(at.0), self.down(at.1));
        let place = match role {
            Role::TickY => format!(r#"x="0" dx="-8" y="{y}" dy="4" text-anchor="end""#),
            Role::TickX => format!(r#"x="{x}" y="100%" dy="17" text-anchor="{anchor}""#),
            Role::TickXWide => format!(r#"class="roomy" x="{x}" y="100%" dy="17" text-anchor="{anchor}""#),
            Role::EventWord | Role::EventWordWide => {
                let class = if role == Role::EventWord { "word" } else { "word roomy" };
                let dx = if anchor == "end" { -5 } else { 5 };
                format!(r#"class="{class}" x="{x}" dx="{dx}" y="{y}" dy="11" text-anchor="{anchor}""#)
            }
            Role::CutAbove | Role::CutBelow => {
                let (class, dy) = (series_class(series), if role == Role::CutAbove { 8 } else { -1 });
                format!(r#"class="cut {class}" x="{x}" y="{y}" dy="{dy}" text-anchor="{anchor}""#)
            }
            _ => format!(r#"x="{x}" y="{y}" text-anchor="{anchor}""#),
        };
        let layer = match role {
            Role::EventWord | Role::EventWordWide | Role::CutAbove | Role::CutBelow => &mut self.layers.over,
            _ => &mut self.layers.under,
        };
        let _ = write!(layer, "<text {place}>{}</text>", Escaped(text));
        Ok(())
    }

    fn estimate_text_size<S: BackendTextStyle>(
        &self,
        text: &str,
        _style: &S,
    ) -> Result<(u32, u32), DrawingErrorKind<Infallible>> {
        let fineness = f64::from(FINENESS);
        Ok(((text_width(text, TEXT_PX) * fineness) as u32, (TEXT_PX * 1.3 * fineness) as u32))
    }
}

/// Writes a path in relative steps, leaving out points on the straight way between their neighbors.
fn write_path(out: &mut String, path: impl IntoIterator<Item = BackendCoord>) {
    let mut points = path.into_iter();
    let Some(start) = points.next() else { return };
    let _ = write!(out, "M{} {}l", start.0, start.1);
    let (mut at, mut pending) = (start, (0i64, 0i64));
    let mut separate = false;
    let mut flush = |step: (i64, i64)| {
        for part in [step.0, step.1] {
            if separate && part >= 0 {
                out.push(' ');
            }
            push_whole(out, part);
            separate = true;
        }
    };
    for next in points {
        let step = (i64::from(next.0) - i64::from(at.0), i64::from(next.1) - i64::from(at.1));
        at = next;
        let straight =
            pending.0 * step.1 == pending.1 * step.0 && pending.0 * step.0 + pending.1 * step.1 >= 0;
        if straight {
            pending = (pending.0 + step.0, pending.1 + step.1);
        } else {
            flush(pending);
            pending = step;
        }
    }
    flush(pending);
}

/// Writes a whole number: paths are thousands of them, too many for the machinery of formatting.
fn push_whole(out: &mut String, number: i64) {
    let (mut left, mut digits, mut from) = (number.unsigned_abs(), [0; 20], 20);
    loop {
        from -= 1;
        digits[from] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    if number < 0 {
        out.push('-');
    }
    out.extend(digits[from..].iter().map(|digit| char::from(*digit)));
}

/// A percentage with two decimals at the most.
struct Percent(f64);

impl std::fmt::Display for Percent {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}%", (self.0 * 100.0).round() / 100.0)
    }
}

/// Text for the inside of an element or an attribute.
pub struct Escaped<'a>(pub &'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut rest = self.0;
        // Long numbers of charts have next to nothing to escape: written in stretches.
        while let Some((place, character)) = next_special(rest) {
            out.write_str(&rest[..place])?;
            rest = &rest[place + character.len_utf8()..];
            match character {
                '&' => out.write_str("&amp;")?,
                '<' => out.write_str("&lt;")?,
                '>' => out.write_str("&gt;")?,
                '"' => out.write_str("&quot;")?,
                '\'' => out.write_str("&#39;")?,
                _ => out.write_char('\u{fffd}')?,
            }
        }
        out.write_str(rest)
    }
}

/// The first special character and its place. Bytes are looked at, most of which rule it out.
fn next_special(text: &str) -> Option<(usize, char)> {
    let bytes = text.as_bytes();
    let mut from = 0;
    loop {
        let place = from + bytes[from..].iter().position(|byte| MAY_BE_SPECIAL[usize::from(*byte)])?;
        let character = text[place..].chars().next()?;
        if is_special(character) {
            return Some((place, character));
        }
        from = place + character.len_utf8();
    }
}

/// By the first byte of a character: those beyond ASCII that XML has no way to write begin with 0xef.
const MAY_BE_SPECIAL: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 0x80 {
        table[byte] = is_special(byte as u8 as char);
        byte += 1;
    }
    table[0xef] = true;
    table
};

/// What has a meaning in markup, and control characters that XML has no way to write.
const fn is_special(character: char) -> bool {
    matches!(character, '&' | '<' | '>' | '"' | '\'' | '\u{0}'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path_of(points: &[BackendCoord]) -> String {
        let mut text = String::new();
        write_path(&mut text, points.iter().copied());
        text
    }

    #[test]
    fn a_color_carries_the_role_and_the_series() {
        for (index, role) in ROLES.into_iter().enumerate() {
            assert_eq!(role as usize, index);
            let ink = Ink { role, series: 40_000 };
            let RGBAColor(red, green, blue, alpha) = ink.color();
            assert_eq!(Ink::read(BackendColor { alpha, rgb: (red, green, blue) }), ink);
        }
    }

    #[test]
    fn beyond_eight_series_there_are_dashes() {
        assert_eq!([0, 7, 8, 17, 31, 32].map(series_class), ["c1", "c8", "c1 d1", "c2 d2", "c8 d3", "c1"]);
    }

    #[test]
    fn paths_are_relative_and_leave_out_points_on_a_straight_way() {
        assert_eq!(path_of(&[(0, 5), (10, 0), (20, 10)]), "M0 5l10-5 10 10");
        assert_eq!(path_of(&[(0, 0), (10, 0), (20, 0), (30, 5)]), "M0 0l20 0 10 5");
        assert_eq!(path_of(&[(0, 0), (10, 0), (5, 0)]), "M0 0l10 0-5 0");
    }

    #[test]
    fn whole_numbers_are_written_with_all_their_digits() {
        for number in [0, 7, -1, 10, -1_234_567_890, i64::MAX, i64::MIN] {
            let mut text = String::new();
            push_whole(&mut text, number);
            assert_eq!(text, number.to_string());
        }
    }

    #[test]
    fn markup_in_labels_is_only_text() {
        assert_eq!(Escaped("<script>&\"'\u{1}").to_string(), "&lt;script&gt;&amp;&quot;&#39;\u{fffd}");
        assert_eq!(Escaped("ä，\u{ffff}\u{fffe}ｱ\t\u{b}é").to_string(), "ä，\u{fffd}\u{fffd}ｱ\t\u{fffd}é");
        assert_eq!(Escaped("").to_string(), "");
    }
}
