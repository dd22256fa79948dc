//! The first page: what happened, what needs somebody, what comes next; and the list of experiments.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::chart::backend::series_class;
use super::chart::night::{self, Night};
use super::chart::number::measured;
use super::chart::{Size, meeting};
use super::clocks;
use super::experiment_page::{self, LINES, comparison, waiting};
use super::judged;
use super::lanes;
use super::model::*;
use super::morning;
use super::rows::{self, Table};
use super::say::{self, Clock};
use super::summary::RunSummary;
use super::verdicts::Verdicts;
use super::watched;
use crate::run_dir::records::{Batch, QueueState};

/// The newest batch and what its runner says.
#[derive(Debug)]
pub struct Work {
    pub name: String,
    pub batch: Batch,
    pub queue: Option<QueueState>,
    /// Whether its runner lives.
    pub is_running: bool,
}

/// Experiments with a chart on the first page, those last heard of.
const BOARDS: usize = 4;
/// Runs of one leaderboard.
const LEADERS: usize = 8;
/// Runs that a legend names because they have another color than elsewhere.
const LEGEND: usize = 12;
const FAILURES: usize = 50;
const NEXT: usize = 40;

/// Runs by experiment.
pub type Experiments<'a> = BTreeMap<&'a str, Vec<&'a RunSummary>>;

/// Everything the first page shows.
pub fn page(
    experiments: &Experiments,
    work: Option<&Work>,
    verdicts: &Verdicts,
    frame: Frame,
    clock: &Clock,
) -> IndexPage {
    let all: Vec<&RunSummary> = experiments.values().flatten().copied().collect();
    let own = of_batch(&all, work);
    // A batch that found nothing to do is none to tell of.
    let is_idle = own.is_empty();
    let of_batch = if is_idle { all.clone() } else { own };
    let told_of = work.map(|work| &work.batch).filter(|_| !is_idle);
    let queue =
        work.and_then(|work| work.queue.as_ref()).filter(|_| work.is_some_and(|work| work.is_running));
    let root = frame.root.clone();
    let mut by_time: Vec<(&str, &[&RunSummary])> =
        experiments.iter().map(|(name, runs)| (*name, runs.as_slice())).collect();
    by_time.sort_by(|one, other| latest(other.1).total_cmp(&latest(one.1)));
    let boards: Vec<Board> =
        by_time.iter().filter_map(|(name, runs)| board(name, runs, &root)).take(BOARDS).collect();
    let with_board: Vec<&str> = boards.iter().map(|board| board.experiment.as_str()).collect();
    let others = by_time.iter().filter(|(name, _)| !with_board.contains(name));
    let others = others.map(|(name, runs)| experiment_row(name, runs, &root, clock)).collect();
    let mut next: Vec<NextRow> =
        all.iter().filter_map(|run| rows::next(run, waiting(queue, run), &root, clock)).collect();
    next.sort_by_key(rows::next_place);
    let next_more = next.len().saturating_sub(NEXT);
    next.truncate(NEXT);
    let needs_a_person = |run: &&RunSummary| waiting(queue, run).is_none();
    let is_of_batch: BTreeSet<(&str, &str)> =
        of_batch.iter().map(|run| (run.experiment.as_str(), run.run.as_str())).collect();
    let (now, older): (Vec<&RunSummary>, Vec<&RunSummary>) = all
        .iter()
        .copied()
        .filter(|run| run.failure.is_some() && needs_a_person(run))
        .partition(|run| is_of_batch.contains(&(run.experiment.as_str(), run.run.as_str())));
    let failures = |runs: &[&RunSummary]| -> Vec<FailureRow> {
        runs.iter().filter_map(|run| rows::failure(run, &root)).take(FAILURES).collect()
    };
    let need = Need { now: now.len(), older: older.len(), missing: watched::missing(&of_batch) };
    let news = morning::news(&all, &of_batch, told_of, &root, clock);
    IndexPage {
        headline: headline(&of_batch, &need, work),
        need: need.sentence().trim_start().to_owned(),
        batch: work.map_or_else(String::new, |work| batch_sentence(work, clock)),
        facts: facts(&of_batch, news.resumed, work.filter(|_| !is_idle), clock),
        say: sentences(work),
        leads: leads(&by_time, work, verdicts, clock),
        news,
        has_several: experiments.len() > 1,
        night: work.and_then(|work| night_figure(&all, work, clock)),
        clocks: clocks::json(
            boards
                .iter()
                .filter_map(|board| experiments.get(board.experiment.as_str()))
                .flat_map(|runs| rows::ranked(runs.iter().copied()).into_iter().take(LINES))
                .map(|run| (run.key(), &run.clocks)),
        ),
        aside: None,
        boards,
        alerts: watched::alerts_of_batch(&all, work, &root, clock),
        missed: watched::missed(&of_batch, &root),
        failures: failures(&now),
        older_failures: failures(&older),
        next,
        next_more,
        others,
        frame,
    }
}

/// `experiments/index.html`.
pub fn experiments_page(experiments: &Experiments, frame: Frame, clock: &Clock) -> ExperimentsPage {
    let mut rows: Vec<ExperimentRow> =
        experiments.iter().map(|(name, runs)| experiment_row(name, runs, &frame.root, clock)).collect();
    rows.sort_by(|one, other| other.latest_sort.total_cmp(&one.latest_sort));
    ExperimentsPage { rows, frame }
}

/// The runs of the newest batch: those that it planned, and those that it worked on because they were
/// queued meanwhile. All where there is none. Whatever the page says of a batch it says of these.
fn of_batch<'a>(all: &[&'a RunSummary], work: Option<&Work>) -> Vec<&'a RunSummary> {
    let Some(work) = work else { return all.to_vec() };
    let planned: BTreeSet<(&str, &str)> =
        work.batch.plan.iter().map(|entry| (entry.experiment.as_str(), entry.run.as_str())).collect();
    let is_own = |run: &&&RunSummary| {
        let was_worked_on =
            || run.attempts.iter().any(|attempt| attempt.batch.as_deref() == Some(work.name.as_str()));
        planned.contains(&(run.experiment.as_str(), run.run.as_str())) || was_worked_on()
    };
    all.iter().filter(is_own).copied().collect()
}

/// How many runs need somebody.
struct Need {
    /// Of the newest batch.
    now: usize,
    /// All others.
    older: usize,
    /// Of the newest batch, that missed a budget.
    missing: usize,
}

impl Need {
    /// With a space before it where there is anything to say.
    fn sentence(&self) -> String {
        let need = match (self.now, self.older) {
            (0, 0) => String::new(),
            (1, 0) => " One needs you.".into(),
            (many, 0) => format!(" {} need you.", in_words(many)),
            (0, 1) => " One from before needs you.".into(),
            (0, older) => format!(" {} from before need you.", in_words(older)),
            (now, older) => {
                let verb = if now == 1 { "needs" } else { "need" };
                format!(" {} {verb} you, and {} from before.", in_words(now), in_words(older).to_lowercase())
            }
        };
        match self.missing {
            0 => need,
            1 => format!("{need} One missed its budget."),
            many => format!("{need} {} missed their budgets.", in_words(many)),
        }
    }
}

fn headline(runs: &[&RunSummary], need: &Need, work: Option<&Work>) -> String {
    let count = |class: &str| runs.iter().filter(|run| run.state.class == class).count();
    let (finished, running) = (count("finished"), count("running"));
    let is_well = need.now + need.older + need.missing == 0;
    let need = need.sentence();
    if runs.is_empty() {
        return "No runs yet.".into();
    }
    if running > 0 || work.is_some_and(|work| work.is_running) {
        let running = match running {
            0 => "none is running now".to_owned(),
            1 => "1 is running".to_owned(),
            many => format!("{many} are running"),
        };
        return format!("{finished} of {} done, {running}.{need}", say::counted(runs.len(), "run", "runs"));
    }
    match finished {
        0 if is_well => {
            format!("{} waiting.", say::counted(runs.len(), "run is", "runs are"))
        }
        0 => format!("No run finished.{need}"),
        _ => format!("{} finished.{need}", say::counted(finished, "run", "runs")),
    }
}

/// Small numbers as words, at the beginning of a sentence.
fn in_words(number: usize) -> String {
    const WORDS: [&str; 10] =
        ["None", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine"];
    WORDS.get(number).map_or_else(|| number.to_string(), |word| (*word).to_owned())
}

pub(super) fn batch_sentence(work: &Work, clock: &Clock) -> String {
    let batch = &work.batch;
    let ends = batch.end.or_else(|| work.queue.as_ref().filter(|_| work.is_running)?.end);
    let plan = morning::against_plan(batch, ends, clock).map_or_else(String::new, |plan| format!(" {plan}"));
    let start = clock.moment(batch.start).text;
    let slots = say::counted(batch.slots as usize, "slot", "slots");
    match (batch.end, work.is_running) {
        (Some(end), _) => {
            let until = clock.moment(end).text;
            // The same day is not said twice.
            let same_day =
                start.rsplit_once(' ').zip(until.rsplit_once(' ')).filter(|(one, other)| one.0 == other.0);
            let until = same_day.map_or(until.as_str(), |(_, (_, hour))| hour);
            format!(
                "The batch ran on {} from {start} to {until}, {}.{plan}",
                batch.host,
                say::duration(batch.took_seconds().unwrap_or_default())
            )
        }
        (None, true) => {
            format!("The batch runs on {} since {start}, with {slots}.{plan}", batch.host)
        }
        (None, false) => format!(
            "The batch that began at {start} on {} broke off; overnight run goes on with it.",
            batch.host
        ),
    }
}

fn facts(runs: &[&RunSummary], resumed: usize, work: Option<&Work>, clock: &Clock) -> Vec<Fact> {
    let count = |class: &str| runs.iter().filter(|run| run.state.class == class).count();
    let classes = [("finished", ""), ("failed", "bad"), ("running", ""), ("waiting", ""), ("held", "")];
    let shown = classes.iter().filter(|(class, _)| count(class) > 0);
    let mut facts: Vec<Fact> = shown
        .map(|(name, class)| Fact {
            name: (*name).into(),
            value: crate::say::count(count(name) as u64),
            unit: String::new(),
            class,
        })
        .collect();
    if resumed > 0 {
        let value = crate::say::count(resumed as u64);
        facts.push(Fact { name: "resumed".into(), value, unit: String::new(), class: "" });
    }
    let end = work.filter(|work| work.is_running).and_then(|work| work.queue.as_ref()?.end);
    if let Some(end) = end {
        let value = clock.moment(end).text;
        facts.push(Fact { name: "batch ends about".into(), value, unit: String::new(), class: "" });
    }
    // Runs beside each other count each for itself, so the sum may be longer than the night.
    let at_work = seconds_at_work(runs, work, clock.now);
    if at_work > 0.0 {
        facts.push(Fact {
            name: "at work, all runs".into(),
            value: say::duration(at_work),
            unit: String::new(),
            class: "",
        });
    }
    let used = |work: &Work| {
        work.batch.energy_joules.or_else(|| work.queue.as_ref().and_then(|queue| queue.energy_joules))
    };
    if let Some(joules) = work.and_then(used) {
        let (value, unit) = crate::say::energy_in(joules);
        facts.push(Fact { name: "energy".into(), value, unit: unit.into(), class: "" });
    }
    facts
}

/// Seconds that workers of these runs lived, one after the other: in this batch, or ever.
fn seconds_at_work(runs: &[&RunSummary], work: Option<&Work>, now: f64) -> f64 {
    let spans = runs.iter().flat_map(|run| run.attempts.iter().map(move |attempt| (run, attempt)));
    let of_batch = spans
        .filter(|(_, attempt)| work.is_none_or(|work| attempt.batch.as_deref() == Some(work.name.as_str())));
    let took = of_batch.map(|(run, attempt)| {
        let until = attempt.end.unwrap_or(if run.is_active() { now } else { attempt.start });
        (until - attempt.start).max(0.0)
    });
    took.filter(|seconds| seconds.is_finite()).sum()
}

fn sentences(work: Option<&Work>) -> Vec<String> {
    let mut said = Vec::new();
    if let Some(reason) = work.and_then(|work| work.queue.as_ref()).and_then(|queue| queue.breaker.as_ref()) {
        said.push(format!("The batch stopped itself: {reason}."));
    }
    if work.is_some_and(|work| work.is_running && work.queue.as_ref().is_some_and(|queue| queue.drain)) {
        said.push("Nothing new is started; the runner ends after its current runs.".into());
    }
    said
}

/// Who leads each experiment now, and whether that is decided.
fn leads(
    experiments: &[(&str, &[&RunSummary])],
    work: Option<&Work>,
    verdicts: &Verdicts,
    clock: &Clock,
) -> Vec<LeadRow> {
    let lead = |(name, runs): &(&str, &[&RunSummary])| {
        let is_active = runs.iter().any(|run| run.is_active());
        let latest = if is_active { clock.now } else { latest(runs) };
        Some(LeadRow {
            experiment: (*name).to_owned(),
            href: rows::experiment_href("", name),
            text: verdicts.of(name, runs)?,
            latest,
            is_of_batch: work.is_none_or(|work| latest >= work.batch.start),
        })
    };
    experiments.iter().take(BOARDS).filter_map(lead).collect()
}

fn board(name: &str, runs: &[&RunSummary], root: &str) -> Option<Board> {
    let judged = judged::together(runs.iter().copied());
    let ranked = rows::ranked(judged.iter().map(Cow::as_ref));
    let metric = ranked.first()?.metric.clone();
    let mut figure = comparison(&ranked, &metric, Size::TwoThirds, root)?;
    figure.id = format!("{}-{}", figure.id, super::site::address(name));
    let table = Table::of(&ranked);
    // A leaderboard is narrow: the value that counts and its step.
    let columns: Vec<Column> = table.columns();
    let keep: Vec<usize> = columns
        .iter()
        .enumerate()
        .filter(|(_, column)| column.name.ends_with(", best") || column.name == "at step")
        .map(|(index, _)| index)
        .collect();
    let leaders = ranked.iter().take(LEADERS).enumerate().map(|(place, run)| {
        let mut row = table.row(run, root, place == 0 && run.best.is_some());
        row.cells = keep.iter().filter_map(|&index| row.cells.get(index).cloned()).collect();
        row
    });
    Some(Board {
        id: format!("board-{}", super::site::address(name)),
        experiment: name.to_owned(),
        href: rows::experiment_href(root, name),
        figure,
        note: metric,
        columns: vec![
            Column { name: "best".into(), numeric: true, roomy: false },
            Column { name: "at step".into(), numeric: true, roomy: true },
        ],
        rows: leaders.collect(),
        more: ranked.len().saturating_sub(LEADERS),
    })
}

fn latest(runs: &[&RunSummary]) -> f64 {
    runs.iter().map(|run| run.latest()).fold(0.0, f64::max)
}

fn experiment_row(name: &str, runs: &[&RunSummary], root: &str, clock: &Clock) -> ExperimentRow {
    let judged = judged::together(runs.iter().copied());
    let ranked = rows::ranked(judged.iter().map(Cow::as_ref));
    let best = ranked.first().filter(|run| run.best.is_some());
    let value = best.and_then(|best| best.best).map(|best| best.value);
    ExperimentRow {
        id: format!("experiment-{}", super::site::address(name)),
        name: name.to_owned(),
        href: rows::experiment_href(root, name),
        description: ranked.first().map_or_else(String::new, |run| run.description.clone()),
        runs: runs.len(),
        states: experiment_page::states(runs),
        metric: ranked.first().map_or_else(String::new, |run| run.metric.clone()),
        best: value.map_or_else(String::new, measured),
        best_sort: value,
        best_run: best.map_or_else(String::new, |best| best.label.clone()),
        best_href: best.map_or_else(String::new, |best| rows::run_href(root, best)),
        latest: clock.moment(latest(runs)),
        latest_sort: latest(runs),
    }
}

/// The number that stands for each run where several experiments meet, and a legend of those that have
/// another color than elsewhere.
pub(super) fn numbers_here<'a>(
    runs: impl Iterator<Item = &'a RunSummary>,
    root: &str,
) -> (BTreeMap<(&'a str, &'a str), u16>, Vec<Key>) {
    let mut known: Vec<&RunSummary> = Vec::new();
    let mut seen = BTreeSet::new();
    known.extend(runs.filter(|run| seen.insert((&run.experiment, &run.run))));
    let own: Vec<u16> = known.iter().map(|run| run.number).collect();
    let here = meeting::numbers(&own);
    let moved = known.iter().zip(&here).filter(|(run, here)| run.number != **here);
    let named = |run: &RunSummary| format!("{} of {}", run.label, say::set_apart(&run.experiment));
    let legend = moved.map(|(run, &number)| Key {
        class: series_class(number),
        name: match meeting::holder(&here, run.number).and_then(|place| known.get(place)) {
            Some(other) => {
                format!("{} (another color here: its own stands for {})", named(run), named(other))
            }
            None => named(run),
        },
        href: Some(rows::run_href(root, run)),
    });
    let mut legend: Vec<Key> = legend.take(LEGEND + 1).collect();
    // A part of them would tell nothing of the others: bars say whose they are.
    if legend.len() > LEGEND {
        legend.clear();
    }
    (known.iter().map(|run| (run.experiment.as_str(), run.run.as_str())).zip(here).collect(), legend)
}

/// Which run used which device.
fn night_figure(all: &[&RunSummary], work: &Work, clock: &Clock) -> Option<Figure> {
    let attempts: Vec<(&RunSummary, &super::summary::AttemptSpan)> = all
        .iter()
        .flat_map(|run| run.attempts.iter().map(|attempt| (*run, attempt)))
        .filter(|(_, attempt)| attempt.batch.as_deref() == Some(work.name.as_str()))
        .collect();
    if attempts.is_empty() {
        return None;
    }
    let (numbers, legend) = numbers_here(attempts.iter().map(|(run, _)| *run), "");
    let until = work.batch.end.unwrap_or(if work.is_running { clock.now } else { work.batch.start });
    let lanes = lanes::lanes(attempts, &numbers, clock.now);
    let bars = lanes.iter().flat_map(|lane| &lane.bars);
    let last = bars.map(|bar| bar.end).fold(until, f64::max);
    let night = Night {
        title: "The night".into(),
        start: work.batch.start,
        end: last,
        offset_seconds: clock.offset_seconds(work.batch.start),
        lanes,
    };
    Some(Figure {
        id: "night".into(),
        title: "The night".into(),
        note: "which run used which device".into(),
        width: "w12",
        legend,
        drawing: night::drawing(&night),
    })
}

#[cfg(test)]
mod tests;
