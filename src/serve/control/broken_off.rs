//! A change that was begun under a key and whose outcome nobody wrote down, because the server died over it:
//! asked again, it is told what the workspace shows, and nothing is done. What is asked of a run needs none of
//! this: its key stands in the run's own requests.

use super::Told;
use super::act::{self, Clean, Drained, Nothing};
use super::queueing::{self, Prepared};
use super::role::Action;
use crate::queue::asked;
use crate::run_dir::Workspace;
use crate::serve::api::problem::Problem;

pub(super) fn shown(
    workspace: &Workspace,
    who: &str,
    action: Action,
    prepared: Option<Result<Prepared, Problem>>,
    body: &[u8],
) -> Result<Told, Problem> {
    match (action, prepared) {
        (Action::Queue, Some(prepared)) => {
            let mut prepared = prepared?;
            prepared.dry_run = true;
            let mut told = queueing::queue(workspace, &prepared)?;
            let missing = told.runs.iter().filter(|run| run.new).count();
            match missing {
                0 => {
                    told.queued = true;
                    Told::well(&told)
                }
                _ => Err(unknown(&format!("{missing} of its {} runs are not in the queue", told.runs.len()))),
            }
        }
        (Action::Clean, _) => {
            let Clean { runs, .. } = act::read(body)?;
            let is_there = |name: &&String| {
                let (experiment, run) = name.split_once('/').unwrap_or((name, ""));
                act::known_run(workspace, experiment, run).is_ok()
            };
            let left: Vec<&str> = runs.iter().filter(is_there).map(String::as_str).collect();
            Err(unknown(&match left.as_slice() {
                [] => "none of these runs is there any more".to_owned(),
                [first, rest @ ..] => match rest.len() {
                    0 => format!("{first} is there"),
                    more => format!("{first} and {more} more of these runs are there"),
                },
            }))
        }
        _ => {
            act::read::<Nothing>(body)?;
            match asked::is_drained_by(workspace, who) {
                Some(batch) => {
                    Told::well(&Drained { who: who.to_owned(), action: Action::Drain.word(), batch })
                }
                None => Err(unknown("no batch at work was asked to end by this person")),
            }
        }
    }
}

fn unknown(shown: &str) -> Problem {
    let detail = format!("this was begun, and the server ended before it told what became of it: {shown}");
    Problem::new(409, detail, "ask again under a new key if it is still wanted")
}
