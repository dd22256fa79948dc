//! One import from its first look to its end: reads the source, brings its runs up to date, and does so again
//! whenever it grew. A run that is followed is held by its lock, so that all see that it is at work.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::foreign::{Foreign, Wish};
use super::write::{self, Aim, Arriving, Brought, KnownRuns, Mode, What};
use super::{Found, ImportError};
use crate::run_dir::imported::QUIET_SECONDS;
use crate::run_dir::write::at;
use crate::run_dir::{RunDir, Workspace, lock, scan};

/// What is imported, and how.
#[derive(Debug)]
pub struct Session<'a> {
    pub workspace: &'a Workspace,
    pub root: PathBuf,
    pub wish: Wish,
    pub aim: Aim,
    pub mode: Mode,
    known: KnownRuns,
    /// Locks of runs that are followed, and when each was last seen to grow.
    held: BTreeMap<RunDir, (File, f64)>,
}

/// What a look at the source came to.
#[derive(Debug, Default)]
pub struct Round {
    pub brought: Vec<Brought>,
    /// Places that could not be read, or runs that could not be written, each with its reason.
    pub failed: Vec<(PathBuf, String)>,
    /// Files that no format knows.
    pub unknown: Vec<PathBuf>,
    /// What was left out before anything was read, as sentences.
    pub said: Vec<String>,
}

impl Session<'_> {
    pub fn new<'a>(workspace: &'a Workspace, root: &Path, wish: Wish, aim: Aim, mode: Mode) -> Session<'a> {
        let known = KnownRuns::of(workspace);
        Session { workspace, root: root.to_owned(), wish, aim, mode, known, held: BTreeMap::new() }
    }

    /// Reads the source and brings all of its runs up to date.
    ///
    /// # Errors
    /// The source is not there, nothing in it is known, or none of its runs has a column that was asked for.
    /// Nothing was written.
    pub fn round(&mut self) -> Result<Round, ImportError> {
        self.known.begin_round();
        let source = super::read(&self.root, &|place| self.wish.after(self.known.wish(place)))?;
        let mut round = Round { unknown: source.unknown, said: source.said, ..Round::default() };
        let mut runs: Vec<(PathBuf, Foreign)> = Vec::new();
        let mut as_before = BTreeSet::new();
        for Found { place, runs: read } in source.found {
            match read {
                Ok(read) => {
                    if self.wish.columns.is_empty() {
                        as_before.extend(
                            read.iter().map(|run| run.wish.spelled()).filter(|said| !said.is_empty()),
                        );
                    }
                    runs.extend(read.into_iter().map(|run| (place.clone(), run)));
                }
                Err(error) => round.failed.push((place, error.to_string())),
            }
        }
        round.said.extend(as_before.into_iter().map(|columns| {
            format!("takes the columns that were named before: {columns} (--columns '*' takes all again)")
        }));
        let wish = self.wish.after(None);
        if let Some((column, known)) = wish.missing(runs.iter().map(|(_, run)| &run.rows)) {
            let known = crate::say::plain(&several(&known));
            return Err(ImportError::NoColumn { path: self.root.clone(), column, known });
        }
        let arriving = write::arriving(&self.root, runs, &self.aim)
            .map_err(|error| ImportError::Io { path: self.root.clone(), error })?;
        for one in arriving {
            let source = one.source.clone();
            match self.bring(one) {
                Ok(brought) => round.brought.push(brought),
                Err(error) => round.failed.push((source, error.to_string())),
            }
        }
        Ok(round)
    }

    fn bring(&mut self, arriving: Arriving) -> io::Result<Brought> {
        let known = self.known.at(&arriving.source, &arriving.foreign.part);
        let held = known.and_then(|dir| self.held.get(dir)).map(|(lock, _)| lock);
        // The lock is needed for as long as this takes, and stays ours.
        let held = held.map(File::try_clone).transpose()?;
        write::bring(self.workspace, arriving, &mut self.known, held.as_ref(), self.mode)
    }

    /// Holds the runs that are at work, and lets those go that have ended or came to rest.
    ///
    /// # Errors
    /// A lock cannot be made, with its path.
    pub fn hold(&mut self, round: &Round) -> io::Result<()> {
        let now = scan::now();
        for Brought { dir, what, state, .. } in &round.brought {
            let grew = matches!(
                what,
                What::New | What::Grown(_) | What::Filled(_) | What::Rewritten | What::Columns
            );
            let is_there = grew || matches!(what, What::Same | What::Kept | What::Shorter);
            let newest = state.newest.filter(|newest| now - newest < QUIET_SECONDS);
            let heard = match self.held.get(dir) {
                Some((_, heard)) if !grew => *heard,
                _ if grew && *what != What::New => now,
                _ => newest.unwrap_or(0.0),
            };
            if state.has_ended || !is_there || now - heard >= QUIET_SECONDS {
                self.held.remove(dir);
            } else if let Some((_, known)) = self.held.get_mut(dir) {
                *known = heard;
            } else if let Some(lock) =
                lock::try_lock(&dir.alive_lock()).map_err(|error| at(&dir.alive_lock(), error))?
            {
                self.held.insert(dir.clone(), (lock, heard));
            }
        }
        Ok(())
    }

    /// Lets go of runs that came to rest while nothing grew.
    pub fn let_go(&mut self) {
        let now = scan::now();
        self.held.retain(|_, (_, heard)| now - *heard < QUIET_SECONDS);
    }

    /// Runs that are held.
    pub fn followed(&self) -> usize {
        self.held.len()
    }
}

/// Names with commas; of very many the first.
fn several(names: &[String]) -> String {
    const NAMED: usize = 40;
    let more = names.len().saturating_sub(NAMED);
    let named = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{named} and {more} more") } else { named }
}
