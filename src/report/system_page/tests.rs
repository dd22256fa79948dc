use super::*;
use crate::experiment::settings::Task;
use crate::report::models_page::tests::run;

fn attempt(start: f64, end: Option<f64>, energy_joules: Option<f64>) -> AttemptSpan {
    AttemptSpan {
        start,
        end,
        batch: Some("b1".into()),
        device: "GPU 0".into(),
        failed: false,
        checkpoint: None,
        energy_joules,
    }
}

#[test]
fn the_headline_says_what_a_person_must_know_first() {
    let told = |text: &str| {
        let table = Metrics::of(text);
        let troubles: Vec<(String, Troubles)> = troubles::devices(&table)
            .into_iter()
            .map(|device| (device.clone(), troubles::troubles(&table, &device)))
            .collect();
        headline(&troubles, &table)
    };
    assert_eq!(told(""), "Nothing was measured of the machine.");
    assert_eq!(told("time,cpu_percent\n1,5\n"), "The machine worked without a GPU.");
    let gpu = "time,gpu0_use_percent,gpu0_throttle_reasons,gpu0_xid_code\n";
    assert_eq!(told(&format!("{gpu}1,5,none,\n")), "1 GPU, no error, clocks never held down.");
    assert_eq!(told(&format!("{gpu}1,5,thermal,\n")), "1 GPU, no error, clocks of 1 held down.");
    assert_eq!(told(&format!("{gpu}1,5,thermal,79\n2,5,,31\n")), "1 GPU, 2 errors.");
}

#[test]
fn runs_share_the_energy_of_the_batch_and_those_nobody_measured_come_last() {
    let mut runs = ["s1", "s2", "s3"].map(|name| run("x", name, Task::LanguageModel, "finished"));
    runs[0].attempts = vec![attempt(0.0, Some(60.0), None)];
    runs[1].attempts = vec![attempt(0.0, Some(50.0), Some(100.0)), attempt(60.0, Some(70.0), Some(200.0))];
    runs[2].attempts = vec![
        attempt(0.0, Some(10.0), Some(900.0)),
        AttemptSpan { batch: None, ..attempt(0.0, None, Some(1e9)) },
    ];
    let all: Vec<&RunSummary> = runs.iter().collect();
    let rows = run_rows(&attempts_of(&all, "b1"), "", 99.0);
    let told: Vec<(&str, &str, &str)> =
        rows.iter().map(|row| (row.name.as_str(), row.share.as_str(), row.took.as_str())).collect();
    assert_eq!(told, [("s3", "75 %", "10 s"), ("s2", "25 %", "1 min"), ("s1", "", "1 min")]);
}

#[test]
fn the_time_line_reaches_over_all_that_is_known() {
    let mut one = run("x", "s1", Task::LanguageModel, "running");
    one.attempts = vec![attempt(50.0, None, None)];
    let batch: crate::run_dir::records::Batch = serde_json::from_value(serde_json::json!({
        "protocol": 1, "host": "ada", "process": 1, "start": 40.0, "end": null, "exit_code": null,
        "arguments": [], "slots": 1, "threads_per_slot": 1, "plan": [],
    }))
    .unwrap();
    let work = Work { name: "b1".into(), batch, queue: None, is_running: true };
    let sampled = Metrics::of("time,cpu_percent\n45,1\n80,2\n");
    let all = [&one];
    assert_eq!(span(&work, &sampled, &attempts_of(&all, "b1"), 99.0), (40.0, 99.0));
    assert_eq!(span(&work, &Metrics::default(), &[], 99.0), (40.0, 40.0));
}

#[test]
fn without_batches_the_page_says_what_is_true() {
    assert_eq!(
        [0, 1, 40].map(without_batch),
        [
            "Nothing has run here yet.",
            "1 run is here, and no batch that worked on it.",
            "40 runs are here, and no batch that worked on them."
        ]
    );
    let told = |runs: &[(&str, usize, u64)], outside_bytes| {
        let held = |&(name, runs, bytes): &(&str, usize, u64)| {
            (name.to_owned(), disk::Held { runs, bytes, ..disk::Held::default() })
        };
        let used =
            DiskUse { experiments: runs.iter().map(held).collect(), outside_bytes, ..DiskUse::default() };
        disk_block(&used, "", &Clock::ahead_of_utc(0, 100.0)).sentence
    };
    assert_eq!(told(&[], 0), "No run holds anything of the disk yet.");
    assert!(told(&[], 2048).starts_with("No run is left; leftovers hold 2.0 KiB."), "{}", told(&[], 2048));
    assert!(told(&[("x", 1, 2048)], 0).starts_with("The one run holds 2.0 KiB. Nothing of it would go"));
    assert!(told(&[("x", 3, 2048)], 0).starts_with("All runs hold 2.0 KiB."));
}
