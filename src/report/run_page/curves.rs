//! The curves of one run: which metrics share a chart, and how each is drawn.

use super::super::chart::backend::{NEUTRAL, series_class};
use super::super::chart::number::count;
use super::super::chart::{
    Axis, Chart, Counted, Csv, Event, Form, Origin, Point, Range, Series, Size, Spread, Weight,
};
use super::super::files::RunFiles;
use super::super::model::{Figure, Key};
use super::super::planned::Planned;
use super::super::summary::RunSummary;
use super::events;
use crate::curves::of_chart;
use crate::experiment::metric::Metric;
use crate::experiment::settings::ScheduleKind;
use crate::run_dir::metrics::{Column, Metrics};
use crate::run_dir::records::RunRecord;

/// Charts of the first row have the whole width; then three in a row.
struct Plan {
    id: &'static str,
    title: &'static str,
    note: String,
    /// Metric, name in the legend.
    lines: Vec<(&'static str, &'static str)>,
    size: Size,
    range: Range,
}

/// Charts of metrics that are not ours, on a page: each costs a browser some thousand elements.
const DRAWN: usize = 24;

/// All charts of the run, in the order of the page. Those without a value are left out.
pub fn figures(files: &RunFiles, summary: &RunSummary) -> Vec<Figure> {
    planned(files, summary).into_iter().map(Planned::drawn).collect()
}

/// The same before they are drawn.
pub fn planned(files: &RunFiles, summary: &RunSummary) -> Vec<Planned> {
    let events = events::over_steps(files, summary);
    let x_range = steps_shown(files);
    let mut planned: Vec<&str> = vec!["step", "epoch", "time", "elapsed"];
    let mut figures = Vec::new();
    for plan in plans(files) {
        planned.extend(plan.lines.iter().map(|(metric, _)| *metric));
        figures.extend(figure(files, summary, plan, x_range, &events));
    }
    // Metrics of another program's worker have a chart as well.
    let others = others(files, &planned);
    for (index, column) in others.into_iter().take(DRAWN).enumerate() {
        let line =
            Line { metric: &column.name, name: &column.name, number: summary.number, weight: Weight::Plain };
        let heading = (format!("other-{index}"), column.name.clone(), String::new());
        // What counts for a run of another program is what one looks at first.
        let counts = column.name == summary.metric;
        let size = if counts { Size::Full } else { Size::Third };
        let shown = drawn(files, summary, heading, &[line], (size, Range::Telling), x_range, &events);
        figures.splice(if counts { 0..0 } else { figures.len()..figures.len() }, shown);
    }
    figures
}

/// Metrics with values whose charts are too many to be drawn.
pub fn not_drawn(files: &RunFiles) -> Vec<&Column> {
    let mut planned: Vec<&str> = vec!["step", "epoch", "time", "elapsed"];
    planned.extend(plans(files).iter().flat_map(|plan| &plan.lines).map(|(metric, _)| *metric));
    others(files, &planned).into_iter().skip(DRAWN).collect()
}

/// Columns of values that have no place in a chart of ours.
fn others<'a>(files: &'a RunFiles, planned: &[&str]) -> Vec<&'a Column> {
    let columns = files.metrics.columns.iter();
    columns.filter(|one| !one.values.is_empty() && !planned.contains(&one.name.as_str())).collect()
}

fn plans(files: &RunFiles) -> Vec<Plan> {
    let plan = |id, title, note: &str, lines: &[(&'static str, &'static str)], size, range| Plan {
        id,
        title,
        note: note.into(),
        lines: lines.to_vec(),
        size,
        range,
    };
    let settings = files.seen.record.as_ref().ok().and_then(RunRecord::own_settings);
    let schedule = settings.map_or_else(String::new, |settings| {
        let schedule = &settings.train.schedule;
        let kind = match schedule.kind {
            ScheduleKind::Constant => "constant",
            ScheduleKind::Linear => "linear",
            ScheduleKind::Cosine => "cosine",
            ScheduleKind::OneCycle => "one cycle",
        };
        let warmup =
            if schedule.warmup > 0 { format!(", warm-up {}", count(schedule.warmup)) } else { String::new() };
        format!("{kind}{warmup}")
    });
    let clip = settings.map_or_else(String::new, |settings| match settings.train.clip {
        0.0 => "not clipped".into(),
        clip => format!("before clipping at {clip}"),
    });
    let has_accuracy = files.metrics.columns.iter().any(|column| column.name.ends_with("/accuracy"));
    let (size, range) = (if has_accuracy { Size::Half } else { Size::Full }, Range::Telling);
    vec![
        plan("loss", "Loss", "", &[("train/loss", "train"), ("val/loss", "validation")], size, range),
        plan(
            "accuracy",
            "Accuracy",
            "",
            &[("train/accuracy", "train"), ("val/accuracy", "validation")],
            size,
            range,
        ),
        plan(
            "perplexity",
            "Perplexity",
            "validation",
            &[("val/perplexity", "")],
            Size::Third,
            Range::Telling,
        ),
        plan("lr", "Learning rate", &schedule, &[("lr", "")], Size::Third, Range::FromZero),
        plan("grad-norm", "Gradient norm", &clip, &[("grad_norm", "")], Size::Third, Range::Telling),
        plan(
            "tokens",
            "Tokens per second",
            "training only",
            &[("tokens_per_second", "")],
            Size::Third,
            Range::FromZero,
        ),
        plan(
            "images",
            "Images per second",
            "training only",
            &[("images_per_second", "")],
            Size::Third,
            Range::FromZero,
        ),
        plan(
            "bits",
            "Bits per byte",
            "validation",
            &[("val/bits_per_byte", "")],
            Size::Third,
            Range::Telling,
        ),
    ]
}

fn figure(
    files: &RunFiles,
    summary: &RunSummary,
    plan: Plan,
    x_range: Range,
    events: &[Event],
) -> Option<Planned> {
    let own = summary.number;
    let lines: Vec<Line> = plan
        .lines
        .iter()
        .enumerate()
        .map(|(index, &(metric, name))| Line {
            metric,
            name: if name.is_empty() { metric } else { name },
            // Of two lines the last is the one that other pages draw: it has the run's color.
            number: if index + 1 == plan.lines.len() { own } else { NEUTRAL },
            weight: if plan.lines.len() > 1 && index + 1 == plan.lines.len() {
                Weight::Lead
            } else {
                Weight::Plain
            },
        })
        .collect();
    let heading = (plan.id.to_owned(), plan.title.to_owned(), plan.note);
    drawn(files, summary, heading, &lines, (plan.size, plan.range), x_range, events)
}

struct Line<'a> {
    metric: &'a str,
    name: &'a str,
    number: u16,
    weight: Weight,
}

/// Whose line it is, and where all its rows lie: in the file `href` beside the page, of which this is the table.
pub fn origin(summary: &RunSummary, (table, href): (&Metrics, &str), metric: &str) -> Origin {
    let place = |name: &str| table.columns.iter().position(|column| column.name == name);
    let csv = place("step").zip(place(metric)).map(|(x, y)| Csv {
        href: href.into(),
        x,
        y,
        from: 0.0,
        unit: 1.0,
        divisor: 1.0,
    });
    Origin {
        experiment: summary.experiment.clone(),
        run: summary.run.clone(),
        number: summary.number,
        metric: metric.to_owned(),
        csv,
        ..Origin::default()
    }
}

fn drawn(
    files: &RunFiles,
    summary: &RunSummary,
    (id, title, note): (String, String, String),
    lines: &[Line],
    (size, range): (Size, Range),
    x_range: Range,
    events: &[Event],
) -> Option<Planned> {
    let metrics: Vec<&str> = lines.iter().map(|line| line.metric).collect();
    let series: Vec<Series> = lines
        .iter()
        .map(|line| {
            let points: Vec<Point> = files.curve(line.metric).to_vec();
            let is_noisy =
                points.len() > 60 && matches!(line.metric, "train/loss" | "train/accuracy" | "grad_norm");
            let (form, label) = match is_noisy {
                true => (Form::Smoothed, format!("{}, moving average", line.name)),
                false => (Form::AsIs, line.name.to_owned()),
            };
            let origin = origin(summary, (&files.metrics, "metrics.csv"), line.metric);
            Series { label, number: line.number, points, weight: line.weight, form, origin }
        })
        .filter(|series| !series.points.is_empty())
        .collect();
    if series.is_empty() {
        return None;
    }
    let has_faint = lines.len() > 1 && series.iter().any(|one| one.form == Form::Smoothed);
    let note = if note.is_empty() && has_faint { "faint: each row".into() } else { note };
    let keys =
        series.iter().map(|one| Key { class: series_class(one.number), name: one.label.clone(), href: None });
    let legend = if lines.len() > 1 { keys.collect() } else { Vec::new() };
    let unit = lines
        .first()
        .map_or("", |line| Metric::named(line.metric).map_or(line.metric, |metric| metric.title));
    let chart = Chart {
        title: title.clone(),
        subtitle: note.clone(),
        x: Axis { label: "step".into(), spread: Spread::Linear, range: x_range, counted: Counted::Steps },
        y: Axis { label: unit.to_owned(), spread: Spread::Linear, range, counted: Counted::Steps },
        series,
        events: events.to_vec(),
        size,
        told: of_chart(&summary.said, &metrics),
        bands: Vec::new(),
    };
    Some(Planned { id: format!("chart-{id}"), title, note, legend, chart })
}

/// One range of steps for all charts, so that they can be compared by eye.
fn steps_shown(files: &RunFiles) -> Range {
    files.metrics.column("step").map_or(Range::All, |steps| range_of(&steps.values))
}

/// The range that shows these steps.
pub fn range_of(steps: &[f64]) -> Range {
    let finite = steps.iter().copied().filter(|step| step.is_finite());
    let (low, high) =
        finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), step| (low.min(step), high.max(step)));
    match () {
        () if low > high => Range::All,
        // The first row stands after the first steps; the run began at zero.
        () if low < high * 0.05 => Range::Fixed(0.0, high),
        () => Range::Fixed(low, high),
    }
}
