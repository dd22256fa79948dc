//! Which address means which change, and the change itself: a line in the requests of a run or of the batch.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::role::Action;
use crate::queue::asked;
use crate::run_dir::records::Ask;
use crate::run_dir::{Workspace, checkpoint, is_plain_name};
use crate::serve::api::problem::Problem;

/// What is changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    Run { experiment: String, run: String },
    Batch,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Retry {
    from_step: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Priority {
    priority: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tag {
    tag: String,
}

/// The most characters of a note and of a tag.
const NOTE: usize = 10_000;
const TAG: usize = 100;

/// Reads `/api/v1/runs/EXPERIMENT/RUN/ACTION` and `/api/v1/queue/drain`. Names are plain, so none leaves
/// its folder.
pub(super) fn find(path: &str) -> Result<(Action, Target), Problem> {
    let parts: Vec<&str> = path.strip_prefix("/api/v1/").unwrap_or_default().split('/').collect();
    let found = match parts.as_slice() {
        ["queue", "drain"] => Some((Action::Drain, Target::Batch)),
        ["runs", experiment, run, word] if is_plain_name(experiment) && is_plain_name(run) => {
            let action = Action::ALL.into_iter().find(|action| action.word() == *word);
            let target = Target::Run { experiment: (*experiment).to_owned(), run: (*run).to_owned() };
            action.filter(|action| *action != Action::Drain).map(|action| (action, target))
        }
        _ => None,
    };
    found.ok_or_else(|| Problem::no_such_path(path))
}

/// Makes the change, and says what is true then.
pub(super) fn act(
    workspace: &Workspace,
    who: &str,
    action: Action,
    target: &Target,
    body: &[u8],
) -> Result<String, Problem> {
    let ask = match action {
        Action::Drain => {
            read::<Nothing>(body)?;
            let batch = asked::drain(workspace, who).map_err(failed)?;
            let batch = batch.ok_or_else(|| conflict("no runner is at work here"))?;
            return Ok(json!({ "who": who, "action": "drain", "batch": batch }).to_string());
        }
        Action::Pause => read::<Nothing>(body).map(|_| Ask::Pause)?,
        Action::Resume => read::<Nothing>(body).map(|_| Ask::Resume)?,
        Action::Stop => read::<Nothing>(body).map(|_| Ask::Stop)?,
        Action::Retry => Ask::Retry { from_step: read::<Retry>(body)?.from_step },
        Action::Priority => Ask::Priority { priority: read::<Priority>(body)?.priority },
        Action::Note => Ask::Note { text: plain(read::<Note>(body)?.text, NOTE, &['\n', '\t'])? },
        Action::Tag => Ask::Tag { tag: plain(read::<Tag>(body)?.tag, TAG, &[])? },
    };
    let Target::Run { experiment, run } = target else {
        return Err(conflict("this is asked of a run"));
    };
    let dir = workspace.run(experiment, run);
    if !dir.run_json().is_file() {
        return Err(Problem::no_such_run(&(experiment.clone(), run.clone())));
    }
    if let Ask::Retry { from_step: Some(step) } = ask
        && step != 0
        && !checkpoint::steps(&dir).contains(&step)
    {
        return Err(conflict(&format!("there is no checkpoint of step {step}")));
    }
    let told = asked::ask(workspace, &dir, who, ask).map_err(failed)?.map_err(|why| conflict(&why))?;
    Ok(json!({
        "who": who,
        "action": action.word(),
        "experiment": experiment,
        "run": run,
        "status": told,
    })
    .to_string())
}

/// JSON that is nested deeper than 128 levels is refused by its reader.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body)
        .map_err(|error| Problem::new(400, format!("the body cannot be read: {error}"), "send a JSON object"))
}

fn plain(text: String, most: usize, allowed: &[char]) -> Result<String, Problem> {
    let is_well = |char: char| !char.is_control() || allowed.contains(&char);
    match !text.trim().is_empty() && text.chars().count() <= most && text.chars().all(is_well) {
        true => Ok(text),
        false => {
            let detail = format!("this is 1 to {most} characters without control characters");
            Err(Problem::new(400, detail, "write it so"))
        }
    }
}

fn conflict(why: &str) -> Problem {
    Problem::new(409, why, "see what the run is at: /api/v1/runs")
}

fn failed(error: std::io::Error) -> Problem {
    Problem::unavailable(error.to_string())
}
