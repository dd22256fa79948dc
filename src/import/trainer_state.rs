//! Hugging Face's `trainer_state.json`: of several checkpoints of one training, the newest has all of its log.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use serde_json::Value;

use super::files::{Files, Reading, folder, head, name, whole};
use super::foreign::{Foreign, Wish};
use super::python_json;
use super::rows::Clock;

pub fn claim(files: &mut Files) -> Vec<Reading> {
    let root = files.root.clone();
    let has_log = |bytes: Vec<u8>| memchr::memmem::find(&bytes, b"\"log_history\"").is_some();
    let ours = files.take(|path| name(path) == "trainer_state.json" || (path == root && has_log(head(path))));
    let mut places: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    for path in ours {
        let own = folder(&path);
        let is_checkpoint = step_of(&own).is_some() && own != root;
        let place = if path == root {
            path.clone()
        } else if is_checkpoint {
            folder(&own)
        } else {
            own
        };
        places.entry(place).or_default().push(path);
    }
    for place in places.keys() {
        // What it wrote for TensorBoard meanwhile says the same.
        files.take(|path| path.starts_with(place.join("runs")) && super::tensorboard::is_event_file(path));
    }
    let reading = |(place, mut files): (PathBuf, Vec<PathBuf>)| {
        // One outside of checkpoints was written at the end.
        files.sort_by_key(|path| step_of(&folder(path)).unwrap_or(u64::MAX));
        let newest = files.split_off(files.len() - 1);
        Reading { place, files: newest, read }
    };
    places.into_iter().map(reading).collect()
}

/// The step of a folder `checkpoint-500`.
fn step_of(folder: &std::path::Path) -> Option<u64> {
    name(folder).strip_prefix("checkpoint-")?.parse().ok()
}

/// What it tells of how it was trained.
const SETTINGS: [&str; 9] = [
    "num_train_epochs",
    "max_steps",
    "train_batch_size",
    "eval_steps",
    "logging_steps",
    "save_steps",
    "best_metric",
    "trial_name",
    "trial_params",
];

fn read(reading: &Reading, wish: &Wish) -> io::Result<Vec<Foreign>> {
    let mut run = Foreign { tool: "Hugging Face", rows: wish.rows(), ..Foreign::default() };
    run.files.clone_from(&reading.files);
    for path in &reading.files {
        let bytes = whole(path)?;
        match python_json::read(&bytes) {
            (state, true) => {
                for name in SETTINGS {
                    if let Some(value) = state.get(name).filter(|value| !value.is_null()) {
                        run.add_settings(name, value.clone());
                    }
                }
                let step = |name: &str| state.get(name).and_then(Value::as_u64).filter(|step| *step > 0);
                run.has_ended = step("max_steps").is_some_and(|most| step("global_step") >= Some(most));
                let log = state.get("log_history").and_then(Value::as_array);
                log.into_iter().flatten().for_each(|entry| take(&mut run, entry));
            }
            (state, false) => {
                run.warn(format!("{} is cut off or damaged: what stands before that was read", name(path)));
                let log = state.get("log_history").and_then(Value::as_array);
                log.into_iter().flatten().for_each(|entry| take(&mut run, entry));
            }
        }
    }
    Ok(vec![run])
}

fn take(run: &mut Foreign, entry: &Value) {
    let Some(fields) = entry.as_object() else { return };
    let Some(step) = fields.get("step").and_then(Value::as_f64) else { return };
    for (name, value) in fields {
        // Python writes NaN as a word where it writes JSON that others can read.
        let number = python_json::number(value);
        match (name.as_str(), number) {
            ("step", _) | (_, None) => {}
            ("epoch", Some(epoch)) => run.rows.put_clock(step, Clock::Epoch, epoch),
            (name, Some(value)) => run.rows.put(step, name, value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const STATE: &str = r#"{"global_step": 20, "max_steps": 20, "train_batch_size": 8, "log_history": [
        {"epoch": 0.5, "learning_rate": 5e-5, "loss": 2.5, "step": 10},
        {"epoch": 1.0, "eval_loss": 2.25, "step": 20}, {"epoch": 1.0, "train_runtime": 3.5, "step": 20}]}"#;

    fn run(text: &str) -> Foreign {
        let scene = tempfile::tempdir().unwrap();
        for (checkpoint, text) in [("checkpoint-10", "{}"), ("checkpoint-20", text), ("checkpoint-9", "{}")] {
            fs::create_dir(scene.path().join(checkpoint)).unwrap();
            fs::write(scene.path().join(checkpoint).join("trainer_state.json"), text).unwrap();
        }
        let mut files = Files::of(scene.path()).unwrap();
        let readings = claim(&mut files);
        assert_eq!((readings.len(), readings[0].place.as_path()), (1, scene.path()));
        read(&readings[0], &Wish::default()).unwrap().remove(0)
    }

    #[test]
    fn the_newest_checkpoint_tells_all_of_the_log() {
        let whole = run(STATE);
        let table = whole.rows.clone().table();
        assert_eq!(table.columns()[4..], ["learning_rate", "loss", "eval_loss", "train_runtime"]);
        assert_eq!(table.rows().len(), 2);
        assert!(
            whole.has_ended && whole.settings.contains_key("train_batch_size") && whole.warnings.is_empty()
        );
    }

    #[test]
    fn a_state_that_is_cut_off_gives_its_whole_entries() {
        let cut = run(&STATE[..STATE.find("train_runtime").unwrap()]);
        assert_eq!(cut.rows.clone().table().rows().len(), 2);
        assert!(cut.warnings[0].contains("cut off"), "{:?}", cut.warnings);
    }
}
