//! Text that a run takes of one that it needs: what that one wrote. It is copied into the run's own
//! directory before the first attempt, and is the same ever after.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::Unready;
use crate::data_files;
use crate::experiment::settings::Data;
use crate::run_dir::records::{RunRecord, Sample, SampleItem};
use crate::run_dir::stage::{TakenFile, best_finished};
use crate::run_dir::write::{Durability, at, replace, sync_folder};
use crate::run_dir::{RunDir, read};

/// Takes the text, or finds that it is what `before`, the run's last attempt, took.
///
/// # Errors
/// There is none, or it is not what it was; or the disk cannot be written to.
pub fn take(
    dir: &RunDir,
    record: &RunRecord,
    before: Option<&[TakenFile]>,
) -> Result<Vec<TakenFile>, Unready> {
    let Data::Text(text) = &record.settings.data else { return Ok(Vec::new()) };
    if let Some(before) = before {
        return keep(dir, before).map(|()| before.to_vec());
    }
    let mut taken = Vec::new();
    forget_unfinished(dir)?;
    for (place, need, pattern) in text.taken() {
        let (run, _) = best_finished(dir, need)?;
        let source = dir.workspace().run(&run.experiment, &run.run);
        let files = data_files::expand(&[pattern.to_owned()], source.path())
            .map_err(|error| Unready::Held(format!("{}/{}: {error}", run.experiment, run.run)))?;
        for path in files {
            let Ok(file) = path.strip_prefix(source.path()) else { continue };
            let content = content(&path).map_err(Unready::Held)?;
            let target = target(dir, place, file);
            let folder = target.parent().unwrap_or(dir.path());
            fs::create_dir_all(folder).map_err(|error| at(folder, error))?;
            replace(&target, &content, Durability::Synced)?;
            taken.push(TakenFile {
                experiment: run.experiment.clone(),
                run: run.run.clone(),
                file: file.to_string_lossy().into_owned(),
                path: target.strip_prefix(dir.path()).unwrap_or(&target).to_string_lossy().into_owned(),
                bytes: content.len() as u64,
                blake3: blake3::hash(&content).to_hex().to_string(),
            });
        }
    }
    if !taken.is_empty() {
        sync_folder(dir.path())?;
    }
    Ok(taken)
}

/// Removes what was copied for an attempt that never came about.
fn forget_unfinished(dir: &RunDir) -> io::Result<()> {
    let folder = dir.taken_texts();
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(&folder, error)),
        _ => Ok(()),
    }
}

/// Where a file of another run's directory lies in this one's. Names that climb out of it do not come here.
fn target(dir: &RunDir, place: usize, file: &Path) -> PathBuf {
    let names = file.components().filter(|part| matches!(part, Component::Normal(_)));
    let mut target = dir.taken_text(place);
    target.extend(names);
    if target.extension().is_some_and(|ending| ending == "json") {
        target.set_extension("txt");
    }
    target
}

/// What is learned of a file: of a sample its text, prompts and what the model added; of any other all.
fn content(path: &Path) -> Result<Vec<u8>, String> {
    let bytes = read::bytes(path).map_err(|error| format!("{}: {error}", path.display()))?;
    if path.extension().is_none_or(|ending| ending != "json") {
        return Ok(bytes);
    }
    let sample: Sample = serde_json::from_slice(&bytes)
        .map_err(|error| format!("{}: is no sample of text: {error}", path.display()))?;
    let texts = sample.items.iter().filter_map(|item| match item {
        SampleItem::Text { prompt, text, .. } => Some(format!("{prompt}{text}\n")),
        SampleItem::Prediction { .. } | SampleItem::Logged { .. } => None,
    });
    let all: String = texts.collect();
    match all.is_empty() {
        true => Err(format!("{}: holds no text", path.display())),
        false => Ok(all.into_bytes()),
    }
}

fn keep(dir: &RunDir, before: &[TakenFile]) -> Result<(), Unready> {
    for file in before {
        let path = dir.path().join(&file.path);
        let now = read::bytes(&path).map(|bytes| blake3::hash(&bytes).to_hex().to_string());
        let why = match now {
            Ok(hash) if hash == file.blake3 => continue,
            Ok(_) => "has changed".to_owned(),
            Err(error) => error.to_string(),
        };
        let from = format!("{}/{}", file.experiment, file.run);
        return Err(Unready::Held(format!(
            "{}, from which it learned what {from} wrote: {why} (--again queues it anew)",
            path.display()
        )));
    }
    Ok(())
}
