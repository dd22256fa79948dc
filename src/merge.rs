//! Run folders of several machines as one workspace: runs and batches of another one are copied here, with
//! checks, also while they grow there and again and again. Nothing that is here is overwritten by anything
//! but its own continuation, and nothing there is changed.

mod batch;
mod copy;
mod deleted;
mod run;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::run_dir::write::at;
use crate::run_dir::{Workspace, is_plain_name, lock};

/// What is done and left out.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// Only say it.
    pub dry_run: bool,
    /// Keep another run of the same name beside the one here.
    pub keep_both: bool,
}

/// What became of one run or batch.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Told {
    /// The workspace it came from.
    pub from: PathBuf,
    /// `experiment/run`, or a batch's name.
    pub name: String,
    #[serde(flatten)]
    pub what: What,
    /// Files that are none of ours, or links: left there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

/// What was done, or would be.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "did")]
pub enum What {
    /// Copied whole; under another number, where another run here has its own.
    Added {
        bytes: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        number: Option<u32>,
    },
    /// It has gone on there: so much was added.
    Grown { bytes: u64 },
    /// There is nothing new.
    Same,
    /// What is here goes on from what is there.
    Ahead,
    /// Another one has its name, and it was kept beside that one under this name.
    Beside { kept_as: String, bytes: u64 },
    /// Another one has its name, or other rows: left out.
    Conflict { why: String },
    /// It cannot be taken over now.
    LeftOut { why: String },
    /// A rule let it go here.
    Deleted { why: String },
}

/// Why nothing can be merged.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    #[error("{}: there is no runs/ in it (name the workspace: the folder that has runs/)", .0.display())]
    NoWorkspace(PathBuf),
    #[error("{} is this workspace (name another one)", .0.display())]
    Itself(PathBuf),
    #[error("another merge is at work in this workspace (wait for its end)")]
    Busy,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Merges all runs and batches of these workspaces.
///
/// # Errors
/// One of them is none, or the disk here cannot be written to; what was taken over until then is whole.
pub fn merge(workspace: &Workspace, from: &[PathBuf], wish: Wish) -> Result<Vec<Told>, MergeError> {
    for folder in from {
        if !folder.join("runs").is_dir() {
            return Err(MergeError::NoWorkspace(folder.clone()));
        }
        // By its runs: these may be linked into another folder.
        let same = fs::canonicalize(folder.join("runs")).ok().zip(fs::canonicalize(workspace.runs()).ok());
        if same.is_some_and(|(one, other)| one == other) {
            return Err(MergeError::Itself(folder.clone()));
        }
    }
    let _alone = (!wish.dry_run).then(|| alone(workspace)).transpose()?;
    let mut told = Vec::new();
    for folder in from {
        let there = Workspace::new(folder);
        for experiment in folders(&there.runs())? {
            let here = workspace.runs().join(&experiment);
            if !wish.dry_run {
                copy::remove_abandoned(&here);
            }
            if let Some(what) = deleted::merge(workspace, &there, &experiment, wish)? {
                let name = format!("{experiment}/deleted.jsonl");
                told.push(Told { from: folder.clone(), name, what, left_out: Vec::new() });
            }
            for name in folders(&there.runs().join(&experiment))? {
                let (what, left_out) = run::merge(workspace, &there, &experiment, &name, wish)?;
                told.push(Told {
                    from: folder.clone(),
                    name: format!("{experiment}/{name}"),
                    what,
                    left_out,
                });
            }
        }
        if !wish.dry_run {
            copy::remove_abandoned(&workspace.batches());
        }
        for name in folders(&there.batches())? {
            let (what, left_out) = batch::merge(workspace, &there, &name, wish)?;
            told.push(Told { from: folder.clone(), name, what, left_out });
        }
    }
    Ok(told)
}

/// Keeps other merges out; a runner may be at work meanwhile.
fn alone(workspace: &Workspace) -> Result<fs::File, MergeError> {
    let runs = workspace.runs();
    fs::create_dir_all(&runs).map_err(|error| at(&runs, error))?;
    lock::try_lock(&runs.join(".merge.lock"))?.ok_or(MergeError::Busy)
}

/// The folders with plain names, no links, sorted; none where there is no such folder.
fn folders(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(at(folder, error)),
    };
    let mut names: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| is_plain_name(name))
        .collect();
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests;
