//! The queue: what experiment files ask for becomes run directories, and what people ask of a run a
//! line in its requests. There is no other record of what waits.
//!
//! [`check()`] reads files and looks at their data; [`plan`] says what would be queued; [`submit`] queues it.

pub mod asked;
pub mod check;
pub mod confined;
pub mod environment;
pub mod select;
pub mod size;
pub mod stages;
pub mod survey;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use crate::data_files::{self, DataFacts};
use crate::experiment::{Alert, Experiment, PlannedRun, Rejected, identity};
use crate::run_dir::deleted::{self, Deleted};
use crate::run_dir::records::{Ask, Environment, Fingerprint, RunRecord};
use crate::run_dir::write::{self, Durability};
use crate::run_dir::{PROTOCOL, RunDir, Workspace, read, requests, scan};
use crate::workspace_settings::WorkspaceSettings;

pub use check::{Checked, check, examine};

/// Why something could not be queued.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    #[error(transparent)]
    Rejected(#[from] Rejected),
    #[error(
        "{run}: {file} has changed since this run was queued (--again queues the runs once more, on the data as it is now)"
    )]
    DataChanged { run: String, file: String },
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A run as it would be, or already is, in the queue.
#[derive(Debug)]
pub struct Entry {
    pub dir: RunDir,
    pub record: RunRecord,
    pub data: Vec<Fingerprint>,
    /// Whether the directory is there already, or was until a rule deleted it.
    pub is_known: bool,
    /// A rule deleted it when it had finished: its directory is gone.
    pub deleted: Option<Deleted>,
    /// Whether it is there with other alerts or budgets than its file asks for now, which stay.
    pub keeps_rules: bool,
}

/// Whether runs that are there already are queued once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    No,
    Yes,
}

/// What queueing `checked` would add to the workspace, and what is there already. Nothing is written.
///
/// # Errors
/// A need that cannot be met; data that changed under a run that is there, unless it is queued again.
pub fn plan(workspace: &Workspace, checked: &[Checked], again: Again) -> Result<Vec<Entry>, QueueError> {
    let now = scan::now();
    let of_workspace = WorkspaceSettings::read(workspace)?.alerts;
    stages::check(workspace, checked, &of_workspace)?;
    let mut entries = Vec::new();
    for Checked { experiment, facts } in checked {
        let known = known_runs(workspace, &experiment.name);
        let gone = deleted::known(workspace, &experiment.name);
        let numbers = known.values().map(|record| record.number).chain(gone.iter().map(|gone| gone.number));
        let mut number = numbers.max().map_or(0, |last| last + 1);
        // The newest, where a run was queued again: that is the one on the data as it is now.
        let mut by_age: Vec<&RunRecord> = known.values().collect();
        by_age.sort_by_key(|record| record.number);
        let newest: BTreeMap<&str, &RunRecord> =
            by_age.into_iter().map(|record| (record.hash.as_str(), record)).collect();
        let mut names: BTreeSet<String> = BTreeSet::new();
        for (run, facts) in experiment.runs.iter().zip(facts) {
            let alerts = alerts(experiment, &of_workspace, run);
            let hash = identity::hash(&run.settings, &alerts);
            let mut name = identity::run_name(&run.varied, run.settings.train.seed, &hash);
            // Two points of a sweep with equal settings are one run.
            if !names.insert(name.clone()) {
                continue;
            }
            if let (Some(record), Again::No) = (newest.get(hash.as_str()).copied(), again) {
                let dir = workspace.run(&experiment.name, &record.run);
                let before = read::json_if_there::<Environment>(&dir.env_json()).ok().flatten();
                let before = before.map(|environment| environment.data).unwrap_or_default();
                refuse_changed_data(&dir, &before, &facts.fingerprints)?;
                let keeps_rules = record.budgets != experiment.budgets
                    || (record.alerts != alerts && !dir.result().is_file());
                entries.push(Entry {
                    dir,
                    record: record.clone(),
                    data: facts.fingerprints.clone(),
                    is_known: true,
                    deleted: None,
                    keeps_rules,
                });
                continue;
            }
            // The newest, as above.
            if let (Some(gone), Again::No) = (gone.iter().rfind(|gone| gone.hash == hash), again) {
                let dir = workspace.run(&experiment.name, &gone.run);
                refuse_changed_data(&dir, &gone.data, &facts.fingerprints)?;
                let identity = Identity { name: gone.run.clone(), hash, number: gone.number };
                entries.push(Entry {
                    dir,
                    record: RunRecord { alerts, ..record(workspace, experiment, run, facts, identity, now) },
                    data: facts.fingerprints.clone(),
                    is_known: true,
                    deleted: Some(gone.clone()),
                    keeps_rules: false,
                });
                continue;
            }
            if again == Again::Yes {
                name = free_name(workspace, &experiment.name, &name);
            }
            let dir = workspace.run(&experiment.name, &name);
            let identity = Identity { name, hash, number };
            let record = RunRecord { alerts, ..record(workspace, experiment, run, facts, identity, now) };
            number += 1;
            entries.push(Entry {
                dir,
                record,
                data: facts.fingerprints.clone(),
                is_known: false,
                deleted: None,
                keeps_rules: false,
            });
        }
    }
    Ok(entries)
}

/// The rules of a run: those of its file, and those of the workspace that watch what it gives.
fn alerts(experiment: &Experiment, of_workspace: &[Alert], run: &PlannedRun) -> Vec<Alert> {
    let fitting = of_workspace.iter().filter(|alert| alert.applies_to(&run.settings));
    experiment.alerts.iter().chain(fitting).cloned().collect()
}

struct Identity {
    name: String,
    hash: String,
    number: u32,
}

fn record(
    workspace: &Workspace,
    experiment: &Experiment,
    run: &PlannedRun,
    facts: &DataFacts,
    identity: Identity,
    now: f64,
) -> RunRecord {
    RunRecord {
        imported: None,
        protocol: PROTOCOL,
        experiment: experiment.name.clone(),
        run: identity.name,
        number: identity.number,
        hash: identity.hash,
        created: now,
        description: experiment.description.clone(),
        tags: experiment.tags.clone(),
        notes: experiment.notes.clone(),
        base: base_of(workspace, &experiment.base()),
        steps: run.settings.total_steps(facts.examples_per_epoch),
        steps_per_epoch: run.settings.steps_per_epoch(facts.examples_per_epoch),
        settings: run.settings.clone(),
        varied: run.varied.clone(),
        log_uniform: run.log_uniform.clone(),
        origins: run.origins.clone(),
        queue: stages::queue(&experiment.queue, &run.settings),
        alerts: Vec::new(),
        budgets: experiment.budgets.clone(),
    }
}

/// The folder of the experiment file, relative to the workspace where it lies inside, so that a
/// workspace that was copied elsewhere finds its data again.
fn base_of(workspace: &Workspace, base: &Path) -> String {
    let absolute =
        |path: &Path| fs::canonicalize(if path.as_os_str().is_empty() { Path::new(".") } else { path });
    let base = absolute(base).unwrap_or_else(|_| base.to_owned());
    let root = absolute(workspace.root()).unwrap_or_else(|_| workspace.root().to_owned());
    let relative = base.strip_prefix(&root).map(Path::to_owned).unwrap_or(base);
    relative.to_string_lossy().into_owned()
}

/// Readable runs of an experiment, by directory name.
fn known_runs(workspace: &Workspace, experiment: &str) -> BTreeMap<String, RunRecord> {
    scan::runs_of(workspace, experiment)
        .into_iter()
        .filter_map(|dir| Some((dir.name(), read::run_record(&dir).ok()?)))
        .collect()
}

fn refuse_changed_data(dir: &RunDir, before: &[Fingerprint], data: &[Fingerprint]) -> Result<(), QueueError> {
    let changed = before.iter().find(|before| {
        let now = data.iter().find(|now| now.path == before.path);
        now.is_none_or(|now| now.blake3 != before.blake3)
    });
    match changed {
        None => Ok(()),
        Some(file) => {
            let run = format!("{}/{}", dir.experiment(), dir.name());
            Err(QueueError::DataChanged { run, file: file.path.clone() })
        }
    }
}

fn free_name(workspace: &Workspace, experiment: &str, name: &str) -> String {
    let mut candidate = name.to_owned();
    let mut copy = 2;
    while workspace.run(experiment, &candidate).path().exists() {
        candidate = format!("{name}-{copy}");
        copy += 1;
    }
    candidate
}

/// Queues the entries that are not there yet; each appears whole, by a rename.
///
/// # Errors
/// The disk cannot be written to; what was queued until then stays queued.
pub fn submit(workspace: &Workspace, entries: &[Entry]) -> Result<(), QueueError> {
    if entries.iter().all(|entry| entry.is_known) {
        return Ok(());
    }
    let environment = environment::of_workspace(workspace);
    for entry in entries.iter().filter(|entry| !entry.is_known) {
        // Only a hint, which costs a reading of the data where it is missing.
        let base = workspace.root().join(&entry.record.base);
        let stamps =
            data_files::stamps(&entry.record.settings, &base, &data_files::unheard).unwrap_or_default();
        let environment = Environment { data: entry.data.clone(), stamps, ..environment.clone() };
        create(entry, &environment)?;
    }
    Ok(())
}

pub(crate) fn create(entry: &Entry, environment: &Environment) -> io::Result<()> {
    let experiment = entry.dir.path().parent().unwrap_or(Path::new("."));
    create_folder(experiment)?;
    let building = tempfile::Builder::new()
        .prefix(".new-")
        .tempdir_in(experiment)
        .map_err(|error| write::at(experiment, error))?;
    let new = RunDir::new(building.path());
    write::replace_json(&new.run_json(), &entry.record, Durability::Synced)?;
    write::replace_json(&new.env_json(), environment, Durability::Synced)?;
    let mode = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
    fs::set_permissions(building.path(), mode)?;
    match fs::rename(building.path(), entry.dir.path()) {
        Ok(()) => {
            // What was renamed away needs no clearing up.
            let _ = building.keep();
            write::sync_folder(experiment)
        }
        // Somebody queued the same run between our look and now: it is the same run.
        Err(_) if entry.dir.run_json().is_file() => Ok(()),
        Err(error) => Err(write::at(entry.dir.path(), error)),
    }
}

/// Makes a folder and those above it; each new one is entered in the folder above for good, or a run that
/// was synced could be lost with its experiment.
fn create_folder(folder: &Path) -> io::Result<()> {
    let Some(above) = folder.parent().filter(|_| !folder.is_dir()) else { return Ok(()) };
    create_folder(above)?;
    match fs::create_dir(folder) {
        Ok(()) => write::sync_folder(above),
        // Somebody else made it between our look and now.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(write::at(folder, error)),
    }
}

/// Appends what a person asks of a run, under the lock that all writers of the file share.
///
/// # Errors
/// The file cannot be written.
pub fn request(run: &RunDir, ask: Ask) -> io::Result<()> {
    requests::ask(run, who(), ask)
}

/// The user's name, as it stands in requests.
pub fn who() -> String {
    std::env::var("USER").unwrap_or_else(|_| "somebody".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_dir::status::Status;
    use std::path::PathBuf;

    const TEXT: &str = "[data]\nkind = \"text\"\nfiles = [\"a.txt\"]\n[model]\nkind = \"gpt\"\ncontext = 8\n";

    struct Fixture {
        folder: tempfile::TempDir,
    }

    impl Fixture {
        fn new(experiment: &str) -> Fixture {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir(folder.path().join("experiments")).unwrap();
            fs::write(folder.path().join("experiments/a.txt"), "to be or not to be, ".repeat(40)).unwrap();
            let fixture = Fixture { folder };
            fixture.write(experiment);
            fixture
        }

        fn write(&self, experiment: &str) {
            fs::write(self.file(), experiment).unwrap();
        }

        fn file(&self) -> PathBuf {
            self.folder.path().join("experiments/x.toml")
        }

        fn workspace(&self) -> Workspace {
            Workspace::new(self.folder.path())
        }

        fn queue(&self, again: Again) -> Result<Vec<Entry>, QueueError> {
            let checked = check(&[self.file()], &[])?;
            let entries = plan(&self.workspace(), &checked, again)?;
            submit(&self.workspace(), &entries)?;
            Ok(entries)
        }
    }

    #[test]
    fn queueing_twice_adds_nothing_and_a_grown_sweep_only_what_is_new() {
        let fixture = Fixture::new(&format!("{TEXT}[sweep.values]\n\"model.layers\" = [1, 2]\n"));
        assert_eq!(fixture.queue(Again::No).unwrap().len(), 2);
        assert!(fixture.queue(Again::No).unwrap().iter().all(|entry| entry.is_known));
        fixture.write(&format!("{TEXT}[sweep.values]\n\"model.layers\" = [4, 1, 2, 3]\n"));
        let entries = fixture.queue(Again::No).unwrap();
        let new: Vec<(u32, bool)> =
            entries.iter().map(|entry| (entry.record.number, entry.is_known)).collect();
        assert_eq!(new, [(2, false), (0, true), (1, true), (3, false)]);
        let runs = scan::runs(&fixture.workspace());
        assert_eq!(runs.len(), 4);
        for run in runs {
            assert!(matches!(scan::look(&run, "here", 0.0).status, Status::Waiting { .. }));
        }
    }

    #[test]
    fn changed_data_is_named_and_needs_a_word() {
        let fixture = Fixture::new(TEXT);
        fixture.queue(Again::No).unwrap();
        fs::write(fixture.folder.path().join("experiments/a.txt"), "something else ".repeat(60)).unwrap();
        let error = fixture.queue(Again::No).unwrap_err().to_string();
        assert!(error.contains("a.txt has changed") && error.contains("--again"), "{error}");
        let entries = fixture.queue(Again::Yes).unwrap();
        assert!(entries[0].record.run.ends_with("-2"), "{}", entries[0].record.run);
        let entries = fixture.queue(Again::No).unwrap();
        assert!(entries[0].is_known && entries[0].record.run.ends_with("-2"), "the newest goes on");
    }

    #[test]
    fn nothing_is_queued_if_one_file_is_wrong() {
        let fixture = Fixture::new(TEXT);
        let other = fixture.folder.path().join("experiments/y.toml");
        fs::write(&other, TEXT.replace("context", "contxt")).unwrap();
        let error = check(&[fixture.file(), other], &[]).unwrap_err().to_string();
        assert!(error.contains("y.toml:6:1") && error.contains("did you mean `context`?"), "{error}");
    }

    #[test]
    fn two_files_of_one_name_are_refused() {
        let fixture = Fixture::new(TEXT);
        fs::create_dir(fixture.folder.path().join("more")).unwrap();
        let other = fixture.folder.path().join("more/x.toml");
        fs::write(&other, TEXT.replace("a.txt", "../experiments/a.txt")).unwrap();
        let error = check(&[fixture.file(), other], &[]).unwrap_err().to_string();
        assert!(error.contains("x.toml: has the name of "), "{error}");
    }

    #[test]
    fn what_the_data_cannot_give_is_refused_at_its_place() {
        for (change, with, complaint) in [
            ("a.txt", "missing.txt", "x.toml:3:9"),
            ("context = 8", "context = 8000", "x.toml:6:11"),
            ("context = 8", "context = 8\n[sample]\nprompts = [\"Zürich\"]", "x.toml:8:11"),
        ] {
            let fixture = Fixture::new(&TEXT.replace(change, with));
            let error = fixture.queue(Again::No).unwrap_err().to_string();
            assert!(error.contains(complaint), "{with}: {error}");
            assert!(!fixture.workspace().runs().exists());
        }
    }

    #[test]
    fn a_queued_run_keeps_its_settings_and_knows_its_length() {
        let fixture = Fixture::new(&format!("{TEXT}[train]\nepochs = 2\nbatch_size = 10\n"));
        let entries = fixture.queue(Again::No).unwrap();
        let record = read::run_record(&entries[0].dir).unwrap();
        assert_eq!(record, entries[0].record);
        // 800 characters, nine tenths of them for training, in windows of 8, ten of them a step.
        assert_eq!((record.steps_per_epoch, record.steps), (9, 18));
        assert_eq!(record.base, "experiments");
        let environment: Environment = read::json(&entries[0].dir.env_json()).unwrap();
        assert_eq!(environment.data[0].path, "a.txt");
    }
}
