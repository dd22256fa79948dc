//! The models, written as plain functions of tensors, and the list of tensors that each is made of.
//! What is learned from which data is the tasks' part.

mod cnn;
mod gpt;
mod layers;
mod mlp;
mod record;
mod resnet18;

pub use cnn::Cnn;
pub use gpt::{Gpt, GptSettings};
pub use mlp::Mlp;
pub use record::model_record;
pub use resnet18::Resnet18;

use crate::task::{ModelTensor, Role, TaskError, Watch};
use tch::{Device, Kind, TchError, Tensor};

/// Whether a forward pass drops values out and measures its batch, or is a pure function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Training,
    Inference,
}

/// A model that tells classes of images apart.
pub enum ImageModel {
    Mlp(Mlp),
    Cnn(Cnn),
    Resnet18(Resnet18),
}

/// What an image model sees and says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageShape {
    pub channels: i64,
    pub height: i64,
    pub width: i64,
    pub classes: i64,
}

impl ImageModel {
    /// Logits `[batch, classes]` of `images` (`[batch, channels, height, width]`, normalized).
    pub fn forward(&self, images: &Tensor, mode: Mode, watch: Watch) -> Result<Tensor, TchError> {
        match self {
            Self::Mlp(model) => model.forward(images, mode, watch),
            Self::Cnn(model) => model.forward(images, mode, watch),
            Self::Resnet18(model) => model.forward(images, mode, watch),
        }
    }

    /// Whether an example's output in training depends on the others of its batch, so that a batch
    /// in two halves is not the same as a whole one.
    pub fn mixes_examples(&self) -> bool {
        matches!(self, Self::Resnet18(_))
    }
}

/// Makes a model's tensors on the device and remembers them by name, in the order of the forward
/// pass. Starting values come from libtorch's default generator.
pub struct Tensors {
    device: Device,
    list: Vec<ModelTensor>,
    kinds: Vec<(String, &'static str)>,
}

impl Tensors {
    pub fn new(device: Device) -> Self {
        Self { device, list: Vec::new(), kinds: Vec::new() }
    }

    /// The tensors as the trainer wants them; they share their memory with the model's.
    pub fn list(&self) -> Vec<ModelTensor> {
        let share = |one: &ModelTensor| ModelTensor {
            name: one.name.clone(),
            tensor: one.tensor.shallow_clone(),
            role: one.role,
        };
        self.list.iter().map(share).collect()
    }

    /// Says that the tensors named `<layer>.*` make up a layer of this kind.
    fn layer(&mut self, layer: &str, kind: &'static str) {
        self.kinds.push((layer.to_owned(), kind));
    }

    fn add(&mut self, name: String, tensor: Tensor, role: Role) -> Result<Tensor, TaskError> {
        let tensor = match role {
            Role::Buffer => tensor,
            _ => tensor.f_set_requires_grad(true)?,
        };
        self.list.push(ModelTensor { name, tensor: tensor.shallow_clone(), role });
        Ok(tensor)
    }

    fn normal(
        &mut self,
        name: String,
        shape: &[i64],
        deviation: f64,
        role: Role,
    ) -> Result<Tensor, TaskError> {
        // Drawn on the CPU, so that a seed begins at the same weights on every device.
        let mut values = Tensor::f_empty(shape, (Kind::Float, Device::Cpu))?;
        let values = values.f_normal_(0.0, deviation)?.f_to(self.device)?;
        self.add(name, values, role)
    }

    fn uniform(&mut self, name: String, shape: &[i64], bound: f64, role: Role) -> Result<Tensor, TaskError> {
        let mut values = Tensor::f_empty(shape, (Kind::Float, Device::Cpu))?;
        let values = values.f_uniform_(-bound, bound)?.f_to(self.device)?;
        self.add(name, values, role)
    }

    fn constant(&mut self, name: String, size: i64, value: f64, role: Role) -> Result<Tensor, TaskError> {
        let values = Tensor::f_full([size], value, (Kind::Float, self.device))?;
        self.add(name, values, role)
    }
}
