use super::super::summary::{AttemptSpan, State, sample};
use super::*;
use crate::run_dir::PROTOCOL;
use crate::run_dir::records::PlanEntry;

fn work(name: &str, planned: &[&str]) -> Work {
    let entry = |run: &&str| PlanEntry {
        experiment: "x".into(),
        run: (*run).into(),
        steps: 1,
        estimated_seconds: None,
    };
    Work {
        name: name.into(),
        batch: Batch {
            protocol: PROTOCOL,
            host: "h".into(),
            process: 1,
            start: 1000.0,
            end: Some(2000.0),
            seconds: None,
            exit_code: None,
            energy_joules: None,
            arguments: Vec::new(),
            slots: 1,
            threads_per_slot: 1,
            plan: planned.iter().map(entry).collect(),
            divisions: Vec::new(),
            device_memory: Vec::new(),
            gpus: Vec::new(),
        },
        queue: None,
        is_running: false,
    }
}

/// A finished run with attempts: their batch, start and end.
fn run(name: &str, attempts: &[(&str, f64, f64)]) -> RunSummary {
    let attempt = |(batch, start, end): &(&str, f64, f64)| AttemptSpan {
        start: *start,
        end: Some(*end),
        batch: Some((*batch).into()),
        device: "CPU".into(),
        failed: false,
        checkpoint: None,
        energy_joules: None,
    };
    let mut run = sample("x", name);
    run.state = State { word: "finished".into(), class: "finished".into(), detail: None, is_imported: false };
    run.attempts = attempts.iter().map(attempt).collect();
    run
}

#[test]
fn a_batch_is_what_it_planned_and_what_was_queued_meanwhile() {
    let runs = [
        run("planned", &[("b", 1000.0, 1100.0)]),
        run("queued meanwhile", &[("a", 10.0, 20.0), ("b", 1100.0, 1300.0)]),
        run("of another", &[("a", 20.0, 1500.0)]),
        run("waits", &[]),
    ];
    let all: Vec<&RunSummary> = runs.iter().collect();
    let names = |work: Option<&Work>| -> Vec<&str> {
        of_batch(&all, work).into_iter().map(|run| run.run.as_str()).collect()
    };
    let own = work("b", &["planned", "waits"]);
    assert_eq!(names(Some(&own)), ["planned", "queued meanwhile", "waits"]);
    assert_eq!(names(Some(&work("idle", &[]))), [""; 0]);
    assert_eq!(names(None).len(), 4);
    // What the batch took is not what its runs took before.
    let of_batch = of_batch(&all, Some(&own));
    assert_eq!(seconds_at_work(&of_batch, Some(&own), 3000.0), 300.0);
    assert_eq!(seconds_at_work(&all, None, 3000.0), 100.0 + 210.0 + 1480.0);
}
