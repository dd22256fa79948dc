//! Bodies that never end, answers asked for twice, people who act at once, and odd names.

use super::*;
use crate::run_dir::scan;
use crate::serve::Limits;

/// The head of a note of so many bytes.
fn begun(scene: &Scene, key: &str, bytes: usize) -> TcpStream {
    let mut stream = TcpStream::connect(scene.server.address()).unwrap();
    let head = format!(
        "POST /api/v1/runs/x/a/note HTTP/1.1\r\nHost: localhost\r\n{}Content-Type: application/json\r\n\
         Idempotency-Key: {key}\r\nContent-Length: {bytes}\r\n\r\n{{\"text\":",
        scene.owner()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

fn answer_of(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

#[test]
fn a_body_that_is_cut_off_or_never_comes_changes_nothing_and_holds_up_nobody() {
    // As long as it may take: the end of a body that was cut off comes before that.
    let scene = Scene::new(true);
    let cut = begun(&scene, "cut-in-the-middle", 1000);
    cut.shutdown(Shutdown::Write).unwrap();
    assert!(answer_of(cut).starts_with("HTTP/1.1 400"));
    assert!(scene.asked().is_empty());
    let limits = Limits { body_deadline: Duration::from_millis(300), ..Limits::default() };
    let scene = Scene::with(true, ServeOptions { limits, ..ServeOptions::default() });
    let slow: Vec<TcpStream> =
        (0..20).map(|number| begun(&scene, &format!("slow-body-{number}"), 1000)).collect();
    assert_eq!(scene.get("/", "").0, 200);
    assert_eq!(scene.post("tag", &scene.bearer(Role::Assistant), "meanwhile", r#"{"tag":"a"}"#).0, 200);
    for stream in slow {
        assert!(answer_of(stream).starts_with("HTTP/1.1 408"));
    }
    drop(begun(&scene, "gone-in-the-middle", 1000));
    assert_eq!(scene.asked().len(), 1);
}

#[test]
fn a_body_of_a_gigabyte_or_a_hundred_thousand_brackets_is_refused() {
    let scene = Scene::new(true);
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for (body, status) in [(deep(100_000), 413), (deep(30_000), 400), ("x".repeat(65_536), 400)] {
        let (got, problem) = scene.ask("/api/v1/runs/x/a/note", &body);
        assert_eq!(got, status, "{problem}");
    }
    assert!(answer_of(begun(&scene, "a-gigabyte", 1 << 30)).starts_with("HTTP/1.1 413"));
    assert!(scene.asked().is_empty());
}

#[test]
fn what_comes_twice_is_answered_alike_across_a_restart_and_also_where_it_was_refused() {
    let scene = Scene::new(true);
    let owner = scene.owner();
    let noted = scene.post("note", &owner, "key-of-the-note", r#"{"text":"once"}"#);
    let refused = scene.post("retry", &owner, "key-of-the-retry", r#"{"from_step":7}"#);
    assert_eq!((noted.0, refused.0), (200, 409));
    let unread = scene.post("note", &owner, "key-of-the-rest", "{");
    assert_eq!(unread.0, 400);
    let body = |(status, answer): (u16, String)| (status, body_in(&answer).to_owned());
    let (noted, refused) = (body(noted), body(refused));
    // Now it could be done; the answer was given all the same.
    std::fs::create_dir_all(scene.run().checkpoint(7).path()).unwrap();
    let scene = scene.restarted();
    let again = || scene.post("note", &owner, "key-of-the-note", r#"{"text":"once"}"#);
    assert_eq!([body(again()), body(again())], [noted.clone(), noted]);
    let retried = scene.post("retry", &owner, "key-of-the-retry", r#"{"from_step":7}"#);
    assert_eq!(body(retried), refused);
    assert_eq!(scene.post("note", &owner, "key-of-the-note", r#"{"text":"twice"}"#).0, 422);
    assert_eq!(scene.asked().len(), 1);
    assert_eq!(scene.post("note", &owner, "key-of-the-rest", r#"{"text":"whole now"}"#).0, 200);
    // The key is the person's own.
    let other = scene.bearer(Role::Assistant);
    assert_eq!(scene.post("note", &other, "key-of-the-note", r#"{"text":"mine"}"#).0, 200);
    assert_eq!(scene.asked().len(), 3);
}

#[test]
fn of_two_people_who_act_at_once_both_are_heard_and_told_what_is_true() {
    let scene = Scene::new(true);
    for round in 0..10 {
        let before = scene.asked().len();
        let key = |word: &str| format!("{word}-at-once-{round}");
        let act = |word: &'static str, role| {
            let (status, answer) = scene.post(word, &scene.bearer(role), &key(word), "{}");
            assert_eq!(status, 200, "{answer}");
            json_of(&answer)["status"].as_str().unwrap().to_owned()
        };
        let (stopped, resumed) = std::thread::scope(|scope| {
            let stop = scope.spawn(|| act("stop", Role::Owner));
            let resume = scope.spawn(|| act("resume", Role::Assistant));
            (stop.join().unwrap(), resume.join().unwrap())
        });
        assert_eq!((&*stopped, &*resumed), ("stopped", "waiting"));
        let asked = scene.asked();
        assert_eq!(asked.len(), before + 2);
        let now = scan::look(&scene.run(), &scan::host(), scan::now()).status.word();
        let expected = if asked.last().unwrap().ask == Ask::Stop { "stopped" } else { "waiting" };
        assert_eq!(now, expected);
        // From here both can be asked again.
        crate::run_dir::requests::ask(&scene.run(), "ada".to_owned(), Ask::Resume).unwrap();
    }
}

#[test]
fn runs_with_odd_names_are_reached_and_no_name_leads_elsewhere() {
    let scene = Scene::new(true);
    for name in ["b c%", "ä&?#", "100%25", "a\\b"] {
        let dir = scene.workspace.run("odd one", name);
        std::fs::create_dir_all(dir.path()).unwrap();
        let record = sample_record("odd one", name);
        replace_json(&dir.run_json(), &record, Durability::Rebuildable).unwrap();
        let path = format!("/api/v1/runs/odd%20one/{}/tag", crate::report::catalog::address_of(name));
        let (status, answer) = scene.ask(&path, r#"{"tag":"seen"}"#);
        assert_eq!((status, &answer["run"]), (200, &name.into()), "{answer}");
        let asked: Vec<Request> = read::lines(&dir.requests()).unwrap().records;
        assert_eq!(asked.len(), 1, "{name}");
    }
    let split = "HTTP/1.1 200 OK%0d%0aSet-Cookie: a=b";
    for name in ["%2e%2e", "a%2f..%2fa", "%2e", "", "%00", "a%0d%0aX-Injected:%20yes", "%ff", "%", split] {
        let path = format!("/api/v1/runs/x/{}/tag", name.replace(' ', "%20"));
        let headers = format!("{}{}", scene.owner(), head_of(&token().unwrap(), r#"{"tag":"a"}"#));
        let (status, answer) = send(scene.server.address(), &path, &headers, r#"{"tag":"a"}"#);
        assert_eq!(status, 404, "{name}: {answer}");
        assert!(told(&answer, "X-Injected").is_none() && told(&answer, "Set-Cookie").is_none(), "{answer}");
    }
    assert!(scene.asked().is_empty());
    let log = std::fs::read_to_string(scene.workspace.root().join("logs/serve.jsonl")).unwrap();
    assert!(log.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{log}");
}

#[test]
fn a_tag_and_notes_are_taken_away_again() {
    let scene = Scene::new(true);
    for (word, body) in [
        ("tag", r#"{"tag":"good"}"#),
        ("tag", r#"{"tag":"bad"}"#),
        ("tag", r#"{"tag":"good","remove":true}"#),
        ("note", r#"{"text":"one"}"#),
        ("note", r#"{"text":""}"#),
        ("note", r#"{"text":"two"}"#),
    ] {
        let (status, answer) = scene.ask(&format!("/api/v1/runs/x/a/{word}"), body);
        assert_eq!(status, 200, "{answer}");
    }
    crate::report::build(scene.workspace.root()).unwrap();
    let run = json_of(&scene.get("/api/v1/runs/x/a", "").1);
    let tags: Vec<&str> = run["tags"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(tags.contains(&"bad") && !tags.contains(&"good"), "{tags:?}");
    let notes = run["notes"].to_string();
    assert!(notes.contains("two") && !notes.contains("one\""), "{notes}");
}

#[test]
fn what_cannot_be_written_to_the_log_is_done_all_the_same() {
    let scene = Scene::new(true);
    std::fs::write(scene.workspace.root().join("logs"), "in the way").unwrap();
    assert_eq!(scene.post("note", &scene.owner(), "a-key-for-it", r#"{"text":"one"}"#).0, 200);
    assert_eq!(scene.post("note", &scene.owner(), "a-key-for-it", r#"{"text":"one"}"#).0, 200);
    assert_eq!(scene.post("note", "", "a-key-for-it", r#"{"text":"one"}"#).0, 401);
    assert_eq!(scene.asked().len(), 1);
}
