//! Runs that came from elsewhere and hold anything: every page builds and none of it is markup.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use overnight::experiment::settings::Task;
use overnight::report::export::{Surroundings, export};
use overnight::run_dir::{self, scan};
use serde_json::{Value, json};

use crate::hostile_records::{HOSTILE, edit, spoil};
use crate::report::made_up::{self, Ending, MadeUp};
use crate::workspace::Workspace;

const X: &str = "experiments/x.toml";

/// Every file below a folder that a browser reads as a page.
fn pages(folder: &Path) -> Vec<(String, String)> {
    let mut pages = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            pages.extend(self::pages(&path));
        } else if path.extension().is_some_and(|ending| ending == "html") {
            pages.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
        }
    }
    pages
}

fn holds_no_markup_of_a_record(name: &str, html: &str) {
    for markup in ["<script>window", "<img src=x", "<svg onload", "</style><", "<!--"] {
        assert!(!html.contains(markup), "{markup} in {name}");
    }
    assert!(!html.contains('\0'), "a NUL in {name}");
}

#[test]
fn a_run_whose_records_are_hostile_is_shown_sent_and_compared_as_text() {
    let workspace = Workspace::new().experiment("x", 4, &[1, 2], "");
    workspace.run(&[X]).code(0);
    spoil(&workspace.seed("x", 1));
    let batch = workspace.batch();
    edit(&batch.batch_json(), |batch| {
        batch["host"] = json!(HOSTILE);
        batch["arguments"] = json!([HOSTILE, HOSTILE]);
        batch["plan"] = json!([{ "experiment": HOSTILE, "run": HOSTILE, "steps": u64::MAX, "estimated_seconds": -1e300 }]);
    });
    edit(&batch.queue_json(), |queue| {
        queue["breaker"] = json!(HOSTILE);
        queue["waiting"] =
            json!([{ "experiment": "x", "run": HOSTILE, "reason": HOSTILE, "start": 1e300, "end": -1e300 }]);
    });
    workspace.overnight(&["report"]).code(0);
    let all = pages(&workspace.path("reports"));
    assert!(all.len() > 8, "{}", all.len());
    for (name, html) in &all {
        holds_no_markup_of_a_record(name, html);
    }
    workspace.overnight(&["status"]).code(0);
    workspace.overnight(&["compare", "x"]).code(0);
    for more in [&[][..], &["--with-environment"]] {
        workspace.overnight(&[&["export", "x", "-o", "sent.html"], more].concat()).code(0);
        let html = fs::read_to_string(workspace.path("sent.html")).unwrap();
        holds_no_markup_of_a_record("sent.html", &html);
        // The page's own elements end where they should: two of data, one script, one style.
        assert_eq!(html.matches("</script>").count(), 3);
        assert_eq!(html.matches("</style>").count(), 1);
    }
}

#[test]
fn a_queue_of_ten_thousand_reasons_and_files_of_two_gigabytes_leave_the_pages_small() {
    let workspace = Workspace::new().experiment("x", 4, &[1, 2], "");
    workspace.run(&[X]).code(0);
    let batch = workspace.batch();
    edit(&batch.queue_json(), |queue| {
        let run = json!({ "experiment": "x", "run": HOSTILE, "reason": "because ".repeat(200), "start": null, "end": null });
        queue["waiting"] = json!(vec![run; 10_000]);
    });
    let run = workspace.seed("x", 1);
    for path in [run.train_log(), run.stderr_log(), run.metrics(), run.events(), run.model_json()] {
        fs::OpenOptions::new().append(true).create(true).open(path).unwrap().set_len(2 << 30).unwrap();
    }
    workspace.overnight(&["report"]).code(0);
    for (name, html) in pages(&workspace.path("reports")) {
        assert!(html.len() < 1 << 20, "{name} has {} bytes", html.len());
    }
    let copied = fs::metadata(workspace.path(&format!("reports/runs/x/{}/metrics.csv", run.name()))).unwrap();
    assert!(copied.len() < 1 << 20, "whole rows only: {} bytes", copied.len());
    let page =
        fs::read_to_string(workspace.path(&format!("reports/runs/x/{}/index.html", run.name()))).unwrap();
    assert!(page.contains("events.jsonl: its first 1.9 GiB are left out"), "{page}");
    assert!(page.contains("model.json: has 2.0 GiB, and 32.0 MiB at most are read"), "{page}");
    workspace.overnight(&["status"]).code(0);
}

#[test]
fn what_of_a_batch_cannot_be_read_is_said_on_the_pages_and_by_status() {
    let workspace = Workspace::new().experiment("x", 4, &[1], "");
    workspace.run(&[X]).code(0);
    let batch = workspace.batch();
    let lengthen =
        |path: &Path| fs::OpenOptions::new().append(true).open(path).unwrap().set_len(40 << 20).unwrap();
    let page = |name: &str| {
        workspace.overnight(&["report"]).code(0);
        fs::read_to_string(workspace.path(&format!("reports/{name}"))).unwrap()
    };
    let status = || workspace.overnight(&["status"]).code(0).stdout;
    let told = |file: &str| format!("{file}: has 40.0 MiB, and 32.0 MiB at most are read");
    lengthen(&batch.queue_json());
    let index = page("index.html");
    assert!(index.contains("A batch is shown without what its runner says of the queue: "), "{index}");
    assert!(index.contains(&told("queue.json")), "{index}");
    assert!(status().contains(&told("queue.json")), "{}", status());
    lengthen(&batch.batch_json());
    let index = page("index.html");
    assert!(index.contains("A batch is shown without what is known of it: "), "{index}");
    assert!(index.contains(&told("batch.json")), "{index}");
    let system = page("system.html");
    assert!(
        system.contains("Of this batch nothing can be shown.") && system.contains(&told("batch.json")),
        "{system}"
    );
    assert!(status().contains(&told("batch.json")), "{}", status());
    fs::remove_file(batch.batch_json()).unwrap();
    let system = page("system.html");
    assert!(system.contains("Its folder has no batch.json."), "{system}");
}

#[test]
fn of_a_run_with_five_thousand_metrics_status_and_page_say_a_few_sentences() {
    let workspace = Workspace::new().experiment("x", 4, &[1], "");
    workspace.run(&[X]).code(0);
    let run = workspace.seed("x", 1);
    let names: String = (0..5_000).map(|number| format!(",layer{number}/norm")).collect();
    let mut table = format!("step,epoch,time,elapsed,train/loss,val/loss{names}\n");
    for step in 1..=20 {
        let more = if step == 1 { ",1" } else { ",nan" }.repeat(5_000);
        table +=
            &format!("{step},0,{step},{step},{},{}{more}\n", 4.0 / f64::from(step), 5.0 / f64::from(step));
    }
    fs::write(run.metrics(), table).unwrap();
    let name = format!("x/{}", run.name());
    let said = workspace.overnight(&["status", &name]).code(0).stdout;
    assert!(said.contains("\n  Validation loss "), "{said}");
    assert!(said.contains(&format!(" more: see overnight status {name} --json")), "{said}");
    assert!(said.len() < 4_000, "{}", said.len());
    let all = workspace.overnight(&["status", &name, "--json"]).code(0).stdout;
    assert!(all.matches("not-finite").count() == 5_000, "{}", all.len());
    workspace.overnight(&["report"]).code(0);
    let page = fs::read_to_string(workspace.path(&format!("reports/runs/{name}/index.html"))).unwrap();
    let say = page.split("<div class=\"say\">").nth(1).unwrap().split("</div>").next().unwrap();
    assert!(say.starts_with("<p>Validation loss ") && say.matches("<p>").count() == 9, "{say}");
}

#[test]
fn compare_says_what_differs_with_its_noise_and_its_cost() {
    let workspace = Workspace::new().experiment("x", 4, &[1, 2], "").experiment("y", 8, &[1, 2], "");
    workspace.run(&[X, "experiments/y.toml"]).code(0);
    let [one, other] = ["x", "y"].map(|name| format!("{name}/{}", workspace.seed(name, 1).name()));
    let said = workspace.overnight(&["compare", &one, &other]).code(0).stdout;
    for words in ["experiment", "train.steps", "val/loss, best", "training"] {
        assert!(said.contains(words), "{words} is not in\n{said}");
    }
    assert!(!said.contains("train.seed"), "that is the same in both:\n{said}");
    let json = workspace.overnight(&["compare", "x", "--json"]).code(0).stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["runs"].as_array().unwrap().len(), 2);
    assert_eq!(json["settings"][0]["name"], "train.seed", "{json}");
    assert_eq!(json["metrics"][0]["differences"][0], Value::Null);
    assert_eq!(json["metrics"][0]["differences"][1]["verdict"], "only-the-seed-differs", "{json}");
    workspace.overnight(&["compare", "nobody"]).code(4).says("there is no run nobody");
    workspace.overnight(&["compare"]).code(2);
    workspace.overnight(&["compare", &one]).code(0).says("name another");
}

#[test]
fn a_sent_file_holds_images_and_matrices_as_far_as_it_can_be_mailed() {
    let folder = tempfile::tempdir().unwrap();
    let sweep = MadeUp {
        experiment: "shapes",
        task: Task::ImageClassification,
        runs: 50,
        rows: 1000,
        end: Ending::AllFinished,
    };
    let names = made_up::experiment(folder.path(), &sweep).unwrap();
    let workspace = run_dir::Workspace::new(folder.path());
    let png = [b"\x89PNG\r\n\x1a\n".as_slice(), &[7; 30_000]].concat();
    let secret = folder.path().join("secret");
    fs::write(&secret, &png).unwrap();
    for (number, name) in names.iter().enumerate() {
        let dir = workspace.run("shapes", name);
        let sample = dir.sample_json(1_000_000);
        fs::create_dir_all(dir.samples()).unwrap();
        fs::write(&sample, r#"{"step":1000000,"items":[{"kind":"prediction","tile":0,"actual":"cat","predicted":"dog","probability":0.5}]}"#).unwrap();
        match number {
            0 => symlink(&secret, dir.sample_png(1_000_000)).unwrap(),
            _ => fs::write(dir.sample_png(1_000_000), &png).unwrap(),
        }
    }
    let html = export(&workspace, &scan::runs(&workspace), Surroundings::LeftOut, None).unwrap().html;
    println!("{} bytes", html.len());
    assert!(html.len() < 1_500_000, "{} bytes", html.len());
    let images = html.matches("src=\"data:image/png").count();
    assert!((1..49).contains(&images), "{images}");
    let seen = html.split("<ol class=\"predictions\">").nth(1).unwrap_or("no list");
    assert!(seen.contains("dog <span") && seen.contains(", is cat</span>"), "{}", &seen[..200]);
    let matrices = html.matches("-confusion\"").count();
    assert!(matrices > 0, "no confusion matrix");
    assert!(html.matches("left out: the file would be too large to mail.").count() >= 49 - images);
    let few: Vec<_> = names[..2].iter().map(|name| workspace.run("shapes", name)).collect();
    let html = export(&workspace, &few, Surroundings::LeftOut, None).unwrap().html;
    assert_eq!(html.matches("src=\"data:image/png").count(), 1, "what a link leads to is not sent");
    assert_eq!(html.matches("id=\"r0-confusion\"").count(), 1);
    assert!(!html.contains("too large to mail"));
}
