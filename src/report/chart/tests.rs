//! Whole charts: what is in the SVG, and that no data breaks one.

use super::*;
use proptest::prelude::*;

fn chart(points: Vec<Point>) -> Chart {
    let axis = |label: &str, range| Axis {
        label: label.into(),
        spread: Spread::Linear,
        range,
        counted: Counted::Steps,
    };
    Chart {
        title: "Loss".into(),
        subtitle: "train".into(),
        x: axis("step", Range::All),
        y: axis("train/loss", Range::Telling),
        series: vec![line("a", 0, points)],
        events: vec![],
        size: Size::Third,
        told: String::new(),
        bands: Vec::new(),
    }
}

fn line(label: &str, number: u16, points: Vec<Point>) -> Series {
    Series {
        label: label.into(),
        number,
        points,
        weight: Weight::Plain,
        form: Form::AsIs,
        origin: Origin::default(),
    }
}

fn draw_svg(chart: &Chart) -> String {
    draw(chart).svg
}

fn ramp(steps: u32) -> Vec<Point> {
    (0..steps).map(|step| (f64::from(step), f64::from(step) / 10.0)).collect()
}

#[test]
fn a_chart_says_in_words_what_it_shows() {
    let mut chart = chart(vec![(0.0, 4.0), (100.0, 1.5), (200.0, 2.0)]);
    chart.events.push(Event { x: 100.0, word: "resumed".into() });
    let svg = draw(&chart).svg;
    assert!(svg.contains(r#"role="img"><title>Loss</title>"#));
    assert!(svg.contains(
        "train/loss by step, from 0 to 200. a: from 4 to 2, lowest 1.500 at step 100, highest 4 at step 0. \
         resumed at step 100."
    ));
}

#[test]
fn a_chart_of_nothing_has_axes_and_says_so() {
    let svg = draw_svg(&chart(vec![]));
    assert!(svg.contains("No values yet.") && svg.contains("gridline") && !svg.contains("<path"));
}

#[test]
fn one_point_is_a_dot() {
    let svg = draw_svg(&chart(vec![(5.0, 2.0)]));
    assert!(svg.contains(r#"<circle class="dot c1" cx="50%" cy="50%""#), "{svg}");
}

#[test]
fn values_that_are_not_finite_leave_a_gap_with_a_mark() {
    let mut points = ramp(100);
    points[50].1 = f64::NAN;
    let svg = draw_svg(&chart(points));
    assert_eq!(svg.matches("<path").count(), 2);
    assert_eq!(svg.matches(r#"class="gap c1""#).count(), 1);
    assert!(svg.contains("1 not finite"));
}

#[test]
fn the_leading_run_is_drawn_last_and_heavier() {
    let mut chart = chart(ramp(10));
    chart.series[0].weight = Weight::Lead;
    chart.series.push(line("b", 1, ramp(10)));
    let svg = draw(&chart).svg;
    assert!(svg.find("line c2").unwrap() < svg.find("line c1 lead").unwrap());
}

#[test]
fn a_smoothed_line_lies_over_its_faint_values() {
    let mut chart = chart(ramp(1000));
    chart.series[0].form = Form::Smoothed;
    let svg = draw(&chart).svg;
    assert!(svg.find("line c1 faint").unwrap() < svg.find(r#"line c1""#).unwrap());
}

#[test]
fn events_too_close_for_two_words_keep_both_lines() {
    let mut chart = chart(ramp(1000));
    for x in [500.0, 501.0, 900.0] {
        chart.events.push(Event { x, word: "resumed".into() });
    }
    let svg = draw(&chart).svg;
    assert_eq!(svg.matches(r#"class="event""#).count(), 3);
    assert_eq!(svg.matches(">resumed<").count(), 2);
}

#[test]
fn a_million_points_become_at_most_two_a_pixel() {
    let points = (0..1_000_000).map(|step| (f64::from(step), (f64::from(step) * 1.7).sin())).collect();
    let svg = draw_svg(&chart(points));
    assert!(svg.len() < 12_000, "{} bytes", svg.len());
}

#[test]
fn lines_that_leave_the_range_are_clipped_not_bent() {
    let mut chart = chart(vec![(0.0, 0.0), (50.0, 1e300), (100.0, 0.5)]);
    chart.y.range = Range::Fixed(0.0, 1.0);
    let svg = draw(&chart).svg;
    // The highest point stays a hundred plot heights above the plot.
    assert!(svg.contains("M0 1200l1730-121200 1730 120600"), "{svg}");
}

#[test]
fn markup_in_names_stays_text() {
    let mut chart = chart(ramp(10));
    chart.title = "<script>".into();
    chart.series[0].label = "a & b".into();
    chart.events.push(Event { x: 5.0, word: "</svg>".into() });
    let svg = draw(&chart).svg;
    assert!(!svg.contains("<script>") && svg.contains("a &amp; b") && svg.matches("</svg>").count() == 2);
}

#[test]
fn charts_have_no_style_of_their_own() {
    let svg = draw_svg(&chart(ramp(100)));
    assert!(!svg.contains("style=") && !svg.contains("#") && !svg.contains("stroke=\""));
}

fn any_value() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        -10.0..10.0,
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(1e300),
        Just(-1e308),
        Just(1e-300),
        Just(0.0),
    ]
}

fn any_range() -> impl Strategy<Value = Range> {
    prop_oneof![
        Just(Range::All),
        Just(Range::Telling),
        Just(Range::FromZero),
        (any_value(), any_value()).prop_map(|(low, high)| Range::Fixed(low, high)),
    ]
}

proptest! {
    #[test]
    fn no_data_breaks_a_chart(
        series in prop::collection::vec(prop::collection::vec((any_value(), any_value()), 0..60), 0..5),
        events in prop::collection::vec(any_value(), 0..5),
        ranges in (any_range(), any_range()),
        log in any::<(bool, bool)>(),
        size in prop::sample::select(vec![Size::Full, Size::TwoThirds, Size::Half, Size::Third, Size::Spark]),
        smoothed in any::<bool>(),
    ) {
        let mut chart = chart(vec![]);
        chart.size = size;
        (chart.x.range, chart.y.range) = ranges;
        let spread = |log| if log { Spread::Log } else { Spread::Linear };
        (chart.x.spread, chart.y.spread) = (spread(log.0), spread(log.1));
        chart.events = events.into_iter().map(|x| Event { x, word: "restart".into() }).collect();
        chart.series = series.into_iter().enumerate().map(|(number, points)| {
            let form = if smoothed { Form::Smoothed } else { Form::AsIs };
            Series { form, ..line("run", number as u16, points) }
        }).collect();
        let svg = draw(&chart).svg;
        prop_assert!(svg.starts_with("<svg") && svg.ends_with("</svg>"));
        let inside = svg.split("<g class=").nth(1).unwrap_or_default();
        prop_assert!(!inside.contains("NaN") && !inside.contains("inf%") && !inside.contains("\"inf"), "{}", svg);
        prop_assert!(svg.len() < 60_000);
    }
}

/// Points of all lines and areas of a drawing: each is two numbers of its path.
fn points(svg: &str) -> usize {
    let paths = svg.split(" d=\"").skip(1).filter_map(|rest| rest.split('"').next());
    paths
        .map(|path| {
            path.split(|sign: char| !sign.is_ascii_digit()).filter(|part| !part.is_empty()).count() / 2
        })
        .sum()
}

fn noise(number: u16) -> Vec<Point> {
    let value = |step: u32| f64::from((step * 7919 + u32::from(number) * 31) % 1009);
    (0..10_000).map(|step| (f64::from(step), value(step))).collect()
}

#[test]
fn a_crowd_of_lines_has_a_budget_of_points_and_few_lines_are_as_fine_as_the_screen() {
    for (size, lines, most) in [
        (Size::Full, 250, 10_500),
        (Size::Third, 300, 10_500),
        (Size::Full, 20, 10_100),
        (Size::Full, 1, 2_400),
    ] {
        let series = (0..lines).map(|number| line("a", number, noise(number))).collect();
        let drawn = points(&draw_svg(&Chart { series, size, ..chart(Vec::new()) }));
        assert!(drawn <= most, "{lines} lines: {drawn} points");
        assert!(drawn * 10 >= most * 8, "{lines} lines: {drawn} points are less than there is room for");
    }
}

#[test]
fn a_line_of_a_crowd_keeps_its_extremes() {
    let mut spiked = noise(0);
    (spiked[5_003].1, spiked[7_001].1) = (2_000.0, -1_000.0);
    let series =
        (1..250).map(|number| line("a", number, noise(number))).chain([line("b", 9, spiked)]).collect();
    let chart = Chart { series, y: Axis { range: Range::All, ..chart(Vec::new()).y }, ..chart(Vec::new()) };
    let svg = draw_svg(&Chart { size: Size::Full, ..chart });
    // The canvas is 2600 units high, from -1000 to 2000: relative steps are added up to places.
    let last = svg.rsplit("d=\"M").next().unwrap().split('"').next().unwrap();
    let (start, steps) = last.split_once('l').unwrap();
    let mut at: i64 = start.split(' ').nth(1).unwrap().parse().unwrap();
    let (mut low, mut high) = (at, at);
    let steps = steps.replace('-', " -");
    for step in steps.split_whitespace().skip(1).step_by(2) {
        at += step.parse::<i64>().unwrap();
        (low, high) = (low.min(at), high.max(at));
    }
    assert_eq!((low, high), (0, 2600));
}

#[test]
fn a_band_of_too_many_members_is_told_by_its_edges() {
    let edges = (0..2000).map(|x| (f64::from(x), 1.0, 3.0)).collect();
    let mut one = line("mean", 4, noise(0));
    one.origin.has_band = true;
    let told = |series: Series, edges| {
        let bands = vec![Band { number: 4, edges }];
        let json = draw(&Chart { series: vec![series], bands, ..chart(Vec::new()) }).json;
        let data: serde_json::Value = serde_json::from_str(&json).unwrap();
        (data["series"][0]["band"].clone(), data["series"][0]["edges"][0].as_array().map(Vec::len))
    };
    let (band, length) = told(one.clone(), edges);
    assert!(band.is_null() && (6..=4_200).contains(&length.unwrap()), "{band} {length:?}");
    let member = Member { experiment: "x".into(), run: "y".into(), metric: "m".into(), points: noise(0) };
    one.origin.members = vec![member];
    assert_eq!(told(one, vec![(0.0, 1.0, 2.0)]), (true.into(), None));
}
