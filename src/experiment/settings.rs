//! The complete settings of one run, as they stand in `run.json`.
//!
//! Every field has a default except those that name data. The doc comment of a field is its
//! description in the JSON Schema: it gives the unit and the range. A default never changes within
//! one version of the protocol, because a run's name is a hash of what differs from the defaults.

mod data;
mod every;
mod model;
mod train;
mod weights;

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use data::{Data, Folder, Idx, Shapes, Text, Tokenizer};
pub use every::Every;
pub use model::{Cnn, Gpt, Mlp, Model, Resnet18};
pub use train::{Adamw, Optimizer, Precision, Schedule, ScheduleKind, Sgd, Train};
pub use weights::{Weights, Which};

/// Everything that decides what a run computes, plus the resources it is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What is learned from. Its `kind` decides the task.
    pub data: Data,
    /// The model that is trained.
    pub model: Model,
    /// What it begins with; left out, weights drawn from the seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Weights>,
    /// How long and how it is trained.
    #[serde(default)]
    pub train: Train,
    /// When the validation data is looked at.
    #[serde(default)]
    pub evaluate: Evaluate,
    /// When the state of the run is written, and which states are kept.
    #[serde(default)]
    pub checkpoint: Checkpoint,
    /// What the model is asked to produce while it is trained.
    #[serde(default)]
    pub sample: Sample,
    /// When to end before the last step. A run that ends so is finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
    /// What the run is given of the machine. Not part of the run's identity.
    #[serde(default)]
    pub resources: Resources,
}

/// What is learned, as it follows from `data.kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    LanguageModel,
    ImageClassification,
}

impl Settings {
    /// In the place of settings where there are none: no step of these could learn anything, and no file may
    /// ask for them.
    pub fn absent() -> Settings {
        Settings {
            data: Data::Shapes(Shapes::default()),
            model: Model::Mlp(Mlp::default()),
            weights: None,
            train: Train { batch_size: 0, ..Train::default() },
            evaluate: Evaluate::default(),
            checkpoint: Checkpoint::default(),
            sample: Sample::default(),
            stop: None,
            resources: Resources::default(),
        }
    }

    pub fn is_absent(&self) -> bool {
        self.train.batch_size == 0
    }

    pub fn task(&self) -> Task {
        match self.data {
            Data::Text(_) => Task::LanguageModel,
            Data::Idx(_) | Data::Folder(_) | Data::Shapes(_) => Task::ImageClassification,
        }
    }

    /// Validation batches of one evaluation; `None` is the whole validation data.
    pub fn evaluation_batches(&self) -> Option<u32> {
        match (self.evaluate.batches, self.task()) {
            (Some(0), _) | (None, Task::ImageClassification) => None,
            (Some(batches), _) => Some(batches),
            (None, Task::LanguageModel) => Some(50),
        }
    }

    /// Training examples (text windows or images) that one step learns from.
    pub fn examples_per_step(&self) -> u64 {
        u64::from(self.train.batch_size) * u64::from(self.train.accumulate)
    }

    /// Steps of the whole run, for `examples` training examples in an epoch.
    pub fn total_steps(&self, examples: u64) -> u64 {
        match (self.train.steps, self.train.epochs) {
            (Some(steps), _) => steps,
            (None, Some(epochs)) => ((epochs * self.steps_per_epoch(examples) as f64).ceil() as u64).max(1),
            (None, None) => Train::DEFAULT_STEPS,
        }
    }

    /// Steps after which every one of `examples` training examples was due once.
    pub fn steps_per_epoch(&self, examples: u64) -> u64 {
        examples.div_ceil(self.examples_per_step().max(1)).max(1)
    }

    /// These settings with every value at its default, kinds kept and names of data emptied.
    pub fn defaults_of_same_kinds(&self) -> Settings {
        Settings {
            data: match self.data {
                Data::Text(_) => Data::Text(Text::default()),
                Data::Idx(_) => Data::Idx(Idx::default()),
                Data::Folder(_) => Data::Folder(Folder::default()),
                Data::Shapes(_) => Data::Shapes(Shapes::default()),
            },
            model: match self.model {
                Model::Gpt(_) => Model::Gpt(Gpt::default()),
                Model::Mlp(_) => Model::Mlp(Mlp::default()),
                Model::Cnn(_) => Model::Cnn(Cnn::default()),
                Model::Resnet18(_) => Model::Resnet18(Resnet18::default()),
            },
            weights: self.weights.as_ref().map(|_| Weights::default()),
            train: Train {
                optimizer: match self.train.optimizer {
                    Optimizer::Adamw(_) => Optimizer::Adamw(Adamw::default()),
                    Optimizer::Sgd(_) => Optimizer::Sgd(Sgd::default()),
                },
                schedule: Schedule { kind: self.train.schedule.kind, ..Schedule::default() },
                ..Train::default()
            },
            evaluate: Evaluate::default(),
            checkpoint: Checkpoint::default(),
            sample: Sample::default(),
            stop: self.stop.as_ref().map(|_| Stop::default()),
            resources: Resources::default(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Evaluate {
    /// Steps from one evaluation to the next, or "epoch"; 0 is only at the last step.
    pub every: Every,
    /// Batches of one evaluation, always the same ones; 0 is all. Left out: 50 for text, all for images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batches: Option<u32>,
}

impl Default for Evaluate {
    fn default() -> Self {
        Evaluate { every: Every::Steps(250), batches: None }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Checkpoint {
    /// Steps from one checkpoint to the next, or "epoch"; 0 is only at the last step.
    pub every: Every,
    /// How many of the newest are kept, beside the best. 1 or more.
    #[schemars(range(min = 1))]
    pub keep: u32,
    /// The metric whose best checkpoint is kept; the metric knows which way is better.
    pub best: String,
}

impl Default for Checkpoint {
    fn default() -> Self {
        Checkpoint { every: Every::Steps(250), keep: 2, best: "val/loss".to_owned() }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sample {
    /// Beginnings that a language model goes on from. None: no samples of text.
    pub prompts: Vec<String>,
    /// Tokens that are added to each prompt. 1 to 100,000.
    #[schemars(range(min = 1, max = 100_000))]
    pub tokens: u32,
    /// How daring the choice of the next token is; 0 always takes the likeliest.
    #[schemars(range(min = 0.0))]
    pub temperature: f64,
    /// Only the so many likeliest tokens are chosen from; 0 is all.
    pub top_k: u32,
    /// Only the likeliest tokens that together have this probability are chosen from. Above 0, to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub top_p: f64,
    /// Samples for each prompt, or images shown with their predictions. 1 to 1,024.
    #[schemars(range(min = 1, max = 1024))]
    pub count: u32,
    /// Steps from one sample to the next, or "epoch"; 0 is never.
    pub every: Every,
}

impl Default for Sample {
    fn default() -> Self {
        Sample {
            prompts: Vec::new(),
            tokens: 200,
            temperature: 0.8,
            top_k: 0,
            top_p: 1.0,
            count: 1,
            every: Every::Steps(500),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Stop {
    /// The metric that is watched.
    pub metric: String,
    /// End after so many evaluations in a row without a better value. 1 or more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub patience: Option<u32>,
    /// End when the metric is as good as this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<f64>,
}

impl Default for Stop {
    fn default() -> Self {
        Stop { metric: "val/loss".to_owned(), patience: None, target: None }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Resources {
    /// `auto` (a GPU whenever the machine has one), `cpu`, `cuda`, or one GPU as `cuda:1`.
    #[schemars(regex(pattern = r"^(auto|cpu|cuda(:[0-9]+)?)$"))]
    pub device: String,
    /// Processor threads of the run; left out, the runner divides the machine's cores.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1024))]
    pub threads: Option<u32>,
    /// Memory that the run takes of a GPU, in MiB, until an attempt has shown it; left out, a probe does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub gpu_memory_mib: Option<u32>,
    /// What becomes of a run that is out of device memory: `auto` halves the examples of one forward
    /// pass and doubles the passes of a step where no layer looks across the batch, `always` also
    /// with batch norm, `never` lets it fail.
    pub split_on_out_of_memory: SplitRule,
}

impl Default for Resources {
    fn default() -> Self {
        Resources {
            device: "auto".to_owned(),
            threads: None,
            gpu_memory_mib: None,
            split_on_out_of_memory: SplitRule::Auto,
        }
    }
}

/// When a run that is out of device memory may go on with fewer examples at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SplitRule {
    /// Where every example is computed by itself.
    Auto,
    /// Also where batch norm then measures fewer examples.
    Always,
    Never,
}

/// How the runs of an experiment stand in the queue. Not part of a run's identity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Queue {
    /// Runs of a higher priority start first.
    pub priority: i64,
    /// Runs or experiments that must have finished before.
    pub needs: Vec<String>,
    /// What becomes of them when a need did not finish: `skip` leaves them out, `fail` counts them as failed.
    #[serde(skip_serializing_if = "NeedsFailed::is_default")]
    pub needs_failed: NeedsFailed,
    /// How often a run that was killed starts again without having come further.
    pub retries: u32,
    /// Minutes without progress after which a run counts as hung, also a part of one; 0 is never.
    #[schemars(range(min = 0.0))]
    pub hang_minutes: f64,
    /// Runs of this experiment at once; left out, as many as there are slots.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub limit: Option<u32>,
}

impl Default for Queue {
    fn default() -> Self {
        Queue {
            priority: 0,
            needs: Vec::new(),
            needs_failed: NeedsFailed::Skip,
            retries: 3,
            hang_minutes: 30.0,
            limit: None,
        }
    }
}

impl Queue {
    /// How long a run may go without a sign of life; none: for ever.
    pub fn hang(&self) -> Option<Duration> {
        let seconds = Some(60.0 * self.hang_minutes).filter(|seconds| *seconds > 0.0)?;
        Duration::try_from_secs_f64(seconds).ok()
    }
}

/// What becomes of runs whose need failed, was killed or stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NeedsFailed {
    /// They are not begun, and wait for another try of that run.
    Skip,
    /// The same, and they count as failed.
    Fail,
}

impl NeedsFailed {
    fn is_default(&self) -> bool {
        *self == NeedsFailed::Skip
    }
}
