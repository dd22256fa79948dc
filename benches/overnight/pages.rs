//! How many pages a second the server gives on one core, one connection each as it demands, and what
//! Lighthouse says of how fast a browser shows them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use overnight::run_dir::{Workspace, scan};
use overnight::serve::{Port, ServeOptions, Server};

/// The argument by which this program serves a folder, in a process that can be tied to one core.
pub const SERVE: &str = "--serve-pages";
/// Asking at once: one alone would measure how long an answer takes, not how many there are.
const CLIENTS: usize = 4;
const TIME: Duration = Duration::from_secs(3);

pub fn measure(workspace: &Workspace) -> anyhow::Result<()> {
    // One that an earlier build left may be of other pages than those that are measured.
    match std::fs::remove_dir_all(workspace.reports()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => overnight::report::build(workspace.root())?,
    };
    let served = Served::on_one_core(&workspace.reports())?;
    let runs = scan::runs(workspace);
    let run = runs.first().context("the workspace has no run")?;
    for (name, path) in [
        ("index.html", "/".to_owned()),
        ("a run's page", format!("/runs/{}/{}/", run.experiment(), run.name())),
    ] {
        let bytes = get(served.address, &path)?;
        let rate = rate(served.address, &path)?;
        let what = format!("{name}, {} KiB compressed, served on {}", bytes >> 10, served.place);
        println!("{what:<58} {rate:.0} a second");
    }
    let experiments = format!("/experiments/{}/", run.experiment());
    for (name, path) in [
        ("index.html", "/".to_owned()),
        ("an experiment's page", experiments),
        ("all runs", "/runs/".to_owned()),
        ("a run's page", format!("/runs/{}/{}/", run.experiment(), run.name())),
    ] {
        match lighthouse(&format!("http://{}{path}", served.address)) {
            Ok(score) => println!("{:<58} {score:.0} of 100", format!("Lighthouse's performance, {name}")),
            Err(reason) => {
                println!("skipped: Lighthouse's performance: {reason:#}");
                break;
            }
        }
    }
    Ok(())
}

/// Lighthouse's score of performance for a page, from 0 to 100, with its own throttling of a phone.
fn lighthouse(address: &str) -> anyhow::Result<f64> {
    let home = std::env::var_os("HOME").context("HOME is not set")?;
    let cache =
        std::env::var_os("XDG_CACHE_HOME").map_or_else(|| Path::new(&home).join(".cache"), Into::into);
    let program = cache.join("overnight/node/node_modules/lighthouse/cli/index.js");
    anyhow::ensure!(
        program.is_file(),
        "{} is missing (npm install --prefix ~/.cache/overnight/node lighthouse@12)",
        program.display()
    );
    let output = Command::new("node")
        .arg(program)
        .arg(address)
        .args(["--quiet", "--no-enable-error-reporting", "--output=json", "--only-categories=performance"])
        .arg("--chrome-flags=--headless=new --no-sandbox --disable-gpu")
        .output()
        .context("node does not start")?;
    let found: serde_json::Value = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let score = found["categories"]["performance"]["score"].as_f64().context("Lighthouse gives no score")?;
    Ok(score * 100.0)
}

/// Serves until its standard input ends; says its address first.
pub fn serve(reports: &Path) -> anyhow::Result<()> {
    let options = ServeOptions { port: Port::Exactly(0), ..ServeOptions::default() };
    let server = Server::start(reports, options)?;
    println!("{}", server.address());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

struct Served {
    child: Child,
    address: SocketAddr,
    place: &'static str,
}

impl Served {
    fn on_one_core(reports: &Path) -> anyhow::Result<Served> {
        let own = std::env::current_exe()?;
        let mut tied = Command::new("taskset");
        tied.args(["--cpu-list", "0"]).arg(&own);
        // There may be no taskset here, or no such core for this process.
        start(&mut tied, reports, "one core").or_else(|_| start(&mut Command::new(own), reports, "all cores"))
    }
}

fn start(command: &mut Command, reports: &Path, place: &'static str) -> anyhow::Result<Served> {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = piped.arg(SERVE).arg(reports).spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("it has an output")?).read_line(&mut line)?;
    match line.trim().parse() {
        Ok(address) => Ok(Served { child, address, place }),
        Err(error) => {
            child.wait()?;
            Err(error).context("it does not serve")
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn rate(address: SocketAddr, path: &str) -> anyhow::Result<f64> {
    let is_over = AtomicBool::new(false);
    let begun = Instant::now();
    let count = std::thread::scope(|scope| {
        let ask = || {
            let mut count = 0u32;
            while !is_over.load(Ordering::Relaxed) {
                get(address, path)?;
                count += 1;
            }
            anyhow::Ok(count)
        };
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(ask)).collect();
        std::thread::sleep(TIME);
        is_over.store(true, Ordering::Relaxed);
        clients.into_iter().map(|client| client.join().expect("a client ends")).sum::<anyhow::Result<u32>>()
    })?;
    Ok(f64::from(count) / begun.elapsed().as_secs_f64())
}

/// Bytes of the whole answer.
fn get(address: SocketAddr, path: &str) -> anyhow::Result<usize> {
    let mut stream = TcpStream::connect(address)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    anyhow::ensure!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    Ok(answer.len())
}
