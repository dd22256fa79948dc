//! What happened, event by event, and how the batch lay to its plan: the first page tells it of the last
//! batch, and its script of any time since.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::chart::backend::series_class;
use super::chart::number::{count, measured};
use super::model::{News, NewsRow};
use super::rows;
use super::say::{self, Clock};
use super::summary::{RunSummary, State};
use crate::run_dir::records::Batch;

/// Rows of the page; the script shows as many.
const ROWS: usize = 12;
/// Events that the script is given, the newest; what is older than these it does not tell of.
const EVENTS: usize = 1000;
/// Nor of what is older than this.
const SECONDS: f64 = 14.0 * 86_400.0;
/// Parts of that time in which energy is counted.
const ENERGY_PARTS: usize = 14 * 24;

/// Something that became of a run.
struct Happened<'a> {
    run: &'a RunSummary,
    time: f64,
    state: State,
    text: String,
}

/// What happened to the runs of the batch since it began (to all and ever, where there is none), and what
/// the script needs to tell of another time. Several experiments in play are named beside their runs.
pub fn news(
    all: &[&RunSummary],
    of_batch: &[&RunSummary],
    batch: Option<&Batch>,
    root: &str,
    clock: &Clock,
) -> News {
    let mut happened: Vec<Happened> = all.iter().flat_map(|run| of_run(run)).collect();
    happened.sort_by(|one, other| {
        other.time.total_cmp(&one.time).then_with(|| one.run.key().cmp(&other.run.key()))
    });
    let since = batch.map_or(f64::NEG_INFINITY, |batch| batch.start);
    let own: BTreeSet<(&str, &str)> =
        of_batch.iter().map(|run| (run.experiment.as_str(), run.run.as_str())).collect();
    let is_own = |one: &&Happened| {
        one.time >= since && own.contains(&(one.run.experiment.as_str(), one.run.run.as_str()))
    };
    let own: Vec<&Happened> = happened.iter().filter(is_own).collect();
    let resumed = own.iter().filter(|one| one.state.word == "resumed").count();
    let rows = own.iter().take(ROWS).enumerate().map(|(place, one)| NewsRow {
        id: format!("news-{place}"),
        when: clock.moment(one.time),
        state: one.state.clone(),
        class: series_class(one.run.number),
        name: one.run.label.clone(),
        full_name: one.run.key(),
        experiment: one.run.experiment.clone(),
        href: rows::run_href(root, one.run),
        text: one.text.clone(),
    });
    let rows = rows.collect();
    let is_told = |one: &&Happened| one.time >= clock.now - SECONDS;
    let told = happened.iter().take_while(is_told).count();
    let from = match happened.get(EVENTS) {
        Some(first_left_out) if told > EVENTS => first_left_out.time.ceil() + 1.0,
        _ => (clock.now - SECONDS).ceil(),
    };
    let told: Vec<Value> = happened
        .iter()
        .take_while(|one| one.time >= from)
        .map(|one| {
            let State { word, class, .. } = &one.state;
            let color = series_class(one.run.number);
            let time = (one.time * 10.0).round() / 10.0;
            json!([
                time,
                class,
                word,
                one.run.experiment,
                one.run.label,
                rows::run_href(root, one.run),
                color,
                one.text
            ])
        })
        .collect();
    let told = json!({
        "from": from, "built": clock.now.round(), "zone": clock.offset_seconds(clock.now), "rows": ROWS,
        "events": told, "energy": energy(all, clock.now), "runs": all.len(), "batch": batch.is_some(),
    });
    News { rows, more: own.len().saturating_sub(ROWS), resumed, told: told.to_string() }
}

/// How it ended, where it has, and each time it was started again.
fn of_run(run: &RunSummary) -> Vec<Happened<'_>> {
    let state = |word: &str, class: &str| State {
        word: word.into(),
        class: class.into(),
        detail: None,
        is_imported: false,
    };
    let mut happened: Vec<Happened> = Vec::new();
    for (before, attempt) in run.attempts.iter().enumerate().skip(1) {
        let (word, from) = match attempt.checkpoint {
            Some(step) => ("resumed", format!("from step {}", count(step))),
            None => ("restarted", "from the beginning".to_owned()),
        };
        let text = format!("{from}, attempt {}", before + 1);
        happened.push(Happened { run, time: attempt.start, state: state(word, "running"), text });
    }
    let text = match (run.state.class.as_str(), run.state.word.as_str()) {
        ("finished", _) => run.best.map_or_else(String::new, |best| {
            format!("{} {} at step {}", run.metric, measured(best.value), count(best.step))
        }),
        ("failed", _) => run.failure.as_ref().map_or_else(String::new, |failure| {
            let first = failure.message.lines().next().unwrap_or_default();
            if failure.cause.is_empty() { first.to_owned() } else { format!("{}: {first}", failure.cause) }
        }),
        ("held", "stopped" | "paused") => format!("at step {}", count(run.step)),
        _ => return happened,
    };
    // Of one whose end nobody wrote down, what was heard last is as near as one knows.
    if let Some(time) = run.attempts.last().map(|attempt| attempt.end.unwrap_or_else(|| run.latest())) {
        happened.push(Happened { run, time, state: State { detail: None, ..run.state.clone() }, text });
    }
    happened
}

/// Joules in each part of the time that the script tells of, the oldest first; a run's energy is taken as
/// spread evenly over its attempts. Empty where nothing was measured.
fn energy(all: &[&RunSummary], now: f64) -> Vec<f64> {
    let part = SECONDS / ENERGY_PARTS as f64;
    let begin = now - SECONDS;
    let mut joules = vec![0.0; ENERGY_PARTS];
    for run in all {
        let spans =
            || run.attempts.iter().map(|attempt| (attempt.start, attempt.end.unwrap_or(now).min(now)));
        let whole: f64 = spans().map(|(start, end)| (end - start).max(0.0)).sum();
        let Some(watts) = run.energy_joules.map(|joules| joules / whole).filter(|watts| watts.is_finite())
        else {
            continue;
        };
        for (start, end) in spans().filter(|(start, end)| end > start && *end > begin) {
            let first = ((start - begin) / part).max(0.0) as usize;
            let last = (((end - begin) / part) as usize).min(ENERGY_PARTS - 1);
            for (at, joules) in joules.iter_mut().enumerate().take(last + 1).skip(first) {
                let from = begin + at as f64 * part;
                *joules += watts * (end.min(from + part) - start.max(from)).max(0.0);
            }
        }
    }
    if joules.iter().all(|joules| *joules == 0.0) {
        return Vec::new();
    }
    joules.into_iter().map(f64::round).collect()
}

/// When the batch was to end by its plan: runs in order, each in the first slot that is free. None where
/// how long some run would take was not known.
pub fn planned_end(batch: &Batch) -> Option<f64> {
    let mut slots = vec![batch.start; batch.slots.clamp(1, 1024) as usize];
    for entry in &batch.plan {
        let seconds = entry.estimated_seconds.filter(|seconds| seconds.is_finite() && *seconds >= 0.0)?;
        let free = slots.iter_mut().min_by(|one, other| one.total_cmp(other))?;
        *free += seconds;
    }
    slots.into_iter().max_by(f64::total_cmp).filter(|_| !batch.plan.is_empty())
}

/// "The plan said 06:40: 18 min late." `ends` is when it ended, or is thought to end.
pub fn against_plan(batch: &Batch, ends: Option<f64>, clock: &Clock) -> Option<String> {
    let (planned, ends) = (planned_end(batch)?, ends?);
    let late = ends - planned;
    let is = if batch.end.is_some() { "" } else { "probably " };
    let how = match late {
        late if late.abs() < 60.0 => format!("{is}as planned"),
        late if late > 0.0 => format!("{is}{} late", say::duration(late)),
        late => format!("{is}{} early", say::duration(-late)),
    };
    Some(format!("The plan said {}: {how}.", clock.moment(planned).text))
}

#[cfg(test)]
mod tests {
    use super::super::summary::{AttemptSpan, Failure, sample};
    use super::*;
    use crate::run_dir::PROTOCOL;
    use crate::run_dir::records::PlanEntry;

    fn batch(slots: u32, estimates: &[Option<f64>], end: Option<f64>) -> Batch {
        let entry = |estimated_seconds: &Option<f64>| PlanEntry {
            experiment: "x".into(),
            run: "y".into(),
            steps: 1,
            estimated_seconds: *estimated_seconds,
        };
        Batch {
            protocol: PROTOCOL,
            host: "h".into(),
            process: 1,
            start: 1000.0,
            end,
            seconds: None,
            exit_code: None,
            energy_joules: None,
            arguments: Vec::new(),
            slots,
            threads_per_slot: 1,
            plan: estimates.iter().map(entry).collect(),
            divisions: Vec::new(),
            device_memory: Vec::new(),
            gpus: Vec::new(),
        }
    }

    fn attempt(start: f64, end: f64, checkpoint: Option<u64>) -> AttemptSpan {
        AttemptSpan {
            start,
            end: Some(end),
            batch: None,
            device: "CPU".into(),
            failed: false,
            checkpoint,
            energy_joules: None,
        }
    }

    #[test]
    fn what_became_of_a_run_is_told_with_its_cause_and_checkpoint() {
        let mut run = sample("x", "y");
        run.attempts = vec![
            attempt(100.0, 200.0, None),
            attempt(300.0, 400.0, None),
            attempt(500.0, 1100.0, Some(2000)),
        ];
        run.state = State { word: "killed".into(), class: "failed".into(), detail: None, is_imported: false };
        run.failure = Some(Failure {
            message: "the loss was not finite\nand more".into(),
            hint: String::new(),
            command: String::new(),
            cause: "not finite".into(),
            log: String::new(),
        });
        let told: Vec<_> = of_run(&run).into_iter().map(|one| (one.time, one.state.word, one.text)).collect();
        let expected = [
            (300.0, "restarted", "from the beginning, attempt 2"),
            (500.0, "resumed", "from step 2,000, attempt 3"),
            (1100.0, "killed", "not finite: the loss was not finite"),
        ];
        assert_eq!(told, expected.map(|(time, word, text)| (time, word.to_owned(), text.to_owned())));
        let clock = Clock::ahead_of_utc(0, 1200.0);
        let since = Batch { start: 400.0, ..batch(1, &[], None) };
        let other = RunSummary { run: "of another batch".into(), ..run.clone() };
        let news = news(&[&run, &other], &[&run], Some(&since), "", &clock);
        assert_eq!((news.rows.len(), news.more, news.resumed), (2, 0, 1));
        let told: Value = serde_json::from_str(&news.told).unwrap();
        assert_eq!(told["events"].as_array().unwrap().len(), 6, "the script tells of other times too");
        assert_eq!((&told["events"][0][2], &told["energy"]), (&json!("killed"), &json!([])));
    }

    #[test]
    fn energy_is_counted_where_it_was_used() {
        let mut run = sample("x", "y");
        let now = 2.0 * SECONDS;
        let hour = SECONDS / ENERGY_PARTS as f64;
        run.attempts = vec![attempt(now - 2.0 * hour, now, None), attempt(10.0, 10.0 + 2.0 * hour, None)];
        run.energy_joules = Some(4000.0);
        let parts = energy(&[&run], now);
        assert_eq!(parts.len(), ENERGY_PARTS);
        assert_eq!(parts[ENERGY_PARTS - 3..], [0.0, 1000.0, 1000.0]);
        assert_eq!(parts.iter().sum::<f64>(), 2000.0, "what lies before is not told of");
    }

    #[test]
    fn the_planned_end_is_that_of_the_last_slot() {
        let planned = |slots, estimates: &[Option<f64>]| planned_end(&batch(slots, estimates, None));
        assert_eq!(planned(1, &[Some(60.0), Some(30.0)]), Some(1090.0));
        assert_eq!(planned(2, &[Some(60.0), Some(30.0), Some(50.0)]), Some(1080.0));
        assert_eq!(planned(0, &[Some(60.0)]), Some(1060.0));
        assert_eq!(planned(2, &[Some(60.0), None]), None, "nobody knows");
        assert_eq!(planned(2, &[Some(f64::NAN)]), None);
        assert_eq!(planned(2, &[]), None);
    }

    #[test]
    fn what_became_of_the_plan_is_said() {
        let clock = Clock::ahead_of_utc(0, 9000.0);
        let said = |end: f64, is_over: bool| {
            let batch = batch(1, &[Some(600.0)], is_over.then_some(end));
            against_plan(&batch, Some(end), &clock).unwrap()
        };
        assert_eq!(said(1600.0, true), "The plan said 00:26: as planned.");
        assert_eq!(said(2800.0, true), "The plan said 00:26: 20 min late.");
        assert_eq!(said(1300.0, true), "The plan said 00:26: 5 min early.");
        assert_eq!(said(2800.0, false), "The plan said 00:26: probably 20 min late.");
        assert_eq!(against_plan(&batch(1, &[Some(1.0)], None), None, &clock), None);
    }
}
