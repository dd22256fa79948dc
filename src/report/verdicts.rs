//! Who leads an experiment, with the verdict over its seeds, kept until one of its runs changes: the first
//! page names several experiments and is made again for each row of one.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::judged;
use super::lead;
use super::rows;
use super::seeds::Seeds;
use super::summary::RunSummary;

#[derive(Debug, Default)]
pub struct Verdicts(Mutex<BTreeMap<String, (blake3::Hash, Option<String>)>>);

impl Verdicts {
    /// The best run and whether its lead is decided, in sentences; none without any value.
    pub fn of(&self, experiment: &str, runs: &[&RunSummary]) -> Option<String> {
        let mut hasher = blake3::Hasher::new();
        for run in runs {
            hasher.update(run.run.as_bytes()).update(run.fingerprint.as_bytes()).update(b"\0");
        }
        let from = hasher.finalize();
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, said)) = known().get(experiment).filter(|(known, _)| *known == from) {
            return said.clone();
        }
        let said = said(runs);
        known().insert(experiment.to_owned(), (from, said.clone()));
        said
    }
}

fn said(runs: &[&RunSummary]) -> Option<String> {
    let judged = judged::together(runs.iter().copied());
    let ranked = rows::ranked(judged.iter().map(Cow::as_ref));
    let mut said = lead::best(&ranked)?;
    let seeds = Seeds::of(&ranked);
    if !seeds.as_ref().is_some_and(Seeds::has_several)
        && let Some(apart) = lead::leader(&ranked)
    {
        said = format!("{said} {apart}");
    }
    if let Some(verdict) = seeds.as_ref().and_then(Seeds::sentence) {
        said = format!("{said} {verdict}");
    }
    Some(said)
}
