//! Compressed forms of text files, kept while they are current, so that many viewers of one page
//! cost one compression.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use flate2::Compression;
use flate2::read::GzEncoder;

/// Below this the header of the compressed form eats the gain.
const LEAST_BYTES: u64 = 512;
/// Above this compressing takes longer than sending on a local line.
const MOST_BYTES: u64 = 8 << 20;
/// Of all kept forms together.
const KEPT_BYTES: usize = 32 << 20;

#[derive(Default)]
pub(super) struct Compressed {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    forms: HashMap<PathBuf, (String, Arc<[u8]>)>,
    bytes: usize,
}

impl Compressed {
    /// The compressed form of `file`, whose version is `tag`; nothing if it is better sent as is.
    pub fn body(
        &self,
        path: &Path,
        tag: &str,
        file: &mut File,
        length: u64,
    ) -> io::Result<Option<Arc<[u8]>>> {
        if !(LEAST_BYTES..=MOST_BYTES).contains(&length) {
            return Ok(None);
        }
        if let Some((version, bytes)) = self.lock().forms.get(path)
            && version == tag
        {
            return Ok(Some(bytes.clone()));
        }
        // Not under the lock: another page need not wait for this one.
        let mut bytes = Vec::new();
        GzEncoder::new(file.take(length), Compression::new(5)).read_to_end(&mut bytes)?;
        let bytes: Arc<[u8]> = bytes.into();
        self.lock().keep(path, tag, bytes.clone());
        Ok(Some(bytes))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn keep(&mut self, path: &Path, tag: &str, bytes: Arc<[u8]>) {
        // Starting afresh now and then is simpler than tracking use, and costs one compression.
        if self.bytes + bytes.len() > KEPT_BYTES {
            *self = Kept::default();
        }
        self.bytes += bytes.len();
        if let Some((_, old)) = self.forms.insert(path.to_owned(), (tag.to_owned(), bytes)) {
            self.bytes -= old.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_stays_below_its_limit_and_follows_the_version() {
        let mut kept = Kept::default();
        for number in 0..100 {
            let path = PathBuf::from(number.to_string());
            kept.keep(&path, "a", vec![0; 1 << 20].into());
            kept.keep(&path, "b", vec![0; 1 << 10].into());
            assert!(kept.bytes <= KEPT_BYTES);
            assert_eq!(kept.forms[&path].0, "b");
            assert_eq!(kept.bytes, kept.forms.values().map(|(_, form)| form.len()).sum::<usize>());
        }
    }

    #[test]
    fn what_does_not_fit_beside_the_others_begins_afresh() {
        let mut kept = Kept::default();
        kept.keep(Path::new("a"), "1", vec![0; KEPT_BYTES - 1].into());
        kept.keep(Path::new("b"), "1", vec![0; 1].into());
        assert_eq!((kept.forms.len(), kept.bytes), (2, KEPT_BYTES));
        kept.keep(Path::new("c"), "1", vec![0; 1].into());
        assert_eq!((kept.forms.len(), kept.bytes), (1, 1));
    }

    #[test]
    fn a_form_stands_for_its_version_alone_and_is_made_where_it_pays() {
        let compressed = Compressed::default();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("page.html");
        let body = |text: &str, tag: &str, length: u64| {
            std::fs::write(&path, text).unwrap();
            let form = compressed.body(&path, tag, &mut File::open(&path).unwrap(), length).unwrap()?;
            let mut text = String::new();
            flate2::read::GzDecoder::new(&form[..]).read_to_string(&mut text).unwrap();
            Some(text)
        };
        let (one, other) = ("a".repeat(LEAST_BYTES as usize), "b".repeat(LEAST_BYTES as usize));
        assert_eq!(body(&one, "1", LEAST_BYTES), Some(one.clone()));
        assert_eq!(body(&other, "1", LEAST_BYTES), Some(one), "it is not made again");
        assert_eq!(body(&other, "2", LEAST_BYTES), Some(other.clone()));
        for length in [0, LEAST_BYTES - 1, MOST_BYTES + 1] {
            assert_eq!(body(&other, "2", length), None, "{length}");
        }
    }
}
