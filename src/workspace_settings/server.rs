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
            let is_double = self.people[..index].iter().any(|earlier| earlier.name == person.name);
            let (key, says) = match () {
                () if !is_plain_name(&person.name) => {
                    ("name", "the name is not of letters, digits, . _ and -")
                }
                () if is_double => ("name", "this name stands twice"),
                () if !person::is_hash(&person.token_hash) => ("token_hash", "this is no hash of a token"),
                () => return None,
            };
            let way_out = "take the section away and add it by overnight serve --add-person NAME";
            Some(Problem::new(format!("server.people[{index}].{key}"), says, way_out))
        });
        empty.map(problem).into_iter().chain(no_word).chain(of_people).collect()
    }
}
