//! What a run has to give: its checkpoints with what is known of each, and what it took of others. A part
//! of the run's summary, so that pages about all runs never read it again.

use std::collections::BTreeMap;
use std::fs;

use serde::{Deserialize, Serialize};

use super::files::RunFiles;
use crate::experiment::settings::{Data, Settings, Task};
use crate::run_dir::metrics::Metrics;
use crate::run_dir::number::Number;
use crate::run_dir::records::{RunRecord, What};
use crate::run_dir::requests;
use crate::run_dir::status::last_start;

/// The models of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stock {
    pub task: Option<Task>,
    /// As in the settings: `gpt`, `cnn`.
    pub kind: String,
    pub parameters: Option<u64>,
    /// What it learned from, as the settings name it.
    pub data: String,
    /// Those that were added later among them.
    pub tags: Vec<String>,
    pub notes: Vec<String>,
    /// The step whose checkpoint is the best one, where that is known.
    pub best: Option<u64>,
    /// Complete ones, ascending.
    pub checkpoints: Vec<Kept>,
    /// What it takes of others, or waits for.
    pub takes: Vec<Take>,
}

/// A complete checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    pub step: u64,
    /// All its files, and the weights alone.
    pub bytes: u64,
    pub model_bytes: u64,
    /// blake3 of the weights, in hex; empty where nobody wrote it down.
    pub hash: String,
    /// The last values of the metrics by then, with their steps.
    pub values: BTreeMap<String, (u64, Number)>,
}

/// What flows from others into a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Take {
    /// As it stands in the experiment file: an experiment, or a run.
    pub need: String,
    pub what: Flow,
    /// The run that it was taken of, once it was, and what that was in words.
    pub from: Option<(String, String)>,
    pub got: String,
}

/// What one run takes of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flow {
    Weights,
    Files,
    /// Nothing: it waits until the other has finished.
    Order,
}

/// Metrics that tell how good a checkpoint is.
const VALUES: [&str; 6] =
    ["train/loss", "train/accuracy", "val/loss", "val/perplexity", "val/bits_per_byte", "val/accuracy"];

impl Stock {
    /// `best` is the step with the best value so far.
    pub fn of(files: &RunFiles, best: Option<u64>) -> Stock {
        let record = files.seen.record.as_ref().ok();
        let settings = record.and_then(RunRecord::own_settings);
        let tags = requests::tags(record.map_or(&[], |record| &record.tags), &files.seen.requests);
        let own = record.map(|record| record.notes.clone()).filter(|notes| !notes.trim().is_empty());
        let added = requests::notes(&files.seen.requests).map(|(_, text)| text.to_owned());
        Stock {
            task: settings.map(Settings::task),
            kind: settings.map_or_else(String::new, |settings| settings.model.kind().to_owned()),
            parameters: files.model.as_ref().map(|model| model.parameters),
            data: settings.map_or_else(String::new, |settings| data(&settings.data)),
            tags,
            notes: own.into_iter().chain(added).collect(),
            best: files.result.as_ref().and_then(|result| result.best_checkpoint).or(best),
            checkpoints: checkpoints(files),
            takes: takes(files),
        }
    }
}

/// "text: ../data/input.txt".
fn data(data: &Data) -> String {
    match data {
        Data::Text(text) => format!("text: {}", text.files.join(", ")),
        Data::Idx(idx) => format!("images: {}", idx.images),
        Data::Folder(folder) => format!("images: {}", folder.path),
        Data::Shapes(shapes) => format!("{} drawn shapes", crate::say::count(u64::from(shapes.count))),
    }
}

fn checkpoints(files: &RunFiles) -> Vec<Kept> {
    let mut hashes: BTreeMap<u64, &str> = BTreeMap::new();
    for event in files.standing_events() {
        if let What::Checkpointed { weights, .. } = &event.what {
            hashes.insert(event.step, weights);
        }
    }
    let kept = |&(step, bytes): &(u64, u64)| Kept {
        step,
        bytes,
        model_bytes: fs::metadata(files.dir().checkpoint(step).model()).map_or(0, |file| file.len()),
        hash: hashes.get(&step).copied().unwrap_or_default().to_owned(),
        values: values(&files.metrics, step),
    };
    files.checkpoints.iter().map(kept).collect()
}

/// The last value of each metric up to a step.
fn values(metrics: &Metrics, step: u64) -> BTreeMap<String, (u64, Number)> {
    let steps = metrics.column("step");
    let last = |name: &&str| {
        let column = metrics.column(name)?;
        // From the end: the checkpoints that are kept are mostly the newest.
        let mut points = column.rows.iter().zip(&column.values).rev();
        let known = points.find_map(|(row, value)| {
            let at = steps?.in_row(*row).filter(|at| *at <= step as f64)?;
            Some((at as u64, Number(*value)))
        });
        Some(((*name).to_owned(), known?))
    };
    VALUES.iter().filter_map(last).collect()
}

fn takes(files: &RunFiles) -> Vec<Take> {
    let Ok(record) = &files.seen.record else { return Vec::new() };
    let start = last_start(&files.seen.attempts);
    let mut takes = Vec::new();
    let Some(settings) = record.own_settings() else { return Vec::new() };
    if let Some(weights) = &settings.weights {
        let taken = start.and_then(|start| start.weights.as_ref());
        takes.push(Take {
            need: weights.from.clone(),
            what: Flow::Weights,
            from: taken.map(|taken| (taken.experiment.clone(), taken.run.clone())),
            got: taken.map_or_else(
                || format!("weights, {}", weights.file),
                |taken| format!("{}, {}", taken.file, crate::say::bytes(taken.bytes)),
            ),
        });
    }
    if let Data::Text(text) = &settings.data {
        for (_, need, pattern) in text.taken() {
            takes.push(files_taken(need, pattern, start.map_or(&[][..], |start| &start.text), record));
        }
    }
    for need in &record.queue.needs {
        if !takes.iter().any(|take| take.need == *need) {
            let (need, from, got) = (need.clone(), None, String::new());
            takes.push(Take { need, what: Flow::Order, from, got });
        }
    }
    takes
}

/// Files of the run that `need` means, among all that were taken.
fn files_taken(
    need: &str,
    pattern: &str,
    all: &[crate::run_dir::stage::TakenFile],
    record: &crate::run_dir::records::RunRecord,
) -> Take {
    let is_meant = |file: &&crate::run_dir::stage::TakenFile| {
        crate::run_dir::needs::means(need, &record.experiment, &file.experiment, &file.run)
    };
    let taken: Vec<_> = all.iter().filter(is_meant).collect();
    let bytes = taken.iter().map(|file| file.bytes).sum();
    Take {
        need: need.to_owned(),
        what: Flow::Files,
        from: taken.first().map(|file| (file.experiment.clone(), file.run.clone())),
        got: match taken.len() {
            0 => pattern.to_owned(),
            count => {
                let files = crate::say::counted(count, "file", "files");
                format!("{files} like {pattern}, {}", crate::say::bytes(bytes))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_has_the_values_that_were_known_by_then() {
        let mut metrics = Metrics::default();
        metrics.extend(b"step,train/loss,val/loss\n10,3,\n20,2,2.5\n30,1,\n40,nan,0.5\n");
        let at = |step| values(&metrics, step);
        assert_eq!(at(30)["train/loss"], (30, Number(1.0)));
        assert_eq!(at(30)["val/loss"], (20, Number(2.5)));
        assert!(at(5).is_empty());
        assert!(at(40)["train/loss"].1.0.is_nan());
    }
}
