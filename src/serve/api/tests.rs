//! Every endpoint against a workspace on disk, and each answer against the schema that describes it.

mod exposition;
mod told;

use std::fs;
use std::io::Read;

use serde_json::Value;

use super::*;
use crate::run_dir::records::{Batch, BatchGpu, Phase, Progress, RunRecord, Sample, SampleItem};
use crate::run_dir::scan::sample_record;
use crate::run_dir::write::{Durability, replace_json};
use crate::run_dir::{BatchDir, scan};
use crate::serve::control::person::token_hash;
use crate::serve::control::role::Role;

struct Scene {
    folder: tempfile::TempDir,
    api: Api,
    document: Value,
}

impl Scene {
    /// Three runs of `x`, one of them with a table, and one of `y` whose name wants to be encoded.
    fn new() -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::new(folder.path());
        let queue = |record: RunRecord| {
            let dir = workspace.run(&record.experiment, &record.run);
            fs::create_dir_all(dir.path()).unwrap();
            replace_json(&dir.run_json(), &record, Durability::Rebuildable).unwrap();
            dir
        };
        for run in ["a", "b", "c"] {
            let tags = if run == "b" { vec!["old".to_owned(), "good".to_owned()] } else { Vec::new() };
            let dir = queue(RunRecord { tags, ..sample_record("x", run) });
            if run == "a" {
                let rows: String = (1..=5000).map(|step| format!("{step},{},,\n", step % 7)).collect();
                let table =
                    format!("step,train/loss,val/loss,\"odd, \"\"one\"\"\"\n{rows}5001,nan,1.5,inf\n");
                fs::write(dir.metrics(), table).unwrap();
                let rows: String = (1..=3000)
                    .map(|step| {
                        let (least, largest) =
                            (if step == 1234 { -9 } else { 0 }, if step == 77 { 9 } else { 6 });
                        format!("{step},{least},1,2,3,4,5,{largest},1,1,1,1,1,1,1\n")
                    })
                    .collect();
                let names = ["w/1", "b"].map(|name| crate::run_dir::distributions::columns(name).join(","));
                let table = format!("step,{},other/p50\n{}", names.join(","), rows.replace(",1\n", ",1,\n"));
                fs::write(dir.distributions(), table).unwrap();
                let text = "<b>ROMEO</b>".to_owned();
                for step in [10, 20, 30] {
                    let item = SampleItem::Text {
                        prompt: "R".into(),
                        text: text.clone(),
                        temperature: 0.8,
                        top_k: 5,
                        top_p: 1.0,
                    };
                    let sample = Sample { step, items: vec![item] };
                    fs::create_dir_all(dir.samples()).unwrap();
                    replace_json(&dir.sample_json(step), &sample, Durability::Rebuildable).unwrap();
                }
                let progress = Progress {
                    attempt: 1,
                    time: scan::now(),
                    step: 5001,
                    steps: 6000,
                    epoch: 1.5,
                    phase: Phase::Training,
                    steps_per_second: Some(10.0),
                    rate: Some(("images_per_second".into(), 640.0)),
                    remaining_seconds: Some(99.0),
                    loss: Some(crate::run_dir::number::Number(f64::INFINITY)),
                };
                replace_json(&dir.progress(), &progress, Durability::Rebuildable).unwrap();
            }
        }
        queue(sample_record("y z", "a&b%"));
        crate::report::build(folder.path()).unwrap();
        let dir = workspace.run("x", "a");
        fs::write(dir.train_log(), "began\n").unwrap();
        fs::write(dir.stderr_log(), "warning\n").unwrap();
        for step in [10, 20] {
            fs::create_dir_all(dir.checkpoint(step).path()).unwrap();
            fs::write(dir.checkpoint(step).model(), "weights").unwrap();
        }
        let hash = token_hash("word");
        let owner = Person { name: "ada".to_owned(), role: Role::Owner, token_hash: hash };
        let control = Control::new(workspace.clone(), vec![owner], 1);
        let api = Api::new(&workspace.reports(), Changes::default(), Some(Arc::new(control)));
        Scene { folder, api, document: openapi::document(ROUTES) }
    }

    fn ask(&self, asked: &Asked) -> (u16, String, Vec<u8>) {
        let mut answer = self.api.answer(asked);
        let mut body = Vec::new();
        answer.body.read_to_end(&mut body).unwrap();
        assert_eq!(answer.length, body.len() as u64);
        let headers = answer.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        (answer.status, headers, body)
    }

    /// Asks, and holds status, kind and body against the document.
    fn get(&self, target: &str) -> (u16, Value) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (status, headers, body) = self.ask(&Asked { path, query, person: Some(0), ..Asked::default() });
        let route = route::find(ROUTES, path);
        let content_type = headers.lines().find_map(|line| line.strip_prefix("Content-Type: ")).unwrap();
        let described = match &route {
            Some((route, _)) => {
                let responses = &self.document["paths"][route.path]["get"]["responses"];
                let response = &responses[status.to_string()];
                assert!(response.is_object(), "{target}: {status} is not described");
                match response["$ref"].as_str() {
                    Some(_) => self.document["components"]["responses"]["Problem"].clone(),
                    None => response.clone(),
                }
            }
            None => self.document["components"]["responses"]["Problem"].clone(),
        };
        let schema = &described["content"][content_type]["schema"];
        assert!(!schema.is_null(), "{target}: {content_type} is not described");
        let value: Value = match content_type.contains("json") {
            true => serde_json::from_slice(&body).unwrap(),
            false => Value::String(String::from_utf8(body).unwrap()),
        };
        self.hold(schema, &value, target);
        (status, value)
    }

    /// A field that is not described fails too.
    fn hold(&self, schema: &Value, value: &Value, target: &str) {
        let mut whole = schema.clone();
        whole["components"] = self.document["components"].clone();
        strict(&mut whole["components"]["schemas"]);
        let validator = jsonschema::draft202012::new(&whole).unwrap();
        let errors: Vec<String> =
            validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{target}: {errors:?} in {value:#}");
    }
}

fn strict(schemas: &mut Value) {
    for schema in schemas.as_object_mut().unwrap().values_mut() {
        if schema["properties"].is_object() {
            schema["unevaluatedProperties"] = Value::Bool(false);
        }
    }
}

#[test]
fn every_endpoint_answers_as_it_is_described() {
    let scene = Scene::new();
    for route in ROUTES {
        let path = route.path.replace("{experiment}", "x").replace("{run}", "a");
        let path = path.replace("{step}", "20").replace("{file}", "model.safetensors");
        let (status, _) = scene.get(&path);
        assert_eq!(status, 200, "{path}");
        let (status, problem) = scene.get(&format!("{path}?nonsense=1"));
        assert_eq!((status, &problem["parameter"]), (400, &Value::from("nonsense")), "{path}");
        if path != route.path {
            let path = route.path.replace("{experiment}", "x").replace("{run}", "no");
            let path = path.replace("{step}", "20").replace("{file}", "model.safetensors");
            let (status, problem) = scene.get(&path);
            assert_eq!(status, 404);
            assert!(problem["detail"].as_str().unwrap().contains("no run no"), "{problem}");
        }
    }
    for path in ["/api", "/api/", "/api/v2/runs", "/api/v1/runs/x/a/", "/api/v1/runs/x/a/../b"] {
        assert_eq!(scene.get(path).0, 404, "{path}");
    }
}

#[test]
fn histograms_are_told_by_their_quantiles_thinned_so_that_their_extremes_stay() {
    let scene = Scene::new();
    let (_, told) = scene.get("/api/v1/runs/x/a/distributions?points=100");
    let histograms = told["histograms"].as_array().unwrap();
    assert_eq!((&histograms[0]["name"], &histograms[1]["name"]), (&"w/1".into(), &"b".into()));
    let one = &histograms[0];
    let of = |name: &str| one[name].as_array().unwrap().clone();
    let step = |wanted: u64| of("steps").iter().position(|step| *step == wanted as f64).unwrap();
    assert_eq!(
        (&one["logged"], &told["thinned"], told["bad"].as_u64()),
        (&3000.into(), &true.into(), Some(0))
    );
    assert!((20..=100).contains(&of("steps").len()), "{}", of("steps").len());
    assert_eq!((&of("min")[step(1234)], &of("max")[step(77)]), (&(-9.0).into(), &9.0.into()));
    assert_eq!((&of("p5")[0], &of("p50")[0], &of("p95")[0]), (&1.0.into(), &3.0.into(), &5.0.into()));
    assert!(of("max").len() == of("steps").len() && step(1) == 0 && step(3000) > 0);
    assert!(told["csv"].as_str().unwrap().ends_with("x/a/distributions.csv"), "{told}");

    let (_, few) = scene.get("/api/v1/runs/x/a/distributions?name=b&from=10&to=12");
    assert_eq!(few["histograms"][0]["steps"], serde_json::json!([10.0, 11.0, 12.0]));
    assert_eq!(
        (few["histograms"].as_array().unwrap().len(), &few["left_out"]),
        (1, &serde_json::json!(["w/1"]))
    );
    let (status, problem) = scene.get("/api/v1/runs/x/a/distributions?name=w%2F2");
    assert_eq!(
        (status, &problem["hint"], &problem["parameter"]),
        (404, &"did you mean w/1?".into(), &"name".into())
    );
    let (status, none) = scene.get("/api/v1/runs/x/b/distributions");
    assert_eq!((status, &none["histograms"], &none["csv"]), (200, &serde_json::json!([]), &Value::Null));
}

#[test]
fn runs_are_listed_by_page_and_by_what_they_are() {
    let scene = Scene::new();
    let names = |query: &str| {
        let (_, list) = scene.get(&format!("/api/v1/runs?{query}"));
        let runs = list["runs"].as_array().unwrap().iter();
        let names: Vec<String> = runs.map(|run| run["run"].as_str().unwrap().to_owned()).collect();
        (names, list["total"].as_u64().unwrap(), list["next"].as_str().map(str::to_owned))
    };
    let all = vec!["a", "b", "c", "a&b%"];
    assert_eq!(names(""), (all.iter().map(|name| (*name).to_owned()).collect(), 4, None));
    assert_eq!(names("experiment=y+z").0, ["a&b%"]);
    assert_eq!(names("tag=good&tag=old").0, ["b"]);
    assert_eq!(names("tag=good&tag=bad").1, 0);
    assert_eq!(names("status=finished").1, 0);
    assert_eq!(names("status=finished&status=waiting").1, 4);
    assert_eq!(scene.get("/api/v1/runs?status=done").0, 400);
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let (names, total, next) = names(&format!("limit=2{cursor}"));
        assert_eq!(total, 4);
        seen.extend(names);
        let Some(next) = next else { break };
        cursor = format!("&cursor={}", catalog_address(&next));
    }
    assert_eq!(seen, all);
    let (_, list) = scene.get("/api/v1/runs?experiment=y+z");
    let href = list["runs"][0]["href"].as_str().unwrap();
    assert_eq!(scene.get(href).1["run"], "a&b%", "{href}");
}

fn catalog_address(text: &str) -> String {
    crate::report::catalog::address_of(text)
}

#[test]
fn curves_are_told_within_bounds_and_say_that_they_are_thinned() {
    let scene = Scene::new();
    let (_, metrics) = scene.get("/api/v1/runs/x/a/metrics?column=train/loss&points=100");
    let column = &metrics["columns"][0];
    let values = column["values"].as_array().unwrap();
    assert!(values.len() <= 100 && metrics["thinned"] == true && column["logged"] == 5001);
    assert!(values.contains(&Value::from(6.0)) && values.contains(&Value::from(0.0)));
    assert_eq!(values.last(), Some(&Value::from("nan")));
    assert_eq!(column["better"], "lower");
    let left: Vec<&str> = metrics["left_out"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(left, ["val/loss", "odd, \"one\""]);

    let (_, metrics) = scene.get("/api/v1/runs/x/a/metrics?from=10&to=12");
    assert_eq!((&metrics["rows"], &metrics["thinned"]), (&Value::from(3), &Value::from(false)));
    assert_eq!(metrics["columns"][0]["steps"], serde_json::json!([10.0, 11.0, 12.0]));
    let (_, metrics) = scene.get("/api/v1/runs/x/a/metrics?column=odd,+%22one%22");
    assert_eq!(metrics["columns"][0]["values"], serde_json::json!(["inf"]));
    let (status, problem) = scene.get("/api/v1/runs/x/a/metrics?column=train/los");
    assert_eq!((status, &problem["hint"]), (404, &Value::from("did you mean train/loss?")));
    assert_eq!(scene.get("/api/v1/runs/x/b/metrics").1["rows"], 0, "a run without a table");
}

#[test]
fn checkpoints_are_told_with_the_best_and_the_last_and_given_by_step_and_name() {
    let scene = Scene::new();
    let dir = scene.api.workspace.run("x", "a");
    let (_, list) = scene.get("/api/v1/runs/x/a/checkpoints");
    let told: Vec<_> = list["checkpoints"].as_array().unwrap().iter().collect();
    let marks = told.iter().map(|one| (one["step"].as_u64().unwrap(), one["last"].as_bool().unwrap()));
    assert!(marks.eq([(10, false), (20, true)]), "{list}");
    assert_eq!((&told[0]["bytes"], &told[0]["files"][0]["bytes"]), (&7.into(), &7.into()));
    let href = told[0]["files"][0]["href"].as_str().unwrap();
    assert_eq!(scene.get(href), (200, "weights".into()), "{href}");
    let of = |rest: &str| scene.get(&format!("/api/v1/runs/x/a/checkpoints/{rest}")).0;
    for (rest, status) in [
        ("30/model.safetensors", 404),
        ("20/state.json", 404),
        ("20/other", 400),
        ("20/..", 400),
        ("20/..%2f..%2f..%2frun.json", 400),
        ("20/model.safetensors%00", 400),
        ("-1/model.safetensors", 400),
        ("20%2f../model.safetensors", 400),
        ("99999999999999999999/model.safetensors", 400),
        ("20/model.safetensors/", 404),
    ] {
        assert_eq!(of(rest), status, "{rest}");
    }
    // A link and a pipe in place of a file, and a link in place of the folder.
    std::os::unix::fs::symlink(dir.run_json(), dir.checkpoint(20).state()).unwrap();
    let (pipe, mode) = (dir.checkpoint(20).optimizer(), rustix::fs::Mode::RUSR);
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    std::os::unix::fs::symlink(dir.checkpoint(10).path(), dir.checkpoint(30).path()).unwrap();
    for rest in ["20/state.json", "20/optimizer.safetensors", "30/model.safetensors"] {
        assert_eq!(of(rest), 404, "{rest}");
    }
    let (_, list) = scene.get("/api/v1/runs/x/a/checkpoints");
    assert_eq!(list["checkpoints"][1]["files"].as_array().unwrap().len(), 1);
    fs::remove_file(dir.train_log()).unwrap();
    std::os::unix::fs::symlink(dir.run_json(), dir.train_log()).unwrap();
    assert_eq!(scene.get("/api/v1/runs/x/a/log").0, 404);
}

#[test]
fn samples_come_by_step_and_a_link_among_them_is_left_out() {
    let scene = Scene::new();
    let (_, samples) = scene.get("/api/v1/runs/x/a/samples?from=11&limit=1");
    assert_eq!(samples["samples"][0]["items"][0]["text"], "<b>ROMEO</b>");
    assert_eq!((&samples["total"], &samples["next"]), (&Value::from(2), &Value::from(30)));
    let dir = scene.api.workspace.run("x", "a");
    let secret = scene.folder.path().join("secret.json");
    fs::rename(dir.sample_json(20), &secret).unwrap();
    std::os::unix::fs::symlink(&secret, dir.sample_json(20)).unwrap();
    let (_, samples) = scene.get("/api/v1/runs/x/a/samples");
    assert_eq!(samples["left_out"], serde_json::json!([20]));
}

#[test]
fn what_did_not_change_is_not_sent_again_and_what_did_is() {
    let scene = Scene::new();
    for path in ["/api/v1/runs", "/api/v1/runs/x/a/metrics", "/api/v1/openapi.json"] {
        for accept_encoding in [None, Some("gzip")] {
            let asked = |tags| Asked { path, accept_encoding, if_none_match: tags, ..Asked::default() };
            let (status, headers, body) = scene.ask(&asked(None));
            let tag = headers.lines().find_map(|line| line.strip_prefix("ETag: ")).unwrap().to_owned();
            assert_eq!((status, headers.contains("gzip")), (200, accept_encoding.is_some()), "{headers}");
            assert!(!body.is_empty());
            let (status, headers, body) = scene.ask(&asked(Some(&tag)));
            assert_eq!((status, body.len()), (304, 0));
            assert!(headers.contains(&tag), "{headers}");
            assert_eq!(scene.ask(&asked(Some("\"other\""))).0, 200);
        }
    }
    let asked = |tag| Asked { path: "/api/v1/runs/x/a/metrics", if_none_match: tag, ..Asked::default() };
    let (_, headers, _) = scene.ask(&asked(None));
    let tag = headers.lines().find_map(|line| line.strip_prefix("ETag: ")).unwrap().to_owned();
    let mut table =
        fs::OpenOptions::new().append(true).open(scene.api.workspace.run("x", "a").metrics()).unwrap();
    std::io::Write::write_all(&mut table, b"5002,1,1,1\n").unwrap();
    crate::report::build(scene.folder.path()).unwrap();
    assert_eq!(scene.ask(&asked(Some(&tag))).0, 200);
}

#[test]
fn before_there_is_a_report_every_answer_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let api = Api::new(&folder.path().join("reports"), Changes::default(), None);
    let scene = Scene { folder, api, document: openapi::document(ROUTES) };
    for (path, status) in [
        ("/api/v1/runs", 503),
        ("/api/v1/runs/x/a", 503),
        ("/api/v1/queue", 503),
        ("/readyz", 503),
        ("/healthz", 200),
        ("/metrics", 200),
        ("/api/v1/system", 200),
    ] {
        let (found, told) = scene.get(path);
        assert_eq!(found, status, "{path}: {told}");
        assert!(status == 200 || told["hint"].as_str().unwrap().contains("overnight report"), "{told}");
    }
    assert_eq!(scene.get("/api/v1/health").1["status"], "degraded");
    scene.api.changes.set_problem(Some("the template is broken".to_owned()));
    assert!(scene.get("/readyz").1["detail"].as_str().unwrap().contains("template is broken"));
}

/// A batch whose table has a GPU, and a runner at work on it while the lock is held.
fn at_work(scene: &Scene, age: f64) -> fs::File {
    let workspace = &scene.api.workspace;
    let dir = BatchDir::new(workspace.batches().join("b"));
    fs::create_dir_all(dir.path()).unwrap();
    let batch = serde_json::json!({
        "protocol": 1, "host": "box", "process": 1, "start": 1000.0, "end": null, "exit_code": null,
        "arguments": [], "slots": 1, "threads_per_slot": 1, "plan": [],
    });
    let gpu = BatchGpu {
        index: 0,
        uuid: "GPU-1".into(),
        name: "NVIDIA \"H100\"".into(),
        driver: "580".into(),
        memory_bytes: 80 << 30,
    };
    let batch = Batch { gpus: vec![gpu], ..serde_json::from_value(batch).unwrap() };
    replace_json(&dir.batch_json(), &batch, Durability::Rebuildable).unwrap();
    let now = scan::now() - age;
    let header = "time,cpu_percent,memory_bytes,disk_free_bytes,gpu0_use_percent,gpu0_memory_bytes,\
                  gpu0_energy_joules,gpu0_xid_code,gpu0_temperature_celsius,gpu0_power_watts,\
                  gpu0_clock_mhz,gpu0_memory_clock_mhz";
    let last = "25,100,200,97,1073741824,2.5,,60,350.5,1980,2619";
    let rows = format!("{header}\n{},10,,,50,0,1,79,,,,\n{now},{last}\n", now - 2.0);
    fs::write(dir.telemetry(), rows).unwrap();
    let held = crate::run_dir::lock::try_lock(&workspace.runner_lock()).unwrap().unwrap();
    let holder = serde_json::json!({ "host": "box", "process": 1, "since": 1, "batch": "b" });
    fs::write(workspace.runner_lock(), holder.to_string()).unwrap();
    held
}

#[test]
fn the_machine_is_told_with_its_gpus_and_to_prometheus_only_while_it_is_fresh() {
    let scene = Scene::new();
    let held = at_work(&scene, 0.0);
    let (_, system) = scene.get("/api/v1/system");
    let gpu = &system["gpus"][0];
    assert_eq!((&gpu["uuid"], &gpu["xid_code"]), (&Value::from("GPU-1"), &Value::from(79.0)), "{system:#}");
    assert_eq!((&system["sample"]["fresh"], &system["runner"]["batch"]), (&true.into(), &"b".into()));
    let told = scene.get("/metrics").1.as_str().unwrap().to_owned();
    let labels = r#"{gpu="0",UUID="GPU-1",device="nvidia0",modelName="NVIDIA \"H100\"",Hostname="box"}"#;
    for line in [
        format!("DCGM_FI_DEV_GPU_UTIL{labels} 97"),
        format!("DCGM_FI_DEV_FB_USED{labels} 1024"),
        format!("DCGM_FI_DEV_FB_FREE{labels} 80896"),
        format!("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{labels} 2500"),
        format!("DCGM_FI_DEV_XID_ERRORS{labels} 79"),
        "overnight_machine_cpu_usage_ratio{host=\"box\"} 0.25".to_owned(),
        "overnight_runs{state=\"waiting\"} 4".to_owned(),
        "overnight_runner_up 1".to_owned(),
    ] {
        assert!(told.lines().any(|found| found == line), "{line} in\n{told}");
    }
    drop(held);
    let told = scene.get("/metrics").1.as_str().unwrap().to_owned();
    assert!(
        !told.contains("DCGM") && told.contains("overnight_runner_up 0"),
        "nobody looks any more: {told}"
    );
    let _held = at_work(&scene, 3600.0);
    assert!(!scene.get("/metrics").1.as_str().unwrap().contains("DCGM"), "the row is an hour old");
}
