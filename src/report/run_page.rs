//! The page of one run.

mod analytics;
mod certificate;
mod checkpoints;
pub mod curves;
pub mod distributions;
mod events;
pub mod further;
pub mod log;
mod model;
mod restarts;
pub mod samples;
pub mod settings;
mod splits;
mod stages;
pub mod telemetry;

use super::chart::confusion::{self, Confusion};
use super::chart::number::{count, measured};
use super::clocks;
use super::files::RunFiles;
use super::model::*;
use super::rows;
use super::say::{self, Clock};
use super::summary::RunSummary;
use super::watched;
use crate::curves::foremost;
use crate::run_dir::certificate::trail;
use crate::run_dir::records::{Attempt, End, Fingerprint, Start, What, exit};
use crate::run_dir::requests;
pub use settings::Sibling;

/// Sentences about the curves and the batch beyond these would be a list that nobody reads.
const SENTENCES: usize = 9;
/// Data files beyond these are folded into one line.
const NAMED_FILES: usize = 5;

/// Everything the page of a run shows.
///
/// Settings are compared with those of `sibling`, the best other run of its experiment that finished.
pub fn page(
    files: &RunFiles,
    summary: &RunSummary,
    sibling: Option<&Sibling>,
    frame: Frame,
    clock: &Clock,
) -> RunPage {
    let record = files.seen.record.as_ref().ok();
    let settings = record.map(|record| settings::rows(record, sibling)).unwrap_or_default();
    RunPage {
        name: summary.label.clone(),
        full_name: format!("{}/{}", summary.experiment, summary.run),
        experiment: summary.experiment.clone(),
        experiment_href: rows::experiment_href(&frame.root, &summary.experiment),
        compare_href: rows::compare_href(&frame.root, summary),
        description: summary.description.clone(),
        tags: summary.tags.clone(),
        notes: notes(files, clock),
        state: summary.state.clone(),
        when: when(files, summary, clock),
        progress: rows::progress(summary),
        facts: facts(files, summary),
        say: sentences(files, summary),
        failure: rows::failure(summary, &frame.root),
        alerts: watched::alerts(summary, &frame.root, clock),
        quiet_rules: quiet_rules(files, summary),
        budgets: watched::budgets(summary, &frame.root),
        figures: curves::figures(files, summary),
        further: further::block(files, summary),
        distributions: distributions::figures(files, summary),
        distributions_left: distributions::left(files),
        has_metrics: files.metrics.rows > 0,
        clocks: clocks::json([(summary.key(), &summary.clocks)]),
        telemetry: telemetry::figures(files, summary),
        telemetry_notes: telemetry::notes(&files.telemetry, clock),
        energy_joules: telemetry::energy_joules(&files.telemetry),
        samples: samples::blocks(files),
        evaluation: evaluation(files),
        analytics: analytics::rows(files, summary, clock),
        model: files.model.as_ref().map(model::block),
        sibling: sibling.map(|sibling| sibling.block(&frame.root)),
        differing: settings.iter().filter(|row| settings::is_told(row)).cloned().collect(),
        settings,
        environment: environment(files),
        data: many_data_files(files),
        certificate: certificate::block(files, clock),
        attempts: attempts(files, clock),
        checkpoints: checkpoints::block(files, summary),
        log: log::block(files),
        stderr: files.stderr.clone(),
        held: held(files),
        warnings: files.warnings.clone(),
        frame,
    }
}

/// Where a page that follows `metrics.csv` reads on.
fn held(files: &RunFiles) -> Option<HeldRow> {
    let row = files.metrics.last_line();
    let at = files.metrics.consumed() - row.len() as u64;
    (!row.is_empty()).then(|| HeldRow { at, row: String::from_utf8_lossy(row).into_owned() })
}

fn notes(files: &RunFiles, clock: &Clock) -> Vec<NoteRow> {
    let own = files.seen.record.iter().map(|record| &record.notes).filter(|notes| !notes.trim().is_empty());
    let own = own.map(|text| NoteRow { text: text.clone(), who: String::new(), when: None });
    let added = requests::notes(&files.seen.requests).map(|(request, text)| {
        let when = Some(clock.moment(request.time));
        NoteRow { text: text.to_owned(), who: request.who.clone(), when }
    });
    own.chain(added).collect()
}

/// "03:51, after 1 h 12 min on GPU 0 (NVIDIA H100)".
fn when(files: &RunFiles, summary: &RunSummary, clock: &Clock) -> String {
    let Some(last) = summary.attempts.last() else {
        // Of a run without a readable record nobody knows.
        let is_known = summary.created > 0.0;
        return if is_known && summary.state.is_imported {
            let first = clock.moment(summary.created).text;
            let last = summary.newest.map(|newest| format!(" to {}", clock.moment(newest).text));
            format!("logged {first}{}", last.unwrap_or_default())
        } else if is_known {
            format!("queued {}", clock.moment(summary.created).text)
        } else {
            String::new()
        };
    };
    let mut parts = Vec::new();
    let worked: f64 =
        summary.attempts.iter().map(|span| span.end.unwrap_or(clock.now).max(span.start) - span.start).sum();
    let device = crate::run_dir::status::last_start(&files.seen.attempts)
        .map_or_else(String::new, |start| format!(" on {} ({})", last.device, start.device.name()));
    match last.end {
        Some(end) => {
            parts.push(format!("{}, after {}{device}", clock.moment(end).text, say::duration(worked)))
        }
        None => parts.push(format!("since {}{device}", clock.moment(last.start).text)),
    }
    // Where there is a certificate, it says so, and more.
    let resumed = files.events.iter().filter(|event| matches!(event.what, What::Resumed { .. })).count();
    match resumed {
        _ if !trail(&files.events).is_empty() => {}
        0 => {}
        1 => parts.push("resumed once".into()),
        times => parts.push(format!("resumed {times} times")),
    }
    if let Some(remaining) = summary.remaining_seconds {
        parts.push(format!(
            "about {} left, ends {}",
            say::duration(remaining),
            clock.moment(clock.now + remaining).text
        ));
    }
    parts.join(" · ")
}

pub fn facts(files: &RunFiles, summary: &RunSummary) -> Vec<Fact> {
    let fact = |name: &str, value: String, unit: String| Fact { name: name.into(), value, unit, class: "" };
    let mut facts = Vec::new();
    if let Some(best) = summary.best {
        facts.push(fact(
            &format!("{}, best", summary.metric),
            measured(best.value),
            format!("step {}", count(best.step)),
        ));
    }
    for name in ["val/perplexity", "val/accuracy", "val/loss"] {
        if let Some(last) = summary.last.get(name).filter(|_| name != summary.metric) {
            facts.push(fact(&format!("{name}, last"), measured(last.0), String::new()));
        }
    }
    let of =
        if summary.step < summary.steps { format!("of {}", count(summary.steps)) } else { String::new() };
    facts.push(fact("steps", count(summary.step), of));
    if let Some((name, rate)) = &summary.rate {
        facts.push(fact(&name.replace('_', " "), measured(rows::rounded(*rate)), String::new()));
    }
    if let Some(model) = &files.model {
        facts.push(fact("parameters", measured(model.parameters as f64), String::new()));
    }
    if let Some(elapsed) = summary.elapsed_seconds {
        facts.push(fact("training", say::duration(elapsed), String::new()));
    }
    if let Some(joules) = telemetry::energy_joules(&files.telemetry) {
        let (value, unit) = crate::say::energy_in(joules);
        facts.push(fact("energy", value, unit.into()));
    }
    facts
}

/// What a person would say about the curves.
pub fn sentences(files: &RunFiles, summary: &RunSummary) -> Vec<String> {
    let (told, _) = foremost(&summary.said, &summary.metric, SENTENCES);
    let mut said: Vec<String> = told.into_iter().map(str::to_owned).collect();
    if let Some(why) = files.result.as_ref().and_then(|result| result.stopped_early.as_ref()) {
        said.push(format!("It ended early: {why}."));
    }
    said.extend(stages::sentences(files));
    said.extend(splits::sentences(files));
    said.truncate(SENTENCES);
    said
}

/// Rules of the run that have not seen what they watch for.
fn quiet_rules(files: &RunFiles, summary: &RunSummary) -> Vec<String> {
    let rules = files.seen.record.iter().flat_map(|record| &record.alerts).map(|alert| alert.name());
    let has_seen = |rule: &String| summary.alerts.iter().any(|told| told.rule.as_ref() == Some(rule));
    rules.filter(|rule| !has_seen(rule)).collect()
}

pub fn evaluation(files: &RunFiles) -> Option<EvaluationBlock> {
    let evaluation = files.evaluation.as_ref().filter(|evaluation| !evaluation.classes.is_empty())?;
    let classes = evaluation.classes.iter().map(|class| ClassRow {
        name: class.name.clone(),
        examples: count(class.examples),
        accuracy: format!("{:.1} %", class.accuracy * 100.0),
        sort: class.accuracy,
    });
    let confusion = (!evaluation.confusion.is_empty()).then(|| {
        let names = evaluation.classes.iter().map(|class| class.name.clone()).collect();
        let title = "Confusion".to_owned();
        let chart = Confusion { title: title.clone(), classes: names, counts: evaluation.confusion.clone() };
        Figure {
            id: "confusion".into(),
            title,
            note: match evaluation.classes.len() {
                all if all > confusion::MOST => {
                    format!(
                        "true class in rows, prediction in columns; the first {} classes",
                        confusion::MOST
                    )
                }
                _ => "true class in rows, prediction in columns".into(),
            },
            width: "w8",
            legend: Vec::new(),
            drawing: confusion::drawing(&chart),
        }
    });
    Some(EvaluationBlock { step: count(evaluation.step), classes: classes.collect(), confusion })
}

pub fn environment(files: &RunFiles) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    let mut row = |name: &str, value: String| {
        if !value.is_empty() {
            rows.push((name.to_owned(), value));
        }
    };
    if let Some(start) = crate::run_dir::status::last_start(&files.seen.attempts) {
        row("device", start.device.name().to_owned());
        if let crate::run_dir::records::Device::Cuda { driver, uuid, .. } = &start.device {
            row("driver", driver.clone());
            row("GPU", uuid.clone());
        }
        row("host", start.host.clone());
        row("threads", start.threads.to_string());
        row("precision", say::setting(&serde_json::to_value(start.precision).unwrap_or_default()));
        let passes = say::counted(start.accumulate as usize, "pass", "passes");
        row("a step", format!("{passes} of {} at once", count(u64::from(start.micro_batch))));
        row("libtorch", start.libtorch.clone());
        if let Some(weights) = &start.weights {
            let hash = weights.blake3.get(..16).unwrap_or(&weights.blake3);
            let from = format!("{}/{}/{}", weights.experiment, weights.run, weights.file);
            row("began with", format!("{from}, {}, blake3 {hash}", say::bytes(weights.bytes)));
        }
    }
    if let Some(imported) = files.seen.record.as_ref().ok().and_then(|record| record.imported.as_ref()) {
        row("trained by", format!("another program, logged by {}", imported.tool));
        row("source", imported.source.clone());
        row("run of it", imported.part.clone());
        row("read by", format!("overnight {}", imported.program));
        let read = files.seen.import.as_ref();
        let count = |read: &crate::run_dir::imported::ImportState| {
            let bytes = read.files.values().map(|file| file.bytes).sum();
            format!("{}, {}", say::counted(read.files.len(), "file", "files"), say::bytes(bytes))
        };
        row("read of it", read.map(count).unwrap_or_default());
    }
    if let Some(environment) = &files.environment {
        row("overnight", environment.program.clone());
        row("queued on", environment.host.clone());
        row("git commit", environment.git_commit.clone().unwrap_or_default());
        row("git branch", environment.git_branch.clone().unwrap_or_default());
        if !environment.git_diff.is_empty() {
            row("not committed", say::bytes(environment.git_diff.len() as u64) + " of changes, in env.json");
        }
        if environment.data.len() <= NAMED_FILES {
            for file in &environment.data {
                row(&format!("data: {}", file.path), fingerprint(file));
            }
        }
    }
    rows
}

fn many_data_files(files: &RunFiles) -> Option<DataFiles> {
    let data = &files.environment.as_ref()?.data;
    let bytes = data.iter().map(|file| file.bytes).sum();
    (data.len() > NAMED_FILES).then(|| DataFiles {
        summary: format!("{}, {}", say::counted(data.len(), "file", "files"), say::bytes(bytes)),
        files: data.iter().map(|file| (file.path.clone(), fingerprint(file))).collect(),
    })
}

fn fingerprint(file: &Fingerprint) -> String {
    let hash = file.blake3.get(..16).unwrap_or(&file.blake3);
    format!("{}, blake3 {hash}", say::bytes(file.bytes))
}

fn attempts(files: &RunFiles, clock: &Clock) -> Vec<AttemptRow> {
    let end_of = |attempt| crate::run_dir::status::end_of(&files.seen.attempts, attempt);
    let last = crate::run_dir::status::last_start(&files.seen.attempts);
    let row = |start: &Start| {
        let end = end_of(start.attempt);
        AttemptRow {
            attempt: start.attempt,
            start: clock.moment(start.time),
            took: end.map_or_else(String::new, |end| {
                // The clock may have jumped in between, where nobody measured.
                say::duration(end.seconds.unwrap_or((end.time - start.time).max(0.0)))
            }),
            device: start.device.name().to_owned(),
            from: start
                .checkpoint
                .map_or_else(|| "the beginning".into(), |step| format!("step {}", count(step))),
            outcome: match end {
                Some(end) => outcome(end),
                None if files.seen.status.is_running() && Some(start) == last => "at work".into(),
                None => "nobody saw it end".into(),
            },
        }
    };
    let starts = files.seen.attempts.iter().filter_map(|line| match line {
        Attempt::Start(start) => Some(start),
        Attempt::End(_) => None,
    });
    starts.map(row).collect()
}

fn outcome(end: &End) -> String {
    let word = match (end.code, end.signal) {
        (_, Some(signal)) => format!("killed by {}", crate::say::signal(signal)),
        (Some(exit::FINISHED), _) => "finished".into(),
        (Some(exit::ENDED_AS_ASKED), _) => "ended as asked".into(),
        (Some(exit::OUT_OF_DEVICE_MEMORY), _) => "out of device memory".into(),
        (Some(exit::DEVICE_LOST), _) => "device lost".into(),
        (Some(exit::CANNOT_WRITE), _) => "could not write".into(),
        (Some(code), _) => format!("failed with exit code {code}"),
        (None, None) => "nobody saw it end".into(),
    };
    match end.why.lines().next() {
        Some(why) if !why.trim().is_empty() && why.trim() != word => format!("{word}: {}", why.trim()),
        _ => word,
    }
}
