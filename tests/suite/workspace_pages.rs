//! The pages about the whole workspace, of a pipeline of two stages.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use overnight::report::build;
use serde_json::Value;

use crate::workspace::Workspace;

const TUNE: &str = "[data]\nkind = \"shapes\"\ncount = 100\n[model]\nkind = \"mlp\"\n[train]\nsteps = 2\n\
                    [weights]\nfrom = \"pre\"\n";
const PAGES: [&str; 3] = ["models", "system", "pipelines"];

fn two_stages() -> Workspace {
    let workspace = Workspace::new().experiment("pre", 4, &[2, 1], "").file("experiments/tune.toml", TUNE);
    workspace.run(&["experiments/pre.toml", "experiments/tune.toml"]).code(0);
    workspace
}

fn twin(workspace: &Workspace, page: &str) -> Value {
    serde_json::from_str(&text(workspace, &format!("{page}.json"))).unwrap()
}

fn text(workspace: &Workspace, below: &str) -> String {
    fs::read_to_string(workspace.path("reports").join(below)).unwrap()
}

fn written(path: &Path) -> SystemTime {
    fs::metadata(path).unwrap().modified().unwrap()
}

#[test]
fn a_pipeline_of_two_stages_stands_on_all_three_pages() {
    let workspace = two_stages();
    workspace.overnight(&["report"]).code(0);
    let models = twin(&workspace, "models");
    let listed = models["models"].as_array().unwrap();
    let best = listed.iter().find(|model| model["full_name"].as_str().unwrap().starts_with("tune/")).unwrap();
    let file = best["file"].as_str().unwrap();
    assert!(workspace.path(file).is_file(), "{file}");
    let bytes = fs::metadata(workspace.path(file)).unwrap().len();
    assert_eq!(best["bytes"].as_u64(), Some(bytes));
    let marks = best["marks"].as_array().unwrap();
    assert!(marks.contains(&"leads".into()) && marks.contains(&"best".into()), "{marks:?}");
    // What the card says can be typed: the run is found by its name.
    let commands = best["commands"].as_array().unwrap();
    let clean = commands.iter().find(|command| command["purpose"] == "delete the run").unwrap();
    let words: Vec<&str> = clean["text"].as_str().unwrap().split(' ').skip(1).collect();
    let dry: Vec<&str> = words.iter().copied().filter(|word| *word != "--yes").collect();
    assert!(workspace.overnight(&dry).code(0).stdout.contains("tune"));

    let pipelines = twin(&workspace, "pipelines");
    let stage = &pipelines["stages"][0];
    let first = &stage["takes"][0];
    assert_eq!((first["what"].as_str(), first["stand"].as_str()), (Some("weights"), Some("ready")));
    assert!(
        first["from"].as_str().unwrap().starts_with("pre/s1"),
        "the fake worker's loss grows with the seed"
    );
    let page = text(&workspace, "pipelines.html");
    assert!(page.contains("<svg class=\"graph\"") && pipelines.get("svg").is_none());
    assert_eq!(text(&workspace, "assets/pages.css"), "", "the navigation has its entry");

    let system = twin(&workspace, "system");
    assert_eq!(system["headline"], "The machine worked without a GPU.");
    assert_eq!(system["run_rows"].as_array().unwrap().len(), 3);
    let held: Vec<&str> = system["disk"]["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["experiment"].as_str().unwrap())
        .collect();
    assert!(held.contains(&"pre") && held.contains(&"tune"));
    assert!(text(&workspace, "system.html").contains("svg class=\"chart night"));
}

#[test]
fn a_build_without_news_touches_none_of_them() {
    let workspace = two_stages();
    workspace.overnight(&["report"]).code(0);
    let paths: Vec<_> = PAGES.iter().map(|page| workspace.path(&format!("reports/{page}.html"))).collect();
    let before: Vec<SystemTime> = paths.iter().map(|path| written(path)).collect();
    assert_eq!(build(&workspace.path("")).unwrap().written, [""; 0]);
    assert_eq!(paths.iter().map(|path| written(path)).collect::<Vec<_>>(), before);
    // A page that somebody removed comes back alone.
    fs::remove_file(&paths[0]).unwrap();
    let built = build(&workspace.path("")).unwrap();
    // The twin names the time of the build as well.
    assert!(built.written.contains(&"models.html".to_owned()), "{:?}", built.written);
    assert!(built.written.iter().all(|path| path.starts_with("models.")), "{:?}", built.written);
}

#[test]
fn without_runs_each_page_says_what_to_do_and_pipelines_are_not_in_the_navigation() {
    let workspace = Workspace::new();
    workspace.overnight(&["report"]).code(0);
    for page in PAGES {
        let page = text(&workspace, &format!("{page}.html"));
        assert!(page.contains("<code>"), "{page}");
    }
    assert!(text(&workspace, "assets/pages.css").contains("display: none"));
    assert_eq!(twin(&workspace, "system")["headline"], "Nothing has run here yet.");
}

#[test]
fn damaged_telemetry_and_settings_are_told_and_break_no_page() {
    let workspace = two_stages().file("overnight.toml", "[retention]\nbest = \"many\"\n");
    fs::write(workspace.batch().telemetry(), b"time,gpu0_xid_code\nnonsense\n1,2,3\n\xff\xfe,\n5,79\n")
        .unwrap();
    workspace.overnight(&["report"]).code(0);
    let system = twin(&workspace, "system");
    assert_eq!(system["headline"], "1 GPU, 1 error.");
    assert!(system["disk"]["problem"].as_str().unwrap().contains("overnight.toml is wrong"));
}
