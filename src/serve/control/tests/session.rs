//! Signing in and out, and what a cookie is good for.

use serde_json::json;

use super::super::session::PAGE;
use super::*;

fn sign_in(scene: &Scene, token: &str, more: &str) -> (u16, String) {
    let body = json!({ "token": token }).to_string();
    let headers = format!("{more}Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    send(scene.server.address(), "/api/v1/session", &headers, &body)
}

fn me(scene: &Scene, headers: &str) -> Value {
    let (status, answer) = scene.get("/api/v1/me", headers);
    assert_eq!(status, 200, "{answer}");
    json_of(&answer)
}

#[test]
fn signing_in_keeps_the_token_out_of_reach_of_scripts_and_signing_out_takes_it_away() {
    let scene = Scene::new(true);
    let host = scene.server.address();
    let nobody = json!({ "control": true, "person": null, "may": [] });
    assert_eq!(me(&scene, ""), nobody);
    let (status, answer) = sign_in(&scene, &scene.tokens[1], "");
    let told_me = json_of(&answer);
    assert_eq!((status, &told_me["person"]), (200, &json!({ "name": "assistant", "role": "assistant" })));
    assert_eq!(told_me["may"], json!(["pause", "resume", "note", "tag", "queue", "log"]));
    let name = format!("overnight-person-{}", host.port());
    let set = told(&answer, "Set-Cookie").unwrap();
    let word = set
        .strip_prefix(&format!("{name}="))
        .and_then(|set| set.strip_suffix("; Path=/; HttpOnly; SameSite=Strict"));
    let page = told(&answer, PAGE).unwrap();
    // A browser hands its cookies to other servers of this machine: the token is not among them.
    assert!(word.is_some_and(|word| word.len() == 64) && page.len() == 64, "{answer}");
    assert!(word != Some(page) && !answer.contains(&scene.tokens[1]), "{answer}");
    let cookie = format!("Cookie: theme=dark; {name}={}\r\n", word.unwrap());
    assert_eq!(me(&scene, &cookie), told_me);
    let ours = format!("{cookie}Origin: http://{host}\r\n{PAGE}: {page}\r\n");
    assert_eq!(scene.post("pause", &ours, "by-cookie-1", "{}").0, 200);
    assert_eq!(scene.asked()[0].who, "web:assistant");
    // A browser says where a change comes from; what does not is no browser and needs no cookie.
    for more in ["", "Origin: http://evil.example\r\n", "Origin: null\r\n", "Sec-Fetch-Site: same-site\r\n"] {
        let headers = format!("{cookie}{PAGE}: {page}\r\n{more}");
        let (status, answer) = scene.post("resume", &headers, "by-cookie-2", "{}");
        assert_eq!(status, 403, "{more}: {answer}");
    }
    // Who was handed the cookie alone says whatever a browser would say, and changes nothing.
    let (_, others) = sign_in(&scene, &scene.tokens[1], "");
    for more in [
        String::new(),
        format!("{PAGE}: \r\n"),
        format!("{PAGE}: {}\r\n", word.unwrap()),
        format!("{PAGE}: {}\r\n", told(&others, PAGE).unwrap()),
        format!("{PAGE}: {page}\r\n{PAGE}: {page}\r\n"),
    ] {
        let headers = format!("{cookie}Origin: http://{host}\r\n{more}");
        let (status, answer) = scene.post("resume", &headers, "by-cookie-3", "{}");
        assert_eq!(status, 401, "{more}: {answer}");
    }
    let as_bearer = format!("Authorization: Bearer {}\r\n", word.unwrap());
    assert_eq!(scene.post("resume", &as_bearer, "by-cookie-4", "{}").0, 401);
    let end = "Content-Type: application/json\r\nContent-Length: 2\r\n";
    let (status, answer) = send(host, "/api/v1/session/end", &format!("{ours}{end}"), "{}");
    assert_eq!((status, json_of(&answer)), (200, nobody));
    assert_eq!(
        told(&answer, "Set-Cookie").unwrap(),
        format!("{name}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0")
    );
    // What somebody kept of it is good for nothing any more; the session of the other browser goes on.
    assert_eq!(scene.post("resume", &ours, "by-cookie-5", "{}").0, 401);
    assert_eq!(me(&scene, &cookie)["person"], Value::Null);
    let other = told(&others, "Set-Cookie").unwrap().split(';').next().unwrap();
    assert_eq!(me(&scene, &format!("Cookie: {other}\r\n")), told_me);
    let scene = scene.restarted();
    assert_eq!(me(&scene, &format!("Cookie: {other}\r\n"))["person"], Value::Null);
    assert_eq!(scene.asked().len(), 1);
}

#[test]
fn sessions_of_one_person_that_nobody_ends_are_not_kept_for_ever() {
    let people: Vec<(String, Person)> = ROLES
        .iter()
        .map(|role| {
            let token = token().unwrap();
            let person = Person { name: role.word().into(), role: *role, token_hash: token_hash(&token) };
            (token, person)
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let known = super::super::session::People::new(
        Workspace::new(folder.path()),
        people.iter().map(|(_, person)| person.clone()).collect(),
        1,
    );
    let sign_in = |place: usize| known.sign_in(&people[place].0).unwrap().unwrap().cookie;
    let is_known = |cookie: &str| {
        let cookie = cookie.split(';').next().unwrap();
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\n\r\n");
        known.of(&Head::parse(head.as_bytes()).unwrap()).is_some()
    };
    let (first, other) = (sign_in(0), sign_in(2));
    let rest: Vec<String> = (0..100).map(|_| sign_in(0)).collect();
    assert!(!is_known(&first) && is_known(&other) && rest.iter().all(|cookie| is_known(cookie)));
}

#[test]
fn a_forged_cookie_and_one_of_another_server_are_nobodys() {
    let scene = Scene::new(true);
    let (host, token) = (scene.server.address(), &scene.tokens[2]);
    let name = format!("overnight-person-{}", host.port());
    let (_, answer) = sign_in(&scene, token, "");
    let right = told(&answer, "Set-Cookie").unwrap().split([';', '=']).nth(1).unwrap().to_owned();
    let page = told(&answer, PAGE).unwrap().to_owned();
    let hash = &scene.people[2].token_hash;
    for cookie in [
        format!("{name}={}", "0".repeat(64)),
        format!("{name}={hash}"),
        format!("{name}={token}"),
        format!("{name}={}", &right[1..]),
        format!("{name}=\"{right}\""),
        format!("{name}="),
        format!("overnight-person-1={right}"),
        format!("overnight-{}={right}", host.port()),
        format!("{name}x={right}"),
    ] {
        let headers = format!("Cookie: {cookie}\r\nOrigin: http://{host}\r\n{PAGE}: {page}\r\n");
        let (status, answer) = scene.post("stop", &headers, "forged-cookie", "{}");
        assert_eq!(status, 401, "{cookie}: {answer}");
        assert_eq!(me(&scene, &headers)["person"], Value::Null, "{cookie}");
    }
    // What a neighbor put beside the right one does no harm.
    let both = format!("Cookie: {name}=old; {name}={right}\r\n");
    assert_eq!(me(&scene, &both)["person"]["role"], "owner");
    assert!(scene.asked().is_empty());
    assert!(scene.refusals().contains("\"status\":401") && !scene.refusals().contains(token.as_str()));
}

#[test]
fn nobody_is_signed_in_by_a_wrong_token_a_foreign_page_or_without_end() {
    let scene = Scene::new(true);
    let token = scene.tokens[2].clone();
    for (token, more, status) in [
        (&"0".repeat(64), "", 401),
        (&scene.people[2].token_hash, "", 401),
        (&String::new(), "", 401),
        (&token, "Origin: http://evil.example\r\n", 403),
        (&token, "Sec-Fetch-Site: cross-site\r\n", 403),
    ] {
        let (got, answer) = sign_in(&scene, token, more);
        assert_eq!((got, told(&answer, "Set-Cookie")), (status, None), "{answer}");
        assert!(scene.refusals().contains(&format!("\"status\":{status}")), "{}", scene.refusals());
    }
    // As a form of a foreign page sends it.
    let body = format!(r#"{{"token":"{token}"}}"#);
    let form = format!("Content-Type: text/plain\r\nContent-Length: {}\r\n", body.len());
    assert_eq!(send(scene.server.address(), "/api/v1/session", &form, &body).0, 415);
    let in_address = format!("/api/v1/session?token={token}");
    let headers = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    assert_eq!(send(scene.server.address(), &in_address, &headers, &body).0, 400);
    let last = (0..100).map(|_| sign_in(&scene, "wrong", "")).find(|(status, _)| *status == 429);
    let (_, answer) = last.expect("an address that tries again and again has to wait");
    assert!(told(&answer, "Retry-After").unwrap().parse::<u64>().unwrap() > 0);
    assert!(!scene.refusals().contains(&token));
    assert!(scene.refusals().contains("\"status\":429"));
}

#[test]
fn whoever_may_act_may_read_where_a_token_is_needed() {
    let options = ServeOptions { token: Some("readers".to_owned()), ..ServeOptions::default() };
    let scene = Scene::with(true, options);
    let token = &scene.tokens[0];
    let (_, answer) = sign_in(&scene, token, "");
    let cookie = format!("Cookie: {}\r\n", told(&answer, "Set-Cookie").unwrap().split(';').next().unwrap());
    for headers in [scene.bearer(Role::Viewer), cookie, "Authorization: Bearer readers\r\n".to_owned()] {
        for path in ["/", "/api/v1/runs", "/api/v1/me"] {
            assert_eq!(scene.get(path, &headers).0, 200, "{path} {headers}");
        }
    }
    for (path, headers) in [
        ("/", ""),
        (&*format!("/?token={token}"), ""),
        (&*format!("/api/v1/runs/x/a/log?token={token}"), ""),
        ("/api/v1/me", "Cookie: overnight-person-1=x\r\n"),
    ] {
        assert_eq!(scene.get(path, headers).0, 401, "{path}");
    }
}

#[test]
fn without_control_nobody_is_asked_who_they_are() {
    let scene = Scene::new(false);
    assert_eq!(me(&scene, &scene.owner()), json!({ "control": false, "person": null, "may": [] }));
    assert_eq!(sign_in(&scene, &scene.tokens[2], "").0, 405);
    assert_eq!(scene.get("/api/v1/session", "").0, 404);
    let opening = |scene: &Scene| {
        let (listener, _) = scene.server.changes().listen(None);
        listener
    };
    assert!(!opening(&scene).contains("control"));
    assert!(opening(&Scene::new(true)).contains("\"control\":true"));
}
