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

/// Seeds libtorch's default generator for a test and keeps it to that test: the process has only one.
#[cfg(test)]
pub fn seeded(seed: i64) -> std::sync::MutexGuard<'static, ()> {
    static GENERATOR: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let guard = GENERATOR.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    tch::manual_seed(seed);
    guard
}

#[cfg(test)]
mod tests {
    use super::*;
    use overnight::experiment::settings;

    const SHAPE: ImageShape = ImageShape { channels: 3, height: 32, width: 32, classes: 10 };

    fn images(shape: ImageShape) -> Tensor {
        Tensor::randn([2, shape.channels, shape.height, shape.width], (Kind::Float, Device::Cpu))
    }

    fn model(kind: settings::Model, shape: ImageShape) -> Result<(ImageModel, Tensors), TaskError> {
        let mut tensors = Tensors::new(Device::Cpu);
        let model = match &kind {
            settings::Model::Mlp(mlp) => ImageModel::Mlp(Mlp::new(&mut tensors, shape, mlp)?),
            settings::Model::Cnn(cnn) => ImageModel::Cnn(Cnn::new(&mut tensors, shape, cnn)?),
            settings::Model::Resnet18(resnet) => {
                ImageModel::Resnet18(Resnet18::new(&mut tensors, shape, resnet)?)
            }
            settings::Model::Gpt(_) => unreachable!("no image model"),
        };
        Ok((model, tensors))
    }

    fn resnet18() -> settings::Model {
        settings::Model::Resnet18(settings::Resnet18::default())
    }

    #[test]
    fn every_image_model_says_one_logit_for_each_class_and_records_all_parameters() {
        let _generator = seeded(5);
        let odd = ImageShape { channels: 1, height: 13, width: 9, classes: 3 };
        for shape in [SHAPE, odd] {
            for kind in [
                settings::Model::Mlp(settings::Mlp::default()),
                settings::Model::Cnn(settings::Cnn::default()),
                settings::Model::Resnet18(settings::Resnet18 { width: 8 }),
            ] {
                let (model, tensors) = model(kind, shape).unwrap();
                for mode in [Mode::Training, Mode::Inference] {
                    let logits = model.forward(&images(shape), mode, Watch::NOBODY).unwrap();
                    assert_eq!(logits.size(), [2, shape.classes]);
                }
                let listed: u64 = tensors.layers().iter().map(|layer| layer.parameters).sum();
                assert_eq!(listed, tensors.parameters());
                let outputs = tensors.layers().last().unwrap().output.clone();
                assert_eq!(outputs, [shape.classes]);
            }
        }
    }

    #[test]
    fn resnet18_has_as_many_parameters_as_others_count_for_small_images() {
        let _generator = seeded(5);
        let (_, tensors) = model(resnet18(), SHAPE).unwrap();
        assert_eq!(tensors.parameters(), 11_173_962);
        let names: Vec<String> = tensors.list().into_iter().map(|one| one.name).collect();
        for name in ["conv1.weight", "layer2.0.downsample.1.running_var", "layer4.1.bn2.bias", "fc.weight"] {
            assert!(names.iter().any(|known| known == name), "{name} is missing");
        }
    }

    #[test]
    fn sizes_that_are_recorded_are_those_that_come_out() {
        let _generator = seeded(5);
        let shape = ImageShape { channels: 1, height: 27, width: 20, classes: 4 };
        let (model, tensors) =
            model(settings::Model::Resnet18(settings::Resnet18 { width: 4 }), shape).unwrap();
        let recorded = tensors.layers();
        let observer = std::cell::RefCell::new(|name: &str, output: &Tensor| {
            let layer = recorded.iter().find(|layer| layer.name == name).unwrap();
            assert_eq!(layer.output, output.size()[1..], "{name}");
        });
        let _ = model.forward(&images(shape), Mode::Inference, Watch::with(&observer)).unwrap();
    }

    #[test]
    fn running_averages_move_in_training_alone_and_are_buffers() {
        let _generator = seeded(5);
        let (model, tensors) =
            model(settings::Model::Resnet18(settings::Resnet18 { width: 4 }), SHAPE).unwrap();
        let average = || {
            let all = tensors.list();
            let one = all.iter().find(|one| one.name == "bn1.running_mean").unwrap();
            assert_eq!(one.role, Role::Buffer);
            assert!(!one.tensor.requires_grad());
            one.tensor.copy()
        };
        let before = average();
        let _ = model.forward(&images(SHAPE), Mode::Inference, Watch::NOBODY).unwrap();
        assert_eq!(average(), before);
        let _ = model.forward(&images(SHAPE), Mode::Training, Watch::NOBODY).unwrap();
        assert_ne!(average(), before);
    }

    #[test]
    fn a_net_that_halves_its_images_away_is_refused() {
        let _generator = seeded(5);
        let deep = settings::Cnn { channels: vec![2; 6], dropout: 0.0 };
        let error = model(settings::Model::Cnn(deep), SHAPE).err().unwrap().to_string();
        assert!(error.contains("6 stages, each of which halves the image, but images are 32x32"), "{error}");
    }
}
