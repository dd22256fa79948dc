//! The report: run directories in, static pages out.
//!
//! A fold over what is on disk: each run's files become a summary and a page (`files`, `summary`,
//! `run_page`), the summaries of all runs become the other pages (`experiment_page`, `index_page`).
//! Only what changed is read and rendered again. Templates write the markup, `chart` the drawings.

mod aside;
mod attached;
mod beside;
mod bounded;
pub mod catalog;
pub mod chart;
mod clocks;
mod common;
mod compared;
mod copying;
mod energy;
mod experiment_page;
pub mod export;
mod files;
pub mod forms;
mod index_page;
pub(crate) mod judged;
mod lanes;
mod lead;
mod memory;
pub mod model;
mod models_page;
mod morning;
mod newest_batch;
mod numbers;
mod pipelines_page;
mod planned;
mod rows;
mod run_page;
mod runs_data;
mod runs_page;
pub mod say;
mod seeds;
mod shared;
mod siblings;
pub mod side_by_side;
mod site;
mod stock;
mod summary;
mod system_page;
mod theme;
mod twin;
mod verdicts;
mod watched;
mod workspace_pages;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use rayon::prelude::*;
use serde::Serialize;

use crate::run_dir::metrics::Metrics;
use crate::run_dir::needs::{self, Member};
use crate::run_dir::write::{Durability, at, make_folder, replace};
use crate::run_dir::{RunDir, Status, Workspace, lock, read, scan};

use beside::Beside;
pub use copying::Copying;
use experiment_page::Weighed;
use files::RunFiles;
use model::Frame;
use say::Clock;
use shared::{Changes, Lag};
use site::{Site, run_data, run_folder};
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
    /// Name of the workspace and of its machine on pages that are sent.
    named: Option<(String, String)>,
    runs: BTreeMap<RunDir, Known>,
    /// What the pages about all runs were last made from.
    shared: String,
    lag: Lag,
    scripts: runs_data::Scripts,
    weighed: Weighed,
    verdicts: Verdicts,
    pages: WorkspacePages,
}

/// A run as it was last seen.
struct Known {
    summary: RunSummary,
    /// Kept while the run is active, so that only new rows are read.
    metrics: Option<Metrics>,
}

/// A run that is to be read and rendered.
struct Redraw {
    dir: RunDir,
    metrics: Metrics,
    fingerprint: String,
    /// The need that did not finish, as far as is known.
    failed_need: Option<String>,
    /// What it is drawn with, where that is not its own number.
    number: Option<u16>,
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
                let summary = read::json(&site.remembered(experiment, run)).ok()?;
                Some((workspace.run(experiment, run), Known { summary, metrics: None }))
            })
            .collect();
        let runs = remembered.into_iter().collect();
        let shared = read::bounded(&site.remembered_shared(), read::MOST_OF_RECORD).unwrap_or_default();
        let shared = String::from_utf8(shared).unwrap_or_default();
        let (lag, scripts, weighed, verdicts, pages) = Default::default();
        let (host, named) = (scan::host(), None);
        Report { site, workspace, host, named, runs, shared, lag, scripts, weighed, verdicts, pages }
    }

    /// Opens the report of a workspace and takes every page for stale.
    pub fn anew(workspace: &Path) -> Report {
        let workspace = Workspace::new(workspace);
        let site = Site::new(&workspace);
        let (host, runs) = (scan::host(), BTreeMap::new());
        let (shared, lag, scripts, weighed, verdicts, pages) = Default::default();
        Report { site, workspace, host, named: None, runs, shared, lag, scripts, weighed, verdicts, pages }
    }

    /// Lets pages name another workspace and machine than those on which they are made.
    pub fn named(self, workspace: String, host: String) -> Report {
        Report { named: Some((workspace, host)), ..self }
    }

    /// Brings the pages up to what is on disk, under the lock on `reports/`.
    ///
    /// # Errors
    /// A page cannot be written, or a template of the workspace does not work. Pages of other runs
    /// may have been written before.
    pub fn refresh(&mut self, scope: &Scope) -> Result<Built, ReportError> {
        make_folder(self.site.root())?;
        let _lock = lock::wait_lock(&self.site.lock())?;
        let clock = Clock::here(scan::now());
        let theme = Theme::load(&self.workspace, None)?;
        let mut built = Built { warning: theme.warning().map(str::to_owned), ..Built::default() };
        for (path, bytes) in theme.assets() {
            if self.site.publish(path, bytes)? {
                built.written.push((*path).to_owned());
            }
        }
        let mut changes = self.forget_missing(scope);
        let looked_at = match scope {
            Scope::All => scan::runs(&self.workspace),
            Scope::Runs(runs) => runs.iter().filter(|run| run.path().is_dir()).cloned().collect(),
        };
        // The truth is in the files alone, so all of them are asked, by all cores.
        let stale: Vec<(RunDir, String)> = looked_at
            .into_par_iter()
            .filter_map(|dir| {
                let fingerprint = format!("{}{}", &theme.generation()[..16], files::fingerprint(&dir));
                (!self.is_current(&dir, &fingerprint)).then_some((dir, fingerprint))
            })
            .collect();
        let mut redraws = Vec::new();
        for (dir, fingerprint) in stale {
            let failed_need = self.runs.get(&dir).and_then(|known| known.summary.failed_need.clone());
            redraws.push(self.redraw(dir, fingerprint, failed_need));
        }
        let beside = self.compared(&mut redraws);
        let mut first_error = None;
        let with = With { theme: &theme, clock: &clock, beside: &beside };
        self.render_runs(redraws, &with, &mut changes, &mut built, &mut first_error);
        // What the others have come to may change what becomes of those that need them.
        let redraws = self.misjudged();
        self.render_runs(redraws, &with, &mut changes, &mut built, &mut first_error);
        let redraws = self.misnumbered();
        self.render_runs(redraws, &with, &mut changes, &mut built, &mut first_error);
        let is_scan = matches!(scope, Scope::All);
        let due = self.begin_workspace(&clock, &changes.experiments, is_scan);
        self.render_shared(&theme, &clock, &changes, is_scan, &mut built)?;
        if let Some(due) = due {
            self.render_workspace(&theme, &clock, due, &mut built)?;
        }
        built.runs = self.runs.len();
        first_error.map_or(Ok(built), Err)
    }

    /// A run to be read and rendered, going on from the rows that are known.
    fn redraw(&mut self, dir: RunDir, fingerprint: String, failed_need: Option<String>) -> Redraw {
        let known = self.runs.get_mut(&dir);
        let log_is_copied = known.as_ref().is_some_and(|known| {
            files::log_mark(&known.summary.fingerprint) == files::log_mark(&fingerprint)
                && self.site.root().join(run_folder(&dir.experiment(), &dir.name())).join("log.js").is_file()
        });
        let number = known.as_ref().map(|known| &known.summary);
        let number = number.filter(|run| numbers::recorded(run) != run.number).map(|run| run.number);
        let metrics = known.and_then(|known| known.metrics.take()).unwrap_or_default();
        Redraw { dir, metrics, fingerprint, failed_need, number, log_is_copied }
    }

    /// Runs that are shown as waiting and are skipped, or the other way round.
    fn misjudged(&mut self) -> Vec<Redraw> {
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
        misjudged.into_iter().map(|(dir, mark, failed)| self.redraw(dir, mark, failed)).collect()
    }

    fn render_runs(
        &mut self,
        redraws: Vec<Redraw>,
        with: &With,
        changes: &mut Changes,
        built: &mut Built,
        first_error: &mut Option<ReportError>,
    ) {
        memory::keep_for(redraws.len());
        let results: Vec<Result<Fresh, ReportError>> =
            redraws.into_par_iter().map(|redraw| self.render_run(redraw, with)).collect();
        for result in results {
            match result {
                Ok(fresh) => {
                    let known = self.runs.get(&fresh.dir);
                    changes.note(known.map(|known| &known.summary), &fresh.known.summary);
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

    /// Leaves out runs whose directory is gone.
    fn forget_missing(&mut self, scope: &Scope) -> Changes {
        let is_gone = |dir: &&RunDir| match scope {
            Scope::All => !dir.path().is_dir(),
            Scope::Runs(runs) => runs.contains(dir) && !dir.path().is_dir(),
        };
        let gone: Vec<RunDir> = self.runs.keys().filter(is_gone).cloned().collect();
        for dir in &gone {
            self.runs.remove(dir);
            self.site.forget(&dir.experiment(), &dir.name());
        }
        Changes {
            is_more_than_rows: !gone.is_empty(),
            experiments: gone.iter().map(RunDir::experiment).collect(),
        }
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

    fn render_run(&self, redraw: Redraw, with: &With) -> Result<Fresh, ReportError> {
        let With { theme, clock, beside } = with;
        let Redraw { dir, metrics, fingerprint, failed_need, number, log_is_copied } = redraw;
        let mut files = RunFiles::read(&dir, &self.host, clock.now, metrics);
        if let (Status::Waiting { .. }, Some(need)) = (&files.seen.status, failed_need) {
            files.seen.status = needs::without(need, &files.seen);
        }
        let mut summary = RunSummary::of(&files, fingerprint);
        if let Some(number) = number {
            files.warnings.push(numbers::sentence(summary.number, number));
            summary.number = number;
        }
        let sibling = beside.of(&summary);
        summary.beside = beside.name(&summary);
        let folder = run_folder(&summary.experiment, &summary.run);
        let is_open = matches!(summary.state.class.as_str(), "running" | "waiting");
        let title = format!("{} · {}", summary.label, summary.experiment);
        let frame = self.frame(theme, title, "../../../", "runs", is_open, clock);
        let page = run_page::page(&files, &summary, sibling, frame, clock);
        let mut written = attached::publish(&self.site, &files, &folder, log_is_copied)?;
        // Before the page: whoever goes from it to others that show the run finds it there.
        let below = run_data(&summary.experiment, &summary.run);
        if self.site.publish_data(&below, &compared::of_run(&summary, &page))? {
            written.push(below);
        }
        run_page::further::publish(&self.site, &folder, &files, &summary, &mut written)?;
        self.publish_page(theme, "run.html", &folder, &page, &mut written)?;
        remember(&self.site, &summary)?;
        let metrics = summary.is_active().then_some(files.metrics);
        Ok(Fresh { dir, known: Known { summary, metrics }, written })
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
        let (workspace, host) = self.named.clone().unwrap_or_else(|| (name, self.host.clone()));
        Frame {
            title,
            root: root.to_owned(),
            here,
            workspace,
            host,
            workspace_id: id.to_hex()[..16].to_owned(),
            logo: theme.logo().path,
            warning: theme.warning().map(str::to_owned),
            active,
            built: clock.now(),
        }
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
