//! Who may read where a token is asked for: by a server in this process, and as people start one.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use overnight::serve::{Port, ServeOptions};

use super::Served;

fn guarded() -> Served {
    let options =
        ServeOptions { port: Port::Exactly(0), token: Some("open & see".into()), ..ServeOptions::default() };
    Served::as_asked(options)
}

#[test]
fn without_the_token_nothing_is_told_and_the_way_in_is() {
    let served = guarded();
    for path in [
        "/",
        "/events",
        "/runs/a/metrics.csv",
        "/nothing",
        "/?token=wrong",
        "/?token=",
        "/?x=open%20%26%20see",
    ] {
        let reply = served.get(path);
        assert_eq!(reply.status, 401, "{path}");
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
        assert_eq!(reply.header("set-cookie"), None, "{path}");
        let body = String::from_utf8(reply.body).unwrap();
        assert!(body.contains("overnight serve") && !body.contains("Morning"), "{body}");
    }
    // The name comes first: a page of another origin learns not even that there is a token.
    let foreign = "GET /?token=open%20%26%20see HTTP/1.1\r\nHost: evil.example\r\n\r\n";
    assert_eq!(served.send(foreign).status, 421);
}

#[test]
fn a_token_in_the_address_becomes_a_cookie_that_opens_every_page() {
    let served = guarded();
    assert!(served.server.url().ends_with("/?token=open%20%26%20see"), "{}", served.server.url());
    let reply = served.get("/runs/a/?x=1&token=open%20%26%20see");
    assert_eq!((reply.status, reply.header("location")), (303, Some("/runs/a/?x=1")));
    let cookie = reply.header("set-cookie").unwrap().to_owned();
    for word in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(word), "{cookie}");
    }
    let (kept, _) = cookie.split_once(';').unwrap();
    assert!(!kept.contains("open"), "a browser's store does not hold the token: {kept}");
    let cookie = format!("Cookie: theme=dark; {kept}\r\n");
    assert_eq!(served.get_with("/", &cookie).body, b"<h1>Morning</h1>");
    assert_eq!(served.get_with("/runs/a/metrics.csv", &cookie).status, 200);
    let request = format!("HEAD /events HTTP/1.1\r\nHost: localhost\r\n{cookie}\r\n");
    assert_eq!(served.send(&request).header("content-type"), Some("text/event-stream"));
    let other = kept.rsplit_once('=').unwrap().0;
    assert_eq!(served.get_with("/", &format!("Cookie: {other}={}\r\n", "0".repeat(64))).status, 401);
}

#[test]
fn programs_show_the_token_in_a_header() {
    let served = guarded();
    assert_eq!(served.get_with("/", "Authorization: Bearer open & see\r\n").status, 200);
    assert_eq!(served.get_with("/", "Authorization: Bearer open\r\n").status, 401);
    assert_eq!(served.get_with("/", "Authorization: Basic open & see\r\n").status, 401);
}

/// `overnight serve` with these arguments, on an empty workspace.
struct Started {
    child: Child,
    url: String,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Started {
    fn start(arguments: &[&str], settings: &str) -> Started {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("experiments")).unwrap();
        std::fs::write(folder.path().join("overnight.toml"), settings).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_overnight"))
            .arg("-C")
            .arg(folder.path())
            .args(["serve", "--port", "0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        let place = url.split('/').nth(2).unwrap_or_else(|| panic!("no address: {url:?}"));
        let port = place.rsplit_once(':').unwrap().1.parse().unwrap();
        Started { child, url: url.trim().to_owned(), port, _folder: folder }
    }

    fn status(&self, path: &str, host: &str, header: &str) -> u16 {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{header}\r\n");
        super::ask(([127, 0, 0, 1], self.port).into(), request.as_bytes()).status
    }

    /// Ends it; what it said on standard error.
    fn said(mut self) -> String {
        self.child.kill().unwrap();
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        said
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn outside_of_this_machine_a_token_is_made_and_printed() {
    let served = Started::start(&["--host", "0.0.0.0", "--host", "box.lan"], "");
    let url = served.url.clone();
    let (_, token) = url.split_once("/?token=").unwrap_or_else(|| panic!("{url}"));
    assert!(token.len() >= 32 && token.bytes().all(|byte| byte.is_ascii_hexdigit()), "{token}");
    let with_token = format!("/?token={token}");
    for host in ["localhost", "box.lan", "10.1.2.3:8990"] {
        assert_eq!(served.status("/", host, ""), 401, "{host}");
        assert_eq!(served.status(&with_token, host, ""), 303, "{host}");
    }
    assert_eq!(served.status(&with_token, "evil.example", ""), 421);
    assert_ne!(served.status("/", "localhost", &format!("Authorization: Bearer {token}\r\n")), 401);
    let said = served.said();
    assert!(said.contains(&url[url.rfind(':').unwrap()..]), "the address for other machines: {said}");

    let again = Started::start(&["--address", "0.0.0.0"], "");
    assert_ne!(again.url.split_once("token=").unwrap().1, token, "another one at each start");
}

#[test]
fn a_token_given_by_hand_or_in_the_settings_is_asked_for_and_none_on_this_machine_alone() {
    let given = Started::start(&["--token", "mine"], "[server]\ntoken = \"another\"\n");
    assert!(given.url.ends_with("/?token=mine"), "{}", given.url);
    assert_eq!(given.status("/", "localhost", ""), 401);
    assert_eq!(given.status("/", "localhost", "Authorization: Bearer another\r\n"), 401);
    let settled = Started::start(&[], "[server]\ntoken = \"another\"\n");
    assert_eq!(settled.status("/?token=another", "localhost", ""), 303);
    let open = Started::start(&[], "");
    assert!(open.url.ends_with(&format!(":{}/", open.port)), "{}", open.url);
    assert_ne!(open.status("/", "localhost", ""), 401);
}
