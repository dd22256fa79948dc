//! IDX, the format MNIST is published in: two zero bytes, a type, a number of dimensions, each
//! dimension as a big-endian number of four bytes, then the values.

use super::DataError;
use crate::run_dir::read;
use flate2::read::MultiGzDecoder;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::Path;

/// The only type MNIST and its relatives use.
const UNSIGNED_BYTE: u8 = 0x08;

/// Gray images of an IDX file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdxImages {
    pub images: usize,
    pub height: usize,
    pub width: usize,
    /// `images` x `height` x `width` values, 0 to 255.
    pub pixels: Vec<u8>,
}

/// Reads images (three dimensions of unsigned bytes), gzipped or not, whatever the file's name.
///
/// # Errors
///
/// Another kind of file, one cut short, one longer than its header says, one without an image.
pub fn read_idx_images(path: &Path) -> Result<IdxImages, DataError> {
    let ([images, height, width], pixels) = read_idx(path, "images (three dimensions)")?;
    Ok(IdxImages { images, height, width, pixels })
}

/// Reads labels (one dimension of unsigned bytes), gzipped or not.
///
/// # Errors
///
/// As [`read_idx_images`].
pub fn read_idx_labels(path: &Path) -> Result<Vec<u8>, DataError> {
    let ([_], labels) = read_idx(path, "labels (one dimension)")?;
    Ok(labels)
}

fn read_idx<const DIMENSIONS: usize>(
    path: &Path,
    expected: &'static str,
) -> Result<([usize; DIMENSIONS], Vec<u8>), DataError> {
    let mut source = open(path)?;
    let not_idx = |found: String| DataError::NotIdx { path: path.to_owned(), expected, found };
    let cut_header = |error: std::io::Error| match error.kind() {
        ErrorKind::UnexpectedEof => not_idx("it ends within its header".to_owned()),
        _ => DataError::read(path, error),
    };
    let mut magic = [0; 4];
    source.read_exact(&mut magic).map_err(cut_header)?;
    if magic != [0, 0, UNSIGNED_BYTE, DIMENSIONS as u8] {
        let wanted = format!("00 00 08 {DIMENSIONS:02x}");
        let [a, b, c, d] = magic;
        return Err(not_idx(format!("it begins with {a:02x} {b:02x} {c:02x} {d:02x} instead of {wanted}")));
    }
    let mut sizes = [0; DIMENSIONS];
    for size in &mut sizes {
        let mut number = [0; 4];
        source.read_exact(&mut number).map_err(cut_header)?;
        *size = u32::from_be_bytes(number) as usize;
    }
    let promised = sizes
        .iter()
        .try_fold(1_u64, |product, &size| product.checked_mul(size as u64))
        .ok_or_else(|| not_idx(format!("its dimensions are {sizes:?}")))?;
    if promised == 0 {
        return Err(DataError::Empty { path: path.to_owned() });
    }
    // Nothing is set aside for what the header promises: a broken one may promise terabytes.
    let mut values = Vec::new();
    let read = source.by_ref().take(promised).read_to_end(&mut values);
    match read {
        // A gzip stream that ends too early is a file cut short, too.
        Err(error) if error.kind() != ErrorKind::UnexpectedEof => {
            return Err(DataError::read(path, error));
        }
        _ if (values.len() as u64) < promised => {
            return Err(DataError::IdxCutShort {
                path: path.to_owned(),
                promised,
                found: values.len() as u64,
            });
        }
        _ => {}
    }
    let more = source.read(&mut [0]).map_err(|e| DataError::read(path, e))?;
    if more > 0 {
        return Err(DataError::IdxTooLong { path: path.to_owned(), promised });
    }
    Ok((sizes, values))
}

/// The file's content, unpacked when it begins as gzip does.
fn open(path: &Path) -> Result<Box<dyn Read>, DataError> {
    let file = read::open(path).map_err(|error| DataError::read(path, error))?;
    let mut file = BufReader::with_capacity(1 << 16, file);
    let start = file.fill_buf().map_err(|error| DataError::read(path, error))?;
    Ok(if start.starts_with(&[0x1f, 0x8b]) { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;
    use std::path::PathBuf;

    fn file(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, content).unwrap();
        (folder, path)
    }

    fn gzipped(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    /// Two images of two rows and three columns.
    fn two_images() -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3];
        bytes.extend(0..12);
        bytes
    }

    #[test]
    fn images_are_read_gzipped_or_not() {
        for content in [two_images(), gzipped(&two_images())] {
            let (_folder, path) = file(&content);
            let found = read_idx_images(&path).unwrap();
            assert_eq!((found.images, found.height, found.width), (2, 2, 3));
            assert_eq!(found.pixels, (0..12).collect::<Vec<u8>>());
        }
    }

    #[test]
    fn labels_are_read() {
        let (_folder, path) = file(&[0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]);
        assert_eq!(read_idx_labels(&path).unwrap(), [7, 2, 1]);
    }

    #[test]
    fn labels_in_place_of_images_are_refused_with_the_bytes_that_tell() {
        let (_folder, path) = file(&[0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]);
        let error = read_idx_images(&path).unwrap_err().to_string();
        assert!(error.contains("it begins with 00 00 08 01 instead of 00 00 08 03"), "{error}");
        let (_folder, path) = file(b"hello, this is text");
        assert!(matches!(read_idx_labels(&path), Err(DataError::NotIdx { .. })));
        let (_folder, path) = file(b"\0\0");
        let error = read_idx_labels(&path).unwrap_err().to_string();
        assert!(error.contains("ends within its header"), "{error}");
    }

    #[test]
    fn a_file_cut_short_is_refused_with_both_sizes() {
        let whole = two_images();
        let (_folder, path) = file(&whole[..whole.len() - 5]);
        let error = read_idx_images(&path).unwrap_err().to_string();
        assert!(error.contains("promises 12 bytes of data, 7 are there"), "{error}");
        let packed = gzipped(&whole);
        let (_folder, path) = file(&packed[..packed.len() - 12]);
        let error = read_idx_images(&path).unwrap_err();
        assert!(matches!(error, DataError::IdxCutShort { .. }), "{error}");
    }

    #[test]
    fn a_header_that_promises_terabytes_sets_no_memory_aside() {
        let (_folder, path) = file(&[0, 0, 8, 3, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 255, 255, 1]);
        let error = read_idx_images(&path).unwrap_err();
        assert!(matches!(error, DataError::IdxCutShort { found: 1, .. }));
        let (_folder, path) = file(&[&[0, 0, 8, 3][..], &[255; 12]].concat());
        assert!(read_idx_images(&path).is_err());
    }

    #[test]
    fn a_file_longer_than_its_header_says_is_refused() {
        let (_folder, path) = file(&[two_images(), vec![1]].concat());
        let error = read_idx_images(&path).unwrap_err();
        assert!(matches!(error, DataError::IdxTooLong { .. }), "{error}");
    }
}
