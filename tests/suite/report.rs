//! The report as a reader gets it: built from run directories alone.

#[path = "../../benches/made_up.rs"]
pub mod made_up;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use made_up::{Ending, MadeUp};
use overnight::experiment::settings::Task;
use overnight::report::{Report, ReportError, Scope, build};
use overnight::run_dir::{RunDir, Workspace, lock};

/// A workspace with one experiment, and the pages built from it.
struct Place {
    folder: tempfile::TempDir,
    names: Vec<String>,
}

impl Place {
    fn new(task: Task, runs: u32, rows: u32, end: Ending) -> Place {
        let folder = tempfile::tempdir().unwrap();
        let made_up = MadeUp { experiment: "depth", task, runs, rows, end };
        let names = made_up::experiment(folder.path(), &made_up).unwrap();
        let planned: Vec<(&str, String)> = names.iter().map(|name| ("depth", name.clone())).collect();
        let end = Some(made_up::EVENING + 9e3);
        made_up::batch(folder.path(), "20261119T211000-ada-01-0001", &planned, end).unwrap();
        Place { folder, names }
    }

    fn small() -> Place {
        Place::new(Task::LanguageModel, 4, 60, Ending::AllFinished)
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn run(&self, number: usize) -> RunDir {
        Workspace::new(self.path()).run("depth", &self.names[number])
    }

    fn build(&self) -> overnight::report::Built {
        build(self.path()).unwrap()
    }

    fn page(&self, below: &str) -> String {
        let path = self.path().join("reports").join(below);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{below}: {error}"))
    }

    fn run_page(&self, number: usize) -> String {
        self.page(&format!("runs/depth/{}/index.html", self.names[number]))
    }

    /// Makes a finished run one that a worker is busy with, as long as the lock is kept.
    fn revive(&self, number: usize) -> fs::File {
        made_up::revive(&self.run(number)).unwrap()
    }

    fn add_row(&self, number: usize, row: &str) {
        let mut metrics = OpenOptions::new().append(true).open(self.run(number).metrics()).unwrap();
        metrics.write_all(row.as_bytes()).unwrap();
    }
}

const ROW: &str = "610,1.22,1,1210,1.234,,,,1e-4,0.5,412000\n";

#[test]
fn every_run_and_experiment_has_a_page_and_a_twin() {
    let place = Place::new(Task::LanguageModel, 5, 60, Ending::Mixed);
    let built = place.build();
    assert_eq!((built.runs, built.changed_runs), (5, 5));
    let run = format!("runs/depth/{}/index", place.names[0]);
    for below in ["index", "experiments/index", "runs/index", "experiments/depth/index", &run] {
        assert!(place.page(&format!("{below}.html")).ends_with("</html>"));
        let twin = place.page(&format!("{below}.json"));
        let parsed: serde_json::Value = serde_json::from_str(&twin).unwrap();
        assert!(parsed["frame"]["title"].is_string() && !twin.contains("<svg"));
    }
    assert!(place.page("assets/style.css").contains("--paper"));
}

#[test]
fn a_run_page_shows_what_a_person_asks_for() {
    let place = Place::small();
    place.build();
    let page = place.run_page(0);
    for expected in [
        "✓",
        "finished",
        "val/loss, best",
        "Learning rate",
        "Gradient norm",
        "Tokens per second",
        "before clipping at 1",
        "cosine, warm-up 12",
        "ROMEO:",
        "train.batch_size",
        ">32</td>",
        "line 12",
        "NVIDIA H100",
        "2.11.0+cu130",
        "metrics.csv",
        "GPU power",
        "step-00000600",
        "0123456789abcdef",
    ] {
        // The sign of a state is drawn by the style, so that it is not read aloud twice.
        if expected != "✓" {
            assert!(page.contains(expected), "{expected} is missing");
        }
    }
    let copy = format!("runs/depth/{}/metrics.csv", place.names[0]);
    assert_eq!(place.page(&copy), fs::read_to_string(place.run(0).metrics()).unwrap());
}

#[test]
fn an_image_run_shows_its_classes_and_their_confusion() {
    let place = Place::new(Task::ImageClassification, 1, 60, Ending::AllFinished);
    place.build();
    let page = place.run_page(0);
    for expected in
        ["Accuracy", "Images per second", "Confusion", "Most frequent mistakes:", "6 of 8 right", "is cross"]
    {
        assert!(page.contains(expected), "{expected} is missing");
    }
}

#[test]
fn an_experiment_names_its_best_run_with_value_and_step() {
    let place = Place::small();
    place.build();
    let page = place.page("experiments/depth/index.html");
    let twin: serde_json::Value = serde_json::from_str(&place.page("experiments/depth/index.json")).unwrap();
    let best = twin["rows"][0]["name"].as_str().unwrap();
    let headline = twin["headline"].as_str().unwrap();
    assert!(headline.starts_with(&format!("{best} is best: validation loss 1.")), "{headline}");
    assert!(headline.contains(" at step ") && page.contains(headline));
    assert_eq!(
        page.matches(r#"class="line c"#).count(),
        4 * 4,
        "three charts of four runs, and one of their settings"
    );
    assert!(page.contains(r#"class="sortable""#) && page.contains(r#"data-sort="0.0003""#));
}

#[test]
fn runs_that_are_equal_are_told_together() {
    let place = Place::new(Task::LanguageModel, 3, 60, Ending::AllFinished);
    place.build();
    let best = |page: &str| -> String {
        let twin: serde_json::Value = serde_json::from_str(&place.page(page)).unwrap();
        twin["headline"].as_str().unwrap().to_owned()
    };
    let alone = best("experiments/depth/index.json");
    // Labels are names without their hash.
    let label = alone.split(" is best").next().unwrap();
    let first = place.names.iter().position(|name| name.starts_with(label));
    let first = first.unwrap_or_else(|| panic!("{alone}"));
    let second = (first + 1) % 3;
    for file in ["metrics.csv", "result.json"] {
        fs::copy(place.run(first).path().join(file), place.run(second).path().join(file)).unwrap();
    }
    place.build();
    let together = best("experiments/depth/index.json");
    assert!(
        together.contains(" and ") && together.contains(" are best, equal: validation loss"),
        "{together}"
    );
}

#[test]
fn the_first_page_says_what_needs_somebody() {
    let place = Place::new(Task::LanguageModel, 5, 60, Ending::Mixed);
    place.build();
    let page = place.page("index.html");
    assert!(page.contains("<h1>2 runs finished. One needs you.</h1>"));
    assert!(page.contains("the loss was not finite at step 300"));
    assert!(page.contains("goes on from its last checkpoint (overnight run)"));
    assert!(page.contains(">queued (overnight run works the queue)<"));
    assert!(page.contains("The night") && page.contains(r#"class="bar bad""#));
}

#[test]
fn a_batch_between_two_runs_is_said_without_a_zero() {
    let place = Place::new(Task::LanguageModel, 5, 60, Ending::Mixed);
    let names: Vec<(&str, String)> = place.names.iter().map(|name| ("depth", name.clone())).collect();
    made_up::batch(place.path(), "20261119T211000-ada-01-0001", &names, None).unwrap();
    let _runner = lock::try_lock(&Workspace::new(place.path()).runner_lock()).unwrap().unwrap();
    place.build();
    assert!(
        place.page("index.html").contains("<h1>2 of 5 runs done, none is running now. One needs you.</h1>")
    );
    let whole = place.page("experiments/depth/index.html");
    let _alive = place.revive(1);
    place.build();
    let page = place.page("experiments/depth/index.html");
    assert!(page.contains(" leads so far: validation loss "), "{whole}\n{page}");
    assert!(page.contains("At step ") && page.contains(", where both have been, "), "{page}");
    assert!(place.page("index.html").contains("<h1>1 of 5 runs done, 1 is running. One needs you.</h1>"));
}

#[test]
fn a_workspace_without_runs_has_a_page_that_says_how_to_begin() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(build(folder.path()).unwrap().runs, 0);
    let page = fs::read_to_string(folder.path().join("reports/index.html")).unwrap();
    assert!(page.contains("No runs yet.") && page.contains("overnight init"));
}

#[test]
fn only_what_changed_is_rendered() {
    let place = Place::small();
    place.build();
    let again = place.build();
    assert_eq!((again.changed_runs, again.written), (0, vec![]));

    let mut report = Report::open(place.path());
    let _alive = place.revive(1);
    report.refresh(&Scope::All).unwrap();
    place.add_row(1, ROW);
    let built = report.refresh(&Scope::Runs(vec![place.run(1)])).unwrap();
    assert_eq!(built.changed_runs, 1);
    let changed: Vec<&String> = built.written.iter().filter(|path| path.starts_with("runs/depth/")).collect();
    assert!(
        !changed.is_empty() && changed.iter().all(|path| path.contains(&place.names[1])),
        "{:?}",
        built.written
    );
    assert!(built.written.contains(&"index.html".to_owned()));
    assert!(built.written.contains(&"experiments/depth/index.html".to_owned()));
}

#[test]
fn a_live_run_shows_its_new_row_and_reloads_without_scripts() {
    let place = Place::small();
    let mut report = Report::open(place.path());
    let _alive = place.revive(0);
    report.refresh(&Scope::All).unwrap();
    assert!(!place.run_page(0).contains("1.234"));
    place.add_row(0, ROW);
    report.refresh(&Scope::Runs(vec![place.run(0)])).unwrap();
    let page = place.run_page(0);
    assert!(page.contains("the last one is 1.234"), "the chart's description ends at the new row");
    assert!(page.contains(r#"<noscript><meta http-equiv="refresh""#));
    assert!(!place.run_page(1).contains("<noscript>"), "a finished run's page stays");
}

#[test]
fn a_torn_row_waits_for_its_end() {
    let place = Place::small();
    let mut report = Report::open(place.path());
    let _alive = place.revive(0);
    place.add_row(0, &ROW[..25]);
    report.refresh(&Scope::All).unwrap();
    let copy = format!("runs/depth/{}/metrics.csv", place.names[0]);
    assert!(place.page(&copy).ends_with('\n') && !place.page(&copy).contains("610,1.22"));
    assert!(!place.run_page(0).contains("Not everything could be read"));
    place.add_row(0, &ROW[25..]);
    report.refresh(&Scope::All).unwrap();
    assert!(place.page(&copy).ends_with(ROW));
}

#[test]
fn values_that_are_not_finite_leave_a_marked_gap() {
    let place = Place::small();
    place.add_row(0, "610,1.22,1,1210,nan,inf,,,1e-4,0.5,412000\n620,1.22,1,1210,1.2,,,,1e-4,0.5,412000\n");
    place.build();
    let page = place.run_page(0);
    assert!(
        page.contains(r#"class="gap c0""#)
            && page.contains("Training loss was not finite in 1 row, first at step 610 (nan).")
    );
    assert!(page.contains("Validation loss is inf from step 610 on."));
    assert!(!page.contains("NaN"));
}

#[test]
fn bad_lines_and_files_are_named_on_the_page() {
    let place = Place::small();
    place.add_row(0, "what is this\n");
    fs::write(place.run(0).model_json(), "{\"kind\": ").unwrap();
    place.build();
    let page = place.run_page(0);
    assert!(page.contains("Not everything could be read"));
    assert!(
        page.contains("metrics.csv:62: 1 cells where the header has 11")
            && page.contains("model.json: line 1")
    );
}

#[test]
fn runs_that_cannot_be_read_are_shown_with_the_reason() {
    let place = Place::small();
    let runs = place.path().join("runs/depth");
    fs::create_dir(runs.join("empty")).unwrap();
    fs::create_dir(runs.join("newer")).unwrap();
    fs::write(runs.join("newer/run.json"), r#"{"protocol": 99}"#).unwrap();
    place.build();
    assert!(place.page("runs/depth/empty/index.html").contains("unreadable"));
    assert!(place.page("runs/depth/newer/index.html").contains("has protocol 99"));
    assert!(place.page("index.html").contains("4 runs finished. Two from before need you."));
}

#[test]
fn names_and_model_output_are_text_never_markup() {
    let place = Place::small();
    let odd = "<img src=x onerror=alert(1)>";
    fs::create_dir_all(place.path().join("runs").join("a&b").join(odd)).unwrap();
    let sample = fs::read_to_string(place.run(0).sample_json(600)).unwrap();
    fs::write(place.run(0).sample_json(600), sample.replace("What light", "</pre><script>alert(1)</script>"))
        .unwrap();
    place.build();
    let list = place.page("runs/index.html");
    assert!(!list.contains("<img src=x") && list.contains("&lt;img src=x onerror"));
    assert!(list.contains(r#"href="../runs/a%26b/%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E/index.html""#));
    assert!(place.page(&format!("runs/a&b/{odd}/index.html")).contains("&lt;img"));
    let page = place.run_page(0);
    assert!(!page.contains("<script>alert") && page.contains("&lt;/pre&gt;&lt;script&gt;"));
}

#[test]
fn pages_hold_no_inline_script_and_no_inline_style() {
    let place = Place::new(Task::ImageClassification, 4, 60, Ending::Mixed);
    place.build();
    let mut pages: Vec<String> =
        ["index.html", "experiments/index.html", "runs/index.html", "experiments/depth/index.html"]
            .iter()
            .map(|below| place.page(below))
            .collect();
    pages.extend((0..4).map(|number| place.run_page(number)));
    for page in pages {
        assert!(!page.contains("style=") && !page.contains("<style") && !page.contains(" onclick"));
        let (all, by_address) = (page.matches("<script").count(), page.matches("<script src=\"").count());
        assert!(all > 0 && all == by_address, "{all} scripts, {by_address} by their address");
    }
}

#[test]
fn an_experiment_may_bear_the_name_of_a_page() {
    let place = Place::small();
    fs::create_dir_all(place.path().join("runs/index.html/index.json")).unwrap();
    place.build();
    assert!(place.page("runs/index.html").contains("../runs/index.html~/index.json/index.html"));
    assert!(place.page("runs/index.html~/index.json/index.html").contains("unreadable"));
    assert!(place.page("experiments/index.html~/index.html").contains("index.html"));
}

#[test]
fn a_run_that_is_gone_leaves_the_report() {
    let place = Place::small();
    place.build();
    fs::remove_dir_all(place.run(2).path()).unwrap();
    assert_eq!(place.build().runs, 3);
    assert!(!place.path().join("reports/runs/depth").join(&place.names[2]).exists());
    assert!(!place.page("experiments/depth/index.html").contains(&place.names[2]));
    fs::remove_dir_all(place.path().join("runs/depth")).unwrap();
    place.build();
    assert!(!place.path().join("reports/experiments/depth").exists());
}

#[test]
fn a_workspace_replaces_templates_and_style() {
    let place = Place::small();
    place.build();
    fs::create_dir_all(place.path().join("templates")).unwrap();
    fs::create_dir_all(place.path().join("themes/default")).unwrap();
    fs::write(place.path().join("templates/run.html"), "<p>only {{ name }}</p>").unwrap();
    fs::write(place.path().join("themes/default/style.css"), "p { color: red }").unwrap();
    assert_eq!(place.build().changed_runs, 4);
    assert!(place.run_page(0).starts_with("<p>only lr1e-3"));
    assert_eq!(place.page("assets/style.css"), "p { color: red }");
}

#[test]
fn a_template_that_asks_for_what_is_not_there_is_named_and_leaves_the_pages() {
    let place = Place::small();
    place.build();
    fs::create_dir_all(place.path().join("templates")).unwrap();
    fs::write(place.path().join("templates/run.html"), "{{ no_such_thing }}").unwrap();
    let error = build(place.path()).unwrap_err();
    assert!(matches!(error, ReportError::Theme(_)));
    assert!(error.to_string().starts_with("run.html: "), "{error}");
    assert!(place.run_page(0).contains("Learning rate"));
}

#[test]
fn events_stand_on_every_chart_but_those_that_a_resume_overtook() {
    let place = Place::small();
    let event = |line: &str| {
        let mut events = OpenOptions::new().append(true).create(true).open(place.run(0).events()).unwrap();
        writeln!(events, "{line}").unwrap();
    };
    event(r#"{"time": 1, "attempt": 1, "step": 200, "event": "alert", "message": "the loss jumped"}"#);
    event(r#"{"time": 2, "attempt": 1, "step": 390, "event": "alert", "message": "this was overtaken"}"#);
    event(
        r#"{"time": 1, "attempt": 1, "step": 300, "event": "checkpointed", "bytes": 9, "seconds": 0.1, "history": "5a", "weights": "6b"}"#,
    );
    event(r#"{"time": 3, "attempt": 2, "step": 300, "event": "resumed", "checkpoint": 300}"#);
    let attempts = fs::read_to_string(place.run(0).attempts()).unwrap();
    let mut start: serde_json::Value = serde_json::from_str(attempts.lines().next().unwrap()).unwrap();
    (start["attempt"], start["checkpoint"]) = (2.into(), 300.into());
    fs::write(place.run(0).attempts(), format!("{attempts}{start}\n")).unwrap();
    place.build();
    let page = place.run_page(0);
    assert_eq!(page.matches(">resumed<").count(), 6, "each of the six curves has the word");
    assert!(
        page.contains("<td class=\"n\">step 200</td><td class=\"wrap\">the loss jumped</td>")
            && !page.contains("this was overtaken")
    );
    assert!(page.contains("resumed once"));
}

#[test]
fn where_experiments_meet_the_later_run_has_a_free_color_and_the_legend_says_so() {
    let place = Place::new(Task::LanguageModel, 2, 30, Ending::AllFinished);
    let other = MadeUp {
        experiment: "width",
        task: Task::LanguageModel,
        runs: 1,
        rows: 30,
        end: Ending::AllFinished,
    };
    let names = made_up::experiment(place.path(), &other).unwrap();
    let planned =
        vec![("depth", place.run(0).name()), ("depth", place.run(1).name()), ("width", names[0].clone())];
    made_up::batch(place.path(), "20261119T211000-ada-01-0001", &planned, Some(made_up::EVENING + 9e3))
        .unwrap();
    place.build();
    let index = place.page("index.html");
    let night = index.split(r#"id="night""#).nth(1).unwrap();
    let night = &night[..night.find("<section").unwrap()];
    // Numbers 0 and 1 are of the first experiment; the other's 0 gets the third color.
    for class in ["bar c1", "bar c2", "bar c3"] {
        assert!(night.contains(class), "{class}: {night}");
    }
    let said = night.split(" of width (another color here: its own stands for ").nth(1);
    assert!(said.is_some_and(|said| said.split_once(')').unwrap().0.ends_with(" of depth")), "{night}");
    assert!(night.contains(r#"class="swatch c3""#));
    // At home it keeps its own.
    let home = place.page("experiments/width/index.html");
    assert!(home.contains("line c1 lead") && !home.contains("another color here"));
}

#[test]
fn a_killed_run_names_its_signal() {
    let place = Place::small();
    fs::remove_file(place.run(0).result()).unwrap();
    let attempts = fs::read_to_string(place.run(0).attempts()).unwrap();
    let killed = attempts.replace(r#""code":0,"signal":null"#, r#""code":null,"signal":9"#);
    let killed = killed.replace(r#""checkpoint":600"#, r#""checkpoint":null"#);
    assert_ne!(killed, attempts);
    fs::write(place.run(0).attempts(), killed.repeat(4)).unwrap();
    place.build();
    assert!(place.run_page(0).contains("killed by SIGKILL"));
    assert!(place.page("index.html").contains("One needs you."));
}

/// For looking at pages: `OVERNIGHT_SHOW=FOLDER cargo test --test suite show_pages -- --ignored`.
#[test]
#[ignore = "makes pages to look at"]
fn show_pages() {
    let root = PathBuf::from(std::env::var("OVERNIGHT_SHOW").unwrap());
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

#[test]
fn each_run_leaves_a_script_for_pages_that_compare_it_until_it_is_gone() {
    let place = Place::new(Task::LanguageModel, 14, 60, Ending::Mixed);
    let longest = Workspace::new(place.path()).run("depth", &"x".repeat(255));
    fs::create_dir(longest.path()).unwrap();
    place.build();
    let script = |number: usize| format!("data/runs/depth/{}.js", place.names[number]);
    for (number, name) in place.names.iter().enumerate() {
        let text = place.page(&script(number));
        assert!(
            text.starts_with(&format!("(window.overnightData ||= {{}})[\"run:depth/{name}\"] = {{")),
            "{text}"
        );
        assert!(text.ends_with(";\n") && text.lines().count() == 1);
    }
    // Only the first setting has a second seed, and that one waits.
    assert_eq!(place.page("data/seeds/depth.js"), "(window.overnightData ||= {})[\"seeds:depth\"] = [];\n");
    fs::remove_dir_all(place.run(0).path()).unwrap();
    place.build();
    assert!(!place.path().join("reports").join(script(0)).exists());
    assert!(place.path().join("reports").join(script(1)).exists());
}
