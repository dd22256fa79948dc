//! Runs beside each other, for the terminal and for programs: what `compare.html` shows, by the same rules.
//! Pages and this read runs the same way; only what is printed is decided by who prints.

use rayon::iter::{IntoParallelIterator, ParallelIterator};
use serde::Serialize;

use super::compared::{Spread, spreads, tells_apart, values};
use super::files::RunFiles;
use super::run_page::{self, settings};
use super::summary::RunSummary;
use crate::experiment::metric::{Direction, direction_of};
use crate::run_dir::metrics::Metrics;
use crate::run_dir::number::Number;
use crate::run_dir::{RunDir, Workspace, scan};
use crate::say::count;

/// The runs that were named, the first of them being what the others are compared with.
#[derive(Debug, Serialize)]
pub struct SideBySide {
    pub runs: Vec<Column>,
    /// Settings that are not the same in all.
    pub settings: Vec<Row>,
    /// What else may make runs of equal settings differ.
    pub environment: Vec<Row>,
    pub metrics: Vec<MetricRow>,
    pub cost: Vec<Cost>,
}

#[derive(Debug, Serialize)]
pub struct Column {
    pub experiment: String,
    pub run: String,
    /// As short as it can be told from the others.
    pub name: String,
    pub state: String,
    pub step: u64,
}

/// A value of each run, empty where it has none.
#[derive(Debug, PartialEq, Serialize)]
pub struct Row {
    pub name: String,
    pub values: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct MetricRow {
    pub name: String,
    /// 1 higher is better, -1 lower, 0 neither.
    pub direction: i8,
    pub values: Vec<Option<Number>>,
    /// To the first run; none of that itself, and where one has no finite value.
    pub differences: Vec<Option<Difference>>,
}

/// How far a value lies from the first run's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    pub by: f64,
    /// The standard deviation that seeds alone give such a difference; none where there are too few.
    pub noise: Option<f64>,
    pub verdict: Verdict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// No other seeds of both have finished.
    NoNoiseKnown,
    OnlyTheSeedDiffers,
    WithinNoise,
    Better,
    Worse,
    /// More than noise, in a metric of which neither way is better.
    Other,
}

impl Verdict {
    pub fn words(self) -> &'static str {
        match self {
            Verdict::NoNoiseKnown => "no noise known",
            Verdict::OnlyTheSeedDiffers => "only the seed differs",
            Verdict::WithinNoise => "within noise",
            Verdict::Better => "better",
            Verdict::Worse => "worse",
            Verdict::Other => "more than noise",
        }
    }
}

#[derive(Debug, Serialize)]
pub struct Cost {
    pub seconds: Option<f64>,
    pub joules: Option<f64>,
    /// Tokens or images per second, and which of them.
    pub rate: Option<(String, f64)>,
}

/// A run as far as it is compared.
struct Told {
    summary: RunSummary,
    settings: Vec<(String, String)>,
    environment: Vec<(String, String)>,
}

/// Reads these runs, and those of their experiments, which tell how far seeds scatter.
pub fn read(workspace: &Workspace, dirs: &[RunDir]) -> SideBySide {
    let (host, now) = (scan::host(), scan::now());
    let told = |dir: &RunDir| {
        let files = RunFiles::read(dir, &host, now, Metrics::default());
        let summary = RunSummary::of(&files, String::new());
        let record = files.seen.record.as_ref().ok();
        let rows = record.map(|record| settings::rows(record, None)).unwrap_or_default();
        let environment = run_page::environment(&files);
        Told {
            summary,
            settings: rows.into_iter().map(|row| (row.path, row.value)).collect(),
            environment: environment.into_iter().filter(|(name, _)| tells_apart(name)).collect(),
        }
    };
    let mut experiments: Vec<String> = dirs.iter().map(RunDir::experiment).collect();
    experiments.sort();
    experiments.dedup();
    let all: Vec<RunDir> = experiments.iter().flat_map(|name| scan::runs_of(workspace, name)).collect();
    let others: Vec<RunDir> = all.into_iter().filter(|dir| !dirs.contains(dir)).collect();
    let others: Vec<RunSummary> = others.into_par_iter().map(|dir| told(&dir).summary).collect();
    let named: Vec<Told> = dirs.to_vec().into_par_iter().map(|dir| told(&dir)).collect();
    beside(&named, &others)
}

fn beside(named: &[Told], others: &[RunSummary]) -> SideBySide {
    let runs: Vec<&RunSummary> = named.iter().map(|told| &told.summary).collect();
    let seeds: Vec<Option<Vec<Spread>>> = runs.iter().map(|run| seeds_of(run, &runs, others)).collect();
    SideBySide {
        runs: columns(&runs),
        settings: differing(named.iter().map(|told| &told.settings)),
        environment: differing(named.iter().map(|told| &told.environment)),
        metrics: metrics(&runs, &seeds),
        cost: runs
            .iter()
            .map(|run| Cost {
                seconds: run.elapsed_seconds,
                joules: run.energy_joules,
                rate: run.rate.clone(),
            })
            .collect(),
    }
}

fn columns(runs: &[&RunSummary]) -> Vec<Column> {
    let long = |run: &RunSummary| format!("{} of {}", run.label, run.experiment);
    let name = |run: &RunSummary| {
        let is_alone = |of: &dyn Fn(&RunSummary) -> String| {
            runs.iter().filter(|other| of(other) == of(run)).count() == 1
        };
        match () {
            () if is_alone(&|run| run.label.clone()) => run.label.clone(),
            () if is_alone(&long) => long(run),
            () => run.key(),
        }
    };
    let column = |run: &&RunSummary| Column {
        experiment: run.experiment.clone(),
        run: run.run.clone(),
        name: name(run),
        state: run.state.word.clone(),
        step: run.step,
    };
    runs.iter().map(column).collect()
}

/// Rows in which not all are the same, in the order in which they first come.
fn differing<'a>(of_runs: impl Iterator<Item = &'a Vec<(String, String)>>) -> Vec<Row> {
    let of_runs: Vec<&Vec<(String, String)>> = of_runs.collect();
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in of_runs.iter().copied().flatten() {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let value = |rows: &Vec<(String, String)>, name: &str| {
        rows.iter().find(|(other, _)| other == name).map_or_else(String::new, |(_, value)| value.clone())
    };
    let row = |name: &str| {
        let values: Vec<String> = of_runs.iter().map(|rows| value(rows, name)).collect();
        values.windows(2).any(|two| two[0] != two[1]).then(|| Row { name: name.to_owned(), values })
    };
    names.into_iter().filter_map(row).collect()
}

/// How far the values of a finished run scatter over its seeds.
fn seeds_of(run: &RunSummary, runs: &[&RunSummary], others: &[RunSummary]) -> Option<Vec<Spread>> {
    let group: Vec<&RunSummary> = runs
        .iter()
        .copied()
        .chain(others)
        .filter(|other| other.experiment == run.experiment && other.group == run.group)
        .collect();
    let spread = (run.state.class == "finished").then(|| spreads(&group).into_iter().next())??;
    Some(spread.1)
}

fn metrics(runs: &[&RunSummary], seeds: &[Option<Vec<Spread>>]) -> Vec<MetricRow> {
    let of_runs: Vec<Vec<(String, f64, i8)>> = runs.iter().map(|run| values(run)).collect();
    let mut names: Vec<(&str, i8)> = Vec::new();
    for (name, _, direction) in of_runs.iter().flatten() {
        if !names.iter().any(|(known, _)| known == name) {
            names.push((name, *direction));
        }
    }
    let mut rows: Vec<MetricRow> = at_equal_step(runs).into_iter().collect();
    rows.extend(names.into_iter().map(|(name, direction)| {
        let value = |of_run: &Vec<(String, f64, i8)>| {
            of_run.iter().find(|(other, ..)| other == name).map(|one| one.1)
        };
        row(name.to_owned(), direction, of_runs.iter().map(value).collect())
    }));
    for row in &mut rows {
        let spread = |place: usize| seeds[place].as_ref()?.iter().find(|spread| spread.name == row.name);
        row.differences = (0..runs.len())
            .map(|place| {
                let value =
                    |place: usize| row.values[place].map(|value| value.0).filter(|value| value.is_finite());
                let by = value(place)? - value(0)?;
                (place > 0).then(|| {
                    let is_seed = !runs[0].group.is_empty()
                        && runs[0].experiment == runs[place].experiment
                        && runs[0].group == runs[place].group;
                    judged(by, row.direction, is_seed, spread(place).zip(spread(0)))
                })
            })
            .collect();
    }
    rows
}

fn row(name: String, direction: i8, values: Vec<Option<f64>>) -> MetricRow {
    let values = values.into_iter().map(|value| value.map(Number)).collect();
    MetricRow { name, direction, values, differences: Vec::new() }
}

/// Runs that have not come to the same step are compared at the last one that all have.
fn at_equal_step(runs: &[&RunSummary]) -> Option<MetricRow> {
    let metric = &runs.first()?.metric;
    let curves: Vec<_> = runs.iter().map(|run| run.curve(metric)).collect();
    let ends: Vec<f64> =
        curves.iter().map(|curve| curve.last().map(|point| point.0)).collect::<Option<_>>()?;
    let (first, last) = ends
        .iter()
        .fold((f64::INFINITY, 0.0), |(low, high): (f64, f64), end| (low.min(*end), high.max(*end)));
    // A moving average is no value that anybody logged.
    if first >= last || runs.iter().any(|run| run.values(metric).is_some()) {
        return None;
    }
    let direction = direction_of(metric);
    let best = |curve: &Vec<(f64, f64)>| {
        let values = curve.iter().filter(|(x, y)| *x <= first && y.is_finite()).map(|(_, y)| *y);
        match direction {
            Direction::Higher => values.reduce(f64::max),
            _ => values.reduce(f64::min),
        }
    };
    let sign = if direction == Direction::Higher { 1 } else { -1 };
    let name = format!("{metric}, best up to step {}", count(first.max(0.0) as u64));
    Some(row(name, sign, curves.iter().map(best).collect()))
}

fn judged(by: f64, direction: i8, is_seed: bool, spreads: Option<(&Spread, &Spread)>) -> Difference {
    let Some((one, other)) = spreads else {
        return Difference { by, noise: None, verdict: Verdict::NoNoiseKnown };
    };
    let (deviation, reach) = noise(one, other, is_seed);
    let verdict = match by * f64::from(direction) {
        _ if is_seed => Verdict::OnlyTheSeedDiffers,
        _ if by.abs() <= reach => Verdict::WithinNoise,
        gain if gain > 0.0 => Verdict::Better,
        gain if gain < 0.0 => Verdict::Worse,
        _ => Verdict::Other,
    };
    Difference { by, noise: Some(deviation), verdict }
}

/// Student's t that 95 of 100 values keep within, by degrees of freedom; a little too wide beyond ten. The
/// page that compares runs has the same numbers (templates/js/beside.js).
const STUDENT: [f64; 10] = [12.71, 4.31, 3.19, 2.78, 2.58, 2.45, 2.37, 2.31, 2.27, 2.23];

/// How far two runs lie apart by their seeds alone: the standard deviation of their difference, and what 95
/// of 100 differences stay below (Welch's degrees of freedom). Runs of one group have one spread in common.
fn noise(one: &Spread, other: &Spread, is_shared: bool) -> (f64, f64) {
    let (a, b) = (one.deviation.powi(2), other.deviation.powi(2));
    let deviation = (a + b).sqrt();
    if deviation == 0.0 {
        return (0.0, 0.0);
    }
    let free = |seeds: usize| seeds.saturating_sub(1).max(1) as f64;
    let freedom = match is_shared {
        true => free(one.seeds),
        false => (a + b).powi(2) / (a.powi(2) / free(one.seeds) + b.powi(2) / free(other.seeds)),
    };
    let freedom = freedom.max(1.0);
    let student = STUDENT.get(freedom as usize - 1).copied().unwrap_or(1.96 + 2.8 / freedom);
    (deviation, deviation * student)
}

#[cfg(test)]
mod tests {
    use super::super::summary::{BestValue, sample};
    use super::*;

    fn told(run: &str, group: &str, best: f64, settings: &[(&str, &str)]) -> Told {
        let mut summary = sample("x", run);
        summary.state.class = "finished".into();
        summary.group = group.into();
        summary.best = Some(BestValue { value: best, step: 10 });
        let pair = |(path, value): &(&str, &str)| ((*path).to_owned(), (*value).to_owned());
        Told { summary, settings: settings.iter().map(pair).collect(), environment: Vec::new() }
    }

    fn seeds(group: &str, values: &[f64]) -> Vec<RunSummary> {
        let one =
            |(place, value): (usize, &f64)| told(&format!("{group}-{place}"), group, *value, &[]).summary;
        values.iter().enumerate().map(one).collect()
    }

    #[test]
    fn a_difference_is_judged_by_how_far_seeds_scatter() {
        let others = seeds("a", &[1.01, 0.99, 1.02]);
        for (value, group, verdict) in [
            (2.0, "b", Verdict::Worse),
            (0.5, "b", Verdict::Better),
            (1.0, "b", Verdict::WithinNoise),
            (1.03, "a", Verdict::OnlyTheSeedDiffers),
            (1.03, "c", Verdict::NoNoiseKnown),
        ] {
            let both = [told("base", "a", 1.0, &[]), told("other", group, value, &[])];
            let others = [&others[..], &seeds("b", &[value + 0.01, value - 0.01])].concat();
            let found = beside(&both, &others);
            let row = found.metrics.iter().find(|row| row.name == "val/loss, best").unwrap();
            assert_eq!(row.differences[0], None);
            let told = row.differences[1].clone().unwrap();
            assert_eq!(told.verdict, verdict, "{value} of {group}: {told:?}");
            assert_eq!(told.noise.is_some(), verdict != Verdict::NoNoiseKnown);
        }
    }

    #[test]
    fn only_what_differs_is_listed_and_a_missing_setting_is_empty() {
        let both = [
            told("one", "a", 1.0, &[("lr", "1e-3"), ("seed", "1"), ("heads", "4")]),
            told("two", "b", 1.0, &[("lr", "3e-4"), ("seed", "1"), ("hidden", "128")]),
        ];
        let rows = beside(&both, &[]).settings;
        let shown: Vec<(&str, [&str; 2])> = rows
            .iter()
            .map(|row| (row.name.as_str(), [row.values[0].as_str(), row.values[1].as_str()]))
            .collect();
        assert_eq!(shown, [("lr", ["1e-3", "3e-4"]), ("heads", ["4", ""]), ("hidden", ["", "128"])]);
    }

    #[test]
    fn runs_of_different_lengths_are_compared_at_the_last_step_that_all_have() {
        let mut both = [told("one", "a", 0.5, &[]), told("two", "b", 0.7, &[])];
        let curve = |values: &[f64]| {
            values.iter().enumerate().map(|(at, y)| (at as f64 * 10.0, Number(*y))).collect()
        };
        both[0].summary.curves.insert("val/loss".into(), curve(&[2.0, 1.0, 0.5]));
        both[1].summary.curves.insert("val/loss".into(), curve(&[2.0, 0.7]));
        let rows = beside(&both, &[]).metrics;
        assert_eq!(rows[0].name, "val/loss, best up to step 10");
        assert_eq!(rows[0].values, [Some(Number(1.0)), Some(Number(0.7))]);
        both[1].summary.curves.clear();
        assert_ne!(beside(&both, &[]).metrics[0].name, rows[0].name);
    }

    #[test]
    fn what_two_seeds_say_reaches_far_and_equal_ones_not_at_all() {
        let spread = |seeds, deviation| Spread { name: "x".into(), seeds, mean: 0.0, deviation };
        let (deviation, reach) = noise(&spread(2, 3.0), &spread(2, 4.0), false);
        assert!((deviation - 5.0).abs() < 1e-12 && reach > 5.0 * 4.0 && reach < 5.0 * 13.0, "{reach}");
        assert_eq!(noise(&spread(5, 0.0), &spread(5, 0.0), true), (0.0, 0.0));
    }
}
