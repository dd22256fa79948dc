//! The models and their sizes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Model {
    /// A transformer that predicts the next token (GPT-2's form: pre-norm, learned positions, tied embeddings).
    Gpt(Gpt),
    /// A perceptron on the pixels.
    Mlp(Mlp),
    /// A small convolutional net.
    Cnn(Cnn),
    /// ResNet-18 in its form for small images (3x3 stem, no pooling before the blocks).
    Resnet18(Resnet18),
}

impl Model {
    /// The kind as it is written in an experiment file.
    pub fn kind(&self) -> &'static str {
        match self {
            Model::Gpt(_) => "gpt",
            Model::Mlp(_) => "mlp",
            Model::Cnn(_) => "cnn",
            Model::Resnet18(_) => "resnet18",
        }
    }

    /// Whether an example's output depends on which others are computed with it, as under batch norm.
    pub fn looks_across_the_batch(&self) -> bool {
        match self {
            Model::Resnet18(_) => true,
            Model::Gpt(_) | Model::Mlp(_) | Model::Cnn(_) => false,
        }
    }

    /// Probability of dropping a value while training.
    pub fn dropout(&self) -> f64 {
        match self {
            Model::Gpt(gpt) => gpt.dropout,
            Model::Mlp(mlp) => mlp.dropout,
            Model::Cnn(cnn) => cnn.dropout,
            Model::Resnet18(_) => 0.0,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Gpt {
    /// Transformer blocks. 1 to 256.
    #[schemars(range(min = 1, max = 256))]
    pub layers: u32,
    /// Attention heads of each block; `width` must be divisible by it. 1 to 256.
    #[schemars(range(min = 1, max = 256))]
    pub heads: u32,
    /// Size of the vector that stands for a token. 1 to 65,536.
    #[schemars(range(min = 1, max = 65_536))]
    pub width: u32,
    /// Context length: how many tokens the model sees at once. 1 to 1,048,576.
    #[schemars(range(min = 1, max = 1_048_576))]
    pub context: u32,
    /// Probability of dropping a value while training. From 0, below 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub dropout: f64,
    /// Whether linear layers and norms have biases.
    pub bias: bool,
}

impl Default for Gpt {
    fn default() -> Self {
        Gpt { layers: 4, heads: 4, width: 128, context: 64, dropout: 0.0, bias: false }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mlp {
    /// Sizes of the hidden layers, first to last. Each 1 to 65,536.
    pub hidden: Vec<u32>,
    /// Probability of dropping a value while training. From 0, below 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub dropout: f64,
}

impl Default for Mlp {
    fn default() -> Self {
        Mlp { hidden: vec![256, 128], dropout: 0.0 }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cnn {
    /// Channels of the convolutions, first to last; the image is halved after each. Each 1 to 4,096.
    pub channels: Vec<u32>,
    /// Probability of dropping a value before the last layer while training. From 0, below 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub dropout: f64,
}

impl Default for Cnn {
    fn default() -> Self {
        Cnn { channels: vec![32, 64], dropout: 0.0 }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Resnet18 {
    /// Channels of the first stage; each later stage has twice as many. 1 to 512.
    #[schemars(range(min = 1, max = 512))]
    pub width: u32,
}

impl Default for Resnet18 {
    fn default() -> Self {
        Resnet18 { width: 64 }
    }
}
