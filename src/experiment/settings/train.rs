//! How long and how a model is trained.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Train {
    /// Optimizer steps. 1 or more; 1,000 where neither steps nor epochs is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub steps: Option<u64>,
    /// Instead of steps: how often the training data is gone through. Above 0, fractions allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0))]
    pub epochs: Option<f64>,
    /// Examples (text windows or images) in one forward pass. 1 to 1,048,576.
    #[schemars(range(min = 1, max = 1_048_576))]
    pub batch_size: u32,
    /// Forward passes that make one step (gradient accumulation). 1 to 65,536.
    #[schemars(range(min = 1, max = 65_536))]
    pub accumulate: u32,
    /// The norm that the gradient is clipped to; 0 is no clipping.
    #[schemars(range(min = 0.0))]
    pub clip: f64,
    /// Number format of the forward and backward pass; `auto` is bf16 on GPUs that have it, otherwise fp32.
    pub precision: Precision,
    /// Steps from one row of metrics to the next. 1 or more.
    #[schemars(range(min = 1))]
    pub log_every: u64,
    /// What every random choice of the run follows from.
    pub seed: u64,
    /// Part of the target that is spread over all classes, in image classification. From 0, below 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub label_smoothing: f64,
    pub optimizer: Optimizer,
    pub schedule: Schedule,
}

impl Train {
    /// Steps where an experiment file names neither steps nor epochs.
    pub const DEFAULT_STEPS: u64 = 1000;
}

impl Default for Train {
    fn default() -> Self {
        Train {
            steps: None,
            epochs: None,
            batch_size: 32,
            accumulate: 1,
            clip: 1.0,
            precision: Precision::Fp32,
            log_every: 10,
            seed: 1337,
            label_smoothing: 0.0,
            optimizer: Optimizer::default(),
            schedule: Schedule::default(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    Fp32,
    Bf16,
    Auto,
}

/// How gradients become steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Optimizer {
    /// Adam with decoupled weight decay (Loshchilov and Hutter, 2019).
    Adamw(Adamw),
    /// Stochastic gradient descent.
    Sgd(Sgd),
}

impl Default for Optimizer {
    fn default() -> Self {
        Optimizer::Adamw(Adamw::default())
    }
}

impl Optimizer {
    /// The learning rate at the top of the schedule.
    pub fn lr(&self) -> f64 {
        match self {
            Optimizer::Adamw(adamw) => adamw.lr,
            Optimizer::Sgd(sgd) => sgd.lr,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Adamw {
    /// Learning rate at the top of the schedule. Above 0.
    #[schemars(range(min = 0.0))]
    pub lr: f64,
    /// How slowly the averages of the gradient and of its square move. Each from 0, below 1.
    pub betas: [f64; 2],
    /// Added to the denominator so that it is not zero. Above 0.
    #[schemars(range(min = 0.0))]
    pub eps: f64,
    /// Weight decay, times the learning rate, each step. 0 or more.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
    /// Whether embeddings decay too. Biases and norms never do.
    pub decay_embeddings: bool,
}

impl Default for Adamw {
    fn default() -> Self {
        Adamw { lr: 1e-3, betas: [0.9, 0.99], eps: 1e-8, weight_decay: 0.1, decay_embeddings: false }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sgd {
    /// Learning rate at the top of the schedule. Above 0.
    #[schemars(range(min = 0.0))]
    pub lr: f64,
    /// Part of the last step's direction that is kept. From 0, below 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub momentum: f64,
    /// Nesterov's form of momentum; needs a momentum above 0.
    pub nesterov: bool,
    /// Weight decay, added to the gradient. 0 or more.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
    /// Whether embeddings decay too. Biases and norms never do.
    pub decay_embeddings: bool,
}

impl Default for Sgd {
    fn default() -> Self {
        Sgd { lr: 0.1, momentum: 0.9, nesterov: false, weight_decay: 0.0, decay_embeddings: false }
    }
}

/// How the learning rate moves over the run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Schedule {
    pub kind: ScheduleKind,
    /// Steps in which the rate rises to its top; `one-cycle` takes 30 % of the run where this is 0.
    pub warmup: u64,
    /// The learning rate at the last step, in the optimizer's unit. From 0 to the optimizer's `lr`.
    #[schemars(range(min = 0.0))]
    pub floor: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    #[default]
    Constant,
    Linear,
    Cosine,
    OneCycle,
}
