//! When the pages about the whole workspace are made: models, system and pipelines. Each is made only from
//! what it shows, and only when that changed: a row of one run touches none of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::index_page::Work;
use super::say::Clock;
use super::summary::RunSummary;
use super::system_page::disk::{self, DiskUse};
use super::system_page::{BatchLink, Machine};
use super::theme::Theme;
use super::{Built, Report, ReportError, models_page, newest_batch, pipelines_page, system_page};
use crate::run_dir::metrics::Metrics;
use crate::run_dir::write::{Durability, at, replace};
use crate::run_dir::{BatchDir, read, scan};

/// What is kept from one build to the next.
#[derive(Default)]
pub struct WorkspacePages {
    /// What each page was last made from, by its name; written down, so that another build of the same is
    /// none.
    marks: BTreeMap<String, String>,
    is_read: bool,
    /// Whether a run changed since the pages were last looked at.
    is_stale: bool,
    /// Whether a run changed since the disk was looked at.
    has_changed: bool,
    looked: Option<Instant>,
    /// The table of the newest batch, read as far as it had grown.
    table: Option<(String, Metrics)>,
    disk: Option<DiskUse>,
    measuring: Option<JoinHandle<DiskUse>>,
}

/// While runs are at work, the pages may lag behind by so long.
const LAG: Duration = Duration::from_secs(10);
/// Batches that have a page of their machine.
const BATCHES: usize = 12;

/// That it is time to look at those pages.
pub(super) struct Due {
    is_first: bool,
}

impl Report {
    /// Whether it is time for those pages. The disk is looked at meanwhile, where that is due as well.
    pub(super) fn begin_workspace(
        &mut self,
        clock: &Clock,
        changed: &BTreeSet<String>,
        is_scan: bool,
    ) -> Option<Due> {
        let is_first = self.remember_marks();
        self.pages.is_stale |= !changed.is_empty();
        self.pages.has_changed |= !changed.is_empty();
        let is_due = is_first || self.pages.looked.is_none_or(|looked| looked.elapsed() > LAG);
        if !(is_scan && is_due) {
            return None;
        }
        self.pages.looked = Some(Instant::now());
        let mut pages = std::mem::take(&mut self.pages);
        pages.begin_look(self, clock.now);
        self.pages = pages;
        Some(Due { is_first })
    }

    /// Makes those pages that show something new.
    pub(super) fn render_workspace(
        &mut self,
        theme: &Theme,
        clock: &Clock,
        due: Due,
        built: &mut Built,
    ) -> Result<(), ReportError> {
        let mut pages = std::mem::take(&mut self.pages);
        pages.end_look(self, due.is_first);
        let before = pages.marks.clone();
        let made = self.render_changed(&mut pages, theme, clock, &mut built.written);
        if pages.marks != before {
            let bytes = serde_json::to_vec(&pages.marks).unwrap_or_default();
            let file = self.state_file(".pages");
            if let Some(folder) = file.parent() {
                fs::create_dir_all(folder).map_err(|error| at(folder, error))?;
            }
            replace(&file, &bytes, Durability::Rebuildable)?;
        }
        self.pages = pages;
        made
    }

    /// Reads what earlier builds left; whether this is the first build.
    fn remember_marks(&mut self) -> bool {
        if self.pages.is_read {
            return false;
        }
        self.pages.is_read = true;
        self.pages.is_stale = true;
        self.pages.disk = read::json_if_there(&self.state_file(".disk")).unwrap_or_default();
        // Pages that a person asks to have anew are made anew.
        if !self.shared.is_empty() {
            self.pages.marks =
                read::json_if_there(&self.state_file(".pages")).ok().flatten().unwrap_or_default();
        }
        true
    }

    fn state_file(&self, name: &str) -> std::path::PathBuf {
        self.site.root().join(".state").join(name)
    }

    fn render_changed(
        &self,
        pages: &mut WorkspacePages,
        theme: &Theme,
        clock: &Clock,
        written: &mut Vec<String>,
    ) -> Result<(), ReportError> {
        let all: Vec<&RunSummary> = self.runs.values().map(|known| &known.summary).collect();
        let is_open = all.iter().any(|run| run.is_active());
        let frame =
            |title: &str, root: &str, here| self.frame(theme, title.to_owned(), root, here, is_open, clock);
        if pages.is_stale {
            let shown = |run: &&RunSummary| {
                let at_step = run.best.map(|best| (best.step, best.value));
                let told = (run.key(), &run.label, &run.state, at_step, &run.description, &run.stock);
                serde_json::to_vec(&told).unwrap_or_default()
            };
            let with_models = all.iter().filter(|run| !run.stock.checkpoints.is_empty());
            if self.is_new(pages, theme, "models", with_models.map(shown)) {
                let page = models_page::page(&all, frame("Models", "", "models"), clock);
                self.publish_files(theme, "models.html", "models", &page, written)?;
            }
            let are_there = pipelines_page::are_there(all.iter().copied());
            let flowing = all.iter().filter(|_| are_there).map(|run| {
                serde_json::to_vec(&(run.key(), &run.label, &run.state, &run.stock.takes)).unwrap_or_default()
            });
            if self.is_new(pages, theme, "pipelines", flowing) {
                let page = pipelines_page::page(&all, frame("Pipelines", "", "pipelines"));
                self.publish_files(theme, "pipelines.html", "pipelines", &page, written)?;
            }
            // One file for all pages shows or hides the entry of the navigation: pages that are made long
            // since follow it too.
            let hidden = if are_there { "" } else { "nav a[data-page=pipelines] { display: none }\n" };
            if self.site.publish("assets/pages.css", hidden.as_bytes())? {
                written.push("assets/pages.css".to_owned());
            }
            pages.is_stale = false;
        }
        self.render_system(pages, theme, clock, &all, written)
    }

    /// The machine over the newest batch, and over those before it, whose pages are made once.
    fn render_system(
        &self,
        pages: &mut WorkspacePages,
        theme: &Theme,
        clock: &Clock,
        all: &[&RunSummary],
        written: &mut Vec<String>,
    ) -> Result<(), ReportError> {
        let is_measured = |batch: &BatchDir| fs::metadata(batch.telemetry()).is_ok_and(|file| file.len() > 0);
        let mut batches: Vec<BatchDir> = scan::batches(&self.workspace).into_iter().rev().collect();
        // A batch without any measurement is shown only where no other is.
        if batches.iter().any(is_measured) {
            batches.retain(is_measured);
        }
        batches.truncate(BATCHES);
        let names: Vec<String> = batches.iter().map(BatchDir::name).collect();
        for (place, batch) in batches.iter().enumerate() {
            let (stem, root) = match place {
                0 => ("system".to_owned(), ""),
                _ => (format!("system/{}", names[place]), "../"),
            };
            let disk = pages.disk.clone().filter(|_| place == 0);
            let mut unread = Vec::new();
            let marks = [of_machine(batch, all), told(&names), told(&disk)];
            if !self.is_new(pages, theme, &stem, marks.into_iter()) {
                continue;
            }
            let Some(work) = self.work_of(batch, &mut unread) else {
                let frame = self.frame(theme, "System".to_owned(), root, "system", false, clock);
                let links = links(&names, place, clock);
                let page = system_page::unread(links, disk.as_ref(), unread, frame, clock);
                self.publish_files(theme, "system.html", &stem, &page, written)?;
                continue;
            };
            let table = pages.table_of(batch, place == 0);
            let csv = format!("system/{}.csv", names[place]);
            if self.site.follow(&batch.telemetry(), &csv)? {
                written.push(csv.clone());
            }
            let csv = Some(super::site::address_of(
                csv.strip_prefix("system/").filter(|_| place > 0).unwrap_or(&csv),
            ));
            let machine = Machine { work: &work, table, csv };
            let frame = self.frame(theme, "System".to_owned(), root, "system", work.is_running, clock);
            let page = system_page::page(
                all,
                Some(&machine),
                links(&names, place, clock),
                disk.as_ref(),
                frame,
                clock,
            );
            self.publish_files(theme, "system.html", &stem, &page, written)?;
        }
        if batches.is_empty()
            && self.is_new(pages, theme, "system", [told(&pages.disk.clone()), told(&all.len())].into_iter())
        {
            let frame = self.frame(theme, "System".to_owned(), "", "system", false, clock);
            let page = system_page::page(all, None, Vec::new(), pages.disk.as_ref(), frame, clock);
            self.publish_files(theme, "system.html", "system", &page, written)?;
        }
        Ok(())
    }

    fn work_of(&self, batch: &BatchDir, unread: &mut Vec<String>) -> Option<Work> {
        let record = newest_batch::record(batch, unread)?;
        let newest = self.newest_batch().work.filter(|work| work.name == batch.name());
        Some(newest.unwrap_or(Work { name: batch.name(), batch: record, queue: None, is_running: false }))
    }

    /// Whether a page shows something else than when it was last made, and notes what it will show.
    fn is_new(
        &self,
        pages: &mut WorkspacePages,
        theme: &Theme,
        stem: &str,
        parts: impl Iterator<Item = Vec<u8>>,
    ) -> bool {
        let mut hasher = blake3::Hasher::new();
        hasher.update(theme.generation().as_bytes());
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(&part);
        }
        let mark = hasher.finalize().to_hex()[..32].to_owned();
        let is_there = self.site.root().join(format!("{stem}.html")).is_file();
        let before = pages.marks.insert(stem.to_owned(), mark.clone());
        !is_there || before != Some(mark)
    }
}

/// What a page of the machine shows of a batch: its files, and when its runs were at work.
fn of_machine(batch: &BatchDir, all: &[&RunSummary]) -> Vec<u8> {
    let mark = |path: &Path| fs::metadata(path).ok().map(|file| (file.len(), file.modified().ok()));
    let name = batch.name();
    let runs = all.iter().filter(|run| run.attempts.iter().any(|one| one.batch.as_deref() == Some(&name)));
    let runs: Vec<_> = runs.map(|run| (run.key(), &run.label, run.is_active(), &run.attempts)).collect();
    told(&(runs, format!("{:?}", [mark(&batch.telemetry()), mark(&batch.batch_json())])))
}

fn told(what: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(what).unwrap_or_default()
}

/// The way from one batch's page to the others.
fn links(names: &[String], here: usize, clock: &Clock) -> Vec<BatchLink> {
    let link = |(place, name): (usize, &String)| {
        let address = super::site::address(name);
        let href = match (place, here) {
            (0, 0) => "system.html".to_owned(),
            (0, _) => "../system.html".to_owned(),
            (_, 0) => format!("system/{address}.html"),
            _ => format!("{address}.html"),
        };
        BatchLink { name: began(name, clock).unwrap_or_else(|| name.clone()), href, is_here: place == here }
    };
    names.iter().enumerate().map(link).collect()
}

/// When a batch began, as its name says: `20261119T211000-…`, in UTC.
fn began(name: &str, clock: &Clock) -> Option<String> {
    let begin = name.split('-').next()?;
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%S", begin).ok()?;
    let seconds = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second();
    Some(clock.moment(seconds as f64).text)
}

impl WorkspacePages {
    /// The table of a batch; that of the newest is kept and read on.
    fn table_of(&mut self, batch: &BatchDir, is_newest: bool) -> &Metrics {
        let name = batch.name();
        let kept = self.table.take().filter(|(known, _)| is_newest && *known == name);
        let mut table = kept.map(|(_, table)| table).unwrap_or_default();
        // What cannot be read is shown as nothing measured.
        let _ = table.read_on(&batch.telemetry());
        &self.table.insert((name, table)).1
    }

    /// Has the disk looked at where it is time, beside the build.
    fn begin_look(&mut self, report: &Report, now: f64) {
        let at_rest = report.runs.values().map(|known| &known.summary).filter(|run| !run.is_active());
        let rested = at_rest.map(RunSummary::latest).filter(|time| *time <= now).fold(0.0, f64::max);
        if self.measuring.is_none() && disk::is_due(self.disk.as_ref(), self.has_changed, rested, now) {
            let workspace = report.workspace.clone();
            self.has_changed = false;
            let look = move || disk::measure(&workspace);
            self.measuring = std::thread::Builder::new().name("disk".to_owned()).spawn(look).ok();
        }
    }

    /// Takes what the look has found; only the first look is waited for.
    fn end_look(&mut self, report: &Report, is_first: bool) {
        let is_awaited = |look: &JoinHandle<DiskUse>| is_first || look.is_finished();
        if let Some(look) = self.measuring.take_if(|look| is_awaited(look))
            && let Ok(used) = look.join()
        {
            let bytes = serde_json::to_vec(&used).unwrap_or_default();
            // Not written down, it is measured again by the next build.
            let _ = replace(&report.state_file(".disk"), &bytes, Durability::Rebuildable);
            self.disk = Some(used);
        }
    }
}
