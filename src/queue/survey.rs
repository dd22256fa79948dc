//! What an experiment needs to know of its data before anything starts: whether it can be used, how
//! many examples it has, and its fingerprints. The worker reads the same files by the same functions.

use std::path::{Path, PathBuf};

use crate::data_files::{self, ClassFolder, DataError};
use crate::experiment::Problem;
use crate::experiment::settings::{Data, Folder, Idx, Model, Settings, Text, Tokenizer};
use crate::run_dir::records::Fingerprint;

/// What is known of the data of one run.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Training examples in an epoch: images, or windows of text that do not overlap.
    pub examples: u64,
    pub data: Vec<Fingerprint>,
}

/// Part of the data that validates where neither a part nor files for it are given.
pub const DEFAULT_VALIDATION: f64 = 0.1;

/// Looks at the data of runs, at each data set once.
pub struct Surveyor {
    base: PathBuf,
    texts: Vec<((Text, u32), Result<(Facts, data_files::Vocabulary), Problem>)>,
    others: Vec<(Data, Result<Facts, Problem>)>,
}

impl Surveyor {
    /// `base` is the folder of the experiment file.
    pub fn new(base: PathBuf) -> Surveyor {
        Surveyor { base, texts: Vec::new(), others: Vec::new() }
    }

    /// What the data of a run with these settings gives.
    ///
    /// # Errors
    /// Data that is missing, damaged or too little for the settings, by the setting that names it.
    pub fn survey(&mut self, settings: &Settings) -> Result<Facts, Problem> {
        match (&settings.data, &settings.model) {
            (Data::Text(text), Model::Gpt(gpt)) => {
                let key = (text.clone(), gpt.context);
                let known = self.texts.iter().position(|(known, _)| *known == key);
                let index = known.unwrap_or_else(|| {
                    let found = survey_text(text, gpt.context, &self.base);
                    self.texts.push((key, found));
                    self.texts.len() - 1
                });
                let (facts, vocabulary) = self.texts[index].1.clone()?;
                check_prompts(&settings.sample.prompts, &vocabulary)?;
                Ok(facts)
            }
            (data, _) => {
                if let Some((_, found)) = self.others.iter().find(|(known, _)| known == data) {
                    return found.clone();
                }
                let found = survey_images(data, &self.base);
                self.others.push((data.clone(), found.clone()));
                found
            }
        }
    }
}

fn survey_text(text: &Text, context: u32, base: &Path) -> Result<(Facts, data_files::Vocabulary), Problem> {
    let files = data_files::expand(&text.files, base).map_err(at("data.files"))?;
    let kind = match text.tokenizer {
        Tokenizer::Char => data_files::TokenKind::Char,
        Tokenizer::Byte => data_files::TokenKind::Byte,
    };
    let loaded =
        data_files::Text::load(&files, kind, text.validation, context as usize).map_err(|error| {
            let setting = match &error {
                DataError::TooShort { .. } => "model.context",
                DataError::EmptySplit { .. } => "data.validation",
                _ => "data.files",
            };
            at(setting)(error)
        })?;
    let examples = (loaded.training_tokens / context as usize) as u64;
    let data = files
        .iter()
        .map(|file| fingerprint_of(file, base).map_err(at("data.files")))
        .collect::<Result<_, _>>()?;
    Ok((Facts { examples, data }, loaded.vocabulary))
}

fn check_prompts(prompts: &[String], vocabulary: &data_files::Vocabulary) -> Result<(), Problem> {
    for prompt in prompts {
        if let Err(unknown) = vocabulary.encode(prompt) {
            let way_out = "use characters that the text has, or data.tokenizer = \"byte\"";
            return Err(Problem::new("sample.prompts", unknown.to_string(), way_out));
        }
    }
    Ok(())
}

fn survey_images(data: &Data, base: &Path) -> Result<Facts, Problem> {
    match data {
        Data::Idx(idx) => survey_idx(idx, base),
        Data::Folder(folder) => survey_folder(folder, base),
        Data::Shapes(shapes) => {
            let validating = shapes.count / 10;
            Ok(Facts { examples: u64::from(shapes.count - validating), data: Vec::new() })
        }
        // Refused before: a text needs a model that reads text.
        Data::Text(_) => Ok(Facts { examples: 0, data: Vec::new() }),
    }
}

fn survey_idx(idx: &Idx, base: &Path) -> Result<Facts, Problem> {
    let mut data = Vec::new();
    let mut pair =
        |images: &str, labels: &str, names: [&str; 2]| -> Result<(usize, Vec<u16>, [usize; 2]), Problem> {
            let (images_path, labels_path) = (base.join(images), base.join(labels));
            let read = data_files::read_idx_images(&images_path).map_err(at(names[0]))?;
            let classes = data_files::read_idx_labels(&labels_path).map_err(at(names[1]))?;
            if read.images != classes.len() {
                return Err(at(names[1])(DataError::CountsDiffer {
                    images_path,
                    images: read.images,
                    labels_path,
                    labels: classes.len(),
                }));
            }
            data.push(fingerprint_of(&images_path, base).map_err(at(names[0]))?);
            data.push(fingerprint_of(&labels_path, base).map_err(at(names[1]))?);
            Ok((read.images, classes.into_iter().map(u16::from).collect(), [read.width, read.height]))
        };
    let (images, labels, size) = pair(&idx.images, &idx.labels, ["data.images", "data.labels"])?;
    let examples = match (&idx.validation_images, &idx.validation_labels) {
        (Some(validation), Some(validation_labels)) => {
            let names = ["data.validation_images", "data.validation_labels"];
            let (_, _, other) = pair(validation, validation_labels, names)?;
            if other != size {
                return Err(at(names[0])(DataError::SizesDiffer {
                    first: base.join(&idx.images),
                    first_size: (size[0], size[1]),
                    second: base.join(validation),
                    second_size: (other[0], other[1]),
                }));
            }
            images
        }
        _ => {
            let part = idx.validation.unwrap_or(DEFAULT_VALIDATION);
            data_files::split_by_class(&labels, part).map_err(at("data.validation"))?.training.len()
        }
    };
    Ok(Facts { examples: examples as u64, data })
}

fn survey_folder(folder: &Folder, base: &Path) -> Result<Facts, Problem> {
    let path = base.join(&folder.path);
    let training = ClassFolder::list(&path).map_err(at("data.path"))?;
    let mut data = vec![fingerprint_of_folder(&path, &training, base).map_err(at("data.path"))?];
    let examples = match &folder.validation_path {
        Some(validation) => {
            let path = base.join(validation);
            let listed = ClassFolder::list_like(&path, &training).map_err(at("data.validation_path"))?;
            data.push(fingerprint_of_folder(&path, &listed, base).map_err(at("data.validation_path"))?);
            training.files.len()
        }
        None => {
            let part = folder.validation.unwrap_or(DEFAULT_VALIDATION);
            data_files::split_by_class(&training.labels, part).map_err(at("data.validation"))?.training.len()
        }
    };
    Ok(Facts { examples: examples as u64, data })
}

fn fingerprint_of(path: &Path, base: &Path) -> Result<Fingerprint, DataError> {
    data_files::fingerprint(path).map(|found| relative(found, base))
}

fn fingerprint_of_folder(path: &Path, folder: &ClassFolder, base: &Path) -> Result<Fingerprint, DataError> {
    data_files::fingerprint_together(path, &folder.files).map(|found| relative(found, base))
}

fn relative(found: data_files::Fingerprint, base: &Path) -> Fingerprint {
    let path = found.path.strip_prefix(base).unwrap_or(&found.path).to_string_lossy().into_owned();
    Fingerprint { path, bytes: found.bytes, blake3: found.blake3 }
}

/// The setting a data error belongs to. The error's own sentence holds the way out.
fn at(setting: &str) -> impl Fn(DataError) -> Problem + '_ {
    move |error| Problem::new(setting, error.to_string(), "")
}
