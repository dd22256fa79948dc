//! A server that ends between a change and the line that tells of it: asked once more under the same key, the
//! next one makes nothing twice.

use serde_json::json;

use super::*;
use crate::run_dir::write::append_line;

const TOML: &str =
    "[data]\nkind = \"shapes\"\ncount = 100\n[model]\nkind = \"mlp\"\n[sweep]\nseeds = [1, 2]\n";

/// The next server, where this one's last line was never written.
fn died_before_its_last_line(scene: Scene) -> Scene {
    let log = scene.workspace.logs().join("serve.jsonl");
    let text = std::fs::read_to_string(&log).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let (last, before) = lines.split_last().unwrap();
    assert!(last.contains("\"status\":") && !before.last().unwrap().contains("\"status\":"), "{text}");
    std::fs::write(&log, format!("{}\n", before.join("\n"))).unwrap();
    scene.restarted()
}

fn ask(scene: &Scene, path: &str, key: &str, body: &str) -> (u16, Value) {
    let headers = format!("{}{}", scene.owner(), head_of(key, body));
    let (status, answer) = send(scene.server.address(), path, &headers, body);
    (status, json_of(&answer))
}

#[test]
fn what_was_asked_of_a_run_is_asked_once_and_what_was_not_yet_asked_still_is() {
    let note = |scene: &Scene| scene.post("note", &scene.owner(), "the-same-key", r#"{"text":"one"}"#).0;
    let scene = Scene::new(true);
    assert_eq!(note(&scene), 200);
    let scene = died_before_its_last_line(scene);
    assert_eq!((note(&scene), scene.asked().len()), (200, 1));
    assert_eq!(scene.post("note", &scene.owner(), "the-same-key", r#"{"text":"two"}"#).0, 422);
    // A log that is gone as a whole: the run's own requests tell.
    std::fs::remove_dir_all(scene.workspace.logs()).unwrap();
    let scene = scene.restarted();
    assert_eq!((note(&scene), scene.asked().len()), (200, 1));
    std::fs::remove_dir_all(scene.workspace.logs()).unwrap();
    let scene = scene.restarted();
    assert_eq!(scene.post("note", &scene.owner(), "the-same-key", r#"{"text":"two"}"#).0, 409);
    assert_eq!(scene.post("pause", &scene.owner(), "another-key", "{}").0, 200);
    // It died before it asked.
    std::fs::remove_file(scene.run().requests()).unwrap();
    let scene = died_before_its_last_line(scene);
    assert_eq!(scene.post("pause", &scene.owner(), "another-key", "{}").0, 200);
    assert_eq!(scene.asked().len(), 1);
    // The same key of somebody else is another one.
    assert_eq!(scene.post("resume", &scene.bearer(Role::Assistant), "another-key", "{}").0, 200);
    assert_eq!(scene.asked().len(), 2);
}

#[test]
fn an_experiment_is_queued_once_also_where_its_runs_were_deleted_since() {
    let scene = Scene::new(true);
    let body = json!({ "toml": TOML, "name": "sent" }).to_string();
    let (status, first) = ask(&scene, "/api/v1/queue", "the-same-key", &body);
    assert_eq!(status, 200, "{first}");
    let scene = died_before_its_last_line(scene);
    let (status, again) = ask(&scene, "/api/v1/queue", "the-same-key", &body);
    assert_eq!(
        (status, &again["queued"], &again["runs"][1]["run"]),
        (200, &json!(true), &first["runs"][1]["run"])
    );
    let scene = died_before_its_last_line_again(scene);
    std::fs::remove_dir_all(scene.workspace.runs().join("sent")).unwrap();
    let (status, gone) = ask(&scene, "/api/v1/queue", "the-same-key", &body);
    assert_eq!(status, 409, "{gone}");
    assert!(gone["detail"].as_str().unwrap().contains("2 of its 2 runs are not in the queue"), "{gone}");
    assert!(!scene.workspace.runs().join("sent").exists());
    assert_eq!(ask(&scene, "/api/v1/queue", "the-next-key", &body).0, 200);
}

/// What a replay was answered is in the log as well, behind the line of what was begun.
fn died_before_its_last_line_again(scene: Scene) -> Scene {
    let log = scene.workspace.logs().join("serve.jsonl");
    let text = std::fs::read_to_string(&log).unwrap();
    let begun: Vec<&str> = text.lines().filter(|line| !line.contains("\"status\":")).collect();
    std::fs::write(&log, format!("{}\n", begun.join("\n"))).unwrap();
    scene.restarted()
}

#[test]
fn runs_are_deleted_once_also_where_others_of_their_name_came_since() {
    let scene = Scene::new(true);
    let dir = scene.run();
    let stop = Request { time: 1.0, who: "ada".to_owned(), attempt: None, key: None, ask: Ask::Stop };
    let make = || {
        std::fs::create_dir_all(dir.path()).unwrap();
        replace_json(&dir.run_json(), &sample_record("x", "a"), Durability::Rebuildable).unwrap();
        append_line(&dir.requests(), &stop, Durability::Synced).unwrap();
    };
    make();
    let body = r#"{"runs":["x/a"],"confirm":true}"#;
    let (status, told) = ask(&scene, "/api/v1/clean", "the-same-key", body);
    assert_eq!((status, &told["deleted"]), (200, &json!(true)), "{told}");
    let scene = died_before_its_last_line(scene);
    let (status, told) = ask(&scene, "/api/v1/clean", "the-same-key", body);
    assert_eq!(status, 409, "{told}");
    assert!(told["detail"].as_str().unwrap().contains("none of these runs is there"), "{told}");
    make();
    let scene = died_before_its_last_line_again(scene);
    let (status, told) = ask(&scene, "/api/v1/clean", "the-same-key", body);
    assert_eq!(status, 409, "{told}");
    assert!(told["detail"].as_str().unwrap().contains("x/a is there") && dir.run_json().is_file(), "{told}");
}

#[test]
fn the_runner_is_not_asked_again_to_end_by_what_a_dead_server_had_begun() {
    let scene = Scene::new(true);
    assert_eq!(ask(&scene, "/api/v1/queue/drain", "the-same-key", "{}").0, 409);
    let scene = died_before_its_last_line(scene);
    let (status, told) = ask(&scene, "/api/v1/queue/drain", "the-same-key", "{}");
    assert_eq!(status, 409, "{told}");
    assert!(told["detail"].as_str().unwrap().contains("was begun"), "{told}");
}
