//! The guard: takes connections, reads their heads with a limit and a deadline, answers event
//! streams itself and passes short requests on to the private server. One request a connection.
//!
//! Nothing a client does may stop the others from being answered: when places run out, the
//! connection that has dawdled longest gives up its own.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::Limits;
use super::api::problem::Problem;
use super::api::{self, problem};
use super::control::{self, Control, Told};
use super::crowd::Crowd;
use super::descriptors::Shares;
use super::events::Changes;
use super::head::{self, Head, Method, Refusal};
use super::host::Hosts;
use super::relay::Relay;
use super::token::{Shown, Token};

/// Whose requests are answered.
pub(super) struct Admission {
    pub hosts: Hosts,
    /// Where only those may read who know it.
    pub token: Option<Token>,
    /// Where people may change something.
    pub control: Option<Arc<Control>>,
}

pub(super) struct Guard {
    pub limits: Limits,
    pub admission: Admission,
    pub changes: Changes,
    pub relay: Relay,
    connections: Arc<Semaphore>,
    streams: Semaphore,
    /// Connections that have not sent their head yet.
    waiting: Crowd,
}

/// Sent with every answer. Pages look for word of events here, and else at files. Scripts come from files of
/// ours alone; styles may stand in the page, because SVG charts carry them.
pub(super) const HEADERS: &str = "Connection: close\r\n\
    Overnight-Events: yes\r\n\
    Cache-Control: no-cache\r\n\
    X-Content-Type-Options: nosniff\r\n\
    Referrer-Policy: no-referrer\r\n\
    Cross-Origin-Resource-Policy: same-origin\r\n\
    Content-Security-Policy: default-src 'none'; script-src 'self'; \
    style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n";

impl Guard {
    pub fn new(
        limits: Limits,
        shares: Shares,
        admission: Admission,
        changes: Changes,
        relay: Relay,
    ) -> Guard {
        Guard {
            limits,
            admission,
            changes,
            relay,
            connections: Arc::new(Semaphore::new(shares.connections)),
            streams: Semaphore::new(shares.streams),
            waiting: Crowd::default(),
        }
    }

    /// Takes connections until it is dropped.
    pub async fn accept(self: Arc<Guard>, listener: TcpListener) {
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                // Out of descriptors, or the client left already: neither may end the loop.
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
            };
            let Some(place) = self.place().await else { return };
            let guard = self.clone();
            tokio::spawn(async move {
                guard.converse(stream).await;
                drop(place);
            });
        }
    }

    /// A place for one more connection, if need be that of one that dawdles.
    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        let places = &self.connections;
        if let Ok(place) = places.clone().try_acquire_owned() {
            return Some(place);
        }
        loop {
            if !self.waiting.end_oldest(Duration::ZERO) {
                self.relay.end_slowest();
            }
            let next = places.clone().acquire_owned();
            if let Ok(place) = timeout(self.limits.room_patience, next).await {
                return place.ok();
            }
        }
    }

    async fn converse(&self, mut stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let member = self.waiting.join();
        let mut bytes = Vec::with_capacity(1024);
        let limits = &self.limits;
        let reading = head::read(&mut stream, &mut bytes, limits.head_bytes, limits.head_deadline);
        let Some(read) = member.unless_ended(reading).await else {
            return;
        };
        drop(member);
        let asker = Asker::of(&bytes);
        let mut beyond = Vec::new();
        let head = match read {
            Ok(None) => return,
            Ok(Some(more)) => {
                beyond = more;
                match self.admission.control {
                    Some(_) => Head::parse_any(&bytes),
                    None => Head::parse(&bytes),
                }
            }
            Err(refusal) => Err(refusal),
        };
        let outcome = match head.and_then(|head| self.admission.of(head)) {
            Ok(Admitted::Newcomer { cookie, target }) => {
                self.welcome(&mut stream, &cookie, &target).await;
                Ok(())
            }
            Ok(Admitted::Changer(head, control)) => {
                self.change(&mut stream, &head, beyond, control).await;
                Ok(())
            }
            Ok(Admitted::Reader(head, _)) if head.path() == "/events" => self.tell(&mut stream, &head).await,
            Ok(Admitted::Reader(head, person)) => {
                self.relay.answer(&mut stream, &head, person, &self.limits).await
            }
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = outcome {
            self.refuse(&mut stream, refusal, &asker).await;
        }
        finish(&mut stream, self.limits.farewell).await;
    }

    /// Sends changes until the client leaves or reads too slowly.
    async fn tell(&self, stream: &mut TcpStream, head: &Head) -> Result<(), Refusal> {
        let Ok(_place) = self.streams.try_acquire() else {
            return Err(Refusal::TooManyStreams);
        };
        self.changes.begun().await;
        let (opening, mut listener) = self.changes.listen(head.header("last-event-id"));
        let start = format!(
            "HTTP/1.1 200 OK\r\n{HEADERS}Content-Type: text/event-stream\r\n\
             X-Accel-Buffering: no\r\n\r\n"
        );
        let mut next = match head.method {
            Method::Head => {
                self.write(stream, start.as_bytes()).await;
                return Ok(());
            }
            // A POST never comes here; what reads is told what is new.
            Method::Get | Method::Post => format!("{start}retry: {RETRY_MS}\n\n{opening}"),
        };
        let mut unexpected = [0u8; 16];
        while self.write(stream, next.as_bytes()).await {
            next = tokio::select! {
                told = listener.next() => match told {
                    Some(told) => told,
                    None => break,
                },
                () = tokio::time::sleep(self.limits.heartbeat) => ": still here\n\n".to_owned(),
                // A listener says nothing more; if it does, or if it leaves, the stream is over.
                _ = stream.read(&mut unexpected) => break,
            };
        }
        Ok(())
    }

    /// Judges a change by its head, reads its body to the end, and carries it out. One that is cut off in the
    /// middle changes nothing.
    async fn change(&self, stream: &mut TcpStream, head: &Head, beyond: Vec<u8>, control: Arc<Control>) {
        let from = stream.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
        let outcome = async {
            let permitted = match control.permit(head, from, Instant::now()) {
                Ok(permitted) => permitted,
                Err(problem) => return Err(remembered(control, head, problem).await),
            };
            let body = body(stream, beyond, permitted.body_bytes, self.limits.body_deadline).await?;
            // Files and locks may be slow; other connections are not held up by them.
            let acting = tokio::task::spawn_blocking(move || control.carry_out(&permitted, &body)).await;
            acting.map_err(|_| Problem::unavailable("the change could not be made"))
        };
        let Told { status, body, headers } =
            outcome.await.unwrap_or_else(|problem| Told::refusal(&problem, head.path()));
        let kind = if status == 200 { "application/json" } else { problem::CONTENT_TYPE };
        let more: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let phrase = problem::title(status);
        let answer = format!(
            "HTTP/1.1 {status} {phrase}\r\n{HEADERS}{more}Content-Type: {kind}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len(),
        );
        self.write(stream, answer.as_bytes()).await;
    }

    /// The token came in the address: from here on the cookie says it, and no history keeps it.
    async fn welcome(&self, stream: &mut TcpStream, cookie: &str, target: &str) {
        let answer = format!(
            "HTTP/1.1 303 See Other\r\n{HEADERS}Set-Cookie: {cookie}\r\nLocation: {target}\r\n\
             Content-Length: 0\r\n\r\n"
        );
        self.write(stream, answer.as_bytes()).await;
    }

    async fn refuse(&self, stream: &mut TcpStream, refusal: Refusal, asker: &Asker) {
        let refusal = match refusal {
            // Of a path that only takes changes the method is what is wrong, whatever comes with it.
            Refusal::Body if !asker.posts() && !asker.reads() && self.admission.is_posted_to(asker) => {
                Refusal::Method
            }
            refusal => refusal,
        };
        let (kind, body) = match (asker, refusal) {
            (Asker::Program { path, .. }, _) => (problem::CONTENT_TYPE, refusal.problem(path)),
            (Asker::Person, Refusal::NoToken) => ("text/html; charset=utf-8", NO_TOKEN.to_owned()),
            (Asker::Person, _) => ("text/plain; charset=utf-8", format!("{refusal}\n")),
        };
        let more = match refusal {
            Refusal::NoToken => "WWW-Authenticate: Bearer\r\n",
            Refusal::Method => match (self.admission.is_posted_to(asker), asker.reads()) {
                (true, true) => "Allow: GET, HEAD, POST\r\n",
                (true, false) => "Allow: POST\r\n",
                (false, _) => "Allow: GET, HEAD\r\n",
            },
            Refusal::TooManyStreams | Refusal::Unavailable => "Retry-After: 5\r\n",
            _ => "",
        };
        let answer = format!(
            "HTTP/1.1 {}\r\n{HEADERS}{more}Content-Type: {kind}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            refusal.status(),
            body.len(),
        );
        self.write(stream, answer.as_bytes()).await;
    }

    /// Whether all bytes went out before the deadline.
    async fn write(&self, stream: &mut TcpStream, bytes: &[u8]) -> bool {
        let writing = stream.write_all(bytes);
        matches!(timeout(self.limits.write_deadline, writing).await, Ok(Ok(())))
    }
}

impl Admission {
    /// Whether a change can be asked for where this was.
    fn is_posted_to(&self, asker: &Asker) -> bool {
        let Asker::Program { path, .. } = asker else { return false };
        self.control.is_some() && control::posts::find(path).is_some()
    }

    fn of(&self, head: Head) -> Result<Admitted, Refusal> {
        if !head.header("host").is_some_and(|host| self.hosts.allow(host)) {
            return Err(Refusal::ForeignHost);
        }
        if head.method == Method::Post {
            // The person's own token is asked for there.
            let control = self.control.clone().ok_or(Refusal::Method)?;
            return Ok(Admitted::Changer(head, control));
        }
        let person = self.control.as_ref().and_then(|control| Some(control.known(&head)?.place));
        match self.token.as_ref().map_or(Shown::Known, |token| token.shown_by(&head)) {
            Shown::InAddress { cookie, target } => Ok(Admitted::Newcomer { cookie, target }),
            // Whoever may act may read.
            Shown::Nothing if person.is_none() => Err(Refusal::NoToken),
            Shown::Known | Shown::Nothing => Ok(Admitted::Reader(head, person)),
        }
    }
}

/// Who is refused: a program is told so as programs read it.
enum Asker {
    Person,
    Program { path: String, posts: bool },
}

impl Asker {
    /// By the request line, which may be all that is well formed.
    fn of(head: &[u8]) -> Asker {
        let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let mut words = line.split(|byte| *byte == b' ');
        let posts = words.next() == Some(b"POST");
        let target = words.next().unwrap_or_default();
        let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
        match std::str::from_utf8(path) {
            Ok(path) if api::is_asked(path) => Asker::Program { path: path.to_owned(), posts },
            _ => Asker::Person,
        }
    }

    /// Whether something is read where this was asked.
    fn reads(&self) -> bool {
        match self {
            Asker::Person => true,
            Asker::Program { path, .. } => api::is_read(path),
        }
    }

    /// Whether it was asked as a change.
    fn posts(&self) -> bool {
        matches!(self, Asker::Program { posts: true, .. })
    }
}

enum Admitted {
    Changer(Head, Arc<Control>),
    /// With the place among the people who may act, of one of them.
    Reader(Head, Option<usize>),
    Newcomer {
        cookie: String,
        target: String,
    },
}

/// Whoever came by a link on another site has the cookie, but the browser held it back on the way
/// here; a click from this page is one of our own.
const NO_TOKEN: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
    <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>Token needed</title>\
    <h1>This report asks for its token</h1>\
    <p>Open the address that <code>overnight serve</code> printed. \
    If you have just followed a link to it, <a href=\"\">go on to the report</a>.</p></html>\n";
/// After how long a page that lost its stream comes back.
const RETRY_MS: u32 = 1000;
/// Of what a client goes on sending after its answer, before it is cut off.
const FAREWELL_BYTES: usize = 256 << 10;

/// Writes to the log that a request was refused, aside: a disk may be slow.
async fn remembered(control: Arc<Control>, head: &Head, problem: Problem) -> Problem {
    let (head, status) = (head.clone(), problem.status);
    let writing = move || {
        control.refused(control.known(&head).map(|known| known.person).as_deref(), head.path(), status)
    };
    drop(tokio::task::spawn_blocking(writing).await);
    problem
}

/// The body of a request, of exactly so many bytes.
async fn body(
    stream: &mut TcpStream,
    mut begun: Vec<u8>,
    length: usize,
    deadline: Duration,
) -> Result<Vec<u8>, Problem> {
    if begun.len() > length {
        return Err(Problem::new(400, "the body is longer than it says", "send one request a connection"));
    }
    let have = begun.len();
    begun.resize(length, 0);
    match timeout(deadline, stream.read_exact(&mut begun[have..])).await {
        Ok(Ok(_)) => Ok(begun),
        Ok(Err(_)) => Err(Problem::new(400, "the body was cut off", "send it whole")),
        Err(_) => Err(Problem::new(408, "the body took too long", "send it again")),
    }
}

/// Closing a socket with bytes unread resets it, and the answer may be lost with it. So: say that
/// nothing more comes, and read on for a moment.
async fn finish(stream: &mut TcpStream, patience: Duration) {
    let reading = async {
        let mut scrap = [0u8; 4096];
        let mut count = 0;
        if stream.shutdown().await.is_ok() {
            while count < FAREWELL_BYTES {
                match stream.read(&mut scrap).await {
                    Ok(0) | Err(_) => break,
                    Ok(more) => count += more,
                }
            }
        }
    };
    let _ = timeout(patience, reading).await;
}
