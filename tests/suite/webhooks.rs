//! What servers are told by webhooks, and that a server that hangs, lies or is not there harms no run.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use serde_json::Value;

use crate::hooks::{names, with_hooks};
use crate::workspace::Workspace;

const X: &str = "experiments/x.toml";

/// A server that answers each request with 200 and hands it over: its head and its body.
fn server() -> (u16, Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, requests) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            if sender.send(request(stream.unwrap())).is_err() {
                return;
            }
        }
    });
    (port, requests)
}

fn request(mut stream: TcpStream) -> (String, String) {
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
            });
            if body.len() >= length.unwrap_or(0) {
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                    .unwrap();
                return (head.to_lowercase(), body.to_owned());
            }
        }
        let count = stream.read(&mut part).unwrap();
        assert!(count > 0, "the request was cut off: {text}");
        bytes.extend_from_slice(&part[..count]);
    }
}

#[test]
fn a_webhook_is_sent_json_or_what_ntfy_and_slack_take() {
    let (port, requests) = server();
    let hook = |path: &str, rest: &str| {
        format!(
            "[[hooks]]\non = [\"batch-finished\"]\nwebhook = \"http://127.0.0.1:{port}/{path}\"\n{rest}\n"
        )
    };
    let hooks = [
        hook("json", ""),
        hook("ntfy", "form = \"ntfy\"\nheaders = { Authorization = \"Bearer ${TEST_TOKEN}\" }"),
        hook("slack", "form = \"slack\""),
    ];
    let workspace = with_hooks(Workspace::new().experiment("x", 2, &[1], ""), &hooks.concat())
        .variable("TEST_TOKEN", "a-secret");
    let output = workspace.run(&[X]).code(0);
    let mut received: Vec<(String, String)> = (0..3).map(|_| requests.recv().unwrap()).collect();
    received.sort();
    let [(json_head, json), (ntfy_head, ntfy), (slack_head, slack)] = &received[..] else { panic!() };
    assert!(
        json_head.starts_with("post /json http/1.1") && json_head.contains("content-type: application/json"),
        "{json_head}"
    );
    let told: Value = serde_json::from_str(json).unwrap();
    assert_eq!((&told["event"], &told["exit_code"]), (&"batch-finished".into(), &0.into()));
    assert_eq!(told["counts"]["finished"], 1);
    let message = told["message"].as_str().unwrap();
    assert!(message.starts_with("1 finished in "), "{message}");
    for header in
        ["title: batch finished", "priority: default", "tags: sunrise", "authorization: bearer a-secret"]
    {
        assert!(ntfy_head.lines().any(|line| line == header), "{header} is not in\n{ntfy_head}");
    }
    assert_eq!(ntfy, message);
    assert!(slack_head.contains("content-type: application/json"));
    let text: Value = serde_json::from_str(slack).unwrap();
    assert_eq!(text, serde_json::json!({ "text": format!("*batch finished*\n{message}") }));
    assert_eq!(names(&workspace).iter().filter(|name| *name == "hook").count(), 3, "{}", output.stderr);
    let log = fs::read_to_string(workspace.batch().runner_log()).unwrap();
    assert!(!log.contains("a-secret") && !output.stderr.contains("a-secret"));
}

/// A server that answers in the clear whatever it is sent.
fn without_tls() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            drop(stream.read(&mut [0; 4096]));
            drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
        }
    });
    port
}

/// A server that begins to answer like this and never goes on.
fn stalling(begins: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for mut stream in listener.incoming().flatten() {
            drop(stream.write_all(begins.as_bytes()));
            open.push(stream);
        }
    });
    port
}

#[test]
fn a_webhook_that_hangs_in_the_middle_of_its_answer_is_given_up_and_harms_no_run() {
    let in_its_head = stalling("HTTP/1.1 200 OK\r\ncontent-type: ");
    let in_its_body = stalling("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 1000\r\n\r\nwhat ");
    let hook = |port: u16, timeout: u32| {
        format!(
            "[[hooks]]\non = [\"run-finished\"]\nwebhook = \"http://127.0.0.1:{port}/\"\ntimeout_seconds = {timeout}\n"
        )
    };
    // The second has time enough for its head, however busy the machine is.
    let hooks = [hook(in_its_head, 1), hook(in_its_body, 10)];
    let workspace = with_hooks(Workspace::new().experiment("x", 2, &[1, 2], ""), &hooks.concat());
    workspace.run(&[X]).code(0).says("no answer within 1 s").says("answered 503 Service Unavailable");
    assert_eq!(workspace.words("x"), ["finished"; 2]);
    assert_eq!(names(&workspace).iter().filter(|name| *name == "hook-failed").count(), 4);
}

#[test]
fn a_webhook_without_an_answer_a_listener_or_its_token_harms_nothing() {
    // It takes connections and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    // Who answers has all the time he needs.
    let hook = |port: u16, seconds: u32, rest: &str| {
        format!(
            "[[hooks]]\non = [\"run-finished\"]\nwebhook = \"http://127.0.0.1:{port}/\"\ntimeout_seconds = {seconds}\n{rest}\n"
        )
    };
    let hooks = [
        hook(port, 1, ""),
        hook(nobody, 60, ""),
        hook(port, 60, "headers = { Authorization = \"${NO_SUCH_TOKEN}\" }"),
        hook(without_tls(), 60, "").replace("http://", "https://"),
    ];
    let workspace = with_hooks(Workspace::new().experiment("x", 2, &[1, 2], ""), &hooks.concat());
    let output = workspace.run(&[X]).code(0);
    for expected in [
        "no answer within 1 s",
        "onnection refused",
        "the variable NO_SUCH_TOKEN is not set",
        "received corrupt message of type InvalidContentType",
    ] {
        assert!(output.stderr.contains(expected), "{expected} is not in\n{}", output.stderr);
    }
    assert_eq!(workspace.words("x"), ["finished"; 2]);
    assert_eq!(names(&workspace).iter().filter(|name| *name == "hook-failed").count(), 8);
}
