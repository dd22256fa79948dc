//! Rules of alerts over the machine and over rates, each through the runner: what is seen, what is asked
//! of the run, and that the runs beside it go on.

use std::fs;

use overnight::run_dir::{RunDir, alerts};
use serde_json::Value;

use crate::gauges::{self, FIRST, set};
use crate::namespace::{mount_small_disk, with_own_mounts};
use crate::workspace::{Workspace, ends, look, starts, step, wait_until};

const X: &str = "experiments/x.toml";

fn with_rules(workspace: Workspace, rules: &str) -> Workspace {
    let text = fs::read_to_string(workspace.path(X)).unwrap() + rules;
    workspace.file(X, &text)
}

fn told(run: &RunDir) -> Vec<String> {
    alerts::read(run).into_iter().map(|told| told.message).collect()
}

fn both_hold(workspace: &Workspace) -> bool {
    workspace.runs("x").iter().filter(|run| step(run) == 3).count() == 2
}

#[test]
fn a_gpu_that_is_too_hot_pauses_the_run_that_is_on_it_and_no_other() {
    let Some(workspace) = gauges::workspace("hold@3", &[1, 2]) else { return };
    let hooks = "[[hooks]]\non = [\"alert\"]\ncommand = 'cat >> told.json'\n";
    let rules = "[[alerts]]\nwhen = \"gpu temperature > 88\"\ndo = \"pause\"\n";
    let workspace = with_rules(workspace, rules).file("overnight.toml", hooks);
    let runner = workspace.start(&[X]);
    wait_until("both hold", || both_hold(&workspace));
    set(&workspace, &format!("{FIRST}.temperature"), 91);
    let [hot, cool] = [1, 2].map(|seed| workspace.seed("x", seed));
    wait_until("it is paused", || look(&hot).status.word() == "paused");
    let message = "gpu temperature > 88: it is 91 °C";
    wait_until("it is said", || runner.said().contains(&format!("at step 3: {message} (pauses)")));
    assert_eq!((look(&cool).status.word(), told(&cool)), ("running", vec![]));
    gauges::end(runner);
    assert_eq!(told(&hot), [message]);
    assert_eq!(look(&hot).requests[0].who, "alert: gpu temperature > 88");
    assert_eq!(ends(&hot)[0].checkpoint, Some(3));
    let hook: Value =
        serde_json::from_str(&fs::read_to_string(workspace.path("told.json")).unwrap()).unwrap();
    assert_eq!(hook["rule"], "gpu temperature > 88");
    let status = workspace.overnight(&["status"]).code(0).stdout;
    assert!(status.contains(&format!("1 alert at step 3: {message}")), "{status}");

    set(&workspace, &format!("{FIRST}.temperature"), 60);
    workspace.overnight(&["resume", &hot.name()]).code(0);
    workspace.run(&[]).code(0);
    assert_eq!(workspace.words("x"), ["finished"; 2]);
}

#[test]
fn a_gpu_that_is_held_down_by_heat_for_long_stops_its_run_and_one_at_its_power_limit_does_not() {
    let Some(workspace) = gauges::workspace("hold@3", &[1, 2]) else { return };
    let rules = "[[alerts]]\nwhen = \"gpu throttled > 1 s\"\ndo = \"stop\"\n\
                 [[alerts]]\nwhen = \"gpu use > 90\"\n";
    let workspace = with_rules(workspace, rules);
    set(&workspace, "GPU-bbbb2222.throttle", 0x4);
    let runner = workspace.start(&[X]);
    wait_until("both hold", || both_hold(&workspace));
    set(&workspace, &format!("{FIRST}.throttle"), 0x4 | 0x20);
    let [hot, busy] = [1, 2].map(|seed| workspace.seed("x", seed));
    wait_until("it is stopped", || look(&hot).status.word() == "stopped");
    gauges::end(runner);
    let of_hot = told(&hot);
    assert!(of_hot.iter().any(|told| told.starts_with("gpu throttled > 1 s: it is ")), "{of_hot:?}");
    assert_eq!(told(&busy), ["gpu use > 90: it is 97 %"], "each sample of it was looked at");
    assert_eq!(look(&busy).status.word(), "waiting");
}

#[test]
fn a_run_whose_rate_falls_by_half_is_paused_and_says_so() {
    let workspace = Workspace::new().experiment("x", 12, &[1], "").variable("FAKE_SLOW", "8");
    let rules = "[[alerts]]\nname = \"slow\"\nwhen = \"images_per_second fell by half\"\ndo = \"pause\"\n";
    let workspace = with_rules(workspace, rules);
    let message = "images_per_second fell by half: it is 800.0, the median so far 3,200";
    workspace.run(&[X]).code(0).says(&format!("at step 8: slow: {message} (pauses)"));
    let run = workspace.seed("x", 1);
    assert_eq!(look(&run).status.word(), "paused");
    assert_eq!((ends(&run)[0].checkpoint, ends(&run)[0].why.as_str()), (Some(8), "ended by alert: slow"));
    workspace.overnight(&["resume", "x"]).code(0);
    workspace.run(&[]).code(0);
    assert_eq!((workspace.words("x"), starts(&run)[1].checkpoint), (vec!["finished"], Some(8)));
    assert_eq!(told(&run), [message], "an attempt that is slow from its first step on has not become slower");
}

#[test]
fn a_rule_that_lowers_the_learning_rate_is_told_of_and_ends_nothing() {
    let hooks = "[[hooks]]\non = [\"alert\"]\ncommand = 'cat >> told.json'\n";
    let workspace = Workspace::new().experiment("x", 6, &[1], "").file("overnight.toml", hooks);
    let rules = "[[alerts]]\nwhen = \"train/loss < 1.4\"\ndo = \"reduce-lr\"\n";
    let workspace = with_rules(workspace, rules);
    let line = "at step 3: train/loss < 1.4: it is 1.3333 (lowers the learning rate)";
    workspace.run(&[X]).code(0).says(line);
    assert_eq!(workspace.words("x"), ["finished"]);
    assert_eq!(look(&workspace.seed("x", 1)).requests, []);
    let hook: Value =
        serde_json::from_str(&fs::read_to_string(workspace.path("told.json")).unwrap()).unwrap();
    assert_eq!(hook["message"], line);
    workspace.overnight(&["report"]).code(0);
    let page = format!("reports/runs/x/{}/index.html", workspace.seed("x", 1).name());
    let page = fs::read_to_string(workspace.path(&page)).unwrap();
    assert!(page.contains("lowered the learning rate"), "{page}");
}

#[test]
fn a_disk_that_fills_stops_the_run_that_watches_it_while_there_is_room_for_its_checkpoint() {
    let name =
        "rules::a_disk_that_fills_stops_the_run_that_watches_it_while_there_is_room_for_its_checkpoint";
    with_own_mounts(name, || {
        let workspace = Workspace::new();
        if !mount_small_disk(&workspace.path(""), 4096) {
            return;
        }
        let workspace = workspace.file("experiments/README", "").experiment("x", 6, &[1], "hold@3");
        let rules = "[[alerts]]\nwhen = \"disk free < 2500 KiB\"\ndo = \"stop\"\n";
        let workspace = with_rules(workspace, rules);
        let runner = workspace.start(&[X]);
        let run = || workspace.runs("x").into_iter().next();
        wait_until("it holds", || run().is_some_and(|run| step(&run) == 3));
        assert_eq!(told(&run().unwrap()), [""; 0]);
        fs::write(workspace.path("ballast"), vec![1; 2 << 20]).unwrap();
        runner.wait().code(0).says("disk free < 2500 KiB: it is ").says("(stops)");
        let run = run().unwrap();
        assert_eq!((look(&run).status.word(), ends(&run)[0].checkpoint), ("stopped", Some(3)));
    });
}
