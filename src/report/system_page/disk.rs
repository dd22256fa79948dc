//! What the runs of each experiment hold of the disk, and what `overnight clean` would free. Measured
//! seldom, because that means looking at every file, and remembered with its time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::clean::{self, Decision, Known, Part, Rules};
use crate::run_dir::{Workspace, scan};
use crate::workspace_settings::WorkspaceSettings;

/// How the disk was when somebody looked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DiskUse {
    /// Unix seconds of the look, and how long it took.
    pub time: f64,
    pub took_seconds: f64,
    pub experiments: BTreeMap<String, Held>,
    /// Leftovers outside of runs, which `clean` frees as well.
    pub outside_bytes: u64,
    /// Why nobody knows what `clean` would free.
    pub problem: Option<String>,
}

/// What the runs of one experiment hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Held {
    pub runs: usize,
    pub bytes: u64,
    /// Of them in checkpoints.
    pub checkpoint_bytes: u64,
    /// Of them to be freed.
    pub free_bytes: u64,
}

/// A look is as old as this before the next one, where something has changed since.
const PAUSE: Duration = Duration::from_secs(600);
/// The same where nothing has: rules go by days.
const DAY: Duration = Duration::from_secs(86_400);
/// A look is not repeated before so many times what it cost.
const COST_TIMES: f64 = 300.0;

/// Whether it is time for another look. `rested` is when the last run came to rest, queued or ended: what a
/// look before that told of it is over.
pub fn is_due(last: Option<&DiskUse>, has_changed: bool, rested: f64, now: f64) -> bool {
    let Some(last) = last else { return true };
    let pause = match has_changed {
        _ if rested > last.time && rested <= now => Duration::ZERO,
        true => PAUSE,
        false => DAY,
    };
    let pause = pause.as_secs_f64().max(last.took_seconds * COST_TIMES);
    // A clock that was set back makes no look wait for years.
    !(0.0..pause).contains(&(now - last.time))
}

/// Looks at every run.
pub fn measure(workspace: &Workspace) -> DiskUse {
    let (begun, now) = (Instant::now(), scan::now());
    let known = clean::observe(workspace);
    let mut used = match WorkspaceSettings::read(workspace) {
        Ok(settings) => {
            let outside = clean::leftovers(workspace, now);
            summed(&known, &clean::decide(&known, &outside, &Rules::from(&settings.retention)))
        }
        Err(_) => DiskUse {
            problem: Some(
                "overnight.toml is wrong, and it says what goes (overnight clean names the place)".into(),
            ),
            ..summed(&known, &Decision::default())
        },
    };
    used.time = now;
    used.took_seconds = begun.elapsed().as_secs_f64();
    used
}

fn summed(known: &[Known], decision: &Decision) -> DiskUse {
    let mut used = DiskUse::default();
    for run in known {
        let held = used.experiments.entry(run.dir.experiment()).or_default();
        held.runs += 1;
        held.bytes += run.bytes;
        held.checkpoint_bytes += run.checkpoints.iter().map(|(_, bytes)| bytes).sum::<u64>();
    }
    for removal in &decision.removals {
        match &removal.of {
            Part::Whole(dir, _) | Part::Checkpoint(dir) | Part::Leftover(Some(dir)) => {
                used.experiments.entry(dir.experiment()).or_default().free_bytes += removal.bytes;
            }
            Part::Leftover(None) => used.outside_bytes += removal.bytes,
        }
    }
    used
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use super::*;
    use crate::clean::Removal;
    use crate::run_dir::{RunDir, Status};

    fn known(run: &str, bytes: u64) -> Known {
        Known {
            is_imported: false,
            dir: RunDir::new(run),
            status: Status::Finished,
            checkpoints: vec![(10, 30), (20, 40)],
            asked_from: None,
            leftovers: Vec::new(),
            keep: 2,
            best: None,
            bytes,
            idle_days: 0.0,
            is_outside: false,
            has_parts_outside: false,
            needed_by: None,
            needed_steps: BTreeSet::new(),
        }
    }

    #[test]
    fn bytes_and_what_would_go_are_added_up_by_experiment() {
        let removal =
            |of: Part, bytes: u64| Removal { of, path: PathBuf::new(), bytes, reason: String::new() };
        let runs = [known("runs/a/s1", 100), known("runs/a/s2", 200), known("runs/b/s1", 7)];
        let decision = Decision {
            removals: vec![
                removal(Part::Checkpoint(RunDir::new("runs/a/s1")), 30),
                removal(Part::Whole(RunDir::new("runs/a/s2"), Status::Finished), 200),
                removal(Part::Leftover(None), 5),
            ],
            kept: Vec::new(),
        };
        let used = summed(&runs, &decision);
        assert_eq!(
            used.experiments["a"],
            Held { runs: 2, bytes: 300, checkpoint_bytes: 140, free_bytes: 230 }
        );
        assert_eq!(used.experiments["b"].free_bytes, 0);
        assert_eq!(used.outside_bytes, 5);
    }

    #[test]
    fn the_disk_is_looked_at_seldom_and_more_seldom_where_a_look_costs_much() {
        let looked = |took_seconds| DiskUse { time: 1000.0, took_seconds, ..DiskUse::default() };
        assert!(is_due(None, false, 0.0, 0.0));
        let due = |took, has_changed, now| is_due(Some(&looked(took)), has_changed, 990.0, now);
        assert_eq!([1599.0, 1600.0].map(|now| due(0.1, true, now)), [false, true]);
        assert_eq!([1600.0, 90_000.0].map(|now| due(0.1, false, now)), [false, true]);
        assert_eq!([1600.0, 4000.0].map(|now| due(10.0, true, now)), [false, true]);
        assert!(due(0.1, false, 10.0), "the clock was set back");
        let ended = |took, rested, now| is_due(Some(&looked(took)), false, rested, now);
        assert_eq!([1000.0, 1005.0].map(|rested| ended(0.1, rested, 1100.0)), [false, true]);
        assert!(!ended(10.0, 1005.0, 1100.0), "what costs much is not done for each run");
        assert!(!ended(0.1, 5000.0, 1100.0), "a run of a clock that goes ahead");
    }
}
