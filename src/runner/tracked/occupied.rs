//! A run that could begin while somebody keeps its lock: what its worker left behind, or another program.

use std::fs;

use super::has_open;
use crate::run_dir::{RunDir, lock};

/// Why it waits.
pub fn reason(dir: &RunDir) -> String {
    match holder(dir) {
        Some(process) => {
            format!("until process {process} lets go of its alive.lock (look at it: ps -fp {process})")
        }
        None => "until another process lets go of its alive.lock (lsof may name it)".to_owned(),
    }
}

/// Whether the lock can be had by now; one that cannot be asked for is found out about at the start.
pub fn is_free(dir: &RunDir) -> bool {
    !matches!(lock::try_lock(&dir.alive_lock()), Ok(None))
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
