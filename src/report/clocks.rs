//! What a step is on other axes: epoch, seconds of training, time of day, tokens, energy.
//!
//! All of them rise nearly evenly with the steps, so a few knots hold them: a page has them once for
//! each run, and its script reads between the knots.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::chart::data::brief;
use super::files::RunFiles;
use crate::experiment::settings::{Model, Settings};
use crate::run_dir::metrics::{Column, Metrics};
use crate::run_dir::records::RunRecord;
use crate::run_dir::standing::rising;
use crate::run_dir::telemetry::{RUN_CPU_JOULES, RUN_GPU_JOULES};

/// Values at the same knots, by the name of the axis; `step` is always among them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Clocks(pub BTreeMap<String, Vec<f64>>);

/// Rows that are looked at; a pause between two attempts is off by one in so many.
const SAMPLE: usize = 2_000;
/// Knots at the most.
const MOST_KNOTS: usize = 120;
/// Knots of all runs of a page together.
const KNOTS_OF_PAGE: usize = 3_000;
/// What reading between knots may be off by, as a part of the whole range.
const TOLERANCE: f64 = 1e-3;

impl Clocks {
    pub fn of(files: &RunFiles) -> Clocks {
        let settings = files.seen.record.as_ref().ok().and_then(RunRecord::own_settings);
        read(&files.metrics, &files.telemetry, settings)
    }

    /// The same with no more knots than these and no more digits than are seen.
    pub fn of_knots(&self, most: usize) -> Clocks {
        if self.is_empty() {
            return Clocks::default();
        }
        let names: Vec<&String> = self.0.keys().collect();
        // The step comes first: the others are read over it.
        let (first, others): (Vec<&String>, Vec<&String>) =
            names.into_iter().partition(|name| *name == "step");
        let names: Vec<&String> = first.into_iter().chain(others).collect();
        let columns: Vec<Vec<f64>> = names.iter().map(|name| self.0[*name].clone()).collect();
        let knots = knots(&columns, most);
        let digits = |name: &str| if name == "time" { 13 } else { 8 };
        let kept = |(name, column): (&&String, &Vec<f64>)| {
            let values = knots.iter().map(|&knot| brief(column[knot], digits(name))).collect();
            ((*name).clone(), values)
        };
        Clocks(names.iter().zip(&columns).map(kept).collect())
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// All runs of a page as JSON, by `experiment/run`. The more there are, the fewer knots each has.
pub fn json<'a>(runs: impl IntoIterator<Item = (String, &'a Clocks)>) -> String {
    let runs: Vec<(String, &Clocks)> = runs.into_iter().filter(|(_, clocks)| !clocks.is_empty()).collect();
    let most = (KNOTS_OF_PAGE / runs.len().max(1)).clamp(6, MOST_KNOTS);
    let runs: BTreeMap<String, Clocks> =
        runs.into_iter().map(|(run, clocks)| (run, clocks.of_knots(most))).collect();
    serde_json::to_string(&runs).unwrap_or_default()
}

fn read(metrics: &Metrics, telemetry: &Metrics, settings: Option<&Settings>) -> Clocks {
    let Some(step) = metrics.column("step").filter(|step| step.values.len() > 1) else {
        return Clocks::default();
    };
    let stride = step.rows.len().div_ceil(SAMPLE).max(1);
    let last = step.rows.len() - 1;
    let chosen: Vec<usize> = (0..last).step_by(stride).chain([last]).collect();
    let known: Vec<&Column> = ["epoch", "elapsed", "time", "tokens"]
        .into_iter()
        .filter_map(|name| metrics.column(name))
        .filter(|column| {
            chosen.iter().all(|&index| column.in_row(step.rows[index]).is_some_and(f64::is_finite))
        })
        .collect();
    let kept = rising(chosen.iter().map(|&index| step.values[index]));
    let chosen: Vec<usize> = kept.into_iter().map(|position| chosen[position]).collect();
    let mut names = vec!["step"];
    let mut columns: Vec<Vec<f64>> = vec![chosen.iter().map(|&index| step.values[index]).collect()];
    for column in known {
        names.push(&column.name);
        columns.push(chosen.iter().filter_map(|&index| column.in_row(step.rows[index])).collect());
    }
    if let (false, Some(each)) = (names.contains(&"tokens"), settings.and_then(tokens_each)) {
        columns.push(columns[0].iter().map(|step| step * each).collect());
        names.push("tokens");
    }
    let time = names.iter().position(|name| *name == "time");
    if let Some(energy) = time.and_then(|time| joules_at(telemetry, &columns[time])) {
        columns.push(energy);
        names.push("energy");
    }
    let knots = knots(&columns, MOST_KNOTS);
    let at_knots = |column: &Vec<f64>| knots.iter().map(|&knot| column[knot]).collect();
    Clocks(names.into_iter().map(str::to_owned).zip(columns.iter().map(at_knots)).collect())
}

/// Tokens that a step learns from.
fn tokens_each(settings: &Settings) -> Option<f64> {
    let Model::Gpt(gpt) = &settings.model else { return None };
    let windows = f64::from(settings.train.batch_size) * f64::from(settings.train.accumulate);
    Some(windows * f64::from(gpt.context))
}

/// The run's energy at these times, read between the rows of its telemetry.
fn joules_at(telemetry: &Metrics, times: &[f64]) -> Option<Vec<f64>> {
    let known = [RUN_GPU_JOULES, RUN_CPU_JOULES].into_iter().filter_map(|name| {
        let points: Vec<(f64, f64)> =
            telemetry.points("time", name).filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
        (points.len() > 1).then_some(points)
    });
    let known: Vec<Vec<(f64, f64)>> = known.collect();
    (!known.is_empty())
        .then(|| times.iter().map(|&time| known.iter().map(|points| between(points, time)).sum()).collect())
}

fn between(points: &[(f64, f64)], x: f64) -> f64 {
    let after = points.partition_point(|&(known, _)| known < x);
    match (points.get(after.wrapping_sub(1)), points.get(after)) {
        (Some(&(from, low)), Some(&(to, high))) if to > from => low + (high - low) * (x - from) / (to - from),
        (_, Some(&(_, y))) | (Some(&(_, y)), None) => y,
        (None, None) => f64::NAN,
    }
}

/// Places between which all columns run straight, over the first of them; the worst place first, until
/// none is off by more than the tolerance (Ramer 1972, with a limit).
fn knots(columns: &[Vec<f64>], most: usize) -> Vec<usize> {
    let last = columns[0].len() - 1;
    let heights: Vec<f64> = columns
        .iter()
        .map(|column| {
            let ends = column
                .iter()
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), y| (low.min(*y), high.max(*y)));
            (ends.1 - ends.0).max(f64::MIN_POSITIVE)
        })
        .collect();
    let worst = |from: usize, to: usize| {
        let off = |place: usize| {
            let part = (columns[0][place] - columns[0][from]) / (columns[0][to] - columns[0][from]);
            let miss = |(column, height): (&Vec<f64>, &f64)| {
                (column[from] + (column[to] - column[from]) * part - column[place]).abs() / height
            };
            columns.iter().zip(&heights).skip(1).map(miss).fold(0.0, f64::max)
        };
        (from + 1..to).map(|place| (off(place), place)).max_by(|one, other| one.0.total_cmp(&other.0))
    };
    let mut open = vec![(worst(0, last), 0, last)];
    let mut kept = vec![0, last];
    while kept.len() < most {
        let widest = |one: &(Option<(f64, usize)>, usize, usize)| one.0.map_or(0.0, |(off, _)| off);
        let Some(place) =
            (0..open.len()).max_by(|&one, &other| widest(&open[one]).total_cmp(&widest(&open[other])))
        else {
            break;
        };
        let (Some((off, middle)), from, to) = open.swap_remove(place) else { break };
        if off <= TOLERANCE {
            break;
        }
        kept.push(middle);
        open.push((worst(from, middle), from, middle));
        open.push((worst(middle, to), middle, to));
    }
    kept.sort_unstable();
    kept.dedup();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_without_rows_has_no_clocks_and_no_knots() {
        let none = read(&Metrics::of("step,epoch\n"), &Metrics::default(), None);
        assert!(none.is_empty() && none.of_knots(8).is_empty());
    }

    #[test]
    fn an_even_run_has_two_knots_and_a_pause_is_seen() {
        let mut text = "step,epoch,time,elapsed,train/loss\n".to_owned();
        for step in 1..=1000 {
            let pause = if step > 500 { 3600 } else { 0 };
            text += &format!("{step},{},{},{step},1\n", f64::from(step) / 100.0, 1_000_000 + step + pause);
        }
        let clocks = read(&Metrics::of(&text), &Metrics::default(), None);
        assert_eq!(clocks.0["step"], [1.0, 500.0, 501.0, 1000.0]);
        assert_eq!(clocks.0["time"], [1_000_001.0, 1_000_500.0, 1_004_101.0, 1_004_600.0]);
        assert_eq!(clocks.0.keys().collect::<Vec<_>>(), ["elapsed", "epoch", "step", "time"]);
    }

    #[test]
    fn a_page_of_many_runs_has_fewer_knots_of_each() {
        let rows: Vec<String> =
            (1..500).map(|step: u32| format!("{step},{},{}", step.pow(2), 1_790_000_000 + step)).collect();
        let clocks = read(
            &Metrics::of(&format!("step,elapsed,time\n{}\n", rows.join("\n"))),
            &Metrics::default(),
            None,
        );
        assert!((10..=MOST_KNOTS).contains(&clocks.0["step"].len()), "{clocks:?}");
        let of = |runs: usize| {
            let text = json((0..runs).map(|run| (format!("e/{run}"), &clocks)));
            serde_json::from_str::<BTreeMap<String, Clocks>>(&text).unwrap()
        };
        assert_eq!(of(1)["e/0"], clocks);
        let many = &of(1000)["e/999"].0;
        assert_eq!((many["step"].len(), many["time"].last()), (6, Some(&1_790_000_499.0)));
    }

    #[test]
    fn energy_is_read_between_the_rows_of_the_telemetry() {
        let metrics = Metrics::of("step,time\n1,10\n2,15\n3,20\n4,99\n");
        let telemetry =
            Metrics::of("time,run_gpu_energy_joules,run_cpu_energy_joules\n10,100,0\n20,300,10\n");
        assert_eq!(
            joules_at(&telemetry, &[5.0, 10.0, 15.0, 20.0, 99.0]).unwrap(),
            [100.0, 100.0, 205.0, 310.0, 310.0]
        );
        let clocks = read(&metrics, &telemetry, None);
        assert_eq!(clocks.0["energy"], [100.0, 310.0, 310.0]);
        assert!(!read(&metrics, &Metrics::default(), None).0.contains_key("energy"));
    }

    #[test]
    fn what_is_not_logged_in_every_row_is_no_axis_and_steps_that_go_back_count_once() {
        let clocks = read(
            &Metrics::of("step,time,epoch\n1,10,0.1\n2,20,\n3,30,0.3\n2,40,0.2\n4,60,0.4\n"),
            &Metrics::default(),
            None,
        );
        assert!(!clocks.0.contains_key("epoch"));
        assert_eq!(clocks.0["step"], [1.0, 2.0, 4.0]);
        assert_eq!(clocks.0["time"], [10.0, 40.0, 60.0]);
        for few in ["", "step,time\n", "step,time\n1,10\n"] {
            let none = read(&Metrics::of(few), &Metrics::default(), None);
            assert!(none.is_empty() && none.of_knots(6).is_empty());
        }
    }
}
