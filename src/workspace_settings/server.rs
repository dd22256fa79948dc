//! `[server]`: where `overnight serve` shows the report, where the command line does not say otherwise.

use std::net::{IpAddr, Ipv4Addr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::experiment::Problem;
use crate::run_dir::is_plain_name;
use crate::serve::control::person::{self, Person};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSettings {
    /// The port, 1 to 65,535; 0 is 8990 or the next that is free. Default: 0.
    pub port: u16,
    /// The address to listen on. Default: 127.0.0.1, this machine alone; anywhere else a token is asked for.
    pub address: IpAddr,
    /// Further names that the server may be called by, beside its address. Default: none.
    pub hosts: Vec<String>,
    /// The token that readers give once in the address (`?token=`). Default: none on this machine alone,
    /// elsewhere one that is made and printed at each start.
    pub token: Option<String>,
    /// Whether the people named here may change something over the network. Default: false.
    pub control: bool,
    /// Who may act, each with a role; `overnight serve --add-person NAME` writes one. Default: nobody.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub people: Vec<Person>,
}

impl Default for ServerSettings {
    fn default() -> Self {
        ServerSettings {
            port: 0,
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            hosts: Vec::new(),
            token: None,
            control: false,
            people: Vec::new(),
        }
    }
}

impl ServerSettings {
    pub(super) fn problems(&self) -> Vec<Problem> {
        let empty = self.hosts.iter().position(|host| host.trim().is_empty());
        let problem = |index| {
            Problem::new(
                format!("server.hosts[{index}]"),
                "a name of the server is empty",
                "write a name such as box.lan",
            )
        };
        let no_word = self.token.as_ref().filter(|token| token.trim().is_empty()).map(|_| {
            Problem::new("server.token", "the token is empty", "write one, or leave it out and one is made")
        });
        let of_people = self.people.iter().enumerate().filter_map(|(index, person)| {
            let mut earlier = self.people[..index].iter();
            let is_double = earlier.clone().any(|earlier| earlier.name == person.name);
            // Who of the two acts, and in which role, nobody could say.
            let is_shared = earlier.any(|earlier| earlier.token_hash == person.token_hash);
            let (key, says) = match () {
                () if !is_plain_name(&person.name) => {
                    ("name", "the name is not of letters, digits, . _ and -")
                }
                () if is_double => ("name", "this name stands twice"),
                () if is_shared => ("token_hash", "this is the token of another person, too"),
                () if !person::is_hash(&person.token_hash) => ("token_hash", "this is no hash of a token"),
                () => return None,
            };
            let way_out = "take the section away and add it by overnight serve --add-person NAME";
            Some(Problem::new(format!("server.people[{index}].{key}"), says, way_out))
        });
        empty.map(problem).into_iter().chain(no_word).chain(of_people).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::control::role::Role;

    #[test]
    fn a_name_and_a_token_are_one_persons_alone() {
        let person = |name: &str, token: &str| Person {
            name: name.to_owned(),
            role: Role::Viewer,
            token_hash: person::token_hash(token),
        };
        let wrong = |people: Vec<Person>| -> Vec<String> {
            let settings = ServerSettings { people, ..ServerSettings::default() };
            settings.problems().into_iter().map(|problem| problem.path).collect()
        };
        assert_eq!(wrong(vec![person("ada", "a"), person("bob", "b")]), [""; 0]);
        assert_eq!(wrong(vec![person("ada", "a"), person("ada", "b")]), ["server.people[1].name"]);
        assert_eq!(wrong(vec![person("ada", "a"), person("bob", "a")]), ["server.people[1].token_hash"]);
    }
}
