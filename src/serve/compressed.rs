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
        }
    }
}
