//! How many pages a second the server gives, one connection each as it demands.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use overnight::run_dir::Workspace;
use overnight::serve::{Port, ServeOptions, Server};

use super::say;

pub fn measure(workspace: &Workspace) {
    let page = workspace.reports().join("index.html");
    if !page.is_file() {
        say("pages: skipped, no report was built", "");
        return;
    }
    let options = ServeOptions { port: Port::Exactly(0), ..ServeOptions::default() };
    let server = match Server::start(&workspace.reports(), options) {
        Ok(server) => server,
        Err(error) => return say("pages: skipped", &error.to_string()),
    };
    let mut count = 0;
    let mut bytes = 0;
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(3) {
        bytes = get(server.address());
        count += 1;
    }
    let rate = f64::from(count) / started.elapsed().as_secs_f64();
    say(&format!("pages of {} KiB served one after another", bytes >> 10), &format!("{rate:.0} a second"));
}

/// Bytes of the whole answer.
fn get(address: SocketAddr) -> usize {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n")
        .expect("the server reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the server answers");
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    answer.len()
}
