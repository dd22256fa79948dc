//! `system.html`: GPUs and machine over a batch with its runs, energy, and what the disk holds.

pub mod disk;
mod figures;
mod troubles;

use serde::Serialize;

use super::chart::backend::series_class;
use super::energy;
use super::index_page::Work;
use super::index_page::batch_sentence;
use super::model::{Fact, Figure, Frame};
use super::rows;
use super::run_page::telemetry::in_order;
use super::say::{self, Clock, Moment};
use super::summary::{AttemptSpan, RunSummary};
use crate::run_dir::metrics::Metrics;
use crate::run_dir::telemetry::xid_words;
use disk::DiskUse;
use troubles::Troubles;

/// Everything the page shows.
#[derive(Clone, Debug, Serialize)]
pub struct SystemPage {
    pub frame: Frame,
    pub headline: String,
    /// Runs of the workspace.
    pub run_count: usize,
    /// When the batch began and how it went; empty where there is none.
    pub batch: String,
    /// The other batches whose machine is known.
    pub batches: Vec<BatchLink>,
    pub facts: Vec<Fact>,
    /// Errors and what held clocks down, in words.
    pub say: Vec<String>,
    pub time_line: Option<Figure>,
    pub gpus: Vec<Figure>,
    pub machine: Vec<Figure>,
    pub gpu_rows: Vec<GpuRow>,
    pub run_rows: Vec<EnergyRow>,
    /// Runs that are not listed.
    pub more_runs: usize,
    /// On the newest batch's page alone.
    pub disk: Option<DiskBlock>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BatchLink {
    pub name: String,
    pub href: String,
    pub is_here: bool,
}

/// A GPU over the whole batch.
#[derive(Clone, Debug, Serialize)]
pub struct GpuRow {
    pub class: String,
    pub name: String,
    pub energy: String,
    pub use_mean: String,
    pub power_mean: String,
    pub hottest: String,
    pub slow: String,
    pub errors: usize,
}

/// What a run took during the batch.
#[derive(Clone, Debug, Serialize)]
pub struct EnergyRow {
    pub class: String,
    pub name: String,
    pub full_name: String,
    pub href: String,
    pub device: String,
    pub took: String,
    pub took_sort: f64,
    pub energy: String,
    pub energy_sort: Option<f64>,
    pub share: String,
}

/// What the runs hold of the disk.
#[derive(Clone, Debug, Serialize)]
pub struct DiskBlock {
    /// How much there is and how much of it could go, in a sentence.
    pub sentence: String,
    pub measured: Moment,
    /// Why nobody knows what could go, or empty.
    pub problem: String,
    pub rows: Vec<DiskRow>,
}

#[derive(Clone, Debug, Serialize)]
pub struct DiskRow {
    pub experiment: String,
    pub href: String,
    pub runs: usize,
    pub bytes: u64,
    pub size: String,
    pub checkpoints: String,
    pub checkpoint_bytes: u64,
    pub free: String,
    pub free_bytes: u64,
    /// Of the largest experiment, in percent.
    pub part: u32,
}

/// Runs in the table of energy.
const MOST_RUNS: usize = 100;

/// A batch and the table of its machine.
pub struct Machine<'a> {
    pub work: &'a Work,
    pub table: &'a Metrics,
    /// Where the same table lies beside the pages.
    pub csv: Option<String>,
}

pub fn page(
    all: &[&RunSummary],
    machine: Option<&Machine>,
    batches: Vec<BatchLink>,
    disk: Option<&DiskUse>,
    frame: Frame,
    clock: &Clock,
) -> SystemPage {
    let disk = disk.map(|disk| disk_block(disk, &frame.root, clock));
    let Some(machine) = machine else {
        let (headline, batch) = (without_batch(all.len()), String::new());
        let (facts, say, gpus, figures, gpu_rows, run_rows) = Default::default();
        let (time_line, more_runs, machine) = (None, 0, figures);
        return SystemPage {
            frame,
            headline,
            run_count: all.len(),
            batch,
            batches,
            facts,
            say,
            time_line,
            gpus,
            machine,
            gpu_rows,
            run_rows,
            more_runs,
            disk,
        };
    };
    let straight = in_order(machine.table);
    let table = straight.as_ref();
    let is_straight = matches!(straight, std::borrow::Cow::Borrowed(_));
    let troubles: Vec<(String, Troubles)> = troubles::devices(table)
        .into_iter()
        .map(|device| (device.clone(), troubles::troubles(table, &device)))
        .collect();
    let attempts = attempts_of(all, &machine.work.name);
    let span = span(machine.work, table, &attempts, clock.now);
    let csv = machine.csv.as_deref().filter(|_| is_straight);
    let (gpus, figures) = figures::charts(table, &troubles, span, csv);
    let gpu_rows: Vec<GpuRow> = troubles
        .iter()
        .enumerate()
        .map(|(index, (device, found))| gpu_row(table, index, device, found))
        .collect();
    let mut run_rows = run_rows(&attempts, &frame.root, clock.now);
    let more_runs = run_rows.len().saturating_sub(MOST_RUNS);
    run_rows.truncate(MOST_RUNS);
    SystemPage {
        headline: headline(&troubles, table),
        run_count: all.len(),
        batch: batch_sentence(machine.work, clock),
        batches,
        facts: facts(machine.work, table, &troubles),
        say: sentences(&troubles, clock),
        time_line: figures::time_line(attempts, &troubles, span, &frame.root, clock),
        gpus,
        machine: figures,
        gpu_rows,
        run_rows,
        more_runs,
        disk,
        frame,
    }
}

/// The page of a batch whose record cannot be read; why not is said.
pub fn unread(
    batches: Vec<BatchLink>,
    disk: Option<&DiskUse>,
    mut said: Vec<String>,
    frame: Frame,
    clock: &Clock,
) -> SystemPage {
    let headline = "Of this batch nothing can be shown.".to_owned();
    if said.is_empty() {
        said.push("Its folder has no batch.json.".to_owned());
    }
    SystemPage { headline, say: said, ..page(&[], None, batches, disk, frame, clock) }
}

/// What is true where no batch is known: runs may have come here without theirs.
fn without_batch(runs: usize) -> String {
    match runs {
        0 => "Nothing has run here yet.".to_owned(),
        runs => format!(
            "{} here, and no batch that worked on {}.",
            say::counted(runs, "run is", "runs are"),
            if runs == 1 { "it" } else { "them" }
        ),
    }
}

/// The attempts of one batch, with their runs.
fn attempts_of<'a>(all: &[&'a RunSummary], batch: &str) -> Vec<(&'a RunSummary, &'a AttemptSpan)> {
    let attempts = all.iter().flat_map(|run| run.attempts.iter().map(|attempt| (*run, attempt)));
    attempts.filter(|(_, attempt)| attempt.batch.as_deref() == Some(batch)).collect()
}

/// From the first to the last that is known of the batch.
fn span(work: &Work, table: &Metrics, attempts: &[(&RunSummary, &AttemptSpan)], now: f64) -> (f64, f64) {
    let time = table.column("time");
    let sampled = time.into_iter().flat_map(|time| [time.values.first().copied(), time.last()]).flatten();
    let ended = attempts
        .iter()
        .map(|(run, attempt)| attempt.end.unwrap_or(if run.is_active() { now } else { attempt.start }));
    let begun = attempts.iter().map(|(_, attempt)| attempt.start);
    let own = [Some(work.batch.start), work.batch.end].into_iter().flatten();
    let moments = sampled.chain(ended).chain(begun).chain(own).filter(|time| time.is_finite());
    moments.fold((f64::INFINITY, f64::NEG_INFINITY), |(first, last), time| (first.min(time), last.max(time)))
}

fn headline(troubles: &[(String, Troubles)], table: &Metrics) -> String {
    let errors: usize =
        troubles.iter().map(|(_, found)| found.errors.len() + usize::from(found.lost.is_some())).sum();
    let slow = troubles.iter().filter(|(_, found)| found.slow_part > 0.0).count();
    let gpus = say::counted(troubles.len(), "GPU", "GPUs");
    match (troubles.len(), errors, slow) {
        (0, ..) if table.rows == 0 => "Nothing was measured of the machine.".to_owned(),
        (0, ..) => "The machine worked without a GPU.".to_owned(),
        (_, 0, 0) => format!("{gpus}, no error, clocks never held down."),
        (_, 0, slow) => format!("{gpus}, no error, clocks of {slow} held down."),
        (_, errors, _) => format!("{gpus}, {}.", say::counted(errors, "error", "errors")),
    }
}

fn facts(work: &Work, table: &Metrics, troubles: &[(String, Troubles)]) -> Vec<Fact> {
    let fact = |name: &str, value: String, unit: &str, class| Fact {
        name: name.into(),
        value,
        unit: unit.into(),
        class,
    };
    let mut facts = Vec::new();
    let joules =
        work.batch.energy_joules.or_else(|| work.queue.as_ref().and_then(|queue| queue.energy_joules));
    if let Some((value, unit)) = joules.map(crate::say::energy_in) {
        facts.push(fact("energy of the runs", value, unit, ""));
    }
    let of_gpus = |end: &'static str| troubles.iter().map(move |(device, _)| format!("{device}_{end}"));
    if let Some(mean) = mean(of_gpus("use_percent").filter_map(|name| mean_of(table, &name))) {
        facts.push(fact("GPU use, mean", format!("{mean:.0}"), "%", ""));
    }
    if let Some(most) = highest(of_gpus("temperature_celsius").filter_map(|name| highest_of(table, &name))) {
        facts.push(fact("hottest GPU", format!("{most:.0}"), "°C", ""));
    }
    if let Some(mean) = mean_of(table, "cpu_percent") {
        facts.push(fact("processor, mean", format!("{mean:.0}"), "%", ""));
    }
    if let Some(most) = highest_of(table, "memory_bytes") {
        facts.push(fact("memory, most", say::bytes(most as u64), "", ""));
    }
    if let Some(room) = table.column("disk_free_bytes").and_then(|column| column.last()) {
        facts.push(fact("room on the disk", say::bytes(room as u64), "", ""));
    }
    let errors: usize = troubles.iter().map(|(_, found)| found.errors.len()).sum();
    if errors > 0 {
        facts.push(fact("GPU errors", errors.to_string(), "", "bad"));
    }
    facts
}

/// Errors beyond these are counted.
const MOST_ERRORS: usize = 8;

fn sentences(troubles: &[(String, Troubles)], clock: &Clock) -> Vec<String> {
    let mut said = Vec::new();
    for (device, found) in troubles {
        let name = troubles::name(device);
        for (time, code) in found.errors.iter().take(MOST_ERRORS) {
            let moment = clock.moment(*time).text;
            said.push(format!("{name} reported XID {code} at {moment}: {}.", xid_words(*code)));
        }
        if found.errors.len() > MOST_ERRORS {
            said.push(format!("{name} reported {} more errors.", found.errors.len() - MOST_ERRORS));
        }
        if let Some(time) = found.lost {
            said.push(format!("{name} was lost at {}.", clock.moment(time).text));
        }
        if found.slow_part > 0.0 {
            let mut reasons: Vec<&str> = found.slow.iter().map(|slow| slow.why).collect();
            reasons.sort_unstable();
            reasons.dedup();
            let part = (found.slow_part * 100.0).max(1.0);
            said.push(format!(
                "{name}'s clocks were held down in {part:.0} % of the samples: {}.",
                reasons.join(", ")
            ));
        }
    }
    said
}

fn gpu_row(table: &Metrics, index: usize, device: &str, found: &Troubles) -> GpuRow {
    let column = |end: &str| format!("{device}_{end}");
    let rounded =
        |value: Option<f64>, unit: &str| value.map_or_else(String::new, |value| format!("{value:.0} {unit}"));
    GpuRow {
        class: series_class(index as u16),
        name: troubles::name(device),
        energy: energy::of_device(table, device).map_or_else(String::new, crate::say::energy),
        use_mean: rounded(mean_of(table, &column("use_percent")), "%"),
        power_mean: rounded(mean_of(table, &column("power_watts")), "W"),
        hottest: rounded(highest_of(table, &column("temperature_celsius")), "°C"),
        slow: rounded((found.slow_part > 0.0).then_some((found.slow_part * 100.0).max(1.0)), "%"),
        errors: found.errors.len(),
    }
}

/// What each run took, the greediest first; runs of which it is not known last.
fn run_rows(attempts: &[(&RunSummary, &AttemptSpan)], root: &str, now: f64) -> Vec<EnergyRow> {
    let mut runs: Vec<(&RunSummary, Vec<&AttemptSpan>)> = Vec::new();
    for (run, attempt) in attempts {
        match runs.last_mut().filter(|(known, _)| known.key() == run.key()) {
            Some((_, spans)) => spans.push(attempt),
            None => runs.push((run, vec![attempt])),
        }
    }
    let taken = |spans: &[&AttemptSpan]| {
        spans.iter().filter_map(|span| span.energy_joules).reduce(|sum, joules| sum + joules)
    };
    let total: f64 = runs.iter().filter_map(|(_, spans)| taken(spans)).sum();
    let row = |(run, spans): &(&RunSummary, Vec<&AttemptSpan>)| {
        let joules = taken(spans);
        let until = |span: &AttemptSpan| span.end.unwrap_or(if run.is_active() { now } else { span.start });
        let took = spans.iter().map(|span| (until(span) - span.start).max(0.0)).sum();
        let mut devices: Vec<&str> = spans.iter().map(|span| span.device.as_str()).collect();
        devices.dedup();
        EnergyRow {
            class: series_class(run.number),
            name: run.label.clone(),
            full_name: run.key(),
            href: rows::run_href(root, run),
            device: devices.join(", "),
            took: say::duration(took),
            took_sort: took,
            energy: joules.map_or_else(String::new, crate::say::energy),
            energy_sort: joules,
            share: joules
                .filter(|_| total > 0.0)
                .map_or_else(String::new, |joules| format!("{:.0} %", joules / total * 100.0)),
        }
    };
    let mut rows: Vec<EnergyRow> = runs.iter().map(row).collect();
    rows.sort_by(|one, other| {
        let known = |row: &EnergyRow| row.energy_sort.unwrap_or(-1.0);
        known(other).total_cmp(&known(one)).then(other.took_sort.total_cmp(&one.took_sort))
    });
    rows
}

fn disk_block(disk: &DiskUse, root: &str, clock: &Clock) -> DiskBlock {
    let total: u64 = disk.experiments.values().map(|held| held.bytes).sum();
    let free: u64 = disk.experiments.values().map(|held| held.free_bytes).sum::<u64>() + disk.outside_bytes;
    let runs: usize = disk.experiments.values().map(|held| held.runs).sum();
    let largest = disk.experiments.values().map(|held| held.bytes).max().unwrap_or(0).max(1);
    let goes = match (&disk.problem, free) {
        (Some(_), _) => String::new(),
        (None, 0) => " Nothing of it would go by the rules in overnight.toml.".to_owned(),
        (None, free) => format!(" {} of it would go by the rules in overnight.toml.", say::bytes(free)),
    };
    let mut rows: Vec<DiskRow> = disk
        .experiments
        .iter()
        .map(|(name, held)| DiskRow {
            experiment: name.clone(),
            href: rows::experiment_href(root, name),
            runs: held.runs,
            bytes: held.bytes,
            size: say::bytes(held.bytes),
            checkpoints: say::bytes(held.checkpoint_bytes),
            checkpoint_bytes: held.checkpoint_bytes,
            free: if held.free_bytes > 0 { say::bytes(held.free_bytes) } else { String::new() },
            free_bytes: held.free_bytes,
            part: (held.bytes as f64 / largest as f64 * 100.0).round() as u32,
        })
        .collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.bytes));
    DiskBlock {
        sentence: match (rows.len(), disk.outside_bytes) {
            (0, 0) => "No run holds anything of the disk yet.".to_owned(),
            (0, outside) => format!("No run is left; leftovers hold {}.{goes}", say::bytes(outside)),
            (1, _) if runs == 1 => format!("The one run holds {}.{goes}", say::bytes(total)),
            _ => format!("All runs hold {}.{goes}", say::bytes(total)),
        },
        measured: clock.moment(disk.time),
        problem: disk.problem.clone().unwrap_or_default(),
        rows,
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, sum) = values
        .filter(|value| value.is_finite())
        .fold((0, 0.0), |(count, sum), value| (count + 1, sum + value));
    (count > 0).then(|| sum / f64::from(count))
}

fn mean_of(table: &Metrics, column: &str) -> Option<f64> {
    mean(table.column(column)?.values.iter().copied())
}

fn highest(values: impl Iterator<Item = f64>) -> Option<f64> {
    values.filter(|value| value.is_finite()).reduce(f64::max)
}

fn highest_of(table: &Metrics, column: &str) -> Option<f64> {
    highest(table.column(column)?.values.iter().copied())
}

#[cfg(test)]
mod tests;
