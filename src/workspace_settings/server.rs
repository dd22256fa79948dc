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
    /// The address to listen on. Anyone who reaches it can read the report. Default: 127.0.0.1, this
    /// machine alone.
    pub address: IpAddr,
    /// Further names that the server may be called by, beside its address. Default: none.
    pub hosts: Vec<String>,
}

impl Default for ServerSettings {
    fn default() -> Self {
        ServerSettings { port: 0, address: IpAddr::V4(Ipv4Addr::LOCALHOST), hosts: Vec::new() }
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
        empty.map(problem).into_iter().collect()
    }
}
