//! What other pages need to know of a run: a fold over its files, small enough to remember.

mod attempts;
mod few;
mod standing;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::chart::data::reduced;
use super::chart::series::{Mean, smoothed, thinned};
use super::chart::{Form, Point, Values};
use super::clocks::Clocks;
use super::files::RunFiles;
use super::numbers;
use super::run_page::telemetry;
use super::siblings;
use super::stock::Stock;
use crate::curves::Said;
use crate::experiment::identity;
use crate::experiment::metric::{Direction, direction_of};
use crate::run_dir::alerts::{self, Told};
use crate::run_dir::budgets::{self, Verdict};
use crate::run_dir::needs::Fate;
use crate::run_dir::number::Number;
use crate::run_dir::records::{Origin, RunRecord};
use crate::run_dir::{RunDir, Status, metric_of};
use crate::say::set_apart;
pub use attempts::AttemptSpan;
pub use standing::{Failure, State};

/// A run, as the lists, the experiment's page and the first page show it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunSummary {
    /// What the run's files were when this was made: see `files::fingerprint`.
    pub fingerprint: String,
    pub experiment: String,
    /// The directory's name.
    pub run: String,
    /// The name without its hash.
    pub label: String,
    /// Number within the experiment; decides the color.
    pub number: u16,
    /// The one in its record, which it may share with a run that was copied here.
    #[serde(default)]
    pub recorded: Option<u16>,
    pub description: String,
    pub tags: Vec<String>,
    /// Unix seconds when it was queued.
    pub created: f64,
    pub state: State,
    /// What it waits for, and what its own state means for those that wait for it.
    pub needs: Vec<String>,
    pub fate: Fate,
    /// The need that did not finish, if it is skipped.
    pub failed_need: Option<String>,
    /// Steps planned and done.
    pub steps: u64,
    pub step: u64,
    pub remaining_seconds: Option<f64>,
    /// Seconds of training over all attempts.
    pub elapsed_seconds: Option<f64>,
    pub seed: Option<u64>,
    /// What the sweep varied, in the file's order.
    pub varied: Vec<(String, Value)>,
    /// Settings of those that the sweep draws log-uniformly.
    #[serde(default)]
    pub log_uniform: Vec<String>,
    /// The metric whose best value counts, and that value.
    pub metric: String,
    pub best: Option<BestValue>,
    /// Last finite or not: the last logged value of each metric.
    pub last: BTreeMap<String, Number>,
    /// Tokens or images per second.
    pub rate: Option<(String, f64)>,
    pub attempts: Vec<AttemptSpan>,
    pub failure: Option<Failure>,
    /// What rules saw, in order of time.
    pub alerts: Vec<Told>,
    /// What became of its budgets, once that is known.
    pub budgets: Vec<Verdict>,
    /// Thinned curves by metric, over steps.
    pub curves: BTreeMap<String, Vec<(f64, Number)>>,
    /// The same for runs that differ by their seed alone; empty where the record cannot be read.
    #[serde(default)]
    pub group: String,
    /// What a person would say of its curves, most important first.
    #[serde(default)]
    pub said: Vec<Said>,
    /// What stands behind those curves that are moving averages.
    #[serde(default)]
    pub behind: BTreeMap<String, Behind>,
    /// What a step is on other axes.
    #[serde(default)]
    pub clocks: Clocks,
    /// Metric and best value that its result tells, of a run that finished.
    #[serde(default)]
    pub result: Option<(String, f64)>,
    /// The run that its page compares settings with.
    #[serde(default)]
    pub beside: Option<String>,
    /// The header of `metrics.csv`.
    #[serde(default)]
    pub header: String,
    /// The run's own note and those that were added.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Every setting by its dotted path.
    #[serde(default)]
    pub settings: BTreeMap<String, Value>,
    /// What it took over all attempts, where that was measured.
    #[serde(default)]
    pub energy_joules: Option<f64>,
    /// When it was last heard of, beside its attempts: of an imported run its newest value.
    #[serde(default)]
    pub newest: Option<f64>,
    /// Its models, and what it takes of others.
    #[serde(default)]
    pub stock: Stock,
}

/// The values that a moving average was made of, in reduced form.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Behind {
    points: Vec<(f64, Number)>,
    means: Vec<(f64, Number, u32)>,
    rows: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BestValue {
    pub value: f64,
    pub step: u64,
}

/// Columns of the curves that are remembered.
const COLUMNS: u32 = 300;
/// The same for the values behind an average.
const BEHIND: u32 = 200;
/// Metrics whose curves an experiment's page draws, beside the one that counts.
pub const CURVES: [&str; 5] = ["val/loss", "val/accuracy", "train/loss", "train/accuracy", "grad_norm"];

impl RunSummary {
    pub fn of(files: &RunFiles, fingerprint: String) -> RunSummary {
        let record = files.seen.record.as_ref().ok();
        let metric = metric_of(&files.seen);
        let progress = files.seen.progress.as_ref();
        let result = files.result.as_ref();
        let step_column = files.metrics.column("step").and_then(|column| column.last());
        let step = match (result, progress, step_column) {
            (Some(result), ..) => result.step,
            (_, Some(progress), last) => progress.step.max(last.map_or(0, |step| step as u64)),
            (.., last) => last.map_or(0, |step| step as u64),
        };
        let elapsed_column = files.metrics.column("elapsed").and_then(|column| column.last());
        RunSummary {
            fingerprint,
            experiment: files.dir().experiment(),
            run: files.dir().name(),
            label: label(files.dir(), record),
            number: record.map_or(0, numbers::of_record),
            recorded: record.map(numbers::of_record),
            description: record.map_or_else(String::new, |record| record.description.clone()),
            tags: files.tags(),
            notes: files.notes(),
            settings: record
                .map_or_else(BTreeMap::new, |record| record.flat_settings().into_iter().collect()),
            energy_joules: telemetry::energy_joules(&files.telemetry),
            created: record.map_or(0.0, |record| record.created),
            state: standing::state_of(&files.seen),
            needs: record.map_or_else(Vec::new, |record| record.queue.needs.clone()),
            fate: Fate::of(&files.seen.status),
            failed_need: match &files.seen.status {
                Status::Skipped { need } | Status::NeedFailed { need } => Some(need.clone()),
                _ => None,
            },
            steps: progress
                .map_or_else(|| record.map_or(0, |record| record.steps), |progress| progress.steps),
            step,
            remaining_seconds: progress
                .and_then(|progress| progress.remaining_seconds)
                .filter(|_| files.seen.status.is_running()),
            elapsed_seconds: result.map(|result| result.elapsed_seconds).or(elapsed_column),
            seed: record.and_then(RunRecord::seed),
            varied: record.map_or_else(Vec::new, |record| record.varied.clone().into_iter().collect()),
            log_uniform: record.map_or_else(Vec::new, |record| record.log_uniform.clone()),
            best: best(files, &metric),
            said: few::said(files, &metric),
            group: record.map_or_else(String::new, RunRecord::group),
            metric,
            last: few::last(files),
            rate: rate(files),
            attempts: attempts::spans(files),
            failure: standing::failure(files),
            alerts: alerts::told(&files.events, &files.machine_alerts),
            budgets: budgets::verdicts(&files.seen),
            newest: files.seen.import.as_ref().and_then(|import| import.newest),
            stock: Stock::default(),
            curves: BTreeMap::new(),
            behind: BTreeMap::new(),
            clocks: Clocks::of(files),
            result: result.and_then(siblings::best_of),
            beside: None,
            header: String::new(),
        }
        .with_curves(files)
        .with_stock(files)
    }

    fn with_stock(mut self, files: &RunFiles) -> RunSummary {
        self.stock = Stock::of(files, self.best.map(|best| best.step));
        self
    }

    fn with_curves(mut self, files: &RunFiles) -> RunSummary {
        let metric = self.metric.clone();
        let wanted = CURVES.iter().copied().chain([metric.as_str()]);
        self.header = few::header(files, &wanted.clone().collect::<Vec<_>>());
        wanted.for_each(|name| self.remember(files, name));
        self
    }

    /// Keeps the curve of a metric, where it has one.
    pub fn remember(&mut self, files: &RunFiles, name: &str) {
        let points = files.curve(name);
        if points.is_empty() || self.curves.contains_key(name) {
            return;
        }
        // What is logged at every row is noise without an average; evaluations are means already.
        let is_noisy = points.len() > 60 && !name.starts_with("val/");
        if is_noisy {
            self.behind.insert(name.to_owned(), Behind::of(points));
        }
        let line = if is_noisy { Cow::Owned(smoothed(points)) } else { Cow::Borrowed(points) };
        let kept = thinned(&line, COLUMNS).into_iter().map(|(x, y)| (x, Number(y)));
        self.curves.insert(name.to_owned(), kept.collect());
    }

    /// The remembered points of a metric.
    pub fn curve(&self, metric: &str) -> Vec<Point> {
        self.curves.get(metric).into_iter().flatten().map(|&(x, Number(y))| (x, y)).collect()
    }

    /// The values behind a curve that is a moving average.
    pub fn values(&self, metric: &str) -> Option<Values> {
        let behind = self.behind.get(metric)?;
        let mean = |&(x, Number(mean), rows): &(f64, Number, u32)| Mean { x, mean, rows };
        Some(Values {
            points: behind.points.iter().map(|&(x, Number(y))| (x, y)).collect(),
            means: behind.means.iter().map(mean).collect(),
            rows: behind.rows,
        })
    }

    /// The run among those of all experiments, as scripts name it.
    pub fn key(&self) -> String {
        format!("{}/{}", self.experiment, self.run)
    }

    pub fn is_active(&self) -> bool {
        self.state.class == "running"
    }

    /// When the run was last heard of.
    pub fn latest(&self) -> f64 {
        let times = self.attempts.iter().map(|attempt| attempt.end.unwrap_or(attempt.start));
        times.chain(self.newest).fold(self.created, f64::max)
    }
}

impl Behind {
    fn of(points: &[Point]) -> Behind {
        let (kept, means, rows) = reduced(points, BEHIND, Form::Smoothed);
        Behind {
            points: kept.into_iter().map(|(x, y)| (x, Number(y))).collect(),
            means: means.into_iter().map(|mean| (mean.x, Number(mean.mean), mean.rows)).collect(),
            rows,
        }
    }
}

/// The directory's name without the hash that makes it unique, and with what the command line changed:
/// nothing else tells such a run from that of the file.
pub fn label(dir: &RunDir, record: Option<&RunRecord>) -> String {
    let name = dir.name();
    let hash = record.and_then(|record| record.hash.get(..8));
    let short = hash.and_then(|hash| name.strip_suffix(&format!("-{hash}")));
    let (Some(record), Some(short)) = (record, short.filter(|short| !short.is_empty())) else {
        return set_apart(&name);
    };
    let changed = record.origins.iter().filter(|(_, origin)| **origin == Origin::CommandLine);
    let changed: Vec<&String> = changed.map(|(path, _)| path).collect();
    if changed.is_empty() {
        return set_apart(short);
    }
    let settings = record.flat_settings();
    let label = changed.into_iter().fold(short.to_owned(), |label, path| {
        let key = path.rsplit('.').next().unwrap_or(path);
        let value = settings.get(path).map(identity::short).unwrap_or_default();
        format!("{label} {key}{value}")
    });
    set_apart(&label)
}

fn best(files: &RunFiles, metric: &str) -> Option<BestValue> {
    if let Some(best) = files.result.as_ref().and_then(|result| result.best.as_ref())
        && best.metric == metric
        && best.value.is_finite()
    {
        return Some(BestValue { value: best.value, step: best.step });
    }
    let direction = direction_of(metric);
    let points = files.metrics.points("step", metric).filter(|(_, value)| value.is_finite());
    let best = points.reduce(|best, point| match direction {
        Direction::Higher if point.1 > best.1 => point,
        Direction::Lower | Direction::Neither if point.1 < best.1 => point,
        _ => best,
    });
    best.map(|(step, value)| BestValue { value, step: step as u64 })
}

/// The middle of the rates that were logged: single slow steps do not count.
fn rate(files: &RunFiles) -> Option<(String, f64)> {
    let column = files.metrics.columns.iter().find(|column| column.name.ends_with("_per_second"))?;
    let mut values: Vec<f64> = column.values.iter().copied().filter(|value| value.is_finite()).collect();
    if values.is_empty() {
        return None;
    }
    let middle = values.len() / 2;
    let rate = *values.select_nth_unstable_by(middle, f64::total_cmp).1;
    Some((column.name.clone(), rate))
}

/// A run that nobody has started, for tests.
#[cfg(test)]
pub fn sample(experiment: &str, run: &str) -> RunSummary {
    use crate::run_dir::scan::sample_record;
    let folder = tempfile::tempdir().unwrap();
    let dir = RunDir::new(folder.path().join(experiment).join(run));
    std::fs::create_dir_all(dir.path()).unwrap();
    std::fs::write(dir.run_json(), serde_json::to_vec(&sample_record(experiment, run)).unwrap()).unwrap();
    RunSummary::of(&RunFiles::read(&dir, "host", 1000.0, Default::default()), "fingerprint".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_dir::scan::sample_record;

    #[test]
    fn what_the_command_line_changed_stands_in_the_label() {
        let mut record = sample_record("x", "s1-1f3a9c07");
        let dir = RunDir::new("runs/x/s1-1f3a9c07");
        assert_eq!(label(&dir, Some(&record)), "s1");
        record.origins.insert("train.steps".to_owned(), Origin::CommandLine);
        record.settings.train.steps = Some(2000);
        assert_eq!(label(&dir, Some(&record)), "s1 steps2000");
        assert_eq!(label(&dir, None), "s1-1f3a9c07");
    }
}
