//! What is known of data without libtorch: which files a pattern names, what they hold, and what is
//! wrong with them. `check` asks here before anything starts; the worker reads through the same
//! functions, so both see the same bytes. Nothing here draws a batch or knows a tensor.

use std::path::{Path, PathBuf};

mod class_folder;
mod expand;
mod fingerprint;
mod idx;
pub mod image;
mod images;
mod inspect;
mod named;
mod shapes;
mod split;
mod stamp;
mod text;
mod vocabulary;

pub use class_folder::{ClassFolder, ClassFolderImages, Ended};
pub use expand::expand;
pub use fingerprint::fingerprints;
pub use idx::{IdxImages, read_idx_images, read_idx_labels};
pub use image::{Image, encode_png, read_image};
pub use images::{ImageSplits, LabeledImages};
pub use inspect::{DataFacts, Learned, inspect};
pub use named::{At, files_named, unheard};
pub use shapes::{SHAPE_NAMES, draw_shapes};
pub use split::{SplitByClass, split_by_class, split_by_position};
pub use stamp::stamps;
pub use text::{Text, read_text};
pub use vocabulary::{Tokens, UnknownCharacter, Vocabulary};

/// Why data cannot be used: the thing, the place and the way out.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error("{}: no such file or folder (a path is relative to the experiment file's folder, {})", path.display(), base.display())]
    Missing { path: PathBuf, base: PathBuf },
    #[error("{pattern}: matches no file in {} (write ** for any depth of folders; names that begin with a dot are left out)", base.display())]
    NoMatch { pattern: String, base: PathBuf },
    #[error("{pattern}: not a pattern that can be read: {reason}")]
    BadPattern { pattern: String, reason: String },
    #[error("no data files are named (data.files needs at least one)")]
    NothingNamed,
    #[error("{}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{}: the file is empty (nothing can be learned from it; leave it out)", path.display())]
    Empty { path: PathBuf },
    #[error("{}: not UTF-8 at byte {offset} (convert it, for example with iconv -f LATIN1 -t UTF-8, or leave it out)", path.display())]
    NotUtf8 { path: PathBuf, offset: usize },
    #[error(
        "the {part} part of the text is {tokens} tokens long, but one example needs {needed} (context + 1): use more text, a smaller model.context, or another data.validation"
    )]
    TooShort { part: &'static str, tokens: usize, needed: usize },
    #[error(
        "data.validation = {fraction} of {items} leaves nothing for {part} (use a fraction between 0 and 1 that leaves both parts something)"
    )]
    EmptySplit { part: &'static str, fraction: f64, items: usize },
    #[error("{}: not an IDX file of {expected}: {found} (MNIST's files are named like train-images-idx3-ubyte.gz)", path.display())]
    NotIdx { path: PathBuf, expected: &'static str, found: String },
    #[error("{}: cut short: its header promises {promised} bytes of data, {found} are there (fetch it again)", path.display())]
    IdxCutShort { path: PathBuf, promised: u64, found: u64 },
    #[error("{}: longer than its header promises ({promised} bytes of data): not the file it claims to be (fetch it again)", path.display())]
    IdxTooLong { path: PathBuf, promised: u64 },
    #[error("{} holds {labels} labels, but {} holds {images} images (name the pair that belongs together)", labels_path.display(), images_path.display())]
    CountsDiffer { images_path: PathBuf, images: usize, labels_path: PathBuf, labels: usize },
    #[error("{} holds images of {}x{} pixels, {} of {}x{} (both splits must have one size)", first.display(), first_size.0, first_size.1, second.display(), second_size.0, second_size.1)]
    SizesDiffer { first: PathBuf, first_size: (usize, usize), second: PathBuf, second_size: (usize, usize) },
    #[error("{}: {found} (one folder for each class is expected, with PNG or JPEG files inside)", path.display())]
    NoClasses { path: PathBuf, found: String },
    #[error("{}: no PNG or JPEG file in this class's folder (add some, or remove the folder)", path.display())]
    EmptyClass { path: PathBuf },
    #[error("{}: class {class} is not among the training classes (the folders of both splits must have the same names)", path.display())]
    UnknownClass { path: PathBuf, class: String },
    #[error("{}: cannot be read as an image: {reason} (replace or remove the file)", path.display())]
    BadImage { path: PathBuf, reason: String },
    #[error("sample.prompts: {0}")]
    Prompt(#[from] UnknownCharacter),
    #[error(
        "model.channels has {stages} stages, each of which halves the image, but images are {width}x{height} pixels (use fewer stages)"
    )]
    TooManyHalvings { stages: usize, width: usize, height: usize },
    #[error(
        "{character:?} occurs in the text and is not in the vocabulary that comes with the weights of weights.from (leave such text out, or let both learn with data.tokenizer = \"byte\")"
    )]
    NotInVocabulary { character: char },
    #[error(
        "the weights of weights.from were learned with another data.tokenizer (write the same, and queue it with --again)"
    )]
    OtherTokenizer,
    #[error("asked to end before all images were read")]
    AskedToEnd,
    #[error("data.{setting} = {value}: {reason}")]
    BadSetting { setting: &'static str, value: String, reason: String },
}

impl DataError {
    fn read(path: &Path, source: std::io::Error) -> Self {
        Self::Read { path: path.to_owned(), source }
    }
}
