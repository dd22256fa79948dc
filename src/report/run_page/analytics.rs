//! The course of a run in a few numbers: how fast, how it goes on, when it ends, what was lost.

use super::super::chart::number::{count, measured, significant};
use super::super::files::RunFiles;
use super::super::model::AnalyticsRow;
use super::super::rows::rounded;
use super::super::say::{self, Clock};
use super::super::summary::RunSummary;
use super::restarts::{Lost, lost};
use crate::curves::{median, noise};
use crate::experiment::metric::{Direction, direction_of};
use crate::run_dir::metrics::Column;

type Point = (f64, f64);

/// A trend is told of this part of the points at the end, and of no fewer than so many points.
const LATELY: f64 = 0.25;
const LEAST: usize = 6;
/// Points that a slope is found from: every pair of them counts.
const MOST_POINTS: usize = 50;

pub fn rows(files: &RunFiles, summary: &RunSummary, clock: &Clock) -> Vec<AnalyticsRow> {
    let mut rows = Vec::new();
    let rate = files.metrics.columns.iter().find(|column| column.name.ends_with("_per_second"));
    rows.extend(rate.into_iter().flat_map(rates));
    if let (Some(elapsed), true) =
        (summary.elapsed_seconds.filter(|elapsed| *elapsed > 0.0), summary.step > 0)
    {
        let (value, unit) = seconds_each(elapsed / summary.step as f64);
        rows.push(row("a step takes", value, unit, "average, with evaluations and checkpoints"));
    }
    let points: Vec<Point> = files.metrics.points("step", &summary.metric).collect();
    rows.extend(trend(&summary.metric, &points));
    rows.extend(end(summary, clock));
    rows.extend(restarts(&lost(&files.seen.attempts, &files.events)));
    rows
}

/// The rate now, how it changed, and its average.
fn rates(column: &Column) -> Vec<AnalyticsRow> {
    let values: Vec<f64> =
        column.values.iter().copied().filter(|value| value.is_finite() && *value > 0.0).collect();
    if values.is_empty() {
        return Vec::new();
    }
    let unit = column.name.replace('_', " ");
    let tenth = values.len().div_ceil(10);
    let (early, late) = (median(&values[..tenth]), median(&values[values.len() - tenth..]));
    // Each row counts as many steps, so the mean is that of the times they took.
    let average = values.len() as f64 / values.iter().map(|value| 1.0 / value).sum::<f64>();
    let change = match (late / early - 1.0) * 100.0 {
        _ if values.len() < LEAST => String::new(),
        percent if percent.abs() < 2.0 => "steady".to_owned(),
        percent => format!("{percent:+.0} % since the beginning"),
    };
    vec![
        row("rate, lately", significant(rounded(late), 3), &unit, &change),
        row("rate, average", significant(rounded(average), 3), &unit, "of training steps alone"),
    ]
}

/// Where the metric that counts is going: the slope that half of all pairs of points exceed (Sen, 1968).
fn trend(metric: &str, points: &[Point]) -> Vec<AnalyticsRow> {
    let finite: Vec<Point> = points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
    let kept = ((finite.len() as f64 * LATELY).ceil() as usize).max(LEAST).min(finite.len());
    let lately = &finite[finite.len() - kept..];
    if lately.len() < LEAST {
        return Vec::new();
    }
    let values: Vec<f64> = lately.iter().map(|(_, y)| *y).collect();
    let mean = values.iter().map(|value| value / values.len() as f64).sum::<f64>();
    let since = format!("since step {}", count(lately[0].0.max(0.0) as u64));
    let mut rows = vec![row(&format!("{metric}, average"), measured(mean), "", &since)];
    let (Some(slope), Some(last)) = (slope(lately), lately.last()) else { return rows };
    let each = 10f64.powf((last.0.max(1.0)).log10().floor()).max(1.0);
    let moved = slope * (last.0 - lately[0].0);
    let way = match direction_of(metric) {
        _ if moved.abs() <= 2.0 * noise(&values) => "level within its noise",
        Direction::Lower if slope < 0.0 => "improving",
        Direction::Higher if slope > 0.0 => "improving",
        Direction::Neither => "",
        _ => "getting worse",
    };
    let change = slope * each;
    let sign = if change > 0.0 { "+" } else { "" };
    let unit = format!("in {} steps", count(each as u64));
    let note = if way.is_empty() { since } else { format!("{way}, {since}") };
    rows.push(row(
        &format!("{metric}, trend"),
        format!("{sign}{}", significant(rounded(change), 3)),
        &unit,
        &note,
    ));
    rows
}

fn slope(points: &[Point]) -> Option<f64> {
    let every = points.len().div_ceil(MOST_POINTS).max(1);
    let few: Vec<Point> = points.iter().rev().step_by(every).copied().collect();
    let pairs =
        few.iter().enumerate().flat_map(|(index, one)| few[..index].iter().map(move |other| (one, other)));
    let slopes: Vec<f64> = pairs
        .filter(|(one, other)| one.0 != other.0)
        .map(|(one, other)| (other.1 - one.1) / (other.0 - one.0))
        .filter(|slope| slope.is_finite())
        .collect();
    (!slopes.is_empty()).then(|| median(&slopes))
}

fn end(summary: &RunSummary, clock: &Clock) -> Option<AnalyticsRow> {
    let left = summary.remaining_seconds?;
    let at = clock.moment(clock.now + left);
    Some(row("estimated end", at.text, "", &format!("in {}", say::duration(left))))
}

fn restarts(lost: &Lost) -> Option<AnalyticsRow> {
    if lost.restarts == 0 {
        return None;
    }
    let part =
        |seconds: f64, what: &str| (seconds >= 0.05).then(|| format!("{} {what}", say::duration(seconds)));
    let parts = [
        Some(say::counted(lost.restarts, "restart", "restarts")),
        part(lost.repeated, "of steps taken again"),
        part(lost.starting, "of starting"),
        part(lost.between, "between attempts"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let seconds = lost.repeated + lost.starting;
    Some(row("lost to restarts", say::duration(seconds), "", &parts.join(", ")))
}

fn seconds_each(seconds: f64) -> (String, &'static str) {
    match seconds {
        few if few < 1e-3 => (significant(few * 1e6, 3), "µs"),
        few if few < 1.0 => (significant(few * 1e3, 3), "ms"),
        many => (significant(many, 3), "s"),
    }
}

fn row(name: &str, value: String, unit: &str, note: &str) -> AnalyticsRow {
    AnalyticsRow { name: name.into(), value, unit: unit.into(), note: note.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(rows: &[AnalyticsRow]) -> Vec<String> {
        let said = |row: &AnalyticsRow| format!("{}: {} {} ({})", row.name, row.value, row.unit, row.note);
        rows.iter().map(said).collect()
    }

    #[test]
    fn a_trend_has_a_sign_a_unit_and_a_judgement() {
        let line = |slope: f64| -> Vec<Point> {
            (0..40).map(|row| (f64::from(row) * 100.0, 5.0 + slope * f64::from(row))).collect()
        };
        assert_eq!(
            told(&trend("val/loss", &line(-0.01))),
            [
                "val/loss, average: 4.655  (since step 3,000)",
                "val/loss, trend: -0.100 in 1,000 steps (improving, since step 3,000)"
            ]
        );
        for (metric, slope, way) in [
            ("val/loss", 0.01, "getting worse, since"),
            ("val/accuracy", 0.01, "improving, since"),
            ("val/loss", 0.0, "level within its noise, since"),
            ("lr", 0.01, "since"),
        ] {
            let rows = trend(metric, &line(slope));
            assert!(rows[1].note.starts_with(way), "{metric} {slope}: {rows:?}");
        }
    }

    #[test]
    fn what_noise_could_do_is_no_trend() {
        let shaky =
            |row: i32| (f64::from(row) * 10.0, 2.0 + 0.1 * f64::from(row * 5 % 13) - 1e-4 * f64::from(row));
        let points: Vec<Point> = (0..40).map(shaky).collect();
        let rows = trend("val/loss", &points);
        assert!(rows[1].note.starts_with("level within its noise"), "{rows:?}");
    }

    #[test]
    fn one_wild_value_turns_no_trend_and_too_few_have_none() {
        let mut points: Vec<Point> = (0..40).map(|row| (f64::from(row), -f64::from(row))).collect();
        points[39].1 = 1e9;
        assert_eq!(slope(&points[30..]), Some(-1.0));
        assert!(trend("val/loss", &points[..5]).is_empty());
        let same_step = [(1.0, 1.0), (1.0, 2.0)];
        assert_eq!(slope(&same_step), None);
        let not_finite = vec![(1.0, f64::NAN); 50];
        assert!(trend("val/loss", &not_finite).is_empty());
        assert!(!trend("val/loss", &vec![(1.0, 1e300); 50]).is_empty());
    }

    #[test]
    fn rates_are_medians_at_the_end_and_a_mean_over_time() {
        let values = [vec![100.0; 10], vec![50.0; 10]].concat();
        let rows = (0..20).collect();
        let column = Column { name: "tokens_per_second".into(), values, rows, ..Column::default() };
        assert_eq!(
            told(&rates(&column)),
            [
                "rate, lately: 50 tokens per second (-50 % since the beginning)",
                "rate, average: 66.7 tokens per second (of training steps alone)"
            ]
        );
        assert!(rates(&Column::default()).is_empty());
    }

    #[test]
    fn restarts_are_told_with_what_they_cost() {
        assert_eq!(restarts(&Lost::default()), None);
        let lost = Lost { restarts: 2, repeated: 150.0, starting: 8.0, between: 600.0 };
        let said = told(&[restarts(&lost).unwrap()]);
        assert_eq!(
            said,
            [
                "lost to restarts: 2 min 38 s  (2 restarts, 2 min 30 s of steps taken again, 8.0 s of starting, 10 min between attempts)"
            ]
        );
        assert_eq!(
            [2e-5, 0.0381, 2.5].map(seconds_each).map(|(value, unit)| value + " " + unit),
            ["20 µs", "38.1 ms", "2.50 s"]
        );
    }
}
