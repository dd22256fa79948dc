//! Passes a short request on to the private server and its answer back, and binds a new private
//! server when the old one is dead. A reader that takes nothing of a long answer loses it when others
//! wait for its place; one that only reads slowly gets it whole.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{Mutex, Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::Limits;
use super::api;
use super::crowd::Crowd;
use super::guard::HEADERS;
use super::head::{Head, Refusal};
use super::private::{PERSON, Pages, Private};

pub(super) struct Relay {
    pages: Arc<Pages>,
    threads: usize,
    private: Mutex<Option<Private>>,
    /// For beginnings of answers, which the private server gives as fast as the disk.
    places: Semaphore,
    /// For answers to programs, which may take seconds to be made; each takes a place besides.
    program_places: Semaphore,
    /// For answers that are sent as fast as their readers read.
    long_places: Semaphore,
    /// Long answers on their way, each holding its place.
    sending: Crowd,
    /// Short answers on their way, which hold their connection alone.
    parting: Crowd,
}

/// An answer up to this size is taken from the private server at once, so that a slow reader
/// holds only memory.
const AT_ONCE_BYTES: usize = 128 << 10;
/// How long a short answer may take before it must make room for others.
const SPARED: Duration = Duration::from_secs(2);
/// How long the reader of a long answer may take nothing of it before that makes room for others. A system's
/// buffers hold megabytes, which a slow reader takes at once before there is room for more.
const IDLE: Duration = Duration::from_secs(5);

/// What passes through; everything else stays with the guard.
const PASSED_ON: [&str; 5] = ["range", "if-range", "if-none-match", "accept-encoding", "accept"];

impl Relay {
    /// `requests`: how many are passed on at once, at least two.
    pub fn new(pages: Arc<Pages>, requests: usize) -> std::io::Result<Relay> {
        let long = requests / 2;
        let private = Private::bind(&pages, requests)?;
        Ok(Relay {
            pages,
            threads: requests,
            private: Mutex::new(Some(private)),
            places: Semaphore::new(requests - long),
            // Half of them stay for pages, wherever there are two.
            program_places: Semaphore::new(((requests - long) / 2).max(1)),
            long_places: Semaphore::new(long),
            sending: Crowd::default(),
            parting: Crowd::default(),
        })
    }

    /// Answers one request, of one of the people who may act if it is theirs. An error means that nothing was
    /// sent yet.
    pub async fn answer(
        &self,
        stream: &mut TcpStream,
        head: &Head,
        person: Option<usize>,
        limits: &Limits,
    ) -> Result<(), Refusal> {
        let request = request(head, person);
        let program = self.place_for_program(head, limits).await?;
        let place = self.places.acquire().await;
        let begun = self.begin(&request, limits).await?;
        drop(place);
        if begun.is_whole {
            drop((begun.private, program));
            let writing = timeout(limits.write_deadline, stream.write_all(&begun.bytes));
            let _ = self.parting.join().unless_ended(writing).await;
            return Ok(());
        }
        // Asked once more when there is room for it: meanwhile it would hold up the short ones.
        drop((begun, program));
        let _place = self.place_for_long(limits).await?;
        let program = self.place_for_program(head, limits).await?;
        let mut begun = self.begin(&request, limits).await?;
        drop(program);
        let member = self.sending.join();
        let sending = send_long(&mut begun, stream, limits.write_deadline, || member.came_forward());
        let _ = member.unless_ended(sending).await;
        Ok(())
    }

    /// Ends the answer whose reader dawdles longest, if that is long; its connection is needed.
    pub fn end_slowest(&self) {
        if !self.parting.end_oldest(SPARED) {
            self.sending.end_idlest(IDLE);
        }
    }

    async fn place_for_program(
        &self,
        head: &Head,
        limits: &Limits,
    ) -> Result<Option<SemaphorePermit<'_>>, Refusal> {
        if !api::is_asked(head.path()) {
            return Ok(None);
        }
        match timeout(limits.answer_deadline, self.program_places.acquire()).await {
            Ok(Ok(place)) => Ok(Some(place)),
            _ => Err(Refusal::Unavailable),
        }
    }

    async fn place_for_long(&self, limits: &Limits) -> Result<SemaphorePermit<'_>, Refusal> {
        let waiting = async {
            loop {
                match timeout(limits.room_patience, self.long_places.acquire()).await {
                    Ok(place) => return place.map_err(|_| Refusal::Unavailable),
                    Err(_) => self.sending.end_idlest(IDLE),
                };
            }
        };
        timeout(limits.answer_deadline, waiting).await.unwrap_or(Err(Refusal::Unavailable))
    }

    /// The beginning of the answer, from a private server that lives.
    async fn begin(&self, request: &str, limits: &Limits) -> Result<Begun, Refusal> {
        let asking = async {
            // It may have died since it was last seen; its successor is asked then.
            for _ in 0..2 {
                if let Some(begun) = self.ask(request).await {
                    return Ok(begun);
                }
            }
            Err(Refusal::Unavailable)
        };
        timeout(limits.answer_deadline, asking).await.unwrap_or(Err(Refusal::Unavailable))
    }

    /// Sends the request and takes the beginning of its answer, ready for the client.
    async fn ask(&self, request: &str) -> Option<Begun> {
        let mut private = self.connect().await?;
        private.write_all(request.as_bytes()).await.ok()?;
        let mut bytes = Vec::with_capacity(8 << 10);
        let mut is_whole = false;
        while bytes.len() < AT_ONCE_BYTES && !is_whole {
            is_whole = private.read_buf(&mut bytes).await.ok()? == 0;
        }
        let after_status = memchr::memmem::find(&bytes, b"\r\n")? + 2;
        memchr::memmem::find(&bytes, b"\r\n\r\n")?;
        bytes.splice(after_status..after_status, HEADERS.bytes());
        Some(Begun { private, bytes, is_whole })
    }

    /// A connection to a private server that lives.
    async fn connect(&self) -> Option<UnixStream> {
        let mut private = self.private.lock().await;
        if let Some(living) = private.as_ref().filter(|private| private.is_whole())
            && let Ok(stream) = UnixStream::connect(living.socket()).await
        {
            return Some(stream);
        }
        *private = None;
        let new = Private::bind(&self.pages, self.threads).ok()?;
        let stream = UnixStream::connect(new.socket()).await.ok();
        *private = Some(new);
        stream
    }
}

struct Begun {
    private: UnixStream,
    bytes: Vec<u8>,
    /// The answer is in `bytes` to its end.
    is_whole: bool,
}

async fn send_long(begun: &mut Begun, stream: &mut TcpStream, deadline: Duration, taken: impl Fn()) {
    loop {
        match timeout(deadline, stream.write_all(&begun.bytes)).await {
            Ok(Ok(())) => begun.bytes.clear(),
            _ => return,
        }
        taken();
        match timeout(deadline, begun.private.read_buf(&mut begun.bytes)).await {
            Ok(Ok(count)) if count > 0 => {}
            _ => return,
        }
    }
}

fn request(head: &Head, person: Option<usize>) -> String {
    let mut request = format!(
        "{} {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n",
        head.method.as_str(),
        head.target,
    );
    for name in PASSED_ON {
        // `tiny_http` reads ASCII alone; a value that is not is no range, tag or encoding either.
        if let Some(value) = head.header(name).filter(|value| value.is_ascii()) {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    if let Some(place) = person {
        request.push_str(&format!("{PERSON}: {place}\r\n"));
    }
    request.push_str("\r\n");
    request
}
