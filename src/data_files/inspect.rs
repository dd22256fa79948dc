//! What `check`, `plan` and a new run's environment want to know of an experiment's data.

use super::expand::expand_heard;
use super::images::VALIDATION;
use super::named::{At, unheard};
use super::{ClassFolder, DataError, SHAPE_NAMES, Text, Vocabulary, expand, fingerprints, split_by_class};
use crate::experiment::settings::{self, Data, Every, Folder, Idx, Model, Settings, Tokenizer};
use crate::run_dir::records::Fingerprint;
use std::path::{Path, PathBuf};

/// The size of an experiment's data, found without libtorch.
#[derive(Debug, Clone, PartialEq)]
pub struct DataFacts {
    /// Training examples that make an epoch: images, or contexts of text side by side.
    pub examples_per_epoch: u64,
    pub learned: Learned,
    /// One for each file, but one for a whole folder of images; none where data is drawn.
    pub fingerprints: Vec<Fingerprint>,
}

/// What the data consists of.
#[derive(Debug, Clone, PartialEq)]
pub enum Learned {
    Text { vocabulary: Vocabulary, training_tokens: u64, validation_tokens: u64, validation_bytes: u64 },
    Images { training: u64, validation: u64, channels: u32, height: u32, width: u32, classes: Vec<String> },
}

/// Looks at the data that `settings` name, with paths relative to `base`, and holds the rest of the
/// settings against it: the context, the prompts, the halvings of a convolutional net.
///
/// # Errors
///
/// Everything that would keep a run from starting, but pictures that cannot be decoded: those the
/// worker finds when it reads them all.
pub fn inspect(settings: &Settings, base: &Path) -> Result<DataFacts, DataError> {
    let facts = match &settings.data {
        Data::Text(_) => inspect_text(settings, base)?,
        Data::Idx(idx) => inspect_idx(settings, idx, base)?,
        Data::Folder(folder) => inspect_folder(settings, folder, base)?,
        Data::Shapes(shapes) => {
            let labels: Vec<u16> = (0..shapes.count).map(|image| (image % shapes.classes) as u16).collect();
            let split = split_by_class(&labels, VALIDATION)?;
            let classes = SHAPE_NAMES.iter().take(shapes.classes as usize);
            DataFacts {
                examples_per_epoch: split.training.len() as u64,
                learned: Learned::Images {
                    training: split.training.len() as u64,
                    validation: split.validation.len() as u64,
                    channels: 1,
                    height: shapes.size,
                    width: shapes.size,
                    classes: classes.map(|&name| name.to_owned()).collect(),
                },
                fingerprints: Vec::new(),
            }
        }
    };
    if let (Learned::Images { height, width, .. }, Model::Cnn(cnn)) = (&facts.learned, &settings.model) {
        let stages = cnn.channels.len() as u32;
        if stages >= 32 || height.min(width) >> stages == 0 {
            return Err(DataError::TooManyHalvings {
                stages: cnn.channels.len(),
                width: *width as usize,
                height: *height as usize,
            });
        }
    }
    Ok(facts)
}

/// The text files that are there before any other run has written some.
///
/// # Errors
///
/// As [`expand`].
pub(super) fn own_text(text: &settings::Text, base: &Path, at: At) -> Result<Vec<PathBuf>, DataError> {
    let own = text.own();
    let takes_others = own.len() < text.files.len();
    if own.is_empty() && takes_others { Ok(Vec::new()) } else { expand_heard(&own, base, at) }
}

/// What is known of text that another run is to write: nothing, so the whole run counts as one epoch.
fn not_written_yet(settings: &Settings, pattern: &str, base: &Path) -> Result<DataFacts, DataError> {
    let everies = [settings.evaluate.every, settings.checkpoint.every, settings.sample.every];
    if settings.train.epochs.is_some() || everies.contains(&Every::Epoch) {
        return Err(DataError::BadSetting {
            setting: "files",
            value: pattern.to_owned(),
            reason: "how much text that will be is not known yet (count in steps, not in epochs)".to_owned(),
        });
    }
    Ok(DataFacts {
        examples_per_epoch: settings.total_steps(1) * settings.examples_per_step(),
        fingerprints: fingerprints(settings, base, &unheard)?,
        learned: Learned::Text {
            vocabulary: Vocabulary::of("", Tokenizer::Char),
            training_tokens: 0,
            validation_tokens: 0,
            validation_bytes: 0,
        },
    })
}

fn inspect_text(settings: &Settings, base: &Path) -> Result<DataFacts, DataError> {
    let Data::Text(data) = &settings.data else {
        return Err(DataError::NothingNamed);
    };
    if let Some((place, ..)) = data.taken().next() {
        return not_written_yet(settings, &data.files[place], base);
    }
    let context = match &settings.model {
        Model::Gpt(gpt) => gpt.context as usize,
        _ => 1,
    };
    let files = expand(&data.files, base)?;
    let text = Text::load(&files, data.tokenizer, data.validation, context)?;
    // A run that begins with the weights of another has the vocabulary of that one.
    let own = settings.weights.is_none();
    for prompt in settings.sample.prompts.iter().filter(|_| own) {
        text.vocabulary.encode(prompt)?;
    }
    Ok(DataFacts {
        examples_per_epoch: text.examples_per_epoch(context),
        fingerprints: fingerprints(settings, base, &unheard)?,
        learned: Learned::Text {
            training_tokens: text.training_tokens as u64,
            validation_tokens: text.validation().len() as u64,
            validation_bytes: text.validation_bytes as u64,
            vocabulary: text.vocabulary,
        },
    })
}

fn inspect_idx(settings: &Settings, idx: &Idx, base: &Path) -> Result<DataFacts, DataError> {
    // The files are read whole: only so is one that is cut short found before the night.
    let splits = super::ImageSplits::from_idx(idx, base)?;
    Ok(DataFacts {
        examples_per_epoch: splits.training.images as u64,
        fingerprints: fingerprints(settings, base, &unheard)?,
        learned: Learned::Images {
            training: splits.training.images as u64,
            validation: splits.validation.images as u64,
            channels: splits.training.channels as u32,
            height: splits.training.height as u32,
            width: splits.training.width as u32,
            classes: splits.classes,
        },
    })
}

fn inspect_folder(settings: &Settings, folder: &Folder, base: &Path) -> Result<DataFacts, DataError> {
    let all = ClassFolder::list(&base.join(&folder.path))?;
    let (training, validation) = match &folder.validation_path {
        Some(path) => {
            let validation = ClassFolder::list_like(&base.join(path), &all)?;
            (all.files.len(), validation.files.len())
        }
        None => {
            let split = split_by_class(&all.labels, folder.validation.unwrap_or(VALIDATION))?;
            (split.training.len(), split.validation.len())
        }
    };
    Ok(DataFacts {
        examples_per_epoch: training as u64,
        fingerprints: fingerprints(settings, base, &unheard)?,
        learned: Learned::Images {
            training: training as u64,
            validation: validation as u64,
            channels: folder.channels,
            height: folder.size,
            width: folder.size,
            classes: all.classes,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn settings(toml: &str) -> Settings {
        toml::from_str(toml).unwrap()
    }

    fn text_folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.txt"), "abcdefghij".repeat(10)).unwrap();
        folder
    }

    #[test]
    fn text_is_counted_in_tokens_and_in_contexts_side_by_side() {
        let folder = text_folder();
        let settings =
            settings("data = { kind = 'text', files = ['*.txt'] }\nmodel = { kind = 'gpt', context = 8 }");
        let facts = inspect(&settings, folder.path()).unwrap();
        assert_eq!(facts.examples_per_epoch, 90 / 8);
        assert_eq!(facts.fingerprints.len(), 1);
        assert_eq!(facts.fingerprints[0].path, "a.txt");
        let Learned::Text { training_tokens, validation_tokens, vocabulary, .. } = facts.learned else {
            panic!("not text");
        };
        assert_eq!((training_tokens, validation_tokens, vocabulary.len()), (90, 10, 10));
    }

    #[test]
    fn a_context_longer_than_the_text_and_a_prompt_outside_of_it_are_refused() {
        let folder = text_folder();
        let data = "data = { kind = 'text', files = ['a.txt'] }\n";
        let long = settings(&format!("{data}model = {{ kind = 'gpt', context = 10 }}"));
        let error = inspect(&long, folder.path()).unwrap_err().to_string();
        assert!(error.contains("the validation part of the text is 10 tokens long"), "{error}");
        let prompt = "model = { kind = 'gpt', context = 4 }\nsample = { prompts = ['abc', 'abz'] }";
        let error = inspect(&settings(&format!("{data}{prompt}")), folder.path()).unwrap_err().to_string();
        assert!(error.starts_with("sample.prompts: character 'z' at position 2 of \"abz\""), "{error}");
    }

    #[test]
    fn shapes_need_no_file_and_a_net_that_halves_them_away_is_refused() {
        let shapes = "data = { kind = 'shapes', count = 100, classes = 5, size = 8 }\n";
        let fits = settings(&format!("{shapes}model = {{ kind = 'cnn', channels = [4, 4, 4] }}"));
        let facts = inspect(&fits, Path::new("/nowhere")).unwrap();
        assert_eq!(facts.examples_per_epoch, 90);
        let deep = settings(&format!("{shapes}model = {{ kind = 'cnn', channels = [4, 4, 4, 4] }}"));
        let error = inspect(&deep, Path::new("/nowhere")).unwrap_err();
        assert!(matches!(error, DataError::TooManyHalvings { stages: 4, .. }), "{error}");
    }
}
