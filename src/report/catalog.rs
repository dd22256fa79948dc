//! What programs may learn of runs: a list of what the report remembers, kept in memory and brought up to
//! date by the marks of its files alone, and one run read afresh. Curves are left on disk.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;
use serde::Deserialize;
use serde_json::Value;

pub use super::site::address_of;
use super::site::{Site, experiment_folder, run_folder};
use super::summary::{AttemptSpan, BestValue, Failure, State};
use crate::run_dir::alerts::Told;
use crate::run_dir::budgets::Verdict;
use crate::run_dir::number::Number;
use crate::run_dir::{Workspace, read};

/// A run in a list.
#[derive(Clone, Debug, Deserialize)]
pub struct Listed {
    pub experiment: String,
    pub run: String,
    pub label: String,
    pub number: u16,
    pub description: String,
    pub tags: Vec<String>,
    /// Unix seconds.
    pub created: f64,
    pub state: State,
    pub steps: u64,
    pub step: u64,
    pub remaining_seconds: Option<f64>,
    pub elapsed_seconds: Option<f64>,
    pub seed: Option<u64>,
    pub varied: Vec<(String, Value)>,
    pub metric: String,
    pub best: Option<BestValue>,
    pub rate: Option<(String, f64)>,
    #[serde(default)]
    pub energy_joules: Option<f64>,
}

/// The rest that is told of one run.
#[derive(Clone, Debug, Deserialize)]
pub struct Facts {
    #[serde(flatten)]
    pub listed: Listed,
    pub needs: Vec<String>,
    pub last: BTreeMap<String, Number>,
    pub attempts: Vec<AttemptSpan>,
    pub failure: Option<Failure>,
    pub alerts: Vec<Told>,
    pub budgets: Vec<Verdict>,
    #[serde(default)]
    pub notes: Vec<String>,
    #[serde(default)]
    pub settings: BTreeMap<String, Value>,
}

/// Experiment and run, as they are sorted.
pub type Key = (String, String);

/// Runs by their names. Sharing it costs nothing.
pub type Runs = Arc<BTreeMap<Key, Arc<Listed>>>;

/// The list, and how to bring it up to date.
#[derive(Debug)]
pub struct Catalog {
    site: Site,
    marks: BTreeMap<Key, Mark>,
    runs: Runs,
}

/// A remembered run's file: another inode after each change, as files are replaced whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    inode: u64,
    bytes: u64,
    time: (i64, i64),
}

impl Catalog {
    pub fn new(workspace: &Workspace) -> Catalog {
        Catalog { site: Site::new(workspace), marks: BTreeMap::new(), runs: Runs::default() }
    }

    /// The runs as the report last had them: reads those that changed since the last call.
    pub fn refresh(&mut self) -> Runs {
        let marks: BTreeMap<Key, Mark> = self
            .site
            .remembered_runs()
            .into_par_iter()
            .filter_map(|key| Some((mark(&self.site.remembered(&key.0, &key.1))?, key)))
            .map(|(mark, key)| (key, mark))
            .collect();
        if marks == self.marks {
            return self.runs.clone();
        }
        let changed: Vec<(&Key, &Mark)> =
            marks.iter().filter(|(key, mark)| self.marks.get(*key) != Some(mark)).collect();
        let read: Vec<(Key, Option<Listed>)> =
            changed.into_par_iter().map(|(key, _)| (key.clone(), remembered(&self.site, key))).collect();
        let mut runs: BTreeMap<Key, Arc<Listed>> = BTreeMap::clone(&self.runs);
        runs.retain(|key, _| marks.contains_key(key));
        for (key, listed) in read {
            match listed {
                Some(listed) => runs.insert(key, Arc::new(listed)),
                // Of an older version, or damaged: the next build makes it anew.
                None => runs.remove(&key),
            };
        }
        self.marks = marks;
        self.runs = Arc::new(runs);
        self.runs.clone()
    }
}

/// All that is told of a run that the list has. None if it went meanwhile.
pub fn facts(workspace: &Workspace, listed: &Listed) -> Option<Facts> {
    remembered(&Site::new(workspace), &(listed.experiment.clone(), listed.run.clone()))
}

/// The report's copy of a table of a run.
pub fn table(workspace: &Workspace, listed: &Listed, name: &str) -> PathBuf {
    workspace.reports().join(run_folder(&listed.experiment, &listed.run)).join(name)
}

/// Where the report shows a run, below `reports/`.
pub fn run_page(listed: &Listed) -> String {
    format!("{}/", run_folder(&listed.experiment, &listed.run))
}

/// Where the report shows an experiment, below `reports/`.
pub fn experiment_page(experiment: &str) -> String {
    format!("{}/", experiment_folder(experiment))
}

/// Whether there is a report at all.
pub fn is_built(workspace: &Workspace) -> bool {
    workspace.reports().join("index.html").is_file()
}

fn remembered<T: serde::de::DeserializeOwned>(site: &Site, (experiment, run): &Key) -> Option<T> {
    let bytes = read::bytes(&site.remembered(experiment, run)).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn mark(path: &Path) -> Option<Mark> {
    let file = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file)?;
    Some(Mark { inode: file.ino(), bytes: file.len(), time: (file.mtime(), file.mtime_nsec()) })
}

impl Listed {
    pub fn is_live(&self) -> bool {
        self.state.class == "running"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_dir::scan::sample_record;
    use crate::run_dir::write::{Durability, replace_json};

    #[test]
    fn what_the_report_remembers_can_be_listed_and_follows_what_changes() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::new(folder.path());
        let mut catalog = Catalog::new(&workspace);
        assert!(catalog.refresh().is_empty() && !is_built(&workspace));
        for run in ["a", "b"] {
            let record = sample_record("x", run);
            std::fs::create_dir_all(workspace.run("x", run).path()).unwrap();
            replace_json(&workspace.run("x", run).run_json(), &record, Durability::Rebuildable).unwrap();
        }
        super::super::build(folder.path()).unwrap();
        let runs = catalog.refresh();
        let names: Vec<&str> = runs.values().map(|run| run.run.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        let listed = &runs[&("x".to_owned(), "a".to_owned())];
        assert_eq!((listed.steps, listed.state.word.as_str()), (100, "waiting"));
        assert!(Arc::ptr_eq(&runs, &catalog.refresh()), "nothing changed, nothing is read");
        assert!(facts(&workspace, listed).unwrap().settings.contains_key("train.seed"));

        std::fs::write(Site::new(&workspace).remembered("x", "a"), "{}").unwrap();
        let names: Vec<Key> = catalog.refresh().keys().cloned().collect();
        assert_eq!(names, [("x".to_owned(), "b".to_owned())], "what cannot be read is left out");
        assert!(facts(&workspace, listed).is_none());
    }
}
