//! A small convolutional net: stages that each halve the image, then a perceptron of one hidden layer.

use super::layers::{Conv2d, ConvShape, Linear, Start, dropout};
use super::{ImageShape, Mode, Tensors};
use crate::task::{TaskError, Watch};
use overnight::data_files::DataError;
use overnight::experiment::settings;
use tch::{TchError, Tensor};

/// Units of the hidden layer behind the convolutions.
const HIDDEN: i64 = 128;

pub struct Cnn {
    stages: Vec<Conv2d>,
    hidden: Linear,
    head: Linear,
    dropout: f64,
}

impl Cnn {
    /// One stage for each of `channels`: a 3x3 convolution, a rectifier, and the largest of each 2x2
    /// pixels.
    ///
    /// # Errors
    ///
    /// More stages than the image can be halved.
    pub fn new(
        tensors: &mut Tensors,
        shape: ImageShape,
        settings: &settings::Cnn,
    ) -> Result<Self, TaskError> {
        let (mut height, mut width) = (shape.height, shape.width);
        let mut inputs = shape.channels;
        let mut stages = Vec::new();
        for (number, &outputs) in settings.channels.iter().enumerate() {
            let outputs = i64::from(outputs);
            (height, width) = (height / 2, width / 2);
            let name = format!("conv.{number}");
            tensors.layer(&name, "convolution, rectifier, pooling", &[outputs, height, width]);
            let size = ConvShape { inputs, outputs, kernel: 3, stride: 1 };
            stages.push(Conv2d::new(tensors, &name, size, true)?);
            inputs = outputs;
        }
        if height == 0 || width == 0 {
            let (width, height) = (shape.width as usize, shape.height as usize);
            let error = DataError::TooManyHalvings { stages: stages.len(), width, height };
            return Err(TaskError::Data(error.to_string()));
        }
        let flat = inputs * height * width;
        tensors.layer("fc.0", "linear", &[HIDDEN]);
        let hidden = Linear::new(tensors, "fc.0", [flat, HIDDEN], Start::He, true)?;
        tensors.layer("fc.1", "linear", &[shape.classes]);
        let head = Linear::new(tensors, "fc.1", [HIDDEN, shape.classes], Start::He, true)?;
        Ok(Self { stages, hidden, head, dropout: settings.dropout })
    }

    pub fn forward(&self, images: &Tensor, mode: Mode, watch: Watch) -> Result<Tensor, TchError> {
        let mut maps = images.shallow_clone();
        for (number, stage) in self.stages.iter().enumerate() {
            maps = halve(&stage.forward(&maps)?.f_relu()?)?;
            watch.see(|| format!("conv.{number}"), &maps);
        }
        let hidden = self.hidden.forward(&maps.f_flatten(1, -1)?)?.f_relu()?;
        let hidden = dropout(hidden, self.dropout, mode)?;
        watch.see(|| "fc.0".to_owned(), &hidden);
        let logits = self.head.forward(&hidden)?;
        watch.see(|| "fc.1".to_owned(), &logits);
        Ok(logits)
    }
}

/// The largest of each 2x2 pixels; an odd last row or column is left out.
fn halve(maps: &Tensor) -> Result<Tensor, TchError> {
    maps.f_max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false)
}
