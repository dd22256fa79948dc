//! `overnight generate`: text that a run's model writes, by a worker that touches nothing of the run.

use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, Stdio};

use crate::experiment::settings::{Sample, Task};
use crate::run_dir::read::ReadError;
use crate::run_dir::records::{Attempt, Device, GenerateOrders, RunResult, SampleItem, Start};
use crate::run_dir::status::last_start;
use crate::run_dir::{RunDir, checkpoint, machine, read};
use crate::runner::devices::{Devices, Gpu, cpu_count};
use crate::runner::program::{Program, ProgramError};

/// What a person asks for; what is left open is as in the run's settings.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wish {
    /// None: the best checkpoint where that is known and there, else the newest.
    pub step: Option<u64>,
    pub prompts: Vec<String>,
    pub tokens: Option<u32>,
    pub temperature: Option<f64>,
    pub top_k: Option<u32>,
    pub top_p: Option<f64>,
    pub count: Option<u32>,
    pub seed: u64,
    /// `cpu`, `cuda`, `cuda:1` or `auto`.
    pub device: String,
}

/// Why nothing is written.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    #[error("its task is no language model: there is no text to write")]
    NoText,
    #[error("it {0}")]
    Imported(String),
    #[error("it has no checkpoint (it has not come so far, or `overnight clean` let them go)")]
    NoCheckpoint,
    #[error("it has no checkpoint of step {step} (there are {known})")]
    NoSuchCheckpoint { step: u64, known: String },
    #[error("no attempt at it was ever started, so nothing says how")]
    NeverStarted,
    #[error("--device {0}: no such GPU is here (use cpu, or look with `overnight doctor`)")]
    NoDevice(String),
    #[error("{0}")]
    Worker(String),
    #[error(transparent)]
    Program(#[from] ProgramError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What is about to be done.
pub struct Generation {
    pub orders: GenerateOrders,
    program: Program,
    run: RunDir,
}

/// Decides on checkpoint, device and sampling, and starts nothing yet.
///
/// # Errors
/// There is nothing to write with.
pub fn prepare(run: &RunDir, wish: &Wish) -> Result<Generation, GenerateError> {
    let record = read::run_record(run)?;
    if let Some(why) = record.refusal() {
        return Err(GenerateError::Imported(why));
    }
    if record.settings.task() != Task::LanguageModel {
        return Err(GenerateError::NoText);
    }
    let result = read::json_if_there::<RunResult>(&run.result())?;
    let best = result.and_then(|result| result.best_checkpoint);
    let step = step(wish.step, best, &checkpoint::steps(run))?;
    let attempts = read::lines::<Attempt>(&run.attempts())?.records;
    let last = last_start(&attempts).ok_or(GenerateError::NeverStarted)?;
    let device = device(&wish.device, Devices::find().gpus(), &machine::cpu_name())
        .ok_or_else(|| GenerateError::NoDevice(wish.device.clone()))?;
    let start = Start { device, threads: cpu_count() as u32, ..last.clone() };
    let sample = sample(wish, &record.settings.sample);
    let orders = GenerateOrders { start, step, sample, seed: wish.seed };
    Ok(Generation { orders, program: Program::find()?, run: run.clone() })
}

impl Generation {
    /// Writes, and gives each text to `told` as soon as it is there.
    ///
    /// # Errors
    /// The worker cannot be started or says why it could not go on; what `told` says ends it, too.
    pub fn write(&self, mut told: impl FnMut(SampleItem) -> io::Result<()>) -> Result<(), GenerateError> {
        let mut command = self.program.generate(&self.run, &self.orders).into_std();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut worker = Killed(command.spawn()?);
        if let Some(output) = worker.0.stdout.take() {
            for line in BufReader::new(output).lines() {
                let item = serde_json::from_str(&line?);
                told(
                    item.map_err(|error| GenerateError::Worker(format!("it said what is no text: {error}")))?,
                )?;
            }
        }
        let mut words = String::new();
        if let Some(mut errors) = worker.0.stderr.take() {
            drop(errors.read_to_string(&mut words));
        }
        let status = worker.0.wait()?;
        if status.success() {
            return Ok(());
        }
        let said = words.lines().rev().find(|line| !line.trim().is_empty());
        let said = said.map(|line| line.trim_start_matches("overnight-worker: ").to_owned());
        Err(GenerateError::Worker(said.unwrap_or_else(|| format!("the worker ended with {status}"))))
    }
}

/// A worker that nobody listens to is ended.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn step(wished: Option<u64>, best: Option<u64>, known: &[u64]) -> Result<u64, GenerateError> {
    let newest = *known.last().ok_or(GenerateError::NoCheckpoint)?;
    match wished {
        Some(step) if !known.contains(&step) => {
            let known: Vec<String> = known.iter().map(u64::to_string).collect();
            Err(GenerateError::NoSuchCheckpoint { step, known: known.join(", ") })
        }
        Some(step) => Ok(step),
        None => Ok(best.filter(|best| known.contains(best)).unwrap_or(newest)),
    }
}

/// The device of these words, where it is here. `auto` is a GPU where there is one.
fn device(words: &str, gpus: &[Gpu], cpu_name: &str) -> Option<Device> {
    let gpu = match words {
        "cpu" => None,
        "auto" => gpus.first(),
        "cuda" => Some(gpus.first()?),
        other => Some(gpus.get(other.strip_prefix("cuda:")?.parse::<usize>().ok()?)?),
    };
    Some(match gpu {
        None => Device::Cpu { name: cpu_name.to_owned() },
        Some(gpu) => Device::Cuda {
            uuid: gpu.uuid.clone(),
            name: gpu.name.clone(),
            driver: gpu.driver.clone(),
            index: gpu.index,
        },
    })
}

fn sample(wish: &Wish, of_run: &Sample) -> Sample {
    let prompts = match (&wish.prompts[..], &of_run.prompts[..]) {
        ([], []) => vec![String::new()],
        ([], prompts) | (prompts, _) => prompts.to_vec(),
    };
    Sample {
        prompts,
        tokens: wish.tokens.unwrap_or(of_run.tokens),
        temperature: wish.temperature.unwrap_or(of_run.temperature),
        top_k: wish.top_k.unwrap_or(of_run.top_k),
        top_p: wish.top_p.unwrap_or(of_run.top_p),
        count: wish.count.unwrap_or(1),
        every: of_run.every,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_checkpoint_writes_where_it_is_there_else_the_newest() {
        let of = |wished, best, known: &[u64]| step(wished, best, known).map_err(|error| error.to_string());
        assert_eq!(of(None, Some(20), &[10, 20, 30]), Ok(20));
        assert_eq!(of(None, Some(20), &[10, 30]), Ok(30), "the best one was let go");
        assert_eq!(of(None, None, &[10, 30]), Ok(30), "it has no result yet");
        assert_eq!(of(Some(10), Some(20), &[10, 20]), Ok(10));
        assert_eq!(
            of(Some(15), None, &[10, 20]).unwrap_err(),
            "it has no checkpoint of step 15 (there are 10, 20)"
        );
        assert!(of(None, None, &[]).unwrap_err().starts_with("it has no checkpoint"));
    }

    #[test]
    fn what_is_not_asked_for_is_as_in_the_settings() {
        let of_run =
            Sample { prompts: vec!["ROMEO:".into()], tokens: 7, top_k: 50, count: 9, ..Sample::default() };
        let asked = sample(&Wish::default(), &of_run);
        assert_eq!(
            (&asked.prompts[..], asked.tokens, asked.top_k, asked.count),
            (&["ROMEO:".to_owned()][..], 7, 50, 1)
        );
        let wish =
            Wish { prompts: vec!["A".into()], tokens: Some(3), temperature: Some(0.0), ..Wish::default() };
        let asked = sample(&wish, &of_run);
        assert_eq!((&asked.prompts[..], asked.tokens, asked.temperature), (&["A".to_owned()][..], 3, 0.0));
        assert_eq!(sample(&Wish::default(), &Sample::default()).prompts, [""], "from nothing");
    }

    #[test]
    fn a_gpu_is_used_only_where_it_is_asked_for_and_here() {
        let gpu = |index: u32| Gpu {
            index,
            uuid: format!("GPU-{index}"),
            name: "H100".into(),
            driver: "580".into(),
            memory_bytes: 0,
            has_bf16: true,
        };
        let gpus = [gpu(0), gpu(1)];
        let of = |words: &str, gpus: &[Gpu]| match device(words, gpus, "a processor") {
            Some(Device::Cpu { .. }) => "cpu".to_owned(),
            Some(Device::Cuda { uuid, .. }) => uuid,
            None => "none".to_owned(),
        };
        for (words, with, without) in [
            ("cpu", "cpu", "cpu"),
            ("auto", "GPU-0", "cpu"),
            ("cuda", "GPU-0", "none"),
            ("cuda:1", "GPU-1", "none"),
            ("cuda:2", "none", "none"),
            ("tpu", "none", "none"),
        ] {
            assert_eq!((of(words, &gpus), of(words, &[])), (with.to_owned(), without.to_owned()), "{words}");
        }
    }
}
