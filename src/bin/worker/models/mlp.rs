//! A perceptron: every pixel to every unit, layer by layer.

use super::layers::{Linear, Start, dropout};
use super::{ImageShape, Mode, Tensors};
use crate::task::{TaskError, Watch};
use tch::{TchError, Tensor};

pub struct Mlp {
    layers: Vec<Linear>,
    dropout: f64,
}

impl Mlp {
    /// Hidden layers of these widths with rectifiers between, then one unit for each class.
    pub fn new(
        tensors: &mut Tensors,
        shape: ImageShape,
        hidden: &[i64],
        dropout: f64,
    ) -> Result<Self, TaskError> {
        let inputs = shape.channels * shape.height * shape.width;
        let widths = [&[inputs], hidden, &[shape.classes]].concat();
        let layer = |(number, pair): (usize, &[i64])| {
            let sizes = [pair[0], pair[1]];
            Linear::new(tensors, &format!("layers.{number}"), sizes, Start::He, true)
        };
        let layers = widths.windows(2).enumerate().map(layer);
        Ok(Self { layers: layers.collect::<Result<_, _>>()?, dropout })
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
