//! The pages about several runs, and how far they may lag behind.
//!
//! They are as long as there are runs. What a live run of many logs does not make them again row by row:
//! its own page and the copy of its rows, which charts of other pages follow, come first.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

use rayon::prelude::*;

use super::index_page::{self, Experiments};
use super::model::ComparePage;
use super::newest_batch::Newest;
use super::say::Clock;
use super::site::{experiment_folder, seeds_data};
use super::summary::RunSummary;
use super::theme::Theme;
use super::{Built, Report, ReportError, aside, compared, experiment_page, runs_page};
use crate::run_dir::write::{Durability, at, replace};
use crate::run_dir::{lock, scan};

/// What a build found to be new.
#[derive(Debug, Default)]
pub struct Changes {
    /// Experiments whose runs are not as they were.
    pub experiments: BTreeSet<String>,
    /// Whether a run came, went, or stands otherwise; else some only got rows.
    pub is_more_than_rows: bool,
}

impl Changes {
    /// A run was read again.
    pub fn note(&mut self, known: Option<&RunSummary>, now: &RunSummary) {
        let stood = |run: &RunSummary| (run.state.clone(), run.alerts.len(), run.fate);
        self.is_more_than_rows |= known.is_none_or(|known| stood(known) != stood(now));
        self.experiments.insert(now.experiment.clone());
    }
}

/// What was put off.
#[derive(Debug, Default)]
pub struct Lag {
    /// When the list of all runs was last made, and when the other pages were.
    listed: Option<Instant>,
    shared: Option<Instant>,
    /// Experiments whose runs got rows since.
    experiments: BTreeSet<String>,
}

impl Lag {
    /// Whether the pages may wait a little longer with these changes in a workspace of so many runs.
    fn may_grow(&self, changes: &Changes, runs: usize) -> bool {
        runs > FEW_RUNS && !changes.is_more_than_rows && self.shared.is_some_and(is_lately)
    }
}

/// For so long the list of all runs may lag behind rows, and among more than a few runs the other pages.
/// A scan makes all of them.
const LAG: Duration = Duration::from_secs(2);
const FEW_RUNS: usize = 100;

/// Remembered of pages that lag behind: whoever builds next makes all of them.
const BEHIND: &str = "behind";

fn is_lately(made: Instant) -> bool {
    made.elapsed() <= LAG
}

impl Report {
    /// The pages about several runs, as far as they can have changed.
    ///
    /// # Errors
    /// A page cannot be written, or a template does not work.
    pub(super) fn render_shared(
        &mut self,
        theme: &Theme,
        clock: &Clock,
        changes: &Changes,
        is_scan: bool,
        built: &mut Built,
    ) -> Result<(), ReportError> {
        let shared = format!("{}{}", theme.generation(), self.work_fingerprint());
        let index_exists = self.site.root().join("index.html").is_file();
        let is_as_it_was = shared == self.shared && index_exists;
        let may_wait = is_as_it_was && !is_scan && self.lag.may_grow(changes, self.runs.len());
        let was_behind = !self.lag.experiments.is_empty();
        self.lag.experiments.extend(changes.experiments.iter().cloned());
        if may_wait {
            return if was_behind { Ok(()) } else { self.remember_shared(BEHIND) };
        }
        let is_listed = is_scan || !self.lag.listed.is_some_and(is_lately);
        let changed = self.lag.experiments.clone();
        if changed.is_empty() && is_as_it_was {
            return Ok(());
        }
        let Newest { work, unread } = self.newest_batch();
        let queue = work.as_ref().filter(|work| work.is_running).and_then(|work| work.queue.as_ref());
        let mut experiments: Experiments = BTreeMap::new();
        for known in self.runs.values() {
            experiments.entry(known.summary.experiment.as_str()).or_default().push(&known.summary);
        }
        let is_open = |runs: &[&RunSummary]| {
            runs.iter().any(|run| run.is_active()) || work.as_ref().is_some_and(|work| work.is_running)
        };
        let stale: Vec<(&str, &Vec<&RunSummary>)> = experiments
            .iter()
            .filter(|(name, _)| {
                changed.contains(**name)
                    || (shared != self.shared && !self.shared.is_empty())
                    || !self.site.root().join(format!("{}/index.html", experiment_folder(name))).is_file()
            })
            .map(|(name, runs)| (*name, runs))
            .collect();
        let pages: Vec<Result<Vec<String>, ReportError>> = stale
            .into_par_iter()
            .map(|(name, runs)| {
                let frame = self.frame(theme, name.to_owned(), "../../", "experiments", is_open(runs), clock);
                let mut page = experiment_page::page(name, runs, queue, &self.weighed, frame, clock);
                let mut written = Vec::new();
                let folder = experiment_folder(name);
                // The script first: whoever has the page finds it.
                aside::publish(&self.site, &folder, aside::taken(&mut page).as_deref(), &mut written)?;
                self.publish_page(theme, "experiment.html", &folder, &page, &mut written)?;
                let below = seeds_data(name);
                if self.site.publish_data(&below, &compared::of_seeds(name, runs))? {
                    written.push(below);
                }
                Ok(written)
            })
            .collect();
        for page in pages {
            built.written.extend(page?);
        }
        for name in changed.iter().filter(|name| !experiments.contains_key(name.as_str())) {
            self.site.forget_experiment(name);
        }
        let all: Vec<&RunSummary> = self.runs.values().map(|known| &known.summary).collect();
        let open = is_open(&all);
        let frame = |title: &str, root, here| self.frame(theme, title.to_owned(), root, here, open, clock);
        let mut index = index_page::page(
            &experiments,
            work.as_ref(),
            &self.verdicts,
            frame("Morning", "", "morning"),
            clock,
        );
        index.say.extend(unread);
        aside::publish(&self.site, "", aside::taken(&mut index).as_deref(), &mut built.written)?;
        self.publish_page(theme, "index.html", "", &index, &mut built.written)?;
        let list =
            index_page::experiments_page(&experiments, frame("Experiments", "../", "experiments"), clock);
        self.publish_page(theme, "experiments.html", "experiments", &list, &mut built.written)?;
        if is_listed {
            let (of_list, of_compare) = (frame("Runs", "../", "runs"), frame("Compare", "", "compare"));
            let mut scripts = std::mem::take(&mut self.scripts);
            let versions = scripts.publish(&self.site, &all, clock, &mut built.written)?;
            let left_out = scripts.metrics_left_out;
            let list = runs_page::page(&experiments, (&versions, left_out), of_list, clock);
            self.publish_page(theme, "runs.html", "runs", &list, &mut built.written)?;
            let compare = ComparePage { frame: of_compare };
            self.scripts = scripts;
            self.publish_files(theme, "compare.html", "compare", &compare, &mut built.written)?;
            self.lag = Lag { listed: Some(Instant::now()), ..Lag::default() };
        }
        self.lag.shared = Some(Instant::now());
        self.remember_shared(if is_listed { &shared } else { BEHIND })?;
        self.shared = shared;
        Ok(())
    }

    /// What the pages were made from, for whoever builds next.
    fn remember_shared(&self, mark: &str) -> Result<(), ReportError> {
        let remembered = self.site.remembered_shared();
        if let Some(folder) = remembered.parent() {
            fs::create_dir_all(folder).map_err(|error| at(folder, error))?;
        }
        Ok(replace(&remembered, mark.as_bytes(), Durability::Rebuildable)?)
    }

    fn work_fingerprint(&self) -> String {
        let newest = scan::batches(&self.workspace).into_iter().next_back();
        let files = newest.iter().flat_map(|batch| [batch.batch_json(), batch.queue_json()]);
        let marks = files
            .map(|file| fs::metadata(file).ok().map(|metadata| (metadata.len(), metadata.modified().ok())));
        format!("{:?}{}", marks.collect::<Vec<_>>(), lock::is_held(&self.workspace.runner_lock()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rows_of_one_among_many_wait_and_not_for_long() {
        let made = |ago: Duration| Lag { shared: Instant::now().checked_sub(ago), ..Lag::default() };
        let (lately, long_ago) = (Duration::ZERO, LAG + Duration::from_secs(1));
        for (lag, is_more_than_rows, runs, expected) in [
            (made(lately), false, FEW_RUNS + 1, true),
            (made(lately), false, FEW_RUNS, false),
            (made(lately), true, FEW_RUNS + 1, false),
            (made(long_ago), false, FEW_RUNS + 1, false),
            (Lag::default(), false, FEW_RUNS + 1, false),
        ] {
            let changes = Changes { is_more_than_rows, ..Changes::default() };
            assert_eq!(lag.may_grow(&changes, runs), expected, "{runs} runs, {lag:?}, {changes:?}");
        }
    }
}
