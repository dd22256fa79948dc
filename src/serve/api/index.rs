//! The runs that may be asked for, kept up to date at a pace that their number allows: ten thousand runs
//! are not looked at for each request.

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, TryLockError};
use std::time::{Duration, Instant};

use super::problem::Problem;
use crate::report::catalog::{self, Catalog, Runs};
use crate::run_dir::Workspace;

pub(in crate::serve) struct Index {
    workspace: Workspace,
    looking: Mutex<Looking>,
    /// As they were last seen; none before the first look.
    seen: RwLock<Option<Runs>>,
}

struct Looking {
    catalog: Catalog,
    /// When the last look ended, and what it took.
    last: Option<(Instant, Duration)>,
}

/// Between two looks; more where a look takes long, so that they never take more than a twentieth of the
/// time.
const PACE: Duration = Duration::from_millis(250);
const SHARE: u32 = 20;

impl Index {
    pub fn new(workspace: &Workspace) -> Index {
        let looking = Mutex::new(Looking { catalog: Catalog::new(workspace), last: None });
        Index { workspace: workspace.clone(), looking, seen: RwLock::default() }
    }

    /// The runs that the report knows. One request looks after them; others take what was seen before.
    pub fn runs(&self) -> Result<Runs, Problem> {
        if !catalog::is_built(&self.workspace) {
            return Err(Problem::not_built());
        }
        let known = || self.seen.read().unwrap_or_else(PoisonError::into_inner).clone();
        match (self.looking.try_lock(), known()) {
            (Ok(looking), _) => Ok(self.look(looking)),
            (Err(TryLockError::Poisoned(poisoned)), _) => Ok(self.look(poisoned.into_inner())),
            (Err(TryLockError::WouldBlock), Some(runs)) => Ok(runs),
            // Nobody knows anything before the first look is over.
            (Err(TryLockError::WouldBlock), None) => {
                Ok(self.look(self.looking.lock().unwrap_or_else(PoisonError::into_inner)))
            }
        }
    }

    fn look(&self, mut looking: MutexGuard<Looking>) -> Runs {
        let is_due = |(ended, took): (Instant, Duration)| ended.elapsed() >= PACE.max(took * SHARE);
        let known = self.seen.read().unwrap_or_else(PoisonError::into_inner).clone();
        match known {
            Some(runs) if !looking.last.is_none_or(is_due) => runs,
            _ => {
                let begun = Instant::now();
                let runs = looking.catalog.refresh();
                looking.last = Some((Instant::now(), begun.elapsed()));
                *self.seen.write().unwrap_or_else(PoisonError::into_inner) = Some(runs.clone());
                runs
            }
        }
    }

    /// As if the last look had ended just now and taken this long.
    #[cfg(test)]
    pub fn looked(&self, took: Duration) {
        self.looking.lock().unwrap().last = Some((Instant::now(), took));
    }
}
