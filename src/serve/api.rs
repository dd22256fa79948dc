//! What programs ask: JSON under `/api/v1/`, numbers for Prometheus, and whether the server lives.
//!
//! One table, [`ROUTES`], says what there is: requests are read by it and `openapi.json` is written by it,
//! so neither can say what the other does not. An endpoint is a file here with its route, its answer and
//! the types of that answer. What a request names is looked up among the runs that the report knows; no
//! part of it ever becomes a path by itself.

mod batch;
mod call;
mod checkpoints;
mod described;
mod distributions;
mod experiment_schema;
mod experiments;
mod health;
mod index;
mod log;
mod me;
mod metrics;
mod openapi;
mod outline;
mod probes;
pub(super) mod problem;
mod progress;
mod prometheus;
mod queue;
pub(super) mod route;
mod run;
mod runs;
mod samples;
mod system;

use std::io::{self, Cursor, Read};
use std::path::Path;
use std::sync::Arc;

use flate2::Compression;
use flate2::read::GzEncoder;

use self::call::{Call, Reply, Values};
use self::index::Index;
use self::problem::Problem;
use self::route::{Access, Route};
use super::answer::{Answer, Asked, accepts_gzip, lists};
use super::control::person::Person;
use super::control::{self, Control};
use super::events::Changes;
use crate::run_dir::Workspace;

/// Everything that is answered here, in the order of its description.
const ROUTES: &[Route] = &[
    runs::ROUTE,
    run::ROUTE,
    progress::ROUTE,
    metrics::ROUTE,
    distributions::ROUTE,
    samples::ROUTE,
    log::LOG,
    log::STDERR,
    checkpoints::LIST,
    checkpoints::FILE,
    experiments::ROUTE,
    queue::ROUTE,
    system::ROUTE,
    experiment_schema::ROUTE,
    me::ROUTE,
    health::ROUTE,
    described::ROUTE,
    prometheus::ROUTE,
    probes::HEALTHZ,
    probes::READYZ,
];

/// What the answers are made from.
pub(super) struct Api {
    pub workspace: Workspace,
    pub changes: Changes,
    pub index: Index,
    /// Where people are named who may act.
    pub control: Option<Arc<Control>>,
}

impl Api {
    /// `reports` is that folder of a workspace.
    pub fn new(reports: &Path, changes: Changes, control: Option<Arc<Control>>) -> Api {
        let workspace = Workspace::new(reports.parent().unwrap_or(reports));
        Api { index: Index::new(&workspace), workspace, changes, control }
    }

    pub fn answer(&self, asked: &Asked) -> Answer {
        match self.reply(asked) {
            Ok(reply) => reply.answer(asked).unwrap_or_else(|problem| refusal(problem, asked.path)),
            Err(problem) => refusal(problem, asked.path),
        }
    }

    fn reply(&self, asked: &Asked) -> Result<Reply, Problem> {
        let (route, names) = route::find(ROUTES, asked.path).ok_or_else(|| self.no_route(asked.path))?;
        self.admit(route.access, asked)?;
        let values = Values::read(route, &names, asked.query)?;
        (route.answer)(&Call { api: self, values, asked })
    }

    /// Who asks, where that is somebody who may act.
    pub fn person(&self, asked: &Asked) -> Option<Arc<Person>> {
        self.control.as_ref()?.person(asked.person?)
    }

    /// What is only posted to is named as that, where people may.
    fn no_route(&self, path: &str) -> Problem {
        match self.control.is_some() && control::posts::find(path).is_some() {
            true => Problem::method("POST"),
            false => Problem::no_such_path(path),
        }
    }

    fn admit(&self, access: Access, asked: &Asked) -> Result<(), Problem> {
        let (Access::Role(action) | Access::RoleWhereNamed(action)) = access else { return Ok(()) };
        let Some(control) = &self.control else {
            return match access {
                Access::Role(_) => Err(Problem::new(
                    403,
                    "only people who are named may have this, and nobody is",
                    "name them: overnight serve --add-person, and control = true below [server]",
                )),
                _ => Ok(()),
            };
        };
        let person = self.person(asked);
        let problem = match &person {
            None => control::unknown(),
            Some(person) if !person.role.may(action) => control::not_allowed(person, action),
            Some(_) => return Ok(()),
        };
        control.refused(person.as_deref(), asked.path, problem.status);
        Err(problem)
    }
}

/// Whether an address is one of these, also where nothing is there: then it is refused as programs expect.
pub(super) fn is_asked(path: &str) -> bool {
    path == "/api" || path.starts_with("/api/") || ROUTES.iter().any(|route| route.path == path)
}

/// Sent compressed from this size on, and up to that one.
const COMPRESSED: std::ops::RangeInclusive<usize> = 512..=8 << 20;

impl Reply {
    fn answer(self, asked: &Asked) -> Result<Answer, Problem> {
        let gzip = asked.accept_encoding.is_some_and(accepts_gzip);
        let ending = if gzip { "-gz" } else { "" };
        let is_known = |version: &str| {
            let tag = format!("\"{version}{ending}\"");
            asked.if_none_match.is_some_and(|tags| lists(tags, &tag))
        };
        let (content_type, version, body) = match self {
            Reply::File(answer) => return Ok(answer),
            // Known before it is read.
            Reply::Later { version, .. } if is_known(&version) => {
                return Ok(sent(304, Vec::new(), Some(format!("\"{version}{ending}\""))));
            }
            Reply::Later { version, make } => (JSON, version, make()?),
            Reply::Now { content_type, body } => {
                let hash = blake3::hash(&body).to_hex();
                (content_type, hash[..24].to_owned(), body)
            }
        };
        let tag = format!("\"{version}{ending}\"");
        if is_known(&version) {
            return Ok(sent(304, Vec::new(), Some(tag)));
        }
        let mut compressed = Vec::new();
        let is_compressed = gzip
            && COMPRESSED.contains(&body.len())
            && GzEncoder::new(body.as_slice(), Compression::new(5)).read_to_end(&mut compressed).is_ok();
        let mut answer = sent(200, if is_compressed { compressed } else { body }, Some(tag));
        answer.headers.push(("Content-Type", content_type.to_owned()));
        answer.headers.push(("Vary", "Accept, Accept-Encoding".to_owned()));
        if is_compressed {
            answer.headers.push(("Content-Encoding", "gzip".to_owned()));
        }
        Ok(answer)
    }
}

/// Whether something is read there.
pub(super) fn is_read(path: &str) -> bool {
    route::find(ROUTES, path).is_some()
}

fn refusal(problem: Problem, path: &str) -> Answer {
    let mut answer = sent(problem.status, problem.json(path), None);
    answer.headers.push(("Content-Type", problem::CONTENT_TYPE.to_owned()));
    answer.headers.extend(problem.headers);
    answer
}

fn sent(status: u16, body: Vec<u8>, tag: Option<String>) -> Answer {
    let headers = tag.into_iter().map(|tag| ("ETag", tag)).collect();
    let length = body.len() as u64;
    let body: Box<dyn Read + Send> =
        if body.is_empty() { Box::new(io::empty()) } else { Box::new(Cursor::new(body)) };
    Answer { status, headers, length, body }
}

const JSON: &str = "application/json";

#[cfg(test)]
mod tests;
