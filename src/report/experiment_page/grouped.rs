//! Seeds grouped: a line for the mean of each setting, a band from its lowest to its highest seed, and
//! the same as a table.

use super::super::chart::backend::series_class;
use super::super::chart::band::Band;
use super::super::chart::number::{measured, significant};
use super::super::chart::{
    self, Axis, Chart, Counted, Form, Member, Origin, Point, Range, Series, Size, Spread, Weight,
};
use super::super::model::{Figure, GroupRow, Key, SeedsBlock};
use super::super::seeds::{Group, Seeds};
use super::super::summary::RunSummary;
use super::metric_title;
use crate::statistics::{band, mean, variance};

/// Lines that can be told apart; the best settings have one.
const LINES: usize = 8;
/// Areas that can: where more lie over each other none is seen.
const BANDS: usize = 3;

/// Runs whose own curves the script is given, to join them on other axes; of more it has the means alone.
const MEMBERS: usize = 120;

/// The settings of an experiment in which some have several seeds.
pub fn block(seeds: &Seeds) -> Option<SeedsBlock> {
    if !seeds.has_several() {
        return None;
    }
    let row = |(place, group): (usize, &Group)| GroupRow {
        name: group.name.clone(),
        class: class(group),
        seeds: group.values.len(),
        mean: measured(mean(&group.values)),
        mean_sort: mean(&group.values),
        spread: if group.values.len() > 1 {
            significant(variance(&group.values).sqrt(), 2)
        } else {
            String::new()
        },
        behind: seeds.behind(place),
    };
    let rows: Vec<GroupRow> = seeds.groups.iter().enumerate().map(row).collect();
    let has_behind = rows.iter().any(|row| !row.behind.is_empty());
    Some(SeedsBlock {
        metric: seeds.metric.clone(),
        step: seeds.step,
        figure: figure(seeds),
        has_behind,
        rows,
    })
}

fn class(group: &Group) -> String {
    series_class(group.runs.first().map_or(0, |run| run.number))
}

fn figure(seeds: &Seeds) -> Option<Figure> {
    let shown: Vec<&Group> = seeds.groups.iter().take(LINES).collect();
    let is_told = shown.iter().map(|group| group.runs.len()).sum::<usize>() <= MEMBERS;
    let (mut series, mut bands, mut legend) = (Vec::new(), Vec::new(), Vec::new());
    // The leading group is drawn last, over the others.
    for (place, group) in shown.iter().enumerate().rev() {
        let number = group.runs.first()?.number;
        let curves: Vec<Vec<Point>> = group.runs.iter().map(|run| run.curve(&seeds.metric)).collect();
        let seed_count = curves.len();
        let slices = band::of(&curves);
        if slices.is_empty() {
            continue;
        }
        let points = slices.iter().map(|slice| (slice.x, slice.mean)).collect();
        let weight = if place == 0 { Weight::Lead } else { Weight::Plain };
        series.push(Series {
            label: group.name.clone(),
            number,
            points,
            weight,
            form: Form::AsIs,
            origin: Origin {
                members: if is_told { members(group, &seeds.metric, curves) } else { Vec::new() },
                has_band: place < BANDS,
                ..Origin::default()
            },
        });
        let edges = slices.iter().map(|slice| (slice.x, slice.low, slice.high)).collect();
        if place < BANDS {
            bands.push(Band { number, edges });
        }
        let name = format!("{} ({})", group.name, super::super::say::counted(seed_count, "seed", "seeds"));
        legend.insert(0, Key { class: class(group), name, href: None });
    }
    if series.is_empty() {
        return None;
    }
    let title = format!("{}, seeds together", metric_title(&seeds.metric));
    let of_best = |most: usize| match seeds.groups.len() > most {
        true => format!(" of the best {most} settings"),
        false => String::new(),
    };
    let note = format!("mean{}, range over seeds{}", of_best(LINES), of_best(BANDS));
    let steps = || series.iter().flat_map(|one: &Series| &one.points).map(|(x, _)| *x);
    let (first, last) = (steps().fold(f64::INFINITY, f64::min), steps().fold(0.0, f64::max));
    // As in the chart of all runs, from zero where the first values stand near the beginning.
    let range = if first >= 0.0 && first < last * 0.5 { Range::Fixed(0.0, last) } else { Range::All };
    let axis = |label: &str, range| Axis {
        label: label.to_owned(),
        spread: Spread::Linear,
        range,
        counted: Counted::Steps,
    };
    let chart = Chart {
        title: title.clone(),
        subtitle: note.clone(),
        x: axis("step", range),
        y: axis(metric_title(&seeds.metric), Range::Telling),
        series,
        bands,
        events: Vec::new(),
        size: Size::Full,
        told: seeds.sentence().unwrap_or_default(),
    };
    Some(Figure { id: "chart-seeds".into(), title, note, width: "w12", legend, drawing: chart::draw(&chart) })
}

/// The curves that a mean is made of.
fn members(group: &Group, metric: &str, curves: Vec<Vec<Point>>) -> Vec<Member> {
    let member = |(run, points): (&&RunSummary, Vec<Point>)| Member {
        experiment: run.experiment.clone(),
        run: run.run.clone(),
        metric: metric.to_owned(),
        points,
    };
    group.runs.iter().zip(curves).map(member).collect()
}
