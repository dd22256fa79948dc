//! Copies of the batches in which the runs of an archive were trained, for the time line of their night: of
//! other runs, and of the machine's name, nothing stays in them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::super::super::export::Surroundings;
use super::super::FormError;
use super::super::chosen::Chosen;
use super::copies;
use crate::run_dir::records::{Attempt, Batch, BatchEvent, QueueState};
use crate::run_dir::{BatchDir, RunDir, Workspace, is_plain_name, read};

/// The runs that are copied, by the batches that started them.
#[derive(Default)]
pub struct Batches(BTreeMap<String, BTreeSet<(String, String)>>);

impl Batches {
    pub fn see(&mut self, dir: &RunDir, attempts: &[Attempt]) {
        for attempt in attempts {
            if let Attempt::Start(start) = attempt
                && let Some(batch) = start.batch.as_ref().filter(|name| is_plain_name(name))
            {
                self.0.entry(batch.clone()).or_default().insert((dir.experiment(), dir.name()));
            }
        }
    }

    /// Copies them. One that is not here any more, or cannot be read, has no time line.
    pub fn copy(&self, chosen: &mut Chosen, site: &Workspace) -> Result<(), FormError> {
        for (name, runs) in &self.0 {
            let from = BatchDir::new(chosen.workspace.batches().join(name));
            if from.path().is_symlink() || from.batch_json().is_symlink() {
                continue;
            }
            let Ok(Some(batch)) = read::json_if_there::<Batch>(&from.batch_json()) else { continue };
            let shown = chosen.surroundings == Surroundings::Shown;
            let name = if shown { name.clone() } else { nameless(name) };
            one(chosen, &from, &BatchDir::new(site.batches().join(name)), batch, runs)?;
        }
        Ok(())
    }
}

fn one(
    chosen: &mut Chosen,
    from: &BatchDir,
    to: &BatchDir,
    mut batch: Batch,
    runs: &BTreeSet<(String, String)>,
) -> Result<(), FormError> {
    std::fs::create_dir_all(to.path())?;
    let is_ours = |experiment: &str, run: &str| runs.contains(&(experiment.to_owned(), run.to_owned()));
    batch.plan.retain(|entry| is_ours(&entry.experiment, &entry.run));
    if chosen.surroundings == Surroundings::LeftOut {
        // The command line may name files and people; its process and devices are the machine's.
        batch.arguments.clear();
        batch.process = 0;
        batch.gpus.iter_mut().for_each(|gpu| gpu.uuid.clear());
        batch.device_memory.clear();
        batch.divisions.clear();
    }
    copies::lines(chosen, &to.batch_json(), std::slice::from_ref(&batch))?;
    if let Ok(Some(mut queue)) = read::json_if_there::<QueueState>(&from.queue_json()) {
        queue.waiting.retain(|one| is_ours(&one.experiment, &one.run));
        queue.running.retain(|one| is_ours(&one.experiment, &one.run));
        queue.failed.retain(|one| is_ours(&one.experiment, &one.run));
        copies::lines(chosen, &to.queue_json(), &[json!(queue)])?;
    }
    let events = read::lines::<BatchEvent>(&from.events()).map(|lines| lines.records).unwrap_or_default();
    let own = events.into_iter().filter(|event| {
        let named = event.experiment.as_deref().zip(event.run.as_deref());
        named.is_some_and(|(experiment, run)| is_ours(experiment, run))
    });
    copies::lines(chosen, &to.events(), &own.collect::<Vec<_>>())?;
    copies::one(&from.telemetry(), &to.telemetry())
}

/// The name of a batch, `<start>-<host>-<draw>`, without the host; nothing of one that is made otherwise.
pub fn nameless(batch: &str) -> String {
    let parts = batch.split_once('-').and_then(|(start, rest)| Some((start, rest.rsplit_once('-')?.1)));
    let is_plain = |(start, draw): &(&str, &str)| {
        start.bytes().all(|byte| byte.is_ascii_digit() || b"TZ".contains(&byte))
            && draw.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    parts.filter(is_plain).map_or_else(|| "batch".to_owned(), |(start, draw)| format!("{start}-{draw}"))
}

#[cfg(test)]
mod tests {
    use super::nameless;

    #[test]
    fn the_name_of_a_batch_keeps_its_start_and_its_draw() {
        for (name, expected) in [
            ("20261121T150518Z-vm-70d0", "20261121T150518Z-70d0"),
            ("20261121T150518Z-a-b.example-70d0", "20261121T150518Z-70d0"),
            ("20261121T150518Z-ada", "batch"),
            ("my-laptop-70d0", "batch"),
            ("", "batch"),
        ] {
            assert_eq!(nameless(name), expected, "{name}");
        }
    }
}
