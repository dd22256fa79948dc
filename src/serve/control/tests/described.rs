//! What is posted and answered, held against the description.

use serde_json::json;

use super::*;
use crate::serve::control::posts::{Asks, POSTS};

/// Requests and answers have to be described to the last field.
fn hold(document: &Value, schema: &Value, value: &Value, what: &str) {
    let mut whole = schema.clone();
    whole["components"] = document["components"].clone();
    for schema in whole["components"]["schemas"].as_object_mut().unwrap().values_mut() {
        if schema["properties"].is_object() {
            schema["unevaluatedProperties"] = Value::Bool(false);
        }
    }
    let validator = jsonschema::draft202012::new(&whole).unwrap();
    let errors: Vec<String> = validator.iter_errors(value).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{what}: {errors:?} in {value:#}");
}

#[test]
fn every_post_is_taken_and_answered_as_it_is_described() {
    let scene = Scene::new(true);
    let document = json_of(&scene.get("/api/v1/openapi.json", "").1);
    let toml = "[data]\nkind = \"shapes\"\ncount = 100\n[model]\nkind = \"mlp\"\n";
    for post in POSTS {
        let described = &document["paths"][post.path]["post"];
        let path = post.path.replace("{experiment}", "x").replace("{run}", "a");
        let (body, expected) = match post.asks {
            Asks::SignIn => (json!({ "token": scene.tokens[2] }), 200),
            Asks::SignOut => (json!({}), 200),
            Asks::Change(Action::Queue) => (json!({ "toml": toml, "dry_run": true }), 200),
            Asks::Change(Action::Drain) => (json!({}), 409),
            Asks::Change(Action::Clean) => (json!({ "runs": ["x/a"] }), 200),
            Asks::Change(action) => (serde_json::from_str(body_of(action)).unwrap(), 200),
        };
        hold(&document, &described["requestBody"]["content"]["application/json"]["schema"], &body, post.path);
        let problem = &document["components"]["responses"]["Problem"]["content"]["application/problem+json"];
        let hold_answer = |(status, answer): (u16, Value)| {
            let responses = &described["responses"];
            assert!(responses[status.to_string()].is_object(), "{}: {status} is not described", post.path);
            let content = &responses["200"]["content"]["application/json"];
            let schema = &(if status == 200 { content } else { problem })["schema"];
            hold(&document, schema, &answer, post.path);
            status
        };
        assert_eq!(hold_answer(scene.ask(&path, &body.to_string())), expected, "{}", post.path);
        assert_eq!(hold_answer(scene.ask(&path, r#"{"nonsense":1}"#)), 400, "{}", post.path);
        // Who sees may sign in and out, and change nothing.
        let of_viewer = hold_answer(scene.ask_as(Role::Viewer, &path, &body.to_string()));
        let is_change = matches!(post.asks, Asks::Change(_));
        assert_eq!(of_viewer, if is_change { 403 } else { 200 }, "{}", post.path);
        if post.path.contains("{run}") {
            let path = post.path.replace("{experiment}", "x").replace("{run}", "no");
            assert_eq!(hold_answer(scene.ask(&path, &body.to_string())), 404, "{}", post.path);
        }
    }
    let (_, problem) = scene.ask("/api/v1/queue", r#"{"toml":"[data"}"#);
    let schema =
        &document["components"]["responses"]["Problem"]["content"]["application/problem+json"]["schema"];
    hold(&document, schema, &problem, "mistakes");
}

#[test]
fn a_list_is_no_object_also_where_nothing_has_to_be_said() {
    let scene = Scene::new(true);
    let token = format!("[\"{}\"]", scene.tokens[2]);
    for (path, body) in
        [("session", &*token), ("session/end", "[]"), ("queue/drain", "[]"), ("runs/x/a/priority", "[1]")]
    {
        let (status, problem) = scene.ask(&format!("/api/v1/{path}"), body);
        assert_eq!((status, &problem["detail"]), (400, &"the body is no JSON object".into()), "{path}");
    }
}

#[test]
fn whole_numbers_may_be_written_with_a_point_and_others_are_none() {
    let scene = Scene::new(true);
    let status = |word: &str, body: &str| scene.ask(&format!("/api/v1/runs/x/a/{word}"), body).0;
    for (number, expected) in
        [("7.0", 200), ("-2.6e14", 200), ("7", 200), ("7.5", 400), ("1e19", 400), ("\"7\"", 400)]
    {
        assert_eq!(status("priority", &format!("{{\"priority\":{number}}}")), expected, "{number}");
    }
    std::fs::create_dir_all(scene.run().checkpoint(7).path()).unwrap();
    // There is a step 7; 8 is none that is there, and the others are no steps.
    for (number, expected) in [("8.0", 409), ("-1", 400), ("-1.0", 400), ("7.5", 400), ("1e20", 400)] {
        assert_eq!(status("retry", &format!("{{\"from_step\":{number}}}")), expected, "{number}");
    }
    let priorities: Vec<_> = scene.asked().into_iter().map(|request| request.ask).collect();
    assert!(
        priorities.contains(&crate::run_dir::records::Ask::Priority { priority: -260_000_000_000_000 }),
        "{priorities:?}"
    );
}

#[test]
fn another_method_is_told_which_there_is() {
    let scene = Scene::new(true);
    let owner = scene.owner();
    let allow = |(status, answer): (u16, String)| (status, told(&answer, "Allow").map(str::to_owned));
    let get = |path: &str| allow(scene.get(path, &owner));
    assert_eq!(get("/api/v1/queue/drain"), (405, Some("POST".to_owned())));
    assert_eq!(get("/api/v1/runs/x/a/pause"), (405, Some("POST".to_owned())));
    let headers = format!("{owner}{}", head_of("a-key-for-it", "{}"));
    let read = send(scene.server.address(), "/api/v1/runs/x/a/log", &headers, "{}");
    assert_eq!(allow(read), (405, Some("GET, HEAD".to_owned())));
    for (path, methods) in [
        ("/api/v1/queue", "GET, HEAD, POST"),
        ("/api/v1/runs/x/a/pause", "POST"),
        ("/api/v1/runs/x/a", "GET, HEAD"),
        ("/", "GET, HEAD"),
    ] {
        let delete = format!("DELETE {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let told = allow(exchange(scene.server.address(), &delete));
        assert_eq!(told, (405, Some(methods.to_owned())), "{path}");
    }
    // What comes with it is no reason to say something else; where it is read, the body is what is wrong.
    for (method, path, status) in [
        ("GET", "/api/v1/runs/x/a/pause", 405),
        ("HEAD", "/api/v1/queue/drain", 405),
        ("GET", "/api/v1/queue", 400),
        ("GET", "/api/v1/runs/x/a", 400),
        ("GET", "/", 400),
    ] {
        for body in ["Content-Length: 2\r\n\r\n{}", "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"]
        {
            let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{body}");
            let (got, answer) = exchange(scene.server.address(), &request);
            assert_eq!(got, status, "{request}: {answer}");
            assert_eq!(told(&answer, "Allow"), (got == 405).then_some("POST"), "{request}");
        }
    }
}

#[test]
fn a_head_that_is_too_long_is_refused_as_programs_read_it() {
    let scene = Scene::new(true);
    for (path, kind) in [
        ("/api/v1/runs", "application/problem+json"),
        ("/api/v1/runs/x/a/pause", "application/problem+json"),
        ("/index.html", "text/plain; charset=utf-8"),
    ] {
        let long =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Long: {}\r\n\r\n", "x".repeat(100_000));
        let (status, answer) = exchange(scene.server.address(), &long);
        assert_eq!((status, told(&answer, "Content-Type")), (431, Some(kind)), "{path}");
    }
}
