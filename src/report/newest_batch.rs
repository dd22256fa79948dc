//! The newest batch as pages tell of it: what of its records cannot be read is said there, not dropped.

use super::Report;
use super::index_page::Work;
use crate::run_dir::read::{self, ReadError};
use crate::run_dir::records::{Batch, QueueState};
use crate::run_dir::{BatchDir, lock, scan};

/// What is known of the newest batch.
#[derive(Debug, Default)]
pub struct Newest {
    pub work: Option<Work>,
    /// What could not be read, and why.
    pub unread: Vec<String>,
}

impl Report {
    /// The newest batch, as far as it can be read.
    pub(super) fn newest_batch(&self) -> Newest {
        let Some(batch) = scan::batches(&self.workspace).into_iter().next_back() else {
            return Newest::default();
        };
        let mut unread = Vec::new();
        let Some(record) = record(&batch, &mut unread) else { return Newest { work: None, unread } };
        let queue: Option<QueueState> = read::json_if_there(&batch.queue_json()).unwrap_or_else(|error| {
            unread.push(sentence("what its runner says of the queue", &error));
            None
        });
        let is_running = record.end.is_none() && lock::is_held(&self.workspace.runner_lock());
        Newest { work: Some(Work { name: batch.name(), batch: record, queue, is_running }), unread }
    }
}

/// `batch.json`; nothing and no complaint where a batch has only its folder yet.
pub fn record(batch: &BatchDir, unread: &mut Vec<String>) -> Option<Batch> {
    read::json_if_there(&batch.batch_json()).unwrap_or_else(|error| {
        unread.push(sentence("what is known of it", &error));
        None
    })
}

fn sentence(what: &str, error: &ReadError) -> String {
    format!("A batch is shown without {what}: {error}.")
}
