//! What the pages say in the morning and while the night goes on, of runs that the fake worker did.

use std::fs;

use crate::workspace::{Workspace, step, wait_until};

const X: &str = "experiments/x.toml";

fn built(workspace: &Workspace, page: &str) -> String {
    workspace.overnight(&["report"]).code(0);
    fs::read_to_string(workspace.path("reports").join(page)).unwrap()
}

fn appended(workspace: Workspace, more: &str) -> Workspace {
    let text = fs::read_to_string(workspace.path(X)).unwrap() + more;
    workspace.file(X, &text)
}

#[test]
fn the_headline_counts_the_runs_that_missed_a_budget() {
    let workspace = Workspace::new().experiment("x", 4, &[1, 2], "");
    // The fake worker's loss after step n is the seed plus 1/n.
    let workspace = appended(workspace, "[[budgets]]\nrequire = \"train/loss < 2\"\n");
    workspace.run(&[X]).code(100);
    let index = built(&workspace, "index.html");
    assert!(index.contains("<h1>2 runs finished. One missed its budget.</h1>"), "{index}");
}

#[test]
fn the_first_page_says_when_the_batch_ends_and_a_running_attempt_has_no_outcome() {
    let workspace = Workspace::new().experiment("x", 4, &[1], "").experiment("y", 4, &[1], "hold@2");
    workspace.run(&[X]).code(0);
    let runner = workspace.start(&["experiments/y.toml"]);
    wait_until("the run holds", || workspace.runs("y").iter().any(|run| step(run) == 2));
    wait_until("its end is estimated", || {
        workspace.batch().queue_json().is_file() && workspace.queue_state().end.is_some()
    });
    let index = built(&workspace, "index.html");
    assert!(index.contains("batch ends about"), "{index}");
    let page = built(&workspace, &format!("runs/y/{}/index.html", workspace.seed("y", 1).name()));
    assert!(page.contains("<td class=\"wrap\">at work</td>"), "{page}");
    workspace.overnight(&["pause", "y"]).code(0);
    runner.wait();
    assert!(!built(&workspace, "index.html").contains("batch ends about"));
}

#[test]
fn a_tag_is_told_from_the_name_of_the_experiment() {
    let workspace = Workspace::new().experiment("x", 4, &[1], "");
    let text = fs::read_to_string(workspace.path(X)).unwrap();
    let workspace = workspace.file(X, &format!("tags = [\"x\", \"baseline\"]\n{text}"));
    workspace.overnight(&["queue", X]).code(0);
    for page in [
        "experiments/x/index.html".to_owned(),
        format!("runs/x/{}/index.html", workspace.seed("x", 1).name()),
    ] {
        let html = built(&workspace, &page);
        assert!(html.contains("tags: x, baseline"), "{page}: {html}");
    }
}

#[test]
fn status_and_pages_have_one_wording_for_why_a_run_stands_where_it_stands() {
    let workspace = Workspace::new().experiment("x", 4, &[1], "fail@3").experiment("y", 4, &[1], "");
    workspace.run(&[X]).code(100);
    workspace.overnight(&["queue", "experiments/y.toml"]).code(0);
    let status = workspace.overnight(&["status", "--json"]).code(0).stdout;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    workspace.overnight(&["report"]).code(0);
    for (index, experiment) in ["x", "y"].into_iter().enumerate() {
        let note = status["runs"][index]["note"].as_str().unwrap();
        let page = format!("reports/runs/{experiment}/{}/index.json", workspace.seed(experiment, 1).name());
        let page = fs::read_to_string(workspace.path(&page)).unwrap();
        let page: serde_json::Value = serde_json::from_str(&page).unwrap();
        assert_eq!(page["state"]["detail"], note);
        assert!(!note.is_empty());
    }
}
