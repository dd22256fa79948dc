//! Commands typed in a folder below a workspace.

use std::fs;

use crate::workspace::Workspace;

#[test]
fn a_verb_typed_below_a_workspace_works_in_it_and_says_so() {
    let workspace = Workspace::new().experiment("x", 4, &[1], "");
    let root = workspace.path("").canonicalize().unwrap();
    let named = format!("workspace: {}\n", root.display());
    // The file is named from where the person is.
    workspace.typed_in("experiments", &["run", "--plain", "--no-report", "x.toml"]).code(0).says(&named);
    assert_eq!(workspace.words("x"), ["finished"]);
    let inner = workspace.runs("x")[0].path().to_owned();
    let inner = inner.strip_prefix(workspace.path("")).unwrap().to_str().unwrap().to_owned();
    let status = workspace.typed_in(&inner, &["status"]).code(0).says(&named);
    assert!(status.stdout.contains("1 finished"), "{}", status.stdout);
    for folder in ["experiments", &inner] {
        for made in ["runs", "batches", "reports"] {
            assert!(!workspace.path(folder).join(made).exists(), "{folder}/{made}");
        }
    }
    let here = workspace.typed_in(".", &["status"]).code(0);
    assert_eq!(here.stderr, "", "nothing is said where the person stands in it");
    let named_here = workspace.typed_in("experiments", &["-C", ".", "status"]).code(0);
    assert!(named_here.stdout.contains("no runs yet"), "{}", named_here.stdout);
}

#[test]
fn a_runner_in_the_background_started_below_a_workspace_works_in_it() {
    let workspace = Workspace::new().experiment("x", 4, &[1], "");
    let arguments = ["run", "--plain", "--no-report", "--detach", "x.toml"];
    let started = workspace.typed_in("experiments", &arguments).code(0).says("workspace: ");
    assert_eq!(started.stderr.matches("workspace: ").count(), 1, "{}", started.stderr);
    crate::workspace::wait_until("the run is finished", || workspace.words("x") == ["finished"]);
    crate::workspace::wait_until("the batch is over", || workspace.batch_record().end.is_some());
}

#[test]
fn a_new_workspace_is_made_where_the_person_is() {
    let workspace = Workspace::new().experiment("x", 4, &[1], "");
    fs::create_dir(workspace.path("inner")).unwrap();
    workspace.typed_in("inner", &["init"]).code(0);
    assert!(workspace.path("inner/overnight.toml").is_file());
    assert!(!workspace.path("overnight.toml").exists());
}

#[test]
fn a_wrong_overnight_toml_above_is_named_with_its_folder() {
    let workspace = Workspace::new().experiment("x", 4, &[1], "").file("overnight.toml", "[runer]\n");
    let root = workspace.path("overnight.toml").canonicalize().unwrap();
    let complaint = format!("{}:1:2: ", root.display());
    workspace.typed_in("experiments", &["run", "x.toml"]).code(78).says(&complaint);
}
