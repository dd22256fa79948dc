//! What pages of runs show of other runs: the settings of the best sibling. Decided before any page is made,
//! so that each is made once, also where nothing is known yet.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::siblings::{self, Finished, Leaders};
use super::summary::{self, RunSummary};
use super::{Known, Redraw, Report, run_page};
use crate::run_dir::{RunDir, Workspace, read};

/// The runs that others are compared with, read once for all of them.
pub struct Beside {
    leaders: Leaders,
    records: BTreeMap<(String, String), run_page::Sibling>,
}

impl Beside {
    fn read(workspace: &Workspace, leaders: Leaders, redraws: &[Redraw]) -> Beside {
        let experiments: BTreeSet<String> = redraws.iter().map(|redraw| redraw.dir.experiment()).collect();
        let asked = leaders.all().filter(|leader| experiments.contains(&leader.experiment));
        let sibling = |leader: &Finished| {
            let dir = workspace.run(&leader.experiment, &leader.run);
            let record = read::run_record(&dir).ok()?;
            let label = summary::label(&dir, Some(&record));
            let sibling = run_page::Sibling::new(&record, leader.clone(), label);
            Some(((leader.experiment.clone(), leader.run.clone()), sibling))
        };
        let records = asked.filter_map(sibling).collect();
        Beside { leaders, records }
    }

    pub fn name(&self, summary: &RunSummary) -> Option<String> {
        let leader = self.leaders.beside(&summary.experiment, &summary.run, &summary.metric)?;
        Some(leader.run.clone())
    }

    pub fn of(&self, summary: &RunSummary) -> Option<&run_page::Sibling> {
        self.records.get(&(summary.experiment.clone(), self.name(summary)?))
    }
}

impl Report {
    /// What the pages of these runs are compared with; adds those whose sibling is another by now.
    pub(super) fn compared(&mut self, redraws: &mut Vec<Redraw>) -> Beside {
        let leaders = self.leaders(redraws);
        let stale = self.compared_with_others(redraws, &leaders);
        redraws.extend(stale);
        Beside::read(&self.workspace, leaders, redraws)
    }

    /// Who leads among those that finished, with what reading these runs will find.
    fn leaders(&self, redraws: &[Redraw]) -> Leaders {
        let is_read_again: BTreeSet<&RunDir> = redraws.iter().map(|redraw| &redraw.dir).collect();
        let known = self.runs.iter().filter(|(dir, _)| !is_read_again.contains(dir));
        let known = known.filter_map(|(_, known)| {
            let (metric, best) = known.summary.result.clone()?;
            let (experiment, run) = (known.summary.experiment.clone(), known.summary.run.clone());
            Some(Finished { experiment, run, metric, best })
        });
        let read = |redraw: &Redraw| {
            let result = read::json_if_there(&redraw.dir.result()).ok().flatten()?;
            let (metric, best) = siblings::best_of(&result)?;
            Some(Finished { experiment: redraw.dir.experiment(), run: redraw.dir.name(), metric, best })
        };
        let new: Vec<Finished> = redraws.par_iter().filter_map(read).collect();
        Leaders::of(known.chain(new))
    }

    /// Runs whose page compares settings with a run that is the best other one no longer.
    fn compared_with_others(&mut self, redraws: &[Redraw], leaders: &Leaders) -> Vec<Redraw> {
        let is_read_again: BTreeSet<&RunDir> = redraws.iter().map(|redraw| &redraw.dir).collect();
        let is_stale = |known: &Known| {
            let summary = &known.summary;
            let beside = leaders.beside(&summary.experiment, &summary.run, &summary.metric);
            beside.map(|leader| &leader.run) != summary.beside.as_ref()
        };
        let stale = self.runs.iter().filter(|(dir, known)| !is_read_again.contains(dir) && is_stale(known));
        let stale: Vec<(RunDir, String, Option<String>)> = stale
            .map(|(dir, known)| {
                (dir.clone(), known.summary.fingerprint.clone(), known.summary.failed_need.clone())
            })
            .collect();
        stale.into_iter().map(|(dir, mark, failed)| self.redraw(dir, mark, failed)).collect()
    }
}
