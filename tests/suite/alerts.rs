//! Alert rules and budgets from the experiment file to the exit code, with the fake worker: its loss after
//! step n is the seed plus 1/n.

use std::fs;

use overnight::run_dir::checkpoint::State;
use overnight::run_dir::records::{Ask, Event, What};
use overnight::run_dir::write::{Durability, append_line};
use overnight::run_dir::{RunDir, alerts, read, scan};
use quick_junit::{NonSuccessKind, Report, TestCaseStatus};

use crate::workspace::{Workspace, ends, look, starts, step, wait_until};

const X: &str = "experiments/x.toml";

/// A workspace with an experiment of six steps, rows and checkpoints at every second step, and these
/// further lines.
fn workspace(seeds: &[u64], notes: &str, more: &str) -> Workspace {
    let workspace = Workspace::new().experiment("x", 6, seeds, notes);
    appended(workspace, more)
}

fn appended(workspace: Workspace, more: &str) -> Workspace {
    let text = fs::read_to_string(workspace.path(X)).unwrap() + more;
    workspace.file(X, &text)
}

fn told(run: &RunDir) -> Vec<(u64, String)> {
    alerts::read(run).into_iter().map(|told| (told.step, told.message)).collect()
}

#[test]
fn a_warning_is_told_once_and_the_run_goes_on() {
    let workspace = workspace(&[1], "", "[[alerts]]\nwhen = \"train/loss < 1.4\"\n");
    let line = "at step 3: train/loss < 1.4: it is 1.3333";
    let output =
        workspace.run(&[X]).code(0).says(&format!("alert    x/{} {line}", workspace.seed("x", 1).name()));
    assert_eq!(output.stderr.matches("alert ").count(), 1, "{}", output.stderr);
    assert!(output.stdout.contains(&format!("1 alert {line}")), "{}", output.stdout);
    let run = workspace.seed("x", 1);
    assert_eq!(told(&run), [(3, "train/loss < 1.4: it is 1.3333".to_owned())]);
    let events: Vec<_> = workspace.events().into_iter().filter(|event| event.event == "alert").collect();
    assert_eq!(
        (events.len(), events[0].run.clone(), events[0].message.as_str()),
        (1, Some(run.name()), line)
    );

    let status = workspace.spawn(&["status", "--json"]).wait().code(0).stdout;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["runs"][0]["alerts"][0]["rule"], "train/loss < 1.4");
    assert_eq!(status["runs"][0]["alerts"][0]["action"], "warn");
}

#[test]
fn a_rule_stops_a_run_at_its_row_and_a_resumed_one_goes_on_from_there() {
    for (action, word) in [("stop", "stopped"), ("pause", "paused")] {
        let rule = format!("[[alerts]]\nname = \"low\"\nwhen = \"train/loss < 1.4\"\ndo = \"{action}\"\n");
        let workspace = workspace(&[1], "", &rule);
        workspace.run(&[X]).code(0).says(&format!("{word} x/")).says("alert: low");
        let run = workspace.seed("x", 1);
        let seen = look(&run);
        assert_eq!(seen.status.word(), word);
        assert_eq!((seen.requests.len(), seen.requests[0].who.as_str()), (1, "alert: low"));
        let end = &ends(&run)[0];
        assert_eq!((end.code, end.checkpoint, end.why.as_str()), (Some(75), Some(3), "ended by alert: low"));
        let status = workspace.spawn(&["status"]).wait().code(0).stdout;
        assert!(
            status.contains("by alert: low; 1 alert at step 3: low: train/loss < 1.4: it is 1.3333"),
            "{status}"
        );
        let heard: Vec<String> = workspace
            .events()
            .into_iter()
            .filter(|event| event.event == "alert")
            .map(|event| event.message)
            .collect();
        assert!(heard[0].starts_with("at step 3: low: train/loss < 1.4"), "{heard:?}");

        workspace.spawn(&["resume", "x"]).wait().code(0);
        workspace.run(&[X]).code(0);
        assert_eq!(workspace.words("x"), ["finished"]);
        assert_eq!(starts(&run)[1].checkpoint, Some(3));
        assert_eq!(told(&run).len(), 1, "it has not stopped being true, so it is not told again");
    }
}

#[test]
fn a_rule_that_comes_true_at_the_last_step_does_not_take_the_result_away() {
    let workspace = workspace(&[1], "", "[[alerts]]\nwhen = \"train/loss < 1.17\"\ndo = \"stop\"\n");
    workspace.run(&[X]).code(0);
    assert_eq!(workspace.words("x"), ["finished"]);
    assert_eq!((told(&workspace.seed("x", 1)).len(), look(&workspace.seed("x", 1)).requests.len()), (1, 0));
}

#[test]
fn what_a_rule_remembers_survives_a_kill() {
    let rule = "[[alerts]]\nwhen = \"train/loss < 1.6\"\n";
    let workspace = workspace(&[1], "kill@5", rule);
    workspace.run(&[X]).code(0);
    let run = workspace.seed("x", 1);
    assert_eq!(starts(&run)[1].checkpoint, Some(4));
    assert_eq!(told(&run).len(), 1);
    let state: State = read::json(&run.checkpoint(4).state()).unwrap();
    assert!(state.alerts[0].fired);
}

#[test]
fn the_runner_watches_the_machine_and_asks_as_a_person_would() {
    let rules =
        "[[alerts]]\nwhen = \"disk free > 1 B\"\ndo = \"pause\"\n[[alerts]]\nwhen = \"disk free < 1 B\"\n";
    let workspace = workspace(&[1], "hold@2", rules);
    workspace.run(&[X]).code(0).says("disk free > 1 B: it is").says("(pauses)");
    let run = workspace.seed("x", 1);
    let seen = look(&run);
    assert_eq!(seen.status.word(), "paused");
    let request = &seen.requests[0];
    assert_eq!((request.who.as_str(), &request.ask), ("alert: disk free > 1 B", &Ask::Pause));
    let lines: Vec<Event> = read::lines(&run.alerts()).unwrap().records;
    assert!(matches!(&lines[0].what, What::Alert { rule: Some(rule), .. } if rule == "disk free > 1 B"));
    assert_eq!(lines.len(), 1);
    assert!(workspace.events().iter().any(|event| event.event == "alert"));
}

#[test]
fn rules_of_the_workspace_hold_for_what_is_queued_and_can_watch_it() {
    let rules = "[[alerts]]\nwhen = \"train/loss < 1.4\"\n[[alerts]]\nwhen = \"val/perplexity > 1\"\n";
    let workspace = workspace(&[1], "", "").file("overnight.toml", rules);
    workspace.run(&[X]).code(0);
    let run = workspace.seed("x", 1);
    let record = read::run_record(&run).unwrap();
    let names: Vec<String> = record.alerts.iter().map(|alert| alert.name()).collect();
    assert_eq!(names, ["train/loss < 1.4"], "a classifier has no perplexity");
    assert_eq!(told(&run).len(), 1);
}

#[test]
fn a_rule_that_only_watches_makes_no_other_run_and_one_that_lowers_the_rate_does() {
    let workspace = workspace(&[1], "", "");
    workspace.run(&[X]).code(0);
    let workspace = appended(workspace, "[[alerts]]\nwhen = \"val/loss > 5\"\n");
    workspace.run(&[X]).code(0);
    assert_eq!(workspace.runs("x").len(), 1);
    let workspace = appended(workspace, "do = \"reduce-lr\"\n");
    workspace.run(&[X]).code(0);
    assert_eq!(workspace.runs("x").len(), 2);
}

#[test]
fn check_refuses_a_rule_that_cannot_be() {
    let refused = |more: &str| workspace(&[1], "", more).spawn(&["check", X]).wait().code(78).stderr;
    let typing_error = refused("[[alerts]]\nwhen = \"val/los > 5\"\n");
    assert!(typing_error.contains("x.toml:14:9: there is no metric `val/los`"), "{typing_error}");
    assert!(typing_error.contains("did you mean `val/loss`?"), "{typing_error}");
    let rate = refused("[[alerts]]\nwhen = \"images_per_second < 5\"\ndo = \"reduce-lr\"\n");
    assert!(rate.contains("could not be replayed"), "{rate}");
    let never = refused("[[budgets]]\nrequire = \"val/loss < 5 at step 7\"\n");
    assert!(never.contains("x.toml:14:25: the run ends at step 6"), "{never}");
}

#[test]
fn a_missed_budget_makes_the_exit_code_100_whenever_its_file_is_named() {
    let budgets = "[[budgets]]\nrequire = \"train/loss < 2\"\n[[budgets]]\nrequire = \"elapsed < 1 d\"\n";
    let hooks = "[[hooks]]\non = [\"batch-finished\"]\ncommand = 'cat > told.json'\n";
    let workspace = workspace(&[1, 2], "", budgets).file("overnight.toml", hooks);
    let missed = "train/loss < 2: it was 2.1667";
    let output = workspace.run(&[X, "--junit", "ci.xml"]).code(100).says(missed);
    assert_eq!(workspace.words("x"), ["finished"; 2]);
    assert!(output.stdout.contains(&format!("missed {missed}")), "{}", output.stdout);
    assert_eq!(workspace.batch_record().exit_code, Some(100));
    let name = format!("x/{}", workspace.seed("x", 2).name());
    let told: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(workspace.path("told.json")).unwrap()).unwrap();
    let words = format!("missed {name}: {missed} (exit code 100)");
    assert!(told["message"].as_str().unwrap().ends_with(&words), "{told}");
    assert_eq!(told["missed"][0]["run"], name.as_str());

    let text = fs::read_to_string(workspace.path("ci.xml")).unwrap();
    let report = Report::deserialize_from_str(&text).unwrap();
    assert_eq!((report.tests, report.failures, report.errors, report.skipped), (6, 1, 0, 0));
    let cases = &report.test_suites[0].test_cases;
    let name = workspace.seed("x", 2).name();
    let failed = cases.iter().find(|case| matches!(case.status, TestCaseStatus::NonSuccess { .. })).unwrap();
    assert_eq!(failed.name.as_str(), format!("{name}: train/loss < 2"));

    workspace.run(&[X]).code(100).says(missed);
    assert_eq!(workspace.batches(), 1, "it is judged again, and nothing is trained");
    workspace.run(&[]).code(0);
    let workspace = appended(workspace, "[[budgets]]\nrequire = \"train/loss < 3\"\n");
    workspace.run(&[X]).code(100).says("and 1 more were queued with other alerts or budgets");
    let status = workspace.spawn(&["status", "--json"]).wait().code(0).stdout;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let verdict = &status["runs"][1]["budgets"][0];
    assert_eq!((verdict["met"].as_bool(), verdict["budget"].as_str()), (Some(false), Some("train/loss < 2")));
}

#[test]
fn a_run_that_a_rule_stopped_has_missed_its_budgets_and_one_that_a_person_stopped_has_not() {
    let rules =
        "[[budgets]]\nrequire = \"train/loss < 2\"\n[[alerts]]\nwhen = \"train/loss < 1.4\"\ndo = \"stop\"\n";
    let workspace = workspace(&[1], "", rules);
    workspace.run(&[X]).code(100).says("train/loss < 2: the run was ended by alert: train/loss < 1.4");
    workspace.spawn(&["resume", "x"]).wait().code(0);
    workspace.spawn(&["stop", "x"]).wait().code(0);
    workspace.run(&[X]).code(0);
}

#[test]
fn a_batch_that_was_interrupted_writes_its_report_for_ci_whole() {
    let budgets = "[[budgets]]\nrequire = \"train/loss < 2\"\n";
    let workspace = workspace(&[1, 2, 3, 4], "s1:fail@3 s2:hold@2", budgets);
    let runner = workspace.start(&[X, "--junit", "ci.xml", "--breaker", "0"]);
    crate::workspace::wait_until("the second run holds", || {
        workspace.runs("x").len() == 4 && crate::workspace::step(&workspace.seed("x", 2)) == 2
    });
    runner.signal(rustix::process::Signal::INT);
    runner.wait().code(75);
    let text = fs::read_to_string(workspace.path("ci.xml")).unwrap();
    let report = Report::deserialize_from_str(&text).unwrap();
    assert_eq!((report.tests, report.failures, report.errors, report.skipped), (8, 1, 0, 7));
    let of_first = &report.test_suites[0].test_cases;
    let failed = of_first
        .iter()
        .find(|case| matches!(case.status, TestCaseStatus::NonSuccess { kind: NonSuccessKind::Failure, .. }));
    assert_eq!(failed.unwrap().name.as_str(), workspace.seed("x", 1).name());
}

#[test]
fn alerts_and_budgets_stand_on_the_pages() {
    let rules = "[[alerts]]\nname = \"low <b>\"\nwhen = \"train/loss < 1.4\"\n\
                 [[alerts]]\nwhen = \"disk free > 1 B\"\n[[alerts]]\nwhen = \"val/loss > 5\"\n\
                 [[budgets]]\nrequire = \"train/loss < 2\"\n[[budgets]]\nrequire = \"train/loss < 1\"\n";
    let workspace = workspace(&[1], "hold@4", rules);
    let runner = workspace.start(&[X]);
    crate::workspace::wait_until("both rules were told of", || {
        workspace.runs("x").first().is_some_and(|run| told(run).len() == 2)
    });
    runner.signal(rustix::process::Signal::INT);
    runner.wait().code(75);
    workspace.spawn(&["report"]).wait().code(0);
    let index = || fs::read_to_string(workspace.path("reports/index.html")).unwrap();
    let (alerts, name) = (index(), workspace.seed("x", 1).name());
    assert!(alerts.contains("<h2>Alerts</h2>") && alerts.contains("disk free &gt; 1 B"), "{alerts}");
    assert!(alerts.contains(&format!("title=\"x/{name}\"")), "{alerts}");

    workspace.run(&[]).code(100);
    workspace.spawn(&["report"]).wait().code(0);
    let page = fs::read_to_string(workspace.path(&format!("reports/runs/x/{name}/index.html"))).unwrap();
    for words in [
        "<h2>Alerts</h2>",
        "<td class=\"n\">step 3</td><td class=\"wrap\">train/loss &lt; 1.4: it is 1.3333</td>",
        "<td class=\"soft wrap\">low &lt;b&gt;</td>",
        "disk free &gt; 1 B: it is",
        "Watched for and not seen: val/loss &gt; 5",
        "<h2>Budgets</h2>",
        "it was 1.1667",
    ] {
        assert!(page.contains(words), "{words} is not on the page:\n{page}");
    }
    assert_eq!((page.matches(">met<").count(), page.matches(">missed<").count()), (1, 1));
    assert!(index().contains("<h2>Budgets missed</h2>"), "{}", index());
    assert!(!index().contains("train/loss &lt; 1.4"), "that was told in the batch before the last");
}

#[test]
fn what_a_worker_told_while_no_runner_lived_is_passed_on_once_by_the_next() {
    let hooks = "[[hooks]]\non = [\"alert\"]\ncommand = 'cat >> told.json; echo >> told.json'\n";
    let workspace = workspace(&[1], "hold@4", "[[alerts]]\nwhen = \"train/loss < 1.4\"\n");
    let workspace = workspace.file("overnight.toml", hooks);
    let holds = || workspace.runs("x").iter().any(|run| step(run) == 4);
    let told = || fs::read_to_string(workspace.path("told.json")).unwrap_or_default();
    let first = workspace.start(&[X]);
    wait_until("the first alert is told", || holds() && told().contains("at step 3"));
    first.kill();
    let run = workspace.seed("x", 1);
    let what = What::Alert { message: "it is late".to_owned(), rule: None, action: None };
    let event = Event { time: scan::now(), attempt: 1, step: 4, what };
    append_line(&run.events(), &event, Durability::Rebuildable).unwrap();
    let second = workspace.start(&[]);
    wait_until("the other alert is told", || told().contains("it is late"));
    second.kill();
    workspace.spawn(&["stop", "--all"]).wait().code(0);
    let lines: Vec<String> = told().lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
    assert_eq!(lines.len(), 2, "each is told once: {lines:?}");
}

#[test]
fn what_a_worker_told_before_it_finished_alone_is_passed_on_once_by_a_runner_that_finds_no_work() {
    let hooks = "[[hooks]]\non = [\"alert\"]\ncommand = 'cat >> told.json; echo >> told.json'\n\
                 [[hooks]]\non = [\"alert\"]\ncommand = [\"overnight-no-such-program\"]\n";
    let workspace = workspace(&[1], "await@4", "[[alerts]]\nwhen = \"train/loss < 1.2\"\n");
    let workspace = workspace.file("overnight.toml", hooks);
    let runner = workspace.start(&[X]);
    wait_until("it waits for a word", || workspace.runs("x").iter().any(|run| step(run) == 4));
    runner.kill();
    let run = workspace.seed("x", 1);
    fs::write(run.path().join("go-on"), "").unwrap();
    wait_until("it finishes alone", || look(&run).status.word() == "finished");
    let told = || fs::read_to_string(workspace.path("told.json")).unwrap_or_default();
    assert_eq!(told(), "", "nobody was there to tell");

    let line = "at step 6: train/loss < 1.2: it is 1.1667";
    let output = workspace.run(&[]).code(0).says(&format!("alert    x/{} {line}", run.name()));
    assert!(output.stderr.contains("overnight-no-such-program is not there"), "{}", output.stderr);
    let fact: serde_json::Value = serde_json::from_str(&told()).unwrap();
    assert_eq!((&fact["message"], &fact["batch"]), (&line.into(), &workspace.batch().name().into()));
    assert_eq!(workspace.batches(), 1, "there was nothing to begin one for");
    let events: Vec<String> = workspace.events().into_iter().map(|event| event.event).collect();
    assert_eq!(events[events.len() - 3..].iter().filter(|event| event.starts_with("hook")).count(), 2);
    let before = told();
    let output = workspace.run(&[]).code(0);
    assert!(!output.stderr.contains("alert "), "{}", output.stderr);
    assert_eq!(told(), before, "once is enough");
}
