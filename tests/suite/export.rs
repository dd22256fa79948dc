//! `overnight export`: one file, with everything in it but what is private.

use std::fs;

use crate::workspace::Workspace;

const X: &str = "experiments/x.toml";

fn exported(workspace: &Workspace, more: &[&str]) -> String {
    let arguments = [&["export", "x", "-o", "sent.html"], more].concat();
    workspace.overnight(&arguments).code(0);
    fs::read_to_string(workspace.path("sent.html")).unwrap()
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
    let (_, facts) = html.split_once("id=\"facts\">").unwrap();
    let facts: serde_json::Value = serde_json::from_str(facts.split_once("</script>").unwrap().0).unwrap();
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
