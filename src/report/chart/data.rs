//! What a page gives its script for each chart, and the one place where that is written down.
//!
//! A figure carries it as JSON in its attribute `data-chart`, or a script beside a page that would be too
//! large has it (see `aside`); the exported file and pages that compare runs carry the same. Without a
//! script nobody reads it: the drawing beside it is whole.
//!
//! ```text
//! x, y       axis: label, low and high as drawn, log, and
//!              x.kind   "step", or "time" for seconds, minutes or hours since x.from (Unix seconds),
//!                       x.unit of them each
//!              y.range  how its ends follow from the data: "telling", "all", "from-zero", "fixed"
//! size       full, two-thirds, half, third
//! series     in the order in which they lie on each other, the last one on top:
//!   id         unique in the chart, the same in all charts for the same line of the same run
//!   label      its name in legends
//!   run, experiment, number   whose line it is: what color and dash follow from
//!   metric     the column of metrics.csv or telemetry.csv
//!   class      the classes it has on this page
//!   lead       whether it is drawn heavier
//!   points     x and y in turn, as measured, reduced to about two points a pixel, extremes kept
//!   rows       how many rows the points stand for
//!   means      x, mean and number of rows of each stretch, in turn: what a moving average of reduced
//!              points needs; absent where the points are all there are, or where none is drawn
//!   smoothing  weight that a row of the moving average keeps for the next one as drawn; 0 = no average
//!   faint      whether the values are drawn behind their average from the start
//!   href       the page of the run, where that is another one
//!   members    of a line that is the mean of several: id, experiment, run and points of each. On other
//!              axes they are joined anew, where each of them stands there
//!   band       whether the range of the members is drawn as well
//!   edges      of each range whose members are not given, or that has none, x, lowest and highest in turn:
//!              as the server has joined them, over the steps
//!   csv        where every row lies: href, header's places x and y, and how a cell becomes a number
//!              of this chart: (x - from) / unit, y / divisor
//! events     x and word
//! ```
//!
//! Numbers that are not finite are "nan", "inf" and "-inf". What a step is on other axes (epoch,
//! seconds, tokens) stands once a page: see `clocks`.

use serde::{Serialize, Serializer};

use super::axis::Scale;
use super::backend::series_class;
use super::series::{Mean, means, merged, thinned};
use super::{Chart, Event, Form, Point, Prepared, Range, Series, Spread, Weight};
use crate::run_dir::number::Number;

/// Whose line a series is, and what it was made from.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    pub experiment: String,
    /// The run's directory.
    pub run: String,
    /// The run's number within its experiment.
    pub number: u16,
    pub metric: String,
    /// The page of the run, seen from this one.
    pub href: Option<String>,
    pub csv: Option<Csv>,
    /// The values themselves, where the points of the series are their average.
    pub values: Option<Values>,
    /// The lines whose mean it is.
    pub members: Vec<Member>,
    /// Whether their range is drawn.
    pub has_band: bool,
}

/// One of several lines that are drawn as their mean.
#[derive(Clone, Debug)]
pub struct Member {
    pub experiment: String,
    pub run: String,
    pub metric: String,
    pub points: Vec<Point>,
}

/// Measured values in reduced form, with what an average of them needs.
#[derive(Clone, Debug, Default)]
pub struct Values {
    pub points: Vec<Point>,
    pub means: Vec<Mean>,
    pub rows: usize,
}

impl Values {
    /// The same in about so many columns, where many lines share a page.
    pub fn thinned(self, columns: u32) -> Values {
        if self.points.len() <= columns as usize * 2 {
            return self;
        }
        let each = self.means.len().div_ceil(columns as usize);
        let means = match self.means.is_empty() {
            // The points were all rows, and are not any more.
            true => means(&self.points, columns),
            false => merged(&self.means, each),
        };
        Values { points: thinned(&self.points, columns), means, rows: self.rows }
    }
}

/// Where every row of a series lies, and how its cells become points.
#[derive(Clone, Debug, Serialize)]
pub struct Csv {
    pub href: String,
    /// Places in the header.
    pub x: usize,
    pub y: usize,
    pub from: f64,
    pub unit: f64,
    pub divisor: f64,
}

/// What x counts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Counted {
    #[default]
    Steps,
    /// Units of so many seconds since a moment in Unix seconds.
    Time { from: f64, unit: f64 },
}

#[derive(Serialize)]
struct ChartData<'a> {
    x: AxisData<'a>,
    y: AxisData<'a>,
    size: &'static str,
    series: Vec<SeriesData<'a>>,
    events: Vec<EventData<'a>>,
}

#[derive(Serialize)]
struct AxisData<'a> {
    label: &'a str,
    low: f64,
    high: f64,
    log: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<&'static str>,
}

#[derive(Serialize)]
struct SeriesData<'a> {
    id: String,
    label: &'a str,
    run: &'a str,
    experiment: &'a str,
    number: u16,
    metric: &'a str,
    class: String,
    lead: bool,
    points: Vec<Drawn>,
    rows: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    means: Vec<Drawn>,
    smoothing: f64,
    faint: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    href: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    csv: Option<&'a Csv>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    members: Vec<MemberData<'a>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    band: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    edges: Vec<Vec<Drawn>>,
}

#[derive(Serialize)]
struct MemberData<'a> {
    id: String,
    experiment: &'a str,
    run: &'a str,
    points: Vec<Drawn>,
    rows: usize,
}

/// A number without a point where it needs none: half of those on a page are steps.
pub struct Drawn(pub f64);

impl Serialize for Drawn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            whole if whole.fract() == 0.0 && whole.abs() < 1e15 => serializer.serialize_i64(whole as i64),
            other => Number(other).serialize(serializer),
        }
    }
}

#[derive(Serialize)]
struct EventData<'a> {
    x: f64,
    word: &'a str,
}

/// The chart as JSON, with lines of at most so many columns.
pub(super) fn json(chart: &Chart, prepared: &[Prepared], x: &Scale, y: &Scale, columns: u32) -> String {
    let mut series: Vec<SeriesData> = Vec::with_capacity(prepared.len());
    for one in prepared {
        let mut data = series_data(one, columns);
        if one.series.origin.has_band && !data.band {
            let own = chart.bands.iter().filter(|band| band.number == one.series.number);
            let edges = own.map(|band| band.thinned(columns)).filter(|edges| !edges.is_empty());
            let in_turn = |(x, low, high)| [brief(x, 9), brief(low, 6), brief(high, 6)].map(Drawn);
            data.edges = edges.map(|edges| edges.into_iter().flat_map(in_turn).collect()).collect();
        }
        let twins = series.iter().filter(|other| other.id == data.id).count();
        if twins > 0 {
            data.id = format!("{}:{twins}", data.id);
        }
        series.push(data);
    }
    // Drawn over the others, so last here as well.
    series.sort_by_key(|one| one.lead);
    let (kind, from, unit) = match chart.x.counted {
        Counted::Steps => ("step", None, None),
        Counted::Time { from, unit } => ("time", Some(from), Some(unit)),
    };
    let axis = |label, scale: &Scale| AxisData {
        label,
        low: scale.low(),
        high: scale.high(),
        log: scale.spread() == Spread::Log,
        kind: None,
        from: None,
        unit: None,
        range: None,
    };
    let data = ChartData {
        x: AxisData { kind: Some(kind), from, unit, ..axis(&chart.x.label, x) },
        y: AxisData { range: Some(range_word(chart.y.range)), ..axis(&chart.y.label, y) },
        size: chart.size.class(),
        series,
        events: chart.events.iter().filter(|event| event.x.is_finite()).map(event_data).collect(),
    };
    // Only maps with keys that are no strings fail, and there is none.
    serde_json::to_string(&data).unwrap_or_default()
}

fn series_data<'a>(one: &'a Prepared, columns: u32) -> SeriesData<'a> {
    let Series { label, number, origin, .. } = one.series;
    let (points, means, rows) = match origin.values.clone().map(|values| values.thinned(columns)) {
        Some(Values { points, means, rows }) => (points, means, rows),
        None => reduced(&one.values, columns, one.series.form),
    };
    let smoothing = match (one.series.form, &origin.values) {
        (Form::AsIs, None) => 0.0,
        _ => super::series::weight_kept(rows),
    };
    let whose = [origin.experiment.as_str(), origin.run.as_str(), origin.metric.as_str()];
    let id = match whose.iter().all(|word| word.is_empty()) {
        true => label.clone(),
        false => whose.join("/"),
    };
    SeriesData {
        id,
        label,
        run: &origin.run,
        experiment: &origin.experiment,
        number: origin.number,
        metric: &origin.metric,
        class: series_class(*number),
        lead: one.series.weight == Weight::Lead,
        points: in_pairs(&points),
        rows,
        means: means.iter().flat_map(in_turn).collect(),
        smoothing: brief(smoothing, 6),
        faint: one.series.form == Form::Smoothed,
        href: origin.href.as_deref(),
        csv: origin.csv.as_ref(),
        members: members(&origin.members, columns),
        band: origin.has_band && !origin.members.is_empty(),
        edges: Vec::new(),
    }
}

/// The members of a mean, each with its part of the points that they may have together.
fn members(members: &[Member], columns: u32) -> Vec<MemberData<'_>> {
    let each = (POINTS_OF_MEMBERS / 2 / members.len().max(1)) as u32;
    let columns = each.clamp(20, columns.max(20));
    let data = |member: &'_ Member| -> Vec<Drawn> {
        match member.points.len() > columns as usize * 2 {
            true => in_pairs(&thinned(&member.points, columns)),
            false => in_pairs(&member.points),
        }
    };
    members
        .iter()
        .map(|member| MemberData {
            id: [member.experiment.as_str(), &member.run, &member.metric].join("/"),
            experiment: &member.experiment,
            run: &member.run,
            points: data(member),
            rows: member.points.len(),
        })
        .collect()
}

/// Points of all members of one mean.
const POINTS_OF_MEMBERS: usize = 4_000;

fn in_pairs(points: &[Point]) -> Vec<Drawn> {
    points.iter().flat_map(|&(x, y)| [Drawn(brief(x, 9)), Drawn(brief(y, 6))]).collect()
}

/// What the script gets of values in order: all of them where they are few.
pub fn reduced(values: &[Point], columns: u32, form: Form) -> (Vec<Point>, Vec<Mean>, usize) {
    let rows = values.len();
    if rows <= columns as usize * 2 {
        return (values.to_vec(), Vec::new(), rows);
    }
    let means = if form == Form::Smoothed { means(values, columns) } else { Vec::new() };
    (thinned(values, columns), means, rows)
}

/// A mean as scripts read it: where it ends, its value, its rows.
pub fn in_turn(mean: &Mean) -> [Drawn; 3] {
    [Drawn(brief(mean.x, 9)), Drawn(brief(mean.mean, 6)), Drawn(f64::from(mean.rows))]
}

fn event_data(event: &Event) -> EventData<'_> {
    EventData { x: event.x, word: &event.word }
}

fn range_word(range: Range) -> &'static str {
    match range {
        Range::All => "all",
        Range::Telling => "telling",
        Range::FromZero => "from-zero",
        Range::Fixed(..) => "fixed",
    }
}

/// The nearest number with so many significant digits: more are never seen and cost bytes.
pub fn brief(value: f64, digits: i32) -> f64 {
    if value == 0.0 || !value.is_finite() || value.fract() == 0.0 && value.abs() < 1e9 {
        return value;
    }
    let power = digits - 1 - decimal_exponent(value.abs());
    match power {
        // Powers of ten up to here are exact, so the quotient is the nearest number to the digits.
        0..=22 => rounded(value * POWERS[power as usize]) / POWERS[power as usize],
        -22..0 => (value / POWERS[-power as usize]).round() * POWERS[-power as usize],
        _ => format!("{value:.*e}", digits.max(1) as usize - 1).parse().unwrap_or(value),
    }
}

/// The nearest whole number to one of at most so many digits as are kept, without a call.
fn rounded(value: f64) -> f64 {
    (value + 0.5f64.copysign(value)) as i64 as f64
}

/// The powers of ten that floats hold exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// The whole part of the decimal logarithm; pages hold tens of thousands of numbers, so by a look at the
/// binary exponent where that is enough.
fn decimal_exponent(value: f64) -> i32 {
    let binary = (value.to_bits() >> 52) as i32 - 1023;
    // 1233 / 4096 is the decimal logarithm of two, a little too small: by one at the most in this range.
    let low = (binary * 1233) >> 12;
    match usize::try_from(low + 1).ok().and_then(|next| POWERS.get(next)) {
        Some(&next) if value >= next => low + 1,
        Some(_) => low,
        None => value.log10().floor() as i32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_cut_to_digits_that_are_seen() {
        let shown = [1.234567891, 0.000123456789, 123456.789, 1e300 / 3.0, 1e-300 / 3.0, 12.0, 0.0]
            .map(|value| brief(value, 6).to_string());
        assert_eq!(shown[..3], ["1.23457", "0.000123457", "123457"]);
        assert_eq!((brief(1e300 / 3.0, 6), brief(1e-300 / 3.0, 6)), (3.33333e299, 3.33333e-301));
        assert_eq!(shown[5..], ["12", "0"]);
    }

    #[test]
    fn values_of_many_lines_are_few_and_stand_for_all_rows() {
        let points: Vec<Point> = (0..1000).map(|step| (f64::from(step), f64::from(step % 10))).collect();
        for columns in [300, 1000] {
            let (points, means, rows) = reduced(&points, columns, Form::Smoothed);
            let few = Values { points, means, rows }.thinned(20);
            assert!(few.points.len() <= 44 && few.means.len() <= 22, "{few:?}");
            assert_eq!((few.rows, few.means.iter().map(|mean| mean.rows).sum::<u32>()), (1000, 1000));
        }
    }

    proptest! {
        #[test]
        fn cutting_digits_moves_no_number_far(value in any::<f64>()) {
            let cut = brief(value, 6);
            if value.is_nan() {
                prop_assert!(cut.is_nan());
            } else if value.is_normal() {
                prop_assert!((cut - value).abs() <= value.abs() * 1e-5, "{value} became {cut}");
            } else {
                prop_assert!((cut - value).abs() <= f64::MIN_POSITIVE || cut == value);
            }
        }
    }
}
