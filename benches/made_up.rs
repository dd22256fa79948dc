//! Made-up workspaces: run directories as a runner and its workers would leave them, without any
//! training. For benchmarks of the report, for tests, and for looking at pages.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use overnight::experiment::settings::{
    Checkpoint, Cnn, Data, Every, Gpt, Model, Optimizer, Precision, Schedule, ScheduleKind, Settings, Shapes,
    Task, Text, Train,
};
use overnight::run_dir::checkpoint::Best;
use overnight::run_dir::metrics::{Writer, columns};
use overnight::run_dir::number::Number;
use overnight::run_dir::records::*;
use overnight::run_dir::write::{Durability, append_line, replace_json};
use overnight::run_dir::{PROTOCOL, RunDir, Workspace, lock, read};
use serde_json::json;

/// Unix seconds at which every made-up night begins.
pub const EVENING: f64 = 1_795_122_600.0;

/// One experiment to make up.
#[derive(Clone, Debug)]
pub struct MadeUp<'a> {
    pub experiment: &'a str,
    pub task: Task,
    pub runs: u32,
    /// Rows of `metrics.csv` of each run.
    pub rows: u32,
    pub end: Ending,
}

/// Makes a run that has ended one that a worker is busy with, as long as the lock is kept. A lock alone
/// would not do: it may outlive the end of an attempt by a moment.
pub fn revive(run: &RunDir) -> io::Result<File> {
    match fs::remove_file(run.result()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let attempts = read::lines::<Attempt>(&run.attempts()).map_err(io::Error::other)?.records;
    fs::remove_file(run.attempts())?;
    for start in attempts.iter().filter(|line| matches!(line, Attempt::Start(_))) {
        append_line(&run.attempts(), start, Durability::Rebuildable)?;
    }
    lock::try_lock(&run.alive_lock())?.ok_or_else(|| io::Error::other("somebody is at work at it"))
}

/// How the last runs of an experiment stand; the others are finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    AllFinished,
    /// One failed with a loss that is not finite, one was interrupted half way, one waits.
    Mixed,
}

/// A number between 0 and 1 that follows from its place alone (splitmix64).
pub fn noise(place: u64) -> f64 {
    let mut mixed = place.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

/// Writes the runs of an experiment below `root`, and returns their names.
pub fn experiment(root: &Path, made_up: &MadeUp) -> io::Result<Vec<String>> {
    (0..made_up.runs).map(|number| run(root, made_up, number)).collect()
}

/// A batch that worked these runs, begun in the evening.
pub fn batch(root: &Path, name: &str, runs: &[(&str, String)], end: Option<f64>) -> io::Result<()> {
    let folder = Workspace::new(root).batches().join(name);
    fs::create_dir_all(&folder)?;
    let entry = |(experiment, run): &(&str, String)| PlanEntry {
        experiment: (*experiment).to_owned(),
        run: run.clone(),
        steps: 1000,
        estimated_seconds: None,
    };
    let batch = Batch {
        protocol: PROTOCOL,
        host: "ada-01".into(),
        process: 1,
        start: EVENING,
        end,
        seconds: None,
        energy_joules: end.map(|_| 1.512e6),
        exit_code: end.map(|_| 0),
        arguments: vec!["run".into()],
        slots: 2,
        threads_per_slot: 1,
        plan: runs.iter().map(entry).collect(),
        divisions: Vec::new(),
        device_memory: Vec::new(),
        gpus: Vec::new(),
    };
    replace_json(&folder.join("batch.json"), &batch, Durability::Rebuildable)
}

/// Writes one run; where it stands follows from the ending and its number.
fn run(root: &Path, made_up: &MadeUp, number: u32) -> io::Result<String> {
    let rates = [1e-3, 3e-4, 6e-4, 1e-4];
    let (rate, layers) = (rates[number as usize % 4], 2 + 2 * (number / 4 % 3));
    let seed = 1 + u64::from(number / 12);
    let hash = format!("{:08x}", number.wrapping_mul(0x9e37_79b9));
    let name = format!("lr{rate:e}-layers{layers}-s{seed}-{hash}");
    let dir = Workspace::new(root).run(made_up.experiment, &name);
    fs::create_dir_all(dir.path())?;
    let last = made_up.runs - 1;
    let stand = match (made_up.end, last - number) {
        (Ending::Mixed, 0) => Stand::Waiting,
        (Ending::Mixed, 1) => Stand::Interrupted,
        (Ending::Mixed, 2) => Stand::Failed,
        _ => Stand::Finished,
    };
    let settings = settings(made_up.task, rate, layers, seed, u64::from(made_up.rows) * 10);
    let mut varied = serde_json::Map::new();
    varied.insert("train.optimizer.lr".into(), json!(rate));
    if made_up.task == Task::LanguageModel {
        varied.insert("model.layers".into(), json!(layers));
    }
    let origins = [("train.batch_size", Origin::File { line: 12 }), ("train.optimizer.lr", Origin::Sweep)];
    let record = RunRecord {
        imported: None,
        protocol: PROTOCOL,
        experiment: made_up.experiment.into(),
        run: name.clone(),
        number,
        hash,
        created: EVENING - 60.0,
        description: "a made-up night, to look at pages and to measure them".into(),
        tags: vec!["made-up".into()],
        notes: String::new(),
        base: "experiments".into(),
        steps: u64::from(made_up.rows) * 10,
        steps_per_epoch: 500,
        settings,
        varied,
        log_uniform: Vec::new(),
        origins: origins.into_iter().map(|(path, origin)| (path.to_owned(), origin)).collect(),
        queue: Default::default(),
        alerts: Vec::new(),
        budgets: Vec::new(),
    };
    replace_json(&dir.run_json(), &record, Durability::Rebuildable)?;
    replace_json(&dir.env_json(), &environment(), Durability::Rebuildable)?;
    if stand != Stand::Waiting {
        history(&dir, made_up, &record, number, stand)?;
    }
    Ok(name)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    Finished,
    Failed,
    Interrupted,
    Waiting,
}

fn settings(task: Task, rate: f64, layers: u32, seed: u64, steps: u64) -> Settings {
    let (data, model) = match task {
        Task::LanguageModel => (
            Data::Text(Text { files: vec!["../data/input.txt".into()], ..Text::default() }),
            Model::Gpt(Gpt { layers, ..Gpt::default() }),
        ),
        Task::ImageClassification => (Data::Shapes(Shapes::default()), Model::Cnn(Cnn::default())),
    };
    let mut optimizer = Optimizer::default();
    if let Optimizer::Adamw(adamw) = &mut optimizer {
        adamw.lr = rate;
    }
    let schedule = Schedule { kind: ScheduleKind::Cosine, warmup: steps / 50, floor: rate / 10.0 };
    let best = if task == Task::LanguageModel { "val/loss" } else { "val/accuracy" };
    Settings {
        weights: None,
        data,
        model,
        train: Train { steps: Some(steps), seed, batch_size: 12, optimizer, schedule, ..Train::default() },
        evaluate: Default::default(),
        checkpoint: Checkpoint { every: Every::Steps(250), keep: 2, best: best.into() },
        sample: Default::default(),
        stop: None,
        resources: Default::default(),
    }
}

fn environment() -> Environment {
    Environment {
        program: "0.1.0".into(),
        host: "ada-01".into(),
        git_commit: Some("0123456789abcdef0123456789abcdef01234567".into()),
        git_branch: Some("main".into()),
        data: vec![Fingerprint {
            path: "../data/input.txt".into(),
            bytes: 1_115_394,
            blake3: "ab".repeat(32),
        }],
        ..Environment::default()
    }
}

/// What a worker leaves behind: metrics, events, samples, a result.
fn history(dir: &RunDir, made_up: &MadeUp, record: &RunRecord, number: u32, stand: Stand) -> io::Result<()> {
    let rows = if stand == Stand::Finished { made_up.rows } else { (made_up.rows / 2).max(1) };
    let begin = EVENING + f64::from(number / 2) * 1300.0;
    let seconds_per_row = 1200.0 / f64::from(made_up.rows);
    let end = begin + f64::from(rows) * seconds_per_row;
    let steps = u64::from(rows) * 10;
    append_line(&dir.attempts(), &Attempt::Start(start(begin, number)), Durability::Rebuildable)?;
    let evaluations = metrics(dir, record, number, rows, stand, begin)?;
    telemetry(dir, number, begin, end)?;
    let event = |time, step, what| Event { time, attempt: 1, step, what };
    append_line(&dir.events(), &event(begin, 0, What::Started), Durability::Rebuildable)?;
    if stand == Stand::Failed {
        let message =
            format!("the loss was not finite at step {steps}; last finite 7.93, first in block.5.mlp.up");
        let failed = What::Failed { kind: FailureKind::NotFinite, message };
        append_line(&dir.events(), &event(end, steps, failed), Durability::Rebuildable)?;
    }
    let code = match stand {
        Stand::Finished => exit::FINISHED,
        Stand::Failed => exit::FAILED,
        Stand::Interrupted | Stand::Waiting => exit::ENDED_AS_ASKED,
    };
    let ended = End {
        attempt: 1,
        time: end,
        code: Some(code),
        signal: None,
        checkpoint: Some(steps),
        why: String::new(),
        device_memory_bytes: None,
        cause: None,
        seconds: None,
    };
    append_line(&dir.attempts(), &Attempt::End(ended), Durability::Rebuildable)?;
    let checkpoint = dir.checkpoint(steps);
    fs::create_dir_all(checkpoint.path())?;
    fs::write(checkpoint.model(), vec![0; 4096])?;
    fs::write(checkpoint.state(), "{}")?;
    fs::write(
        dir.train_log(),
        format!("step {steps}  train/loss 1.372  lr 3.1e-5\ncheckpoint step-{steps:08}\n"),
    )?;
    samples(dir, made_up.task, steps)?;
    if stand == Stand::Finished {
        let best = evaluations.iter().copied().reduce(|best, point| match made_up.task {
            Task::LanguageModel if point.1 < best.1 => point,
            Task::ImageClassification if point.1 > best.1 => point,
            _ => best,
        });
        let best =
            best.map(|(step, value)| Best { metric: record.settings.checkpoint.best.clone(), value, step });
        let result = RunResult {
            protocol: PROTOCOL,
            time: end,
            step: steps,
            epoch: steps as f64 / 500.0,
            elapsed_seconds: end - begin,
            stopped_early: None,
            last: evaluations
                .last()
                .map(|last| ("val/loss".to_owned(), Number(last.1)))
                .into_iter()
                .collect(),
            best,
            last_checkpoint: steps,
            best_checkpoint: Some(steps),
            history: "00".repeat(32),
            attempts: 1,
        };
        replace_json(&dir.result(), &result, Durability::Rebuildable)?;
    }
    Ok(())
}

fn start(time: f64, number: u32) -> Start {
    Start {
        attempt: 1,
        time,
        batch: Some("20261119T211000-ada-01-0001".into()),
        host: "ada-01".into(),
        boot: "boot".into(),
        device: Device::Cuda {
            uuid: format!("GPU-{}", number % 2),
            name: "NVIDIA H100".into(),
            driver: "580.65".into(),
            index: number % 2,
        },
        precision: Precision::Fp32,
        threads: 2,
        micro_batch: 12,
        accumulate: 1,
        libtorch: "2.11.0+cu130".into(),
        checkpoint: None,
        weights: None,
        text: Vec::new(),
        data: None,
        why: "first attempt".into(),
    }
}

/// The rows of a run that learns; returns the evaluations of the metric that counts.
fn metrics(
    dir: &RunDir,
    record: &RunRecord,
    number: u32,
    rows: u32,
    stand: Stand,
    begin: f64,
) -> io::Result<Vec<(u64, f64)>> {
    let columns = columns(&record.settings);
    let task = record.settings.task();
    let mut writer = Writer::open(&dir.metrics(), &columns, None)?;
    let mut evaluations = Vec::new();
    let total = f64::from(rows.max(1));
    let floor = 1.4 + 0.35 * noise(u64::from(number) + 77);
    for row in 1..=rows {
        let step = u64::from(row) * 10;
        let done = f64::from(row) / total;
        let jitter = noise(u64::from(number) << 32 | u64::from(row)) - 0.5;
        let smooth = floor + (11.0 - floor) * (-9.0 * done).exp() * 0.6;
        let mut loss = smooth - 0.08 + 0.25 * jitter;
        if stand == Stand::Failed && row == rows {
            loss = f64::NAN;
        }
        let is_due = row % (rows / 20).max(1) == 0 || row == rows;
        let val = smooth + 0.05 * done + 0.02 * jitter;
        let accuracy = (1.0 - 0.09 * val).clamp(0.0, 1.0);
        let evaluated = |value: f64| is_due.then_some(value);
        if is_due {
            evaluations.push((step, if task == Task::LanguageModel { val } else { accuracy }));
        }
        let lr = record.settings.train.optimizer.lr()
            * (done * 50.0).min(1.0)
            * (0.55 + 0.45 * (std::f64::consts::PI * done).cos());
        let values: Vec<Option<f64>> = columns
            .iter()
            .map(|column| match *column {
                "step" => Some(step as f64),
                "epoch" => Some(step as f64 / 500.0),
                "time" => Some(begin + 1200.0 * done),
                "elapsed" => Some(1200.0 * done),
                "train/loss" => Some(loss),
                "val/loss" => evaluated(val),
                "val/perplexity" => evaluated(val.exp()),
                "val/bits_per_byte" => evaluated(val / 2f64.ln()),
                "train/accuracy" => Some((accuracy + 0.01 * jitter).clamp(0.0, 1.0)),
                "val/accuracy" => evaluated(accuracy),
                "lr" => Some(lr),
                "grad_norm" => Some(0.4 + 1.7 * (-12.0 * done).exp() + 0.15 * jitter.abs()),
                _ => Some(412_000.0 + 9_000.0 * jitter),
            })
            .collect();
        writer.row(&values)?;
    }
    Ok(evaluations)
}

fn telemetry(dir: &RunDir, number: u32, begin: f64, end: f64) -> io::Result<()> {
    let mut text =
        String::from("time,cpu_percent,memory_bytes,gpu_use_percent,gpu_power_watts,gpu_energy_joules\n");
    let mut time = begin;
    let mut energy = 1e6;
    while time < end {
        let jitter = noise(u64::from(number) << 40 | time as u64);
        energy += 20.0 * 320.0;
        text += &format!(
            "{time:.1},{:.1},{},{:.0},{:.0},{energy:.0}\n",
            40.0 + 20.0 * jitter,
            8u64 << 30,
            80.0 + 20.0 * jitter,
            300.0 + 50.0 * jitter
        );
        time += 20.0;
    }
    fs::write(dir.telemetry(), text)
}

fn samples(dir: &RunDir, task: Task, step: u64) -> io::Result<()> {
    fs::create_dir_all(dir.samples())?;
    let items = match task {
        Task::LanguageModel => vec![SampleItem::Text {
            prompt: "ROMEO:".into(),
            text: "\nWhat light is this that breaks upon the sea,\nAnd shall I bear it to my father's door?"
                .into(),
            temperature: 0.8,
            top_k: 50,
            top_p: 1.0,
        }],
        Task::ImageClassification => (0..8)
            .map(|tile| SampleItem::Prediction {
                tile,
                actual: ["circle", "square", "triangle", "cross"][tile as usize % 4].into(),
                predicted: ["circle", "square", "triangle", "square"][tile as usize % 4].into(),
                probability: 0.6 + 0.05 * f64::from(tile),
            })
            .collect(),
    };
    for step in [step / 2, step] {
        replace_json(
            &dir.sample_json(step),
            &Sample { step, items: items.clone() },
            Durability::Rebuildable,
        )?;
    }
    if task == Task::ImageClassification {
        let names = ["circle", "square", "triangle", "cross"];
        let confusion: Vec<Vec<u64>> = (0..4)
            .map(|actual| {
                (0..4).map(|said| if actual == said { 118 } else { 3 * (actual + said) % 5 }).collect()
            })
            .collect();
        let class = |(index, name): (usize, &&str)| ClassEvaluation {
            name: (*name).to_owned(),
            examples: confusion[index].iter().sum(),
            accuracy: confusion[index][index] as f64 / confusion[index].iter().sum::<u64>() as f64,
        };
        let classes = names.iter().enumerate().map(class).collect();
        let evaluation = Evaluation { step, metrics: BTreeMap::new(), classes, confusion: confusion.clone() };
        replace_json(&dir.evaluation(), &evaluation, Durability::Rebuildable)?;
    }
    Ok(())
}
