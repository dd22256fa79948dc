//! The server as a client sees it, well-meaning or not: all over loopback, all through the front.

mod api;
mod control;
mod crowds;
mod descriptors;
mod fuzz;
mod paths;
mod ranges;
mod token;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use overnight::serve::{Limits, Port, ServeOptions, Server};

/// A small report behind a server on a port of its own.
struct Served {
    folder: tempfile::TempDir,
    server: Server,
}

struct Reply {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Served {
    fn new() -> Served {
        Served::with(Limits::default())
    }

    fn with(limits: Limits) -> Served {
        Served::as_asked(ServeOptions { port: Port::Exactly(0), limits, ..ServeOptions::default() })
    }

    fn as_asked(options: ServeOptions) -> Served {
        let folder = tempfile::tempdir().unwrap();
        let reports = folder.path().join("reports");
        std::fs::create_dir_all(reports.join("runs/a")).unwrap();
        std::fs::write(reports.join("index.html"), "<h1>Morning</h1>").unwrap();
        std::fs::write(reports.join("runs/a/index.html"), "<h1>a</h1>").unwrap();
        std::fs::write(reports.join("runs/a/metrics.csv"), "step\n1\n2\n3\n").unwrap();
        std::fs::write(folder.path().join("secret.txt"), "secret").unwrap();
        let server = Server::start(&reports, options).unwrap();
        Served { folder, server }
    }

    fn reports(&self) -> PathBuf {
        self.folder.path().join("reports")
    }

    fn address(&self) -> SocketAddr {
        self.server.address()
    }

    fn connect(&self) -> TcpStream {
        connect(self.address())
    }

    fn get(&self, path: &str) -> Reply {
        self.get_with(path, "")
    }

    fn get_with(&self, path: &str, headers: &str) -> Reply {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n"))
    }

    fn send(&self, request: &str) -> Reply {
        ask(self.address(), request.as_bytes())
    }

    /// Nothing is told of what these paths lead to.
    fn assert_hides(&self, paths: &[&str]) {
        for path in paths {
            let reply = self.get(path);
            assert_eq!(reply.status, 404, "{path}");
            assert!(!reply.body.starts_with(b"secret"), "{path}");
        }
    }

    fn assert_answers(&self) {
        let reply = self.get("/");
        assert_eq!((reply.status, reply.body.as_slice()), (200, &b"<h1>Morning</h1>"[..]));
    }

    fn events(&self, last_seen: Option<&str>) -> Events {
        let mut stream = self.connect();
        let last_seen = last_seen.map_or(String::new(), |id| format!("Last-Event-ID: {id}\r\n"));
        write!(stream, "GET /events HTTP/1.1\r\nHost: localhost\r\n{last_seen}\r\n").unwrap();
        let mut events = Events { lines: BufReader::new(stream) };
        assert!(events.until("200 OK").starts_with("HTTP/1.1 200"));
        events.until("retry: ");
        events
    }
}

/// Nothing here takes long, even on a machine that is busy; a test that waits this long has failed.
const LIMIT: Duration = Duration::from_secs(60);

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.set_write_timeout(Some(LIMIT)).unwrap();
    stream
}

/// What a server answers to these bytes.
fn ask(address: SocketAddr, request: &[u8]) -> Reply {
    let mut stream = connect(address);
    stream.write_all(request).unwrap();
    reply(&mut stream)
}

fn reply(stream: &mut TcpStream) -> Reply {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let end = bytes
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .unwrap_or_else(|| panic!("no head in {:?}", String::from_utf8_lossy(&bytes)));
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    Reply { status: head.split(' ').nth(1).unwrap().parse().unwrap(), body: bytes.split_off(end + 4), head }
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (sent, value) = line.split_once(": ")?;
            sent.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// A page's event stream.
struct Events {
    lines: BufReader<TcpStream>,
}

impl Events {
    /// Reads on to the line that contains `text`.
    fn until(&mut self, text: &str) -> String {
        let (mut all, waiting) = (String::new(), Instant::now());
        loop {
            let mut line = String::new();
            let count = self.lines.read_line(&mut line).unwrap();
            assert!(count > 0, "the stream ended after {all:?}");
            // It shows that it lives again and again, so no read of it takes long.
            assert!(waiting.elapsed() < LIMIT, "{text:?} never came, but {all:?}");
            if line.contains(text) {
                return line.trim_end().to_owned();
            }
            all.push_str(&line);
        }
    }
}

#[test]
fn a_page_is_served_with_headers_that_keep_it_to_itself() {
    let served = Served::new();
    let reply = served.get("/");
    assert_eq!(reply.status, 200);
    assert_eq!(reply.body, b"<h1>Morning</h1>");
    assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(reply.header("content-length"), Some("16"));
    assert_eq!(reply.header("connection"), Some("close"));
    assert_eq!(reply.header("cache-control"), Some("no-cache"));
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(reply.header("referrer-policy"), Some("no-referrer"));
    let policy = reply.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self';"));
    assert_eq!(served.get("/runs/a/").body, b"<h1>a</h1>");
    assert_eq!(served.get("/runs/a/?x=1").status, 200);
    let reply = served.get("/runs/a");
    assert_eq!((reply.status, reply.header("location")), (301, Some("./a/")));
    assert_eq!(served.get("/runs/b/").status, 404);
}

#[test]
fn every_answer_of_any_kind_lets_a_page_run_and_ask_nothing_else() {
    let served = Served::new();
    let files = ["a.js", "a.json", "a.css", "a.svg", "a.png", "a.txt", "a.bin"];
    for file in files {
        std::fs::write(served.reports().join(file), "<script>window.ran=1</script>").unwrap();
    }
    let mut asked: Vec<(String, u16)> = files.iter().map(|file| (format!("GET /{file}"), 200)).collect();
    for (request, status) in [
        ("GET /", 200),
        ("GET /runs/a/", 200),
        ("GET /runs/a/metrics.csv", 200),
        ("HEAD /", 200),
        ("GET /runs/a", 301),
        ("GET /nothing", 404),
        ("GET /%2e%2e/secret.txt", 404),
        ("POST /", 405),
    ] {
        asked.push((request.to_owned(), status));
    }
    for (request, status) in asked {
        let reply = served.send(&format!("{request} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert_eq!(reply.status, status, "{request}");
        kept_to_itself(&request, &reply);
    }
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n", 421),
        ("GET /runs/a/metrics.csv HTTP/1.1\r\nHost: localhost\r\nRange: bytes=99-\r\n\r\n", 416),
        ("nonsense\r\n\r\n", 400),
    ] {
        let reply = served.send(request);
        assert_eq!(reply.status, status, "{request}: {}", reply.head);
        kept_to_itself(request, &reply);
    }
    let mut stream = served.connect();
    write!(stream, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    Events { lines: BufReader::new(stream) }.until("Content-Security-Policy: default-src 'none'");
}

/// No script but from files of ours, no word to another host, no frame around it, no guessed kind.
fn kept_to_itself(request: &str, reply: &Reply) {
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{request}");
    let policy =
        reply.header("content-security-policy").unwrap_or_else(|| panic!("{request}: {}", reply.head));
    let rules: Vec<&str> = policy.split(';').map(str::trim).collect();
    for rule in [
        "default-src 'none'",
        "script-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ] {
        assert!(rules.contains(&rule), "{request}: {rule} is not in {policy}");
    }
}

#[test]
fn head_is_answered_as_get_without_the_body() {
    let served = Served::new();
    for (path, length) in [("/", "16"), ("/runs/a/metrics.csv", "11")] {
        let reply =
            served.send(&format!("HEAD {path} HTTP/1.1\r\nHost: localhost\r\nRange: bytes=0-1\r\n\r\n"));
        assert_eq!((reply.status, reply.body.len()), (200, 0), "{path}");
        assert_eq!(reply.header("content-length"), Some(length));
        assert_eq!(reply.header("etag"), served.get(path).header("etag"));
    }
    assert_eq!(served.send("HEAD /x HTTP/1.1\r\nHost: localhost\r\n\r\n").status, 404);
    let reply = served.send("HEAD /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(reply.header("content-type"), Some("text/event-stream"));
}

#[test]
fn a_follower_reads_on_by_range_and_learns_of_a_new_version() {
    let served = Served::new();
    let csv = "/runs/a/metrics.csv";
    let first = served.get(csv);
    let tag = first.header("etag").unwrap().to_owned();
    assert_eq!(first.header("content-encoding"), None);
    assert_eq!(served.get_with(csv, &format!("If-None-Match: {tag}\r\n")).status, 304);

    let file = served.reports().join("runs/a/metrics.csv");
    std::fs::write(&file, "step\n1\n2\n3\n4\n").unwrap();
    let reply = served.get_with(csv, "Range: bytes=9-\r\nAccept-Encoding: gzip\r\n");
    assert_eq!((reply.status, reply.body.as_slice()), (206, &b"3\n4\n"[..]));
    assert_eq!(reply.header("content-range"), Some("bytes 9-12/13"));
    let reply = served.get_with(csv, &format!("Range: bytes=9-\r\nIf-Range: {tag}\r\n"));
    assert_eq!((reply.status, reply.body.len()), (200, 13));
    let reply = served.get_with(csv, "Range: bytes=13-\r\n");
    assert_eq!((reply.status, reply.header("content-range")), (416, Some("bytes */13")));
    let reply = served.get_with(csv, "Range: bytes=0-1,4-5\r\n");
    assert_eq!((reply.status, reply.body.len()), (200, 13));
}

#[test]
fn what_is_not_a_request_for_a_page_is_refused_in_a_sentence() {
    let served = Served::new();
    for (request, status, says) in [
        ("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc", 405, "GET and HEAD"),
        ("DELETE / HTTP/1.1\r\nHost: localhost\r\n\r\n", 405, "GET and HEAD"),
        ("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421, "--host"),
        ("GET /events HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421, "--host"),
        ("GET / HTTP/1.1\r\n\r\n", 400, "Host"),
        ("GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "path"),
        ("GET / HTTP/3\r\nHost: localhost\r\n\r\n", 505, "HTTP/1.1"),
        (
            "GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n",
            400,
            "body",
        ),
        ("\r\n\r\n", 400, "malformed"),
        ("hello\r\n\r\n", 400, "malformed"),
    ] {
        let reply = served.send(request);
        assert_eq!(reply.status, status, "{request:?}");
        let body = String::from_utf8(reply.body).unwrap();
        assert!(body.contains(says), "{request:?}: {body}");
    }
    assert_eq!(served.send("POST / HTTP/1.1\r\nHost: localhost\r\n\r\n").header("allow"), Some("GET, HEAD"));
    served.assert_answers();
}

#[test]
fn a_changed_file_is_told_to_every_page_and_to_those_who_come_back() {
    let served = Served::new();
    let mut pages = [served.events(None), served.events(None)];
    let mut last_seen = String::new();
    for page in &mut pages {
        last_seen = page.until("id: ")["id: ".len()..].to_owned();
        assert!(page.until("data: ").contains("\"missed\":true"));
    }
    std::fs::write(served.reports().join("runs/a/index.html"), "changed").unwrap();
    for page in &mut pages {
        assert_eq!(page.until("data: "), r#"data: {"paths":["runs/a/index.html"],"missed":false}"#);
    }
    let [first, _] = pages;
    drop(first);
    std::fs::write(served.reports().join("index.html"), "changed").unwrap();
    std::fs::remove_file(served.reports().join("runs/a/metrics.csv")).unwrap();
    let mut back = served.events(Some(&last_seen));
    let mut missing = vec!["index.html", "runs/a/index.html", "runs/a/metrics.csv"];
    while !missing.is_empty() {
        let told = back.until("data: ");
        missing.retain(|path| !told.contains(path));
    }
}

#[test]
fn a_folder_that_appears_later_is_served_and_watched() {
    let folder = tempfile::tempdir().unwrap();
    let reports = folder.path().join("reports");
    let options = ServeOptions { port: Port::Exactly(0), ..ServeOptions::default() };
    let server = Server::start(&reports, options).unwrap();
    let served = Served { folder, server };
    let reply = served.get("/");
    assert_eq!(reply.status, 404);
    assert!(String::from_utf8(reply.body).unwrap().contains("no report yet"));
    let mut page = served.events(None);
    page.until("missed\":true");
    std::fs::create_dir(&reports).unwrap();
    std::fs::write(reports.join("index.html"), "<h1>Morning</h1>").unwrap();
    assert!(page.until("data: ").contains("index.html"));
    served.assert_answers();
}

#[test]
fn a_failed_build_is_told_to_open_pages_and_shown_where_no_page_is() {
    let served = Served::new();
    let mut page = served.events(None);
    page.until("data: ");
    served.server.changes().set_problem(Some("template <x> is broken".to_owned()));
    assert_eq!(page.until("data: "), r#"data: {"problem":"template <x> is broken"}"#);
    let body = String::from_utf8(served.get("/nothing").body).unwrap();
    assert!(body.contains("template &lt;x&gt; is broken"), "{body}");
    served.assert_answers();
}

#[test]
fn a_silent_stream_shows_that_it_lives() {
    let served = Served::with(Limits { heartbeat: Duration::from_millis(20), ..Limits::default() });
    let mut page = served.events(None);
    page.until(": still here");
    page.until(": still here");
}

#[test]
fn the_next_free_port_is_taken_or_the_one_asked_for_is_named() {
    let first = Served::new();
    let taken = first.address().port();
    let options = |port| ServeOptions { port, ..ServeOptions::default() };
    let second = Server::start(&first.reports(), options(Port::FreeFrom(taken))).unwrap();
    assert!(second.address().port() > taken);
    let refused = Server::start(&first.reports(), options(Port::Exactly(taken)));
    let error = refused.err().unwrap().to_string();
    assert!(error.contains(&taken.to_string()) && error.contains("--port"), "{error}");
}
