//! What people change over the network, where that is switched on: who they are, what their role lets them
//! do, and the one door through which a change goes. Off unless `overnight.toml` names people and says
//! `control = true`.

mod act;
mod allowance;
mod checks;
mod journal;
pub mod person;
pub mod role;

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use self::allowance::Allowances;
use self::person::Person;
use self::role::Action;
use super::api::problem::Problem;
use super::head::Head;
use crate::run_dir::Workspace;

/// Everything that a change is decided by.
pub(super) struct Control {
    workspace: Workspace,
    people: Vec<Person>,
    allowances: Mutex<Allowances>,
    /// Held while a change is made: what comes twice at once is made once.
    answered: Mutex<Answered>,
}

/// A request that may be carried out once its body is there.
pub(super) struct Permitted {
    person: String,
    key: String,
    path: String,
    action: Action,
    target: act::Target,
    pub body_bytes: usize,
}

/// Answers that were given, by person and key.
#[derive(Default)]
struct Answered {
    answers: HashMap<(String, String), (blake3::Hash, String)>,
    order: VecDeque<(String, String)>,
}

/// A body takes this long at the most.
pub(super) const BODY_DEADLINE: Duration = Duration::from_secs(10);
/// Keys that are remembered, of all people together.
const KEYS: usize = 10_000;

impl Control {
    pub fn new(workspace: Workspace, people: Vec<Person>) -> Control {
        Control {
            workspace,
            people,
            allowances: Mutex::new(Allowances::default()),
            answered: Mutex::new(Answered::default()),
        }
    }

    /// Decides by the head alone, before a byte of the body is read.
    pub fn permit(&self, head: &Head, now: Instant) -> Result<Permitted, Problem> {
        let (action, target) = act::find(head.path())?;
        let body_bytes = checks::form(head)?;
        let person = person::of(&self.people, head)
            .ok_or_else(|| Problem::new(401, "nobody is known by this token", "send your own as a bearer"))?;
        checks::origin(head)?;
        if !person.role.may(action) {
            let detail = format!("a {} may not {}", person.role.word(), action.word());
            return Err(Problem::new(403, detail, "ask an owner of this workspace"));
        }
        let key = checks::key(head)?;
        if let Err(seconds) = held(&self.allowances).take(&person.name, now) {
            let detail = "too many changes in a short time";
            return Err(Problem::new(429, detail, format!("try again in {seconds} seconds")));
        }
        Ok(Permitted {
            person: person.name.clone(),
            key,
            path: head.path().to_owned(),
            action,
            target,
            body_bytes,
        })
    }

    /// Carries out what is permitted. A key that was answered before gets the same answer again, and
    /// nothing is done.
    pub fn carry_out(&self, permitted: &Permitted, body: &[u8]) -> Result<String, Problem> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(permitted.path.as_bytes()).update(b"\0").update(body);
        let asked = hasher.finalize();
        let name = (permitted.person.clone(), permitted.key.clone());
        let mut answered = held(&self.answered);
        if let Some((before, answer)) = answered.answers.get(&name) {
            return match *before == asked {
                true => Ok(answer.clone()),
                false => Err(Problem::new(
                    422,
                    "this Idempotency-Key stood with another request",
                    "take a new one for each change",
                )),
            };
        }
        let who = format!("web:{}", permitted.person);
        let done = act::act(&self.workspace, &who, permitted.action, &permitted.target, body);
        let status = done.as_ref().map_or_else(|problem| problem.status, |_| 200);
        // What was done is done, and stands in the requests too.
        drop(journal::write(&self.workspace, &who, &permitted.path, &permitted.key, status));
        let answer = done?;
        answered.keep(name, (asked, answer.clone()));
        Ok(answer)
    }
}

impl Answered {
    fn keep(&mut self, name: (String, String), answer: (blake3::Hash, String)) {
        if self.order.len() == KEYS
            && let Some(oldest) = self.order.pop_front()
        {
            self.answers.remove(&oldest);
        }
        self.order.push_back(name.clone());
        self.answers.insert(name, answer);
    }
}

/// What a panic left behind is still whole here: every change of it is one insertion.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
