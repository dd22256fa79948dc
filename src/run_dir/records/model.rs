//! What a model is and what it can do by now, as its worker tells it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::run_dir::number::Number;

/// `model.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelRecord {
    /// As in the settings: `gpt`, `cnn`, ...
    pub kind: String,
    /// Trained numbers in all; tied ones once.
    pub parameters: u64,
    /// First to last, as data flows.
    pub layers: Vec<Layer>,
    /// A language model's tokens, by number; bytes as `<0a>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vocabulary: Option<Vec<String>>,
    /// A classifier's classes, by number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// Dotted, as in the checkpoint's tensor names: `transformer.h.0.attn`.
    pub name: String,
    /// `embedding`, `attention`, `feed-forward`, `convolution`, `norm`, `linear`, ...
    pub kind: String,
    /// Shape of what comes out for one example, without the batch.
    pub output: Vec<i64>,
    /// Tensor names below the layer's and their shapes.
    pub tensors: Vec<(String, Vec<i64>)>,
    pub parameters: u64,
}

/// `evaluation.json`: the last full evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    pub step: u64,
    pub metrics: BTreeMap<String, Number>,
    #[serde(default)]
    pub classes: Vec<ClassEvaluation>,
    /// `confusion[actual][predicted]`: how many validation examples.
    #[serde(default)]
    pub confusion: Vec<Vec<u64>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassEvaluation {
    pub name: String,
    pub examples: u64,
    /// Part of the class's examples that were recognized.
    #[serde(with = "crate::run_dir::number")]
    pub accuracy: f64,
}

/// `samples/step-*.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    pub step: u64,
    pub items: Vec<SampleItem>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum SampleItem {
    Text {
        prompt: String,
        /// What the model added; the prompt is not in it.
        text: String,
        temperature: f64,
        top_k: u32,
        top_p: f64,
    },
    /// What another program logged there: a text, or with none the name of a picture.
    Logged { title: String, text: String },
    /// One image of the sheet `step-*.png`, by its number from the top left.
    Prediction {
        tile: u32,
        actual: String,
        predicted: String,
        #[serde(with = "crate::run_dir::number")]
        probability: f64,
    },
}
