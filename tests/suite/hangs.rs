//! A worker that gives no sign of life any more: its stack is saved, it is killed, and its run goes on.

use std::fs;

use overnight::run_dir::cause::Cause;
use serde_json::Value;

use crate::workspace::{Workspace, ends, starts};

const X: &str = "experiments/x.toml";

/// An experiment of six steps whose runs count as hung after twelve seconds: long enough for a step of the
/// fake worker on a machine that has a lot else to do.
fn workspace(notes: &str, retries: u32) -> Workspace {
    let workspace = Workspace::new().experiment("x", 6, &[1], notes);
    let text = fs::read_to_string(workspace.path(X)).unwrap();
    workspace.file(X, &format!("{text}[queue]\nhang_minutes = 0.2\nretries = {retries}\n"))
}

fn page(workspace: &Workspace) -> String {
    workspace.overnight(&["report"]).code(0);
    let name = workspace.seed("x", 1).name();
    fs::read_to_string(workspace.path(&format!("reports/runs/x/{name}/index.html"))).unwrap()
}

#[test]
fn a_run_that_hangs_is_killed_with_its_stack_saved_and_goes_on_from_its_checkpoint() {
    let workspace = workspace("hang@3", 3);
    workspace.run(&[X]).code(0).says("hung: no sign of life for");
    assert_eq!(workspace.words("x"), ["finished"]);
    let run = workspace.seed("x", 1);
    let end = &ends(&run)[0];
    assert_eq!((end.signal, &end.cause), (Some(9), &Some(Cause::Hung)));
    assert!(end.why.ends_with("; its stack is in stack-1.txt"), "{}", end.why);
    let stack = fs::read_to_string(run.stack(1)).unwrap();
    assert!(stack.to_lowercase().contains("thread"), "{stack}");
    let second = &starts(&run)[1];
    assert_eq!(second.checkpoint, Some(2));
    assert!(second.why.contains("(before: hung: no sign of life for"), "{}", second.why);
    assert!(workspace.events().iter().any(|event| event.event == "killed" && event.message.contains("hung")));
    let page = page(&workspace);
    assert!(page.contains("hung: no sign of life for") && page.contains("stack-1.txt"), "{page}");
}

#[test]
fn a_run_that_hangs_for_good_is_named_with_what_to_do_once_its_retries_are_used_up() {
    let workspace = workspace("deaf@1", 0);
    workspace.run(&[X]).code(100).says("killed   x/").says("hung: no sign of life for");
    let status = workspace.overnight(&["status"]).code(0).stdout;
    assert!(status.contains(": hung\n") && status.contains("stack-1.txt"), "{status}");
    assert!(status.contains("what to do: its stack and its log have the place"), "{status}");
    let status = workspace.overnight(&["status", "--json"]).code(0).stdout;
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["runs"][0]["trouble"]["cause"]["kind"], "hung");
    let page = page(&workspace);
    assert!(page.contains("its stack and its log have the place"), "{page}");
    assert!(page.contains("stack-1.txt"), "{page}");
}
