//! A folder of images with one folder inside for each class.

use super::{DataError, LabeledImages, expand, read_image};
use rayon::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};

/// The classes and files of such a folder, without their pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassFolder {
    pub path: PathBuf,
    /// Names of the folders inside, sorted by bytes; a class's number is its place.
    pub classes: Vec<String>,
    /// PNG and JPEG files of all classes, class by class, sorted by path.
    pub files: Vec<PathBuf>,
    /// The class of each file.
    pub labels: Vec<u16>,
    /// Files in class folders that are neither PNG nor JPEG by their ending.
    pub left_out: usize,
}

/// Asked between two files by the threads that read them: whether to stop.
pub type Ended<'a> = dyn Fn() -> bool + Sync + 'a;

/// What size and how many channels the images shall have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassFolderImages {
    /// Width and height in pixels; images of other sizes are stretched.
    pub size: usize,
    /// 1 (gray) or 3 (color).
    pub channels: usize,
}

impl ClassFolder {
    /// Lists the folder at `path`. Names that begin with a dot are left out.
    ///
    /// # Errors
    ///
    /// No such folder, fewer than two classes, a class without an image.
    pub fn list(path: &Path) -> Result<Self, DataError> {
        let classes = class_names(path)?;
        let mut folder =
            Self { path: path.to_owned(), classes, files: Vec::new(), labels: Vec::new(), left_out: 0 };
        for (number, class) in folder.classes.iter().enumerate() {
            let inside = path.join(class);
            let all = match expand(std::slice::from_ref(class), path) {
                Err(DataError::NoMatch { .. }) => Vec::new(),
                found => found?,
            };
            let count = all.len();
            let images: Vec<_> = all.into_iter().filter(|path| is_image(path)).collect();
            if images.is_empty() {
                return Err(DataError::EmptyClass { path: inside });
            }
            folder.left_out += count - images.len();
            folder.labels.extend(images.iter().map(|_| number as u16));
            folder.files.extend(images);
        }
        Ok(folder)
    }

    /// Lists the validation folder that belongs to `training`, with that folder's class numbers. A
    /// class may be missing here, an unknown one may not.
    ///
    /// # Errors
    ///
    /// As [`ClassFolder::list`], and a class that `training` does not have.
    pub fn list_like(path: &Path, training: &ClassFolder) -> Result<Self, DataError> {
        let mut folder = Self::list(path)?;
        let number = |class: &String| {
            let found = training.classes.iter().position(|known| known == class);
            found
                .map(|number| number as u16)
                .ok_or_else(|| DataError::UnknownClass { path: path.to_owned(), class: class.clone() })
        };
        let numbers: Vec<u16> = folder.classes.iter().map(number).collect::<Result<_, _>>()?;
        for label in &mut folder.labels {
            *label = numbers[*label as usize];
        }
        folder.classes.clone_from(&training.classes);
        Ok(folder)
    }

    /// Decodes all images, on all cores, unless `ended` says between two of them that nobody wants them
    /// any more.
    ///
    /// # Errors
    ///
    /// The first file, by path, that cannot be decoded; the end that was asked for.
    pub fn read(&self, wanted: ClassFolderImages, ended: &Ended) -> Result<LabeledImages, DataError> {
        let ClassFolderImages { size, channels } = wanted;
        let read = |path: &PathBuf| {
            if ended() {
                return Err(DataError::AskedToEnd);
            }
            let image = read_image(path, channels)?;
            Ok(image.resized(size, size).planes().into_owned())
        };
        let images: Vec<Result<Vec<u8>, DataError>> = self.files.par_iter().map(read).collect();
        let mut pixels = Vec::with_capacity(images.len() * channels * size * size);
        for image in images {
            pixels.extend(image?);
        }
        Ok(LabeledImages {
            images: self.files.len(),
            channels,
            height: size,
            width: size,
            pixels,
            labels: self.labels.clone(),
        })
    }
}

fn class_names(path: &Path) -> Result<Vec<String>, DataError> {
    let no_classes = |found: String| DataError::NoClasses { path: path.to_owned(), found };
    if !path.is_dir() {
        return Err(no_classes("no such folder".to_owned()));
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(|error| DataError::read(path, error))? {
        let entry = entry.map_err(|error| DataError::read(path, error))?;
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b".") || !entry.path().is_dir() {
            continue;
        }
        let name = name
            .into_string()
            .map_err(|name| no_classes(format!("the name of folder {name:?} is not UTF-8")))?;
        names.push(name);
    }
    names.sort_unstable();
    match names.len() {
        0 => Err(no_classes("no folder inside".to_owned())),
        1 => Err(no_classes(format!("only one class, {}", names[0]))),
        2..=1000 => Ok(names),
        many => Err(no_classes(format!("{many} folders inside, 1000 classes at most"))),
    }
}

fn is_image(path: &Path) -> bool {
    path.extension()
        .is_some_and(|ending| ["png", "jpg", "jpeg"].iter().any(|known| ending.eq_ignore_ascii_case(known)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_files::{Image, encode_png};

    fn folder_with(names: &[(&str, u8)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, value) in names {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let image = Image { width: 3, height: 2, channels: 1, pixels: vec![*value; 6] };
            fs::write(path, encode_png(&image).unwrap()).unwrap();
        }
        folder
    }

    #[test]
    fn each_folder_is_a_class_and_its_images_are_stretched_to_the_wanted_size() {
        let folder = folder_with(&[("dog/b.png", 3), ("cat/z.PNG", 1), ("dog/a/c.png", 2)]);
        fs::write(folder.path().join("dog/readme.md"), "about dogs").unwrap();
        fs::write(folder.path().join("list.csv"), "").unwrap();
        let listed = ClassFolder::list(folder.path()).unwrap();
        assert_eq!(listed.classes, ["cat", "dog"]);
        assert_eq!(listed.labels, [0, 1, 1]);
        assert_eq!(listed.left_out, 1);
        let images = listed.read(ClassFolderImages { size: 2, channels: 3 }, &|| false);
        let images = images.unwrap();
        assert_eq!((images.images, images.channels, images.height), (3, 3, 2));
        let expected: Vec<u8> = [1, 2, 3].iter().flat_map(|&value| [value; 12]).collect();
        assert_eq!(images.pixels, expected);
    }

    #[test]
    fn validation_takes_the_numbers_of_the_training_classes() {
        let training = folder_with(&[("ant/1.png", 0), ("bee/1.png", 0), ("cat/1.png", 0)]);
        let training = ClassFolder::list(training.path()).unwrap();
        let validation = folder_with(&[("bee/1.png", 0), ("cat/1.png", 0)]);
        let listed = ClassFolder::list_like(validation.path(), &training).unwrap();
        assert_eq!(listed.labels, [1, 2]);
        let other = folder_with(&[("bee/1.png", 0), ("owl/1.png", 0)]);
        let error = ClassFolder::list_like(other.path(), &training).unwrap_err();
        assert!(error.to_string().contains("class owl is not among"), "{error}");
    }

    #[test]
    fn a_folder_without_classes_or_with_an_empty_one_is_refused() {
        let folder = folder_with(&[("one/1.png", 0)]);
        let error = ClassFolder::list(folder.path()).unwrap_err().to_string();
        assert!(error.contains("only one class, one"), "{error}");
        fs::create_dir(folder.path().join("two")).unwrap();
        let error = ClassFolder::list(folder.path()).unwrap_err();
        assert!(matches!(error, DataError::EmptyClass { .. }), "{error}");
        let error = ClassFolder::list(Path::new("/nowhere")).unwrap_err();
        assert!(error.to_string().contains("/nowhere: no such folder"));
    }

    #[test]
    fn reading_ends_between_two_files_when_it_is_asked_to() {
        use std::sync::atomic::{AtomicU32, Ordering};
        let names: Vec<String> =
            (0..400).map(|number| format!("{}/{number}.png", ["a", "b"][number % 2])).collect();
        let folder = folder_with(&names.iter().map(|name| (name.as_str(), 0)).collect::<Vec<_>>());
        let listed = ClassFolder::list(folder.path()).unwrap();
        let asked = AtomicU32::new(0);
        let ended = || asked.fetch_add(1, Ordering::Relaxed) >= 5;
        let read = listed.read(ClassFolderImages { size: 2, channels: 1 }, &ended);
        assert!(matches!(read, Err(DataError::AskedToEnd)), "{read:?}");
    }

    #[test]
    fn the_file_that_cannot_be_decoded_is_named() {
        let folder = folder_with(&[("a/1.png", 0), ("b/1.png", 0)]);
        let broken = folder.path().join("b/0.jpg");
        fs::write(&broken, "no picture").unwrap();
        let listed = ClassFolder::list(folder.path()).unwrap();
        let error = listed.read(ClassFolderImages { size: 2, channels: 1 }, &|| false);
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with(broken.to_str().unwrap()), "{error}");
    }
}
