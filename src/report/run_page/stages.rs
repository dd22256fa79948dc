//! What the page of a run says of the result of another that it began with.

use crate::report::files::RunFiles;
use crate::run_dir::stage::not_taken;
use crate::run_dir::status::last_start;

/// Where its first weights come from, if not from its seed.
pub fn sentence(files: &RunFiles) -> Option<String> {
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
