//! What people change over the network, where that is switched on: who they are, what their role lets them
//! do, and the one door through which a change goes. Off unless `overnight.toml` names people and says
//! `control = true`.

mod act;
mod allowance;
mod answered;
mod broken_off;
mod checks;
mod cleaning;
mod journal;
pub mod person;
pub(in crate::serve) mod posts;
mod queueing;
pub mod role;
mod roster;
pub(in crate::serve) mod session;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use self::act::Nothing;
use self::allowance::Allowances;
use self::answered::{Answer, Answered, Before};
use self::journal::{Journal, Line};
use self::person::Person;
use self::posts::Asks;
use self::queueing::Prepared;
use self::role::Action;
use self::session::{By, Known, Me, People, SignedIn};
use super::api;
use super::api::problem::Problem;
use super::head::Head;
use crate::run_dir::{Workspace, scan};

/// Everything that a change is decided by.
pub(super) struct Control {
    workspace: Workspace,
    people: People,
    allowances: Mutex<Allowances>,
    /// Of addresses that sign in.
    sign_ins: Mutex<Allowances>,
    /// Held while a change is made: what comes twice at once is made once.
    answered: Mutex<Answered>,
    /// Held while an experiment is checked, which may take long: one at a time.
    checking: Mutex<()>,
    journal: Journal,
}

/// A request that may be carried out once its body is there.
pub(super) struct Permitted {
    pub body_bytes: usize,
    path: String,
    what: What,
}

enum What {
    SignIn,
    /// Of the session with this cookie.
    SignOut {
        session: Option<blake3::Hash>,
    },
    Change {
        place: usize,
        person: String,
        key: String,
        action: Action,
        names: Vec<String>,
    },
}

/// What a request is answered with.
pub(super) struct Told {
    pub status: u16,
    pub body: String,
    pub headers: Vec<(&'static str, String)>,
}

/// How long an experiment waits for others that are checked.
const CHECK_PATIENCE: Duration = Duration::from_secs(10);

impl Control {
    /// `port` is the one listened on.
    pub fn new(workspace: Workspace, people: Vec<Person>, port: u16) -> Control {
        let journal = Journal::new(&workspace);
        Control {
            people: People::new(workspace.clone(), people, port),
            allowances: Mutex::default(),
            sign_ins: Mutex::default(),
            answered: Mutex::new(journal.answered()),
            checking: Mutex::default(),
            journal,
            workspace,
        }
    }

    /// Who shows a token.
    pub fn known(&self, head: &Head) -> Option<Known> {
        self.people.of(head)
    }

    /// Somebody who was known before, unless that is over.
    pub fn person(&self, place: usize) -> Option<Arc<Person>> {
        self.people.at(place)
    }

    /// Decides by the head alone, before a byte of the body is read. `from` is who has connected.
    pub fn permit(&self, head: &Head, from: IpAddr, now: Instant) -> Result<Permitted, Problem> {
        let path = head.path();
        let (post, names) = posts::find(path).ok_or_else(|| match api::is_read(path) {
            true => Problem::method("GET, HEAD"),
            false => Problem::no_such_path(path),
        })?;
        let body_bytes = checks::form(head)?;
        let action = match post.asks {
            Asks::Change(action) => action,
            Asks::SignIn | Asks::SignOut => {
                checks::origin(head)?;
                if let Err(seconds) = held(&self.sign_ins).take(&from.to_string(), now) {
                    return Err(Problem::too_often("too many tries to sign in", seconds));
                }
                let what = match post.asks {
                    Asks::SignIn => What::SignIn,
                    _ => What::SignOut { session: self.people.session(head) },
                };
                return Ok(Permitted { body_bytes, path: path.to_owned(), what });
            }
        };
        let known = self.people.of(head).ok_or_else(unknown)?;
        match known.by {
            By::Bearer => checks::origin(head)?,
            By::Cookie { is_with_page } => {
                checks::told_origin(head)?;
                if !is_with_page {
                    return Err(Problem::new(401, "this page did not sign in itself", "sign in again"));
                }
            }
        }
        let Known { place, person, .. } = known;
        if !person.role.may(action) {
            return Err(not_allowed(&person, action));
        }
        let key = checks::key(head)?;
        // What brings things to an end is not held up by what the same person asked for before.
        let allowance = match action {
            Action::Stop | Action::Drain => format!("{}, to end", person.name),
            _ => person.name.clone(),
        };
        if let Err(seconds) = held(&self.allowances).take(&allowance, now) {
            return Err(Problem::too_often("too many changes in a short time", seconds));
        }
        let what = What::Change { place, person: person.name.clone(), key, action, names };
        Ok(Permitted { body_bytes, path: path.to_owned(), what })
    }

    /// Remembers who was not let through, where that is worth knowing.
    pub fn refused(&self, person: Option<&Person>, path: &str, status: u16) {
        if matches!(status, 401 | 403 | 429) {
            let who = person.map(|person| who(&person.name));
            self.journal.refusal(who.as_deref(), path, status, Instant::now());
        }
    }

    /// Carries out what is permitted.
    pub fn carry_out(&self, permitted: &Permitted, body: &[u8]) -> Told {
        let path = &permitted.path;
        match &permitted.what {
            What::SignIn => self.sign_in(path, body).unwrap_or_else(|problem| Told::refusal(&problem, path)),
            What::SignOut { session } => {
                self.sign_out(*session, body).unwrap_or_else(|problem| Told::refusal(&problem, path))
            }
            // The body came later than the head, and the person may be gone since.
            What::Change { place, .. } if self.people.at(*place).is_none() => {
                self.refused(None, path, 401);
                Told::refusal(&unknown(), path)
            }
            What::Change { person, key, action, names, .. } => {
                let asker = (person.clone(), key.clone());
                self.change(path, asker, *action, names, body)
            }
        }
    }

    fn sign_in(&self, path: &str, body: &[u8]) -> Result<Told, Problem> {
        let token = act::read::<act::SignIn>(body)?.token;
        let Some(SignedIn { person, cookie, page }) =
            self.people.sign_in(&token).map_err(act::failed(&self.workspace))?
        else {
            self.refused(None, path, 401);
            return Err(unknown());
        };
        let headers = vec![("Set-Cookie", cookie), (session::PAGE, page)];
        Ok(Told { headers, ..Told::well(&Me::of(true, Some(&person)))? })
    }

    fn sign_out(&self, session: Option<blake3::Hash>, body: &[u8]) -> Result<Told, Problem> {
        act::read::<Nothing>(body)?;
        let headers = vec![("Set-Cookie", self.people.sign_out(session))];
        Ok(Told { headers, ..Told::well(&Me::of(true, None))? })
    }

    /// A key that was answered before gets the same answer again, a refusal too, and nothing is done. A body
    /// that could not be read was no change yet, and what failed for the machine's sake may be tried again.
    /// A change that a server died over is never made twice: what the workspace shows of it is told.
    fn change(
        &self,
        path: &str,
        asker: answered::Asker,
        action: Action,
        names: &[String],
        body: &[u8],
    ) -> Told {
        let mut hasher = blake3::Hasher::new();
        hasher.update(path.as_bytes()).update(b"\0").update(body);
        let asked = hasher.finalize();
        if let Some(told) = Told::before(held(&self.answered).before(&asker, asked), path) {
            return told;
        }
        let prepared = match action {
            Action::Queue => match self.prepare(body) {
                Ok(prepared) if prepared.dry_run => {
                    let told = queueing::queue(&self.workspace, &prepared).and_then(|told| Told::well(&told));
                    return told.unwrap_or_else(|problem| Told::refusal(&problem, path));
                }
                prepared => Some(prepared),
            },
            _ => None,
        };
        let mut answered = held(&self.answered);
        // The same may have come twice at once.
        let before = answered.before(&asker, asked);
        let is_broken_off = before == Before::Begun;
        if let Some(told) = Told::before(before, path) {
            return told;
        }
        let who = who(&asker.0);
        let line = |outcome: Option<&Told>| {
            let is_kept = outcome.is_none_or(Told::is_kept);
            Line {
                time: scan::now(),
                who: who.clone(),
                path: path.to_owned(),
                key: asker.1.clone(),
                status: outcome.map(|told| told.status),
                asked: is_kept.then(|| asked.to_hex().to_string()),
                answer: outcome.filter(|_| is_kept).map(|told| told.body.clone()),
            }
        };
        let made = match (is_broken_off, action, prepared) {
            (true, Action::Queue | Action::Drain | Action::Clean, prepared) => {
                broken_off::shown(&self.workspace, &who, action, prepared, body)
            }
            (_, action, prepared) => {
                answered.begin(asker.clone(), asked);
                self.journal.change(line(None));
                match (action, prepared) {
                    (Action::Queue, Some(prepared)) => prepared
                        .and_then(|prepared| queueing::queue(&self.workspace, &prepared))
                        .and_then(|told| Told::well(&told)),
                    (Action::Drain, _) => {
                        act::drain(&self.workspace, &who, body).and_then(|told| Told::well(&told))
                    }
                    (Action::Clean, _) => {
                        cleaning::clean(&self.workspace, body).and_then(|told| Told::well(&told))
                    }
                    // What stands in the run's requests under this key is not asked of it again.
                    _ => act::of_run(&self.workspace, (&who, &asker.1), action, names, body)
                        .and_then(|told| Told::well(&told)),
                }
            }
        };
        let told = made.unwrap_or_else(|problem| Told::refusal(&problem, path));
        self.journal.change(line(Some(&told)));
        match told.is_kept() {
            true => {
                answered.keep(asker, asked, Answer { status: told.status, body: Some(told.body.clone()) })
            }
            false => answered.forget(&asker),
        }
        told
    }

    /// Checks an experiment, one at a time: its data may be large.
    fn prepare(&self, body: &[u8]) -> Result<Prepared, Problem> {
        let begun = Instant::now();
        let _turn = loop {
            match self.checking.try_lock() {
                Ok(turn) => break turn,
                Err(TryLockError::Poisoned(turn)) => break turn.into_inner(),
                Err(TryLockError::WouldBlock) if begun.elapsed() > CHECK_PATIENCE => {
                    return Err(Problem::unavailable("other experiments are being checked"));
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        queueing::prepare(&self.workspace, body)
    }
}

impl Told {
    fn well(value: &impl serde::Serialize) -> Result<Told, Problem> {
        let body = serde_json::to_string(value).map_err(|error| Problem::unavailable(error.to_string()))?;
        Ok(Told { status: 200, body, headers: Vec::new() })
    }

    /// Whether the same is answered whenever it is asked again.
    fn is_kept(&self) -> bool {
        !matches!(self.status, 400 | 503)
    }

    pub fn refusal(problem: &Problem, path: &str) -> Told {
        let body = String::from_utf8_lossy(&problem.json(path)).into_owned();
        Told { status: problem.status, body, headers: problem.headers.clone() }
    }

    fn before(before: Before, path: &str) -> Option<Told> {
        let problem = match before {
            Before::Never | Before::Begun => return None,
            Before::Answered(Answer { status, body: Some(body) }) => {
                return Some(Told { status, body, headers: Vec::new() });
            }
            Before::Answered(_) => {
                let detail =
                    "this was answered before the server started, and the answer was too long to keep";
                Problem::new(409, detail, "see what is true now: /api/v1/runs")
            }
            Before::Taken => {
                let detail = "this Idempotency-Key stood with another request";
                Problem::new(422, detail, "take a new one for each change")
            }
        };
        Some(Told::refusal(&problem, path))
    }
}

/// Nobody shows a token that is known.
pub(super) fn unknown() -> Problem {
    Problem::new(401, "nobody is known by this token", "send your own as a bearer, or sign in")
}

pub(super) fn not_allowed(person: &Person, action: Action) -> Problem {
    let detail = match action {
        Action::Log | Action::Checkpoints => {
            format!("{} {} may not download this", article(person), person.role.word())
        }
        _ => format!("{} {} may not {}", article(person), person.role.word(), action.word()),
    };
    Problem::new(403, detail, "ask an owner of this workspace")
}

fn article(person: &Person) -> &'static str {
    if person.role == role::Role::Viewer { "a" } else { "an" }
}

/// As it stands in records.
fn who(name: &str) -> String {
    format!("web:{name}")
}

/// What a panic left behind is still whole here: every change of it is one insertion.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
