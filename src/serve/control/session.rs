//! Who asks, by a bearer or by the cookie that signing in sets, and what they are told of themselves.
//!
//! A browser sends a cookie to every port of a machine: whoever runs another server there gets it as soon as
//! the person looks in. So it is not the token but a word of this server's life, and it alone changes nothing:
//! a second word goes to the script that signed in, and browsers keep that for each port apart.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use blake3::Hash;
use schemars::JsonSchema;
use serde::Serialize;

use super::held;
use super::person::{self, Person};
use super::role::{Action, Role};
use super::roster::Roster;
use crate::run_dir::Workspace;
use crate::serve::head::Head;

/// The people who may act, and the name of their cookie. Cookies do not know ports: two servers of one
/// machine must not overwrite each other's.
pub(super) struct People {
    workspace: Workspace,
    roster: Mutex<Roster>,
    cookie_name: String,
    /// Oldest first.
    sessions: Mutex<Vec<Session>>,
}

/// What a browser was given when somebody signed in there, as hashes.
struct Session {
    place: usize,
    cookie: Hash,
    page: Hash,
}

/// What signing in gives.
pub(super) struct SignedIn {
    pub person: Arc<Person>,
    /// With its attributes.
    pub cookie: String,
    /// What the page says beside the cookie when it changes something.
    pub page: String,
}

/// The header of a page's own word.
pub(in crate::serve) const PAGE: &str = "Overnight-Page";
/// More that one person has are old ones that nobody ended.
const MOST_SESSIONS: usize = 100;

/// Somebody who is known.
#[derive(Debug, Clone)]
pub(in crate::serve) struct Known {
    /// Among the people of this server.
    pub place: usize,
    pub person: Arc<Person>,
    pub by: By,
}

/// How somebody is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::serve) enum By {
    Bearer,
    /// A browser sends it by itself, so that more is asked of such a request: also the word of the page that
    /// signed in.
    Cookie {
        is_with_page: bool,
    },
}

/// Who asks, and what they may do.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::serve) struct Me {
    /// Whether anybody may change anything here.
    pub control: bool,
    /// Null where no token was shown that is known.
    pub person: Option<Named>,
    /// What the person may do.
    pub may: Vec<&'static str>,
}

/// A person.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::serve) struct Named {
    pub name: String,
    pub role: Role,
}

impl Me {
    pub fn of(control: bool, person: Option<&Person>) -> Me {
        let may = |person: &Person| {
            let allowed = Action::ALL.into_iter().filter(|action| person.role.may(*action));
            allowed.map(Action::word).collect()
        };
        Me {
            control,
            may: person.map(may).unwrap_or_default(),
            person: person.map(|person| Named { name: person.name.clone(), role: person.role }),
        }
    }
}

impl People {
    /// `port` is the one listened on.
    pub fn new(workspace: Workspace, people: Vec<Person>, port: u16) -> People {
        People {
            workspace,
            roster: Mutex::new(Roster::new(people)),
            cookie_name: format!("overnight-person-{port}"),
            sessions: Mutex::default(),
        }
    }

    /// Somebody who was known before, unless that is over.
    pub fn at(&self, place: usize) -> Option<Arc<Person>> {
        self.now().at(place)
    }

    /// Those who may act now. The sessions of others end.
    fn now(&self) -> MutexGuard<'_, Roster> {
        let mut roster = held(&self.roster);
        if roster.look(&self.workspace) {
            held(&self.sessions).retain(|session| roster.at(session.place).is_some());
        }
        roster
    }

    /// Who shows a token as a bearer, or the cookie of a session. Nothing in the address counts.
    pub fn of(&self, head: &Head) -> Option<Known> {
        let bearer = head.header("authorization").and_then(|value| {
            let (scheme, word) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(word.trim_start())
        });
        let roster = self.now();
        if let Some((place, person)) = bearer.and_then(|token| roster.of(token)) {
            return Some(Known { place, person, by: By::Bearer });
        }
        let cookie = self.session(head)?;
        let page = head.header(&PAGE.to_ascii_lowercase()).map(|word| blake3::hash(word.as_bytes()));
        let sessions = held(&self.sessions);
        let session = sessions.iter().find(|session| session.cookie == cookie)?;
        let by = By::Cookie { is_with_page: page == Some(session.page) };
        Some(Known { place: session.place, person: roster.at(session.place)?, by })
    }

    /// The cookie of a session that lives, as its hash: hashes compare in constant time.
    pub fn session(&self, head: &Head) -> Option<Hash> {
        let mut given = head.header("cookie").unwrap_or_default().split(';').filter_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            (name == self.cookie_name).then(|| blake3::hash(value.as_bytes()))
        });
        let sessions = held(&self.sessions);
        given.find(|cookie| sessions.iter().any(|session| session.cookie == *cookie))
    }

    /// Begins a session of the person whose token this is; none where it is nobody's. The cookie is out of
    /// reach of scripts, never sent along from another site's page, and ends with the browser.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn sign_in(&self, token: &str) -> io::Result<Option<SignedIn>> {
        let roster = self.now();
        let Some((place, person)) = roster.of(token) else { return Ok(None) };
        let (cookie, page) = (person::token()?, person::token()?);
        let mut sessions = held(&self.sessions);
        let mut own = sessions.iter().enumerate().filter(|(_, session)| session.place == place);
        if own.clone().count() >= MOST_SESSIONS
            && let Some((oldest, _)) = own.next()
        {
            sessions.remove(oldest);
        }
        let hash = |word: &str| blake3::hash(word.as_bytes());
        sessions.push(Session { place, cookie: hash(&cookie), page: hash(&page) });
        let cookie = format!("{}={cookie}; {ATTRIBUTES}", self.cookie_name);
        Ok(Some(SignedIn { person, cookie, page }))
    }

    /// Ends a session, and gives the cookie that takes its own away.
    pub fn sign_out(&self, session: Option<Hash>) -> String {
        held(&self.sessions).retain(|known| Some(known.cookie) != session);
        format!("{}=; {ATTRIBUTES}; Max-Age=0", self.cookie_name)
    }
}

const ATTRIBUTES: &str = "Path=/; HttpOnly; SameSite=Strict";
