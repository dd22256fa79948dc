//! The complete settings of one run, as they stand in `run.json`.
//!
//! Every field has a default except those that name data. The doc comment of a field is its
//! description in the JSON Schema: it gives the unit and the range. A default never changes within
//! one version of the protocol, because a run's name is a hash of what differs from the defaults.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Everything that decides what a run computes, plus the resources it is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What is learned from. Its `kind` decides the task.
    pub data: Data,
    /// The model that is trained.
    pub model: Model,
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

// ---- data ------------------------------------------------------------------------------------------

/// Where the examples come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Data {
    /// Text for a language model.
    Text(Text),
    /// Images in IDX files, as MNIST is published, gzipped or not.
    Idx(Idx),
    /// Images in a folder for each class, PNG or JPEG.
    Folder(Folder),
    /// Drawn shapes, the same for every seed; needs no file.
    Shapes(Shapes),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Text {
    /// Files, folders (all files below them, by name) and globs, relative to the experiment file. UTF-8.
    pub files: Vec<String>,
    /// What one token is: a character (the vocabulary is what occurs) or a byte (256 tokens).
    pub tokenizer: Tokenizer,
    /// Part of the text, at its end, that is kept for validation. Above 0, below 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub validation: f64,
}

impl Default for Text {
    fn default() -> Self {
        Text { files: Vec::new(), tokenizer: Tokenizer::Char, validation: 0.1 }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tokenizer {
    Char,
    Byte,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Idx {
    /// The training images: an IDX file of unsigned bytes, relative to the experiment file.
    pub images: String,
    /// Their labels: an IDX file of unsigned bytes, one for each image.
    pub labels: String,
    /// Images for validation. Leave out to split off a part of the training images instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_images: Option<String>,
    /// Labels of the validation images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_labels: Option<String>,
    /// Part of the training images, at the end, kept for validation; 0.1 where nothing else validates.
    /// Above 0, below 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub validation: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Folder {
    /// A folder with a folder of PNG or JPEG files for each class, relative to the experiment file.
    pub path: String,
    /// The same for validation. Leave out to split off a part of the images instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_path: Option<String>,
    /// Part of each class's images kept for validation; 0.1 where nothing else validates. Above 0, below 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub validation: Option<f64>,
    /// Width and height that every image is scaled to, in pixels. 4 to 1024.
    #[schemars(range(min = 4, max = 1024))]
    pub size: u32,
    /// Color channels: 1 (gray) or 3 (red, green, blue).
    #[schemars(range(min = 1, max = 3))]
    pub channels: u32,
}

impl Default for Folder {
    fn default() -> Self {
        Folder { path: String::new(), validation_path: None, validation: None, size: 32, channels: 3 }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Shapes {
    /// Images in all; a tenth of them validates. 20 to 1,000,000.
    #[schemars(range(min = 20, max = 1_000_000))]
    pub count: u32,
    /// Kinds of shapes. 2 to 6: circle, square, triangle, cross, ring, stripes.
    #[schemars(range(min = 2, max = 6))]
    pub classes: u32,
    /// Width and height of an image, in pixels. 8 to 256.
    #[schemars(range(min = 8, max = 256))]
    pub size: u32,
}

impl Default for Shapes {
    fn default() -> Self {
        Shapes { count: 5000, classes: 4, size: 24 }
    }
}

// ---- models ----------------------------------------------------------------------------------------

/// The model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Model {
    /// A transformer that predicts the next token (GPT-2's form: pre-norm, learned positions, tied embeddings).
    Gpt(Gpt),
    /// A perceptron on the pixels.
    Mlp(Mlp),
    /// A small convolutional net.
    Cnn(Cnn),
    /// ResNet-18 in its form for small images (3x3 stem, no pooling before the blocks).
    Resnet18(Resnet18),
}

impl Model {
    /// The kind as it is written in an experiment file.
    pub fn kind(&self) -> &'static str {
        match self {
            Model::Gpt(_) => "gpt",
            Model::Mlp(_) => "mlp",
            Model::Cnn(_) => "cnn",
            Model::Resnet18(_) => "resnet18",
        }
    }

    /// Whether an example's output depends on which others are computed with it, as under batch norm.
    pub fn looks_across_the_batch(&self) -> bool {
        match self {
            Model::Resnet18(_) => true,
            Model::Gpt(_) | Model::Mlp(_) | Model::Cnn(_) => false,
        }
    }

    /// Probability of dropping a value while training.
    pub fn dropout(&self) -> f64 {
        match self {
            Model::Gpt(gpt) => gpt.dropout,
            Model::Mlp(mlp) => mlp.dropout,
            Model::Cnn(cnn) => cnn.dropout,
            Model::Resnet18(_) => 0.0,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Gpt {
    /// Transformer blocks. 1 to 256.
    #[schemars(range(min = 1, max = 256))]
    pub layers: u32,
    /// Attention heads of each block; `width` must be divisible by it. 1 to 256.
    #[schemars(range(min = 1, max = 256))]
    pub heads: u32,
    /// Size of the vector that stands for a token. 1 to 65,536.
    #[schemars(range(min = 1, max = 65_536))]
    pub width: u32,
    /// Context length: how many tokens the model sees at once. 1 to 1,048,576.
    #[schemars(range(min = 1, max = 1_048_576))]
    pub context: u32,
    /// Probability of dropping a value while training. From 0, below 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub dropout: f64,
    /// Whether linear layers and norms have biases.
    pub bias: bool,
}

impl Default for Gpt {
    fn default() -> Self {
        Gpt { layers: 4, heads: 4, width: 128, context: 64, dropout: 0.0, bias: false }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mlp {
    /// Sizes of the hidden layers, first to last. Each 1 to 65,536.
    pub hidden: Vec<u32>,
    /// Probability of dropping a value while training. From 0, below 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub dropout: f64,
}

impl Default for Mlp {
    fn default() -> Self {
        Mlp { hidden: vec![256, 128], dropout: 0.0 }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cnn {
    /// Channels of the convolutions, first to last; the image is halved after each. Each 1 to 4,096.
    pub channels: Vec<u32>,
    /// Probability of dropping a value before the last layer while training. From 0, below 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub dropout: f64,
}

impl Default for Cnn {
    fn default() -> Self {
        Cnn { channels: vec![32, 64], dropout: 0.0 }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Resnet18 {
    /// Channels of the first stage; each later stage has twice as many. 1 to 512.
    #[schemars(range(min = 1, max = 512))]
    pub width: u32,
}

impl Default for Resnet18 {
    fn default() -> Self {
        Resnet18 { width: 64 }
    }
}

// ---- training --------------------------------------------------------------------------------------

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

// ---- what happens along the way --------------------------------------------------------------------

/// A number of steps, `"epoch"`, or 0 for never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Every {
    Never,
    Steps(u64),
    Epoch,
}

impl Every {
    /// Whether something is due after `step` (counted from 1), for an epoch of `steps_per_epoch` steps.
    pub fn is_due(self, step: u64, steps_per_epoch: u64) -> bool {
        match self {
            Every::Never => false,
            Every::Steps(steps) => step > 0 && step.is_multiple_of(steps),
            Every::Epoch => step > 0 && step.is_multiple_of(steps_per_epoch.max(1)),
        }
    }
}

impl Serialize for Every {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Every::Never => serializer.serialize_u64(0),
            Every::Steps(steps) => serializer.serialize_u64(*steps),
            Every::Epoch => serializer.serialize_str("epoch"),
        }
    }
}

impl<'de> Deserialize<'de> for Every {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EveryVisitor;
        impl de::Visitor<'_> for EveryVisitor {
            type Value = Every;
            fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
                out.write_str("a number of steps, \"epoch\", or 0 for never")
            }
            fn visit_u64<E: de::Error>(self, steps: u64) -> Result<Every, E> {
                Ok(if steps == 0 { Every::Never } else { Every::Steps(steps) })
            }
            fn visit_i64<E: de::Error>(self, steps: i64) -> Result<Every, E> {
                u64::try_from(steps)
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(steps), &self))
                    .and_then(|steps| self.visit_u64(steps))
            }
            fn visit_str<E: de::Error>(self, word: &str) -> Result<Every, E> {
                match word {
                    "epoch" => Ok(Every::Epoch),
                    _ => Err(E::invalid_value(de::Unexpected::Str(word), &self)),
                }
            }
        }
        deserializer.deserialize_any(EveryVisitor)
    }
}

impl JsonSchema for Every {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Every".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "anyOf": [{ "type": "integer", "minimum": 0 }, { "const": "epoch" }] })
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
    /// How often a run that was killed starts again without having come further.
    pub retries: u32,
    /// Minutes without progress after which a run counts as hung; 0 is never.
    pub hang_minutes: u32,
    /// Runs of this experiment at once; left out, as many as there are slots.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub limit: Option<u32>,
}

impl Default for Queue {
    fn default() -> Self {
        Queue { priority: 0, needs: Vec::new(), retries: 3, hang_minutes: 30, limit: None }
    }
}
