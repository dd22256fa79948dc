//! Which `Host` a request may name. A page of another origin whose name was made to point at this
//! machine (DNS rebinding) still sends its own name, and is refused by it.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The names this server answers to. Ports are not compared, so a forwarded port works.
#[derive(Debug, Clone)]
pub(super) struct Hosts {
    names: Vec<String>,
    /// Bound to every address of the machine: any address literal is one of ours.
    any_address: bool,
}

impl Hosts {
    pub fn new(bound: SocketAddr, more: &[String]) -> Hosts {
        let mut names = vec!["localhost".to_owned(), bound.ip().to_string()];
        if !bound.ip().is_loopback() {
            names.extend(machine_name());
        }
        names.extend(more.iter().map(|name| normalized(name)));
        Hosts { names, any_address: bound.ip().is_unspecified() }
    }

    /// Whether a `Host` header's value names this server.
    pub fn allow(&self, header: &str) -> bool {
        let Some(name) = without_port(header) else {
            return false;
        };
        let name = normalized(name);
        match name.parse::<IpAddr>() {
            Ok(address) if address.is_loopback() || self.any_address => true,
            _ => self.names.contains(&name),
        }
    }
}

fn normalized(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// `name`, `name:port`, `[v6]` or `[v6]:port`; anything else is no host.
fn without_port(header: &str) -> Option<&str> {
    let is_port = |port: &str| port.parse::<u16>().is_ok();
    if let Some(rest) = header.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let port_is_well = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return (port_is_well && address.parse::<Ipv6Addr>().is_ok()).then_some(address);
    }
    match header.split_once(':') {
        Some((name, port)) => is_port(port).then_some(name),
        None => Some(header),
    }
    .filter(|name| !name.is_empty())
}

/// As the network may know it.
pub(super) fn machine_name() -> Option<String> {
    let name = rustix::system::uname();
    let name = name.nodename().to_str().ok()?;
    (!name.is_empty()).then(|| normalized(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_machine_pass_and_others_do_not() {
        let hosts = Hosts::new("127.0.0.1:8990".parse().unwrap(), &["Box.lan".to_owned()]);
        for own in [
            "localhost",
            "LocalHost:8990",
            "localhost.",
            "127.0.0.1:1",
            "127.9.9.9",
            "[::1]:8990",
            "[::1]",
            "box.lan",
        ] {
            assert!(hosts.allow(own), "{own}");
        }
        for foreign in [
            "",
            ":80",
            "evil.example",
            "localhost.evil.example",
            "localhost:x",
            "localhost:99999",
            "[::1",
            "[::1]x",
            "[localhost]",
            "10.0.0.1",
            "127.0.0.1.evil.example",
            "localhost@evil.example",
            "::1",
        ] {
            assert!(!hosts.allow(foreign), "{foreign}");
        }
    }

    #[test]
    fn bound_to_every_address_any_address_is_ours_but_no_foreign_name() {
        let hosts = Hosts::new("0.0.0.0:8990".parse().unwrap(), &[]);
        assert!(hosts.allow("10.1.2.3:8990"));
        assert!(!hosts.allow("evil.example"));
    }
}
