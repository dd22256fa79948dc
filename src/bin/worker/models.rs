//! The models, written as plain functions of tensors, and the list of tensors that each is made of.
//! What is learned from which data is the tasks' part.

mod cnn;
mod gpt;
mod layers;
mod mlp;
mod resnet18;

pub use cnn::Cnn;
pub use gpt::Gpt;
pub use mlp::Mlp;
pub use resnet18::Resnet18;

use crate::task::{ModelTensor, Role, TaskError, Watch};
use overnight::run_dir::records::Layer;
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
    layers: Vec<Layer>,
}

impl Tensors {
    pub fn new(device: Device) -> Self {
        Self { device, list: Vec::new(), layers: Vec::new() }
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

    /// How many numbers are trained.
    pub fn parameters(&self) -> u64 {
        self.list.iter().filter(|one| one.role != Role::Buffer).map(|one| one.tensor.numel() as u64).sum()
    }

    /// The layers with the tensors that belong to each, as data flows.
    pub fn layers(&self) -> Vec<Layer> {
        let mut layers = self.layers.clone();
        for layer in &mut layers {
            for ModelTensor { name, tensor, role } in &self.list {
                let below = name.strip_prefix(layer.name.as_str()).and_then(|rest| rest.strip_prefix('.'));
                if let Some(below) = below {
                    layer.tensors.push((below.to_owned(), tensor.size()));
                    layer.parameters += if *role == Role::Buffer { 0 } else { tensor.numel() as u64 };
                }
            }
        }
        layers
    }

    /// Says that the tensors named `<name>.*` make up a layer of this kind, and the shape of what
    /// comes out of it for one example.
    fn layer(&mut self, name: &str, kind: &str, output: &[i64]) {
        self.layers.push(Layer {
            name: name.to_owned(),
            kind: kind.to_owned(),
            output: output.to_vec(),
            tensors: Vec::new(),
            parameters: 0,
        });
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

    fn constant(&mut self, name: String, size: i64, value: f64, role: Role) -> Result<Tensor, TaskError> {
        let values = Tensor::f_full([size], value, (Kind::Float, self.device))?;
        self.add(name, values, role)
    }
}
