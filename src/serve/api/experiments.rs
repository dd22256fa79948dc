//! `/api/v1/experiments`: how the runs of each experiment stand.

use std::collections::BTreeMap;
use std::ops::Bound;

use schemars::JsonSchema;
use serde::Serialize;

use super::call::{Call, Reply};
use super::problem::Problem;
use super::route::{Access, CURSOR, LIMIT, Route};
use super::runs::{Best, href};
use crate::experiment::metric::{Direction, direction_of};
use crate::report::catalog::{self, Listed};
use crate::report::judged;

pub(super) const ROUTE: Route = Route {
    path: "/api/v1/experiments",
    name: "listExperiments",
    summary: "Experiments, sorted by name, page by page: how their runs stand, and which is best.",
    parameters: &[LIMIT, CURSOR],
    refusals: &[503],
    access: Access::Reader,
    content: &[(super::JSON, |schemas| schemas.subschema_for::<ExperimentList>())],
    answer,
};

/// Some of the experiments.
#[derive(Serialize, JsonSchema)]
struct ExperimentList {
    experiments: Vec<Experiment>,
    /// How many there are on all pages.
    total: usize,
    /// The cursor of the next page; null on the last.
    next: Option<String>,
}

/// An experiment by its runs.
#[derive(Serialize, JsonSchema)]
struct Experiment {
    experiment: String,
    description: String,
    /// How many runs it has, and how many of them stand so.
    runs: usize,
    statuses: BTreeMap<String, usize>,
    /// The metric whose best value counts.
    metric: String,
    best: Option<BestRun>,
    /// When the first of its runs was queued and when the last, in Unix seconds.
    first_created: f64,
    last_created: f64,
    /// The address of its page.
    page: String,
}

/// The run with the best value.
#[derive(Serialize, JsonSchema)]
struct BestRun {
    run: String,
    /// Its address here.
    href: String,
    #[serde(flatten)]
    best: Best,
}

fn answer(call: &Call) -> Result<Reply, Problem> {
    let all = call.api.index.runs()?;
    let mut experiments: BTreeMap<&str, Vec<&Listed>> = BTreeMap::new();
    for listed in all.values() {
        experiments.entry(&listed.experiment).or_default().push(listed);
    }
    let after = call.values.text("cursor").map_or(Bound::Unbounded, Bound::Excluded);
    let mut rest = experiments.range::<str, _>((after, Bound::Unbounded));
    let told: Vec<Experiment> =
        rest.by_ref().take(call.values.limit()).map(|(name, runs)| experiment(name, runs)).collect();
    let next = rest.next().and(told.last()).map(|last| last.experiment.clone());
    Reply::json(&ExperimentList { total: experiments.len(), experiments: told, next })
}

fn experiment(name: &str, runs: &[&Listed]) -> Experiment {
    let newest = runs.iter().max_by_key(|listed| listed.number);
    let mut in_order = runs.to_vec();
    in_order.sort_by_key(|listed| listed.number);
    let judged = in_order.iter().map(|listed| (listed.metric.as_str(), listed.best.is_some()));
    let metric = judged::commonest(judged).unwrap_or_default().to_owned();
    let mut statuses = BTreeMap::new();
    for listed in runs {
        *statuses.entry(listed.state.word.clone()).or_insert(0) += 1;
    }
    let created = || runs.iter().map(|listed| listed.created);
    Experiment {
        experiment: name.to_owned(),
        description: newest.map_or_else(String::new, |newest| newest.description.clone()),
        runs: runs.len(),
        statuses,
        best: best(runs, &metric),
        metric,
        first_created: created().fold(f64::MAX, f64::min),
        last_created: created().fold(0.0, f64::max),
        page: format!("/{}", catalog::address_of(&catalog::experiment_page(name))),
    }
}

/// Values of different metrics do not compare: that of most runs counts.
fn best(runs: &[&Listed], metric: &str) -> Option<BestRun> {
    let valued = runs.iter().filter(|listed| listed.metric == metric);
    let valued =
        valued.filter_map(|listed| Some((listed, listed.best.filter(|best| best.value.is_finite())?)));
    let sign = if direction_of(metric) == Direction::Higher { -1.0 } else { 1.0 };
    let (listed, best) = valued.min_by(|(_, a), (_, b)| (sign * a.value).total_cmp(&(sign * b.value)))?;
    let best = Best { value: best.value.into(), step: best.step };
    Some(BestRun { run: listed.run.clone(), href: href(listed), best })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_best_run_is_that_of_the_metric_that_most_runs_have() {
        let listed = |run: &str, number: u16, metric: &str, best: f64| -> Listed {
            let told = json!({
                "experiment": "x", "run": run, "label": run, "number": number, "description": "", "tags": [],
                "created": 1.0, "state": { "word": "finished", "class": "finished", "detail": null },
                "steps": 1, "step": 1, "varied": [], "metric": metric,
                "best": { "value": best, "step": 1 },
            });
            serde_json::from_value(told).unwrap()
        };
        let runs = [
            listed("a", 0, "loss/val", 2.3),
            listed("b", 1, "loss/val", 1.8),
            listed("newest", 2, "hparam/acc", 0.9),
        ];
        let told = experiment("x", &runs.iter().collect::<Vec<_>>());
        assert_eq!((told.metric.as_str(), told.best.unwrap().run.as_str()), ("loss/val", "b"));
    }
}
