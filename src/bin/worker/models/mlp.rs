//! A perceptron: every pixel to every unit, layer by layer.

use super::layers::{Linear, Start, dropout};
use super::{ImageShape, Mode, Tensors};
use crate::task::{TaskError, Watch};
use overnight::experiment::settings;
use tch::{TchError, Tensor};

pub struct Mlp {
    layers: Vec<Linear>,
    dropout: f64,
}

impl Mlp {
    /// Hidden layers with rectifiers between, then one unit for each class.
    pub fn new(
        tensors: &mut Tensors,
        shape: ImageShape,
        settings: &settings::Mlp,
    ) -> Result<Self, TaskError> {
        let mut widths = vec![shape.channels * shape.height * shape.width];
        widths.extend(settings.hidden.iter().map(|&width| i64::from(width)));
        widths.push(shape.classes);
        let mut layers = Vec::new();
        for (number, sizes) in widths.windows(2).enumerate() {
            let name = format!("layers.{number}");
            tensors.layer(&name, "linear", &sizes[1..]);
            layers.push(Linear::new(tensors, &name, [sizes[0], sizes[1]], Start::He, true)?);
        }
        Ok(Self { layers, dropout: settings.dropout })
    }

    pub fn forward(&self, images: &Tensor, mode: Mode, watch: Watch) -> Result<Tensor, TchError> {
        let mut hidden = images.f_flatten(1, -1)?;
        for (number, layer) in self.layers.iter().enumerate() {
            if number > 0 {
                hidden = dropout(hidden.f_relu()?, self.dropout, mode)?;
            }
            hidden = layer.forward(&hidden)?;
            watch.see(|| format!("layers.{number}"), &hidden);
        }
        Ok(hidden)
    }
}
