//! `overnight verify` at the command line, and its verdict on the run's page and in `status`.

use std::fs;

use overnight::run_dir::RunDir;
use overnight::run_dir::read;
use overnight::run_dir::verdict::Verdict;
use rustix::process::Signal;
use serde_json::Value;

use crate::workspace::{Workspace, step, wait_until};

/// A run of ten steps with a checkpoint every two, that was killed once and finished.
fn killed_run() -> (Workspace, RunDir) {
    let workspace = Workspace::new().experiment("digits", 10, &[1], "kill@5");
    workspace.run(&["experiments/digits.toml"]).code(0);
    let run = workspace.seed("digits", 1);
    (workspace, run)
}

fn json(stdout: &str) -> Value {
    serde_json::from_str(stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"))
}

fn page(workspace: &Workspace, run: &RunDir) -> String {
    workspace.spawn(&["report"]).wait().code(0);
    let path = workspace.path(&format!("reports/runs/digits/{}/index.html", run.name()));
    fs::read_to_string(path).unwrap()
}

#[test]
fn a_run_that_is_verified_says_so_on_its_page_and_in_status() {
    let (workspace, run) = killed_run();
    let before = page(&workspace, &run);
    assert!(before.contains("resumed once, not verified"));
    let name = format!("overnight verify digits/{}", run.name());
    assert!(before.contains(&name), "the page says what to type");

    let newest = workspace.spawn(&["verify", "digits"]).wait().code(0).says("training steps 8 to 10 again");
    assert!(newest.stdout.starts_with("equal   digits/"), "{}", newest.stdout);
    assert!(
        newest.stdout.contains("steps 8 to 10 (1 checkpoint, 2 rows of metrics.csv"),
        "{}",
        newest.stdout
    );
    assert!(page(&workspace, &run).contains("resumed once, steps 8 to 10 verified equal"));

    let all = workspace.spawn(&["verify", "digits", "--all", "--json"]).wait().code(0);
    let verdict = json(&all.stdout);
    assert_eq!((&verdict["from"], &verdict["to"], &verdict["equal"]), (&0.into(), &10.into(), &true.into()));
    assert_eq!(verdict["checkpoints"], 5, "those that were deleted are compared too");
    let after = page(&workspace, &run);
    assert!(after.contains("resumed once, verified equal") && after.contains("1 kill survived"), "{after}");
    assert!(after.contains("class=\"say good\""), "{after}");

    let status = workspace.spawn(&["status", "digits"]).wait().code(0);
    assert!(status.stdout.contains(": resumed once, verified equal\n"), "{}", status.stdout);
    let status = json(&workspace.spawn(&["status", "--json"]).wait().code(0).stdout);
    let certificate = &status["runs"][0]["certificate"];
    assert_eq!((&certificate["resumed"], &certificate["kills_survived"]), (&1.into(), &1.into()));
    assert_eq!(certificate["verified"]["is"], "equal");
    assert_eq!(read::lines::<Verdict>(&run.verify()).unwrap().records.len(), 2);
    let entries = fs::read_dir(run.path().parent().unwrap()).unwrap().count();
    assert_eq!(entries, 1, "nothing is left of the replays");
}

#[test]
fn a_replay_that_differs_is_named_with_its_step_and_column_and_the_reason() {
    let (workspace, run) = killed_run();
    let workspace = workspace.variable("FAKE_DRIFT", "9");
    let differs = workspace.spawn(&["verify", "digits"]).wait().code(1);
    let words =
        ["differs digits/", "train/loss of step 9 is ", "this device does not give the same bits twice"];
    for words in words {
        assert!(differs.stdout.contains(words), "{words:?} is not in {}", differs.stdout);
    }
    let page = page(&workspace, &run);
    assert!(page.contains("class=\"say bad\"") && page.contains("train/loss of step 9 is "), "{page}");
    assert!(page.contains("this device does not give the same bits twice"), "{page}");

    // Steps before it are the same all the same, and another machine is a reason.
    let attempts = fs::read_to_string(run.attempts()).unwrap();
    let elsewhere = attempts.replace("\"kind\":\"cpu\",\"name\":\"", "\"kind\":\"cpu\",\"name\":\"Another ");
    assert_ne!(attempts, elsewhere);
    fs::write(run.attempts(), elsewhere).unwrap();
    workspace.spawn(&["verify", "digits", "--to", "8"]).wait().code(0);
    let json = json(&workspace.spawn(&["verify", "digits", "--from", "8", "--json"]).wait().code(1).stdout);
    assert_eq!(json["difference"]["what"], "cell");
    assert_eq!(
        (&json["difference"]["step"], &json["difference"]["column"]),
        (&9.into(), &"train/loss".into())
    );
    assert!(json["why"][0].as_str().unwrap().contains("the run on Another "), "{json}");
}

#[test]
fn what_cannot_be_verified_is_no_difference() {
    let (workspace, run) = killed_run();
    let verify = |arguments: &[&str]| workspace.spawn(&[&["verify"], arguments].concat()).wait();
    verify(&["nothing"]).code(4).says("there is no run nothing");
    verify(&["digits", "--from", "3"]).code(2).says("no checkpoint of step 3 any more");
    verify(&["digits", "--to", "7"]).code(2).says("nothing is recorded of step 7");
    verify(&["digits", "--all", "--from", "0"]).code(2);
    // A run of a GPU that is not here.
    let attempts = fs::read_to_string(run.attempts()).unwrap();
    let gpu = "\"device\":{\"kind\":\"cuda\",\"uuid\":\"GPU-x\",\"driver\":\"1\",\"index\":0,";
    fs::write(run.attempts(), attempts.replace("\"device\":{\"kind\":\"cpu\",", gpu)).unwrap();
    verify(&["digits"]).code(75).says("no GPU is here now");
    fs::write(run.attempts(), attempts).unwrap();
    fs::remove_file(run.checkpoint(10).model()).unwrap();
    verify(&["digits"]).code(75).says("step-00000010/model.safetensors");
    assert!(!run.verify().exists(), "none of these is a verdict");

    let queued = Workspace::new().experiment("later", 10, &[1], "");
    queued.spawn(&["queue", "experiments/later.toml"]).wait().code(0);
    queued.spawn(&["verify", "later"]).wait().code(75).says("it has no checkpoint yet");
}

#[test]
fn a_run_that_goes_on_is_verified_beside_its_worker() {
    let workspace = Workspace::new().experiment("digits", 10, &[1], "hold@7");
    let running = workspace.start(&["experiments/digits.toml"]);
    // A checkpoint is there a moment before it is told of.
    wait_until("it is past its checkpoint of step 6", || {
        workspace.runs("digits").first().is_some_and(|run| step(run) == 7)
    });
    workspace.spawn(&["verify", "digits"]).wait().code(0).says("training steps 4 to 6 again");
    assert_eq!(workspace.words("digits"), ["running"]);
    running.signal(Signal::INT);
    running.wait().code(75);
}
