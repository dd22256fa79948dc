//! What is learned from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::run_dir::is_plain_name;

/// Where the examples come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Data {
    /// Text for a language model.
    Text(Text),
    /// Images in IDX files, as MNIST is published, gzipped or not.
    Idx(Idx),
    /// Images in a folder for each class, PNG or JPEG.
    Folder(Folder),
    /// Drawn shapes, the same for every seed; needs no file.
    Shapes(Shapes),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Text {
    /// Files, folders (all files below them, by name) and globs, relative to the experiment file. UTF-8.
    /// `NEED:PATTERN` is what a run wrote that so is needed: files of its directory, such as
    /// `generate:samples/*.json`, whose text is taken.
    pub files: Vec<String>,
    /// What one token is: a character (the vocabulary is what occurs) or a byte (256 tokens).
    pub tokenizer: Tokenizer,
    /// Part of the text, at its end, that is kept for validation. Above 0, below 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub validation: f64,
}

impl Default for Text {
    fn default() -> Self {
        Text { files: Vec::new(), tokenizer: Tokenizer::Char, validation: 0.1 }
    }
}

impl Text {
    /// The files that are there when the run is queued.
    pub fn own(&self) -> Vec<String> {
        self.files.iter().filter(|file| of_need(file).is_none()).cloned().collect()
    }

    /// What other runs are to write: its place among the files, the need, and the pattern within the
    /// directory of the run.
    pub fn taken(&self) -> impl Iterator<Item = (usize, &str, &str)> {
        let files = self.files.iter().enumerate();
        files.filter_map(|(place, file)| of_need(file).map(|(need, pattern)| (place, need, pattern)))
    }
}

/// `NEED:PATTERN`. A file with a colon in its name is written as `./NAME`.
fn of_need(file: &str) -> Option<(&str, &str)> {
    let (need, pattern) = file.split_once(':')?;
    let is_need = need.split('/').count() <= 2 && need.split('/').all(is_plain_name);
    is_need.then_some((need, pattern))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tokenizer {
    Char,
    Byte,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Idx {
    /// The training images: an IDX file of unsigned bytes, relative to the experiment file.
    pub images: String,
    /// Their labels: an IDX file of unsigned bytes, one for each image.
    pub labels: String,
    /// Images for validation. Leave out to split off a part of the training images instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_images: Option<String>,
    /// Labels of the validation images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_labels: Option<String>,
    /// Part of the training images, at the end, kept for validation; 0.1 where nothing else validates.
    /// Above 0, below 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub validation: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Folder {
    /// A folder with a folder of PNG or JPEG files for each class, relative to the experiment file.
    pub path: String,
    /// The same for validation. Leave out to split off a part of the images instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_path: Option<String>,
    /// Part of each class's images kept for validation; 0.1 where nothing else validates. Above 0, below 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub validation: Option<f64>,
    /// Width and height that every image is scaled to, in pixels. 4 to 1024.
    #[schemars(range(min = 4, max = 1024))]
    pub size: u32,
    /// Color channels: 1 (gray) or 3 (red, green, blue).
    #[schemars(range(min = 1, max = 3))]
    pub channels: u32,
}

impl Default for Folder {
    fn default() -> Self {
        Folder { path: String::new(), validation_path: None, validation: None, size: 32, channels: 3 }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Shapes {
    /// Images in all; a tenth of them validates. 20 to 1,000,000.
    #[schemars(range(min = 20, max = 1_000_000))]
    pub count: u32,
    /// Kinds of shapes. 2 to 6: circle, square, triangle, cross, ring, stripes.
    #[schemars(range(min = 2, max = 6))]
    pub classes: u32,
    /// Width and height of an image, in pixels. 8 to 256.
    #[schemars(range(min = 8, max = 256))]
    pub size: u32,
}

impl Default for Shapes {
    fn default() -> Self {
        Shapes { count: 5000, classes: 4, size: 24 }
    }
}
