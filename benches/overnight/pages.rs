//! How many pages a second the server gives, one connection each as it demands.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use overnight::run_dir::Workspace;
use overnight::serve::{Port, ServeOptions, Server};

pub fn measure(workspace: &Workspace) -> anyhow::Result<()> {
    if !workspace.reports().join("index.html").is_file() {
        overnight::report::build(workspace.root())?;
    }
    let options = ServeOptions { port: Port::Exactly(0), ..ServeOptions::default() };
    let server = Server::start(&workspace.reports(), options)?;
    let (mut count, mut bytes) = (0, 0);
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(3) {
        bytes = get(server.address())?;
        count += 1;
    }
    let rate = f64::from(count) / started.elapsed().as_secs_f64();
    let what = format!("index.html, {} KiB compressed, served one after another", bytes >> 10);
    println!("{what:<58} {rate:.0} a second");
    Ok(())
}

/// Bytes of the whole answer.
fn get(address: SocketAddr) -> anyhow::Result<usize> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    anyhow::ensure!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    Ok(answer.len())
}
