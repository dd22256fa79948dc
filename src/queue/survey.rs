//! What the data of an experiment's runs gives, looked at once for all runs that share it, and the
//! setting that each complaint about data belongs to.

use std::path::PathBuf;

use crate::data_files::{self, DataError, DataFacts};
use crate::experiment::Problem;
use crate::experiment::settings::{Data, Model, Settings};

/// Looks at the data of runs, at each data set once.
pub struct Surveyor {
    base: PathBuf,
    known: Vec<(Looked, Result<DataFacts, Problem>)>,
}

/// The settings that what is found in the data depends on.
#[derive(PartialEq)]
struct Looked {
    data: Data,
    model: Model,
    prompts: Vec<String>,
}

impl Surveyor {
    /// `base` is the folder of the experiment file.
    pub fn new(base: PathBuf) -> Surveyor {
        Surveyor { base, known: Vec::new() }
    }

    /// What the data of a run with these settings gives.
    ///
    /// # Errors
    /// Data that is missing, damaged or too little for the settings, by the setting that names it.
    pub fn survey(&mut self, settings: &Settings) -> Result<DataFacts, Problem> {
        let looked = Looked {
            data: settings.data.clone(),
            model: settings.model.clone(),
            prompts: settings.sample.prompts.clone(),
        };
        if let Some((_, found)) = self.known.iter().find(|(known, _)| *known == looked) {
            return found.clone();
        }
        let found = data_files::inspect(settings, &self.base).map_err(|error| problem(settings, &error));
        self.known.push((looked, found.clone()));
        found
    }
}

/// The error at the setting it belongs to. Its own sentence holds the way out.
fn problem(settings: &Settings, error: &DataError) -> Problem {
    let files = match settings.data {
        Data::Text(_) => "data.files",
        Data::Idx(_) => "data.images",
        Data::Folder(_) => "data.path",
        Data::Shapes(_) => "data",
    };
    let path = match error {
        DataError::TooShort { .. } => "model.context".to_owned(),
        DataError::EmptySplit { .. } => "data.validation".to_owned(),
        DataError::Prompt(_) => "sample.prompts".to_owned(),
        DataError::TooManyHalvings { .. } => "model.channels".to_owned(),
        DataError::BadSetting { setting, .. } => format!("data.{setting}"),
        other => setting_that_names(settings, other).unwrap_or(files).to_owned(),
    };
    Problem::new(path, error.to_string(), "")
}

/// The setting whose file the error names.
fn setting_that_names(settings: &Settings, error: &DataError) -> Option<&'static str> {
    let text = error.to_string();
    let names = |value: &str| text.split([':', ' ']).next().is_some_and(|path| path.ends_with(value));
    match &settings.data {
        Data::Idx(idx) => {
            let files = [
                ("data.labels", Some(&idx.labels)),
                ("data.validation_images", idx.validation_images.as_ref()),
                ("data.validation_labels", idx.validation_labels.as_ref()),
            ];
            files
                .into_iter()
                .find(|(_, file)| file.is_some_and(|file| names(file)))
                .map(|(setting, _)| setting)
        }
        Data::Folder(folder) => {
            folder.validation_path.as_ref().filter(|path| names(path)).map(|_| "data.validation_path")
        }
        Data::Text(_) | Data::Shapes(_) => None,
    }
}
