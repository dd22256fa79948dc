//! One optimizer step: gather, forward, backward, clip, update. Nothing is fetched from the device.

use overnight::experiment::settings::Precision;
use overnight::run_dir::RunDir;
use overnight::run_dir::records::{RunRecord, Start};
use overnight::run_dir::stage::TakenWeights;
use tch::{Device, Kind, TchError, Tensor};

use crate::failure::Failure;
use crate::optimizer::Optimizer;
use crate::order::{ExampleOrder, derived_seed};
use crate::schedule::learning_rate;
use crate::task::{ModelTensor, Task, TaskError, Watch};
use crate::tasks;
use crate::torch_ext;

/// Steps whose example numbers go to the device together.
const BLOCK: u64 = 64;

/// Everything that a step moves: a task and the optimizer over its parameters.
pub struct Learner {
    pub task: Box<dyn Task>,
    pub optimizer: Optimizer,
    pub device: Device,
    /// Every tensor of the model, as the task lists them.
    pub model: Vec<ModelTensor>,
    /// The weights of another run that this one begins with.
    pub weights: Option<Box<TakenWeights>>,
    plan: Plan,
    order: ExampleOrder,
    /// The first step whose example numbers are on the device, and the numbers of it and of the next
    /// few, `[steps * accumulate, micro-batch]`.
    block: Option<(u64, Tensor)>,
}

/// The numbers of the settings and of the orders that steps need.
struct Plan {
    seed: u64,
    steps: u64,
    micro_batch: i64,
    accumulate: u64,
    clip: f64,
    bf16: bool,
    record: RunRecord,
}

/// What a step gave; scalars on the device.
pub struct Taken {
    pub loss: Tensor,
    /// Before clipping.
    pub grad_norm: Tensor,
    pub correct: Option<Tensor>,
}

impl Learner {
    /// Data, model and optimizer as they are before the first step, a function of the record alone; weights
    /// of another run are put in when no checkpoint is.
    pub fn new(record: &RunRecord, start: &Start, dir: &RunDir, device: Device) -> Result<Learner, Failure> {
        let train = &record.settings.train;
        torch_ext::seed(device, derived_seed(train.seed, "weights", 0, 0))?;
        let task = tasks::build(record, dir, device)?;
        let model = task.tensors();
        let optimizer = Optimizer::new(&train.optimizer, &model)?;
        let per_step = u64::from(start.micro_batch) * u64::from(start.accumulate);
        let order =
            ExampleOrder::new(task.order(), task.examples(), per_step, record.steps_per_epoch, train.seed);
        let plan = Plan {
            seed: train.seed,
            steps: record.steps,
            micro_batch: i64::from(start.micro_batch),
            accumulate: u64::from(start.accumulate.max(1)),
            clip: train.clip,
            bf16: start.precision == Precision::Bf16,
            record: record.clone(),
        };
        let weights = start.weights.clone();
        Ok(Learner { task, optimizer, device, model, weights, plan, order, block: None })
    }

    /// The learning rate of `step`, before any factor of the run's.
    pub fn learning_rate(&self, step: u64) -> f64 {
        let train = &self.plan.record.settings.train;
        learning_rate(&train.schedule, train.optimizer.lr(), step, self.plan.steps)
    }

    /// Examples of one forward pass.
    pub fn at_once(&self) -> usize {
        usize::try_from(self.plan.micro_batch).unwrap_or(1).max(1)
    }

    /// Takes `step` (counted from 1).
    pub fn step(&mut self, step: u64, lr: f64, watch: Watch) -> Result<Taken, TaskError> {
        torch_ext::drop_gradients(self.optimizer.parameters())?;
        let parts = self.plan.accumulate;
        let mut sum: Option<Tensor> = None;
        let mut right: Option<Tensor> = None;
        for part in 0..parts {
            let examples = self.examples(step, part)?;
            torch_ext::seed(self.device, derived_seed(self.plan.seed, "forward", step, part))?;
            let forward = || self.task.train_loss(&examples, watch);
            let forward = torch_ext::with_autocast(self.device, self.plan.bf16, forward)??;
            let loss = if parts == 1 { forward.loss } else { forward.loss.f_div_scalar(parts as f64)? };
            loss.f_backward()?;
            sum = Some(add(sum, loss.f_detach()?)?);
            right = forward.correct.map(|correct| add(right.take(), correct)).transpose()?;
        }
        let grad_norm = self.optimizer.step(step, lr, self.plan.clip)?;
        let loss = sum.ok_or_else(|| TaskError::Data("a step of no examples".to_owned()))?;
        Ok(Taken { loss, grad_norm, correct: right })
    }

    /// Evaluates or samples: no gradients, the precision of training.
    pub fn without_gradients<T>(
        &self,
        body: impl FnOnce(&dyn Task) -> Result<T, TaskError>,
    ) -> Result<T, Failure> {
        let body = || tch::no_grad(|| body(self.task.as_ref()));
        Ok(torch_ext::with_autocast(self.device, self.plan.bf16, body)??)
    }

    /// Example numbers of one forward pass, `[micro-batch]`, on the device.
    fn examples(&mut self, step: u64, part: u64) -> Result<Tensor, TchError> {
        let known = self.block.take().filter(|(first, _)| (*first..first + BLOCK).contains(&step));
        let (first, numbers) = match known {
            Some(block) => block,
            None => {
                let end = (step + BLOCK).min(self.plan.steps + 1).max(step + 1);
                let numbers = Tensor::f_from_slice(&self.order.of_steps(step..end))?;
                (step, numbers.f_view([-1, self.plan.micro_batch])?.f_to_device(self.device)?)
            }
        };
        let examples = numbers.f_get(((step - first) * self.plan.accumulate + part) as i64);
        self.block = Some((first, numbers));
        examples
    }
}

fn add(sum: Option<Tensor>, next: Tensor) -> Result<Tensor, TchError> {
    match sum {
        Some(sum) => sum.f_add(&next),
        None => next.f_to_kind(Kind::Float),
    }
}
