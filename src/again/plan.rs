//! What queueing the runs of an exported file would do here, everything that speaks against it, and doing it.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::data::{Found, Missing, Search, link};
use super::paths;
use crate::data_files;
use crate::queue::environment;
use crate::queue::survey::Surveyor;
use crate::queue::{self, Entry};
use crate::run_dir::needs::means;
use crate::run_dir::records::{Environment, Fingerprint, RunRecord, SentFrom};
use crate::run_dir::sent::{self, Sent, SentError, SentRun};
use crate::run_dir::{RunDir, Status, Workspace, checkpoint, deleted, read, reason, scan};
use crate::say;

/// Why the runs of a file are not queued. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum AgainError {
    #[error(transparent)]
    Sent(#[from] SentError),
    #[error("{0}")]
    MissingData(String),
    #[error(
        "{run} is here already and is another run: its identity is {here}, the file's {sent} (work in another workspace: -C DIR)"
    )]
    Another { run: String, here: String, sent: String },
    #[error("{run} is here already, on other data: {file} (work in another workspace: -C DIR)")]
    OtherData { run: String, file: String },
    #[error("{run} needs {need}, which is neither in the file nor here (export that run with it)")]
    Need { run: String, need: String },
    #[error("{run}: {reason}")]
    Unfit { run: String, reason: String },
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A run of the file, and what it would be here.
#[derive(Debug)]
pub struct Planned {
    pub sent: SentRun,
    /// The run that is here, or would be.
    pub dir: RunDir,
    pub is_known: bool,
    /// How far the run that is here has come: where it stands, and the step of its newest checkpoint.
    pub standing: Option<(Status, u64)>,
    pub data: Found,
    /// What was sent as an absolute path or with less than it had.
    pub remarks: Vec<String>,
}

/// All that a file asks for.
#[derive(Debug)]
pub struct Plan {
    pub runs: Vec<Planned>,
    pub from: SentFrom,
    /// Runs that nobody can train again.
    pub left_out: Vec<String>,
}

impl Planned {
    /// Steps that a batch trains of it; what failed is begun again only by one that retries. What was stopped or
    /// paused stays so.
    pub fn steps_to_train(&self, retries: bool) -> u64 {
        to_train(self.sent.record.steps, self.standing.as_ref(), retries)
    }

    pub fn name(&self) -> String {
        format!("{}/{}", self.dir.experiment(), self.dir.name())
    }
}

fn to_train(steps: u64, standing: Option<&(Status, u64)>, retries: bool) -> u64 {
    let Some((status, done)) = standing else { return steps };
    let is_left = match status {
        Status::Finished | Status::Stopped | Status::Paused | Status::Unreadable { .. } => true,
        Status::Failed { .. } | Status::Killed { .. } | Status::NeedFailed { .. } => !retries,
        Status::Running { .. } | Status::Waiting { .. } | Status::Skipped { .. } | Status::Lost => false,
    };
    if is_left { 0 } else { steps.saturating_sub(*done) }
}

/// What the runs of `file` would be in this workspace, with data from here or from below `folders`. Data that
/// are not found are so in the plan: see [`complete`].
///
/// # Errors
/// Something is wrong with the file, or with one of its runs here.
pub fn plan(workspace: &Workspace, file: &Path, folders: &[PathBuf]) -> Result<Plan, AgainError> {
    let Sent { runs, from, left_out } = sent::read(file)?;
    let mut search = Search::new(workspace, folders)?;
    let (host, now) = (scan::host(), scan::now());
    let mut planned = Vec::with_capacity(runs.len());
    for mut sent in runs {
        let mut remarks = plain_paths(&mut sent);
        let dir = workspace.run(&sent.record.experiment, &sent.record.run);
        let is_known = is_here(&dir, &sent)?;
        let data = match is_known {
            true => Found::InPlace { base: sent.record.base.clone() },
            false => search.find(&sent.record.settings, &sent.record.base, &sent.came.data),
        };
        if !is_known && let Some(gone) = deleted::of(std::slice::from_ref(&dir)).remove(&dir) {
            let on = reason::moment(gone.time);
            let name = dir.name();
            remarks.push(format!(
                "{name} was deleted here by a rule on {on} ({}): it is trained anew",
                gone.why
            ));
        }
        let standing = is_known.then(|| {
            let status = scan::look(&dir, &host, now).status;
            (status, checkpoint::steps(&dir).last().copied().unwrap_or(0))
        });
        planned.push(Planned { sent, dir, is_known, standing, data, remarks });
    }
    needs(workspace, &planned)?;
    Ok(Plan { runs: planned, from, left_out })
}

/// Paths that only another machine has become names.
fn plain_paths(sent: &mut SentRun) -> Vec<String> {
    let mut remarks = Vec::new();
    let named = paths::of_data(&mut sent.record.settings).into_iter();
    for path in named.chain(sent.came.data.iter_mut().map(|file| &mut file.path)) {
        let plain = paths::shortened(path);
        if plain != *path {
            remarks.push(format!("{path} is called {plain} here"));
            *path = plain;
        }
    }
    remarks.dedup();
    if sent.came.shortened {
        remarks
            .push("paths were left out when it was exported: its settings alone do not give its name".into());
    }
    remarks
}

/// Whether the run is here; another one in its place, or one on other data, is refused.
fn is_here(dir: &RunDir, sent: &SentRun) -> Result<bool, AgainError> {
    let run = format!("{}/{}", dir.experiment(), dir.name());
    if fs::symlink_metadata(dir.path()).is_err() {
        return Ok(false);
    }
    let short = |hash: &str| hash.chars().take(8).collect::<String>();
    let here = read::run_record(dir).map(|record| record.hash);
    let here = here.unwrap_or_else(|_| "unreadable".to_owned());
    if here != sent.record.hash {
        let (here, sent) = (short(&here), short(&sent.record.hash));
        return Err(AgainError::Another { run, here, sent });
    }
    let known = read::json_if_there::<Environment>(&dir.env_json()).ok().flatten().unwrap_or_default().data;
    let differs = |file: &&Fingerprint| !known.iter().any(|known| known.blake3 == file.blake3);
    match sent.came.data.iter().find(differs) {
        Some(file) => Err(AgainError::OtherData { run, file: file.path.clone() }),
        None => Ok(true),
    }
}

fn needs(workspace: &Workspace, planned: &[Planned]) -> Result<(), AgainError> {
    let here = scan::runs(workspace);
    for one in planned.iter().filter(|one| !one.is_known) {
        let record = &one.sent.record;
        let is_there = |need: &String| {
            let known = here.iter().map(|dir| (dir.experiment(), dir.name()));
            let sent = planned.iter().map(|one| (one.dir.experiment(), one.dir.name()));
            known.chain(sent).any(|(experiment, run)| means(need, &record.experiment, &experiment, &run))
        };
        if let Some(need) = record.queue.needs.iter().find(|need| !is_there(need)) {
            return Err(AgainError::Need { run: one.name(), need: need.clone() });
        }
    }
    Ok(())
}

/// Whether all data of the plan are here; `folders` is where they were looked for besides.
///
/// # Errors
/// Every file that is missing, each once, with what it is known by.
pub fn complete(plan: &Plan, folders: &[PathBuf]) -> Result<(), AgainError> {
    const MOST: usize = 20;
    let mut lines = BTreeSet::new();
    for one in &plan.runs {
        if let Found::Missing(files) = &one.data {
            let line = |file: &Fingerprint| {
                let long = say::bytes(file.bytes);
                format!("{}, {long} ({} bytes), blake3 {}", file.path, file.bytes, file.blake3)
            };
            let both = |missing: &Missing| match &missing.instead {
                None => line(&missing.wanted),
                Some(instead) => {
                    format!("{}\n    found other data: {}", line(&missing.wanted), line(instead))
                }
            };
            lines.extend(files.iter().map(both));
        }
    }
    if lines.is_empty() {
        return Ok(());
    }
    let mut said = format!(
        "{} not found by size and hash:",
        say::counted(lines.len(), "data file is", "data files are")
    );
    for line in lines.iter().take(MOST) {
        let _ = write!(said, "\n  {line}");
    }
    if lines.len() > MOST {
        let _ = write!(said, "\n  and {} more", lines.len() - MOST);
    }
    let hint = if folders.is_empty() { "--data DIR looks in a folder" } else { "--data may be given again" };
    let _ = write!(said, "\n({hint})");
    Err(AgainError::MissingData(said))
}

/// Queues what is not here yet.
///
/// # Errors
/// The data do not give what the file says, or the disk cannot be written to; runs that were queued until
/// then stay queued.
pub fn queue(workspace: &Workspace, plan: &Plan) -> Result<(), AgainError> {
    let environment = environment::of_workspace(workspace);
    let mut entries = Vec::new();
    for one in plan.runs.iter().filter(|one| !one.is_known) {
        let base = match &one.data {
            Found::InPlace { base } => base.clone(),
            Found::Elsewhere { key, base, files } => {
                link(workspace, key, base, files)?;
                base.clone()
            }
            Found::Missing(_) => continue,
        };
        let folder = workspace.root().join(&base);
        fits(one, &folder)?;
        let number = number(workspace, &entries, &one.sent.record);
        let record = RunRecord { base, number, created: scan::now(), ..one.sent.record.clone() };
        let stamps = data_files::stamps(&record.settings, &folder, &data_files::unheard).unwrap_or_default();
        let environment = Environment {
            data: one.sent.came.data.clone(),
            stamps,
            sent: Some(SentFrom { program: one.sent.came.program.clone(), ..plan.from.clone() }),
            ..environment.clone()
        };
        let entry = Entry {
            dir: one.dir.clone(),
            record,
            data: one.sent.came.data.clone(),
            is_known: false,
            deleted: None,
            keeps_rules: false,
        };
        entries.push((entry, environment));
    }
    // All of them fit: now, and not before, something is queued.
    for (entry, environment) in &entries {
        queue::create(entry, environment)?;
    }
    Ok(())
}

/// Holds the data as they are found against what the file says of them.
fn fits(one: &Planned, base: &Path) -> Result<(), AgainError> {
    let unfit = |reason: String| AgainError::Unfit { run: one.name(), reason };
    let (record, came) = (&one.sent.record, &one.sent.came);
    let facts =
        Surveyor::new(base.to_owned()).survey(&record.settings).map_err(|problem| unfit(problem.reason))?;
    if facts.fingerprints != came.data {
        return Err(unfit(
            "its settings name other data than the file tells of (changed on its way?)".into(),
        ));
    }
    let steps = record.settings.total_steps(facts.examples_per_epoch);
    let an_epoch = record.settings.steps_per_epoch(facts.examples_per_epoch);
    if (record.steps, record.steps_per_epoch) != (steps, an_epoch) {
        let reason = format!(
            "the file says {} steps, {} an epoch; its settings and data come to {steps} and {an_epoch}",
            record.steps, record.steps_per_epoch
        );
        return Err(unfit(reason));
    }
    Ok(())
}

/// The run's own number where no other run of the experiment has it, else the next free one.
fn number(workspace: &Workspace, planned: &[(Entry, Environment)], record: &RunRecord) -> u32 {
    let here = scan::runs_of(workspace, &record.experiment).into_iter();
    let here = here.filter_map(|dir| Some(read::run_record(&dir).ok()?.number));
    let new = planned.iter().map(|(entry, _)| &entry.record);
    let new = new.filter(|new| new.experiment == record.experiment).map(|new| new.number);
    let taken: BTreeSet<u32> = here.chain(new).collect();
    match taken.contains(&record.number) {
        false => record.number,
        true => taken.last().map_or(0, |last| last.saturating_add(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_dir::status::Waiting;

    #[test]
    fn a_run_that_is_here_has_the_steps_to_train_that_it_still_needs() {
        let waiting = Status::Waiting { because: Waiting::New };
        for (standing, retries, steps) in [
            (None, false, 200),
            (Some((Status::Finished, 200)), false, 0),
            (Some((waiting, 0)), false, 200),
            (Some((Status::Lost, 150)), false, 50),
            (Some((Status::Paused, 100)), true, 0),
            (Some((Status::Failed { code: 1 }, 100)), false, 0),
            (Some((Status::Failed { code: 1 }, 100)), true, 100),
            (Some((Status::Lost, 900)), false, 0),
        ] {
            assert_eq!(to_train(200, standing.as_ref(), retries), steps, "{standing:?}");
        }
    }
}
