//! `overnight run` as a person sees it, with the fake worker.

use std::fs;

use overnight::experiment::settings::Precision;
use overnight::run_dir::lock;
use overnight::run_dir::metrics::Metrics;
use overnight::run_dir::records::{Ask, Device};
use rustix::process::{Pid, Signal, kill_process};

use crate::workspace::{Workspace, ends, is_alive, look, starts, step, wait_until};

const X: &str = "experiments/x.toml";

#[test]
fn a_sweep_runs_in_order_and_is_finished() {
    let workspace = Workspace::new().experiment("x", 6, &[1, 2, 3], "");
    workspace.run(&[X]).code(0);
    assert_eq!(workspace.words("x"), ["finished"; 3]);
    let order: Vec<_> = workspace.events().into_iter().filter(|e| e.event == "run-started").collect();
    let names: Vec<_> = workspace.runs("x").iter().map(|run| Some(run.name())).collect();
    assert_eq!(order.into_iter().map(|event| event.run).collect::<Vec<_>>(), names);

    let batch = workspace.batch_record();
    assert_eq!((batch.exit_code, batch.plan.len(), batch.plan[0].steps), (Some(0), 3, 6));
    assert!(batch.end >= Some(batch.start));
    let run = workspace.seed("x", 2);
    let end = &ends(&run)[0];
    assert_eq!((end.code, end.checkpoint, end.why.as_str()), (Some(0), Some(6), "finished"));
    let start = &starts(&run)[0];
    assert!(matches!(start.device, Device::Cpu { .. }), "{start:?}");
    assert_eq!((start.attempt, start.precision, start.checkpoint), (1, Precision::Fp32, None));
    assert_eq!(start.batch, Some(workspace.batch().name()));
    assert_eq!(Metrics::read(&run.metrics()).unwrap().column("step").unwrap().last(), Some(6.0));
}

#[test]
fn slots_work_side_by_side_and_share_the_threads() {
    let workspace = Workspace::new().experiment("x", 4, &[1, 2], "hold@2");
    let runner = workspace.start(&[X, "--slots", "2"]);
    wait_until("both hold", || workspace.runs("x").iter().filter(|run| step(run) == 2).count() == 2);
    assert_eq!(workspace.words("x"), ["running"; 2]);
    let batch = workspace.batch_record();
    assert_eq!(batch.slots, 2);
    let cores = std::thread::available_parallelism().unwrap().get() as u32;
    assert_eq!(batch.threads_per_slot, (cores / 2).max(1));
    assert_eq!(starts(&workspace.seed("x", 1))[0].threads, batch.threads_per_slot);
    runner.signal(Signal::INT);
    runner.wait().code(75);
}

#[test]
fn a_failed_run_does_not_hold_up_the_others() {
    let workspace = Workspace::new().experiment("x", 6, &[1, 2, 3], "s2:fail@3");
    let output = workspace.run(&[X]).code(100).says("told to fail at step 3").says("overnight logs x/");
    assert_eq!(workspace.words("x"), ["finished", "failed", "finished"]);
    assert!(output.stdout.contains("failed"), "{}", output.stdout);
    let end = &ends(&workspace.seed("x", 2))[0];
    assert_eq!((end.code, end.why.as_str()), (Some(1), "told to fail at step 3"));

    let again = workspace.run(&[]).code(100).says("overnight run --retry-failed");
    assert!(!again.stderr.contains("started"), "{}", again.stderr);
    assert_eq!(workspace.batches(), 1, "nothing was to be done, so nothing was begun");
}

#[test]
fn failed_runs_are_tried_again_on_request_and_once() {
    let workspace = Workspace::new().experiment("x", 6, &[1, 2], "s1:failonce@3 s2:fail@3");
    workspace.run(&[X]).code(100);
    workspace.run(&["--retry-failed"]).code(100);
    assert_eq!(workspace.words("x"), ["finished", "failed"]);
    assert_eq!(starts(&workspace.seed("x", 1)).len(), 2);
    assert_eq!(starts(&workspace.seed("x", 1))[1].checkpoint, Some(2));
    assert_eq!(starts(&workspace.seed("x", 2)).len(), 2, "however it ended, it was tried once");
}

#[test]
fn what_is_finished_is_not_done_again_and_a_grown_sweep_adds_the_new_only() {
    let workspace = Workspace::new().experiment("x", 4, &[1], "");
    workspace.run(&[X]).code(0);
    workspace.run(&[X]).code(0);
    assert_eq!(workspace.batches(), 1);
    let workspace = workspace.experiment("x", 4, &[1, 2], "");
    workspace.run(&[X]).code(0);
    assert_eq!(workspace.words("x"), ["finished"; 2]);
    assert_eq!(workspace.batch_record().plan.len(), 1);
    assert_eq!(starts(&workspace.seed("x", 1)).len(), 1);
}

#[test]
fn a_killed_worker_goes_on_from_its_checkpoint() {
    let workspace = Workspace::new().experiment("x", 6, &[1], "kill@5").experiment("y", 6, &[1], "");
    workspace.run(&[X]).code(0).says("killed by SIGKILL (9)").says("goes on from its last checkpoint");
    let run = workspace.seed("x", 1);
    assert_eq!(look(&run).status.word(), "finished");
    let end = &ends(&run)[0];
    assert_eq!((end.code, end.signal, end.checkpoint), (None, Some(9), Some(4)));
    let start = &starts(&run)[1];
    assert_eq!((start.attempt, start.checkpoint), (2, Some(4)));
    assert!(start.why.starts_with("goes on from step 4 (before: killed by SIGKILL (9)"), "{}", start.why);

    workspace.run(&["experiments/y.toml"]).code(0);
    let rows = |path: std::path::PathBuf| {
        let metrics = Metrics::read(&path).unwrap();
        metrics.points("step", "train/loss").collect::<Vec<_>>()
    };
    assert_eq!(rows(run.metrics()), rows(workspace.seed("y", 1).metrics()), "as if nothing had happened");
}

#[test]
fn a_worker_that_dies_without_coming_further_runs_out_of_retries() {
    let workspace = Workspace::new().experiment("x", 6, &[1, 2], "s1:killalways@1");
    workspace.run(&[X]).code(100).says("no retries left");
    assert_eq!(workspace.words("x"), ["killed", "finished"]);
    assert_eq!(starts(&workspace.seed("x", 1)).len(), 4, "three retries after the first");
}

#[test]
fn a_worker_that_ends_well_without_a_result_is_held_in_the_end() {
    let workspace = Workspace::new().experiment("x", 6, &[1, 2], "s1:vanish@1");
    workspace.run(&[X]).code(75).says("held: it ended 4 times without a new checkpoint");
    assert_eq!(workspace.words("x"), ["waiting", "finished"]);
}

#[test]
fn ctrl_c_lets_workers_checkpoint_and_the_next_call_goes_on() {
    let workspace = Workspace::new().experiment("x", 6, &[1, 2], "s1:hold@3");
    let runner = workspace.start(&[X]);
    let held = || workspace.runs("x").len() == 2 && step(&workspace.seed("x", 1)) == 3;
    wait_until("the first run holds", held);
    runner.signal(Signal::INT);
    runner.wait().code(75).says("once more: at once").says(": for the next overnight run");
    assert_eq!(workspace.words("x"), ["waiting"; 2]);
    let run = workspace.seed("x", 1);
    assert_eq!((ends(&run)[0].code, ends(&run)[0].checkpoint), (Some(75), Some(3)));
    assert!(workspace.queue_state().drain);
    assert_eq!(workspace.batch_record().exit_code, Some(75));

    workspace.run(&[]).code(0);
    assert_eq!(workspace.words("x"), ["finished"; 2]);
    assert_eq!(starts(&run)[1].checkpoint, Some(3));
}

#[test]
fn a_second_signal_ends_at_once_and_costs_no_retry() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let workspace = Workspace::new().experiment("x", 6, &[1], "deaf@3");
        let runner = workspace.start(&[X]);
        wait_until("it is deaf", || workspace.runs("x").iter().any(|run| step(run) == 3));
        let run = workspace.seed("x", 1);
        runner.signal(Signal::INT);
        wait_until("the first is heard", || runner.said().contains("once more: at once"));
        assert!(lock::is_held(&run.alive_lock()));
        runner.signal(signal);
        runner.wait().code(code);
        assert!(!lock::is_held(&run.alive_lock()), "the worker is gone");
        let end = &ends(&run)[0];
        assert_eq!((end.code, end.signal), (None, None), "{end:?}");
        assert_eq!(end.why, "ended at once by a second signal");
        assert_eq!(workspace.words("x"), ["waiting"]);
    }
}

#[test]
fn a_worker_that_was_asked_before_it_could_listen_costs_no_retry() {
    let workspace = Workspace::new().experiment("x", 6, &[1], "hold@3").variable("FAKE_UNPREPARED", "1");
    let runner = workspace.start(&[X]);
    wait_until("the run holds", || workspace.runs("x").iter().any(|run| step(run) == 3));
    runner.signal(Signal::INT);
    runner.wait().code(75);
    let end = &ends(&workspace.seed("x", 1))[0];
    assert_eq!((end.code, end.signal), (None, None), "{end:?}");
    assert_eq!(end.why, "ended as asked, before it began");
}

#[test]
fn a_second_runner_changes_nothing_and_says_who_is_at_work() {
    let workspace = Workspace::new().experiment("x", 6, &[1], "hold@3").experiment("y", 6, &[1], "");
    let runner = workspace.start(&[X]);
    wait_until("the run holds", || workspace.runs("x").iter().any(|run| step(run) == 3));
    let words = format!("batch {}", workspace.batch().name());
    let second = workspace.run(&["experiments/y.toml"]).code(75);
    let second = second.says("another runner works in this workspace since ").says(&words);
    second.says("overnight queue FILE");
    assert_eq!(workspace.runs("y"), [], "nothing was queued");
    assert_eq!(workspace.batches(), 1);
    runner.signal(Signal::INT);
    runner.wait().code(75);
}

#[test]
fn a_worker_outlives_its_runner_and_is_adopted_by_the_next() {
    let workspace = Workspace::new().experiment("x", 6, &[1, 2], "s1:hold@3");
    let runner = workspace.start(&[X]);
    let held = || workspace.runs("x").len() == 2 && step(&workspace.seed("x", 1)) == 3;
    wait_until("the first run holds", held);
    runner.kill();
    let run = workspace.seed("x", 1);
    assert!(lock::is_held(&run.alive_lock()), "the worker lives");

    let next = workspace.start(&[X]);
    wait_until("it is adopted", || next.said().contains("adopted"));
    assert_eq!(starts(&run).len(), 1, "no second worker was started");
    next.signal(Signal::INT);
    next.wait().code(75);
    let end = &ends(&run)[0];
    assert_eq!((end.code, end.checkpoint), (None, Some(3)), "nobody saw its exit code");
    assert_eq!(end.why, "asked to end (nobody watched)");
    workspace.run(&[]).code(0);
    assert_eq!(workspace.words("x"), ["finished"; 2]);
    assert_eq!(starts(&run).len(), 2);
}

#[test]
fn a_run_that_nobody_saw_end_goes_on() {
    let workspace = Workspace::new().experiment("x", 6, &[1], "hold@5");
    let runner = workspace.start(&[X]);
    wait_until("the run holds", || workspace.runs("x").iter().any(|run| step(run) == 5));
    let run = workspace.seed("x", 1);
    let worker: i32 = fs::read_to_string(run.alive_lock()).unwrap().trim().parse().unwrap();
    runner.kill();
    kill_process(Pid::from_raw(worker).unwrap(), Signal::KILL).unwrap();
    wait_until("its lock is free", || !lock::is_held(&run.alive_lock()));
    assert_eq!(workspace.words("x"), ["lost"]);
    workspace.run(&[]).code(0);
    assert_eq!(workspace.words("x"), ["finished"]);
    assert_eq!(starts(&run)[1].checkpoint, Some(4));
    assert!(ends(&run)[0].why.contains("not seen"), "{:?}", ends(&run));
}

#[test]
fn a_request_ends_one_run_while_the_others_go_on() {
    let workspace = Workspace::new().experiment("x", 6, &[1, 2], "s1:hold@3");
    let runner = workspace.start(&[X]);
    let held = || workspace.runs("x").len() == 2 && step(&workspace.seed("x", 1)) == 3;
    wait_until("the first run holds", held);
    overnight::queue::request(&workspace.seed("x", 1), Ask::Pause).unwrap();
    runner.wait().code(0);
    assert_eq!(workspace.words("x"), ["paused", "finished"]);
    assert_eq!(ends(&workspace.seed("x", 1))[0].code, Some(75));
    workspace.run(&[]).code(0).says("paused x/");
    assert_eq!(workspace.words("x"), ["paused", "finished"], "it stays as it is");
}

#[test]
fn what_waits_has_a_reason_and_an_estimate() {
    let workspace = Workspace::new().experiment("x", 6, &[1], "").experiment("x2", 6, &[1], "");
    workspace.run(&[X]).code(0);
    let workspace = workspace.experiment("x", 6, &[1, 2, 3], "s2:hold@3");
    let runner = workspace.start(&[X]);
    wait_until("the second batch has told its queue", || {
        workspace.batches() == 2 && workspace.queue_state().waiting.len() == 1
    });
    let state = workspace.queue_state();
    assert_eq!(state.waiting[0].run, workspace.seed("x", 3).name());
    assert_eq!(state.waiting[0].reason, "for a free slot");
    let (start, end) = (state.waiting[0].start.unwrap(), state.waiting[0].end.unwrap());
    assert!((end - start - 0.06).abs() < 0.01, "six steps took 0.06 s before: {start} to {end}");
    assert!(state.end >= Some(end));
    wait_until("the run holds", || step(&workspace.seed("x", 2)) == 3);
    runner.signal(Signal::INT);
    runner.wait().code(75);
}

#[test]
fn a_worker_of_another_protocol_is_refused_in_a_sentence() {
    let workspace = Workspace::new().experiment("x", 4, &[1], "").variable("FAKE_PROTOCOL", "99");
    workspace.run(&[X]).code(1).says("speaks protocol 99, this overnight speaks 1");
    assert_eq!(workspace.words("x"), ["waiting"], "queued, and nothing was started");
    assert_eq!(workspace.batches(), 0);
}

#[test]
fn results_go_to_standard_output_and_talk_to_standard_error() {
    let workspace = Workspace::new().experiment("x", 4, &[1], "");
    let output = workspace.run(&[X]).code(0).says("started  x/").says("finished x/");
    assert!(!output.stdout.contains("started"), "{}", output.stdout);
    assert!(output.stdout.contains("finished"), "{}", output.stdout);
    let log = fs::read_to_string(workspace.seed("x", 1).stderr_log()).unwrap();
    assert_eq!(log, "attempt 1 begins\n", "what the worker says stays in its directory");
    assert!(!output.stderr.contains("attempt 1 begins"));
}

#[test]
fn damaged_and_foreign_directories_are_named_and_harm_no_run() {
    let workspace = Workspace::new()
        .experiment("x", 4, &[1], "")
        .file("runs/x/empty/.keep", "")
        .file("runs/x/newer/run.json", "{\"protocol\": 99}")
        .file("runs/x/torn/run.json", "{\"protocol\": 1, \"exper")
        .file("runs/stray.txt", "not a run")
        .file("runs/<b>bold<b>/odd name/notes", "made by hand");
    workspace.run(&[X]).code(0);
    let output = workspace.run(&[]).code(0);
    let output = output.says("has protocol 99, this program speaks 1").says("unreadable x/empty");
    output.says("unreadable x/torn").says("odd name");
    let workspace = workspace.experiment("x", 4, &[1, 2], "");
    workspace.run(&[X]).code(0);
    workspace.spawn(&["status"]).wait().code(0);
}

#[test]
fn telemetry_is_sampled_for_the_batch_and_for_each_run() {
    let workspace = Workspace::new().experiment("x", 4, &[1], "hold@2");
    let runner = workspace.start(&[X]);
    let rows = |path: &std::path::Path| fs::read_to_string(path).unwrap_or_default().lines().count();
    wait_until("a run's sample", || workspace.runs("x").iter().any(|run| rows(&run.telemetry()) > 1));
    assert!(rows(&workspace.batch().telemetry()) > 1);
    let text = fs::read_to_string(workspace.seed("x", 1).telemetry()).unwrap();
    assert!(text.starts_with("time,cpu_percent,memory_bytes,"), "{text}");
    let columns = |line: &str| line.split(',').count();
    let widths: Vec<usize> = text.lines().map(columns).collect();
    assert!(widths.windows(2).all(|pair| pair[0] == pair[1]), "{text}");
    runner.signal(Signal::INT);
    runner.wait().code(75);
}

#[test]
fn the_report_is_kept_fresh_and_shows_the_end() {
    let workspace = Workspace::new().experiment("x", 4, &[1, 2], "s1:hold@2");
    let runner = workspace.spawn(&["run", "--plain", X]);
    wait_until("a report is there", || workspace.path("reports/index.html").is_file());
    wait_until("the run holds", || workspace.runs("x").iter().any(|run| step(run) == 2));
    overnight::queue::request(&workspace.seed("x", 1), Ask::Pause).unwrap();
    let output = runner.wait().code(0);
    assert!(output.stdout.trim_end().ends_with("reports/index.html"), "{}", output.stdout);
    let index = fs::read_to_string(workspace.path("reports/index.json")).unwrap();
    assert!(index.contains("The batch ran on"), "the last build came after the end: {index}");
}

#[test]
fn the_death_of_the_report_harms_no_run() {
    let workspace = Workspace::new().experiment("x", 4, &[1], "hold@2");
    let runner = workspace.spawn(&["run", "--plain", X]);
    wait_until("the run holds", || workspace.runs("x").iter().any(|run| step(run) == 2));
    let ended = || workspace.events().iter().any(|event| event.event == "report-ended");
    wait_until("the runner has given the report up", || {
        for child in runner.children("--watch") {
            let _ = kill_process(Pid::from_raw(child).unwrap(), Signal::KILL);
        }
        ended()
    });
    let again = workspace.events().iter().filter(|event| event.event == "report-restarted").count();
    assert_eq!(again, 3);
    overnight::queue::request(&workspace.seed("x", 1), Ask::Pause).unwrap();
    runner.wait().code(0);
    assert_eq!(workspace.words("x"), ["paused"]);
}

#[test]
fn the_watcher_of_the_report_ends_with_its_runner() {
    let workspace = Workspace::new().experiment("x", 4, &[1], "hold@2");
    let runner = workspace.spawn(&["run", "--plain", X]);
    wait_until("the watcher works", || workspace.path("reports/index.html").is_file());
    let watcher = runner.children("--watch")[0];
    wait_until("the run holds", || workspace.runs("x").iter().any(|run| step(run) == 2));
    runner.kill();
    wait_until("the watcher is gone", || !is_alive(watcher));
}

#[test]
fn what_needs_a_failed_run_is_skipped_until_that_is_tried_again_and_finishes() {
    let needing = |need: &str| {
        format!(
            "[data]\nkind = \"shapes\"\ncount = 100\n[model]\nkind = \"mlp\"\n[train]\nsteps = 4\n[queue]\nneeds = [\"{need}\"]\n"
        )
    };
    let workspace = Workspace::new()
        .experiment("a", 4, &[1], "failonce@2")
        .file("experiments/b.toml", &needing("a"))
        .file("experiments/c.toml", &needing("b"));
    let files = ["experiments/c.toml", "experiments/b.toml", "experiments/a.toml"];
    let words = || ["a", "b", "c"].map(|experiment| workspace.words(experiment)[0]);
    workspace.run(&files).code(100).says("skipped b/").says("a did not finish");
    let status = workspace.spawn(&["status"]).wait().code(0).stdout;
    assert!(status.contains("b did not finish"), "{status}");
    let alone = workspace.spawn(&["status", "c"]).wait().code(0).stdout;
    assert!(alone.contains("skipped"), "{alone}");
    workspace.spawn(&["report"]).wait().code(0);
    let runs = std::fs::read_to_string(workspace.path("reports/runs/index.json")).unwrap();
    assert_eq!(runs.matches("\"skipped\"").count(), 2, "{runs}");
    workspace.run(&["--retry-failed"]).code(0);
    assert_eq!(words(), ["finished"; 3]);
    workspace.spawn(&["report"]).wait().code(0);
    let runs = std::fs::read_to_string(workspace.path("reports/runs/index.json")).unwrap();
    assert_eq!(runs.matches("\"skipped\"").count(), 0);
}

#[test]
fn what_dies_with_its_runner_never_counts_against_its_retries_however_often() {
    let workspace = Workspace::new().experiment("x", 6, &[1], "await@1");
    let text = fs::read_to_string(workspace.path(X)).unwrap() + "[queue]\nretries = 0\n";
    let workspace = workspace.file(X, &text);
    workspace.overnight(&["queue", X]).code(0);
    let run = workspace.seed("x", 1);
    for attempt in 1..=4 {
        let runner = workspace.start(&["--breaker", "1"]);
        let awaits = || look(&run).progress.is_some_and(|now| (now.attempt, now.step) == (attempt, 1));
        wait_until("it waits for a word", awaits);
        let worker = fs::read_to_string(run.alive_lock()).unwrap().trim().parse().unwrap();
        runner.kill();
        kill_process(Pid::from_raw(worker).unwrap(), Signal::KILL).unwrap();
        wait_until("all is dead", || look(&run).status.word() == "lost");
    }
    fs::write(run.path().join("go-on"), "").unwrap();
    workspace.run(&["--breaker", "1"]).code(0);
    assert_eq!(workspace.words("x"), ["finished"]);
    assert_eq!(starts(&run).len(), 5);
}

/// A hook that the runner forks while it holds a run's lock has a copy of it until it is loaded, which may take
/// longer than the run.
#[test]
fn a_run_that_has_ended_is_over_though_somebody_still_holds_its_lock() {
    let workspace = Workspace::new().experiment("x", 6, &[1, 2], "s1:leave@3");
    workspace.run(&[X]).code(100);
    let run = workspace.seed("x", 1);
    assert!(lock::is_held(&run.alive_lock()), "what it left behind is still there");
    assert_eq!(workspace.words("x"), ["failed", "finished"]);
    assert_eq!(ends(&run).len(), 1);

    // Its next attempt waits for the lock.
    workspace.overnight(&["retry", "x"]).code(0);
    let runner = workspace.start(&[]);
    wait_until("it is tried again", || workspace.batches() == 2);
    fs::write(run.path().join("go-on"), "").unwrap();
    runner.wait().code(100);
    assert_eq!(starts(&run).len(), 2);
}
