//! `overnight.toml` as a person meets it.

use crate::workspace::Workspace;

const X: &str = "experiments/x.toml";

#[test]
fn a_wrong_overnight_toml_is_refused_with_its_place_before_anything_begins() {
    let workspace = Workspace::new()
        .experiment("x", 2, &[1], "")
        .file("overnight.toml", "[runner]\nslots = 1\n\n[retention]\naply = true\n");
    let verbs: [&[&str]; 7] = [
        &["check", X],
        &["queue", X],
        &["run", "--plain", X],
        &["run", "--plain"],
        &["clean"],
        &["serve"],
        &["plan", X],
    ];
    for verb in verbs {
        let output = workspace.spawn(verb).wait();
        output
            .code(78)
            .says("overnight.toml:5:1: [retention] has no setting `aply`")
            .says("did you mean `apply`?");
    }
    assert_eq!((workspace.runs("x").len(), workspace.batches()), (0, 0));
    // The one who is asked what is wrong tells it among the rest.
    let doctor = workspace.overnight(&["doctor"]).code(1).stdout;
    let finding = "PROBLEM  settings    overnight.toml:5:1: [retention] has no setting `aply`\n";
    assert!(doctor.contains(finding) && doctor.contains("did you mean `apply`?\n"), "{doctor}");
    assert!(doctor.contains("  memory  "), "{doctor}");
    let json = workspace.spawn(&["check", "--json", X]).wait().code(78).stdout;
    let problems: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&problems["problems"][0]["file"], &problems["problems"][0]["line"]),
        (&"overnight.toml".into(), &5.into())
    );
}

#[test]
fn what_overnight_toml_says_of_the_runner_holds_unless_the_command_line_says_otherwise() {
    let workspace = Workspace::new()
        .experiment("x", 2, &[1, 2], "fail@1")
        .file("overnight.toml", "[runner]\nslots = 2\nbreaker = 1\nreport = false\n");
    workspace.spawn(&["run", "--plain", X]).wait().code(100);
    assert_eq!(workspace.batch_record().slots, 2);
    assert!(!workspace.path("reports/index.html").exists(), "the file leaves the report out");
    workspace.run(&["--slots", "1", "--breaker", "0", "--retry-failed"]).code(100);
    let batch = workspace.batch_record();
    assert_eq!((batch.slots, workspace.queue_state().breaker), (1, None));
}

#[test]
fn the_schema_of_overnight_toml_is_printed_beside_that_of_experiments() {
    let workspace = Workspace::new();
    let schema = |arguments: &[&str]| -> serde_json::Value {
        serde_json::from_str(&workspace.spawn(arguments).wait().code(0).stdout).unwrap()
    };
    assert_eq!(schema(&["schema", "workspace"])["title"], "overnight workspace");
    assert_eq!(schema(&["schema", "experiment"]), schema(&["schema"]));
}

#[test]
fn init_writes_an_overnight_toml_that_changes_nothing() {
    let workspace = Workspace::new();
    workspace.spawn(&["init"]).wait().code(0);
    let text = std::fs::read_to_string(workspace.path("overnight.toml")).unwrap();
    assert!(
        text.contains("# [runner]\n") && text.lines().all(|line| line.is_empty() || line.starts_with('#'))
    );
    workspace.spawn(&["check", "experiments/shapes.toml"]).wait().code(0);
}
