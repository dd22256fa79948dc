//! What programs ask, through the guard: refused as programs read it, and never at the cost of pages.

use overnight::serve::{Port, ServeOptions};
use serde_json::Value;

use super::{Reply, Served};

fn json(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap()
}

#[test]
fn programs_are_answered_through_the_guard_and_head_is_as_get() {
    let served = Served::new();
    for path in ["/healthz", "/readyz", "/api/v1/runs", "/api/v1/openapi.json", "/metrics"] {
        let reply = served.get(path);
        assert_eq!((reply.status, reply.header("x-content-type-options")), (200, Some("nosniff")), "{path}");
        let tag = reply.header("etag").unwrap();
        let again = served.get_with(path, &format!("If-None-Match: {tag}\r\n"));
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        let head = served.send(&format!("HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        assert_eq!(head.header("content-length"), reply.header("content-length"), "{path}");
    }
    assert_eq!(json(&served.get("/api/v1/runs"))["total"], 0);
    let open = served.get_with("/metrics", "Accept: application/openmetrics-text\r\n");
    assert!(open.body.ends_with(b"# EOF\n"));
    let reply = served.get_with("/api/v1/openapi.json", "Accept-Encoding: gzip\r\n");
    assert_eq!(reply.header("content-encoding"), Some("gzip"));
    served.assert_answers();
}

#[test]
fn what_the_guard_refuses_a_program_it_refuses_in_problem_details() {
    let served = Served::new();
    for (request, status, says) in [
        ("POST /api/v1/runs HTTP/1.1\r\nHost: localhost\r\n\r\n", 405, "GET and HEAD"),
        ("DELETE /api/v1/runs/x/a HTTP/1.1\r\nHost: localhost\r\n\r\n", 405, "GET and HEAD"),
        ("GET /api/v1/runs HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421, "--host"),
        ("GET /metrics HTTP/1.1\r\n\r\n", 400, "Host"),
        ("GET /api/v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc", 400, "body"),
        ("GET /api/v1/nothing HTTP/1.1\r\nHost: localhost\r\n\r\n", 404, "openapi.json"),
        ("GET /api/v1/runs?limit=0 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "from 1 to 500"),
    ] {
        let reply = served.send(request);
        assert_eq!((reply.status, reply.header("content-type")), (status, Some("application/problem+json")));
        let problem = json(&reply);
        assert_eq!(problem["status"], status, "{problem}");
        assert!(problem.to_string().contains(says), "{problem}");
    }
    served.assert_answers();
}

#[test]
fn programs_show_the_token_as_a_bearer() {
    let token = Some("a word".to_owned());
    let served = Served::as_asked(ServeOptions { port: Port::Exactly(0), token, ..ServeOptions::default() });
    for path in ["/api/v1/runs", "/metrics", "/healthz", "/readyz", "/api/v1/openapi.json"] {
        let reply = served.get(path);
        assert_eq!((reply.status, reply.header("content-type")), (401, Some("application/problem+json")));
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
        assert!(json(&reply)["hint"].as_str().unwrap().contains("Bearer"), "{path}");
        assert_eq!(served.get_with(path, "Authorization: Bearer a word\r\n").status, 200, "{path}");
    }
}
