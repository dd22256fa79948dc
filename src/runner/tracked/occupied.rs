//! A run that could begin, had it what only the system gives: its lock, which what its worker left behind or
//! another program keeps, or a process, where there are too many.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use super::has_open;
use crate::run_dir::{RunDir, lock};

/// Time between two tries to start a worker where the system starts none. Each leaves two lines in the run.
const TRY_EVERY: Duration = Duration::from_secs(60);

/// Why it waits, and until when.
#[derive(Debug)]
pub struct Occupied {
    pub reason: String,
    /// None: until its lock is free.
    until: Option<Instant>,
}

impl Occupied {
    /// Somebody keeps its lock.
    pub fn by_holder(dir: &RunDir) -> Occupied {
        let reason = match holder(dir) {
            Some(process) => {
                format!("until process {process} lets go of its alive.lock (look at it: ps -fp {process})")
            }
            None => "until another process lets go of its alive.lock (lsof may name it)".to_owned(),
        };
        Occupied { reason, until: None }
    }

    /// Its worker could not be started for want of something that all processes share.
    pub fn by_system(why: &str) -> Occupied {
        Occupied {
            reason: format!("{why} (too many processes of this user? ulimit -u; it is tried each minute)"),
            until: Some(Instant::now() + TRY_EVERY),
        }
    }

    /// Whether it can be tried again. A lock that cannot be asked for is found out about at the start.
    pub fn is_over(&self, dir: &RunDir, now: Instant) -> bool {
        match self.until {
            Some(until) => now >= until,
            None => !matches!(lock::try_lock(&dir.alive_lock()), Ok(None)),
        }
    }
}

/// Whether a process could not be started only for now: too many of them, or of open files, or too little memory.
pub fn is_shortage(error: &io::Error) -> bool {
    // EMFILE and ENFILE have no kind of their own.
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory)
        || matches!(error.raw_os_error(), Some(23 | 24))
}

/// Another process that has the lock file open, as far as this user may know. Looks at every open file there
/// is: for rare cases.
fn holder(dir: &RunDir) -> Option<u32> {
    let path = dir.alive_lock();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut others = processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|process| *process != std::process::id());
    others.find(|process| has_open(*process, &path))
}
