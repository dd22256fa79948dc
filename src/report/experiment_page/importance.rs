//! Which settings of the sweep matter, with their uncertainty.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use super::super::chart::number::significant;
use super::super::chart::share::{Reach, bar};
use super::super::model::{ImportanceBlock, ImportanceRow};
use super::super::say;
use super::super::summary::RunSummary;
use super::metric_title;
use crate::experiment::metric::{Direction, direction_of};
use crate::statistics::importance::{self, Importance, Method, Setting};

/// What was found for each experiment, with the runs and values it was found from: a forest takes longer
/// than all else on the page, and says the same until another run has finished.
#[derive(Debug, Default)]
pub struct Weighed(Mutex<BTreeMap<String, Found>>);

#[derive(Debug)]
struct Found {
    from: Vec<Outcome>,
    block: Option<ImportanceBlock>,
}

/// A run's name, and the bits of its best value.
type Outcome = (String, u64);

impl Weighed {
    /// The settings that the experiment's finished runs vary, the most important first; none where too
    /// few have a value.
    pub fn block(&self, experiment: &str, runs: &[&RunSummary]) -> Option<ImportanceBlock> {
        let finished = runs.iter().filter(|run| run.state.class == "finished" && run.best.is_some());
        let mut finished: Vec<&RunSummary> = finished.copied().collect();
        // Values of another metric do not compare.
        let metric = finished.first().map(|run| run.metric.clone());
        finished.retain(|run| Some(&run.metric) == metric.as_ref());
        let outcome = |run: &&RunSummary| (run.run.clone(), run.best.map_or(0, |best| best.value.to_bits()));
        let outcomes: Vec<Outcome> = finished.iter().map(outcome).collect();
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known().get(experiment).filter(|found| found.from == outcomes) {
            return found.block.clone();
        }
        let block = block(&finished);
        known().insert(experiment.to_owned(), Found { from: outcomes, block: block.clone() });
        block
    }
}

fn block(finished: &[&RunSummary]) -> Option<ImportanceBlock> {
    let metric = finished.first()?.metric.clone();
    let outcomes: Vec<f64> =
        finished.iter().map(|run| run.best.map_or(f64::NAN, |best| best.value)).collect();
    let settings = settings(finished);
    let (method, found) = importance::of(&settings, &outcomes)?;
    let reach = Reach::of(found.iter().map(|one| (one.value, &one.interval)));
    let title = metric_title(&metric).to_lowercase();
    let most = found.iter().map(|one| one.runs).max()?;
    let runs = say::counted(most, "finished run", "finished runs");
    let explained = match method {
        Method::PermutationImportance => format!(
            "Permutation importance of a small random forest over {runs}: by how much worse it predicts the rank of \
             a run's best {title} when the setting is shuffled, as a share of the variance of ranks. With 95 % \
             intervals by resampling the runs; what includes zero may not matter at all."
        ),
        Method::RankCorrelation => format!(
            "Rank correlation (Spearman) with the best {title} over {runs}, each setting by itself; the \
             correlation ratio for settings that are kinds, not amounts. With 95 % intervals by resampling the runs; what includes zero may not matter at all."
        ),
    };
    let has_few = found.iter().any(|one| one.runs < most);
    let explained = match has_few {
        true => format!("{explained} A run that has no such setting says nothing about it and is left out."),
        false => explained,
    };
    let rows = found.iter().map(|one| ImportanceRow {
        of: if has_few { say::counted(one.runs, "run", "runs") } else { String::new() },
        ..row(one, &settings, method, direction_of(&metric), reach)
    });
    Some(ImportanceBlock { method, explained, rows: rows.collect() })
}

fn row(
    found: &Importance,
    settings: &[Setting],
    method: Method,
    direction: Direction,
    reach: Reach,
) -> ImportanceRow {
    let is_kind = settings.iter().any(|setting| setting.path == found.path && setting.is_kind);
    let short = |value: f64| if value.abs() < 5e-4 { "0".to_owned() } else { significant(value, 2) };
    let better_higher = (found.value > 0.0) == (direction == Direction::Higher);
    let meaning = match () {
        () if found.interval.has_zero() => "may not matter",
        () if method == Method::PermutationImportance || is_kind => "matters",
        () if better_higher => "higher is better",
        () => "lower is better",
    };
    ImportanceRow {
        setting: found.path.clone(),
        value: found.value,
        low: found.interval.low,
        high: found.interval.high,
        text: short(found.value),
        interval: format!("{} to {}", short(found.interval.low), short(found.interval.high)),
        meaning,
        of: String::new(),
        svg: bar(found.value, &found.interval, reach),
    }
}

/// What the sweep varies beside the seed, as numbers: amounts as they are, everything else by kinds.
fn settings(runs: &[&RunSummary]) -> Vec<Setting> {
    let mut paths: Vec<&str> = Vec::new();
    for (path, _) in runs.iter().flat_map(|run| &run.varied) {
        if path != "train.seed" && !paths.contains(&path.as_str()) {
            paths.push(path);
        }
    }
    let setting = |path: &str| {
        let values: Vec<Option<Value>> = runs.iter().map(|run| value(run, path)).collect();
        if values.iter().flatten().all(Value::is_number) {
            let amount = |value: Option<Value>| value.and_then(|value| value.as_f64()).unwrap_or(f64::NAN);
            let values = values.into_iter().map(amount).collect();
            return Setting { path: path.to_owned(), values, is_kind: false };
        }
        let mut kinds: Vec<Value> = Vec::new();
        let mut kind = |value: Value| {
            kinds.iter().position(|known| *known == value).unwrap_or_else(|| {
                kinds.push(value);
                kinds.len() - 1
            }) as f64
        };
        let values = values.into_iter().map(|value| value.map_or(f64::NAN, &mut kind)).collect();
        Setting { path: path.to_owned(), values, is_kind: true }
    };
    paths.into_iter().map(setting).collect()
}

/// What a run has of a setting. One of ours that its file leaves out is none, and counts as that; of a run
/// that another program trained nobody knows that it had such a setting at all.
fn value(run: &RunSummary, path: &str) -> Option<Value> {
    let own = run.varied.iter().find(|(name, _)| name == path).map(|(_, value)| value);
    let value = own.or_else(|| run.settings.get(path)).cloned();
    value.or_else(|| (!run.state.is_imported).then_some(Value::Null))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::report::summary::{BestValue, sample};

    #[test]
    fn an_imported_run_without_a_setting_is_left_out_of_its_judgment() {
        let run = |number: u16| {
            let mut run = sample("x", &format!("r{number}"));
            run.best = Some(BestValue { value: f64::from(number), step: 1 });
            run.state.class = "finished".into();
            run.state.is_imported = true;
            run.varied = vec![("depth".into(), json!(number % 3))];
            if number < 8 {
                run.varied.push(("optimizer".into(), json!(["adam", "sgd"][usize::from(number % 2)])));
            }
            run
        };
        let runs: Vec<RunSummary> = (0..16).map(run).collect();
        let runs: Vec<&RunSummary> = runs.iter().collect();
        let settings = settings(&runs);
        let kinds = settings.iter().find(|one| one.path == "optimizer").unwrap();
        assert!(kinds.is_kind && kinds.values[7] == 1.0 && kinds.values[8].is_nan(), "{:?}", kinds.values);
        let block = block(&runs).unwrap();
        let of = |path: &str| block.rows.iter().find(|row| row.setting == path).unwrap().of.as_str();
        assert_eq!((of("depth"), of("optimizer")), ("16 runs", "8 runs"));
        assert!(block.explained.contains("has no such setting"), "{}", block.explained);
        let mut own = runs[9].clone();
        own.state.is_imported = false;
        assert_eq!(value(&own, "optimizer"), Some(Value::Null), "of ours it is known to be none");
    }
}
