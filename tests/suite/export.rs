//! `overnight export`: one file, with everything in it but what is private.

use std::fs;
use std::io::Read;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use overnight::experiment::settings::Task;
use overnight::report::export::{Surroundings, export};
use overnight::run_dir::metrics::Metrics;
use overnight::run_dir::sent::{Chain, Mark, first_difference};
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
    // Letters of what is packed are any letters.
    let names_host = |html: &str| {
        let (_, body) = html.split_once("<body>").unwrap();
        let (body, _) = body.split_once("<script").unwrap();
        let all = format!("{body}{}{}", unpacked(html, "facts"), unpacked(html, "charts"));
        let is_name = |letter: char| letter.is_alphanumeric() || letter == '-';
        let stands_alone = |(at, name): (usize, &str)| {
            !all[..at].ends_with(is_name) && !all[at + name.len()..].starts_with(is_name)
        };
        all.match_indices(host.trim()).any(stands_alone)
    };
    assert!(html.contains("from ./secret"), "{html}");
    assert!(!html.contains(&root) && !names_host(&html), "{html}");
    let html = exported(&workspace, &["--with-environment"]);
    assert!(names_host(&html) && html.contains(&root), "{html}");
}

/// Changes a JSON record of a run.
fn edit(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut record: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut record);
    fs::write(path, record.to_string()).unwrap();
}

#[test]
fn a_host_called_run_is_left_out_and_the_word_stays() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let night =
        MadeUp { experiment: "depth", task: Task::LanguageModel, runs: 4, rows: 60, end: Ending::Mixed };
    let names = made_up::experiment(root, &night).unwrap();
    fs::write(root.join("overnight.toml"), "[report]\ntheme = \"paper\"\n# TOP-SECRET\n").unwrap();
    let workspace = run_dir::Workspace::new(root);
    for name in &names {
        edit(&workspace.run("depth", name).run_json(), |record| {
            record["description"] = "the run of lr and run-in, as in /home/grace/plans/a.txt".into();
        });
    }
    let failed = workspace.run("depth", &names[1]);
    edit(&failed.run_json(), |record| {
        record["notes"] = format!("see {}/notes/b.txt", root.display()).into();
        record["settings"]["data"]["files"] =
            serde_json::json!([root.join("data/x.txt"), "/srv/hidden/set.txt", "../data/y.txt"]);
    });
    edit(&failed.env_json(), |record| {
        record["host"] = "run".into();
        record["git_diff"] = "diff --git a/PRIVATE b/PRIVATE".into();
        record["data"] = serde_json::json!([{ "path": "/srv/hidden/set.txt", "bytes": 1, "blake3": "ab" }]);
    });
    let attempts = fs::read_to_string(failed.attempts()).unwrap().replace("\"ada-01\"", "\"run\"");
    fs::write(failed.attempts(), attempts).unwrap();
    let ask = r#"{"time":1795123000.0,"who":"grace","ask":"note","text":"asked by a person"}"#;
    fs::write(failed.requests(), format!("{ask}\n")).unwrap();
    let words = "the run broke: cannot read /srv/hidden/set.txt\ngrace@run said so on host run\n";
    fs::write(failed.stderr_log(), words).unwrap();

    let sent = |surroundings| {
        let html = export(&workspace, &scan::runs(&workspace), surroundings, None).unwrap().html;
        let packed = ["charts", "facts"].map(|id| unpacked(&html, id).to_string());
        (html.clone(), html + &packed.concat())
    };
    let (html, all) = sent(Surroundings::LeftOut);
    let root = fs::canonicalize(root).unwrap().display().to_string();
    for secret in
        ["grace", "/srv", "/hidden", "/home/", "PRIVATE", "host run", "\"run\":\"run\"", "TOP-SECRET", &root]
    {
        assert!(!all.contains(secret), "{secret} in {}", all.split_once(secret).unwrap().0.len());
    }
    for word in ["the run of lr and run-in, as in a.txt", "./notes/b.txt", "./data/x.txt", "../data/y.txt"] {
        assert!(html.contains(word), "{word}");
    }
    assert!(all.contains("asked by a person") && all.contains("the run broke"), "{html}");
    let (_, all) = sent(Surroundings::Shown);
    for shown in ["/home/grace", "/srv/hidden", "PRIVATE", "host run", &root] {
        assert!(all.contains(shown), "{shown}");
    }
    assert!(!all.contains("TOP-SECRET"));
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

    // With a byte for each of its rows, so that a difference is told to the row.
    let facts = unpacked(&sent.html, "facts");
    let runs = facts["runs"].as_array().unwrap();
    let run = runs.iter().find(|run| run["run"] == names[7].as_str()).unwrap();
    let marks: Vec<Mark> = serde_json::from_value(run["rows"].clone()).unwrap();
    let chain: Chain = serde_json::from_value(run["chain"].clone()).unwrap();
    let text = fs::read_to_string(workspace.run("depth", &names[7]).metrics()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let step = |row: usize| lines[row].split(',').next().unwrap().parse::<u64>().unwrap();
    for row in [1, 2, 495, 999, 1000] {
        // Another loss, which is the fifth cell.
        let mut cells: Vec<&str> = lines[row].split(',').collect();
        cells[4] = "0.12345";
        let changed = cells.join(",");
        let mut here: Vec<&str> = lines.clone();
        here[row] = &changed;
        let path = folder.path().join("changed.csv");
        fs::write(&path, here.join("\n") + "\n").unwrap();
        let found = first_difference(&marks, Some(&chain), &Metrics::read(&path).unwrap()).1.unwrap();
        let after = if row == 1 { 0 } else { step(row - 1) };
        assert_eq!((found.after, found.step, found.between), (after, step(row), 0));
    }
}
