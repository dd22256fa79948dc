//! Which metrics pages about several runs name: runs of other programs may have thousands of names, each its
//! own. Those that most runs have come first; how many are left out is said.

use std::collections::{BTreeMap, BTreeSet};

use super::summary::RunSummary;

/// The metrics that a page names.
#[derive(Debug, PartialEq)]
pub struct Common {
    pub names: BTreeSet<String>,
    pub left_out: usize,
}

/// At most so many of the metrics of these runs.
pub fn metrics(runs: &[&RunSummary], most: usize) -> Common {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in runs.iter().flat_map(|run| run.last.keys()) {
        *counts.entry(name).or_default() += 1;
    }
    let mut ranked: Vec<(&str, usize)> = counts.into_iter().collect();
    // What counts for a run is what one looks for.
    let counts_for = |name: &str| runs.iter().any(|run| run.metric == name);
    ranked.sort_by_key(|(name, runs)| (!counts_for(name), std::cmp::Reverse(*runs)));
    let left_out = ranked.len().saturating_sub(most);
    Common { names: ranked.into_iter().take(most).map(|(name, _)| name.to_owned()).collect(), left_out }
}

#[cfg(test)]
mod tests {
    use super::super::summary::sample;
    use super::*;
    use crate::run_dir::number::Number;

    #[test]
    fn what_counts_and_what_most_runs_have_is_named_and_the_rest_counted() {
        let run = |names: &[&str]| {
            let mut run = sample("x", "y");
            run.metric = "z/counts".into();
            run.last = names.iter().map(|name| ((*name).to_owned(), Number(1.0))).collect();
            run
        };
        let runs = [run(&["a", "b", "z/counts"]), run(&["b", "c"]), run(&["b", "d"])];
        let runs: Vec<&RunSummary> = runs.iter().collect();
        let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(metrics(&runs, 3), Common { names: named(&["a", "b", "z/counts"]), left_out: 2 });
        assert_eq!(metrics(&runs, 5).left_out, 0);
        assert_eq!(metrics(&[], 5), Common { names: BTreeSet::new(), left_out: 0 });
    }
}
