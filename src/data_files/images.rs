//! The images of an experiment, whatever they come from, in training and validation.

use super::{
    ClassFolder, ClassFolderImages, DataError, Ended, IdxImages, SHAPE_NAMES, draw_shapes, read_idx_images,
    read_idx_labels, split_by_class, split_by_position,
};
use crate::experiment::settings::{Folder, Idx, Shapes};
use std::path::Path;

/// What part validates where the settings say nothing.
pub(super) const VALIDATION: f64 = 0.1;
/// Shapes are the same in every run: seeds are compared on the same data.
const SHAPES_SEED: u64 = 1;

/// Pixels of one split of an image data set, with the label of each image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabeledImages {
    pub images: usize,
    pub channels: usize,
    pub height: usize,
    pub width: usize,
    /// `images` x `channels` x `height` x `width` values, 0 to 255, rows from the top.
    pub pixels: Vec<u8>,
    /// One class number for each image.
    pub labels: Vec<u16>,
}

/// Both splits of an image data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSplits {
    pub training: LabeledImages,
    pub validation: LabeledImages,
    /// Names of the classes, by number.
    pub classes: Vec<String>,
}

impl ImageSplits {
    /// Reads MNIST's format. Validation is the files named for it, or the end of the training images.
    ///
    /// # Errors
    ///
    /// A file that is missing, damaged or of another kind; images and labels that do not belong together.
    pub fn from_idx(settings: &Idx, base: &Path) -> Result<Self, DataError> {
        let all = idx_pair(&base.join(&settings.images), &base.join(&settings.labels))?;
        let (training, validation) = match (&settings.validation_images, &settings.validation_labels) {
            (Some(images), Some(labels)) => {
                let validation = idx_pair(&base.join(images), &base.join(labels))?;
                let size = |of: &LabeledImages| (of.width, of.height);
                if size(&all) != size(&validation) {
                    return Err(DataError::SizesDiffer {
                        first: base.join(&settings.images),
                        first_size: size(&all),
                        second: base.join(images),
                        second_size: size(&validation),
                    });
                }
                (all, validation)
            }
            _ => {
                let training = split_by_position(all.images, settings.validation.unwrap_or(VALIDATION))?;
                let numbers: Vec<u32> = (0..all.images as u32).collect();
                (all.pick(&numbers[..training]), all.pick(&numbers[training..]))
            }
        };
        let largest = training.labels.iter().chain(&validation.labels).max().copied().unwrap_or(0);
        // A data set of one class is nothing to learn, but a head of one unit is well defined.
        let classes = (0..=largest.max(1)).map(|number| number.to_string()).collect();
        Ok(Self { training, validation, classes })
    }

    /// Reads and scales the images of class folders.
    ///
    /// # Errors
    ///
    /// What [`ClassFolder`] finds wrong, and a split that leaves nothing; the end that `ended` asks for.
    pub fn from_folder(settings: &Folder, base: &Path, ended: &Ended) -> Result<Self, DataError> {
        let wanted = ClassFolderImages { size: settings.size as usize, channels: settings.channels as usize };
        let folder = ClassFolder::list(&base.join(&settings.path))?;
        let all = folder.read(wanted, ended)?;
        let (training, validation) = match &settings.validation_path {
            Some(path) => {
                let validation = ClassFolder::list_like(&base.join(path), &folder)?;
                (all, validation.read(wanted, ended)?)
            }
            None => all.split_by_class(settings.validation.unwrap_or(VALIDATION))?,
        };
        Ok(Self { training, validation, classes: folder.classes })
    }

    /// Draws shapes; a tenth of each class validates.
    ///
    /// # Errors
    ///
    /// Settings outside of their ranges.
    pub fn from_shapes(settings: &Shapes) -> Result<Self, DataError> {
        let (count, classes) = (settings.count as usize, settings.classes as usize);
        let all = draw_shapes(count, classes, settings.size as usize, SHAPES_SEED)?;
        let (training, validation) = all.split_by_class(VALIDATION)?;
        let classes = SHAPE_NAMES[..classes].iter().map(|&name| name.to_owned()).collect();
        Ok(Self { training, validation, classes })
    }
}

impl LabeledImages {
    fn split_by_class(&self, fraction: f64) -> Result<(Self, Self), DataError> {
        let split = split_by_class(&self.labels, fraction)?;
        Ok((self.pick(&split.training), self.pick(&split.validation)))
    }

    fn pick(&self, numbers: &[u32]) -> Self {
        let size = self.channels * self.height * self.width;
        let mut pixels = Vec::with_capacity(numbers.len() * size);
        for &number in numbers {
            let start = number as usize * size;
            pixels.extend_from_slice(&self.pixels[start..start + size]);
        }
        let labels = numbers.iter().map(|&number| self.labels[number as usize]).collect();
        Self { images: numbers.len(), pixels, labels, ..*self }
    }
}

fn idx_pair(images_path: &Path, labels_path: &Path) -> Result<LabeledImages, DataError> {
    let IdxImages { images, height, width, pixels } = read_idx_images(images_path)?;
    let labels = read_idx_labels(labels_path)?;
    if images != labels.len() {
        return Err(DataError::CountsDiffer {
            images_path: images_path.to_owned(),
            images,
            labels_path: labels_path.to_owned(),
            labels: labels.len(),
        });
    }
    let labels = labels.into_iter().map(u16::from).collect();
    Ok(LabeledImages { images, channels: 1, height, width, pixels, labels })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// `count` images of 2x2 pixels, image `i` of value `i` and class `i % classes`.
    fn write_idx(folder: &Path, name: &str, count: u8, classes: u8) -> (String, String) {
        let mut images = vec![0, 0, 8, 3, 0, 0, 0, count, 0, 0, 0, 2, 0, 0, 0, 2];
        images.extend((0..count).flat_map(|image| [image; 4]));
        let mut labels = vec![0, 0, 8, 1, 0, 0, 0, count];
        labels.extend((0..count).map(|image| image % classes));
        let (images_name, labels_name) = (format!("{name}-images"), format!("{name}-labels"));
        fs::write(folder.join(&images_name), images).unwrap();
        fs::write(folder.join(&labels_name), labels).unwrap();
        (images_name, labels_name)
    }

    #[test]
    fn the_end_of_the_training_images_validates_where_no_files_do() {
        let folder = tempfile::tempdir().unwrap();
        let (images, labels) = write_idx(folder.path(), "all", 10, 3);
        let settings = Idx { images, labels, validation: Some(0.2), ..Idx::default() };
        let splits = ImageSplits::from_idx(&settings, folder.path()).unwrap();
        assert_eq!((splits.training.images, splits.validation.images), (8, 2));
        assert_eq!(splits.validation.pixels, [8, 8, 8, 8, 9, 9, 9, 9]);
        assert_eq!(splits.validation.labels, [2, 0]);
        assert_eq!(splits.classes, ["0", "1", "2"]);
    }

    #[test]
    fn files_for_validation_are_used_as_they_are_and_count_for_the_classes() {
        let folder = tempfile::tempdir().unwrap();
        let (images, labels) = write_idx(folder.path(), "train", 6, 3);
        let (test_images, test_labels) = write_idx(folder.path(), "test", 5, 5);
        let settings = Idx {
            images,
            labels,
            validation_images: Some(test_images),
            validation_labels: Some(test_labels),
            validation: None,
        };
        let splits = ImageSplits::from_idx(&settings, folder.path()).unwrap();
        assert_eq!((splits.training.images, splits.validation.images), (6, 5));
        assert_eq!(splits.classes.len(), 5);
    }

    #[test]
    fn images_and_labels_that_do_not_belong_together_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let (images, _) = write_idx(folder.path(), "a", 6, 3);
        let (_, labels) = write_idx(folder.path(), "b", 5, 3);
        let settings = Idx { images, labels, ..Idx::default() };
        let error = ImageSplits::from_idx(&settings, folder.path()).unwrap_err().to_string();
        assert!(error.contains("b-labels holds 5 labels, but "), "{error}");
        assert!(error.contains("a-images holds 6 images"), "{error}");
    }

    #[test]
    fn shapes_are_split_so_that_every_class_validates() {
        let settings = Shapes { count: 40, classes: 4, size: 8 };
        let splits = ImageSplits::from_shapes(&settings).unwrap();
        assert_eq!(splits.training.images, 36);
        let mut validated = splits.validation.labels.clone();
        validated.sort_unstable();
        assert_eq!(validated, [0, 1, 2, 3]);
        assert_eq!(splits.classes, ["circle", "square", "triangle", "cross"]);
    }
}
