//! What the page of a run says of the result of another that it began with.

use crate::report::files::RunFiles;
use crate::run_dir::stage::not_taken;
use crate::run_dir::status::last_start;

/// What it has of others' results.
pub fn sentences(files: &RunFiles) -> Vec<String> {
    weights(files).into_iter().chain(text(files)).collect()
}

/// Whose text it learns from.
fn text(files: &RunFiles) -> Option<String> {
    let taken = &last_start(&files.seen.attempts)?.text;
    let first = taken.first()?;
    let mut names: Vec<String> =
        taken.iter().map(|file| format!("{}/{}", file.experiment, file.run)).collect();
    names.dedup();
    let count = crate::say::counted(taken.len(), "file", "files");
    let bytes = crate::say::bytes(taken.iter().map(|file| file.bytes).sum());
    Some(format!(
        "It learned from text of {} ({count}, {bytes}, the first {}).",
        names.join(" and "),
        first.file
    ))
}

/// Where its first weights come from, if not from its seed.
fn weights(files: &RunFiles) -> Option<String> {
    let asked = files.seen.record.as_ref().ok()?.settings.weights.as_ref()?;
    let Some(taken) = last_start(&files.seen.attempts).and_then(|start| start.weights.as_ref()) else {
        return Some(format!("It will begin with the weights of {}.", asked.from));
    };
    let models = files.taken_model.as_ref().zip(files.model.as_ref());
    let left = models.map(|(theirs, ours)| not_taken(theirs, ours)).unwrap_or_default();
    let but = match left.is_empty() {
        true => String::new(),
        false => format!(", but for {}, because its classes are others", left.join(" and ")),
    };
    Some(format!("It began with the weights of {}{but}.", taken.words()))
}
