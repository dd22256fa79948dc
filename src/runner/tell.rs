//! What the runner lets others know while it works: `queue.json`, telemetry and the terminal.

use std::collections::{BTreeMap, HashSet};

use super::devices::{Devices, Gpu};
use super::estimate::{Rates, simulate};
use super::schedule::{Decision, Reason, Slot, Standing, Wish};
use super::tracked::Tracked;
use super::view::LiveRun;
use crate::run_dir::records::{
    BatchGpu, Counts, FailedRun, PlanEntry, QueueState, RunName, RunResult, WaitingRun,
};
use crate::run_dir::status::{end_of, last_start};
use crate::run_dir::{RunDir, Status};
use crate::say;

/// The places that runs can be expected to get.
pub struct Places<'a> {
    pub slots: &'a [Slot],
    /// By slot: whether there is room for a run.
    pub usable: Vec<bool>,
    /// How many GPUs may be used.
    pub gpus: usize,
}

/// The state of the queue, with estimates as far as steps were measured. `now` is Unix seconds.
pub fn queue_state(
    runs: &[Tracked],
    standings: &[Standing],
    places: &Places,
    decision: &Decision,
    rates: &Rates,
    now: f64,
) -> QueueState {
    let mut free: Vec<Option<f64>> = vec![Some(0.0); places.slots.len()];
    let mut last_end = Some(0.0);
    for run in runs {
        let Some(worker) = &run.worker else { continue };
        let left = seconds_left(run, rates);
        last_end = later(last_end, left);
        if let Some(slot) = worker.slot.and_then(|slot| free.get_mut(slot)) {
            *slot = left;
        }
    }
    // A run that is held starts when a person has seen to it: it has no time, and takes no slot's.
    let is_held = |reason: &Reason| matches!(reason, Reason::Held(_));
    let startable = decision.waiting.iter().filter(|(_, reason)| !is_held(reason));
    let startable: Vec<usize> = startable.map(|(run, _)| *run).collect();
    let on_gpu = |run: &usize| runs[*run].wish(places.gpus) != Wish::Cpu;
    let has_processor = places.slots.iter().any(|slot| slot.gpu.is_none());
    let mut times: BTreeMap<usize, (Option<f64>, Option<f64>)> = BTreeMap::new();
    for gpu in [true, false] {
        let group: Vec<usize> = startable.iter().copied().filter(|run| on_gpu(run) == gpu).collect();
        let is_theirs = |slot: &usize| {
            places.usable[*slot] && (places.slots[*slot].gpu.is_some() == gpu || !has_processor)
        };
        let free: Vec<Option<f64>> = (0..free.len()).filter(is_theirs).map(|slot| free[slot]).collect();
        let lengths: Vec<Option<f64>> = group.iter().map(|run| seconds_left(&runs[*run], rates)).collect();
        times.extend(group.into_iter().zip(simulate(&free, &lengths)));
    }
    let end = times.values().fold(last_end, |last, (_, end)| later(last, *end));
    let waiting = decision.waiting.iter().map(|(run, reason)| {
        let (start, end) = times.get(run).copied().unwrap_or_default();
        WaitingRun {
            experiment: runs[*run].dir.experiment(),
            run: runs[*run].dir.name(),
            reason: reason.to_string(),
            start: start.map(|start| now + start),
            end: end.map(|end| now + end),
            passed: runs[*run].passed_by(now),
        }
    });
    let waiting: Vec<WaitingRun> = waiting.collect();
    let at_work = runs.iter().filter(|run| run.worker.is_some());
    QueueState {
        time: now,
        waiting,
        end: end.map(|end| now + end),
        running: at_work
            .map(|run| RunName { experiment: run.dir.experiment(), run: run.dir.name() })
            .collect(),
        failed: failed(runs, standings),
        counts: counts(runs, standings),
        ..QueueState::default()
    }
}

/// Where each run with a live worker stands.
pub fn live_runs(runs: &[Tracked]) -> Vec<LiveRun> {
    runs.iter().filter(|run| run.worker.is_some()).map(|run| LiveRun::of(&run.seen)).collect()
}

/// How many runs stand where.
pub fn counts(runs: &[Tracked], standings: &[Standing]) -> Counts {
    let mut counts = Counts::default();
    for (run, standing) in runs.iter().zip(standings) {
        match standing {
            Standing::Live(_) => counts.running += 1,
            Standing::Waiting
            | Standing::Preparing(_)
            | Standing::Held(_)
            | Standing::Lost
            | Standing::PutOff => counts.waiting += 1,
            Standing::Finished => counts.finished += 1,
            Standing::Left if has_failed(run) => counts.failed += 1,
            Standing::Left => counts.left += 1,
        }
    }
    counts
}

/// So many of the failed runs are named in `queue.json`.
const FAILED_NAMED: usize = 8;

/// The runs that failed last and are not tried again, newest first.
pub fn failed(runs: &[Tracked], standings: &[Standing]) -> Vec<FailedRun> {
    let failed =
        runs.iter().zip(standings).filter(|(run, standing)| **standing == Standing::Left && has_failed(run));
    let named = failed.map(|(run, _)| {
        let end = last_start(&run.seen.attempts).and_then(|start| end_of(&run.seen.attempts, start.attempt));
        let (cause, time) = end.map_or((String::new(), 0.0), |end| (end.why.clone(), end.time));
        FailedRun { experiment: run.dir.experiment(), run: run.dir.name(), cause, time }
    });
    let mut named: Vec<FailedRun> = named.collect();
    named.sort_by(|a, b| b.time.total_cmp(&a.time));
    named.truncate(FAILED_NAMED);
    named
}

fn has_failed(run: &Tracked) -> bool {
    matches!(run.seen.status, Status::Failed { .. } | Status::Killed { .. })
}

/// How an attempt's device is called in a sentence.
pub fn device_name(gpu: Option<usize>, devices: &Devices, threads: u32) -> String {
    match gpu.and_then(|gpu| devices.gpus().get(gpu)) {
        Some(gpu) => format!("GPU {} ({})", gpu.index, gpu.name),
        None if threads == 1 => "the processor with 1 thread".into(),
        None => format!("the processor with {threads} threads"),
    }
}

/// What a run came to, behind its name: ` in 3 min 20 s: best val/loss 1.8812 at step 1500`.
pub fn achieved(result: &RunResult) -> String {
    let time = say::duration(result.elapsed_seconds);
    let value = match (&result.best, result.last.get("train/loss")) {
        (Some(best), _) => format!(": best {} {:.4} at step {}", best.metric, best.value, best.step),
        (None, Some(loss)) => format!(": train/loss {:.4}", loss.0),
        (None, None) => String::new(),
    };
    let early = result.stopped_early.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
    format!(" in {time}{value}{early}")
}

/// A GPU as a batch names it, for those who know its number alone.
pub fn batch_gpu(gpu: &Gpu) -> BatchGpu {
    BatchGpu {
        index: gpu.index,
        uuid: gpu.uuid.clone(),
        name: gpu.name.clone(),
        driver: gpu.driver.clone(),
        memory_bytes: gpu.memory_bytes,
    }
}

/// What a batch plans to do for a run; nothing where it has finished.
pub fn plan_entry(run: &Tracked, rates: &Rates) -> Option<PlanEntry> {
    if run.seen.status == Status::Finished {
        return None;
    }
    let record = run.seen.record.as_ref().ok()?;
    Some(PlanEntry {
        experiment: run.dir.experiment(),
        run: run.dir.name(),
        steps: record.steps,
        estimated_seconds: rates.seconds(&run.dir.experiment(), run.settings_hash(), run.steps_left()),
    })
}

/// Seconds until a live or waiting run has finished, once it runs: as its own progress says, also that of
/// an attempt that was broken off, else as other runs of its experiment took.
pub fn seconds_left(run: &Tracked, rates: &Rates) -> Option<f64> {
    let told = run.seen.progress.as_ref().and_then(|progress| progress.remaining_seconds);
    told.filter(|seconds| seconds.is_finite())
        .or_else(|| rates.seconds(&run.dir.experiment(), run.settings_hash(), run.steps_left()))
}

/// Takes in what a run's directory says of its rate.
pub fn learn_rate(rates: &mut Rates, run: &Tracked) {
    let (experiment, settings) = (run.dir.experiment(), run.settings_hash());
    if let Some(result) = run.result() {
        rates.add(&experiment, settings, result.elapsed_seconds, result.step);
    } else {
        learn_partial_rate(rates, run);
    }
}

/// The same of one that is at work.
pub fn learn_partial_rate(rates: &mut Rates, run: &Tracked) {
    let rate = run.seen.progress.as_ref().and_then(|progress| progress.steps_per_second);
    if let Some(rate) = rate.filter(|rate| *rate > 0.0) {
        rates.add_partial(&run.dir.experiment(), run.settings_hash(), 1.0 / rate);
    }
}

/// What runs took so far, also others of the same experiments than those of this batch.
pub fn known_rates(runs: &[Tracked], left_out: &HashSet<RunDir>, host: &str) -> Rates {
    let mut rates = Rates::default();
    runs.iter().for_each(|run| learn_rate(&mut rates, run));
    let experiments: HashSet<String> = runs.iter().map(|run| run.dir.experiment()).collect();
    for dir in left_out.iter().filter(|dir| experiments.contains(&dir.experiment())) {
        learn_rate(&mut rates, &Tracked::new(dir.clone(), host));
    }
    rates
}

fn later(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    a.zip(b).map(|(a, b)| a.max(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_dir::Workspace;
    use crate::run_dir::scan::sample_record;
    use crate::run_dir::write::{Durability, replace_json};

    #[test]
    fn a_run_that_is_held_delays_no_estimate() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::new(folder.path());
        let runs = ["a", "b"].map(|name| {
            let dir = workspace.run("x", name);
            std::fs::create_dir_all(dir.path()).unwrap();
            replace_json(&dir.run_json(), &sample_record("x", name), Durability::Rebuildable).unwrap();
            Tracked::new(dir, "here")
        });
        let mut rates = Rates::default();
        rates.add("x", "", 10.0, 10);
        let waiting =
            vec![(0, Reason::Held("no GPU".to_owned())), (1, Reason::Waits("for a free slot".to_owned()))];
        let decision = Decision { waiting, ..Decision::default() };
        let slots = [Slot { gpu: None, threads: 1 }];
        let standings = [Standing::Waiting, Standing::Waiting];
        let places = Places { slots: &slots, usable: vec![true], gpus: 0 };
        let state = queue_state(&runs, &standings, &places, &decision, &rates, 1000.0);
        assert_eq!(state.counts, Counts { waiting: 2, ..Counts::default() });
        let times: Vec<_> = state.waiting.iter().map(|run| (run.start, run.end)).collect();
        assert_eq!(times, [(None, None), (Some(1000.0), Some(1100.0))]);
        assert_eq!(state.end, Some(1100.0));
    }

    #[test]
    fn how_often_a_run_was_passed_is_known_to_the_next_runner_until_it_has_begun() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::new(folder.path());
        let dir = workspace.run("x", "a");
        std::fs::create_dir_all(dir.path()).unwrap();
        replace_json(&dir.run_json(), &sample_record("x", "a"), Durability::Rebuildable).unwrap();
        let mut run = Tracked::new(dir.clone(), "here");
        (0..3).for_each(|_| run.is_passed(std::time::Instant::now()));
        let waiting = vec![(0, Reason::Waits("for a free GPU".to_owned()))];
        let decision = Decision { waiting, ..Decision::default() };
        let places = Places { slots: &[], usable: Vec::new(), gpus: 1 };
        let now = crate::run_dir::scan::now();
        let state = queue_state(&[run], &[Standing::Waiting], &places, &decision, &Rates::default(), now);
        let batch = workspace.batches().join("20260101-000000-here-0000");
        std::fs::create_dir_all(&batch).unwrap();
        replace_json(&batch.join("queue.json"), &state, Durability::Rebuildable).unwrap();

        let found = crate::runner::batch::FoundBefore::read(&workspace).passed;
        let passed = found[&("x".to_owned(), "a".to_owned())];
        let mut next = Tracked::new(dir, "here");
        next.recall_passed(passed, now + 60.0);
        let again = next.passed_by(now + 60.0).unwrap();
        assert_eq!(again.runs, 3);
        assert!((again.since - passed.since).abs() < 5.0, "{again:?} {passed:?}");
        let scheduled = next.scheduled(Standing::Waiting, 1, None, std::time::Instant::now());
        assert!(scheduled.passed.is_enough());
    }
}
