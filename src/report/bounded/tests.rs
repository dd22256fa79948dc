use std::fs::{self, File};
use std::path::Path;

use serde_json::{Value, json};

use super::super::model::Frame;
use super::super::run_page;
use super::super::say::Clock;
use super::super::summary::RunSummary;
use super::*;
use crate::run_dir::metrics::Metrics;
use crate::run_dir::{RunDir, scan};

/// What nobody would write and anybody may have: markup, quotes, marks that turn the direction, NUL.
const HOSTILE: &str = "<script>ran()</script>\"'&\u{202e}evil\u{0}\u{2028}</title>";

fn run(folder: &Path) -> RunDir {
    let dir = RunDir::new(folder.join("x/y"));
    fs::create_dir_all(dir.samples()).unwrap();
    let record = serde_json::to_vec(&scan::sample_record("x", "y")).unwrap();
    fs::write(dir.run_json(), record).unwrap();
    fs::write(dir.metrics(), "step,val/loss\n1,2\n2,1\n").unwrap();
    dir
}

fn write(path: &Path, value: &Value) {
    fs::write(path, value.to_string()).unwrap();
}

/// The files of the run, and its page as programs get it.
fn read(dir: &RunDir) -> (RunFiles, Value) {
    let files = RunFiles::read(dir, "host", 1000.0, Metrics::default());
    let summary = RunSummary::of(&files, String::new());
    let clock = Clock::ahead_of_utc(0, 1000.0);
    let frame = Frame {
        title: String::new(),
        root: String::new(),
        here: "runs",
        workspace: String::new(),
        host: String::new(),
        workspace_id: String::new(),
        logo: "",
        warning: None,
        active: false,
        built: clock.now(),
    };
    let page = run_page::page(&files, &summary, None, frame, &clock);
    let page = serde_json::to_value(&page).unwrap();
    (files, page)
}

fn is_told(files: &RunFiles, words: &str) -> bool {
    files.warnings.iter().any(|warning| warning.contains(words))
}

/// Bytes that a page may have, whatever is in the files of its run.
const PAGE: usize = 4 << 20;

#[test]
fn a_model_of_a_hundred_thousand_layers_makes_a_page_that_opens() {
    let folder = tempfile::tempdir().unwrap();
    let dir = run(folder.path());
    let layer = |number: usize| {
        json!({ "name": format!("h{number}.{HOSTILE}"), "kind": HOSTILE, "output": [-1, i64::MAX, i64::MIN],
            "tensors": [[HOSTILE, [i64::MAX, i64::MAX]]], "parameters": u64::MAX })
    };
    let layers: Vec<Value> = (0..100_000).map(layer).collect();
    write(&dir.model_json(), &json!({ "kind": HOSTILE, "parameters": u64::MAX, "layers": layers }));
    let (files, page) = read(&dir);
    assert!(is_told(&files, "80,000 layers further are left out"), "{:?}", files.warnings);
    assert_eq!(files.model.as_ref().map(|model| model.layers.len()), Some(LAYERS));
    assert!(page.to_string().len() < PAGE, "{}", page.to_string().len());
    assert!(!page["model"]["svg"].as_str().unwrap().contains("<script"));
}

#[test]
fn a_matrix_of_ten_thousand_classes_is_left_out_and_one_of_two_thousand_cut() {
    let folder = tempfile::tempdir().unwrap();
    let dir = run(folder.path());
    let class = |_| json!({ "name": HOSTILE, "examples": u64::MAX, "accuracy": "nan" });
    let classes: Vec<Value> = (0..2_000).map(class).collect();
    let row = json!(vec![u64::MAX; 2_000]).to_string();
    let begin = json!({ "step": u64::MAX, "metrics": {}, "classes": classes }).to_string();
    let write = |rows: usize| {
        let rows = vec![row.as_str(); rows].join(",");
        let begin = begin.strip_suffix('}').unwrap();
        fs::write(dir.evaluation(), format!("{begin},\"confusion\":[{rows}]}}")).unwrap();
    };
    write(600);
    let (files, page) = read(&dir);
    assert!(is_told(&files, "1,000 classes further are left out"), "{:?}", files.warnings);
    assert!(page.to_string().len() < PAGE, "{}", page.to_string().len());
    write(10_000);
    let (files, page) = read(&dir);
    assert!(is_told(&files, "evaluation.json: has ") && page["evaluation"].is_null(), "{:?}", files.warnings);
}

#[test]
fn samples_of_ten_megabytes_and_of_a_hundred_thousand_steps_are_shown_in_part() {
    let folder = tempfile::tempdir().unwrap();
    let dir = run(folder.path());
    let long = format!("{HOSTILE}{}", "x".repeat(10_000_000));
    let text = |text: &str| json!({ "kind": "text", "prompt": text, "text": text, "temperature": -1e300, "top_k": u32::MAX, "top_p": 0.5 });
    let seen = json!({ "kind": "prediction", "tile": u32::MAX, "actual": HOSTILE, "predicted": HOSTILE, "probability": "inf" });
    write(&dir.sample_json(7), &json!({ "step": 7, "items": [text(&long), text("short")] }));
    write(&dir.sample_json(9), &json!({ "step": 7, "items": vec![seen; 100_000] }));
    for step in 1_000..1_020 {
        fs::write(dir.sample_json(step), "").unwrap();
    }
    let (files, page) = read(&dir);
    assert!(
        is_told(&files, "the sample of step 7 is too long, and is shown in part"),
        "{:?}",
        files.warnings
    );
    assert!(is_told(&files, "the sample of step 9 is too long") && files.warnings.len() <= WARNINGS + 1);
    assert!(page.to_string().len() < PAGE, "{}", page.to_string().len());
    assert_eq!(page["samples"][0]["predictions"][0]["tile"], json!(u32::MAX));
}

#[test]
fn long_texts_of_a_record_and_its_requests_are_cut() {
    let folder = tempfile::tempdir().unwrap();
    let dir = run(folder.path());
    let mut record: Value = serde_json::from_slice(&fs::read(dir.run_json()).unwrap()).unwrap();
    let long = "é".repeat(1_000_000);
    record["description"] = json!(long);
    record["notes"] = json!(long);
    record["tags"] = json!(vec![HOSTILE; 10_000]);
    record["varied"] = json!({ "train.optimizer.lr": [long, vec![1; 100_000]] });
    write(&dir.run_json(), &record);
    let note =
        json!({ "time": -1e300, "who": HOSTILE.repeat(100), "ask": "note", "text": HOSTILE.repeat(1_000) });
    fs::write(dir.requests(), format!("{note}\n").repeat(500)).unwrap();
    let (files, page) = read(&dir);
    assert!(is_told(&files, "run.json holds long texts") && is_told(&files, "9,950 tags further"));
    assert!(is_told(&files, "400 notes and tags further are left out"), "{:?}", files.warnings);
    assert!(page.to_string().len() < PAGE, "{}", page.to_string().len());
}

/// In a process of its own, whose memory is its alone.
#[test]
fn files_of_two_gigabytes_cost_a_sentence_each() {
    const ALONE: &str = "OVERNIGHT_TEST_ALONE";
    if std::env::var_os(ALONE).is_none() {
        let name = "report::bounded::tests::files_of_two_gigabytes_cost_a_sentence_each";
        let alone = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name])
            .env(ALONE, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&alone.stdout).into_owned();
        assert!(alone.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let dir = run(folder.path());
    fs::write(dir.sample_json(7), "").unwrap();
    fs::write(dir.sample_png(7), b"\x89PNG\r\n\x1a\n").unwrap();
    let paths = [
        dir.train_log(),
        dir.stderr_log(),
        dir.metrics(),
        dir.telemetry(),
        dir.events(),
        dir.alerts(),
        dir.model_json(),
        dir.evaluation(),
        dir.result(),
        dir.env_json(),
        dir.progress(),
        dir.verify(),
        dir.sample_json(7),
        dir.sample_png(7),
    ];
    for path in &paths {
        let file = File::options().append(true).create(true).open(path).unwrap();
        file.set_len(2 << 30).unwrap();
    }
    let before = resident();
    let (files, page) = read(&dir);
    let more = resident().saturating_sub(before);
    assert!(more < 300 << 20, "{more} bytes more than before");
    for name in
        ["events.jsonl", "model.json", "evaluation.json", "result.json", "env.json", "step-00000007.json"]
    {
        assert!(is_told(&files, name), "{name}: {:?}", files.warnings);
    }
    assert_eq!(files.metrics.rows, 2, "the rows before the line without end");
    assert!(super::super::attached::sheet(&dir, 7).is_none());
    assert!(page.to_string().len() < PAGE);
}

/// The most memory that this process ever had, in bytes.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap() * 1024
}

#[test]
fn a_text_is_cut_between_characters() {
    for (text, most, expected) in
        [("", 0, ""), ("ab", 2, "ab"), ("äöü", 3, "äöü"), ("äöü", 2, "äö…"), ("ä", 0, "…")]
    {
        let mut cut = text.to_owned();
        assert_eq!((shorten(&mut cut, most), cut.as_str()), (text != expected, expected));
    }
}

#[test]
fn of_five_thousand_metrics_a_page_draws_few_and_names_the_others_by_their_groups() {
    let folder = tempfile::tempdir().unwrap();
    let dir = run(folder.path());
    let names: Vec<String> = (0..5_000)
        .map(|at| format!("layer{}/{HOSTILE}{at}", at % 50).replace(['"', '\u{0}', '\u{2028}'], ""))
        .collect();
    let row = |step: usize| format!("{step},1.5{}", ",0.25".repeat(5_000));
    let rows: Vec<String> = (1..20).map(row).collect();
    fs::write(dir.metrics(), format!("step,val/loss,{}\n{}\n", names.join(","), rows.join("\n"))).unwrap();
    let (files, page) = read(&dir);
    assert!(files.metrics.bad.is_empty(), "{:?}", files.metrics.bad);
    assert_eq!(page["figures"].as_array().unwrap().len(), 25);
    let further = &page["further"];
    assert_eq!(further["count"], "4,976");
    let groups = further["groups"].as_array().unwrap();
    assert_eq!(groups.len(), 50);
    let shown: usize = groups.iter().map(|group| group["rows"].as_array().unwrap().len()).sum();
    let more: u64 = groups.iter().map(|group| group["more"].as_u64().unwrap()).sum();
    assert_eq!((shown, more), (1_000, 3_976));
    assert!(page.to_string().len() < PAGE, "{}", page.to_string().len());
    let summary = RunSummary::of(&files, String::new());
    assert_eq!(summary.last.len(), 100);
    assert!(summary.last.contains_key("val/loss") && summary.header.len() < 6_000, "{}", summary.header);
    let remembered = serde_json::to_string(&summary).unwrap();
    assert!(remembered.len() < 100_000, "{}: {}", remembered.len(), &remembered[..2_000]);
}
