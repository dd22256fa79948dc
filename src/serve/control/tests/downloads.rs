//! Logs and checkpoints, by role and in parts.

use super::*;

const LOG: &str = "/api/v1/runs/x/a/log";
const MODEL: &str = "/api/v1/runs/x/a/checkpoints/20/model.safetensors";

fn with_files(is_on: bool) -> Scene {
    let scene = Scene::new(is_on);
    let dir = scene.run();
    std::fs::write(dir.train_log(), "0123456789").unwrap();
    std::fs::create_dir_all(dir.checkpoint(20).path()).unwrap();
    std::fs::write(dir.checkpoint(20).model(), "abcdefghij").unwrap();
    scene
}

#[test]
fn logs_are_for_everybody_who_is_named_and_checkpoints_for_owners() {
    let scene = with_files(true);
    let list = "/api/v1/runs/x/a/checkpoints";
    for path in [LOG, list, MODEL] {
        let (status, answer) = scene.get(path, "");
        assert_eq!((status, told(&answer, "WWW-Authenticate")), (401, Some("Bearer")), "{path}");
        // What a client says of itself is not what the guard says of it.
        assert_eq!(scene.get(path, "Overnight-Person: 2\r\n").0, 401, "{path}");
    }
    for role in ROLES {
        let bearer = scene.bearer(role);
        assert_eq!(scene.get(LOG, &bearer).0, 200);
        let expected = if role == Role::Owner { 200 } else { 403 };
        assert_eq!([list, MODEL].map(|path| scene.get(path, &bearer).0), [expected; 2], "{role:?}");
    }
    let refusals = scene.refusals();
    assert!(refusals.contains("web:viewer") && refusals.contains(MODEL), "{refusals}");
    let scene = with_files(false);
    assert_eq!([LOG, list, MODEL].map(|path| scene.get(path, "").0), [200, 403, 403]);
}

#[test]
fn what_was_broken_off_goes_on_by_range_and_only_of_the_same_file() {
    let scene = with_files(true);
    let owner = scene.owner();
    for (path, text, kind) in
        [(LOG, "0123456789", "text/plain; charset=utf-8"), (MODEL, "abcdefghij", "application/octet-stream")]
    {
        let get = |more: &str| scene.get(path, &format!("{owner}{more}"));
        let (status, whole) = get("");
        assert_eq!((status, body_in(&whole), told(&whole, "Content-Type")), (200, text, Some(kind)));
        let name = told(&whole, "Content-Disposition").unwrap();
        assert!(name.starts_with("attachment; filename=\"x-a-"), "{name}");
        let tag = told(&whole, "ETag").unwrap();
        let (status, rest) = get(&format!("Range: bytes=4-\r\nIf-Range: {tag}\r\n"));
        assert_eq!((status, body_in(&rest)), (206, &text[4..]));
        assert_eq!(told(&rest, "Content-Range"), Some("bytes 4-9/10"));
        let (status, other) = get("Range: bytes=4-\r\nIf-Range: \"another\"\r\n");
        assert_eq!((status, body_in(&other)), (200, text));
        assert_eq!(get("Range: bytes=10-\r\n").0, 416);
        assert_eq!(get(&format!("If-None-Match: {tag}\r\n")).0, 304);
        let head = format!("HEAD {path} HTTP/1.1\r\nHost: localhost\r\n{owner}\r\n");
        let (status, head) = exchange(scene.server.address(), &head);
        assert_eq!((status, told(&head, "Content-Length"), body_in(&head)), (200, Some("10"), ""));
    }
    assert_eq!(scene.get("/api/v1/runs/x/a/stderr", &owner).0, 404, "nothing is in it yet");
}

#[test]
fn a_file_larger_than_memory_holds_up_nobody_and_a_reader_that_sleeps_neither() {
    let scene = with_files(true);
    let bytes = 64_u64 << 30;
    let model = scene.run().checkpoint(20).model();
    // Of holes alone.
    std::fs::OpenOptions::new().write(true).open(model).unwrap().set_len(bytes).unwrap();
    let owner = scene.owner();
    let sleepers: Vec<TcpStream> = (0..40)
        .map(|_| {
            let mut stream = TcpStream::connect(scene.server.address()).unwrap();
            write!(stream, "GET {MODEL} HTTP/1.1\r\nHost: localhost\r\n{owner}\r\n").unwrap();
            stream
        })
        .collect();
    // Nobody reads on; the beginning is there or comes when somebody gives way.
    let last = bytes - 5;
    let (status, answer) = scene.get(MODEL, &format!("{owner}Range: bytes={last}-\r\n"));
    assert_eq!((status, body_in(&answer)), (206, "\0\0\0\0\0"));
    assert_eq!(scene.get("/", "").0, 200);
    assert_eq!(scene.post("note", &owner, "meanwhile", r#"{"text":"meanwhile"}"#).0, 200);
    drop(sleepers);
}

#[test]
fn what_is_deleted_while_it_is_sent_arrives_whole_and_what_is_cut_ends_there() {
    let scene = with_files(true);
    let checkpoint = scene.run().checkpoint(20);
    // More than sockets and pipes between us hold.
    let bytes = 256_u64 << 20;
    let begun = || {
        let file = std::fs::File::create(checkpoint.model()).unwrap();
        file.set_len(bytes).unwrap();
        let mut stream = TcpStream::connect(scene.server.address()).unwrap();
        write!(stream, "GET {MODEL} HTTP/1.1\r\nHost: localhost\r\n{}\r\n", scene.owner()).unwrap();
        let mut head = vec![0; 4096];
        stream.read_exact(&mut head).unwrap();
        assert!(head.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&head));
        let at = memchr::memmem::find(&head, b"\r\n\r\n").unwrap() + 4;
        (stream, (head.len() - at) as u64)
    };
    let rest = |mut stream: TcpStream| std::io::copy(&mut stream, &mut std::io::sink()).unwrap_or_default();
    let (stream, had) = begun();
    std::fs::remove_dir_all(checkpoint.path()).unwrap();
    assert_eq!(had + rest(stream), bytes);
    assert_eq!(scene.get(MODEL, &scene.owner()).0, 404);
    std::fs::create_dir_all(checkpoint.path()).unwrap();
    let (stream, had) = begun();
    std::fs::OpenOptions::new().write(true).open(checkpoint.model()).unwrap().set_len(1).unwrap();
    assert!(had + rest(stream) < bytes);
    // A log that has grown is another version: it is sent whole, and a range of it from the new end.
    let (owner, log) = (scene.owner(), scene.run().train_log());
    let (_, whole) = scene.get(LOG, &owner);
    let tag = told(&whole, "ETag").unwrap();
    std::fs::OpenOptions::new().append(true).open(&log).unwrap().write_all(b"abc").unwrap();
    let get = |more: &str| {
        let (status, answer) = scene.get(LOG, &format!("{owner}{more}"));
        (status, body_in(&answer).to_owned(), told(&answer, "Content-Range").map(str::to_owned))
    };
    assert_eq!(get(&format!("Range: bytes=10-\r\nIf-Range: {tag}\r\n")), (200, "0123456789abc".into(), None));
    assert_eq!(get("Range: bytes=10-\r\n"), (206, "abc".into(), Some("bytes 10-12/13".into())));
    // And one that was begun anew has no such place.
    std::fs::remove_file(&log).unwrap();
    std::fs::write(&log, "0").unwrap();
    assert_eq!(get("Range: bytes=10-\r\n"), (416, String::new(), Some("bytes */1".into())));
}
