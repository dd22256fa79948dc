//! What a cookie may is what the role may; who is taken out of `overnight.toml`, or given another role, is so
//! from the next request on.

use super::super::session::PAGE;
use super::*;

const CHECKPOINTS: &str = "/api/v1/runs/x/a/checkpoints";
const LOG: &str = "/api/v1/runs/x/a/log";

/// What a browser sends of somebody who signs in with this token: the cookie, and what goes with changes.
fn browser(scene: &Scene, token: &str) -> (String, String) {
    let host = scene.server.address();
    let body = format!(r#"{{"token":"{token}"}}"#);
    let headers = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    let (status, answer) = send(host, "/api/v1/session", &headers, &body);
    assert_eq!(status, 200, "{answer}");
    let cookie = told(&answer, "Set-Cookie").unwrap().split(';').next().unwrap();
    let page = told(&answer, PAGE).unwrap();
    (format!("Cookie: {cookie}\r\n"), format!("Origin: http://{host}\r\n{PAGE}: {page}\r\n"))
}

/// Writes the file by which people are named; each is one of the scene with a role.
fn write(scene: &Scene, control: bool, people: &[(usize, Role)]) {
    let mut text = format!("[server]\ncontrol = {control}\n");
    for (place, role) in people {
        let Person { name, token_hash, .. } = &scene.people[*place];
        let role = role.word();
        text += &format!(
            "[[server.people]]\nname = \"{name}\"\nrole = \"{role}\"\ntoken_hash = \"{token_hash}\"\n"
        );
    }
    std::fs::write(scene.workspace.settings(), text).unwrap();
}

#[test]
fn a_cookie_reads_and_changes_what_the_role_may_and_no_more() {
    for role in ROLES {
        let scene = Scene::new(true);
        std::fs::write(scene.run().train_log(), "said").unwrap();
        let place = ROLES.iter().position(|known| *known == role).unwrap();
        let (cookie, page) = browser(&scene, &scene.tokens[place]);
        assert_eq!(scene.get(LOG, &cookie).0, 200);
        assert_eq!(scene.get(CHECKPOINTS, &cookie).0 == 200, role.may(Action::Checkpoints), "{role:?}");
        for action in OF_RUNS {
            let key = action.word().repeat(3);
            // Alone it changes nothing, whoever's it is.
            assert!(matches!(scene.post(action.word(), &cookie, &key, body_of(action)).0, 401 | 403));
            let (status, answer) =
                scene.post(action.word(), &format!("{cookie}{page}"), &key, body_of(action));
            assert_eq!(status == 403, !role.may(action), "{role:?} {action:?}: {answer}");
        }
    }
}

#[test]
fn who_is_taken_out_or_given_another_role_is_so_at_once_and_signs_in_anew() {
    let scene = Scene::new(true);
    std::fs::write(scene.run().train_log(), "said").unwrap();
    let (owner, viewer) = ((2, Role::Owner), (0, Role::Viewer));
    write(&scene, true, &[owner, viewer]);
    let (cookie, page) = browser(&scene, &scene.tokens[2]);
    let (other, _) = browser(&scene, &scene.tokens[0]);
    let reads = |headers: &str| [CHECKPOINTS, LOG].map(|path| scene.get(path, headers).0);
    let key = std::cell::Cell::new(0);
    let tags = |headers: &str| {
        key.set(key.get() + 1);
        scene.post("tag", headers, &format!("key-number-{}", key.get()), r#"{"tag":"a"}"#).0
    };
    let by_cookie = || (reads(&cookie), tags(&format!("{cookie}{page}")));
    let by_token = || (reads(&scene.owner()), tags(&scene.owner()));
    let (all, nobody, seen) = (([200; 2], 200), ([401; 2], 401), ([403, 200], 403));
    assert_eq!((by_cookie(), by_token()), (all, all));
    assert_eq!(tags(&scene.bearer(Role::Assistant)), 401, "the file names no assistant");
    // Another role: the token is known as that, and the session is over.
    write(&scene, true, &[(2, Role::Viewer), viewer]);
    assert_eq!((by_cookie(), by_token()), (nobody, seen));
    write(&scene, true, &[owner, viewer]);
    assert_eq!((by_cookie(), by_token()), (nobody, all), "what ended does not come back");
    // Gone; the others stay signed in.
    write(&scene, true, &[viewer]);
    assert_eq!(by_token(), nobody);
    assert_eq!(reads(&other), [403, 200]);
    // Somebody is at the file.
    std::fs::write(scene.workspace.settings(), "[server]\ncontrol = tr").unwrap();
    assert_eq!((reads(&other), by_token()), ([403, 200], nobody));
    write(&scene, false, &[owner, viewer]);
    assert_eq!((reads(&other), by_token()), ([401; 2], nobody));
    write(&scene, true, &[owner, viewer]);
    assert_eq!((reads(&other), by_token()), ([401; 2], all));
    std::fs::remove_file(scene.workspace.settings()).unwrap();
    assert_eq!(by_token(), nobody);
}

#[test]
fn who_is_taken_out_while_the_body_comes_changes_nothing() {
    let scene = Scene::new(true);
    write(&scene, true, &[(2, Role::Owner)]);
    let address = scene.server.address();
    let head = format!(
        "POST /api/v1/runs/x/a/pause HTTP/1.1\r\nHost: {address}\r\n{}{}\r\n",
        scene.owner(),
        head_of("key-number-1", "{}")
    );
    let control = Control::new(scene.workspace.clone(), scene.people.clone(), 1);
    let parsed = Head::parse_any(head.as_bytes()).unwrap();
    let permitted = control.permit(&parsed, address.ip(), Instant::now()).unwrap();
    write(&scene, true, &[]);
    assert_eq!(control.carry_out(&permitted, b"{}").status, 401);
    assert!(scene.asked().is_empty());
}
