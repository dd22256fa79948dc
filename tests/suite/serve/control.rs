//! People who act, as they start a server and send changes to it: named, heard by a runner at work, and told
//! when the log cannot be written.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Stdio};

use serde_json::Value;

use super::ask;
use crate::workspace::{Workspace, step, wait_until};

const SETTINGS: &str = "# mine\n[server]   # here\ncontrol = true\nport = 0\n\n[runner]\nslots = 1 # one\n";

/// `overnight serve` in a workspace, and an owner's token.
struct Controlled {
    child: Child,
    address: SocketAddr,
    token: String,
    keys: std::cell::Cell<u32>,
}

impl Controlled {
    fn start(workspace: &Workspace) -> Controlled {
        let added = workspace.spawn(&["serve", "--add-person", "ada", "--role", "owner"]).wait().code(0);
        let mut child = workspace
            .command(&["serve", "--port", "0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        let place = url.split('/').nth(2).unwrap_or_else(|| panic!("no address: {url:?}"));
        let address = place.parse().unwrap();
        Controlled { child, address, token: added.stdout.trim().to_owned(), keys: Default::default() }
    }

    fn post(&self, path: &str, body: &str) -> (u16, Value) {
        self.keys.set(self.keys.get() + 1);
        let key = format!("number-{:08}", self.keys.get());
        let reply = post(self.address, &self.token, &key, path, body);
        (reply.status, serde_json::from_slice(&reply.body).unwrap())
    }

    /// Ends it; what it said on standard error.
    fn said(mut self) -> String {
        self.child.kill().unwrap();
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        said
    }
}

fn post(address: SocketAddr, token: &str, key: &str, path: &str, body: &str) -> super::Reply {
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
         Idempotency-Key: {key}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    ask(address, request.as_bytes())
}

impl Drop for Controlled {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn a_person_is_added_with_a_token_that_is_told_once_and_kept_nowhere() {
    let workspace = Workspace::new().file("overnight.toml", SETTINGS);
    let file = workspace.path("overnight.toml");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let add = |name: &str| workspace.spawn(&["serve", "--add-person", name, "--role", "assistant"]).wait();
    let (ada, bob) = (add("ada").code(0), add("bob").code(0));
    let tokens = [&ada, &bob].map(|added| added.stdout.trim().to_owned());
    assert!(tokens.iter().all(|token| token.len() == 64) && tokens[0] != tokens[1], "{tokens:?}");
    assert!(ada.stderr.contains("once") && !ada.stderr.contains(&tokens[0]), "{}", ada.stderr);
    let text = fs::read_to_string(&file).unwrap();
    assert!(SETTINGS.lines().all(|line| text.contains(line)), "{text}");
    assert!(tokens.iter().all(|token| !text.contains(token)) && text.contains("\"bob\""), "{text}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let twice = add("ada");
    assert!(!twice.status.success() && twice.stdout.is_empty(), "{}", twice.stderr);
    assert!(twice.stderr.contains("ada stands already in"), "{}", twice.stderr);
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
}

#[test]
fn a_runner_at_work_hears_what_people_ask_over_the_network() {
    let workspace =
        Workspace::new().file("overnight.toml", SETTINGS).experiment("x", 6, &[1, 2], "s1:hold@3");
    let served = Controlled::start(&workspace);
    assert_eq!(served.post("/api/v1/queue/drain", "{}").0, 409, "nobody is at work yet");
    let runner = workspace.start(&["experiments/x.toml"]);
    let held = || workspace.runs("x").len() == 2 && step(&workspace.seed("x", 1)) == 3;
    wait_until("the first run holds", held);
    let run = format!("x/{}", workspace.seed("x", 1).name());
    let clean = format!(r#"{{"runs":["{run}"],"confirm":true}}"#);
    let (status, told) = served.post("/api/v1/clean", &clean);
    assert_eq!((status, &told["deleted"]), (200, &Value::Bool(false)));
    assert_eq!(told["runs"][0]["why"], "a worker lives there");
    let (status, told) = served.post("/api/v1/queue/drain", "{}");
    assert_eq!((status, &told["batch"]), (200, &workspace.batch().name().into()));
    wait_until("the runner has heard it", || workspace.queue_state().drain);
    assert_eq!(workspace.words("x"), ["running", "waiting"], "the current run goes on");
    let (status, told) = served.post(&format!("/api/v1/runs/{run}/stop"), "{}");
    assert_eq!(status, 200, "{told}");
    runner.wait().code(75);
    assert_eq!(workspace.words("x"), ["stopped", "waiting"]);
    let (status, told) = served.post(&format!("/api/v1/runs/{run}/retry"), r#"{"from_step":2}"#);
    assert_eq!((status, &told["status"]), (200, &"waiting".into()), "{told}");
}

#[test]
fn a_runner_that_ten_people_ask_without_end_still_ends_when_it_is_drained() {
    let workspace =
        Workspace::new().file("overnight.toml", SETTINGS).experiment("x", 6, &[1, 2, 3], "s1:hold@3");
    let served = Controlled::start(&workspace);
    let people: Vec<String> = (0..10)
        .map(|number| {
            let name = format!("person-{number}");
            let added = workspace.overnight(&["serve", "--add-person", &name, "--role", "assistant"]);
            added.code(0).stdout.trim().to_owned()
        })
        .collect();
    let runner = workspace.start(&["experiments/x.toml"]);
    let held = || workspace.runs("x").len() == 3 && step(&workspace.seed("x", 1)) == 3;
    wait_until("the first run holds", held);
    let names: Vec<String> = workspace.runs("x").iter().map(|run| run.name()).collect();
    let text = fs::read_to_string(workspace.path("experiments/x.toml")).unwrap();
    let (is_over, address) = (std::sync::atomic::AtomicBool::new(false), served.address);
    let heard = std::thread::scope(|scope| {
        let asking: Vec<_> = people
            .iter()
            .enumerate()
            .map(|(person, token)| {
                let (names, text, is_over) = (&names, &text, &is_over);
                scope.spawn(move || {
                    let mut heard = 0;
                    for round in 0.. {
                        if heard > 0 && is_over.load(std::sync::atomic::Ordering::Relaxed) {
                            break;
                        }
                        let run = format!("/api/v1/runs/x/{}", names[round % names.len()]);
                        let (path, body) = match round % 5 {
                            0 => (format!("{run}/pause"), "{}".to_owned()),
                            1 => (format!("{run}/resume"), "{}".to_owned()),
                            2 => (format!("{run}/note"), r#"{"text":"a note"}"#.to_owned()),
                            3 => (format!("{run}/tag"), r#"{"tag":"a"}"#.to_owned()),
                            _ => {
                                let text = text.replace("[1, 2, 3]", &format!("[{}]", 100 * person + round));
                                let name = format!("q-{person}-{round}");
                                let body = serde_json::json!({ "toml": text, "name": name });
                                ("/api/v1/queue".to_owned(), body.to_string())
                            }
                        };
                        let key = format!("key-{person}-{round:08}");
                        heard += u32::from(post(address, token, &key, &path, &body).status == 200);
                    }
                    heard
                })
            })
            .collect();
        assert_eq!(served.post("/api/v1/queue/drain", "{}").0, 200);
        runner.wait().code(75);
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        asking.into_iter().map(|person| person.join().unwrap()).collect::<Vec<u32>>()
    });
    assert!(heard.iter().all(|heard| *heard > 0), "everybody was heard: {heard:?}");
}

#[test]
fn a_log_that_cannot_be_written_is_complained_of_once() {
    let workspace = Workspace::new().file("overnight.toml", SETTINGS).experiment("x", 6, &[1], "");
    workspace.spawn(&["queue", "experiments/x.toml"]).wait().code(0);
    fs::write(workspace.path("logs"), "in the way").unwrap();
    let served = Controlled::start(&workspace);
    let path = format!("/api/v1/runs/x/{}/tag", workspace.seed("x", 1).name());
    for tag in ["one", "two"] {
        assert_eq!(served.post(&path, &format!(r#"{{"tag":"{tag}"}}"#)).0, 200);
    }
    let said = served.said();
    assert_eq!(said.matches("cannot be written").count(), 1, "{said}");
}
