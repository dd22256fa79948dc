//! Which run used which slot and when, as bars over a time axis.

use super::backend::{Escaped, TEXT_PX, series_class};
use super::text_width::text_width;
use super::{DataTable, Drawing};
use std::fmt::Write;

/// The night as it was: one lane for each slot or device.
#[derive(Clone, Debug)]
pub struct Night {
    pub title: String,
    /// Unix seconds at the left and the right edge.
    pub start: f64,
    pub end: f64,
    /// Seconds that local time is ahead of UTC, for ticks at full local hours.
    pub offset_seconds: i32,
    pub lanes: Vec<Lane>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Lane {
    pub label: String,
    pub bars: Vec<Bar>,
}

/// One attempt of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    pub start: f64,
    pub end: f64,
    pub label: String,
    pub kind: Kind,
}

/// What a bar's color means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The number of the run or of its experiment, as in every chart.
    Series(u16),
    Failed,
    /// A stretch in which a device was held down.
    Slow,
    /// An error of a device, at a moment.
    Error,
}

const LANE_PX: u32 = 32;
const BAR_PX: u32 = 26;
/// Below the lanes, for the times.
const AXIS_PX: u32 = 20;
/// The plot on a wide page and on a phone, for deciding which words fit.
const WIDE_PX: f64 = 1176.0;
const NARROW_PX: f64 = 300.0;
/// Bars that are drawn at all; a night of more has them too narrow to see.
const MOST_BARS: usize = 2_000;
/// Bars in the table.
const MOST_ROWS: usize = 200;

/// The bars as a drawing and as a table.
pub fn drawing(night: &Night) -> Drawing {
    Drawing { svg: draw(night), json: String::new(), table: table(night), lines: 0 }
}

fn table(night: &Night) -> DataTable {
    let clock = |time: f64| time_of_day(time, night.offset_seconds);
    let mut device = "";
    let mut rows = Vec::new();
    let mut more = 0;
    for lane in &night.lanes {
        // A device's further lanes have no label of their own.
        device = if lane.label.is_empty() { device } else { &lane.label };
        for bar in lane.bars.iter().filter(|bar| bar.start.is_finite() && bar.end.is_finite()) {
            if rows.len() == MOST_ROWS {
                more += 1;
                continue;
            }
            let name = match bar.kind {
                Kind::Series(_) | Kind::Slow | Kind::Error => bar.label.clone(),
                Kind::Failed => format!("{}, failed", bar.label),
            };
            rows.push(vec![name, device.to_owned(), clock(bar.start), clock(bar.end)]);
        }
    }
    let head = ["run", "device", "from", "until"].map(str::to_owned).to_vec();
    DataTable { head, rows, more }
}

/// Draws the bars as one `<svg>` element of fixed height and any width.
fn draw(night: &Night) -> String {
    let (start, end) = span(night);
    let across = |time: f64| ((time - start) / (end - start)).clamp(0.0, 1.0) * 100.0;
    let height = night.lanes.len() as u32 * LANE_PX;
    let mut svg = format!(
        r#"<svg class="chart night y{}" role="img" height="{height}" data-from="{start:.1}" data-to="{end:.1}"><title>{}</title><desc>{}</desc>"#,
        label_room(night),
        Escaped(&night.title),
        Escaped(&in_words(night))
    );
    for (index, lane) in night.lanes.iter().enumerate() {
        let y = index as u32 * LANE_PX + BAR_PX / 2 + 4;
        let label = Escaped(&lane.label);
        let _ = write!(svg, r#"<text x="0" dx="-8" y="{y}" text-anchor="end">{label}</text>"#);
    }
    // The outer one cuts off what zooming moves out of sight, the inner one is moved; words of the time
    // stand below both.
    let whole = height + AXIS_PX;
    let _ = write!(
        svg,
        r#"<svg class="window" width="100%" height="{whole}"><svg class="lanes" x="0%" width="100%" height="{whole}" overflow="visible"><g class="scale">"#
    );
    let ticks = time_ticks(start, end, night.offset_seconds);
    let every_narrow = ticks.len().div_ceil(5).max(1);
    for (index, (time, label)) in ticks.iter().enumerate() {
        let x = rounded(across(*time));
        let class = if index % every_narrow == 0 { "" } else { r#" class="roomy""# };
        // What stands at an edge leans inward: the window would cut half of it off on a phone.
        let half = text_width(label, TEXT_PX) / 2.0 / NARROW_PX * 100.0;
        let anchor = match across(*time) {
            near if near < half => "start",
            far if far > 100.0 - half => "end",
            _ => "middle",
        };
        let _ = write!(
            svg,
            r#"<line class="gridline" x1="{x}%" x2="{x}%" y1="0" y2="{height}"/><text{class} x="{x}%" y="{height}" dy="15" text-anchor="{anchor}">{label}</text>"#
        );
    }
    svg.push_str("</g>");
    let mut left = MOST_BARS;
    for (index, lane) in night.lanes.iter().enumerate() {
        let y = index as u32 * LANE_PX;
        for bar in lane.bars.iter().filter(|bar| bar.start.is_finite() && bar.end.is_finite()).take(left) {
            draw_bar(&mut svg, bar, across(bar.start), across(bar.end), y);
        }
        left = left.saturating_sub(lane.bars.len());
    }
    svg.push_str("</svg></svg></svg>");
    svg
}

/// A bar clips its own label: the inner SVG ends where the bar ends.
fn draw_bar(svg: &mut String, bar: &Bar, from: f64, to: f64, y: u32) {
    let share = (to - from).max(0.15);
    // A failure is a sign and a word as well as a color.
    let (class, label, sign, title) = match bar.kind {
        Kind::Series(number) => {
            (format!("bar {}", series_class(number)), bar.label.clone(), "", bar.label.clone())
        }
        Kind::Failed => ("bar bad".into(), format!("✕ {}", bar.label), "✕", format!("failed: {}", bar.label)),
        Kind::Slow => ("bar hold".into(), bar.label.clone(), "", bar.label.clone()),
        Kind::Error => return draw_error(svg, bar, from, y),
    };
    let _ = write!(
        svg,
        r#"<svg x="{}%" y="{y}" width="{}%" height="{BAR_PX}"><title>{}</title><rect class="{class}" width="100%" height="100%"/><rect class="edge {class}" width="3" height="100%"/>"#,
        rounded(from),
        rounded(share),
        Escaped(&title)
    );
    let fits = |text: &str, plot_px: f64| share / 100.0 * plot_px > text_width(text, TEXT_PX) + 14.0;
    let mut write_text = |text: &str, class: &str| {
        let _ = write!(svg, r#"<text class="{class}" x="8" y="17">{}</text>"#, Escaped(text));
    };
    match () {
        () if fits(&label, NARROW_PX) => write_text(&label, "inside"),
        () if fits(&label, WIDE_PX) => write_text(&label, "inside roomy"),
        () if !sign.is_empty() && fits(sign, WIDE_PX) => write_text(sign, "inside roomy"),
        () => {}
    }
    svg.push_str("</svg>");
}

/// A line at its moment, with its words beside it: to the left where the right edge is near.
fn draw_error(svg: &mut String, bar: &Bar, at: f64, y: u32) {
    let (x, label) = (rounded(at), Escaped(&bar.label));
    let (side, offset) = if at > 75.0 { ("end", -6) } else { ("start", 6) };
    let _ = write!(
        svg,
        r#"<g class="error"><title>{label}</title><line x1="{x}%" x2="{x}%" y1="{y}" y2="{}"/><text x="{x}%" dx="{offset}" y="{}" text-anchor="{side}">✕ {label}</text></g>"#,
        y + BAR_PX,
        y + 17
    );
}

/// The edges, made finite and at least a minute apart.
fn span(night: &Night) -> (f64, f64) {
    let start = if night.start.is_finite() { night.start } else { 0.0 };
    let end = if night.end.is_finite() { night.end } else { start };
    // Years beyond any night would only make the ticks a long loop.
    (start, end.clamp(start + 60.0, start + 4e8))
}

/// Times at full minutes, hours or days of local time, about eight of them.
fn time_ticks(start: f64, end: f64, offset_seconds: i32) -> Vec<(f64, String)> {
    const STEPS: [u32; 13] =
        [10, 30, 60, 300, 600, 900, 1800, 3600, 2 * 3600, 3 * 3600, 6 * 3600, 12 * 3600, 24 * 3600];
    let ideal = (end - start) / 8.0;
    let day = f64::from(STEPS[STEPS.len() - 1]);
    let step = STEPS
        .iter()
        .map(|&step| f64::from(step))
        .find(|step| *step >= ideal)
        .unwrap_or_else(|| (ideal / day).ceil() * day);
    let offset = f64::from(offset_seconds);
    let first = ((start + offset) / step).ceil() as i64;
    let last = ((end + offset) / step).floor() as i64;
    (first..=last)
        .map(|index| {
            let local = index as f64 * step;
            let of_day = local.rem_euclid(day) as u32;
            let label = match step {
                step if step >= day => format!("day {}", index - first + 1),
                step if step < 60.0 => time_of_day(local, 0),
                _ => format!("{:02}:{:02}", of_day / 3600, of_day / 60 % 60),
            };
            (local - offset, label)
        })
        .collect()
}

fn label_room(night: &Night) -> usize {
    let widest = night.lanes.iter().map(|lane| text_width(&lane.label, TEXT_PX)).fold(0.0, f64::max);
    (((widest + 10.0) / 8.0).ceil() as usize).clamp(5, 12)
}

fn in_words(night: &Night) -> String {
    let bars: usize = night.lanes.iter().map(|lane| lane.bars.len()).sum();
    let mut text = format!("{bars} attempts in {} lanes.", night.lanes.len());
    for lane in night.lanes.iter().take(8) {
        let names: Vec<&str> = lane.bars.iter().take(12).map(|bar| bar.label.as_str()).collect();
        let _ = write!(text, " {}: {}.", lane.label, names.join(", "));
    }
    text
}

/// Hours, minutes and seconds of local time.
fn time_of_day(time: f64, offset_seconds: i32) -> String {
    let of_day = (time + f64::from(offset_seconds)).rem_euclid(24.0 * 3600.0) as u32;
    format!("{:02}:{:02}:{:02}", of_day / 3600, of_day / 60 % 60, of_day % 60)
}

fn rounded(percent: f64) -> f64 {
    (percent * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn night(bars: Vec<Bar>) -> Night {
        let start = 1_000_000.0 * 60.0;
        let lanes = vec![Lane { label: "GPU 0".into(), bars }];
        Night { title: "The night".into(), start, end: start + 8.0 * 3600.0, offset_seconds: 7200, lanes }
    }

    fn bar(start: f64, end: f64, label: &str) -> Bar {
        Bar { start, end, label: label.into(), kind: Kind::Series(0) }
    }

    #[test]
    fn ticks_stand_at_full_hours_of_local_time() {
        let ticks = time_ticks(1_000_000.0 * 60.0, 1_000_480.0 * 60.0, 7200);
        assert_eq!(
            ticks.iter().map(|(_, label)| label.as_str()).collect::<Vec<_>>(),
            ["13:00", "14:00", "15:00", "16:00", "17:00", "18:00", "19:00", "20:00"]
        );
    }

    #[test]
    fn words_at_an_edge_lean_inward() {
        let start = 1_000_020.0 * 60.0; // a full hour of local time
        let night = Night { start, end: start + 8.0 * 3600.0, ..night(vec![bar(start, start + 60.0, "x")]) };
        let svg = draw(&night);
        let leaning = |anchor: &str| svg.matches(&format!(r#"dy="15" text-anchor="{anchor}""#)).count();
        assert_eq!((leaning("start"), leaning("middle"), leaning("end")), (1, 7, 1), "{svg}");
    }

    #[test]
    fn labels_stand_only_in_bars_that_have_room() {
        let start = 1_000_000.0 * 60.0;
        let svg = draw(&night(vec![
            bar(start, start + 20_000.0, "d8-lr3e-4"),
            bar(start + 20_100.0, start + 20_160.0, "short"),
        ]));
        assert!(svg.contains(r#"x="8" y="17">d8-lr3e-4<"#));
        assert!(!svg.contains(r#"x="8" y="17">short<"#) && svg.contains("<title>short</title>"));
    }

    #[test]
    fn a_failure_has_a_sign_and_a_word() {
        let start = 1_000_000.0 * 60.0;
        let failed =
            |minutes: f64| Bar { kind: Kind::Failed, ..bar(start, start + minutes * 60.0, "d8-lr3e-3") };
        assert!(draw(&night(vec![failed(120.0)])).contains(">✕ d8-lr3e-3</text>"));
        let short = draw(&night(vec![failed(20.0)]));
        assert!(short.contains(">✕</text>") && short.contains("<title>failed: d8-lr3e-3</title>"));
    }

    #[test]
    fn times_that_cannot_be_are_drawn_without_harm() {
        for (start, end) in [(f64::NAN, 1.0), (5.0, 1.0), (0.0, f64::INFINITY), (-1e300, 1e300)] {
            let night = Night { start, end, ..night(vec![bar(start, end, "<b>")]) };
            let svg = draw(&night);
            assert!(svg.starts_with("<svg") && svg.ends_with("</svg>") && !svg.contains("<b>"));
        }
    }
}
