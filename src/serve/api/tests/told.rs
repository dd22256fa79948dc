//! What experiments, progress, checkpoints and health say, value by value, and which runs a look finds.

use std::time::{Duration, Instant};

use serde_json::json;

use super::*;
use crate::run_dir::lock;
use crate::serve::api::batch::{FRESH_SECONDS, Machine};
use crate::serve::api::index::Index;

#[test]
fn experiments_are_counted_and_paged_in_the_order_of_their_names() {
    let scene = Scene::new();
    let (_, list) = scene.get("/api/v1/experiments");
    assert_eq!((&list["total"], &list["next"]), (&json!(2), &Value::Null));
    let [x, other] = list["experiments"].as_array().unwrap().as_slice() else { panic!("{list}") };
    assert_eq!(
        (&x["experiment"], &x["runs"], &x["statuses"]),
        (&json!("x"), &json!(3), &json!({"waiting": 3}))
    );
    assert_eq!((&other["experiment"], &other["statuses"]), (&json!("y z"), &json!({"waiting": 1})));
    let (_, first) = scene.get("/api/v1/experiments?limit=1");
    assert_eq!((&first["experiments"][0]["experiment"], &first["next"]), (&json!("x"), &json!("x")));
    let (_, second) = scene.get("/api/v1/experiments?limit=1&cursor=x");
    assert_eq!((&second["experiments"][0]["experiment"], &second["next"]), (&json!("y z"), &Value::Null));
    assert_eq!(second["experiments"].as_array().unwrap().len(), 1);
}

#[test]
fn what_only_a_worker_knows_is_told_while_it_works() {
    let scene = Scene::new();
    let path = "/api/v1/runs/x/a/progress";
    let (_, still) = scene.get(path);
    assert_eq!(
        (&still["step"], &still["steps"], &still["loss"]),
        (&json!(5001), &json!(6000), &json!("inf"))
    );
    for of_a_worker in ["phase", "steps_per_second", "rate", "remaining_seconds"] {
        assert_eq!(still[of_a_worker], Value::Null, "{of_a_worker}");
    }
    let _alive = lock::try_lock(&scene.api.workspace.run("x", "a").alive_lock()).unwrap().unwrap();
    let (_, told) = scene.get(path);
    assert_eq!((&told["status"], &told["phase"]), (&json!("running"), &json!("training")));
    assert_eq!(told["rate"], json!({ "metric": "images_per_second", "value": 640.0 }));
    assert_eq!((&told["steps_per_second"], &told["remaining_seconds"]), (&json!(10.0), &json!(99.0)));
}

#[test]
fn the_best_checkpoint_is_marked() {
    let scene = Scene::new();
    let dir = scene.api.workspace.run("x", "a");
    let state = json!({
        "protocol": 1, "step": 20, "epoch": 1.0, "model_hash": "", "optimizer_hash": "", "metrics_length": 0,
        "elapsed_seconds": 1.0, "history": "", "best": { "metric": "val/loss", "value": 1.25, "step": 10 },
        "stale_evaluations": 1, "stop_best": null, "lr_factor": 1.0,
    });
    fs::write(dir.checkpoint(20).state(), state.to_string()).unwrap();
    let (_, list) = scene.get("/api/v1/runs/x/a/checkpoints");
    let marks = list["checkpoints"].as_array().unwrap().iter().map(|one| &one["best"]);
    assert!(marks.eq([&json!(true), &json!(false)]), "{list}");
}

#[test]
fn health_names_a_report_that_could_not_be_built_and_the_batch_at_work() {
    let scene = Scene::new();
    let (_, health) = scene.get("/api/v1/health");
    assert_eq!((&health["status"], &health["runs"]), (&json!("ok"), &json!({"waiting": 4})));
    assert_eq!((&health["runner_at_work"], &health["last_batch"]), (&json!(false), &Value::Null));
    let _held = at_work(&scene, 0.0);
    scene.api.changes.set_problem(Some("the template is broken".to_owned()));
    let (_, health) = scene.get("/api/v1/health");
    assert_eq!((&health["status"], &health["report_built"]), (&json!("degraded"), &json!(true)));
    assert_eq!(health["report_problem"], "the template is broken");
    assert_eq!((&health["runner_at_work"], &health["last_batch"]["batch"]), (&json!(true), &json!("b")));
}

#[test]
fn a_look_that_took_long_is_not_repeated_at_once() {
    let scene = Scene::new();
    let index = Index::new(&scene.api.workspace);
    assert_eq!(index.runs().ok().unwrap().len(), 4);
    let dir = scene.api.workspace.run("x", "d");
    fs::create_dir_all(dir.path()).unwrap();
    replace_json(&dir.run_json(), &sample_record("x", "d"), Durability::Rebuildable).unwrap();
    crate::report::build(scene.folder.path()).unwrap();
    index.looked(Duration::from_secs(3600));
    assert_eq!(index.runs().ok().unwrap().len(), 4);
    index.looked(Duration::ZERO);
    let begun = Instant::now();
    while index.runs().ok().unwrap().len() == 4 {
        assert!(begun.elapsed() < Duration::from_secs(120), "the new run is never seen");
        std::thread::yield_now();
    }
}

#[test]
fn a_row_of_the_machine_is_fresh_for_half_a_minute_and_its_gpus_are_told_once_in_order() {
    let machine = Machine::of("time,gpu1_use_percent,gpu0_use_percent,gpu0_xid_code,gpus_x\n1000,1,2,,3\n");
    assert!(machine.is_fresh(1000.0 + FRESH_SECONDS) && !machine.is_fresh(1001.0 + FRESH_SECONDS));
    assert_eq!((FRESH_SECONDS, machine.gpus()), (30.0, vec![0, 1]));
    assert!(!Machine::of("time\n").is_fresh(0.0));
}

#[test]
fn each_status_has_the_title_that_http_gives_it() {
    for status in [400, 401, 403, 404, 405, 408, 409, 411, 415, 421, 429, 431, 503, 505] {
        let told: Value = serde_json::from_slice(&Problem::new(status, "", "").json("/")).unwrap();
        let title = http::StatusCode::from_u16(status).unwrap().canonical_reason();
        assert_eq!((told["title"].as_str(), told["status"].as_u64()), (title, Some(status.into())));
    }
    assert_eq!((problem::title(413), problem::title(422)), ("Content Too Large", "Unprocessable Content"));
    let retry = |problem: Problem| problem.headers.contains(&("Retry-After", "5".to_owned()));
    assert!(retry(Problem::not_built()) && !retry(Problem::no_such_path("/")));
}
