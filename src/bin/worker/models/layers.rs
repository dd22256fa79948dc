//! Layers that several models are built of. Each names its tensors as PyTorch does, so that a
//! checkpoint opens there under the names people know.

use super::{Mode, Tensors};
use crate::task::{Role, TaskError};
use tch::{TchError, Tensor};

/// How a linear layer's weight begins.
#[derive(Debug, Clone, Copy)]
pub enum Start {
    /// Normal with this deviation, biases zero (GPT-2).
    Normal(f64),
    /// For layers that are followed by a rectifier: deviation `sqrt(2 / inputs)`, biases zero (He et
    /// al., 2015, arXiv:1502.01852).
    He,
}

/// `x W^T + b`, the weight `[outputs, inputs]`.
pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    pub fn new(
        tensors: &mut Tensors,
        name: &str,
        [inputs, outputs]: [i64; 2],
        start: Start,
        bias: bool,
    ) -> Result<Self, TaskError> {
        let deviation = match start {
            Start::Normal(deviation) => deviation,
            Start::He => (2.0 / inputs as f64).sqrt(),
        };
        let shape = [outputs, inputs];
        let weight = tensors.normal(format!("{name}.weight"), &shape, deviation, Role::Weight)?;
        let bias = match bias {
            true => Some(tensors.constant(format!("{name}.bias"), outputs, 0.0, Role::BiasOrNorm)?),
            false => None,
        };
        Ok(Self { weight, bias })
    }

    pub fn forward(&self, input: &Tensor) -> Result<Tensor, TchError> {
        input.f_linear(&self.weight, self.bias.as_ref())
    }
}

/// Normalizes the last dimension (Ba et al., 2016, arXiv:1607.06450).
pub struct LayerNorm {
    weight: Tensor,
    bias: Option<Tensor>,
    width: i64,
}

impl LayerNorm {
    pub fn new(tensors: &mut Tensors, name: &str, width: i64, bias: bool) -> Result<Self, TaskError> {
        let weight = tensors.constant(format!("{name}.weight"), width, 1.0, Role::BiasOrNorm)?;
        let bias = match bias {
            true => Some(tensors.constant(format!("{name}.bias"), width, 0.0, Role::BiasOrNorm)?),
            false => None,
        };
        Ok(Self { weight, bias, width })
    }

    pub fn forward(&self, input: &Tensor) -> Result<Tensor, TchError> {
        input.f_layer_norm([self.width], Some(&self.weight), self.bias.as_ref(), 1e-5, true)
    }
}

/// A convolution over images, padded so that stride 1 keeps their size; no bias unless asked.
pub struct Conv2d {
    weight: Tensor,
    bias: Option<Tensor>,
    stride: i64,
    padding: i64,
}

/// The size of a convolution.
#[derive(Debug, Clone, Copy)]
pub struct ConvShape {
    pub inputs: i64,
    pub outputs: i64,
    /// Side of the kernel in pixels, odd.
    pub kernel: i64,
    pub stride: i64,
}

impl Conv2d {
    pub fn new(tensors: &mut Tensors, name: &str, shape: ConvShape, bias: bool) -> Result<Self, TaskError> {
        let ConvShape { inputs, outputs, kernel, stride } = shape;
        // He et al. by the outgoing connections, as torchvision's ResNet.
        let deviation = (2.0 / (outputs * kernel * kernel) as f64).sqrt();
        let sizes = [outputs, inputs, kernel, kernel];
        let weight = tensors.normal(format!("{name}.weight"), &sizes, deviation, Role::Weight)?;
        let bias = match bias {
            true => Some(tensors.constant(format!("{name}.bias"), outputs, 0.0, Role::BiasOrNorm)?),
            false => None,
        };
        Ok(Self { weight, bias, stride, padding: kernel / 2 })
    }

    pub fn forward(&self, input: &Tensor) -> Result<Tensor, TchError> {
        let (stride, padding) = ([self.stride; 2], [self.padding; 2]);
        input.f_conv2d(&self.weight, self.bias.as_ref(), stride, padding, [1, 1], 1)
    }
}

/// Normalizes each channel over the batch, and by running averages at inference (Ioffe and Szegedy,
/// 2015, arXiv:1502.03167). The averages are tensors of the model, so checkpoints hold them.
pub struct BatchNorm {
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
}

impl BatchNorm {
    pub fn new(tensors: &mut Tensors, name: &str, channels: i64) -> Result<Self, TaskError> {
        let mut constant =
            |part: &str, value, role| tensors.constant(format!("{name}.{part}"), channels, value, role);
        Ok(Self {
            weight: constant("weight", 1.0, Role::BiasOrNorm)?,
            bias: constant("bias", 0.0, Role::BiasOrNorm)?,
            running_mean: constant("running_mean", 0.0, Role::Buffer)?,
            running_var: constant("running_var", 1.0, Role::Buffer)?,
        })
    }

    pub fn forward(&self, input: &Tensor, mode: Mode) -> Result<Tensor, TchError> {
        input.f_batch_norm(
            Some(&self.weight),
            Some(&self.bias),
            Some(&self.running_mean),
            Some(&self.running_var),
            mode == Mode::Training,
            0.1,
            1e-5,
            true,
        )
    }
}

/// Drops values while training; free where nothing is dropped.
pub fn dropout(input: Tensor, probability: f64, mode: Mode) -> Result<Tensor, TchError> {
    match mode {
        Mode::Training if probability > 0.0 => input.f_dropout(probability, true),
        _ => Ok(input),
    }
}
