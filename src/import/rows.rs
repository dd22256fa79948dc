//! Values as they were logged, one after the other, and the table that they come to: one row a step, and of
//! what was logged twice, or overtaken by a resume, the later.

mod cursor;

use std::collections::{BTreeSet, HashMap};

use super::histogram::Quantiles;
use super::names;
use crate::experiment::metric::direction_of;
use crate::run_dir::checkpoint::Best;
use crate::run_dir::distributions;

pub use cursor::Cursor;

/// Metrics of a run: each has a chart on its page.
pub const MOST_COLUMNS: usize = 200;
/// Values of a run, so that memory stays bounded whatever a file says.
pub const MOST_VALUES: usize = 20_000_000;
/// Columns of quantiles, and their values: sixty histograms.
const MOST_QUANTILES: usize = 60 * distributions::QUANTILES.len();
const MOST_VALUES_OF_QUANTILES: usize = 4_000_000;
/// Names of columns that are remembered where only some are taken.
const MOST_OFFERED: usize = 100_000;
/// The end of the year 9999, in Unix seconds.
pub const LATEST: f64 = 253_402_300_800.0;
/// Steps are counted exactly up to here.
const LAST_STEP: f64 = 9_007_199_254_740_992.0;

/// Values by column in the order in which they were logged.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    columns: Vec<Logged>,
    places: HashMap<String, usize>,
    /// What to take, and under which name; empty takes all.
    wanted: Vec<(String, String)>,
    /// Where only some are taken: all that there were.
    offered: BTreeSet<String>,
    taken: usize,
    /// Columns that are no clock.
    metrics: usize,
    room: Room,
    /// Columns beyond the most, values beyond the most, and steps that are none.
    left_columns: BTreeSet<String>,
    left_values: u64,
    odd_steps: u64,
}

/// How much is taken.
#[derive(Debug, Clone, Copy)]
struct Room {
    columns: usize,
    values: usize,
}

impl Default for Room {
    fn default() -> Room {
        Room { columns: MOST_COLUMNS, values: MOST_VALUES }
    }
}

#[derive(Debug, Clone, Default)]
struct Logged {
    name: String,
    points: Vec<(u64, f64)>,
}

/// What every row has beside its metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    Epoch,
    /// Unix seconds.
    Time,
    /// Seconds since the start.
    Elapsed,
}

/// Columns of `metrics.csv` before the metrics.
const FIRST: [&str; 4] = ["step", "epoch", "time", "elapsed"];

/// The table of a run, ready to be written. It is kept by columns: a row of hundreds of which most are empty
/// would take memory that nobody bounds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// The metrics in the order in which they appeared, each with its values by ascending steps.
    metrics: Vec<(String, Vec<(u64, f64)>)>,
    epochs: Vec<(u64, f64)>,
    times: Vec<(u64, f64)>,
    elapsed: Vec<(u64, f64)>,
    /// Values that later ones made void.
    pub overtaken: u64,
    /// Whether there were columns that nobody asked for.
    pub has_others: bool,
    pub warnings: Vec<String>,
}

impl Table {
    pub fn metrics(&self) -> Vec<String> {
        self.metrics.iter().map(|(name, _)| name.clone()).collect()
    }

    /// The header: `step`, `epoch`, `time`, `elapsed`, then the metrics.
    pub fn columns(&self) -> Vec<String> {
        FIRST.iter().map(|name| (*name).to_owned()).chain(self.metrics()).collect()
    }

    fn points(&self, metric: &str) -> &[(u64, f64)] {
        self.metrics.iter().find(|(name, _)| name == metric).map_or(&[], |(_, points)| points)
    }

    /// The last value of a metric that is a number.
    pub fn last(&self, metric: &str) -> Option<f64> {
        self.points(metric).iter().rev().map(|(_, value)| *value).find(|value| value.is_finite())
    }

    /// The best value of a metric.
    pub fn best(&self, metric: &str) -> Option<Best> {
        let direction = direction_of(metric);
        let finite = self.points(metric).iter().filter(|(_, value)| value.is_finite());
        let better = |one: (u64, f64), other: (u64, f64)| {
            if direction.is_better(other.1, one.1) { other } else { one }
        };
        let (step, value) = finite.copied().reduce(better)?;
        Some(Best { metric: metric.to_owned(), value, step })
    }

    /// When the last value was logged, where the source tells times, in Unix seconds.
    pub fn newest(&self) -> Option<f64> {
        self.times.iter().map(|(_, time)| *time).reduce(f64::max)
    }

    /// The last step that has a value.
    pub fn last_step(&self) -> Option<u64> {
        self.metrics.iter().filter_map(|(_, points)| points.last()).map(|(step, _)| *step).max()
    }
}

impl Rows {
    pub fn taking(wanted: &[(String, String)]) -> Rows {
        Rows { wanted: wanted.to_vec(), ..Rows::default() }
    }

    /// Where only some columns are taken: the names of all that there were, as far as they are kept.
    pub fn offered(&self) -> &BTreeSet<String> {
        &self.offered
    }

    /// How many were taken.
    pub fn values(&self) -> usize {
        self.taken
    }

    pub fn is_empty(&self) -> bool {
        self.columns.iter().all(|column| column.points.is_empty())
    }

    /// A metric's value at a step. A step that is no count is left out, and counted.
    pub fn put(&mut self, step: f64, metric: &str, value: f64) {
        if !self.wanted.is_empty() && self.offered.len() < MOST_OFFERED && !self.offered.contains(metric) {
            self.offered.insert(metric.to_owned());
        }
        let name = match self.wanted.iter().find(|(from, _)| from == metric) {
            Some((_, to)) => names::metric(to),
            None if self.wanted.is_empty() => names::metric(metric),
            None => return,
        };
        self.push(step, name, value);
    }

    /// How a histogram's values were spread at a step.
    pub fn put_quantiles(&mut self, step: f64, name: &str, quantiles: &Quantiles) {
        self.room = Room { columns: MOST_QUANTILES, values: MOST_VALUES_OF_QUANTILES };
        let columns = distributions::columns(&names::metric(name));
        columns.into_iter().zip(quantiles).for_each(|(column, value)| self.push(step, column, *value));
    }

    /// What the clock showed at a step.
    pub fn put_clock(&mut self, step: f64, clock: Clock, value: f64) {
        let name = FIRST[match clock {
            Clock::Epoch => 1,
            Clock::Time => 2,
            Clock::Elapsed => 3,
        }];
        // Beyond the year 9999 nobody trains; pages would have to show it.
        if value.abs() < LATEST {
            self.push(step, name.to_owned(), value);
        }
    }

    fn push(&mut self, step: f64, name: String, value: f64) {
        let is_clock = FIRST.contains(&name.as_str());
        if !(0.0..=LAST_STEP).contains(&step) || step.fract() != 0.0 {
            self.odd_steps += u64::from(!is_clock);
            return;
        }
        let place = match self.places.get(&name) {
            Some(place) => *place,
            None => {
                if !is_clock && self.metrics >= self.room.columns {
                    const TOLD: usize = 100_000;
                    if self.left_columns.len() < TOLD {
                        self.left_columns.insert(name);
                    }
                    return;
                }
                self.metrics += usize::from(!is_clock);
                self.places.insert(name.clone(), self.columns.len());
                self.columns.push(Logged { name, points: Vec::new() });
                self.columns.len() - 1
            }
        };
        let points = &mut self.columns[place].points;
        // A clock is told with each metric of a step.
        if is_clock && points.last().is_some_and(|(last, _)| *last == step as u64) {
            if let Some(last) = points.last_mut() {
                last.1 = value;
            }
            return;
        }
        if self.taken >= self.room.values {
            self.left_values += 1;
            return;
        }
        self.taken += 1;
        points.push((step as u64, value));
    }

    /// The table that it comes to.
    pub fn table(self) -> Table {
        let is_wanted = |name: &String| self.wanted.iter().any(|(from, _)| from == name);
        let has_others = self.offered.iter().any(|name| !is_wanted(name));
        let mut table = Table { has_others, ..Table::default() };
        let Room { columns: most_columns, values: most_values } = self.room;
        for Logged { name, points } in self.columns {
            let (points, dropped) = settled(points);
            match name.as_str() {
                "epoch" => table.epochs = points,
                "time" => table.times = points,
                "elapsed" => table.elapsed = points,
                _ => {
                    table.overtaken += dropped;
                    table.metrics.push((name, points));
                }
            }
        }
        let (overtaken, warnings) = (table.overtaken, &mut table.warnings);
        if overtaken > 0 {
            warnings.push(format!(
                "{overtaken} values were logged again at the same step, or overtaken by a start from an earlier one: the later ones count"
            ));
        }
        if !self.left_columns.is_empty() {
            warnings.push(format!(
                "{} of its metrics were left out, beyond the first {most_columns} (--columns NAME=NAME,... takes others)",
                self.left_columns.len()
            ));
        }
        if self.left_values > 0 {
            warnings.push(format!("{} values beyond {most_values} were left out", self.left_values));
        }
        if self.odd_steps > 0 {
            warnings.push(format!(
                "{} values were left out: their step is no whole number from 0 on",
                self.odd_steps
            ));
        }
        table
    }
}

/// The points in the order of their steps, each step once, and how many were dropped for that.
///
/// A log grows, so where its steps go back somebody went on from there, and what had come after was overtaken.
/// Where they go back all the time the order says nothing, and only what stands at the same step is replaced.
fn settled(mut points: Vec<(u64, f64)>) -> (Vec<(u64, f64)>, u64) {
    let before = points.len();
    let returns = points.windows(2).filter(|pair| pair[1].0 < pair[0].0).count();
    let is_in_order = returns <= 1 + points.len() / 20;
    if !is_in_order {
        points.sort_by_key(|(step, _)| *step);
    }
    // In place: what is kept never stands behind what is read.
    let mut kept = 0;
    for at in 0..points.len() {
        while kept > 0 && points[kept - 1].0 >= points[at].0 {
            kept -= 1;
        }
        points[kept] = points[at];
        kept += 1;
    }
    points.truncate(kept);
    (points, (before - kept) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(table: &Table) -> Vec<u64> {
        table.rows().iter().filter_map(|row| row[0].map(|step| step as u64)).collect()
    }

    #[test]
    fn a_resume_overtakes_what_came_after_its_first_step() {
        let mut rows = Rows::default();
        for (step, value) in [(0, 9.0), (10, 8.0), (20, 7.0), (30, 6.0), (15, 5.0), (25, 4.0)] {
            rows.put(f64::from(step), "loss", value);
        }
        rows.put(30.0, "val", 1.0);
        let table = rows.table();
        assert_eq!(steps(&table), [0, 10, 15, 25, 30]);
        assert_eq!(table.overtaken, 2);
        assert_eq!(table.rows()[4][4..], [None, Some(1.0)], "each metric goes by its own steps");
        assert!(table.warnings[0].starts_with("2 values were logged again"), "{:?}", table.warnings);
    }

    #[test]
    fn rows_in_no_order_are_sorted_and_only_the_same_step_is_replaced() {
        let (points, dropped) = settled((0..50).rev().map(|step| (step, step as f64)).collect());
        assert_eq!((points.len(), points[0], dropped), (50, (0, 0.0), 0));
        let twice = settled(vec![(3, 1.0), (1, 1.0), (2, 1.0), (1, 2.0), (3, 3.0), (2, 9.0)]);
        assert_eq!(twice, (vec![(1, 2.0), (2, 9.0), (3, 3.0)], 3));
        assert_eq!(settled(vec![(1, 1.0), (1, 2.0)]), (vec![(1, 2.0)], 1));
        assert_eq!(settled(Vec::new()), (Vec::new(), 0));
    }

    #[test]
    fn the_time_gives_the_elapsed_seconds_and_alone_makes_no_row() {
        let mut rows = Rows::default();
        for step in 1..4 {
            rows.put_clock(f64::from(step), Clock::Time, 1000.0 + f64::from(step));
            rows.put_clock(f64::from(step), Clock::Epoch, 0.5);
        }
        rows.put(1.0, "loss", f64::NAN);
        rows.put(3.0, "loss", 2.0);
        let table = rows.table();
        assert_eq!(table.columns(), ["step", "epoch", "time", "elapsed", "loss"]);
        assert_eq!(table.rows().len(), 2);
        assert_eq!(table.rows()[1], [Some(3.0), Some(0.5), Some(1003.0), Some(2.0), Some(2.0)]);
        assert!(table.rows()[0][4].is_some_and(f64::is_nan));
    }

    #[test]
    fn ten_thousand_columns_are_cut_and_said_and_odd_steps_too() {
        let mut rows = Rows::default();
        for column in 0..10_000 {
            rows.put(1.0, &format!("m{column}"), 1.0);
        }
        for odd in [-1.0, 0.5, f64::NAN, 1e300] {
            rows.put(odd, "m0", 1.0);
        }
        let table = rows.table();
        assert_eq!(table.columns().len(), 4 + MOST_COLUMNS);
        assert!(table.warnings[0].starts_with("9800 of its metrics"), "{:?}", table.warnings);
        assert!(table.warnings[1].starts_with("4 values were left out"), "{:?}", table.warnings);
    }

    #[test]
    fn only_columns_that_were_asked_for_are_taken_under_their_new_names() {
        let mut rows = Rows::taking(&[("val_loss".into(), "val/loss".into())]);
        rows.put(1.0, "val_loss", 2.0);
        rows.put(1.0, "other", 2.0);
        assert_eq!(rows.table().columns()[4..], ["val/loss"]);
    }

    #[test]
    fn values_beyond_the_most_are_left_out_and_said() {
        let mut rows = Rows { room: Room { columns: 2, values: 3 }, ..Rows::default() };
        for step in 0..3 {
            rows.put(f64::from(step), "a", 1.0);
            rows.put(f64::from(step), "b", 2.0);
            rows.put(f64::from(step), "c", 3.0);
        }
        let table = rows.table();
        assert_eq!((steps(&table), table.metrics()), (vec![0, 1], vec!["a".to_owned(), "b".to_owned()]));
        assert!(table.warnings[0].starts_with("1 of its metrics were left out"), "{:?}", table.warnings);
        assert_eq!(table.warnings[1], "3 values beyond 3 were left out");
    }

    #[test]
    fn histograms_have_more_columns_and_fewer_values_than_metrics_have() {
        let mut rows = Rows::default();
        for histogram in 0..62 {
            rows.put_quantiles(1.0, &format!("h{histogram}"), &[1.0; distributions::QUANTILES.len()]);
        }
        assert_eq!(rows.room.values, MOST_VALUES_OF_QUANTILES);
        let table = rows.table();
        assert_eq!(table.metrics().len(), 60 * distributions::QUANTILES.len());
        let left = format!("{} of its metrics", 2 * distributions::QUANTILES.len());
        assert!(table.warnings[0].starts_with(&left), "{:?}", table.warnings);
    }

    #[test]
    fn the_last_clock_of_a_step_counts_and_no_time_or_step_beyond_what_can_be_shown() {
        let mut rows = Rows::default();
        for time in [1000.0, 1001.0, LATEST, -LATEST, f64::NAN] {
            rows.put_clock(1.0, Clock::Time, time);
        }
        assert_eq!(rows.taken, 1, "a clock is told with each metric of a step");
        rows.put(1.0, "loss", 1.0);
        rows.put(LAST_STEP, "loss", 2.0);
        rows.put(2.0 * LAST_STEP, "loss", 3.0);
        rows.put_clock(0.5, Clock::Time, 1.0);
        let table = rows.table();
        assert_eq!((table.rows()[0][2], table.newest()), (Some(1001.0), Some(1001.0)));
        assert_eq!((table.rows().len(), table.last_step()), (2, Some(LAST_STEP as u64)));
        assert!(table.warnings[0].starts_with("1 values were left out: their step"), "{:?}", table.warnings);
    }

    #[test]
    fn the_last_and_the_best_of_a_metric_are_numbers() {
        let mut rows = Rows::default();
        for (step, value) in [(1.0, f64::NEG_INFINITY), (2.0, 3.0), (3.0, 1.0), (4.0, 2.0), (5.0, f64::NAN)] {
            rows.put(step, "val/loss", value);
            rows.put(step, "val/accuracy", value);
        }
        let table = rows.table();
        assert_eq!((table.last("val/loss"), table.last("none")), (Some(2.0), None));
        let best = |metric| table.best(metric).map(|best| (best.step, best.value));
        assert_eq!((best("val/loss"), best("val/accuracy")), (Some((3, 1.0)), Some((2, 3.0))));
        assert_eq!(best("none"), None);
    }
}
