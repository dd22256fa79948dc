//! Changes through a real socket: who may, who may not, and what nobody may.

mod at_once;
mod broken_off;
mod described;
mod downloads;
mod hostile;
mod queueing;
mod session;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Control;
use super::person::{Person, token, token_hash};
use super::role::{Action, Role};
use crate::run_dir::records::{Ask, Request, RunRecord};
use crate::run_dir::scan::sample_record;
use crate::run_dir::write::{Durability, replace_json};
use crate::run_dir::{RunDir, Workspace, read};
use crate::serve::head::Head;
use crate::serve::{Port, ServeOptions, Server};

struct Scene {
    _folder: tempfile::TempDir,
    workspace: Workspace,
    server: Server,
    tokens: [String; 3],
    people: Vec<Person>,
}

const ROLES: [Role; 3] = [Role::Viewer, Role::Assistant, Role::Owner];

impl Scene {
    fn new(is_on: bool) -> Scene {
        Scene::with(is_on, ServeOptions::default())
    }

    fn with(is_on: bool, options: ServeOptions) -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::new(folder.path());
        let dir = workspace.run("x", "a");
        std::fs::create_dir_all(dir.path()).unwrap();
        let record: RunRecord = sample_record("x", "a");
        replace_json(&dir.run_json(), &record, Durability::Rebuildable).unwrap();
        std::fs::create_dir_all(workspace.reports()).unwrap();
        let tokens = [(); 3].map(|()| token().unwrap());
        let people = ROLES.iter().zip(&tokens).map(|(role, token)| Person {
            name: role.word().to_owned(),
            role: *role,
            token_hash: token_hash(token),
        });
        let people: Vec<Person> = if is_on { people.collect() } else { Vec::new() };
        crate::report::build(folder.path()).unwrap();
        let server = served(&workspace, &people, options);
        Scene { _folder: folder, workspace, server, tokens, people }
    }

    /// Another server of the same workspace, as after a restart.
    fn restarted(self) -> Scene {
        let Scene { _folder, workspace, server, tokens, people } = self;
        drop(server);
        let server = served(&workspace, &people, ServeOptions::default());
        Scene { _folder, workspace, server, tokens, people }
    }

    fn run(&self) -> RunDir {
        self.workspace.run("x", "a")
    }

    fn asked(&self) -> Vec<Request> {
        read::lines(&self.run().requests()).map(|lines| lines.records).unwrap_or_default()
    }

    fn bearer(&self, role: Role) -> String {
        let place = ROLES.iter().position(|known| *known == role).unwrap();
        format!("Authorization: Bearer {}\r\n", self.tokens[place])
    }

    fn owner(&self) -> String {
        self.bearer(Role::Owner)
    }

    /// Posts as the owner, under a key that was never there.
    fn ask(&self, path: &str, body: &str) -> (u16, Value) {
        self.ask_as(Role::Owner, path, body)
    }

    fn ask_as(&self, role: Role, path: &str, body: &str) -> (u16, Value) {
        let key = token().unwrap();
        let headers = format!("{}{}", self.bearer(role), head_of(&key, body));
        let (status, answer) = send(self.server.address(), path, &headers, body);
        (status, json_of(&answer))
    }

    fn get(&self, path: &str, headers: &str) -> (u16, String) {
        let address = self.server.address();
        exchange(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{headers}\r\n"))
    }

    fn refusals(&self) -> String {
        std::fs::read_to_string(self.workspace.root().join("logs/refused.jsonl")).unwrap_or_default()
    }

    fn post(&self, word: &str, headers: &str, key: &str, body: &str) -> (u16, String) {
        let headers = format!("{headers}{}", head_of(key, body));
        send(self.server.address(), &format!("/api/v1/runs/x/a/{word}"), &headers, body)
    }
}

fn served(workspace: &Workspace, people: &[Person], options: ServeOptions) -> Server {
    let options = ServeOptions { port: Port::Exactly(0), people: people.to_vec(), ..options };
    Server::start(&workspace.reports(), options).unwrap()
}

fn head_of(key: &str, body: &str) -> String {
    let length = body.len();
    format!("Content-Type: application/json\r\nIdempotency-Key: {key}\r\nContent-Length: {length}\r\n")
}

fn send(address: SocketAddr, path: &str, headers: &str, body: &str) -> (u16, String) {
    exchange(address, &format!("POST {path} HTTP/1.1\r\nHost: {address}\r\n{headers}\r\n{body}"))
}

fn exchange(address: SocketAddr, text: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    // It may be refused before all of it is sent.
    let _ = stream.write_all(text.as_bytes());
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
}

fn body_in(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

fn json_of(answer: &str) -> Value {
    serde_json::from_str(body_in(answer)).unwrap()
}

/// The value of a header.
fn told<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let head = answer.split_once("\r\n\r\n").map_or(answer, |(head, _)| head);
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// What is asked of a run.
const OF_RUNS: [Action; 7] =
    [Action::Pause, Action::Resume, Action::Note, Action::Tag, Action::Stop, Action::Retry, Action::Priority];

fn body_of(action: Action) -> &'static str {
    match action {
        Action::Note => r#"{"text":"one\ntwo"}"#,
        Action::Tag => r#"{"tag":"good"}"#,
        Action::Priority => r#"{"priority":3}"#,
        _ => "{}",
    }
}

#[test]
fn without_control_there_is_no_post_even_with_a_token() {
    let scene = Scene::new(false);
    let (status, answer) = scene.post("pause", &scene.owner(), "12345678", "{}");
    assert_eq!(status, 405);
    assert!(answer.contains("Allow: GET, HEAD\r\n"), "{answer}");
    assert!(scene.asked().is_empty());
}

#[test]
fn each_role_changes_what_it_may_and_each_change_says_who() {
    for (role, place) in ROLES.into_iter().zip(0..) {
        let scene = Scene::new(true);
        let bearer = format!("Authorization: Bearer {}\r\n", scene.tokens[place]);
        for action in OF_RUNS {
            let before = scene.asked().len();
            let (status, answer) =
                scene.post(action.word(), &bearer, action.word().repeat(3).as_str(), body_of(action));
            // One that the role allows may still not suit the run.
            assert_eq!(status == 403, !role.may(action), "{role:?} {action:?}: {answer}");
            assert_eq!(scene.asked().len() > before, status == 200, "{role:?} {action:?}: {answer}");
        }
        let who = format!("web:{}", role.word());
        assert!(scene.asked().iter().all(|request| request.who == who));
        assert_eq!(scene.asked().is_empty(), role == Role::Viewer);
        let path = "/api/v1/queue/drain";
        let headers = format!(
            "{bearer}Content-Type: application/json\r\nIdempotency-Key: 12345678\r\nContent-Length: 2\r\n"
        );
        let status = send(scene.server.address(), path, &headers, "{}").0;
        assert_eq!(status, if role == Role::Owner { 409 } else { 403 });
    }
}

#[test]
fn who_may_not_is_told_what_in_words() {
    let person = |role| Person { name: "ada".to_owned(), role, token_hash: String::new() };
    for (role, action, detail) in [
        (Role::Viewer, Action::Stop, "a viewer may not stop"),
        (Role::Assistant, Action::Clean, "an assistant may not clean"),
        (Role::Viewer, Action::Checkpoints, "a viewer may not download this"),
        (Role::Viewer, Action::Log, "a viewer may not download this"),
    ] {
        assert_eq!(super::not_allowed(&person(role), action).detail, detail);
    }
}

#[test]
fn what_comes_twice_is_done_once_and_a_key_stands_for_one_request() {
    let scene = Scene::new(true);
    let note =
        |key: &str, text: &str| scene.post("note", &scene.owner(), key, &format!(r#"{{"text":"{text}"}}"#)).0;
    assert_eq!([note("key-number-1", "one"), note("key-number-1", "one")], [200, 200]);
    assert_eq!(scene.asked().len(), 1);
    assert_eq!(note("key-number-1", "two"), 422);
    assert_eq!(note("key-number-2", "two"), 200);
    let texts = scene.asked().into_iter().map(|request| request.ask);
    assert!(texts.eq(["one", "two"].map(|text| Ask::Note { text: text.to_owned() })));
    // Two at once: both stand there.
    std::thread::scope(|scope| {
        for key in ["key-number-3", "key-number-4"] {
            scope.spawn(move || assert_eq!(note(key, "at once"), 200));
        }
    });
    assert_eq!(scene.asked().len(), 4);
    let journal = std::fs::read_to_string(scene.workspace.root().join("logs/serve.jsonl")).unwrap();
    assert!(journal.contains("web:owner") && !journal.contains(&scene.tokens[2]), "{journal}");
}

#[test]
fn what_is_hostile_is_refused_and_changes_nothing() {
    let scene = Scene::new(true);
    let owner = scene.owner();
    let (host, json) = (scene.server.address(), "Content-Type: application/json\r\n");
    let key = "Idempotency-Key: 12345678\r\n";
    let two = "Content-Length: 2\r\n";
    let well = format!("{owner}{json}{key}");
    let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    let of_deep = format!("{well}Content-Length: {}\r\n", deep.len());
    let pause = "/api/v1/runs/x/a/pause";
    let in_address = format!("{pause}?token={}", scene.tokens[2]);
    let cases = [
        (pause, format!("{json}{key}{two}"), "{}", 401),
        (
            pause,
            format!("{json}{key}{two}Cookie: overnight-{}={}\r\n", host.port(), "0".repeat(64)),
            "{}",
            401,
        ),
        (pause, format!("{json}{key}{two}Authorization: Bearer {}\r\n", "0".repeat(64)), "{}", 401),
        (&in_address, format!("{json}{key}{two}"), "{}", 400),
        (pause, format!("{well}{two}Origin: http://evil.example\r\n"), "{}", 403),
        (pause, format!("{well}{two}Origin: null\r\n"), "{}", 403),
        (pause, format!("{well}{two}Origin: http://{host}\r\nOrigin: http://evil.example\r\n"), "{}", 403),
        (pause, format!("{well}{two}Sec-Fetch-Site: cross-site\r\n"), "{}", 403),
        (pause, format!("{well}{two}Sec-Fetch-Site: same-site\r\n"), "{}", 403),
        (pause, format!("{owner}{key}{two}Content-Type: text/plain\r\n"), "{}", 415),
        (pause, format!("{owner}{key}{two}Content-Type: application/x-www-form-urlencoded\r\n"), "{}", 415),
        (pause, format!("{owner}{json}{two}"), "{}", 400),
        (pause, format!("{well}Transfer-Encoding: chunked\r\n"), "2\r\n{}\r\n0\r\n\r\n", 400),
        (pause, well.clone(), "", 411),
        (pause, format!("{well}Content-Length: 1073741824\r\n"), "{}", 413),
        (pause, format!("{well}Content-Length: 99999999999999999999999\r\n"), "{}", 413),
        (pause, format!("{well}Content-Length: 3\r\n"), "{}", 400),
        (pause, format!("{well}{two}"), "{}{}", 400),
        (pause, format!("{well}{two}"), "{]", 400),
        (pause, of_deep, &deep, 400),
        ("/api/v1/runs/x/no/pause", format!("{well}{two}"), "{}", 404),
        ("/api/v1/runs/x/../pause", format!("{well}{two}"), "{}", 404),
        ("/api/v1/runs/x/%2e%2e/pause", format!("{well}{two}"), "{}", 404),
        ("/api/v1/runs/x/a/drain", format!("{well}{two}"), "{}", 404),
        ("/index.html", format!("{well}{two}"), "{}", 404),
    ];
    for (number, (path, headers, body, status)) in cases.into_iter().enumerate() {
        // What was refused is refused again under its key, so each has its own.
        let headers = headers.replace("12345678", &format!("number-{number}"));
        let (got, answer) = send(host, path, &headers, body);
        assert_eq!(got, status, "{path} {headers}: {answer}");
        assert!(!answer.contains(&scene.tokens[2]), "{answer}");
        assert!(scene.asked().is_empty(), "{path} {headers}");
    }
    for text in [r#"{"tag":"a\nb"}"#, r#"{"tag":""}"#, r#"{"tag":"a","more":1}"#] {
        assert_eq!(scene.post("tag", &owner, "tag-tag-tag", text).0, 400, "{text}");
    }
    assert_eq!(scene.post("retry", &owner, "from-step-7", r#"{"from_step":7}"#).0, 409);
    // A page of ours is let through.
    let ours = format!("{owner}Origin: http://{host}\r\nSec-Fetch-Site: same-origin\r\n");
    assert_eq!(scene.post("pause", &ours, "12345678", "{}").0, 200);
    assert_eq!(scene.asked().len(), 1);
}

#[test]
fn who_asks_without_end_is_told_to_wait() {
    let scene = Scene::new(true);
    let head = format!(
        "POST /api/v1/runs/x/a/tag HTTP/1.1\r\nHost: 127.0.0.1\r\n{}Content-Type: application/json\r\n\
         Idempotency-Key: number-00000001\r\nContent-Length: 2\r\n\r\n",
        scene.owner()
    );
    let head = Head::parse_any(head.as_bytes()).unwrap();
    let (control, now) = (Control::new(scene.workspace.clone(), scene.people.clone(), 1), Instant::now());
    let from = std::net::Ipv4Addr::LOCALHOST.into();
    let refused = (0..31).filter_map(|_| control.permit(&head, from, now).err()).collect::<Vec<_>>();
    assert_eq!(refused.iter().map(|problem| problem.status).collect::<Vec<_>>(), [429]);
    // Who has asked for too much can still stop and drain, as often as that.
    let of = |path: &str| {
        let rest = format!("{}{}", scene.owner(), head_of("number-00000002", "{}"));
        Head::parse_any(format!("POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{rest}\r\n").as_bytes()).unwrap()
    };
    let (drain, stop) = (of("/api/v1/queue/drain"), of("/api/v1/runs/x/a/stop"));
    let ends =
        [&drain, &stop].map(|head| (0..16).filter(|_| control.permit(head, from, now).is_ok()).count());
    assert_eq!(ends, [16, 14]);
    assert!(control.permit(&head, from, now + Duration::from_secs(2)).is_ok(), "and then goes on");
}
