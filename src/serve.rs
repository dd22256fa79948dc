//! Shows `reports/` in a browser and tells open pages when it changes. It only reads, unless the workspace
//! names people who may act.
//!
//! ```text
//! browser ── TCP ── guard (tokio) ── Unix socket ── private server (tiny_http) ── reports/
//!                     └─ GET /events ── changes ── file events and scan of reports/
//! ```
//!
//! The guard stands in front because `tiny_http` alone is not safe to expose: it keeps a thread for
//! each half-open request, reads heads of any size into memory, and ends when file descriptors run
//! out.

mod answer;
mod api;
mod compressed;
pub mod control;
mod crowd;
mod descriptors;
mod events;
mod guard;
mod head;
mod host;
mod missing;
mod path;
mod private;
mod range;
mod relay;
mod site;
mod token;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

pub use events::Changes;

use crate::run_dir::Workspace;
use api::Api;
use compressed::Compressed;
use control::Control;
use control::person::Person;
use guard::{Admission, Guard};
use host::Hosts;
use private::Pages;
use relay::Relay;
use site::SiteWatch;
use token::Token;

/// Where to listen and for whom.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    pub address: IpAddr,
    pub port: Port,
    /// Names that a request may call this server by, besides the machine's own.
    pub hosts: Vec<String>,
    /// What readers must know. Outside of this machine there is always one: without a word here it is
    /// made.
    pub token: Option<String>,
    /// Who may change something; nobody, and there is no POST.
    pub people: Vec<Person>,
    pub limits: Limits,
    /// Who else announces changes, for a builder in the same process; files are watched anyway.
    pub changes: Changes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// This one or the next that is free.
    FreeFrom(u16),
    /// This one and no other; 0 lets the system choose.
    Exactly(u16),
}

/// What a client may take before it is sent away.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Open at once, if the limit of open files allows.
    pub connections: usize,
    pub head_bytes: usize,
    /// From the connection to the end of the request's head.
    pub head_deadline: Duration,
    /// From the head of a change to the end of its body.
    pub body_deadline: Duration,
    /// For the private server to begin its answer, and to get a place there.
    pub answer_deadline: Duration,
    /// For a client to take what it is sent, piece by piece.
    pub write_deadline: Duration,
    /// How long a request waits for a place before a slow reader loses its own.
    pub room_patience: Duration,
    /// Between signs of life on a silent event stream.
    pub heartbeat: Duration,
    /// For the client to close after its answer.
    pub farewell: Duration,
}

impl Default for ServeOptions {
    fn default() -> ServeOptions {
        ServeOptions {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: Port::FreeFrom(8990),
            hosts: Vec::new(),
            token: None,
            people: Vec::new(),
            limits: Limits::default(),
            changes: Changes::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 4096,
            head_bytes: 16 << 10,
            head_deadline: Duration::from_secs(10),
            body_deadline: Duration::from_secs(10),
            answer_deadline: Duration::from_secs(30),
            write_deadline: Duration::from_secs(20),
            room_patience: Duration::from_millis(200),
            heartbeat: Duration::from_secs(15),
            farewell: Duration::from_secs(1),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("cannot listen on {address}: {source} (choose another port with --port)")]
    Bind { address: SocketAddr, source: io::Error },
    #[error("no port from {first} to {last} is free on {address} (choose another one with --port)")]
    NoPort { address: IpAddr, first: u16, last: u16 },
    #[error("cannot start the server: {0}")]
    Start(#[from] io::Error),
}

/// A server at work; it ends when dropped.
pub struct Server {
    address: SocketAddr,
    token: Option<Token>,
    changes: Changes,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    _site: SiteWatch,
}

impl Server {
    /// Serves the folder `reports`, which may not exist yet.
    pub fn start(reports: &Path, options: ServeOptions) -> Result<Server, ServeError> {
        let listener = bind(options.address, options.port)?;
        listener.set_nonblocking(true)?;
        // Longer than the default: a client that finds the queue full waits a second to try again.
        rustix::net::listen(&listener, WAITING_TO_BE_ACCEPTED).map_err(io::Error::from)?;
        let address = listener.local_addr()?;
        let reports = absolute(reports)?;
        let changes = options.changes;
        let shares = descriptors::shares(options.limits.connections);
        let control = Some(options.people).filter(|people| !people.is_empty()).map(|people| {
            changes.set_control();
            let workspace = Workspace::new(reports.parent().unwrap_or(&reports));
            Arc::new(Control::new(workspace, people, address.port()))
        });
        let pages = Arc::new(Pages {
            reports: reports.clone(),
            compressed: Compressed::default(),
            changes: changes.clone(),
            api: Api::new(&reports, changes.clone(), control.clone()),
        });
        let relay = Relay::new(pages, shares.requests)?;
        let token = match options.token {
            Some(word) => Some(Token::new(&word, address.port())),
            None if address.ip().is_loopback() => None,
            None => Some(Token::made(address.port())?),
        };
        let hosts = Hosts::new(address, &options.hosts);
        let admission = Admission { hosts, token: token.clone(), control };
        let guard = Arc::new(Guard::new(options.limits, shares, admission, changes.clone(), relay));
        let site = SiteWatch::start(reports, changes.clone())?;
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new()
            .name("serve".to_owned())
            .spawn(move || runtime.block_on(work(guard, listener, stopped)))?;
        Ok(Server { address, token, changes, stop: Some(stop), thread: Some(thread), _site: site })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What to type into a browser on this machine, with the token where one is needed.
    pub fn url(&self) -> String {
        let place = match self.address.ip().is_unspecified() {
            true => format!("localhost:{}", self.address.port()),
            false => self.address.to_string(),
        };
        self.address_at(&place)
    }

    /// The same for other machines, if this one has a name; nothing on loopback.
    pub fn url_elsewhere(&self) -> Option<String> {
        let ip = self.address.ip();
        match (ip.is_loopback(), ip.is_unspecified()) {
            (true, _) => None,
            (_, true) => {
                let name = host::machine_name()?;
                Some(self.address_at(&format!("{name}:{}", self.address.port())))
            }
            _ => Some(self.url()),
        }
    }

    fn address_at(&self, place: &str) -> String {
        let query = self.token.as_ref().map_or_else(String::new, |token| format!("?{}", token.query()));
        format!("http://{place}/{query}")
    }

    /// Where a builder in this process tells what it changed, or that it failed.
    pub fn changes(&self) -> Changes {
        self.changes.clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Serves until Ctrl-C or SIGTERM. `ready` is told the server once it listens; `alongside` runs
/// meanwhile in a thread of its own (keeping the report fresh, say) and returns when its flag is set.
pub fn run(
    reports: &Path,
    options: ServeOptions,
    ready: impl FnOnce(&Server),
    alongside: impl FnOnce(&AtomicBool, &Changes) + Send,
) -> Result<(), ServeError> {
    use tokio::signal::unix::{SignalKind, signal};

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _entered = runtime.enter();
    // Before anything is printed: whoever waits for the address may signal at once.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let server = Server::start(reports, options)?;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let changes = server.changes();
        let stop = &stop;
        scope.spawn(move || alongside(stop, &changes));
        ready(&server);
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        stop.store(true, Ordering::Relaxed);
    });
    Ok(())
}

async fn work(guard: Arc<Guard>, listener: TcpListener, stopped: oneshot::Receiver<()>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    tokio::select! {
        () = guard.accept(listener) => {}
        _ = stopped => {}
    }
}

/// As many as Linux allows unless told otherwise.
const WAITING_TO_BE_ACCEPTED: i32 = 4096;
/// How many ports are tried before the person must choose one.
const PORTS_TRIED: u16 = 100;

fn bind(address: IpAddr, port: Port) -> Result<TcpListener, ServeError> {
    let (first, last) = match port {
        Port::Exactly(port) => (port, port),
        Port::FreeFrom(port) => (port, port.saturating_add(PORTS_TRIED - 1)),
    };
    for port in first..=last {
        let address = SocketAddr::new(address, port);
        match TcpListener::bind(address) {
            Ok(listener) => return Ok(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && first < last => {}
            Err(source) => return Err(ServeError::Bind { address, source }),
        }
    }
    Err(ServeError::NoPort { address, first, last })
}

/// The folder may be created later, so it cannot be canonicalized as a whole.
fn absolute(reports: &Path) -> io::Result<PathBuf> {
    let absolute = std::path::absolute(reports)?;
    match (absolute.parent(), absolute.file_name()) {
        (Some(parent), Some(name)) if parent.exists() => Ok(parent.canonicalize()?.join(name)),
        _ => Ok(absolute),
    }
}
