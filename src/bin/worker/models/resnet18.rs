//! ResNet-18 (He et al., 2016, arXiv:1512.03385) in its form for small images: a 3x3 stem with
//! stride 1 and no pooling after it, as for CIFAR. Names of the tensors are torchvision's.

use super::layers::{BatchNorm, Conv2d, ConvShape, Linear, Start};
use super::{ImageShape, Mode, Tensors};
use crate::task::{TaskError, Watch};
use overnight::experiment::settings;
use tch::{TchError, Tensor};

pub struct Resnet18 {
    stem: Conv2d,
    stem_norm: BatchNorm,
    blocks: Vec<Block>,
    head: Linear,
}

impl Resnet18 {
    pub fn new(
        tensors: &mut Tensors,
        shape: ImageShape,
        settings: &settings::Resnet18,
    ) -> Result<Self, TaskError> {
        let (mut height, mut width) = (shape.height, shape.width);
        let mut inputs = i64::from(settings.width);
        tensors.layer("conv1", "convolution", &[inputs, height, width]);
        let stem = conv(tensors, "conv1", [shape.channels, inputs], 3, 1)?;
        tensors.layer("bn1", "norm", &[inputs, height, width]);
        let stem_norm = BatchNorm::new(tensors, "bn1", inputs)?;
        let mut blocks = Vec::new();
        for stage in 0..4 {
            let outputs = i64::from(settings.width) << stage;
            for number in 0..2 {
                let stride = if stage > 0 && number == 0 { 2 } else { 1 };
                (height, width) = ((height - 1) / stride + 1, (width - 1) / stride + 1);
                let name = format!("layer{}.{number}", stage + 1);
                tensors.layer(&name, "residual block", &[outputs, height, width]);
                blocks.push(Block::new(tensors, name, [inputs, outputs], stride)?);
                inputs = outputs;
            }
        }
        tensors.layer("fc", "linear", &[shape.classes]);
        let start = Start::Normal((1.0 / inputs as f64).sqrt());
        let head = Linear::new(tensors, "fc", [inputs, shape.classes], start, true)?;
        Ok(Self { stem, stem_norm, blocks, head })
    }

    pub fn forward(&self, images: &Tensor, mode: Mode, watch: Watch) -> Result<Tensor, TchError> {
        let stem = self.stem.forward(images)?;
        let mut maps = self.stem_norm.forward(&stem, mode)?.f_relu()?;
        watch.see(|| "conv1".to_owned(), &maps);
        for block in &self.blocks {
            maps = block.forward(&maps, mode)?;
            watch.see(|| block.name.clone(), &maps);
        }
        // A plain mean: adaptive pooling has no deterministic gradient on CUDA.
        let logits = self.head.forward(&maps.f_mean_dim([2_i64, 3].as_slice(), false, None)?)?;
        watch.see(|| "fc".to_owned(), &logits);
        Ok(logits)
    }
}

/// Two convolutions and a way around them.
struct Block {
    name: String,
    first: Conv2d,
    first_norm: BatchNorm,
    second: Conv2d,
    second_norm: BatchNorm,
    /// Brings the input to the output's size where they differ.
    shortcut: Option<(Conv2d, BatchNorm)>,
}

impl Block {
    fn new(
        tensors: &mut Tensors,
        name: String,
        [inputs, outputs]: [i64; 2],
        stride: i64,
    ) -> Result<Self, TaskError> {
        let part = |part: &str| format!("{name}.{part}");
        let first = conv(tensors, &part("conv1"), [inputs, outputs], 3, stride)?;
        let first_norm = BatchNorm::new(tensors, &part("bn1"), outputs)?;
        let second = conv(tensors, &part("conv2"), [outputs, outputs], 3, 1)?;
        let second_norm = BatchNorm::new(tensors, &part("bn2"), outputs)?;
        let shortcut = if stride == 1 && inputs == outputs {
            None
        } else {
            let sizes = [inputs, outputs];
            let conv = conv(tensors, &part("downsample.0"), sizes, 1, stride)?;
            let norm = BatchNorm::new(tensors, &part("downsample.1"), outputs)?;
            Some((conv, norm))
        };
        Ok(Self { first, first_norm, second, second_norm, shortcut, name })
    }

    fn forward(&self, input: &Tensor, mode: Mode) -> Result<Tensor, TchError> {
        let first = self.first.forward(input)?;
        let first = self.first_norm.forward(&first, mode)?.f_relu()?;
        let second = self.second.forward(&first)?;
        let second = self.second_norm.forward(&second, mode)?;
        let around = match &self.shortcut {
            Some((conv, norm)) => norm.forward(&conv.forward(input)?, mode)?,
            None => input.shallow_clone(),
        };
        second.f_add(&around)?.f_relu()
    }
}

/// A convolution before a batch norm, which has the bias.
fn conv(
    tensors: &mut Tensors,
    name: &str,
    [inputs, outputs]: [i64; 2],
    kernel: i64,
    stride: i64,
) -> Result<Conv2d, TaskError> {
    let shape = ConvShape { inputs, outputs, kernel, stride };
    Conv2d::new(tensors, name, shape, false)
}
