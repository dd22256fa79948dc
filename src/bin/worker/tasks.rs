//! What can be learned: data, model and measures together, as the trainer wants them.

mod image_classification;
mod language_model;
mod prediction_sheet;

use crate::task::{Task, TaskError};
use image_classification::ImageClassification;
use language_model::LanguageModel;
use overnight::data_files::DataError;
use overnight::experiment::settings;
use overnight::run_dir::records::RunRecord;
use std::path::Path;
use tch::Device;

/// The task of a run, its data read from paths relative to `base`, its model at its starting weights
/// (which libtorch's default generator draws), both on `device`.
///
/// # Errors
///
/// Data that cannot be used, a model that does not fit it, a device that has no memory left.
pub fn build(record: &RunRecord, base: &Path, device: Device) -> Result<Box<dyn Task>, TaskError> {
    Ok(match record.settings.task() {
        settings::Task::LanguageModel => Box::new(LanguageModel::new(&record.settings, base, device)?),
        settings::Task::ImageClassification => {
            Box::new(ImageClassification::new(&record.settings, base, device)?)
        }
    })
}

impl From<DataError> for TaskError {
    fn from(error: DataError) -> Self {
        match error {
            DataError::AskedToEnd => TaskError::AskedToEnd,
            error => TaskError::Data(error.to_string()),
        }
    }
}
