//! Which settings of a sweep matter for the value that counts, and how surely.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::draws::Draws;
use super::forest::{self, Feature};
use super::ranks::{correlation_ratio, ranks, spearman};
use super::{Interval, mean};

/// Fewer runs than these say nothing about any setting.
pub const LEAST_RUNS: usize = 6;
/// From so many runs on a forest is asked, which sees settings that matter only together; below, each
/// setting is correlated alone.
const FOREST_FROM: usize = 24;
/// More runs than these are sampled evenly: the forest's time grows with them, what it finds hardly.
const MOST_RUNS: usize = 200;
/// Samples of the runs that the interval comes from, and trees for each.
const RESAMPLES: usize = 30;
const TREES: usize = 12;
/// Samples for the interval of a correlation.
const CORRELATION_RESAMPLES: usize = 400;
/// Of the resampled values so much lies outside of the interval on each side.
const TAIL: f64 = 0.025;
/// Draws are the same in every report.
const SEED: u64 = 20_260_101;

/// One setting of several runs.
#[derive(Clone, Debug)]
pub struct Setting {
    pub path: String,
    /// One value a run: amounts, or the numbers of kinds that have no order. None of a run that has no such
    /// setting: it says nothing about it.
    pub values: Vec<f64>,
    pub is_kind: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// How much worse a forest predicts the rank of runs when the setting is shuffled, as a share of the
    /// variance of ranks.
    PermutationImportance,
    /// Spearman's rank correlation with the value that counts; for kinds the correlation ratio.
    RankCorrelation,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Importance {
    pub path: String,
    /// A correlation has the sign of what a higher setting does to the value; an importance none.
    pub value: f64,
    pub interval: Interval,
    /// Of how many runs this was judged.
    pub runs: usize,
}

/// The settings that vary, the most important first, each judged of the runs that have it. None with too few
/// runs, or where the value that counts is the same in all.
pub fn of(settings: &[Setting], outcomes: &[f64]) -> Option<(Method, Vec<Importance>)> {
    let groups = groups(settings, outcomes);
    let fewest = groups.iter().map(|group| group.outcomes.len()).min()?;
    // One measure for all: those of two cannot stand in one order.
    let (method, judge): (_, Judge) = match fewest {
        FOREST_FROM.. => (Method::PermutationImportance, by_forest),
        _ => (Method::RankCorrelation, by_correlation),
    };
    let of_group = |group: &Group| judge(&group.settings, &group.outcomes);
    let mut found: Vec<Importance> = groups.iter().flat_map(of_group).collect();
    found.sort_by(|a, b| b.value.abs().total_cmp(&a.value.abs()).then_with(|| a.path.cmp(&b.path)));
    Some((method, found))
}

type Judge = fn(&[Setting], &[f64]) -> Vec<Importance>;

/// Settings that the same runs have, with what came of these.
struct Group {
    settings: Vec<Setting>,
    outcomes: Vec<f64>,
}

/// The settings by the runs that have them, as far as these are enough and differ.
fn groups(settings: &[Setting], outcomes: &[f64]) -> Vec<Group> {
    let mut by_runs: BTreeMap<Vec<usize>, Vec<&Setting>> = BTreeMap::new();
    for setting in settings {
        let has = |run: &usize| outcomes[*run].is_finite() && setting.values[*run].is_finite();
        by_runs.entry((0..outcomes.len()).filter(has).collect()).or_default().push(setting);
    }
    let group = |(runs, settings): (Vec<usize>, Vec<&Setting>)| {
        let runs: Vec<usize> = evenly(runs.len()).into_iter().map(|place| runs[place]).collect();
        let of_runs = |values: &[f64]| -> Vec<f64> { runs.iter().map(|run| values[*run]).collect() };
        let settings = settings.into_iter();
        let settings = settings.map(|one| Setting { values: of_runs(&one.values), ..one.clone() });
        Group {
            settings: settings.filter(|setting| differ(&setting.values)).collect(),
            outcomes: of_runs(outcomes),
        }
    };
    let tells = |group: &Group| {
        group.outcomes.len() >= LEAST_RUNS && !group.settings.is_empty() && differ(&group.outcomes)
    };
    by_runs.into_iter().map(group).filter(tells).collect()
}

fn differ(values: &[f64]) -> bool {
    values.iter().any(|value| *value != values[0])
}

/// All places below `count`, or some of them at equal distances.
fn evenly(count: usize) -> Vec<usize> {
    match count {
        0..=MOST_RUNS => (0..count).collect(),
        _ => (0..MOST_RUNS).map(|place| place * count / MOST_RUNS).collect(),
    }
}

fn by_forest(settings: &[Setting], outcomes: &[f64]) -> Vec<Importance> {
    let features: Vec<Feature> = settings
        .iter()
        .map(|setting| Feature { values: setting.values.clone(), is_kind: setting.is_kind })
        .collect();
    let targets = ranks(outcomes);
    let all: Vec<usize> = (0..outcomes.len()).collect();
    let resampled: Vec<Vec<f64>> = (0..RESAMPLES as u64)
        .into_par_iter()
        .map(|number| {
            let mut draws = Draws::new(SEED + 1 + number);
            let rows = draws.resample(outcomes.len());
            forest::importance(&features, &targets, &rows, TREES, &mut draws)
        })
        .collect();
    let whole = forest::importance(&features, &targets, &all, RESAMPLES * TREES / 3, &mut Draws::new(SEED));
    let of = |(place, setting): (usize, &Setting)| Importance {
        path: setting.path.clone(),
        value: whole[place],
        interval: interval(resampled.iter().map(|found| found[place]).collect(), whole[place]),
        runs: outcomes.len(),
    };
    settings.iter().enumerate().map(of).collect()
}

fn by_correlation(settings: &[Setting], outcomes: &[f64]) -> Vec<Importance> {
    let measure = |setting: &Setting, runs: &[usize]| {
        let values: Vec<f64> = runs.iter().map(|run| setting.values[*run]).collect();
        let outcomes: Vec<f64> = runs.iter().map(|run| outcomes[*run]).collect();
        if setting.is_kind { correlation_ratio(&values, &outcomes) } else { spearman(&values, &outcomes) }
    };
    let all: Vec<usize> = (0..outcomes.len()).collect();
    let mut draws = Draws::new(SEED);
    let samples: Vec<Vec<usize>> =
        (0..CORRELATION_RESAMPLES).map(|_| draws.resample(outcomes.len())).collect();
    let of = |setting: &Setting| {
        let value = measure(setting, &all);
        let resampled = samples.iter().map(|runs| measure(setting, runs)).collect();
        // A ratio is never below zero, so its interval alone cannot say whether kinds matter at all:
        // what shuffled kinds reach by chance is taken off its lower end.
        let by_chance = if setting.is_kind { chance(setting, outcomes, &mut Draws::new(SEED)) } else { 0.0 };
        let mut interval = interval(resampled, value);
        if setting.is_kind && value <= by_chance {
            interval.low = 0.0;
        }
        Importance { path: setting.path.clone(), value, interval, runs: outcomes.len() }
    };
    settings.iter().map(of).collect()
}

/// The ratio that one in twenty shuffles of the kinds exceeds.
fn chance(setting: &Setting, outcomes: &[f64], draws: &mut Draws) -> f64 {
    let mut kinds = setting.values.clone();
    let mut found: Vec<f64> = (0..CORRELATION_RESAMPLES)
        .map(|_| {
            draws.shuffle(&mut kinds);
            correlation_ratio(&kinds, outcomes)
        })
        .collect();
    found.sort_by(f64::total_cmp);
    found[found.len() * 19 / 20]
}

/// Where the middle of the resampled values lies says how far resampling itself moves them: copies of
/// runs teach a forest less. So the interval is theirs, moved onto the value.
fn interval(mut resampled: Vec<f64>, value: f64) -> Interval {
    resampled.sort_by(f64::total_cmp);
    let last = resampled.len() - 1;
    let at = |share: f64| resampled[(last as f64 * share).round() as usize];
    let moved = value - mean(&resampled);
    Interval { low: (at(TAIL) + moved).min(value), high: (at(1.0 - TAIL) + moved).max(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs of a random sweep: a learning rate that decides, a depth that helps, an optimizer that helps
    /// in one of three kinds, and a setting without any effect.
    fn sweep(runs: usize, seed: u64) -> (Vec<Setting>, Vec<f64>) {
        let mut draws = Draws::new(seed);
        let mut column = |path: &str, kinds: usize, is_kind| Setting {
            path: path.to_owned(),
            values: (0..runs).map(|_| draws.below(kinds) as f64).collect(),
            is_kind,
        };
        let settings = vec![
            column("lr", 8, false),
            column("layers", 4, false),
            column("kind", 3, true),
            column("idle", 6, false),
        ];
        let noise: Vec<f64> = (0..runs).map(|_| draws.below(1000) as f64 / 1000.0).collect();
        let outcome = |run: usize| {
            let kind = if settings[2].values[run] == 1.0 { 2.0 } else { 0.0 };
            3.0 * settings[0].values[run] - settings[1].values[run] + kind + noise[run]
        };
        let outcomes = (0..runs).map(outcome).collect();
        (settings, outcomes)
    }

    #[test]
    fn the_setting_that_decides_comes_first_and_the_idle_one_includes_zero() {
        for (runs, seeds) in [(12, 8), (60, 3)] {
            let mut surely_idle = 0;
            for seed in 0..seeds {
                let (settings, outcomes) = sweep(runs, seed);
                let (_, found) = of(&settings, &outcomes).unwrap();
                assert_eq!(found[0].path, "lr", "{runs} runs, seed {seed}: {found:?}");
                assert!(found[0].interval.low > 0.0, "{found:?}");
                let idle = found.iter().find(|one| one.path == "idle").unwrap();
                surely_idle += u64::from(idle.interval.has_zero());
            }
            assert!(surely_idle + 1 >= seeds, "{surely_idle} of {seeds} with {runs} runs");
        }
    }

    #[test]
    fn many_runs_are_judged_together_and_few_one_setting_at_a_time() {
        let (settings, outcomes) = sweep(12, 1);
        assert_eq!(of(&settings, &outcomes).unwrap().0, Method::RankCorrelation);
        let (settings, outcomes) = sweep(40, 1);
        let (method, found) = of(&settings, &outcomes).unwrap();
        assert_eq!(method, Method::PermutationImportance);
        assert_eq!(found, of(&settings, &outcomes).unwrap().1, "the same in every report");
    }

    #[test]
    fn what_lowers_the_value_keeps_both_ends_of_its_interval() {
        let values: Vec<f64> = (0..8).map(f64::from).collect();
        let setting = Setting { path: "lr".into(), values: values.clone(), is_kind: false };
        let outcomes: Vec<f64> = values.iter().map(|value| 9.0 - value).collect();
        let (method, found) = of(&[setting], &outcomes).unwrap();
        assert_eq!((method, found[0].value), (Method::RankCorrelation, -1.0));
        assert!(found[0].interval.low <= -1.0 && found[0].interval.high < 0.0, "{:?}", found[0].interval);
    }

    #[test]
    fn what_cannot_be_judged_is_not() {
        let (settings, outcomes) = sweep(5, 1);
        assert_eq!(of(&settings, &outcomes), None, "too few runs");
        let (settings, _) = sweep(12, 1);
        assert_eq!(of(&settings, &[2.0; 12]), None, "one outcome");
        assert_eq!(of(&settings, &[f64::NAN; 12]), None);
        assert_eq!(of(&[], &[1.0; 12]), None);
        let mut constant = settings[..1].to_vec();
        constant[0].values = vec![1.0; 12];
        assert_eq!(of(&constant, &sweep(12, 1).1), None, "nothing varies");
    }

    #[test]
    fn a_run_without_a_setting_says_nothing_about_it() {
        // Where the setting is there the outcome does not follow it; runs without it came out otherwise.
        for (runs, kind) in [(16, false), (16, true), (80, true)] {
            let (settings, outcomes) = sweep(runs, 3);
            let mut partly = Setting { path: "partly".into(), is_kind: kind, ..settings[3].clone() };
            let has = |run: usize| run.is_multiple_of(2);
            (0..runs).filter(|run| !has(*run)).for_each(|run| partly.values[run] = f64::NAN);
            let gap = |(run, value): (usize, &f64)| if has(run) { *value } else { value + 1e3 };
            let outcomes: Vec<f64> = outcomes.iter().enumerate().map(gap).collect();
            let of_those: Vec<f64> = (0..runs).filter(|run| has(*run)).map(|run| outcomes[run]).collect();
            let alone = Setting {
                values: (0..runs).filter(|run| has(*run)).map(|run| partly.values[run]).collect(),
                ..partly.clone()
            };
            let (_, found) = of(&[settings[0].clone(), partly], &outcomes).unwrap();
            let partly = found.iter().find(|one| one.path == "partly").unwrap();
            assert_eq!(*partly, of(&[alone], &of_those).unwrap().1[0]);
            assert_eq!(partly.runs, runs / 2);
            assert_eq!(found.iter().find(|one| one.path == "lr").unwrap().runs, runs);
        }
        let (settings, outcomes) = sweep(12, 1);
        let mut rare = settings[0].clone();
        rare.values[5..].fill(f64::NAN);
        assert_eq!(of(&[rare], &outcomes), None, "five runs have it");
    }

    #[test]
    fn a_run_that_diverged_weighs_as_any_bad_one() {
        let (settings, mut outcomes) = sweep(40, 2);
        let before = of(&settings, &outcomes).unwrap().1;
        let worst = (0..40).max_by(|a, b| outcomes[*a].total_cmp(&outcomes[*b])).unwrap();
        outcomes[worst] = 1e300;
        assert_eq!(of(&settings, &outcomes).unwrap().1, before);
    }

    #[test]
    fn of_a_thousand_runs_some_are_looked_at() {
        assert_eq!((evenly(1000).len(), evenly(1000)[199], evenly(3)), (200, 995, vec![0, 1, 2]));
    }
}
