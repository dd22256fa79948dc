//! The report as a reader gets it: built from run directories alone.

#[path = "../../benches/made_up.rs"]
mod made_up;

use std::fs;
use std::path::Path;

use made_up::{Ending, MadeUp};
use overnight::experiment::settings::Task;
use overnight::report::{Report, Scope, build};
use overnight::run_dir::{Workspace, lock};

fn workspace(runs: u32, rows: u32, end: Ending) -> (tempfile::TempDir, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let made_up = MadeUp { experiment: "depth", task: Task::LanguageModel, runs, rows, end };
    let names = made_up::experiment(folder.path(), &made_up).unwrap();
    let planned: Vec<(&str, String)> = names.iter().map(|name| ("depth", name.clone())).collect();
    made_up::batch(folder.path(), "20261119T211000-ada-01-0001", &planned, Some(made_up::EVENING + 9e3))
        .unwrap();
    (folder, names)
}

fn page(folder: &Path, below: &str) -> String {
    fs::read_to_string(folder.join("reports").join(below)).unwrap_or_else(|error| panic!("{below}: {error}"))
}

#[test]
fn every_run_and_experiment_has_a_page_and_a_twin() {
    let (folder, names) = workspace(5, 60, Ending::Mixed);
    let built = build(folder.path()).unwrap();
    assert_eq!((built.runs, built.changed_runs), (5, 5));
    for below in ["index", "experiments/index", "runs/index", "experiments/depth/index"] {
        assert!(page(folder.path(), &format!("{below}.html")).ends_with("</html>"));
        let twin: serde_json::Value =
            serde_json::from_str(&page(folder.path(), &format!("{below}.json"))).unwrap();
        assert!(twin["frame"]["title"].is_string());
    }
    for name in names {
        assert!(page(folder.path(), &format!("runs/depth/{name}/index.html")).contains("train.optimizer.lr"));
    }
}

/// For looking at pages: `OVERNIGHT_SHOW=/tmp/somewhere cargo test show_pages -- --ignored`.
#[test]
#[ignore = "makes pages to look at"]
fn show_pages() {
    let root = std::path::PathBuf::from(std::env::var("OVERNIGHT_SHOW").unwrap());
    let mut all = Vec::new();
    for (experiment, task, runs, rows) in
        [("shakespeare", Task::LanguageModel, 12, 500), ("shapes", Task::ImageClassification, 4, 300)]
    {
        let made_up = MadeUp { experiment, task, runs, rows, end: Ending::Mixed };
        let names = made_up::experiment(&root, &made_up).unwrap();
        all.extend(names.into_iter().map(|name| (experiment, name)));
    }
    made_up::batch(&root, "20261119T211000-ada-01-0001", &all, Some(made_up::EVENING + 9e3)).unwrap();
    build(&root).unwrap();
}
