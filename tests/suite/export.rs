//! `overnight export`: one file, with everything in it but what is private.

use std::fs;
use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use overnight::experiment::settings::Task;
use overnight::report::export::{Surroundings, export};
use overnight::run_dir::{self, scan};
use serde_json::Value;

use crate::report::made_up::{self, Ending, MadeUp};
use crate::workspace::Workspace;

const X: &str = "experiments/x.toml";

fn exported(workspace: &Workspace, more: &[&str]) -> String {
    let arguments = [&["export", "x", "-o", "sent.html"], more].concat();
    workspace.overnight(&arguments).code(0);
    fs::read_to_string(workspace.path("sent.html")).unwrap()
}

/// What is packed into a block of the file.
fn unpacked(html: &str, id: &str) -> Value {
    let (_, block) = html.split_once(&format!("id=\"{id}\">")).unwrap();
    let packed = STANDARD.decode(block.split_once("</script>").unwrap().0).unwrap();
    let mut json = String::new();
    GzDecoder::new(packed.as_slice()).read_to_string(&mut json).unwrap();
    serde_json::from_str(&json).unwrap()
}

#[test]
fn an_exported_file_holds_curves_values_and_facts_and_asks_for_nothing() {
    let workspace = Workspace::new().experiment("x", 4, &[1, 2], "");
    workspace.run(&[X]).code(0);
    let html = exported(&workspace, &[]);
    // One drawing of both runs, one of each, at the least.
    assert!(html.matches("<svg class=\"chart").count() >= 3, "{html}");
    for run in workspace.runs("x") {
        let id = format!("run-x/{}", run.name());
        assert!(html.contains(&format!("id=\"{id}\"")), "{id}: {html}");
        assert!(html.contains(&format!("href=\"#{id}\"")), "{id}: {html}");
    }
    for asking in
        ["src=\"http", "src=\"assets", "src=\"..", "href=\"http", "href=\"..", "url(http", "@import"]
    {
        assert!(!html.contains(asking), "{asking}: {html}");
    }
    let facts = unpacked(&html, "facts");
    assert_eq!(facts["runs"].as_array().unwrap().len(), 2);
    assert!(facts["runs"][0]["settings"]["train"].is_object(), "{facts}");
    assert!(facts["runs"][0]["seed"].is_u64() && facts["runs"][0]["program"].is_string(), "{facts}");
}

#[test]
fn an_exported_file_does_not_say_where_it_was_made_unless_asked() {
    let workspace = Workspace::new().experiment("x", 4, &[1], "");
    let root = fs::canonicalize(workspace.path(".")).unwrap().display().to_string();
    let text = fs::read_to_string(workspace.path(X)).unwrap();
    let workspace = workspace.file(X, &format!("description = \"from {root}/secret\"\n{text}"));
    workspace.run(&[X]).code(0);
    let html = exported(&workspace, &[]);
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert!(html.contains("from ./secret"), "{html}");
    assert!(!html.contains(&root) && !html.contains(host.trim()), "{html}");
    let html = exported(&workspace, &["--with-environment"]);
    assert!(html.contains(host.trim()) && html.contains(&root), "{html}");
}

#[test]
fn a_file_is_replaced_whole_and_its_size_is_said() {
    let workspace = Workspace::new().experiment("x", 4, &[1], "").file("sent.html", "old");
    workspace.run(&[X]).code(0);
    let said = workspace.overnight(&["export", "--all", "--json", "-o", "sent.html"]).code(0);
    let bytes = fs::metadata(workspace.path("sent.html")).unwrap().len();
    assert!(said.stdout.contains(&format!("\"bytes\": {bytes}")), "{}", said.stdout);
    let whole = workspace.overnight(&["export", "x", "-o", "-"]).code(0).stdout;
    assert!(whole.starts_with("<!doctype html>") && whole.trim_end().ends_with("</html>"), "{whole}");
    workspace.overnight(&["export", "nobody", "-o", "no.html"]).says("there is no run nobody");
    assert!(!workspace.path("no.html").exists());
}

#[test]
fn a_sweep_of_fifty_runs_fits_into_a_mail_and_holds_every_line_once() {
    let folder = tempfile::tempdir().unwrap();
    let sweep = MadeUp {
        experiment: "depth",
        task: Task::LanguageModel,
        runs: 50,
        rows: 1000,
        end: Ending::AllFinished,
    };
    let names = made_up::experiment(folder.path(), &sweep).unwrap();
    let workspace = run_dir::Workspace::new(folder.path());
    let sent = export(&workspace, &scan::runs(&workspace), Surroundings::LeftOut, None).unwrap();
    let bytes = sent.html.len();
    println!("{bytes} bytes");
    assert!(bytes < 1_500_000, "{bytes} bytes");
    let charts = unpacked(&sent.html, "charts");
    let lines = charts["lines"].as_array().unwrap();
    let figures = charts["figures"].as_object().unwrap();
    assert_eq!(figures.len(), 51, "one section for each run and one for all");
    let drawn = sent.html.matches("<svg class=\"chart").count();
    assert_eq!(drawn, 50 + figures["e0"].as_array().unwrap().len());
    let named: Vec<(u64, &Value)> = figures
        .values()
        .flat_map(|figures| figures.as_array().unwrap())
        .flat_map(|figure| figure["chart"]["series"].as_array().unwrap())
        .map(|series| (series["line"].as_u64().unwrap(), series))
        .collect();
    assert!(
        named
            .iter()
            .all(|(line, series)| lines.get(*line as usize).is_some() && series.get("points").is_none())
    );
    // Charts of the experiment and of its runs have the same lines.
    assert!(lines.len() < named.len(), "{} lines for {}", lines.len(), named.len());
    let losses =
        named.iter().filter(|(_, series)| series["metric"] == "train/loss" && series["run"] == names[0]);
    let places: Vec<u64> = losses.map(|(line, _)| *line).collect();
    assert!(places.len() == 2 && places[0] == places[1], "{places:?}");
    let steps = lines[places[0] as usize]["x"].as_array().unwrap();
    assert_eq!(steps.iter().map(|step| step.as_f64().unwrap()).sum::<f64>(), 10_000.0);
    assert_eq!(lines[places[0] as usize]["rows"], 1000);
}
