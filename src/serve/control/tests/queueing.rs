//! Experiments that are sent, and runs that are deleted.

use serde_json::json;

use super::*;
use crate::run_dir::write::append_line;

const GOOD: &str =
    "[data]\nkind = \"shapes\"\ncount = 100\n[model]\nkind = \"mlp\"\n[sweep]\nseeds = [1, 2]\n";

fn queue(scene: &Scene, toml: &str, dry_run: bool, name: &str) -> (u16, Value) {
    let body = json!({ "toml": toml, "dry_run": dry_run, "name": name });
    scene.ask_as(Role::Assistant, "/api/v1/queue", &body.to_string())
}

fn runs(scene: &Scene) -> usize {
    crate::run_dir::scan::runs(&scene.workspace).len()
}

fn files(scene: &Scene) -> usize {
    std::fs::read_dir(scene.workspace.experiments()).map_or(0, Iterator::count)
}

#[test]
fn an_experiment_is_shown_first_and_queued_as_a_file_would_be() {
    let scene = Scene::new(true);
    let (status, shown) = queue(&scene, GOOD, true, "sent");
    assert_eq!((status, &shown["queued"], runs(&scene)), (200, &json!(false), 1), "{shown}");
    assert_eq!(shown["runs"][1]["settings"], json!({ "train.seed": 2 }));
    assert_eq!(files(&scene), 0);
    let (status, queued) = queue(&scene, GOOD, false, "sent");
    assert_eq!((status, &queued["queued"], &queued["runs"]), (200, &json!(true), &shown["runs"]));
    let name = queued["runs"][0]["run"].as_str().unwrap();
    let dir = scene.workspace.run("sent", name);
    assert!(dir.run_json().is_file() && dir.env_json().is_file());
    let file = scene.workspace.experiments().join("sent.toml");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), GOOD);
    // As the command line queues the same file: nothing is new.
    let checked = crate::queue::check(&[file], &[]).unwrap();
    let entries = crate::queue::plan(&scene.workspace, &checked, crate::queue::Again::No).unwrap();
    assert!(entries.iter().all(|entry| entry.is_known));
    let (_, again) = queue(&scene, GOOD, false, "sent");
    assert_eq!((&again["runs"][0]["new"], runs(&scene)), (&json!(false), 3));
    let (status, problem) = queue(&scene, &GOOD.replace("100", "200"), true, "sent");
    assert_eq!(status, 422);
    assert!(problem["problems"][0]["message"].as_str().unwrap().contains("there already"), "{problem}");
    let body = json!({ "toml": GOOD }).to_string();
    let (status, unnamed) = scene.ask("/api/v1/queue", &body);
    assert!(status == 200 && unnamed["experiment"].as_str().unwrap().starts_with("web-"), "{unnamed}");
}

#[test]
fn an_experiment_that_is_sent_twice_under_one_key_is_queued_once_and_one_that_was_only_shown_is_no_change() {
    let scene = Scene::new(true);
    let send_it = |dry_run: bool| {
        let body = json!({ "toml": GOOD, "dry_run": dry_run, "name": "sent" }).to_string();
        let headers = format!("{}{}", scene.owner(), head_of("key-number-1", &body));
        let (status, answer) = send(scene.server.address(), "/api/v1/queue", &headers, &body);
        (status, json_of(&answer))
    };
    let journal = || std::fs::read_to_string(scene.workspace.root().join("logs/serve.jsonl"));
    assert_eq!(send_it(true).1["queued"], false);
    assert!(journal().is_err(), "the key is still free");
    let (status, first) = send_it(false);
    assert_eq!((status, &first["queued"], &first["runs"][0]["new"]), (200, &json!(true), &json!(true)));
    assert_eq!(send_it(false), (200, first), "as it was answered, though nothing is new any more");
    let done = journal().unwrap().matches("\"status\":200").count();
    assert_eq!((done, runs(&scene)), (1, 3));
    let mode = std::fs::metadata(scene.workspace.experiments().join("sent.toml")).unwrap().permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o644);
}

#[test]
fn what_lies_in_the_place_of_an_experiment_is_not_waited_for_and_no_path_of_the_machine_is_told() {
    let scene = Scene::new(true);
    let folder = scene.workspace.experiments();
    std::fs::create_dir_all(folder.join("folder.toml")).unwrap();
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    let (pipe, kind) = (folder.join("pipe.toml"), rustix::fs::FileType::Fifo);
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, kind, mode, 0).unwrap();
    std::os::unix::fs::symlink("/dev/zero", folder.join("device.toml")).unwrap();
    std::os::unix::fs::symlink("nowhere", folder.join("nowhere.toml")).unwrap();
    for name in ["folder", "pipe", "device", "nowhere"] {
        let (status, problem) = queue(&scene, GOOD, false, name);
        let detail = problem["detail"].as_str().unwrap();
        assert_eq!(status, 503, "{name}: {problem}");
        assert!(detail.starts_with(&format!("{name}.toml: ")), "{detail}");
    }
    assert_eq!(runs(&scene), 1);
}

#[test]
fn a_pattern_made_to_end_the_server_is_a_mistake_like_another() {
    let scene = Scene::new(true);
    let file = format!("{}a{}", "{".repeat(20_000), "}".repeat(20_000));
    let text = format!("[data]\nkind = \"text\"\nfiles = [\"{file}\"]\n[model]\nkind = \"gpt\"\n");
    let (status, problem) = queue(&scene, &text, true, "deep");
    assert_eq!((status, &problem["problems"][0]["key"]), (422, &json!("data.files")), "{status}");
}

#[test]
fn all_mistakes_of_a_text_are_told_with_key_and_line() {
    let scene = Scene::new(true);
    let text = "[data]\nkind = \"shapes\"\ncuont = 3\n[model]\nkind = \"mlp\"\n[train]\nsteps = \"many\"\n";
    let (status, problem) = queue(&scene, text, false, "wrong");
    let told: Vec<_> = problem["problems"].as_array().unwrap().iter().collect();
    let places: Vec<_> = told.iter().map(|one| (one["key"].as_str(), one["line"].as_u64())).collect();
    assert_eq!((status, places), (422, vec![(Some("data.cuont"), Some(3)), (Some("train.steps"), Some(7))]));
    assert!(told[0]["hint"].as_str().unwrap().contains("count"), "{problem}");
    for (text, name) in [("[data", "x"), ("", "x"), (GOOD, "../x"), (GOOD, ""), (GOOD, "a\nb"), (GOOD, ".x")]
    {
        let (status, problem) = queue(&scene, text, false, name);
        assert_eq!(status, 422, "{problem}");
    }
    assert_eq!((runs(&scene), files(&scene)), (1, 0));
}

#[test]
fn data_outside_of_the_workspace_is_neither_read_nor_told_of() {
    let scene = Scene::new(true);
    std::fs::create_dir(scene.workspace.root().join("data")).unwrap();
    std::os::unix::fs::symlink("/etc", scene.workspace.root().join("data/out")).unwrap();
    for file in ["/etc/passwd", "../../../etc/passwd", "../data/out/passwd", "../data/../../etc/passwd"] {
        let text = format!("data = {{ kind = \"text\", files = [\"{file}\"] }}\n[model]\nkind = \"gpt\"\n");
        let (status, problem) = queue(&scene, &text, true, "outside");
        assert_eq!(status, 422, "{file}: {problem}");
        let first = &problem["problems"][0];
        assert_eq!((&first["key"], &first["line"]), (&json!("data.files[0]"), &json!(1)), "{problem}");
        let text = problem.to_string();
        assert!(
            !text.contains("root:") && !text.contains(scene.workspace.root().to_str().unwrap()),
            "{text}"
        );
    }
}

#[test]
fn a_text_that_would_take_the_machine_is_refused_at_once() {
    let scene = Scene::new(true);
    let grid: String = (0..20).map(|axis| format!("\"train.x{axis}\" = [1, 2, 3]\n")).collect();
    let many: Vec<String> = (0..9000).map(|seed| seed.to_string()).collect();
    let long = "x".repeat(50_000);
    let deep = format!("a = {}{}", "[".repeat(20_000), "]".repeat(20_000));
    let keys = format!("{} = 1", vec!["a"; 10_000].join("."));
    for text in [
        format!("{}[sweep.values]\n{grid}", &GOOD[..GOOD.find("[sweep]").unwrap()]),
        GOOD.replace("seeds = [1, 2]", &format!("seeds = [{}]", many.join(","))),
        GOOD.replace(
            "seeds = [1, 2]",
            "method = \"random\"\ndraws = 100000\n[sweep.values]\n\"train.steps\" = [1]",
        ),
        GOOD.replace("seeds = [1, 2]", &format!("[sweep.values]\n\"description\" = [\"{long}\"]\n{grid}")),
        deep,
        keys,
    ] {
        let (status, problem) = queue(&scene, &text, true, "large");
        assert_eq!(status, 422, "{problem}");
        assert!(problem.to_string().len() < 100_000 && problem["problems"].as_array().unwrap().len() <= 100);
    }
    assert_eq!(scene.get("/", "").0, 200);
}

#[test]
fn runs_are_deleted_only_with_the_word_for_it_and_only_those_that_can_go() {
    let scene = Scene::new(true);
    let other = scene.workspace.run("x", "b c%");
    std::fs::create_dir_all(other.path()).unwrap();
    replace_json(&other.run_json(), &sample_record("x", "b c%"), Durability::Rebuildable).unwrap();
    let stop = Request { time: 1.0, who: "ada".to_owned(), attempt: None, key: None, ask: Ask::Stop };
    append_line(&other.requests(), &stop, Durability::Synced).unwrap();
    let clean = |confirm: bool| {
        let body = json!({ "runs": ["x/a", "x/b c%"], "confirm": confirm }).to_string();
        scene.ask("/api/v1/clean", &body)
    };
    let (status, shown) = clean(false);
    assert_eq!((status, &shown["deleted"]), (200, &json!(false)), "{shown}");
    let told = |answer: &Value, place: usize| {
        let run = &answer["runs"][place];
        (run["run"].clone(), run["can_go"].clone())
    };
    assert_eq!(
        [told(&shown, 0), told(&shown, 1)],
        [(json!("x/a"), json!(false)), (json!("x/b c%"), json!(true))]
    );
    assert!(shown["runs"][0]["why"].as_str().unwrap().contains("can go on"), "{shown}");
    assert!(shown["bytes"].as_u64().unwrap() > 0 && other.path().is_dir());
    assert_eq!(shown["bytes"], shown["runs"][1]["bytes"], "only of those that can go");
    assert!(shown["runs"][0]["bytes"].as_u64().unwrap() > 0);
    let (status, none) = scene.ask("/api/v1/clean", r#"{"runs":["x/a"],"confirm":true}"#);
    assert_eq!((status, &none["deleted"], &none["bytes"]), (200, &json!(false), &json!(0)), "{none}");
    let (status, done) = clean(true);
    assert_eq!((status, &done["deleted"], &done["bytes"]), (200, &json!(true), &shown["bytes"]));
    assert!(!other.path().exists() && scene.run().path().is_dir());
    for names in [json!(["x/b c%"]), json!(["x/../../x"]), json!(["x"]), json!(["/etc"])] {
        let body = json!({ "runs": names, "confirm": true }).to_string();
        assert_eq!(scene.ask("/api/v1/clean", &body).0, 404, "{names}");
    }
    assert_eq!(scene.ask("/api/v1/clean", r#"{"runs":[],"confirm":true}"#).0, 400);
    assert!(scene.run().path().is_dir());
}

#[test]
fn where_one_run_cannot_be_deleted_it_is_told_of_that_one_and_of_the_others_what_became_of_them() {
    let scene = Scene::new(true);
    let stop = Request { time: 1.0, who: "ada".to_owned(), attempt: None, key: None, ask: Ask::Stop };
    for name in ["b", "c", "d"] {
        let dir = scene.workspace.run("y", name);
        std::fs::create_dir_all(dir.path()).unwrap();
        replace_json(&dir.run_json(), &sample_record("y", name), Durability::Rebuildable).unwrap();
        append_line(&dir.requests(), &stop, Durability::Synced).unwrap();
    }
    // Nobody can lock a folder.
    std::fs::create_dir(scene.workspace.run("y", "c").alive_lock()).unwrap();
    let (status, done) = scene.ask("/api/v1/clean", r#"{"runs":["y/b","y/c","y/d"],"confirm":true}"#);
    assert_eq!((status, &done["deleted"]), (200, &json!(true)), "{done}");
    let told = done["runs"].as_array().unwrap().iter().map(|run| run["can_go"].as_bool().unwrap());
    assert_eq!(told.collect::<Vec<_>>(), [true, false, true], "{done}");
    let why = done["runs"][1]["why"].as_str().unwrap();
    assert!(why.starts_with("runs/y/c/alive.lock: "), "where the workspace lies is nobody's business: {why}");
    let is_there = |name: &str| scene.workspace.run("y", name).path().is_dir();
    assert_eq!(["b", "c", "d"].map(is_there), [false, true, false]);
}
