//! How the pages look, as `overnight.toml` or `--theme` says.

use std::fs;

use crate::workspace::Workspace;

const X: &str = "experiments/x.toml";
/// A color of the theme for papers.
const PAPER: &str = "--accent: #7a1f2b";

fn trained(settings: &str) -> Workspace {
    let workspace = Workspace::new().experiment("x", 4, &[1], "").file("overnight.toml", settings);
    workspace.run(&[X]).code(0);
    workspace
}

#[test]
fn a_theme_that_is_named_is_used_on_every_page_and_in_what_is_sent() {
    let workspace = trained("[report]\ntheme = \"paper\"\n");
    workspace.overnight(&["report"]).code(0);
    let style = fs::read_to_string(workspace.path("reports/assets/style.css")).unwrap();
    assert!(style.contains(PAPER) && style.contains("--room"), "after the common style: {style}");
    let page = fs::read_to_string(workspace.path("reports/index.html")).unwrap();
    assert!(page.contains("<img class=\"logo\" src=\"assets/logo.svg\" alt=\"\">"), "{page}");
    assert!(workspace.path("reports/assets/logo.svg").exists());
    workspace.overnight(&["export", "x", "-o", "sent.html"]).code(0);
    assert!(fs::read_to_string(workspace.path("sent.html")).unwrap().contains(PAPER));
    workspace.overnight(&["export", "x", "--theme", "contrast", "-o", "sent.html"]).code(0);
    let sent = fs::read_to_string(workspace.path("sent.html")).unwrap();
    assert!(sent.contains("--stroke: 2.2") && !sent.contains(PAPER), "{sent}");
}

#[test]
fn a_broken_theme_is_told_where_people_look_and_the_pages_are_made_without() {
    let workspace =
        trained("[report]\ntheme = \"ours\"\n").file("themes/ours/theme.css", ":root { --ink: red ");
    let said = workspace.overnight(&["report"]).code(0);
    let warning = "the theme \"ours\" is left out: ";
    assert!(
        said.stderr.contains(warning) && said.stderr.contains("a brace is not closed"),
        "{}",
        said.stderr
    );
    let page = || fs::read_to_string(workspace.path("reports/index.html")).unwrap();
    assert!(page().contains("is left out: "), "{}", page());
    let style = fs::read_to_string(workspace.path("reports/assets/style.css")).unwrap();
    assert!(!style.contains("--ink: red"), "{style}");
    let said = workspace.overnight(&["export", "x", "--theme", "nowhere", "-o", "sent.html"]).code(0);
    assert!(said.stderr.contains("the theme \"nowhere\" is left out: "), "{}", said.stderr);

    fs::write(workspace.path("themes/ours/theme.css"), ":root { --ink: red }").unwrap();
    let said = workspace.overnight(&["report"]).code(0);
    assert!(!said.stderr.contains("left out"), "{}", said.stderr);
    assert!(!page().contains("is left out"), "{}", page());
}

#[test]
fn a_logo_that_would_run_read_or_fill_is_told_and_the_pages_keep_ours() {
    let workspace = trained("[report]\ntheme = \"ours\"\n").file("themes/ours/theme.css", "");
    let svg = |inside: &str| format!("<svg xmlns=\"http://www.w3.org/2000/svg\">{inside}</svg>");
    let logo = workspace.path("themes/ours/logo.svg");
    let entity =
        format!("<!DOCTYPE svg [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>{}", svg("<text>&x;</text>"));
    for (text, said) in [
        (svg("<script>window.ran = 1</script>"), "<script> is no part of a picture"),
        (svg("<path onload=\"window.ran = 1\"/>"), "onload would run something"),
        (svg("<image href=\"http://127.0.0.1:9/a.png\"/>"), "would ask for something from elsewhere"),
        (entity, "it defines entities"),
        (svg(&" ".repeat(50 << 20)), "is larger than 512 KiB"),
    ] {
        fs::write(&logo, text).unwrap();
        let report = workspace.overnight(&["report"]).code(0);
        let warning = "the theme \"ours\" is left out: ";
        assert!(report.stderr.contains(warning) && report.stderr.contains(said), "{said}: {}", report.stderr);
        let ours = fs::read_to_string(workspace.path("reports/assets/logo.svg")).unwrap();
        assert_eq!(ours, include_str!("../../themes/default/logo.svg"), "{said}");
        let sent = workspace.overnight(&["export", "x", "-o", "sent.html"]).code(0);
        assert!(sent.stderr.contains(said), "{}", sent.stderr);
    }
    fs::write(&logo, svg("<path d=\"M0 0\"/>")).unwrap();
    assert!(!workspace.overnight(&["report"]).code(0).stderr.contains("left out"));
    assert_eq!(
        fs::read_to_string(workspace.path("reports/assets/logo.svg")).unwrap(),
        svg("<path d=\"M0 0\"/>")
    );
}

#[test]
fn a_name_that_cannot_be_a_theme_is_refused_with_its_line() {
    let workspace = Workspace::new().experiment("x", 4, &[1], "");
    let workspace = workspace.file("overnight.toml", "[report]\ntheme = \"../x\"\n");
    let said = workspace.overnight(&["check", X]).code(78);
    assert!(said.stderr.contains("overnight.toml:2:"), "{}", said.stderr);
    assert!(said.stderr.contains("\"../x\" is no name of a theme"), "{}", said.stderr);
}
