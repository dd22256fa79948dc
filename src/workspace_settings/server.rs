//! `[server]`: where `overnight serve` shows the report, where the command line does not say otherwise.

use std::net::{IpAddr, Ipv4Addr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::experiment::Problem;

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
}

impl Default for ServerSettings {
    fn default() -> Self {
        ServerSettings { port: 0, address: IpAddr::V4(Ipv4Addr::LOCALHOST), hosts: Vec::new(), token: None }
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
        empty.map(problem).into_iter().chain(no_word).collect()
    }
}
