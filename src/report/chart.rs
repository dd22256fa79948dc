//! Charts: data in, SVG text out. Nothing here reads a file or knows a page.
//!
//! One SVG serves every width. It has no view box of its own: lines are in an inner SVG that
//! stretches, text is placed by percentages and stays at 11 CSS pixels, labels that only a wide
//! page has room for carry the class `roomy`. Two drawings, wide and narrow, would cost twice the
//! bytes and still shrink or stretch between their two widths.
//!
//! Colors are classes (`c1` to `c8`, dashes `d1` to `d3`) that a theme fills in from its variables.

pub mod architecture;
pub mod axis;
pub mod backend;
pub mod band;
pub mod confusion;
mod cut;
pub mod data;
mod describe;
pub mod dimension;
pub mod meeting;
pub mod night;
pub mod number;
pub mod parallel;
pub mod range;
pub mod scatter;
pub mod series;
pub mod share;
pub mod table;
pub mod text_width;

use plotters::coord::cartesian::{Cartesian2d, MeshLine};
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{PathElement, Pixel, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontDesc, FontFamily, FontStyle, ShapeStyle, TextStyle};
use serde::Serialize;
use std::borrow::Cow;
use std::fmt::Write;

pub use axis::Spread;
pub use band::Band;
pub use data::{Counted, Csv, Member, Origin, Values};
pub use range::Range;
pub use series::Point;
pub use table::DataTable;

use axis::Scale;
use backend::{Escaped, FINENESS, Ink, Layers, Role, Surface, TEXT_PX};
use text_width::text_width;

/// A line chart: everything that decides how it looks.
#[derive(Clone, Debug)]
pub struct Chart {
    /// What is drawn, as a heading: "Validation loss".
    pub title: String,
    /// What the lines are: "mean of three seeds".
    pub subtitle: String,
    pub x: Axis,
    pub y: Axis,
    pub series: Vec<Series>,
    /// Areas below the lines.
    pub bands: Vec<Band>,
    pub events: Vec<Event>,
    pub size: Size,
    /// What a person would say of its lines; empty where the description names each line's values.
    pub told: String,
}

/// What an axis shows.
#[derive(Clone, Debug)]
pub struct Axis {
    /// The quantity with its unit, for the description: "step", "val/loss".
    pub label: String,
    pub spread: Spread,
    pub range: Range,
    /// What an axis of x counts.
    pub counted: Counted,
}

/// One line of a chart.
#[derive(Clone, Debug)]
pub struct Series {
    /// Its name in the description.
    pub label: String,
    /// Its identity from zero on: the same run has the same number, so the same color, everywhere.
    pub number: u16,
    pub points: Vec<Point>,
    pub weight: Weight,
    pub form: Form,
    pub origin: Origin,
}

/// How strongly a line is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    Plain,
    /// Heavier than the others and over them.
    Lead,
}

/// What of the values is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    AsIs,
    /// A moving average, with the values themselves faint behind it.
    Smoothed,
}

/// Something that happened, as a dotted line with a word.
#[derive(Clone, Debug)]
pub struct Event {
    pub x: f64,
    pub word: String,
}

/// How much of a row of twelve columns a chart takes, and its height with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    Full,
    TwoThirds,
    Half,
    Third,
    /// As wide as the page and low: many of them stand above each other over one time line.
    Strip,
    /// Without axes and words, beside a name in a table.
    Spark,
}

/// The plot's width on a phone, in CSS pixels.
const NARROW_PX: f64 = 300.0;
/// More lines than these are drawn thinner, so that the best one is seen among them.
const MANY_LINES: usize = 12;
/// At most so many marks of gaps are drawn for one series.
const MOST_GAPS: usize = 100;

impl Size {
    /// Width and height of the plot area in CSS pixels, on a wide page.
    pub fn plot_px(self) -> (i32, i32) {
        match self {
            Size::Full => (1176, 260),
            Size::TwoThirds => (760, 260),
            Size::Half => (556, 180),
            Size::Third => (346, 120),
            Size::Strip => (1176, 110),
            Size::Spark => (120, 28),
        }
    }

    fn class(self) -> &'static str {
        match self {
            Size::Full => "full",
            Size::TwoThirds => "two-thirds",
            Size::Half => "half",
            Size::Third => "third",
            Size::Strip => "strip",
            Size::Spark => "spark",
        }
    }
}

/// A series put in order, with the line that stands for it.
struct Prepared<'a> {
    series: &'a Series,
    values: Cow<'a, [Point]>,
    smoothed: Option<Vec<Point>>,
}

type Area<'a> = DrawingArea<Surface<'a>, Cartesian2d<Scale, Scale>>;

/// A chart in each of its forms.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Drawing {
    /// One `<svg>` element.
    pub svg: String,
    /// For the script; empty where it has nothing to do. See [`data`].
    pub json: String,
    /// For those who hear the page.
    pub table: DataTable,
    /// Lines of a large chart, which the script lists where no legend does.
    pub lines: usize,
}

/// Into how many columns of the plot a line is reduced, with two points in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grain {
    /// In the drawing.
    pub drawn: u32,
    /// In what the script gets.
    pub kept: u32,
}

/// Points of all lines of one drawing on a page together: beyond, each line is drawn more coarsely, as where
/// many lie over each other none is followed point by point. What the script gets is as fine as before.
const DRAWN_POINTS: u32 = 10_000;
/// Columns that a line has all the same.
const FEWEST_COLUMNS: u32 = 12;

impl Grain {
    /// As fine as a wide page shows, but for the lines of a crowd.
    pub fn of_page(chart: &Chart) -> Grain {
        let columns = chart.size.plot_px().0.max(1) as u32;
        // What is smoothed has its values behind it, and an area has two edges.
        let lines =
            chart.series.iter().map(|one| if one.form == Form::Smoothed { 2 } else { 1 }).sum::<u32>();
        let each = DRAWN_POINTS / 2 / (lines + 2 * chart.bands.len() as u32).max(1);
        Grain { drawn: each.max(FEWEST_COLUMNS).min(columns), kept: columns }
    }
}

/// Draws a chart. Any data will do: none, one point, values that are not
/// finite, steps that go back.
pub fn draw(chart: &Chart) -> Drawing {
    draw_at(chart, Grain::of_page(chart))
}

/// What the script needs to draw the chart by itself, as JSON: see [`data`].
pub fn data_at(chart: &Chart, kept: u32) -> String {
    let prepared: Vec<Prepared> = chart.series.iter().map(prepare).collect();
    let (x, y) = scales(chart, &prepared);
    data::json(chart, &prepared, &x, &y, kept)
}

fn scales(chart: &Chart, prepared: &[Prepared]) -> (Scale, Scale) {
    let edges: Vec<Vec<Point>> = chart.bands.iter().flat_map(|band| [band.lower(), band.upper()]).collect();
    let values = prepared.iter().map(|series| &*series.values);
    let values: Vec<&[Point]> = values.chain(edges.iter().map(Vec::as_slice)).collect();
    let (width_px, height_px) = chart.size.plot_px();
    let (left, right) = match chart.x.range {
        Range::Fixed(left, right) => (left, right),
        _ => range::of_x(&values),
    };
    let (low, high) = chart.y.range.of(&values, chart.y.spread);
    let x = Scale::exact(left, right, chart.x.spread, (width_px / 110).clamp(2, 8) as usize);
    let y = match chart.size {
        Size::Spark => Scale::exact(low, high, chart.y.spread, 2),
        _ => Scale::rounded(low, high, chart.y.spread, (height_px / 42).max(2) as usize),
    };
    let has_steps = matches!(chart.x.counted, Counted::Steps);
    let x = if has_steps && prepared.iter().all(|one| are_whole(one, |point| point.0)) {
        x.of_counts()
    } else {
        x
    };
    let is_exact = |one: &Prepared| one.smoothed.is_none() && are_whole(one, |point| point.1);
    let y = if edges.is_empty() && prepared.iter().all(is_exact) { y.of_counts() } else { y };
    (x, y)
}

/// Whether every value along one axis is a whole number, as far as it is one at all.
fn are_whole(one: &Prepared, along: impl Fn(&Point) -> f64) -> bool {
    one.values.iter().map(along).all(|value| value.fract() == 0.0 || !value.is_finite())
}

/// Draws a chart with lines of this grain.
pub fn draw_at(chart: &Chart, grain: Grain) -> Drawing {
    let prepared: Vec<Prepared> = chart.series.iter().map(prepare).collect();
    let (x, y) = scales(chart, &prepared);
    let (width_px, height_px) = chart.size.plot_px();
    let cuts = cut::of(&prepared, &x, &y);
    let mut layers = Layers::default();
    let surface = Surface { layers: &mut layers, width: width_px * FINENESS, height: height_px * FINENESS };
    let plot = surface.plot();
    let area = surface.into_drawing_area().apply_coord_spec(Cartesian2d::new(x.clone(), y.clone(), plot));
    if chart.size != Size::Spark {
        draw_grid(&area, &x, &y, f64::from(width_px));
        draw_events(&area, chart, &x, &y, f64::from(width_px));
    }
    for band in &chart.bands {
        let column = |value: f64| (x.fraction(value) * f64::from(grain.drawn)) as i64;
        let ink = Ink { role: Role::Spread, series: band.number };
        let _ = area.draw(&PathElement::new(band.ring(column), stroke(ink)));
    }
    let by_weight = |weight| prepared.iter().filter(move |one| one.series.weight == weight);
    for one in by_weight(Weight::Plain).chain(by_weight(Weight::Lead)) {
        draw_series(&area, one, &x, &y, f64::from(grain.drawn));
    }
    if chart.size != Size::Spark {
        cut::draw(&area, &cuts, &x, &y, f64::from(width_px));
    }
    drop(area);
    let words = describe::in_words(chart, &prepared, &x) + &cut::in_words(&cuts, &chart.x.label);
    let svg = assemble(chart, &words, (&x, &y), prepared.len(), layers);
    if chart.size == Size::Spark {
        return Drawing { svg, ..Drawing::default() };
    }
    let (json, table) =
        (data::json(chart, &prepared, &x, &y, grain.kept), table::of_lines(chart, &prepared, &x));
    let is_large = matches!(chart.size, Size::Full | Size::TwoThirds);
    Drawing { svg, json, table, lines: if is_large { prepared.len() } else { 0 } }
}

fn prepare(series: &Series) -> Prepared<'_> {
    let values = series::in_order(&series.points);
    let smoothed = (series.form == Form::Smoothed).then(|| series::smoothed(&values));
    Prepared { series, values, smoothed }
}

/// Horizontal lines at the ticks of y, and the labels of both axes.
fn draw_grid(area: &Area, x: &Scale, y: &Scale, width_px: f64) {
    let line = stroke(Ink::of(Role::Grid));
    // Writing into a string cannot fail, so the results of plotters say nothing here and below.
    let _ = area.draw_mesh(
        |surface, mesh| match mesh {
            MeshLine::YMesh(..) => mesh.draw(surface, &line),
            MeshLine::XMesh(..) => Ok(()),
        },
        0,
        0,
    );
    for (&tick, label) in y.ticks().iter().zip(number::labels(y.ticks())) {
        let _ = area.draw(&Text::new(label, (x.low(), tick), lettering(Role::TickY, HPos::Right)));
    }
    let labels = number::labels(x.ticks());
    let every = stride_when_narrow(x, &labels);
    for (index, (&tick, label)) in x.ticks().iter().zip(labels).enumerate() {
        let role = if index % every == 0 { Role::TickX } else { Role::TickXWide };
        let overhang = x.fraction(tick) * width_px + text_width(&label, TEXT_PX) / 2.0 - width_px;
        let side = if overhang > 12.0 { HPos::Right } else { HPos::Center };
        let _ = area.draw(&Text::new(label, (tick, y.low()), lettering(role, side)));
    }
}

/// Every how many ticks have a label on a phone, so that labels do not touch.
fn stride_when_narrow(x: &Scale, labels: &[String]) -> usize {
    let widest = labels.iter().map(|label| text_width(label, TEXT_PX)).fold(0.0, f64::max);
    // A label at the right edge is set to its left.
    let place = |tick: &f64| (x.fraction(*tick) * NARROW_PX).min(NARROW_PX - widest / 2.0);
    let places: Vec<f64> = x.ticks().iter().map(place).collect();
    let fits = |stride: &usize| {
        let shown: Vec<f64> = places.iter().copied().step_by(*stride).collect();
        shown.windows(2).all(|pair| pair[1] - pair[0] > widest + 12.0)
    };
    (1..=labels.len()).find(fits).unwrap_or(1)
}

/// A dotted line for each event, and its word where no other word stands.
fn draw_events(area: &Area, chart: &Chart, x: &Scale, y: &Scale, width_px: f64) {
    let mut events: Vec<&Event> = chart.events.iter().filter(|event| event.x.is_finite()).collect();
    events.sort_by(|one, other| one.x.total_cmp(&other.x));
    events.dedup_by(|one, other| one.x == other.x && one.word == other.word);
    let (mut free_wide, mut free_narrow) = (0.0, 0.0);
    for event in events {
        let fraction = x.fraction(event.x);
        if !(0.0..=1.0).contains(&fraction) {
            continue;
        }
        let line = vec![(event.x, y.low()), (event.x, y.high())];
        let _ = area.draw(&PathElement::new(line, stroke(Ink::of(Role::Event))));
        let length = text_width(&event.word, TEXT_PX) + 10.0;
        let (wide, narrow) = (fraction * width_px, fraction * NARROW_PX);
        let (side, back) = match wide + length > width_px || narrow + length > NARROW_PX {
            true => (HPos::Right, length),
            false => (HPos::Left, 0.0),
        };
        if wide - back < free_wide {
            continue;
        }
        let role = if narrow - back < free_narrow { Role::EventWordWide } else { Role::EventWord };
        free_wide = wide - back + length;
        if role == Role::EventWord {
            free_narrow = narrow - back + length;
        }
        let _ = area.draw(&Text::new(event.word.as_str(), (event.x, y.high()), lettering(role, side)));
    }
}

/// The faint values, the line, the points that are alone, the marks of gaps.
fn draw_series(area: &Area, one: &Prepared, x: &Scale, y: &Scale, columns: f64) {
    let number = one.series.number;
    let column = |value: f64| (x.fraction(value) * columns) as i64;
    let weight = match one.series.weight {
        Weight::Plain => Role::Line,
        Weight::Lead => Role::Lead,
    };
    let raw = one.smoothed.as_ref().map(|_| (&*one.values, Role::Faint));
    let line = (one.smoothed.as_deref().unwrap_or(&one.values), weight);
    for (values, role) in raw.into_iter().chain([line]) {
        for segment in series::split(values).segments {
            match series::reaching(segment, x.low(), x.high()) {
                [alone] => {
                    let _ = area.draw(&Pixel::new(*alone, stroke(Ink { role, series: number })));
                }
                within => {
                    let path = PathElement::new(
                        series::reduced(within, column),
                        stroke(Ink { role, series: number }),
                    );
                    let _ = area.draw(&path);
                }
            }
        }
    }
    let mut last_column = None;
    let gaps = series::split(&one.values).gaps.into_iter().filter(|gap| {
        let new = last_column.replace(column(gap.x)) != Some(column(gap.x));
        new && (0.0..=1.0).contains(&x.fraction(gap.x))
    });
    for gap in gaps.take(MOST_GAPS) {
        let beside = gap.beside.unwrap_or(y.low()).clamp(y.low(), y.high());
        let mark = Pixel::new((gap.x, beside), stroke(Ink { role: Role::Gap, series: number }));
        let _ = area.draw(&mark);
    }
}

fn stroke(ink: Ink) -> ShapeStyle {
    ShapeStyle { color: ink.color(), filled: false, stroke_width: 1 }
}

fn lettering(role: Role, side: HPos) -> TextStyle<'static> {
    let font = FontDesc::new(FontFamily::SansSerif, TEXT_PX, FontStyle::Normal);
    let color = Ink::of(role).color().to_backend_color();
    TextStyle { font, color, pos: Pos::new(side, VPos::Center) }
}

/// The layers in their order, inside an element that says in words what they show.
fn assemble(chart: &Chart, words: &str, (x, y): (&Scale, &Scale), lines: usize, layers: Layers) -> String {
    let many = if lines > MANY_LINES { " many" } else { "" };
    let (width, height) = chart.size.plot_px();
    let (width, height) = (width * FINENESS, height * FINENESS);
    let Layers { under, lines, over } = layers;
    let mut svg = String::with_capacity(under.len() + lines.len() + over.len() + 1024);
    let _ = write!(
        svg,
        r#"<svg class="chart {} y{}{}" role="img"><title>{}</title><desc>{}</desc>"#,
        chart.size.class(),
        label_room(y),
        many,
        Escaped(&chart.title),
        Escaped(words),
    );
    let _ = write!(svg, r#"<g class="scale">{under}</g>"#);
    let _ = write!(
        svg,
        r#"<svg class="plot" viewBox="0 0 {width} {height}" preserveAspectRatio="none" width="100%" height="100%" data-x="{:e} {:e} {}" fill="none">{lines}</svg>{over}</svg>"#,
        x.low(),
        x.high(),
        match x.spread() {
            Spread::Linear => "linear",
            Spread::Log => "log",
        },
    );
    svg
}

/// Room left of the plot for the labels of y, in steps of eight CSS pixels, at least five so that
/// charts above each other share their left edge.
fn label_room(y: &Scale) -> usize {
    let widest = number::labels(y.ticks()).iter().map(|label| text_width(label, TEXT_PX)).fold(0.0, f64::max);
    (((widest + 10.0) / 8.0).ceil() as usize).clamp(5, 12)
}

#[cfg(test)]
mod tests;
