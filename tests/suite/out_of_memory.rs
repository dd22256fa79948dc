//! Runs that are out of device memory: fewer examples at once where that is the same computation.

use overnight::run_dir::records::exit;

use crate::workspace::{Workspace, ends, look, starts};

const X: &str = "experiments/x.toml";

/// One run of six steps and a checkpoint every two, with this model and more, and notes for the worker.
fn workspace(model: &str, notes: &str) -> Workspace {
    let text = format!(
        "notes = \"{notes}\"\n[data]\nkind = \"shapes\"\ncount = 100\n{model}\n\
         [train]\nsteps = 6\nbatch_size = 12\n[queue]\nretries = 0\n[checkpoint]\nevery = 2\n"
    );
    Workspace::new().file(X, &text)
}

fn splits(workspace: &Workspace) -> Vec<(u32, u32, Option<u64>)> {
    let starts = starts(&workspace.runs("x")[0]);
    starts.iter().map(|start| (start.micro_batch, start.accumulate, start.checkpoint)).collect()
}

#[test]
fn it_goes_on_with_half_the_examples_at_once_and_uses_up_no_retry() {
    let workspace = workspace("[model]\nkind = \"mlp\"\ndropout = 0.1", "oom3@3 oom2@5");
    let output = workspace.run(&[X, "--breaker", "1"]).code(0);
    assert_eq!(splits(&workspace), [(12, 1, None), (6, 2, Some(2)), (3, 4, Some(2)), (1, 12, Some(4))]);
    let run = &workspace.runs("x")[0];
    let why = &starts(run)[1].why;
    assert!(why.contains("CUDA out of memory. Tried to allocate 2.00 GiB"), "{why}");
    assert!(why.contains("2 passes a step of 6 at once instead of 12: equal in expectation, not in bits"));
    output.says("goes on with 6 examples at once");
    assert_eq!(ends(run).iter().filter(|end| end.code == Some(exit::OUT_OF_DEVICE_MEMORY)).count(), 3);
}

#[test]
fn a_later_batch_repeats_the_split() {
    let workspace = workspace("[model]\nkind = \"mlp\"", "oom6@1 fail@5");
    workspace.run(&[X]).code(100);
    workspace.run(&["--retry-failed"]).code(100);
    assert_eq!(splits(&workspace), [(12, 1, None), (6, 2, None), (6, 2, Some(4))]);
    assert!(!starts(&workspace.runs("x")[0])[2].why.contains("at once"));
}

#[test]
fn with_batch_norm_it_is_held_and_a_person_may_take_it_as_it_is() {
    let workspace = workspace("[model]\nkind = \"resnet18\"", "oom6@3");
    workspace.run(&[X, "--breaker", "1"]).code(75).says("its batch norm would measure fewer examples");
    assert_eq!(workspace.words("x"), ["waiting"]);
    let reason = workspace.queue_state().waiting[0].reason.clone();
    assert!(reason.starts_with("held: it was out of device memory"), "{reason}");
    assert!(reason.contains("split_on_out_of_memory"), "{reason}");
    workspace.run(&[]).code(75);
    assert_eq!(splits(&workspace).len(), 1, "another batch does not begin it again");
    workspace.spawn(&["retry", "x"]).wait().code(0);
    workspace.run(&[]).code(75);
    assert_eq!(splits(&workspace), [(12, 1, None), (12, 1, Some(2))]);
}

#[test]
fn with_batch_norm_it_goes_on_where_the_file_allows_it() {
    let resources = "[resources]\nsplit_on_out_of_memory = \"always\"";
    let workspace = workspace(&format!("[model]\nkind = \"resnet18\"\n{resources}"), "oom6@3");
    workspace.run(&[X]).code(0);
    let why = &starts(&workspace.runs("x")[0])[1].why;
    assert!(why.contains("another computation, because batch norm"), "{why}");
}

#[test]
fn one_example_at_once_that_is_too_much_fails_with_the_reason() {
    let workspace = workspace("[model]\nkind = \"mlp\"", "oom0@3");
    workspace.run(&[X]).code(100).says("CUDA out of memory").says("already one example at once");
    assert_eq!(splits(&workspace).last(), Some(&(1, 12, Some(2))));
    assert_eq!(look(&workspace.runs("x")[0]).status.word(), "failed");
}

#[test]
fn it_fails_at_once_where_the_file_says_so() {
    let resources = "[resources]\nsplit_on_out_of_memory = \"never\"";
    let workspace = workspace(&format!("[model]\nkind = \"mlp\"\n{resources}"), "oom6@3");
    workspace.run(&[X]).code(100).says("train.accumulate");
    assert_eq!(splits(&workspace), [(12, 1, None)]);
}
