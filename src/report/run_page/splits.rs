//! What the page says of a run whose steps were split further because memory ran out.

use super::super::chart::number::count;
use super::super::files::RunFiles;
use super::super::say;
use crate::run_dir::records::{Attempt, Start};
use crate::run_dir::split;

/// One sentence for each time that the split became another.
pub fn sentences(files: &RunFiles) -> Vec<String> {
    let Ok(record) = &files.seen.record else { return Vec::new() };
    let starts: Vec<&Start> = files
        .seen
        .attempts
        .iter()
        .filter_map(|line| match line {
            Attempt::Start(start) => Some(start),
            Attempt::End(_) => None,
        })
        .collect();
    let changed = starts.windows(2).filter(|pair| pair[0].micro_batch != pair[1].micro_batch);
    changed
        .map(|pair| {
            let (before, now) = (pair[0].micro_batch, pair[1].micro_batch);
            let from = pair[1].checkpoint.map_or(1, |step| step + 1);
            let at_once = say::counted(now as usize, "example", "examples");
            let passes = say::counted(pair[1].accumulate as usize, "pass", "passes");
            format!(
                "Device memory was too small for {before} examples at once: from step {} on, attempt {} \
                 computed {at_once} at once, in {passes} a step. To a run that was never split it is {}.",
                count(from),
                pair[1].attempt,
                split::likeness(&record.settings),
            )
        })
        .collect()
}
