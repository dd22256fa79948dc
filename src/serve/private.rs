//! The private server: `tiny_http` on a Unix socket that only this process's user can reach, with
//! a fixed number of threads that answer. It can die (it does when file descriptors run out); the
//! guard then binds a new one.

use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use tiny_http::{Header, Request, Response, StatusCode};

use super::answer::{self, Answer, Asked};
use super::api::{self, Api};
use super::compressed::Compressed;
use super::events::Changes;

/// What the answering threads read.
pub(super) struct Pages {
    pub reports: PathBuf,
    pub compressed: Compressed,
    pub changes: Changes,
    pub api: Api,
}

/// One life of the private server.
pub(super) struct Private {
    /// Holds the socket; removed with everything in it at the end.
    folder: tempfile::TempDir,
    server: Arc<tiny_http::Server>,
    threads: Vec<JoinHandle<()>>,
}

impl Private {
    pub fn bind(pages: &Arc<Pages>, threads: usize) -> io::Result<Private> {
        let folder = private_folder()?;
        let server = tiny_http::Server::http_unix(&folder.path().join(SOCKET))
            .map(Arc::new)
            .map_err(io::Error::other)?;
        let mut private = Private { folder, server, threads: Vec::new() };
        for _ in 0..threads {
            let (server, pages) = (private.server.clone(), pages.clone());
            let thread =
                std::thread::Builder::new().name("pages".to_owned()).spawn(move || work(&server, &pages))?;
            private.threads.push(thread);
        }
        Ok(private)
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join(SOCKET)
    }

    /// Whether every thread that answers is still there. The accepting thread inside of
    /// `tiny_http` cannot be asked: its end shows when a connection is refused.
    pub fn is_whole(&self) -> bool {
        self.threads.iter().all(|thread| !thread.is_finished())
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        for _ in &self.threads {
            self.server.unblock();
        }
        // Each finishes the answer it is at; nobody waits for them, least of all the guard's thread.
        self.threads.clear();
    }
}

/// Who asks. The guard alone says so: no header of a client passes by it under this name.
pub(super) const PERSON: &str = "Overnight-Person";
const SOCKET: &str = "pages";

/// A new folder for this user only. A Unix socket's address holds about a hundred bytes, so a long
/// `TMPDIR` does not do.
fn private_folder() -> io::Result<tempfile::TempDir> {
    let builder = || {
        let mut builder = tempfile::Builder::new();
        builder.prefix("overnight-");
        builder
    };
    match std::env::temp_dir().as_os_str().len() < 70 {
        true => builder().tempdir(),
        false => builder().tempdir_in(Path::new("/tmp")),
    }
}

fn work(server: &tiny_http::Server, pages: &Pages) {
    while let Ok(request) = server.recv() {
        // A panic while answering costs that answer, not the thread.
        let _ = panic::catch_unwind(AssertUnwindSafe(|| respond(request, pages)));
    }
}

fn respond(request: Request, pages: &Pages) {
    let header = |name: &'static str| {
        let mut headers = request.headers().iter();
        let found = headers.find(|header| header.field.equiv(name));
        found.map(|header| header.value.as_str().to_owned())
    };
    let (range, if_range) = (header("Range"), header("If-Range"));
    let (if_none_match, accept_encoding) = (header("If-None-Match"), header("Accept-Encoding"));
    let target = request.url().to_owned();
    // A range is defined for GET alone.
    let is_get = *request.method() == tiny_http::Method::Get;
    let accept = header("Accept");
    let asked = Asked {
        path: target.split(['?', '#']).next().unwrap_or("/"),
        query: target
            .split('#')
            .next()
            .and_then(|target| target.split_once('?'))
            .map_or("", |(_, query)| query),
        accept: accept.as_deref(),
        range: range.as_deref().filter(|_| is_get),
        if_range: if_range.as_deref(),
        if_none_match: if_none_match.as_deref(),
        accept_encoding: accept_encoding.as_deref(),
        person: header(PERSON).and_then(|place| place.parse().ok()),
    };
    let answer = match api::is_asked(asked.path) {
        true => pages.api.answer(&asked),
        false => {
            let problem = pages.changes.problem();
            answer::answer(&pages.reports, &asked, &pages.compressed, problem.as_deref())
        }
    };
    // The reader may be gone already; that is its business.
    let _ = request.respond(response(answer));
}

fn response(answer: Answer) -> Response<Box<dyn io::Read + Send>> {
    let headers = answer
        .headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .chain([("Server", "overnight")])
        .filter_map(|(name, value)| Header::from_bytes(name, value).ok())
        .collect();
    Response::new(StatusCode(answer.status), headers, answer.body, Some(answer.length as usize), None)
        // Chunks would hide the length and be buffered.
        .with_chunked_threshold(usize::MAX)
}
