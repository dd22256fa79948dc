//! Losses stay on the device until a row of metrics needs them: fetching one waits for the device.

use tch::{Device, Kind, TchError, Tensor};

use crate::step::Taken;

/// Steps after which losses are fetched even when no row is due, so that the buffer stays small.
const CAPACITY: usize = 1000;

/// What steps gave since the last fetch.
#[derive(Default)]
pub struct LossBuffer {
    steps: Vec<u64>,
    scalars: Vec<Tensor>,
}

/// The numbers of one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepNumbers {
    pub step: u64,
    pub loss: f32,
    pub grad_norm: f32,
    /// Examples that were right, where accuracy is a metric.
    pub correct: Option<u64>,
}

impl LossBuffer {
    pub fn push(&mut self, step: u64, taken: Taken) {
        self.steps.push(step);
        self.scalars.push(taken.loss);
        self.scalars.push(taken.grad_norm);
        self.scalars.extend(taken.correct);
    }

    pub fn is_full(&self) -> bool {
        self.steps.len() >= CAPACITY
    }

    /// Everything since the last call, in order; waits for the device once.
    pub fn fetch(&mut self) -> Result<Vec<StepNumbers>, TchError> {
        let steps = std::mem::take(&mut self.steps);
        let scalars = std::mem::take(&mut self.scalars);
        if steps.is_empty() {
            return Ok(Vec::new());
        }
        let scalars: Vec<Tensor> =
            scalars.iter().map(|scalar| scalar.f_to_kind(Kind::Float)).collect::<Result<_, _>>()?;
        let numbers: Vec<f32> = Vec::try_from(Tensor::f_stack(&scalars, 0)?.f_to_device(Device::Cpu)?)?;
        let each = numbers.len() / steps.len();
        let rows = steps.iter().zip(numbers.chunks_exact(each));
        Ok(rows
            .map(|(step, row)| StepNumbers {
                step: *step,
                loss: row[0],
                grad_norm: row[1],
                correct: row.get(2).map(|correct| correct.round() as u64),
            })
            .collect())
    }
}
