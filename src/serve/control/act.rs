//! What the bodies of changes hold, what is answered, and the changes of runs: each a line in the requests of
//! a run or of the batch.

use std::io;

use schemars::JsonSchema;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};

use super::role::Action;
use crate::queue::asked;
use crate::run_dir::records::Ask;
use crate::run_dir::{RunDir, Workspace, checkpoint};
use crate::serve::api::problem::Problem;

/// An empty object.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// A person's token.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SignIn {
    pub token: String,
}

/// Where to go on from.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Retry {
    /// Step of a checkpoint; 0 begins anew; left out, the last one.
    #[serde(default, deserialize_with = "step")]
    from_step: Option<u64>,
}

/// The place in the queue.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Priority {
    /// Greater ones start first.
    #[serde(deserialize_with = "whole")]
    priority: i64,
}

/// A note.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Note {
    /// Without control characters but line breaks and tabs. Empty: the notes added before go.
    #[schemars(length(max = NOTE), regex(pattern = NOTED))]
    text: String,
}

/// A word to find the run by.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Tag {
    /// Without control characters, and not of spaces alone.
    #[schemars(length(min = 1, max = TAG), regex(pattern = TAGGED))]
    tag: String,
    /// Whether the run shall not have it any more.
    #[serde(default)]
    remove: bool,
}

/// An experiment to queue.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Queue {
    /// The text of its file, as `overnight schema` describes it. Data are named within the workspace.
    pub toml: String,
    /// Whether it is only said what would be queued.
    #[serde(default)]
    pub dry_run: bool,
    /// Its name; left out, one is made of the text.
    #[serde(default)]
    pub name: Option<String>,
}

/// Runs to delete.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Clean {
    /// Each as `EXPERIMENT/RUN`.
    #[schemars(length(min = 1, max = CLEANED))]
    pub runs: Vec<String>,
    /// Without it, it is only said what would go.
    #[serde(default)]
    pub confirm: bool,
}

/// What was asked of a run, and what is true now.
#[derive(Serialize, JsonSchema)]
pub(super) struct Asked {
    /// The person, as in the run's requests.
    who: String,
    action: &'static str,
    experiment: String,
    run: String,
    /// What the run is at after it was asked. What works on it hears of it within seconds.
    status: &'static str,
}

/// The runner was asked.
#[derive(Serialize, JsonSchema)]
pub(super) struct Drained {
    pub who: String,
    pub action: &'static str,
    /// The batch that ends.
    pub batch: String,
}

/// What an experiment comes to.
#[derive(Serialize, JsonSchema)]
pub(super) struct Queued {
    pub experiment: String,
    pub runs: Vec<QueuedRun>,
    /// Whether they are in the queue now.
    pub queued: bool,
}

/// A run of it.
#[derive(Serialize, JsonSchema)]
pub(super) struct QueuedRun {
    pub run: String,
    /// What differs from run to run, by dotted path.
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// False where this run was there before.
    pub new: bool,
    pub steps: u64,
}

/// What deleting these runs comes to.
#[derive(Serialize, JsonSchema)]
pub(super) struct Cleaned {
    pub runs: Vec<CleanedRun>,
    /// Of those that can go, or went.
    pub bytes: u64,
    /// Whether they are gone.
    pub deleted: bool,
}

/// One of them.
#[derive(Serialize, JsonSchema)]
pub(super) struct CleanedRun {
    /// `EXPERIMENT/RUN`.
    pub run: String,
    pub bytes: u64,
    pub can_go: bool,
    /// Why it can go or not.
    pub why: String,
}

/// The most runs that are deleted by one request.
pub(super) const CLEANED: usize = 1000;
/// The most characters of a note and of a tag.
const NOTE: usize = 10_000;
const TAG: usize = 100;
/// What [`plain`] takes of both, in words of the description.
const NOTED: &str = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$";
const TAGGED: &str = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$";

/// Asks it of the run of these names, and says what is true then.
pub(super) fn of_run(
    workspace: &Workspace,
    (who, key): (&str, &str),
    action: Action,
    names: &[String],
    body: &[u8],
) -> Result<Asked, Problem> {
    let ask = match action {
        Action::Pause => read::<Nothing>(body).map(|_| Ask::Pause)?,
        Action::Resume => read::<Nothing>(body).map(|_| Ask::Resume)?,
        Action::Stop => read::<Nothing>(body).map(|_| Ask::Stop)?,
        Action::Retry => Ask::Retry { from_step: read::<Retry>(body)?.from_step },
        Action::Priority => Ask::Priority { priority: read::<Priority>(body)?.priority },
        Action::Note => Ask::Note { text: plain(read::<Note>(body)?.text, 0, NOTE, &['\n', '\t'])? },
        Action::Tag => {
            let Tag { tag, remove } = read(body)?;
            Ask::Tag { tag: plain(tag, 1, TAG, &[])?, remove }
        }
        Action::Queue | Action::Drain | Action::Clean | Action::Checkpoints | Action::Log => {
            return Err(conflict("this is not asked of a run"));
        }
    };
    let (experiment, run) = (names.first().cloned(), names.get(1).cloned());
    let (experiment, run) = (experiment.unwrap_or_default(), run.unwrap_or_default());
    let dir = known_run(workspace, &experiment, &run)?;
    if let Ask::Retry { from_step: Some(step) } = ask
        && step != 0
        && !checkpoint::steps(&dir).contains(&step)
    {
        return Err(conflict(&format!("there is no checkpoint of step {step}")));
    }
    let status = asked::ask(workspace, &dir, (who, key), ask).map_err(failed(workspace))?;
    let status = status.map_err(|why| conflict(&why))?;
    Ok(Asked { who: who.to_owned(), action: action.word(), experiment, run, status })
}

pub(super) fn drain(workspace: &Workspace, who: &str, body: &[u8]) -> Result<Drained, Problem> {
    read::<Nothing>(body)?;
    let batch = asked::drain(workspace, who).map_err(failed(workspace))?;
    let batch = batch.ok_or_else(|| conflict("no runner is at work here"))?;
    Ok(Drained { who: who.to_owned(), action: Action::Drain.word(), batch })
}

/// The directory of a run that is there. Names come from outside: none leaves its folder.
pub(super) fn known_run(workspace: &Workspace, experiment: &str, run: &str) -> Result<RunDir, Problem> {
    let dir = workspace.run(experiment, run);
    match is_one_name(experiment) && is_one_name(run) && dir.run_json().is_file() {
        true => Ok(dir),
        false => Err(Problem::no_such_run(&(experiment.to_owned(), run.to_owned()))),
    }
}

/// Whether this is the name of one folder, and of none that is hidden. Runs of other programs have spaces
/// and signs in their names.
fn is_one_name(name: &str) -> bool {
    let is_odd = |char: char| char == '/' || char.is_control();
    !name.is_empty() && name.len() <= 255 && !name.starts_with('.') && !name.contains(is_odd)
}

/// JSON that is nested deeper than 128 levels is refused by its reader.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let hint = "what to send stands in /api/v1/openapi.json";
    // Its reader takes a list for an object whose fields have no names.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::new(400, "the body is no JSON object", hint));
    }
    serde_json::from_slice(body)
        .map_err(|error| Problem::new(400, format!("the body cannot be read: {error}"), hint))
}

/// A whole number, which some programs write with a point: to JSON 7.0 is 7.
fn whole<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    let number = serde_json::Number::deserialize(from)?;
    let of_real = |real: &f64| real.fract() == 0.0 && (-EDGE..EDGE).contains(real);
    let real = || number.as_f64().filter(of_real).map(|real| real as i64);
    number
        .as_i64()
        .or_else(real)
        .ok_or_else(|| D::Error::custom(format!("{number} is no whole number that is taken")))
}

/// The same from 0 on, or none.
fn step<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(from)? else { return Ok(None) };
    let of_real = |real: &f64| real.fract() == 0.0 && (0.0..2.0 * EDGE).contains(real);
    let real = || number.as_f64().filter(of_real).map(|real| real as u64);
    let step = number.as_u64().or_else(real);
    step.map(Some).ok_or_else(|| D::Error::custom(format!("{number} is no step")))
}

/// Whole numbers of 64 bits end here.
const EDGE: f64 = 9_223_372_036_854_775_808.0;

fn plain(text: String, least: usize, most: usize, allowed: &[char]) -> Result<String, Problem> {
    let is_well = |char: char| !char.is_control() || allowed.contains(&char);
    let length = text.trim().chars().count();
    match (least..=most).contains(&length) && text.chars().count() <= most && text.chars().all(is_well) {
        true => Ok(text),
        false => {
            let detail = format!("this is {least} to {most} characters without control characters");
            Err(Problem::new(400, detail, "write it so"))
        }
    }
}

pub(super) fn conflict(why: &str) -> Problem {
    Problem::new(409, why, "see what the run is at: /api/v1/runs")
}

pub(super) fn failed(workspace: &Workspace) -> impl Fn(io::Error) -> Problem {
    move |error: io::Error| Problem::unavailable(within(workspace, &error.to_string()))
}

/// The same without the place of the workspace on this machine, which is nobody's business elsewhere.
pub(super) fn within(workspace: &Workspace, words: &str) -> String {
    let words = words.replace(&format!("{}/", workspace.experiments().display()), "");
    words.replace(&format!("{}/", workspace.root().display()), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_that_of_one_folder_whatever_signs_it_has() {
        for name in ["a", "a b", "50%", "ä&b", "-x", "a..b", "a\\b"] {
            assert!(is_one_name(name), "{name}");
        }
        for name in ["", ".", "..", ".new-x", "a/b", "../a", "a\nb", "a\r\nb", "a\0", &"x".repeat(256)] {
            assert!(!is_one_name(name), "{name:?}");
        }
    }
}
