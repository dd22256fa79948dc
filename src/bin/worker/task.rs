//! The seam between the trainer and what is learned: a task owns data and model, the trainer owns
//! everything that moves them (order of examples, gradients, optimizer, files).

use std::cell::RefCell;

use overnight::run_dir::records::{ClassEvaluation, ModelRecord, SampleItem};
use tch::{TchError, Tensor};

/// One thing that can be learned, with its data and its model already on the device.
///
/// The trainer seeds libtorch's generators before every call that draws random numbers, so a task
/// draws from the default generators and keeps no random state of its own. The trainer also sets up
/// autocast around [`Task::train_loss`] and [`Task::evaluate`], and switches gradients off around
/// [`Task::evaluate`] and [`Task::sample`].
///
/// Tasks are set up by `tasks::build`, which gets the run's record, the folder that data paths are
/// relative to, and the device.
pub trait Task {
    /// Training examples; the trainer picks numbers from 0 up to this, exclusive.
    fn examples(&self) -> i64;

    /// How examples follow each other.
    fn order(&self) -> Order;

    /// What throughput counts.
    fn rate(&self) -> Rate;

    /// Every tensor of the model, once, in the order of the forward pass, under the name it has in
    /// `model.safetensors`.
    fn tensors(&self) -> Vec<ModelTensor>;

    /// The forward pass in training mode over `examples` (int64, `[n]`, on the device).
    fn train_loss(&self, examples: &Tensor, watch: Watch) -> Result<TrainLoss, TaskError>;

    /// Measures the model on `asked`. Looks at `ended` before every forward pass and gives `None` when
    /// it says so.
    fn evaluate(&self, asked: Asked, ended: &dyn Fn() -> bool) -> Result<Option<Measured>, TaskError>;

    /// What the model produces now. Looks at `ended` between tokens and gives `None` when it says
    /// so; `Some` of no items when the settings ask for nothing.
    fn sample(&self, ended: &dyn Fn() -> bool) -> Result<Option<Sampled>, TaskError>;

    /// What `model.json` says: layers, shapes, parameter counts, vocabulary or class names.
    fn model_record(&self) -> ModelRecord;
}

/// What an evaluation looks at, and how much of it in one forward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Validation batches of the settings' size; `None` is the whole validation data.
    pub batches: Option<u32>,
    /// Examples in one forward pass, at least 1: no more than training has at once, so that a run
    /// that was short of memory is not short of it again.
    pub at_once: usize,
}

/// How training examples follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Each example is drawn anew from all of them: windows of a text.
    WithReplacement,
    /// Every example once in an epoch, shuffled anew each time: images.
    Epochs,
}

/// What throughput counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Its metric: `tokens_per_second` or `images_per_second`.
    pub metric: &'static str,
    /// How many of what it counts one example holds.
    pub units_per_example: u64,
}

/// One tensor of the model.
pub struct ModelTensor {
    /// The name in `model.safetensors`.
    pub name: String,
    pub tensor: Tensor,
    pub role: Role,
}

/// What a tensor is for, which decides whether it is trained and whether it decays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The matrix or kernel of a layer; decays.
    Weight,
    /// An embedding; decays only when the settings ask for it.
    Embedding,
    /// A bias or a norm's scale; never decays.
    BiasOrNorm,
    /// State that is not trained but belongs to the model, such as batch norm's running averages.
    Buffer,
}

/// What one forward pass in training mode gives; both stay on the device.
pub struct TrainLoss {
    /// The mean loss over the examples, a scalar, in fp32.
    pub loss: Tensor,
    /// How many of the examples were right (a scalar), where `train/accuracy` is a metric.
    pub correct: Option<Tensor>,
}

/// What one evaluation measured.
pub struct Measured {
    /// Metric names and values, as `val/loss`.
    pub metrics: Vec<(&'static str, f64)>,
    /// Per class, in the order of the classes; empty where there are none.
    pub classes: Vec<ClassEvaluation>,
    /// `confusion[actual][predicted]`; empty where there are no classes.
    pub confusion: Vec<Vec<u64>>,
}

/// What one round of sampling produced.
pub struct Sampled {
    /// Empty where nothing was asked for.
    pub items: Vec<SampleItem>,
    /// A picture to lie beside it, as the bytes of a PNG file.
    pub png: Option<Vec<u8>>,
}

/// Is told the name and the value of each intermediate tensor.
pub type Observer<'a> = dyn FnMut(&str, &Tensor) + 'a;

/// Shows intermediate tensors of a forward pass to whoever asked to see them. In ordinary steps
/// nobody did, and [`Watch::see`] costs nothing.
#[derive(Clone, Copy)]
pub struct Watch<'a>(Option<&'a RefCell<Observer<'a>>>);

impl<'a> Watch<'a> {
    /// Nobody watches.
    pub const NOBODY: Watch<'static> = Watch(None);

    pub fn with(observer: &'a RefCell<Observer<'a>>) -> Watch<'a> {
        Watch(Some(observer))
    }

    /// Shows `tensor`, the output of the part of the model that `name` makes, like `h.0.attn`.
    pub fn see(&self, name: impl FnOnce() -> String, tensor: &Tensor) {
        if let Some(observer) = self.0 {
            (observer.borrow_mut())(&name(), tensor);
        }
    }
}

/// Why a task could not be set up or could not go on.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    #[error("{0}")]
    Torch(#[from] TchError),
    /// Data or settings that cannot be used; the text names the file and the way out.
    #[error("{0}")]
    Data(String),
}
