//! From the files of a run to what is looked at: its metrics, its events, its telemetry.

use std::path::Path;

use super::{Curve, Extent, Happened, Mark, Observed, Point, Said, said};
use crate::run_dir::metrics::Metrics;
use crate::run_dir::records::{Event, What};
use crate::run_dir::standing::{rising, standing};
use crate::run_dir::telemetry::{THROTTLE, throttle_words};
use crate::run_dir::{RunDir, read};

/// Columns that are no metrics.
const NO_METRIC: [&str; 4] = ["step", "epoch", "time", "elapsed"];
/// A learning rate has changed by hand or by a rule when it changed by at least this factor from one row
/// to the next ...
const LR_FACTOR: f64 = 1.25;
/// ... and by so many times more than in the rows beside: schedules change it row by row.
const LR_ALONE: f64 = 3.0;
/// Marks of one kind: a run resumed a hundred times is not told by each.
const MARKS: usize = 200;

/// What is to be said of a run's curves, read from its directory; what cannot be read is left out.
pub fn read(dir: &RunDir, metric: &str, extent: Extent) -> Vec<Said> {
    let table = |path: &Path| Metrics::read(path).unwrap_or_default();
    let events: Vec<Event> = read::lines(&dir.events()).map(|lines| lines.records).unwrap_or_default();
    let (metrics, telemetry) = (table(&dir.metrics()), table(&dir.telemetry()));
    let curves = curves(&metrics);
    said(&observed(metric, &curves, &metrics, &standing(&events), &telemetry, extent))
}

/// The curves of all metrics that have values, over the steps.
pub fn curves(metrics: &Metrics) -> Vec<Curve> {
    let names = metrics.columns.iter().map(|column| column.name.as_str());
    let names = names.filter(|name| !NO_METRIC.contains(name));
    let curve = |name: &str| Curve { name: name.to_owned(), points: in_order(metrics.paired("step", name)) };
    names.map(curve).filter(|curve| !curve.points.is_empty()).collect()
}

/// What the curves of a run are judged by. `curves` are those of `metrics`, `events` those that still stand.
pub fn observed<'a>(
    metric: &str,
    curves: &'a [Curve],
    metrics: &Metrics,
    events: &[&Event],
    telemetry: &Metrics,
    extent: Extent,
) -> Observed<'a> {
    let resumed = events.iter().filter_map(|event| match event.what {
        What::Resumed { checkpoint } => {
            let step = checkpoint as f64;
            Some(Mark { from: step, to: step, what: Happened::Resumed })
        }
        _ => None,
    });
    let mut marks: Vec<Mark> = resumed.take(MARKS).collect();
    marks.extend(curves.iter().filter(|curve| curve.name == "lr").flat_map(|lr| changes_of_lr(&lr.points)));
    marks.extend(throttled(metrics, telemetry));
    Observed { metric: metric.to_owned(), curves: curves.into(), marks, extent }
}

/// The points in strictly rising order.
fn in_order(points: Vec<Point>) -> Vec<Point> {
    let kept = rising(points.iter().map(|(x, _)| *x));
    if kept.len() == points.len() {
        return points;
    }
    kept.into_iter().map(|position| points[position]).collect()
}

fn changes_of_lr(points: &[Point]) -> Vec<Mark> {
    let logs: Vec<f64> = points.windows(2).map(|two| (two[1].1 / two[0].1).ln()).collect();
    let size = |index: usize| logs.get(index).map_or(0.0, |log| log.abs());
    let is_alone = |index: &usize| {
        let beside = size(index.wrapping_sub(1)).max(size(index + 1));
        // A first or last change has one neighbor only: a warm-up of two rows looks the same.
        logs[*index].is_finite()
            && *index > 0
            && size(*index) >= LR_FACTOR.ln()
            && beside * LR_ALONE <= size(*index)
    };
    let mark = |index: usize| {
        let (before, after) = (points[index], points[index + 1]);
        Mark { from: after.0, to: after.0, what: Happened::LearningRate { from: before.1, to: after.1 } }
    };
    (0..logs.len()).filter(is_alone).map(mark).take(MARKS).collect()
}

/// Stretches of steps in which a GPU's clocks were held down. Telemetry knows times, metrics know both.
fn throttled(metrics: &Metrics, telemetry: &Metrics) -> Vec<Mark> {
    let Some(times) = telemetry.column("time") else { return Vec::new() };
    let reached: Vec<Point> = in_order(metrics.paired("time", "step"));
    let step_at = |time: f64| {
        let after = reached.partition_point(|(known, _)| *known <= time);
        after.checked_sub(1).map_or(0.0, |before| reached[before].1)
    };
    let mut marks = Vec::new();
    for column in telemetry.columns.iter().filter(|column| column.name.ends_with(THROTTLE)) {
        let mut open: Option<(f64, &str)> = None;
        let mut last = 0.0;
        for (row, words) in &column.words {
            let Some(time) = times.in_row(*row) else { continue };
            let now = words.split(' ').find_map(throttle_words);
            if let Some((from, why)) = open.filter(|(_, why)| now != Some(*why)) {
                marks.push((from, time, why));
                open = None;
            }
            open = open.or(now.map(|why| (time, why)));
            last = time;
        }
        marks.extend(open.map(|(from, why)| (from, last, why)));
    }
    let mark = |(from, to, why): (f64, f64, &str)| Mark {
        from: step_at(from),
        to: step_at(to),
        what: Happened::Throttled(why.to_owned()),
    };
    marks.into_iter().take(MARKS).map(mark).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_learning_rate_that_is_changed_is_told_from_one_that_a_schedule_moves() {
        let of = |lrs: &[f64]| {
            let points: Vec<Point> = lrs.iter().enumerate().map(|(row, lr)| (row as f64, *lr)).collect();
            changes_of_lr(&points).into_iter().map(|mark| mark.from).collect::<Vec<_>>()
        };
        assert_eq!(of(&[1e-3, 1e-3, 1e-3, 1e-4, 1e-4]), [3.0]);
        assert!(of(&[1e-4, 2e-4, 3e-4, 4e-4, 5e-4, 5e-4]).is_empty(), "a warm-up");
        let cosine: Vec<f64> =
            (0..50).map(|row| 1.0 + (f64::from(row) / 50.0 * std::f64::consts::PI).cos()).collect();
        assert!(of(&cosine).is_empty());
        assert!(of(&[0.0, 1e-3, 0.0, f64::NAN, 1e-3]).is_empty() && of(&[]).is_empty());
    }

    #[test]
    fn what_telemetry_knows_by_time_is_said_by_steps() {
        let metrics = Metrics::of("step,time,train/loss\n10,100,3\n20,200,2\n30,300,1\n");
        let telemetry = Metrics::of(
            "time,gpu_throttle_reasons\n90,none\n150,power-cap\n210,power-cap\n250,none\n290,thermal\n310,thermal\n",
        );
        let event = Event { time: 120.0, attempt: 2, step: 12, what: What::Resumed { checkpoint: 12 } };
        let curves = curves(&metrics);
        let observed = observed("train/loss", &curves, &metrics, &[&event], &telemetry, Extent::Whole);
        let throttled = |from, to, why: &str| Mark { from, to, what: Happened::Throttled(why.to_owned()) };
        assert_eq!(
            observed.marks,
            [
                Mark { from: 12.0, to: 12.0, what: Happened::Resumed },
                throttled(10.0, 20.0, "at its power limit"),
                throttled(20.0, 30.0, "too warm"),
            ]
        );
        assert_eq!(observed.curves.len(), 1, "steps and times are no metrics");
    }

    #[test]
    fn rows_that_a_resume_overtook_do_not_count() {
        let metrics = Metrics::of("step,train/loss\n10,3\n20,2\n30,9\n20,2.5\n30,2.25\n");
        let curves = curves(&metrics);
        let observed = observed("train/loss", &curves, &metrics, &[], &Metrics::default(), Extent::SoFar);
        assert_eq!(observed.curves[0].points, [(10.0, 3.0), (20.0, 2.5), (30.0, 2.25)]);
    }

    #[test]
    fn a_run_without_files_has_nothing_to_say() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(&RunDir::new(folder.path()), "val/loss", Extent::Whole).is_empty());
    }
}
