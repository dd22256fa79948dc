//! The server as a client sees it, well-meaning or not: all over loopback, all through the front.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
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
        let folder = tempfile::tempdir().unwrap();
        let reports = folder.path().join("reports");
        std::fs::create_dir_all(reports.join("runs/a")).unwrap();
        std::fs::write(reports.join("index.html"), "<h1>Morning</h1>").unwrap();
        std::fs::write(reports.join("runs/a/index.html"), "<h1>a</h1>").unwrap();
        std::fs::write(reports.join("runs/a/metrics.csv"), "step\n1\n2\n3\n").unwrap();
        std::fs::write(folder.path().join("secret.txt"), "secret").unwrap();
        let options = ServeOptions { port: Port::Exactly(0), limits, ..ServeOptions::default() };
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
        let stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_write_timeout(Some(LIMIT)).unwrap();
        stream
    }

    fn get(&self, path: &str) -> Reply {
        self.get_with(path, "")
    }

    fn get_with(&self, path: &str, headers: &str) -> Reply {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n"))
    }

    fn send(&self, request: &str) -> Reply {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        reply(&mut stream)
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
fn no_request_climbs_out_of_the_report() {
    let served = Served::new();
    std::os::unix::fs::symlink(served.folder.path().join("secret.txt"), served.reports().join("link.txt"))
        .unwrap();
    for path in [
        "/../secret.txt",
        "/runs/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e%2fsecret.txt",
        "/%252e%252e%252fsecret.txt",
        "/..%5csecret.txt",
        "//..//secret.txt",
        "/%c0%ae%c0%ae/secret.txt",
        "/link.txt",
        "/index.html%00",
    ] {
        let reply = served.get(path);
        assert_eq!(reply.status, 404, "{path}");
        assert!(!reply.body.starts_with(b"secret"), "{path}");
    }
}

#[test]
fn a_head_of_any_size_costs_the_client_its_answer_and_nobody_else() {
    let served = Served::new();
    let mut stream = served.connect();
    write!(stream, "GET / HTTP/1.1\r\nHost: localhost\r\nX: ").unwrap();
    // The server hangs up in between; how many bytes went into the void does not matter.
    let part = [b'x'; 64 << 10];
    for _ in 0..(200 << 20) / part.len() {
        if stream.write_all(&part).is_err() {
            break;
        }
    }
    served.assert_answers();

    let exact = |bytes: usize| {
        let start = "GET / HTTP/1.1\r\nHost: localhost\r\nX: ";
        let filler = "x".repeat(bytes - start.len() - 4);
        served.send(&format!("{start}{filler}\r\n\r\n")).status
    };
    assert_eq!(exact(16 << 10), 200);
    assert_eq!(exact((16 << 10) + 1), 431);
}

#[test]
fn a_head_that_does_not_end_is_given_up_at_its_deadline() {
    let served = Served::with(Limits { head_deadline: Duration::from_millis(200), ..Limits::default() });
    let mut stream = served.connect();
    write!(stream, "GET / HTTP/1.1\r\nHost: local").unwrap();
    assert_eq!(reply(&mut stream).status, 408);
    // Our own head may come too late as well, on a machine that is busy.
    let waiting = Instant::now();
    while served.get("/").status != 200 {
        assert!(waiting.elapsed() < LIMIT, "nobody else is answered");
    }
}

#[test]
fn two_thousand_half_open_connections_keep_nobody_waiting() {
    let served = Served::new();
    let half_open: Vec<_> = (0..2000)
        .map(|number| {
            let mut stream = served.connect();
            if number % 2 == 0 {
                write!(stream, "GET / HTTP/1.1\r\nHo").unwrap();
            }
            stream
        })
        .collect();
    served.assert_answers();
    drop(half_open);
    served.assert_answers();
}

#[test]
fn when_places_run_out_the_one_that_dawdles_longest_makes_room() {
    let served = Served::with(Limits {
        connections: 8,
        room_patience: Duration::from_millis(10),
        ..Limits::default()
    });
    let mut half_open: Vec<_> = (0..40).map(|_| served.connect()).collect();
    served.assert_answers();
    let mut nothing = Vec::new();
    assert_eq!(half_open[0].read_to_end(&mut nothing).unwrap(), 0);
}

#[test]
fn readers_that_do_not_read_cannot_take_all_places() {
    let served = Served::with(Limits { room_patience: Duration::from_millis(50), ..Limits::default() });
    std::fs::write(served.reports().join("large.csv"), vec![b'1'; 32 << 20]).unwrap();
    let lazy: Vec<_> = (0..400)
        .map(|_| {
            let mut stream = served.connect();
            write!(stream, "GET /large.csv HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            stream
        })
        .collect();
    served.assert_answers();
    drop(lazy);
    // Those that have left are noticed one after the other; meanwhile a long answer may still lose its place.
    let waiting = Instant::now();
    while served.get("/large.csv").body.len() < 32 << 20 {
        assert!(waiting.elapsed() < LIMIT, "no long answer comes whole");
    }
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
fn streams_have_a_share_of_the_places_and_pages_keep_theirs() {
    let served = Served::with(Limits { connections: 8, ..Limits::default() });
    let streams: Vec<_> = (0..6).map(|_| served.events(None)).collect();
    let reply = served.get("/events");
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("5")));
    served.assert_answers();
    drop(streams);
    let waiting = Instant::now();
    while served.send("HEAD /events HTTP/1.1\r\nHost: localhost\r\n\r\n").status != 200 {
        assert!(waiting.elapsed() < LIMIT, "the places were not given back");
    }
}

#[test]
fn random_bytes_never_end_it() {
    let served = Served::new();
    let seconds = std::env::var("OVERNIGHT_FUZZ_SECONDS").ok();
    let seconds: u64 = seconds.and_then(|text| text.parse().ok()).unwrap_or(1);
    let started = Instant::now();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let words: [&[u8]; 14] = [
        b"GET ",
        b"HEAD ",
        b"/",
        b"/events",
        b" HTTP/1.1\r\n",
        b"Host: localhost\r\n",
        b"Range: bytes=",
        b"-",
        b"\r\n\r\n",
        b"%",
        b"..",
        b"\0",
        b"Accept-Encoding: gzip\r\n",
        b"If-None-Match: *\r\n",
    ];
    while started.elapsed() < Duration::from_secs(seconds) {
        let mut request = Vec::new();
        for _ in 0..random() % 20 {
            match random() % 3 {
                0 => request.extend((0..random() % 9).map(|_| random() as u8)),
                _ => request.extend(words[random() as usize % words.len()]),
            }
        }
        let mut stream = served.connect();
        let _ = stream.write_all(&request);
        if random() % 4 == 0 {
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read(&mut [0; 512]);
        }
    }
    served.assert_answers();
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

#[test]
fn running_out_of_descriptors_is_survived() {
    // The limit is the whole process's, so the test runs once more in a process of its own.
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 96 && exec \"$0\" --exact serve::with_few_descriptors --nocapture"])
        .arg(std::env::current_exe().unwrap())
        .env("OVERNIGHT_TEST_FEW_DESCRIPTORS", "1")
        .output()
        .unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("survived"), "{said}");
}

#[test]
fn with_few_descriptors() {
    if std::env::var_os("OVERNIGHT_TEST_FEW_DESCRIPTORS").is_none() {
        return;
    }
    let served = Served::new();
    served.assert_answers();
    // Connected before the descriptors are gone, answered after.
    let mut waiting: Vec<_> = (0..8).map(|_| served.connect()).collect();
    let mut eaten = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        eaten.push(file);
    }
    for stream in &mut waiting {
        write!(stream, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    }
    // One descriptor lets the guard connect and the private server fail.
    eaten.pop();
    let mut statuses = Vec::new();
    for mut stream in waiting {
        stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut some = [0u8; 12];
        statuses.push(stream.read_exact(&mut some).map(|()| some[9]));
    }
    drop(eaten);
    let started = Instant::now();
    loop {
        let reply = served.get("/");
        if reply.status == 200 {
            break;
        }
        assert!(started.elapsed() < LIMIT, "{}", reply.head);
    }
    served.assert_answers();
    println!("survived; meanwhile: {statuses:?}");
}
