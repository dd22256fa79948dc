//! What `overnight clean` and the rules in `overnight.toml` delete, and what they never do.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use overnight::run_dir::{RunDir, checkpoint, lock};
use rustix::process::{Pid, Signal, kill_process};

use crate::workspace::{Workspace, look, wait_until};

const X: &str = "experiments/x.toml";

fn clean(workspace: &Workspace, arguments: &[&str]) -> crate::workspace::Output {
    workspace.spawn(&[&["clean"], arguments].concat()).wait().code(0)
}

fn full_name(run: &RunDir) -> String {
    format!("{}/{}", run.experiment(), run.name())
}

/// How many checkpoints each run has.
fn checkpoints(workspace: &Workspace) -> Vec<usize> {
    workspace.runs("x").iter().map(|run| checkpoint::steps(run).len()).collect()
}

/// Lets everything in a folder have been written so many days ago.
fn age(folder: &Path, days: u64) {
    let time = SystemTime::now() - Duration::from_secs(days * 86_400);
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                fs::File::open(entry.path()).unwrap().set_modified(time).unwrap();
            }
        }
        fs::File::open(&folder).unwrap().set_modified(time).unwrap();
    }
}

#[test]
fn clean_follows_the_rules_of_the_workspace_and_deletes_nothing_unasked() {
    let workspace = Workspace::new().experiment("x", 8, &[1, 2, 3], "");
    workspace.run(&[X]).code(0);
    assert_eq!(checkpoints(&workspace), [4; 3], "the fake worker deletes none");
    let workspace = workspace.file("overnight.toml", "[retention]\ncheckpoints = 1\nbest = 2\n");
    let shown = clean(&workspace, &[]).says("could go; nothing was deleted (--yes deletes)").stdout;
    let worst = workspace.seed("x", 3).name();
    assert!(shown.contains(&format!("runs/x/{worst}")) && shown.contains("2 others are better"), "{shown}");
    assert!(shown.contains("a checkpoint that is not the newest nor the best"), "{shown}");
    assert_eq!(checkpoints(&workspace), [4; 3]);
    clean(&workspace, &["--yes"]).says("freed");
    assert_eq!(checkpoints(&workspace), [1; 2]);
    assert!(clean(&workspace, &[]).stdout.contains("nothing to clean"));
    let stray = workspace.overnight(&["clean", "--all-but-best", "1", "--yes"]).code(2);
    assert_eq!(stray.stderr, "error: there is no run 1; the number is written --all-but-best=1\n");
    clean(&workspace, &["--all-but-best", "--yes"]);
    assert_eq!(workspace.runs("x"), [workspace.seed("x", 1)], "the command line stands above the file");
}

#[test]
fn rules_are_applied_after_each_run_when_asked_and_the_report_shows_what_is_left() {
    let workspace = Workspace::new()
        .experiment("x", 8, &[3, 1, 2], "s2:hold@3")
        .file("overnight.toml", "[retention]\napply = true\ncheckpoints = 1\nbest = 1\n");
    let runner = workspace.spawn(&["run", "--plain", X]);
    // What is deleted aside has all its time while the last run is at work.
    wait_until("the first has been deleted, and the last is at work", || {
        workspace.batches() == 1
            && workspace.events().iter().any(|event| event.event == "deleted")
            && crate::workspace::step(&workspace.seed("x", 2)) == 3
    });
    let worker = Pid::from_raw(runner.children("train")[0]).unwrap();
    kill_process(worker, Signal::KILL).unwrap();
    let output = runner.wait().code(0).says("cleaned  ");
    let left = workspace.runs("x");
    assert_eq!(left, [workspace.seed("x", 1)]);
    assert_eq!(checkpoint::steps(&left[0]), [8]);
    assert!(
        !output.stdout.contains("unreadable") && output.stdout.contains(&left[0].name()),
        "{}",
        output.stdout
    );
    let deleted: Vec<String> = workspace
        .events()
        .into_iter()
        .filter(|event| event.event == "deleted")
        .map(|event| event.message)
        .collect();
    assert!(
        deleted.iter().filter(|message| message.contains("is better: val/loss")).count() == 2,
        "{deleted:?}"
    );
    let events = workspace.events();
    let place = |name: &str| events.iter().position(|event| event.event == name).unwrap();
    let last_start = events.iter().rposition(|event| event.event == "run-started").unwrap();
    assert!(place("run-ended") < last_start, "{events:?}");
    assert!(place("deleted") < place("batch-ended"), "after runs, not at the end: {events:?}");
    let pages = fs::read_dir(workspace.path("reports/runs/x"))
        .unwrap()
        .flatten()
        .filter(|entry| entry.path().is_dir());
    assert_eq!(pages.count(), 1, "the report knows the one that is left");
}

#[test]
fn a_run_that_another_waits_for_stays_until_that_is_done() {
    let workspace = Workspace::new().experiment("x", 2, &[1, 2], "").experiment("y", 2, &[1], "hold@1");
    workspace.run(&[X]).code(0);
    let needed = full_name(&workspace.seed("x", 2));
    let y = fs::read_to_string(workspace.path("experiments/y.toml")).unwrap()
        + &format!("[queue]\nneeds = [\"{needed}\"]\n");
    let workspace = workspace.file("experiments/y.toml", &y);
    workspace.spawn(&["queue", "experiments/y.toml"]).wait().code(0);
    let y = full_name(&workspace.seed("y", 1));
    clean(&workspace, &["--all-but-best", "--yes"]).says(&format!("runs/{needed} stays: {y} needs it"));
    clean(&workspace, &["x", "--yes"]).says(&format!("runs/{needed} stays: {y} needs it"));
    assert_eq!(workspace.runs("x"), [workspace.seed("x", 2)]);
    let runner = workspace.start(&[]);
    wait_until("it is at work", || crate::workspace::step(&workspace.seed("y", 1)) == 1);
    clean(&workspace, &["y", "x", "--yes"]).says(&format!("runs/{y} stays: a worker lives there"));
    assert_eq!((workspace.words("x"), workspace.words("y")), (vec!["finished"], vec!["running"]));
    runner.signal(Signal::INT);
    runner.wait().code(75);
    clean(&workspace, &["y", "--yes"]).says("waiting, it can go on (overnight stop");
    workspace.run(&[]).code(0);
    clean(&workspace, &["x", "y", "--yes"]);
    assert_eq!((workspace.runs("x").len(), workspace.runs("y").len()), (0, 0));
}

#[test]
fn old_runs_go_but_not_those_that_can_go_on() {
    let workspace = Workspace::new().experiment("x", 4, &[1, 2, 3], "s2:fail@3 s3:hold@3");
    let runner = workspace.start(&[X]);
    wait_until("the third holds", || {
        workspace.runs("x").len() == 3 && crate::workspace::step(&workspace.seed("x", 3)) == 3
    });
    runner.signal(Signal::INT);
    runner.wait().code(75);
    age(&workspace.path("runs"), 40);
    assert!(clean(&workspace, &["--older-than", "41"]).stdout.contains("nothing to clean"));
    let workspace = workspace.file("overnight.toml", "[retention]\nolder_than_days = 30\n");
    assert!(clean(&workspace, &["--yes"]).stdout.contains("untouched for 40 days"));
    let mut words = workspace.words("x");
    words.sort();
    assert_eq!(words, ["failed", "waiting"]);
    let last = checkpoint::steps(&workspace.seed("x", 3)).pop();
    assert_eq!(last, Some(3), "its last checkpoint is there");
    workspace.run(&[]).code(100);
    clean(&workspace, &[&full_name(&workspace.seed("x", 2)), "--yes"]);
    assert_eq!(workspace.runs("x"), [workspace.seed("x", 3)], "who names it means it");
}

#[test]
fn what_killed_processes_left_is_named_and_goes() {
    let workspace = Workspace::new()
        .experiment("x", 4, &[1], "")
        .file("runs/x/.new-Ab12cd/run.json", "{")
        .file("runs/x/.gone-Ab12cd/removed/run.json", "{");
    age(&workspace.path("runs"), 2);
    workspace.run(&[X]).code(0);
    let run = workspace.runs("x").remove(0);
    let damaged = run.checkpoint(2).damaged();
    fs::rename(run.checkpoint(2).path(), &damaged).unwrap();
    fs::create_dir(run.checkpoints().join(".new-Xy")).unwrap();
    fs::write(run.path().join(".new-Xy"), "{").unwrap();
    age(run.path(), 1);
    fs::create_dir(workspace.path("runs/x/.new-fresh")).unwrap();
    let shown = clean(&workspace, &[]).stdout;
    for (what, why) in [
        ("runs/x/.new-Ab12cd", "a run that was never queued to its end"),
        ("runs/x/.gone-Ab12cd", "what an earlier clean has not deleted to its end"),
        ("step-00000002.damaged", "a damaged checkpoint, set aside"),
        ("checkpoints/.new-Xy", "a checkpoint that was never written to its end"),
        (&format!("{}/.new-Xy", run.name()), "a file that was never written to its end"),
    ] {
        assert!(
            shown.lines().any(|line| line.contains(what) && line.contains(why)),
            "{what}: {why}:\n{shown}"
        );
    }
    // While a worker lives none of it is anybody else's.
    let worker = lock::try_lock(&run.alive_lock()).unwrap().unwrap();
    fs::remove_file(run.result()).unwrap();
    clean(&workspace, &["--yes"]);
    assert!(damaged.exists() && run.path().join(".new-Xy").exists());
    assert!(
        !workspace.path("runs/x/.new-Ab12cd").exists() && !workspace.path("runs/x/.gone-Ab12cd").exists()
    );
    assert!(workspace.path("runs/x/.new-fresh").exists(), "somebody may be queueing");
    drop(worker);
    // A process that another test starts this moment may have inherited it.
    wait_until("nobody holds the lock", || !lock::is_held(&run.alive_lock()));
    clean(&workspace, &["--yes"]);
    assert!(
        !damaged.exists()
            && !run.path().join(".new-Xy").exists()
            && !run.checkpoints().join(".new-Xy").exists()
    );
    assert!(run.checkpoint(4).path().exists());
}

#[test]
fn the_step_that_somebody_goes_back_to_stays() {
    let workspace = Workspace::new().experiment("x", 8, &[1], "fail@8");
    workspace.run(&[X]).code(100);
    let run = workspace.runs("x").remove(0);
    workspace.spawn(&["retry", &full_name(&run), "--from", "4"]).wait().code(0);
    clean(&workspace, &["--checkpoints", "1", "--yes"]).says("freed");
    assert_eq!(checkpoint::steps(&run).first(), Some(&4));
    assert_eq!(look(&run).status.word(), "waiting");
}

#[test]
fn a_missed_budget_counts_although_the_rules_have_deleted_the_run() {
    let text = "notes = \"s1:hold@2\"\n[data]\nkind = \"shapes\"\ncount = 100\n[model]\nkind = \"mlp\"\n\
                [train]\nsteps = 4\n[sweep]\nseeds = [3, 2, 1]\n[[budgets]]\nrequire = \"train/loss < 3\"\n";
    let workspace = Workspace::new()
        .file("experiments/x.toml", text)
        .file("overnight.toml", "[retention]\napply = true\nbest = 1\n");
    let runner = workspace.start(&[X]);
    wait_until("the one that missed it is gone", || {
        workspace.words("x").iter().filter(|word| **word == "finished").count() == 1
            && workspace.runs("x").len() == 2
    });
    workspace.spawn(&["pause", "x"]).wait();
    runner.wait().code(100);
}

#[test]
fn what_a_rule_deleted_stays_done_and_keeps_its_verdicts_until_it_is_asked_for_again() {
    let text = "[data]\nkind = \"shapes\"\ncount = 100\n[model]\nkind = \"mlp\"\n[train]\nsteps = 4\n\
                [sweep]\nseeds = [3, 1]\n[[budgets]]\nrequire = \"train/loss < 3\"\n";
    let workspace = Workspace::new()
        .file("experiments/x.toml", text)
        .file("overnight.toml", "[retention]\napply = true\nbest = 1\n");
    let junit = workspace.path("junit.xml").display().to_string();
    let run = |more: &[&str]| workspace.run(&[&[X, "--junit", &junit], more].concat()).code(100);
    // The seed is about the loss: 3 misses the budget, and the other is better.
    for time in ["the first", "again"] {
        let said = run(&[]).stderr;
        let xml = fs::read_to_string(&junit).unwrap();
        assert!(xml.contains("tests=\"4\"") && xml.contains("failures=\"1\" errors=\"0\""), "{time}: {xml}");
        assert!(said.contains("missed x/s3-"), "{time}: {said}");
        assert_eq!(workspace.words("x"), ["finished"], "{time}");
        assert_eq!(workspace.batches(), 1, "{time}: nothing is trained twice");
        assert_eq!(said.contains("was done, and deleted by a rule on"), time == "again", "{said}");
    }
    let plan = workspace.overnight(&["plan", X]).code(0);
    assert!(plan.stdout.contains("deleted") && !plan.stdout.contains("new"), "{}", plan.stdout);
    assert!(plan.stderr.contains("0 of them new; 0 steps that are not finished"), "{}", plan.stderr);
    // Also where nothing is left at all.
    let workspace = workspace.file("experiments/x.toml", &text.replace("[3, 1]", "[3]"));
    workspace.run(&[X]).code(100).says("1 run is done, and deleted as the rules of overnight.toml say");
    let workspace = workspace.file("overnight.toml", "");
    workspace.run(&[X, "--again"]).code(100);
    assert_eq!(workspace.runs("x").len(), 2);
    assert_eq!(workspace.batches(), 2);
    // Whoever names it wants it gone: it is no more known than one that never was.
    let name = full_name(&workspace.seed("x", 3));
    clean(&workspace, &[&name, "--yes"]);
    let plan = workspace.overnight(&["plan", X]).code(0).stdout;
    assert!(plan.contains("new"), "{plan}");
}
