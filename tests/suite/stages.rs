//! Stages: runs that need others, begin with their weights, and are told before the night what cannot be.

use std::fs;

use overnight::run_dir::{RunDir, lock};

use crate::workspace::{Output, Workspace, starts};

const PRE: &str = "experiments/pre.toml";
const TUNE: &str = "experiments/tune.toml";

/// An experiment of two steps whose file goes on so.
fn small(more: &str) -> String {
    format!("[data]\nkind = \"shapes\"\ncount = 100\n[model]\nkind = \"mlp\"\n[train]\nsteps = 2\n{more}")
}

fn begins(more: &str) -> String {
    small(&format!("[weights]\nfrom = \"pre\"\n{more}"))
}

fn full_name(run: &RunDir) -> String {
    format!("{}/{}", run.experiment(), run.name())
}

/// What `check` refuses.
#[track_caller]
fn refused(workspace: &Workspace, files: &[&str]) -> String {
    let Output { status, stderr, .. } = workspace.overnight(&[&["check"], files].concat());
    assert_eq!(status.code(), Some(78), "{stderr}");
    stderr
}

#[test]
fn a_run_begins_with_the_best_weights_of_the_experiment_that_it_needs_and_keeps_them() {
    let workspace = Workspace::new()
        .experiment("pre", 4, &[3, 1, 2], "")
        .file(TUNE, &begins("[checkpoint]\nevery = 1\n").replace("[data]", "notes = \"failonce@1\"\n[data]"));
    let plan = workspace.overnight(&["plan", TUNE, PRE]).code(0).stdout;
    assert!(plan.contains("begins with") && plan.contains("weights of pre, best"), "{plan}");
    workspace.run(&[TUNE, PRE]).code(100);
    let (best, tune) = (workspace.seed("pre", 1), workspace.runs("tune").remove(0));
    let first = starts(&tune).remove(0);
    let taken = first.weights.clone().expect("the start line says so");
    // The fake worker's loss grows with the seed.
    assert_eq!((taken.experiment, taken.run), ("pre".to_owned(), best.name()));
    assert_eq!(taken.file, "checkpoints/step-00000004/model.safetensors");
    assert_eq!(taken.blake3, blake3::hash(b"weights of step 4").to_hex().to_string());
    assert!(first.why.contains("the best of 3 runs, val/loss 1.2500; its best checkpoint"), "{}", first.why);
    assert_eq!(fs::read_to_string(tune.taken_weights()).unwrap(), "weights of step 4");

    // The others may go by now, and a later attempt begins with the same.
    workspace.overnight(&["clean", "pre", "--yes"]).says(&format!("runs/{} stays", full_name(&best)));
    fs::remove_dir_all(workspace.path("runs/pre")).unwrap();
    // A need that is gone has not finished; what was taken of it stays, whoever takes it further.
    let again = workspace.experiment("pre", 4, &[9], "");
    again.run(&["--retry-failed", PRE]).code(0);
    let workspace = again;
    workspace.run(&["--retry-failed"]).code(0);
    let last = starts(&tune).pop().unwrap();
    assert_eq!((last.attempt, last.checkpoint), (2, None));
    assert_eq!(last.weights, first.weights);
    workspace.overnight(&["report"]).code(0);
    let page =
        fs::read_to_string(workspace.path(&format!("reports/runs/{}/index.html", full_name(&tune)))).unwrap();
    assert!(page.contains(&format!("It began with the weights of pre/{}", best.name())), "{page}");
}

#[test]
fn what_a_run_began_with_is_held_when_it_is_not_the_same_any_more() {
    let workspace = Workspace::new()
        .experiment("pre", 4, &[1], "")
        .file(TUNE, &begins("").replace("[data]", "notes = \"failonce@1\"\n[data]"));
    workspace.run(&[TUNE, PRE]).code(100);
    let tune = workspace.runs("tune").remove(0);
    let source = workspace.runs("pre").remove(0).checkpoint(4).model();
    // A copy that is damaged is taken once more from where it came from.
    fs::remove_file(tune.taken_weights()).unwrap();
    fs::write(tune.taken_weights(), "weights of step 5").unwrap();
    fs::rename(&source, source.with_extension("aside")).unwrap();
    workspace.run(&["--retry-failed", TUNE]).code(100).says("has changed, and pre/").says("is not the same");
    assert_eq!(starts(&tune).len(), 1, "nothing was begun with it");
    fs::rename(source.with_extension("aside"), &source).unwrap();
    workspace.run(&["--retry-failed", TUNE]).code(0);
    assert_eq!(fs::read_to_string(tune.taken_weights()).unwrap(), "weights of step 4");
}

#[test]
fn weights_that_are_damaged_where_they_lie_are_not_begun_with() {
    let workspace = Workspace::new().experiment("pre", 4, &[1], "").file(TUNE, &begins(""));
    workspace.run(&[PRE]).code(0);
    fs::write(workspace.runs("pre")[0].checkpoint(4).model(), "something else").unwrap();
    workspace.run(&[TUNE]).code(75).says("is damaged: it does not have the hash in its state.json");
}

#[test]
fn a_need_that_names_nothing_is_refused_with_its_place_and_the_way_out() {
    let workspace = Workspace::new()
        .file(TUNE, &begins(""))
        .file("experiments/x.toml", &small("[queue]\nneeds = [\"y\"]\n"));
    let said = refused(&workspace, &[TUNE]);
    assert!(said.contains("tune.toml:9:8: \"pre\" names no experiment and no run"), "{said}");
    assert!(said.contains("name an experiment, or a run as experiment/run"), "{said}");
    let said = refused(&workspace, &["experiments/x.toml"]);
    assert!(said.contains("x.toml:9:10: \"y\" names no experiment"), "{said}");
    for command in ["plan", "queue", "run"] {
        workspace.overnight(&[command, TUNE]).code(78);
    }
    // A file beside it that may be queued later is something.
    let workspace = workspace.experiment("pre", 4, &[1], "");
    workspace.overnight(&["check", TUNE]).code(0);
    let workspace = workspace.file(PRE, &small("stepz = 3\n"));
    let said = refused(&workspace, &[TUNE]);
    assert!(said.contains("means pre.toml beside this file, which is wrong itself: "), "{said}");
    assert!(said.contains("`stepz`") && said.contains("overnight check experiments/pre.toml"), "{said}");
    assert!(!said.contains("names no experiment"), "{said}");
    let own = small("[queue]\nneeds = [\"own\"]\n");
    let said = refused(&workspace.file("experiments/own.toml", &own), &["experiments/own.toml"]);
    assert!(said.contains("own would wait for itself"), "{said}");
}

#[test]
fn mistakes_of_needs_are_told_beside_all_others_and_what_needs_a_rejected_file_is_not_blamed() {
    let workspace = Workspace::new()
        .file(TUNE, &begins("[queue]\nneeds = [\"nobody\"]\n"))
        .file(PRE, &small("stepz = 3\n"))
        .experiment("good", 4, &[1], "");
    let said = refused(&workspace, &["experiments"]);
    assert!(said.contains("has no setting `stepz`"), "{said}");
    assert!(said.contains("tune.toml:11:10: \"nobody\" names no experiment"), "{said}");
    assert!(!said.contains("\"pre\" names no experiment"), "{said}");
    assert!(said.contains("2 mistakes in 2 files; 1 file is fine"), "{said}");
}

#[test]
fn experiments_that_would_wait_for_each_other_are_refused_by_name() {
    let needing = |need: &str| small(&format!("[queue]\nneeds = [\"{need}\"]\n"));
    let workspace = Workspace::new()
        .file(TUNE, &begins(""))
        .file(PRE, &needing("mid"))
        .file("experiments/mid.toml", &needing("tune"));
    let circle = "these would wait for each other: tune needs pre, which needs mid, which needs tune";
    let said = refused(&workspace, &[TUNE]);
    assert!(said.contains(&format!("tune.toml:9:8: {circle}")), "{said}");
    for command in ["plan", "queue", "run"] {
        workspace.overnight(&[command, TUNE, PRE]).code(78);
    }
    let workspace = workspace.file("experiments/mid.toml", &small(""));
    workspace.overnight(&["check", "experiments"]).code(0);
    // One that is queued by now waits as it was queued.
    workspace.overnight(&["queue", TUNE]).code(0);
    let said = refused(&workspace.file("experiments/mid.toml", &needing("tune")), &["experiments/mid.toml"]);
    assert!(said.contains("mid.toml:9:10: these would wait for each other: mid needs tune"), "{said}");
}

#[test]
fn sizes_that_cannot_fit_and_checkpoints_that_will_be_gone_are_refused_before_the_night() {
    let workspace = Workspace::new().experiment("pre", 8, &[1], "");
    let tune = |more: &str, instead: &str| begins(more).replace("kind = \"mlp\"", instead);
    let workspace = workspace.file(TUNE, &tune("", "kind = \"mlp\"\nhidden = [8]"));
    for queued in [false, true] {
        if queued {
            workspace.overnight(&["queue", PRE]).code(0);
        }
        let said = refused(&workspace, &[TUNE]);
        assert!(said.contains("tune.toml:6:10: model.hidden is [8], and pre, whose weights"), "{said}");
        assert!(said.contains("write [256,128], or begin with other weights"), "{said}");
    }
    let step = |step| format!("file = \"checkpoints/step-0000000{step}/model.safetensors\"\n");
    let workspace = workspace.file(TUNE, &begins(&step(2)));
    let said = refused(&workspace, &[TUNE]);
    assert!(said.contains("tune.toml:10:8: pre keeps its newest 2 checkpoints and its best"), "{said}");
    let workspace = workspace.file(TUNE, &begins(&step(6)));
    workspace.overnight(&["check", TUNE]).code(0);
    workspace.run(&[PRE]).code(0);
    let workspace = workspace.file(TUNE, &begins(&step(7)));
    let said = refused(&workspace, &[TUNE]);
    assert!(said.contains("pre has finished, and has no checkpoints/step-00000007"), "{said}");
    let workspace = workspace.file(TUNE, &begins("file = \"newest\"\n"));
    assert!(refused(&workspace, &[TUNE]).contains("tune.toml:10:8: weights.file cannot be \"newest\""));
    assert!(!lock::is_held(&workspace.path("runs/.runner.lock")));
}

#[test]
fn a_need_that_failed_skips_or_fails_what_needs_it_as_the_file_asks() {
    let needs = |rule: &str| small(&format!("[queue]\nneeds = [\"pre\"]\n{rule}"));
    let workspace = Workspace::new()
        .experiment("pre", 4, &[1], "failonce@2")
        .file("experiments/skips.toml", &needs(""))
        .file("experiments/fails.toml", &needs("needs_failed = \"fail\"\n"));
    let (skips, fails) = ("experiments/skips.toml", "experiments/fails.toml");
    workspace.run(&[PRE]).code(100);
    workspace
        .run(&[skips, "--junit", &workspace.path("skips.xml").display().to_string()])
        .code(75)
        .says("skipped skips/");
    let said =
        workspace.run(&[fails, "--junit", &workspace.path("fails.xml").display().to_string()]).code(100);
    assert!(said.stderr.contains("pre did not finish (starts once that has: overnight retry pre)"));
    assert_eq!((workspace.words("skips"), workspace.words("fails")), (vec!["waiting"], vec!["waiting"]));
    let xml = fs::read_to_string(workspace.path("fails.xml")).unwrap();
    assert!(xml.contains("failures=\"1\"") && xml.contains("failed: pre did not finish"), "{xml}");
    let status = workspace.overnight(&["status"]).code(0).stdout;
    let line = |name: &str| status.lines().find(|line| line.contains(name)).unwrap().to_owned();
    assert!(line("skips").contains("skipped") && line("skips").contains("pre did not finish"), "{status}");
    assert!(line("fails").contains("failed") && line("fails").contains("pre did not finish"), "{status}");
    workspace.overnight(&["report"]).code(0);
    let index = fs::read_to_string(workspace.path("reports/index.html")).unwrap();
    assert!(index.contains("pre, which it needs, did not finish"), "the page names what failed");
    workspace.run(&["--retry-failed"]).code(0);
    assert_eq!((workspace.words("skips"), workspace.words("fails")), (vec!["finished"], vec!["finished"]));
}

#[test]
fn text_of_another_run_is_copied_once_and_holds_the_run_when_it_is_not_the_same_any_more() {
    let text = |files: &str| {
        format!(
            "notes = \"failonce@1\"\n[data]\nkind = \"text\"\nfiles = [\"{files}\"]\n[model]\nkind = \"gpt\"\n\
             [train]\nsteps = 2\n[evaluate]\nevery = 0\n"
        )
    };
    let workspace = Workspace::new().file(TUNE, &text("pre:metrics.csv"));
    let said = refused(&workspace, &[TUNE]);
    assert!(said.contains("tune.toml:4:9: \"pre\" names no experiment and no run"), "{said}");
    let workspace = workspace.experiment("pre", 4, &[2, 1], "");
    let plan = workspace.overnight(&["plan", TUNE, PRE]).code(0).stdout;
    assert!(plan.contains("metrics.csv of pre"), "{plan}");
    workspace.run(&[TUNE, PRE]).code(100);
    let (tune, best) = (workspace.runs("tune").remove(0), workspace.seed("pre", 1));
    let first = starts(&tune).remove(0).text.remove(0);
    assert_eq!((first.run, first.file), (best.name(), "metrics.csv".to_owned()));
    let copy = tune.path().join(&first.path);
    assert_eq!(fs::read(&copy).unwrap(), fs::read(best.metrics()).unwrap());
    let kept = fs::read(&copy).unwrap();
    fs::write(&copy, "other text").unwrap();
    workspace
        .run(&["--retry-failed", TUNE])
        .code(100)
        .says("from which it learned what pre/")
        .says("has changed");
    fs::write(&copy, kept).unwrap();
    workspace.run(&["--retry-failed", TUNE]).code(0);
    workspace.overnight(&["report"]).code(0);
    let page = workspace.path(&format!("reports/runs/{}/index.html", full_name(&tune)));
    assert!(
        fs::read_to_string(page).unwrap().contains(&format!("It learned from text of {}", full_name(&best)))
    );
    let workspace = workspace.file("experiments/gone.toml", &text("pre:samples/*.json"));
    workspace.run(&["experiments/gone.toml"]).code(75).says("samples/*.json: matches no file");
}

#[test]
fn what_a_rule_deleted_has_finished_for_an_order_and_is_named_where_its_result_is_to_be_taken() {
    let workspace = Workspace::new()
        .experiment("pre", 4, &[1], "")
        .file(TUNE, &begins(""))
        .file("experiments/after.toml", &small("[queue]\nneeds = [\"pre\"]\n"));
    workspace.overnight(&["queue", TUNE]).code(0);
    workspace.run(&[PRE]).code(0);
    let pre = workspace.runs("pre").remove(0);
    overnight::run_dir::deleted::remember(&pre, "untouched for 30 days").unwrap();
    fs::remove_dir_all(pre.path()).unwrap();
    fs::remove_file(workspace.path(PRE)).unwrap();
    let said = refused(&workspace, &[TUNE]);
    let gone = format!("{} was deleted by a rule on ", full_name(&pre));
    assert!(said.contains(&gone) && said.contains("overnight run pre.toml --again"), "{said}");
    workspace.run(&["experiments/after.toml"]).code(0);
    assert_eq!(workspace.words("after"), ["finished"]);
    workspace.run(&[]).says(&format!("it takes a result of pre, and {gone}"));
    assert_eq!(workspace.words("tune"), ["waiting"]);
}
