//! What lies outside of a batch: runs of other machines, and needs that it leaves out.

use overnight::experiment::settings::Precision;
use overnight::run_dir::RunDir;
use overnight::run_dir::records::{Attempt, Device, Start};
use overnight::run_dir::write::{Durability, append_line};

use crate::workspace::{Workspace, ends, starts, step, wait_until};

const X: &str = "experiments/x.toml";

/// As if another machine had begun the run yesterday and nobody had heard of it since.
fn begin_elsewhere(run: &RunDir) {
    let start = Start {
        attempt: 1,
        time: 1_700_000_000.0,
        batch: Some("of-the-other".into()),
        host: "the-laptop".into(),
        boot: "its-boot".into(),
        device: Device::Cpu { name: "processor".into() },
        precision: Precision::Fp32,
        threads: 1,
        micro_batch: 32,
        accumulate: 1,
        libtorch: "2.11.0".into(),
        checkpoint: None,
        weights: None,
        text: Vec::new(),
        data: None,
        why: "first attempt".into(),
    };
    append_line(&run.attempts(), &Attempt::Start(start), Durability::Synced).unwrap();
}

#[test]
fn a_run_of_a_machine_that_may_only_sleep_is_not_started_until_a_person_says_so() {
    let workspace = Workspace::new().experiment("x", 4, &[1, 2], "");
    workspace.overnight(&["queue", X]).code(0);
    let run = workspace.seed("x", 1);
    begin_elsewhere(&run);
    let held = "held: it began on the-laptop";
    workspace.run(&[X]).code(75).says(held).says("overnight retry x/");
    assert_eq!(workspace.words("x"), ["lost", "finished"]);
    assert_eq!((starts(&run).len(), ends(&run).len()), (1, 0), "nothing was written");
    let status = workspace.overnight(&["status"]).code(0).stdout;
    assert!(status.contains(held) && status.contains("overnight retry x/"), "{status}");
    let batches = workspace.batches();
    workspace.run(&[]).code(75).says(held);
    assert_eq!(workspace.batches(), batches, "nothing was to be done, so nothing was begun");

    workspace.overnight(&["retry", &format!("x/{}", run.name())]).code(0);
    workspace.run(&[]).code(0);
    assert_eq!(workspace.words("x"), ["finished"; 2]);
    let hosts: Vec<String> = starts(&run).into_iter().map(|start| start.host).collect();
    assert_eq!(hosts.len(), 2);
    assert_ne!(hosts[1], "the-laptop");
}

#[test]
fn a_need_that_this_batch_leaves_out_is_waited_for_as_any_other() {
    let needy = "[data]\nkind = \"shapes\"\ncount = 100\n[model]\nkind = \"mlp\"\n[train]\nsteps = 4\n[queue]\nneeds = [\"x\"]\n";
    let workspace = Workspace::new().experiment("x", 4, &[1], "").file("experiments/y.toml", needy);
    workspace.run(&["experiments/y.toml"]).code(75).says("after x, and there is no such run");
    workspace.overnight(&["queue", X]).code(0);
    workspace.run(&["experiments/y.toml"]).code(75).says("after x (");
    assert_eq!(workspace.words("y"), ["waiting"]);
    workspace.run(&[X]).code(0);
    workspace.run(&["experiments/y.toml"]).code(0);
    assert_eq!(workspace.words("y"), ["finished"]);
}

#[test]
fn a_run_that_ends_while_the_next_runner_begins_is_told_of_by_it() {
    let hook = "[[hooks]]\non = [\"run-finished\"]\ncommand = \"echo $OVERNIGHT_RUN >> told\"\n";
    let workspace = Workspace::new().experiment("x", 4, &[1, 2], "s1:await@3").file("overnight.toml", hook);
    let runner = workspace.start(&[X, "--slots", "1"]);
    wait_until("it waits", || workspace.runs("x").len() == 2 && step(&workspace.seed("x", 1)) == 3);
    runner.kill();
    let run = workspace.seed("x", 1);
    // A runner asks the worker for its protocol after its first look at the runs and before its second.
    let script = format!(
        "#!/bin/sh\nif [ \"$1\" = --protocol ]; then touch '{run}/go-on'; \
         while [ ! -e '{run}/result.json' ] || ! flock -n '{run}/alive.lock' true; do sleep 0.02; done; fi\n\
         exec '{worker}' \"$@\"\n",
        run = run.path().display(),
        worker = crate::workspace::fake_worker().display(),
    );
    let workspace = workspace.file("script", &script);
    let (script, worker) = (workspace.path("script"), workspace.path("worker"));
    // Not written by us: a process that another test starts this moment would hold it open for writing.
    let installed =
        std::process::Command::new("install").args(["-m", "755"]).arg(script).arg(&worker).status();
    assert!(installed.unwrap().success());
    let workspace = workspace.variable("OVERNIGHT_WORKER", worker.to_str().unwrap());
    workspace.run(&[]).code(0);
    assert_eq!(workspace.words("x"), ["finished"; 2]);
    let end = ends(&run).pop().expect("somebody wrote its end");
    assert_eq!(end.why, "finished (nobody watched)");
    let told = std::fs::read_to_string(workspace.path("told")).unwrap();
    assert_eq!(told.lines().count(), 2, "{told}");
    assert!(told.contains(&run.name()), "{told}");
}
