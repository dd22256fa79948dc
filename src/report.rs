//! The report: run directories in, static pages out.
//!
//! A fold over what is on disk: each run's files become a summary and a page (`files`, `summary`,
//! `run_page`), the summaries of all runs become the other pages (`experiment_page`, `index_page`).
//! Only what changed is read and rendered again. Templates write the markup, `chart` the drawings.

mod beside;
pub mod chart;
mod clocks;
mod compared;
mod copying;
mod energy;
mod experiment_page;
pub mod export;
mod files;
mod index_page;
mod lanes;
mod lead;
pub mod model;
mod models_page;
mod morning;
mod pipelines_page;
mod planned;
mod rows;
mod run_page;
mod runs_data;
mod runs_page;
pub mod say;
mod seeds;
mod siblings;
mod site;
mod stock;
mod summary;
mod system_page;
mod theme;
mod twin;
mod verdicts;
mod watched;
mod workspace_pages;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use rayon::prelude::*;
use serde::Serialize;

use crate::run_dir::metrics::Metrics;
use crate::run_dir::needs::{self, Member};
use crate::run_dir::records::{Batch, QueueState};
use crate::run_dir::write::{Durability, at, replace};
use crate::run_dir::{RunDir, Status, Workspace, lock, read, scan, step_name};

use beside::Beside;
pub use copying::Copying;
use experiment_page::Weighed;
use files::RunFiles;
use index_page::{Experiments, Work};
use model::{ComparePage, Frame};
use say::Clock;
use site::{Site, experiment_folder, run_data, run_folder, seeds_data};
use summary::RunSummary;
use theme::Theme;
pub use theme::ThemeError;
use twin::twin;
use verdicts::Verdicts;
use workspace_pages::WorkspacePages;

/// What pages of runs are made with.
struct With<'a> {
    theme: &'a Theme,
    clock: &'a Clock,
    beside: &'a Beside,
}

/// Which runs a build looks at.
#[derive(Clone, Debug)]
pub enum Scope {
    /// Every run of the workspace: the truth.
    All,
    /// These runs only, which a file event named; the others are taken as they were.
    Runs(Vec<RunDir>),
}

/// What a build did.
#[derive(Clone, Debug, Default)]
pub struct Built {
    /// Runs that the report shows.
    pub runs: usize,
    /// Run pages that were made afresh.
    pub changed_runs: usize,
    /// Files that were written, relative to `reports/`.
    pub written: Vec<String>,
    /// What is wrong with the theme, if it was left out.
    pub warning: Option<String>,
}

/// Why the report could not be built. The last good pages stay where they are.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error(transparent)]
    Write(#[from] io::Error),
    #[error(transparent)]
    Theme(#[from] ThemeError),
    #[error("{page}: {error}")]
    Twin { page: String, error: serde_json::Error },
}

/// Builds the whole report once, waiting for whoever builds it at the moment.
///
/// # Errors
/// A page cannot be written, or a template of the workspace does not work.
pub fn build(workspace: &Path) -> Result<Built, ReportError> {
    Report::open(workspace).refresh(&Scope::All)
}

/// A report that is built again and again: remembers what it read, so that a new row costs
/// milliseconds.
pub struct Report {
    workspace: Workspace,
    site: Site,
    host: String,
    runs: BTreeMap<RunDir, Known>,
    /// What the pages about all runs were last made from.
    shared: String,
    /// When the list of all runs was last made, and whether a run changed since. It is as long as
    /// there are runs, so a live run does not make it again for each of its rows.
    listed: Option<Instant>,
    list_is_stale: bool,
    scripts: runs_data::Scripts,
    weighed: Weighed,
    verdicts: Verdicts,
    pages: WorkspacePages,
}

/// For so long the list of all runs may lag behind a live run's rows.
const LIST_LAG: Duration = Duration::from_secs(2);

/// A run as it was last seen.
struct Known {
    summary: RunSummary,
    /// Kept while the run is active, so that only new rows are read.
    metrics: Option<Metrics>,
}

/// A run that is to be read and rendered.
struct Job {
    dir: RunDir,
    metrics: Metrics,
    fingerprint: String,
    /// The need that did not finish, as far as is known.
    failed_need: Option<String>,
    /// Whether what lies beside the page is the log as it is.
    log_is_copied: bool,
}

/// A run that was read and rendered again.
struct Fresh {
    dir: RunDir,
    known: Known,
    written: Vec<String>,
}

impl Report {
    /// Opens the report of a workspace with what earlier builds remember.
    pub fn open(workspace: &Path) -> Report {
        let workspace = Workspace::new(workspace);
        let site = Site::new(&workspace);
        let remembered: Vec<(RunDir, Known)> = site
            .remembered_runs()
            .par_iter()
            .filter_map(|(experiment, run)| {
                let bytes = fs::read(site.remembered(experiment, run)).ok()?;
                let summary = serde_json::from_slice(&bytes).ok()?;
                Some((workspace.run(experiment, run), Known { summary, metrics: None }))
            })
            .collect();
        let runs = remembered.into_iter().collect();
        let shared = fs::read_to_string(site.remembered_shared()).unwrap_or_default();
        let (listed, list_is_stale, scripts, weighed, verdicts, pages) = Default::default();
        Report {
            site,
            workspace,
            host: scan::host(),
            runs,
            shared,
            listed,
            list_is_stale,
            scripts,
            weighed,
            verdicts,
            pages,
        }
    }

    /// Opens the report of a workspace and takes every page for stale.
    pub fn anew(workspace: &Path) -> Report {
        let workspace = Workspace::new(workspace);
        let site = Site::new(&workspace);
        let (host, runs) = (scan::host(), BTreeMap::new());
        let (shared, listed, list_is_stale, scripts, weighed, verdicts, pages) = Default::default();
        Report {
            site,
            workspace,
            host,
            runs,
            shared,
            listed,
            list_is_stale,
            scripts,
            weighed,
            verdicts,
            pages,
        }
    }

    /// Brings the pages up to what is on disk, under the lock on `reports/`.
    ///
    /// # Errors
    /// A page cannot be written, or a template of the workspace does not work. Pages of other runs
    /// may have been written before.
    pub fn refresh(&mut self, scope: &Scope) -> Result<Built, ReportError> {
        fs::create_dir_all(self.site.root()).map_err(|error| at(self.site.root(), error))?;
        let _lock = lock::wait_lock(&self.site.lock())?;
        let clock = Clock::here(scan::now());
        let theme = Theme::load(&self.workspace, None)?;
        let mut built = Built { warning: theme.warning().map(str::to_owned), ..Built::default() };
        for (path, bytes) in theme.assets() {
            if self.site.publish(path, bytes)? {
                built.written.push((*path).to_owned());
            }
        }
        let mut changed = self.forget_missing(scope);
        let looked_at = match scope {
            Scope::All => scan::runs(&self.workspace),
            Scope::Runs(runs) => runs.iter().filter(|run| run.path().is_dir()).cloned().collect(),
        };
        let mut jobs = Vec::new();
        for dir in looked_at {
            let fingerprint = format!("{}{}", &theme.generation()[..16], files::fingerprint(&dir));
            if self.is_current(&dir, &fingerprint) {
                continue;
            }
            let failed_need = self.runs.get(&dir).and_then(|known| known.summary.failed_need.clone());
            jobs.push(self.job(dir, fingerprint, failed_need));
        }
        let beside = self.compared(&mut jobs);
        let mut first_error = None;
        let with = With { theme: &theme, clock: &clock, beside: &beside };
        self.render_runs(jobs, &with, &mut changed, &mut built, &mut first_error);
        // What the others have come to may change what becomes of those that need them.
        let jobs = self.misjudged();
        self.render_runs(jobs, &with, &mut changed, &mut built, &mut first_error);
        self.render_shared(&theme, &clock, &changed, matches!(scope, Scope::All), &mut built)?;
        self.render_workspace(&theme, &clock, &changed, matches!(scope, Scope::All), &mut built)?;
        built.runs = self.runs.len();
        first_error.map_or(Ok(built), Err)
    }

    /// A run to be read and rendered, going on from the rows that are known.
    fn job(&mut self, dir: RunDir, fingerprint: String, failed_need: Option<String>) -> Job {
        let known = self.runs.get_mut(&dir);
        let log_is_copied = known.as_ref().is_some_and(|known| {
            files::log_mark(&known.summary.fingerprint) == files::log_mark(&fingerprint)
                && self.site.root().join(run_folder(&dir.experiment(), &dir.name())).join("log.js").is_file()
        });
        let metrics = known.and_then(|known| known.metrics.take()).unwrap_or_default();
        Job { dir, metrics, fingerprint, failed_need, log_is_copied }
    }

    /// Runs that are shown as waiting and are skipped, or the other way round.
    fn misjudged(&mut self) -> Vec<Job> {
        let summaries = self.runs.values().map(|known| &known.summary);
        let members: Vec<Member> = summaries
            .map(|summary| Member {
                experiment: &summary.experiment,
                run: &summary.run,
                needs: &summary.needs,
                fate: summary.fate,
            })
            .collect();
        let failed = needs::failed_needs(&members);
        let misjudged: Vec<(RunDir, String, Option<String>)> = self
            .runs
            .iter()
            .zip(failed)
            .filter(|((_, known), failed)| known.summary.failed_need != *failed)
            .map(|((dir, known), failed)| (dir.clone(), known.summary.fingerprint.clone(), failed))
            .collect();
        misjudged.into_iter().map(|(dir, mark, failed)| self.job(dir, mark, failed)).collect()
    }

    fn render_runs(
        &mut self,
        jobs: Vec<Job>,
        with: &With,
        changed: &mut BTreeSet<String>,
        built: &mut Built,
        first_error: &mut Option<ReportError>,
    ) {
        let results: Vec<Result<Fresh, ReportError>> =
            jobs.into_par_iter().map(|job| self.render_run(job, with)).collect();
        for result in results {
            match result {
                Ok(fresh) => {
                    changed.insert(fresh.dir.experiment());
                    built.changed_runs += 1;
                    built.written.extend(fresh.written);
                    self.runs.insert(fresh.dir, fresh.known);
                }
                Err(error) => {
                    first_error.get_or_insert(error);
                }
            }
        }
    }

    /// Leaves out runs whose directory is gone; returns their experiments.
    fn forget_missing(&mut self, scope: &Scope) -> BTreeSet<String> {
        let is_gone = |dir: &&RunDir| match scope {
            Scope::All => !dir.path().is_dir(),
            Scope::Runs(runs) => runs.contains(dir) && !dir.path().is_dir(),
        };
        let gone: Vec<RunDir> = self.runs.keys().filter(is_gone).cloned().collect();
        for dir in &gone {
            self.runs.remove(dir);
            self.site.forget(&dir.experiment(), &dir.name());
        }
        gone.iter().map(RunDir::experiment).collect()
    }

    /// Whether a run's page is what its files say. A run on another host is seen alive by the age of
    /// its progress, so its page is not settled by files alone.
    fn is_current(&self, dir: &RunDir, fingerprint: &str) -> bool {
        let is_elsewhere = |summary: &RunSummary| summary.is_active() && fingerprint.ends_with('-');
        self.runs.get(dir).is_some_and(|known| {
            known.summary.fingerprint == fingerprint
                && !is_elsewhere(&known.summary)
                && self.site.root().join(run_page_path(&known.summary)).is_file()
        })
    }

    fn render_run(&self, job: Job, with: &With) -> Result<Fresh, ReportError> {
        let With { theme, clock, beside } = with;
        let Job { dir, metrics, fingerprint, failed_need, log_is_copied } = job;
        let mut files = RunFiles::read(&dir, &self.host, clock.now, metrics);
        if let (Status::Waiting { .. }, Some(need)) = (&files.seen.status, failed_need) {
            files.seen.status = needs::without(need, &files.seen);
        }
        let mut summary = RunSummary::of(&files, fingerprint);
        let sibling = beside.of(&summary);
        summary.beside = beside.name(&summary);
        let folder = run_folder(&summary.experiment, &summary.run);
        let is_open = matches!(summary.state.class.as_str(), "running" | "waiting");
        let title = format!("{} · {}", summary.label, summary.experiment);
        let frame = self.frame(theme, title, "../../../", "runs", is_open, clock);
        let page = run_page::page(&files, &summary, sibling, frame, clock);
        let mut written = Vec::new();
        for (name, original) in [("metrics.csv", dir.metrics()), ("telemetry.csv", dir.telemetry())] {
            let below = format!("{folder}/{name}");
            if self.site.follow(&original, &below)? {
                written.push(below);
            }
        }
        if run_page::log::has_more(&files) && !log_is_copied {
            for (name, bytes) in run_page::log::beside(&dir) {
                let below = format!("{folder}/{name}");
                if self.site.publish(&below, &bytes)? {
                    written.push(below);
                }
            }
        }
        for sample in &files.samples {
            let below = format!("{folder}/samples/{}.png", step_name(sample.step));
            if let Ok(bytes) = read::bytes(&dir.sample_png(sample.step))
                && self.site.publish(&below, &bytes)?
            {
                written.push(below);
            }
        }
        // Before the page: whoever goes from it to others that show the run finds it there.
        let below = run_data(&summary.experiment, &summary.run);
        if self.site.publish_data(&below, &compared::of_run(&summary, &page))? {
            written.push(below);
        }
        self.publish_page(theme, "run.html", &folder, &page, &mut written)?;
        remember(&self.site, &summary)?;
        let metrics = summary.is_active().then_some(files.metrics);
        Ok(Fresh { dir, known: Known { summary, metrics }, written })
    }

    /// The pages about several runs, as far as they can have changed.
    fn render_shared(
        &mut self,
        theme: &Theme,
        clock: &Clock,
        changed: &BTreeSet<String>,
        is_scan: bool,
        built: &mut Built,
    ) -> Result<(), ReportError> {
        let shared = format!("{}{}", theme.generation(), self.work_fingerprint());
        let index_exists = self.site.root().join("index.html").is_file();
        if changed.is_empty() && shared == self.shared && index_exists && !(is_scan && self.list_is_stale) {
            return Ok(());
        }
        let work = self.work();
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
                let page = experiment_page::page(name, runs, queue, &self.weighed, frame, clock);
                let mut written = Vec::new();
                self.publish_page(theme, "experiment.html", &experiment_folder(name), &page, &mut written)?;
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
        let index = index_page::page(
            &experiments,
            work.as_ref(),
            &self.verdicts,
            frame("Morning", "", "morning"),
            clock,
        );
        self.publish_page(theme, "index.html", "", &index, &mut built.written)?;
        let list =
            index_page::experiments_page(&experiments, frame("Experiments", "../", "experiments"), clock);
        self.publish_page(theme, "experiments.html", "experiments", &list, &mut built.written)?;
        if is_scan || self.listed.is_none_or(|listed| listed.elapsed() > LIST_LAG) {
            let (of_list, of_compare) = (frame("Runs", "../", "runs"), frame("Compare", "", "compare"));
            let mut scripts = std::mem::take(&mut self.scripts);
            let versions = scripts.publish(&self.site, &all, clock, &mut built.written)?;
            let list = runs_page::page(&experiments, &versions, of_list, clock);
            self.publish_page(theme, "runs.html", "runs", &list, &mut built.written)?;
            let compare = ComparePage { frame: of_compare };
            self.scripts = scripts;
            self.publish_files(theme, "compare.html", "compare", &compare, &mut built.written)?;
            self.listed = Some(Instant::now());
            self.list_is_stale = false;
        } else {
            self.list_is_stale = true;
        }
        let remembered = self.site.remembered_shared();
        if let Some(folder) = remembered.parent() {
            fs::create_dir_all(folder).map_err(|error| at(folder, error))?;
        }
        replace(&remembered, shared.as_bytes(), Durability::Rebuildable)?;
        self.shared = shared;
        Ok(())
    }

    /// The page of a folder and its JSON twin beside it.
    fn publish_page<T: Serialize>(
        &self,
        theme: &Theme,
        template: &str,
        folder: &str,
        page: &T,
        written: &mut Vec<String>,
    ) -> Result<(), ReportError> {
        let stem = if folder.is_empty() { "index".to_owned() } else { format!("{folder}/index") };
        self.publish_files(theme, template, &stem, page, written)
    }

    /// A page and its JSON twin, by their name without its ending.
    fn publish_files<T: Serialize>(
        &self,
        theme: &Theme,
        template: &str,
        stem: &str,
        page: &T,
        written: &mut Vec<String>,
    ) -> Result<(), ReportError> {
        let html = theme.render(template, page)?;
        let twin = twin(page).map_err(|error| ReportError::Twin { page: stem.to_owned(), error })?;
        // The twin first: whoever is told of the page finds both.
        for (ending, bytes) in [("json", twin.as_slice()), ("html", html.as_bytes())] {
            let below = format!("{stem}.{ending}");
            if self.site.publish(&below, bytes)? {
                written.push(below);
            }
        }
        Ok(())
    }

    fn frame(
        &self,
        theme: &Theme,
        title: String,
        root: &str,
        here: &'static str,
        active: bool,
        clock: &Clock,
    ) -> Frame {
        let path =
            fs::canonicalize(self.workspace.root()).unwrap_or_else(|_| self.workspace.root().to_owned());
        let name =
            path.file_name().map_or_else(|| "workspace".into(), |name| name.to_string_lossy().into_owned());
        let id = blake3::hash(format!("{} {}", self.host, path.display()).as_bytes());
        Frame {
            title,
            root: root.to_owned(),
            here,
            workspace: name,
            host: self.host.clone(),
            workspace_id: id.to_hex()[..16].to_owned(),
            logo: theme.logo().path,
            warning: theme.warning().map(str::to_owned),
            active,
            built: clock.now(),
        }
    }

    /// The newest batch, as far as it can be read.
    fn work(&self) -> Option<Work> {
        let newest = scan::batches(&self.workspace).into_iter().next_back()?;
        let batch: Batch = read::json(&newest.batch_json()).ok()?;
        let queue: Option<QueueState> = read::json_if_there(&newest.queue_json()).unwrap_or_default();
        let is_running = batch.end.is_none() && lock::is_held(&self.workspace.runner_lock());
        Some(Work { name: newest.name(), batch, queue, is_running })
    }

    fn work_fingerprint(&self) -> String {
        let newest = scan::batches(&self.workspace).into_iter().next_back();
        let files = newest.iter().flat_map(|batch| [batch.batch_json(), batch.queue_json()]);
        let marks = files
            .map(|file| fs::metadata(file).ok().map(|metadata| (metadata.len(), metadata.modified().ok())));
        format!("{:?}{}", marks.collect::<Vec<_>>(), lock::is_held(&self.workspace.runner_lock()))
    }
}

fn run_page_path(summary: &RunSummary) -> String {
    format!("{}/index.html", run_folder(&summary.experiment, &summary.run))
}

fn remember(site: &Site, summary: &RunSummary) -> Result<(), ReportError> {
    let path = site.remembered(&summary.experiment, &summary.run);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| at(folder, error))?;
    }
    let bytes = serde_json::to_vec(summary)
        .map_err(|error| ReportError::Twin { page: summary.run.clone(), error })?;
    Ok(replace(&path, &bytes, Durability::Rebuildable)?)
}
