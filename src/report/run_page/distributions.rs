//! How values were spread through training, of runs of programs that log histograms: a chart for each.

use super::super::chart::backend::NEUTRAL;
use super::super::chart::data::Origin;
use super::super::chart::{Axis, Band, Chart, Counted, Form, Point, Range, Series, Size, Spread, Weight};
use super::super::files::RunFiles;
use super::super::model::Figure;
use super::super::planned::Planned;
use super::super::summary::RunSummary;
use super::curves;
use crate::run_dir::distributions;

/// The table as it lies beside the page.
const FILE: &str = "distributions.csv";
/// Charts on a page.
const DRAWN: usize = 12;

/// A chart for each of the first histograms.
pub fn figures(files: &RunFiles, summary: &RunSummary) -> Vec<Figure> {
    let names = distributions::names(&files.distributions);
    let drawn = names.into_iter().take(DRAWN).enumerate();
    drawn.map(|(place, name)| planned(files, summary, place, name).drawn()).collect()
}

/// Histograms that are not drawn.
pub fn left(files: &RunFiles) -> usize {
    distributions::names(&files.distributions).len().saturating_sub(DRAWN)
}

fn planned(files: &RunFiles, summary: &RunSummary, place: usize, name: &str) -> Planned {
    let table = &files.distributions;
    let [min, p5, p25, p50, p75, p95, max] = distributions::columns(name);
    let line = |column: &str, label: &str, number: u16, weight: Weight| Series {
        label: label.to_owned(),
        number,
        points: finite(files, column),
        weight,
        form: Form::AsIs,
        // Both areas lie around the median.
        origin: Origin { has_band: weight == Weight::Lead, ..curves::origin(summary, (table, FILE), column) },
    };
    let band = |low: &str, high: &str| {
        let (low, high) = (finite(files, low), finite(files, high));
        // Quantiles of a step stand in one row: where one is missing, the row is damaged.
        let edges = low.iter().zip(&high).filter(|(low, high)| low.0 == high.0);
        Band { number: summary.number, edges: edges.map(|(low, high)| (low.0, low.1, high.1)).collect() }
    };
    let steps = table.column("step").map(|steps| steps.values.as_slice()).unwrap_or_default();
    let chart = Chart {
        title: name.to_owned(),
        subtitle: String::new(),
        x: Axis {
            label: "step".into(),
            spread: Spread::Linear,
            range: curves::range_of(steps),
            counted: Counted::Steps,
        },
        y: Axis {
            label: name.to_owned(),
            spread: Spread::Linear,
            range: Range::Telling,
            counted: Counted::Steps,
        },
        bands: vec![band(&p5, &p95), band(&p25, &p75)],
        series: vec![
            line(&min, "least", NEUTRAL, Weight::Plain),
            line(&max, "largest", NEUTRAL, Weight::Plain),
            line(&p50, "median", summary.number, Weight::Lead),
        ],
        events: Vec::new(),
        size: Size::Third,
        told: String::new(),
    };
    let note = String::new();
    Planned { id: format!("distribution-{place}"), title: name.to_owned(), note, legend: Vec::new(), chart }
}

fn finite(files: &RunFiles, column: &str) -> Vec<Point> {
    files
        .distributions
        .points("step", column)
        .filter(|(step, value)| step.is_finite() && value.is_finite())
        .collect()
}
