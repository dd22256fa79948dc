//! Who asks, by a bearer or by the cookie that signing in sets, and what they are told of themselves.

use schemars::JsonSchema;
use serde::Serialize;

use super::person::{self, Person};
use super::role::{Action, Role};
use crate::serve::head::Head;

/// The people who may act, and the name of their cookie. Cookies do not know ports: two servers of one
/// machine must not overwrite each other's.
pub(super) struct People {
    people: Vec<Person>,
    cookie_name: String,
}

/// Somebody who is known.
#[derive(Debug, Clone, Copy)]
pub(in crate::serve) struct Known<'p> {
    /// Among the people of this server.
    pub place: usize,
    pub person: &'p Person,
    /// A browser sends it by itself, so that more is asked of such a request.
    pub by_cookie: bool,
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
    pub fn new(people: Vec<Person>, port: u16) -> People {
        People { people, cookie_name: format!("overnight-person-{port}") }
    }

    pub fn at(&self, place: usize) -> Option<&Person> {
        self.people.get(place)
    }

    /// Who shows a token: as a bearer, or as the cookie. Nothing in the address counts.
    pub fn of(&self, head: &Head) -> Option<Known<'_>> {
        let bearer = head.header("authorization").and_then(|value| {
            let (scheme, word) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(word.trim_start())
        });
        let known = |token: &str, by_cookie| {
            let place = person::of(&self.people, token)?;
            Some(Known { place, person: &self.people[place], by_cookie })
        };
        bearer.and_then(|token| known(token, false)).or_else(|| {
            let given = head.header("cookie").unwrap_or_default().split(';');
            let mut tokens = given.filter_map(|pair| {
                let (name, value) = pair.trim().split_once('=')?;
                (name == self.cookie_name).then_some(value)
            });
            tokens.find_map(|token| known(token, true))
        })
    }

    /// The person of a token, and the cookie that keeps it: out of reach of scripts, and never sent along
    /// from another site's page. It ends with the browser.
    pub fn sign_in(&self, token: &str) -> Option<(&Person, String)> {
        let place = person::of(&self.people, token)?;
        let cookie = format!("{}={token}; {ATTRIBUTES}", self.cookie_name);
        Some((&self.people[place], cookie))
    }

    pub fn sign_out(&self) -> String {
        format!("{}=; {ATTRIBUTES}; Max-Age=0", self.cookie_name)
    }
}

const ATTRIBUTES: &str = "Path=/; HttpOnly; SameSite=Strict";
