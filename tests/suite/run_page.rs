//! A run's page among others: what it takes of its siblings, and what lies beside it.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use overnight::experiment::settings::Task;
use overnight::report::{Report, Scope, build};
use overnight::run_dir::{RunDir, Workspace};
use serde_json::Value;

use crate::report::made_up::{self, Ending, MadeUp};

struct Place {
    folder: tempfile::TempDir,
    runs: Vec<RunDir>,
}

impl Place {
    fn new(task: Task, runs: u32) -> Place {
        let folder = tempfile::tempdir().unwrap();
        let made_up = MadeUp { experiment: "depth", task, runs, rows: 60, end: Ending::AllFinished };
        let names = made_up::experiment(folder.path(), &made_up).unwrap();
        let workspace = Workspace::new(folder.path());
        let runs = names.iter().map(|name| workspace.run("depth", name)).collect();
        Place { folder, runs }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn beside(&self, run: usize, name: &str) -> std::path::PathBuf {
        self.path().join("reports/runs/depth").join(self.runs[run].name()).join(name)
    }

    fn twin(&self, run: usize) -> Value {
        serde_json::from_slice(&fs::read(self.beside(run, "index.json")).unwrap()).unwrap()
    }

    fn page(&self, run: usize) -> String {
        fs::read_to_string(self.beside(run, "index.html")).unwrap()
    }

    /// The run whose settings a run's page compares its own with.
    fn sibling(&self, run: usize) -> Option<usize> {
        let href = self.twin(run)["sibling"]["href"].as_str()?.to_owned();
        self.runs.iter().position(|known| href.contains(&known.name()))
    }

    /// Writes another best value into a run's result.
    fn comes_to(&self, run: usize, best: f64) {
        let path = self.runs[run].result();
        let mut result: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        result["best"]["value"] = serde_json::json!(best);
        fs::write(path, result.to_string()).unwrap();
    }
}

#[test]
fn settings_stand_beside_those_of_the_best_sibling_and_only_a_change_of_who_is_best_touches_the_others() {
    let place = Place::new(Task::LanguageModel, 5);
    for run in 0..5 {
        place.comes_to(run, 2.0 + run as f64);
    }
    let mut report = Report::open(place.path());
    assert_eq!(report.refresh(&Scope::All).unwrap().changed_runs, 5, "each page is made once");
    assert_eq!([0, 1, 2, 3, 4].map(|run| place.sibling(run)), [Some(1), Some(0), Some(0), Some(0), Some(0)]);
    let twin = place.twin(1);
    let rate = twin["differing"].as_array().unwrap().iter().find(|row| row["path"] == "train.optimizer.lr");
    let rate = rate.unwrap();
    assert_eq!((rate["value"].as_str(), rate["sibling"].as_str()), (Some("3e-4"), Some("1e-3")));
    assert!(place.page(1).contains("best sibling"));

    // Better, but still the same one: nobody else's page.
    place.comes_to(0, 1.5);
    assert_eq!(report.refresh(&Scope::All).unwrap().changed_runs, 1);
    // A new row of one run: its page alone.
    let mut rows = OpenOptions::new().append(true).open(place.runs[3].metrics()).unwrap();
    rows.write_all(b"610,1.22,1,1210,1.234,,,,1e-4,0.5,412000\n").unwrap();
    assert_eq!(report.refresh(&Scope::Runs(vec![place.runs[3].clone()])).unwrap().changed_runs, 1);
    // Another one leads: those that were compared with the first, and the first.
    place.comes_to(4, 1.0);
    assert_eq!(report.refresh(&Scope::Runs(vec![place.runs[4].clone()])).unwrap().changed_runs, 5);
    assert_eq!([0, 3, 4].map(|run| place.sibling(run)), [Some(4), Some(4), Some(0)]);
    // It is gone, and so is what others said of it.
    fs::remove_dir_all(place.runs[4].path()).unwrap();
    assert_eq!(report.refresh(&Scope::All).unwrap().changed_runs, 4);
    assert_eq!([0, 1].map(|run| place.sibling(run)), [Some(1), Some(0)]);
    assert_eq!(Report::open(place.path()).refresh(&Scope::All).unwrap().changed_runs, 0, "and remembered");
}

#[test]
fn a_run_that_is_alone_has_no_sibling() {
    let place = Place::new(Task::ImageClassification, 1);
    build(place.path()).unwrap();
    assert_eq!(place.sibling(0), None);
    assert!(place.page(0).contains("there is no best sibling yet"));
}

#[test]
fn a_log_lies_beside_its_page_where_the_page_does_not_hold_all_of_it() {
    let place = Place::new(Task::LanguageModel, 2);
    let mut log = vec![b'x'; 10_000_000];
    log.extend_from_slice(b"\n</script><script>alert(1)</script> \0 \xff\n");
    log.extend((0..100).flat_map(|line| format!("line {line}\n").into_bytes()));
    fs::write(place.runs[0].train_log(), &log).unwrap();
    build(place.path()).unwrap();
    let (text, script) = ["log.txt", "log.js"].map(|name| fs::read(place.beside(0, name)).unwrap()).into();
    // Of the long line only the end would fit, so it is left out.
    let text = String::from_utf8(text).unwrap();
    assert!(text.starts_with("</script><script>") && text.ends_with("line 99\n"));
    let script = String::from_utf8(script).unwrap();
    assert!(
        script.starts_with("overnight.hearLog(\"") && script.ends_with("\");\n") && !script.contains('\0')
    );
    let page = place.page(0);
    assert!(page.contains("line 99") && !page.contains("line 70\n") && !page.contains("<script>alert"));
    assert_eq!(place.twin(0)["log"]["has_more"], true);
    assert!(page.contains("without the first"), "{}", place.twin(0)["log"]);
    // The other's log is in its page as a whole.
    assert_eq!(place.twin(1)["log"]["has_more"], false);
    assert!(!place.beside(1, "log.js").exists() && !place.beside(1, "log.txt").exists());
}

#[test]
fn checkpoints_tell_what_they_came_to_where_they_are_and_how_they_are_used() {
    let place = Place::new(Task::LanguageModel, 1);
    build(place.path()).unwrap();
    let row = place.twin(0)["checkpoints"]["rows"][0].clone();
    let run = place.runs[0].name();
    assert_eq!(row["note"], "best, last");
    assert_eq!(row["losses"].as_array().unwrap().len(), 2);
    assert!(
        row["losses"].as_array().unwrap().iter().all(|loss| loss.as_str().unwrap().parse::<f64>().is_ok())
    );
    let file = row["file"].as_str().unwrap();
    assert!(place.path().join(file).is_file(), "{file}");
    assert_eq!(row["command"], format!("overnight run FILE --set weights.from=depth/{run}"));
    // Without a result it can go on from there.
    fs::remove_file(place.runs[0].result()).unwrap();
    build(place.path()).unwrap();
    let command = place.twin(0)["checkpoints"]["rows"][0]["command"].clone();
    assert_eq!(command, format!("overnight retry depth/{run} --from 600"));
}

#[test]
fn a_model_of_any_kind_is_drawn_and_a_damaged_one_is_a_warning() {
    let place = Place::new(Task::LanguageModel, 3);
    let layer = |number: u32| {
        let (name, output) = (format!("<b>.{number}"), [number, 4]);
        serde_json::json!({ "name": name, "kind": "<i>state space", "output": output,
            "tensors": [["weight", [number, 4]]], "parameters": number * 4 })
    };
    let layers: Vec<Value> = (1..=900).map(layer).collect();
    let model = serde_json::json!({ "kind": "mamba", "parameters": 7, "layers": layers });
    fs::write(place.runs[0].model_json(), model.to_string()).unwrap();
    fs::write(place.runs[1].model_json(), r#"{"kind": "gpt", "parameters": 12, "layers": []}"#).unwrap();
    fs::write(place.runs[2].model_json(), r#"{"kind": "gpt", "layers": [{}"#).unwrap();
    build(place.path()).unwrap();
    let page = place.page(0);
    assert!(
        page.contains(r#"<svg class="chart architecture""#)
            && !page.contains("<b>.1")
            && !page.contains("<i>state")
    );
    assert!(page.len() < 1_000_000, "{} bytes", page.len());
    assert!(page.contains("And 500 further layers."));
    assert_eq!(place.twin(1)["model"]["summary"], "gpt, 12 parameters; nothing is known of its layers");
    assert!(!place.page(1).contains("svg class=\"chart architecture"));
    assert!(place.page(2).contains("model.json") && place.twin(2)["model"].is_null());
}

/// Words beside the marks on a chart.
fn marks(page: &str, chart: &str) -> Vec<String> {
    let figure = page.split(&format!(r#"id="{chart}""#)).nth(1).unwrap_or_else(|| panic!("no {chart}"));
    let figure = figure.split("</figure>").next().unwrap();
    let known = ["resumed", "alert", "best"];
    known
        .iter()
        .filter(|word| figure.contains(&format!(">{word}</text>")))
        .map(|word| (*word).into())
        .collect()
}

#[test]
fn what_happened_stands_on_the_time_line_of_every_chart_and_zeros_have_none() {
    let place = Place::new(Task::LanguageModel, 1);
    let run = &place.runs[0];
    let begin = made_up::EVENING;
    let event = |time: f64, step: u64, what: Value| {
        let mut event = serde_json::json!({ "time": begin + time, "attempt": 1, "step": step });
        event.as_object_mut().unwrap().extend(what.as_object().unwrap().clone());
        event.to_string() + "\n"
    };
    let events = [
        event(0.0, 0, serde_json::json!({ "event": "started" })),
        event(200.0, 100, serde_json::json!({ "event": "resumed", "checkpoint": 100 })),
        event(500.0, 250, serde_json::json!({ "event": "alert", "message": "odd" })),
        event(900.0, 450, serde_json::json!({ "event": "checkpointed", "bytes": 1, "seconds": 0.1 })),
    ];
    fs::write(run.events(), events.concat()).unwrap();
    let mut result: Value = serde_json::from_slice(&fs::read(run.result()).unwrap()).unwrap();
    result["best_checkpoint"] = 450.into();
    fs::write(run.result(), result.to_string()).unwrap();
    let mut telemetry =
        "time,gpu_use_percent,process_memory_bytes,network_sent_bytes,network_received_bytes\n".to_owned();
    for row in 0..60 {
        telemetry += &format!("{},0,{},7,{}\n", begin + 20.0 * f64::from(row), 4_000_000 + row, 2048 * row);
    }
    fs::write(run.telemetry(), telemetry).unwrap();
    let note = serde_json::json!({ "time": begin, "who": "ada", "ask": "note", "text": "<b>watch this" });
    fs::write(run.requests(), note.to_string() + "\n").unwrap();
    build(place.path()).unwrap();
    let page = place.page(0);
    for chart in ["chart-loss", "chart-lr", "telemetry-gpu-use-percent", "telemetry-process-memory-bytes"] {
        assert_eq!(marks(&page, chart), ["resumed", "alert", "best"], "{chart}");
    }
    let twin = place.twin(0);
    let shown: Vec<(&str, &str)> = twin["telemetry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|figure| (figure["title"].as_str().unwrap(), figure["note"].as_str().unwrap()))
        .collect();
    let expected = [
        ("GPU use", "% over minutes"),
        ("Process memory", "MiB over minutes"),
        ("Network received", "B/s over minutes"),
    ];
    assert_eq!(shown, expected, "nothing was sent");
    assert!(
        page.contains("<h2>Note</h2>") && page.contains("ada, <time") && page.contains("&lt;b&gt;watch this")
    );
    assert_eq!(
        (&twin["notes"][0]["who"], &twin["notes"][0]["text"]),
        (&"ada".into(), &"<b>watch this".into())
    );
}
