//! What can be learned: data, model and measures together, as the trainer wants them.

mod image_classification;
mod language_model;
mod prediction_sheet;

use crate::task::{Task, TaskError};
use image_classification::ImageClassification;
use language_model::LanguageModel;
use overnight::data_files::{DataError, Vocabulary};
use overnight::experiment::settings;
use overnight::run_dir::records::{ModelRecord, RunRecord};
use overnight::run_dir::{RunDir, read};
use tch::Device;

/// The task of the run at `dir`, its model at weights that libtorch's default generator draws, both on
/// `device`. A language model that begins with the weights of another has the vocabulary of that one; a
/// probe may come before they are taken, and then makes do with that of its text.
///
/// # Errors
///
/// Data that cannot be used, a model that does not fit it, a device that has no memory left.
pub fn build(record: &RunRecord, dir: &RunDir, device: Device) -> Result<Box<dyn Task>, TaskError> {
    let base = &dir.workspace().root().join(&record.base);
    let settings = &with_taken_text(&record.settings, dir);
    Ok(match record.settings.task() {
        settings::Task::LanguageModel => {
            Box::new(LanguageModel::new(settings, base, vocabulary(dir)?, device)?)
        }
        settings::Task::ImageClassification => Box::new(ImageClassification::new(settings, base, device)?),
    })
}

/// The settings with the places at which text of other runs lies by now.
fn with_taken_text(settings: &settings::Settings, dir: &RunDir) -> settings::Settings {
    let mut settings = settings.clone();
    if let settings::Data::Text(text) = &mut settings.data {
        let places: Vec<usize> = text.taken().map(|(place, ..)| place).collect();
        for place in places {
            text.files[place] = dir.taken_text(place).to_string_lossy().into_owned();
        }
    }
    settings
}

/// The vocabulary that came with the weights of another run.
fn vocabulary(dir: &RunDir) -> Result<Option<Vocabulary>, TaskError> {
    let path = dir.taken_model_json();
    let taken =
        read::json_if_there::<ModelRecord>(&path).map_err(|error| TaskError::Data(error.to_string()))?;
    let Some(names) = taken.and_then(|model| model.vocabulary) else { return Ok(None) };
    let none = || TaskError::Data(format!("{}: its vocabulary is none of ours", path.display()));
    Vocabulary::of_names(&names).ok_or_else(none).map(Some)
}

impl From<DataError> for TaskError {
    fn from(error: DataError) -> Self {
        match error {
            DataError::AskedToEnd => TaskError::AskedToEnd,
            error => TaskError::Data(error.to_string()),
        }
    }
}
