//! The batch that programs are told of: that at work, or else the last one; and the newest row of the
//! machine's table.

use crate::run_dir::metrics::Metrics;
use crate::run_dir::records::{Batch, QueueState, RunnerLock};
use crate::run_dir::{BatchDir, Workspace, lock, read, scan, telemetry};

pub(super) struct Work {
    pub dir: BatchDir,
    pub batch: Batch,
    /// Whether a runner works on it at this moment.
    pub is_at_work: bool,
}

/// A row older than this says nothing about now; rows come every two seconds.
pub(super) const FRESH_SECONDS: f64 = 30.0;
/// Of the end of the machine's table; a row with many GPUs is some kilobytes long.
const END_BYTES: u64 = 64 << 10;

impl Work {
    pub fn newest(workspace: &Workspace) -> Option<Work> {
        let holder = holder(workspace).map(|holder| BatchDir::new(workspace.batches().join(holder.batch)));
        let at_work = holder.filter(|dir| dir.batch_json().is_file());
        let is_at_work = at_work.is_some();
        let dir = at_work.or_else(|| scan::batches(workspace).pop())?;
        let batch = read::json(&dir.batch_json()).ok()?;
        Some(Work { dir, batch, is_at_work })
    }

    pub fn queue(&self) -> Option<QueueState> {
        read::json_if_there(&self.dir.queue_json()).ok().flatten()
    }

    /// The last rows of its machine.
    pub fn machine(&self) -> Machine {
        Machine { table: telemetry::ends(&self.dir.telemetry(), END_BYTES).unwrap_or_default() }
    }
}

/// Whoever holds the workspace as its runner.
pub(super) fn holder(workspace: &Workspace) -> Option<RunnerLock> {
    let path = workspace.runner_lock();
    read::json::<RunnerLock>(&path).ok().filter(|_| lock::is_held(&path))
}

/// The machine as its newest row tells it.
pub(super) struct Machine {
    table: Metrics,
}

impl Machine {
    #[cfg(test)]
    pub fn of(table: &str) -> Machine {
        Machine { table: Metrics::of(table) }
    }

    /// When the row was written.
    pub fn time(&self) -> Option<f64> {
        self.value("time")
    }

    /// Whether it says anything about `now`.
    pub fn is_fresh(&self, now: f64) -> bool {
        self.time().is_some_and(|time| (now - time).abs() <= FRESH_SECONDS)
    }

    /// A column's value in the newest row, if it has one there.
    pub fn value(&self, column: &str) -> Option<f64> {
        let last = u32::try_from(self.table.rows.checked_sub(1)?).ok()?;
        self.table.column(column)?.in_row(last).filter(|value| value.is_finite())
    }

    /// The last value that a column had in any of the last rows.
    pub fn last(&self, column: &str) -> Option<f64> {
        self.table.column(column)?.last()
    }

    /// The numbers of the GPUs that it has columns of.
    pub fn gpus(&self) -> Vec<u32> {
        let names = self.table.columns.iter().map(|column| column.name.as_str());
        let mut gpus: Vec<u32> =
            names.filter_map(|name| name.strip_prefix("gpu")?.split_once('_')?.0.parse().ok()).collect();
        gpus.sort_unstable();
        gpus.dedup();
        gpus
    }
}
