//! How far a thread is that looks at a run's data, for the loop that does not wait for it: where it is, and
//! when it last came further.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::say;

/// The thread notes its signs of life here, and the loop reads them.
#[derive(Clone, Debug)]
pub struct Looking {
    /// Without a sign for so long the data do not answer.
    patience: Duration,
    sign: Arc<Mutex<Sign>>,
}

#[derive(Clone, Debug)]
struct Sign {
    path: PathBuf,
    time: Instant,
}

impl Looking {
    pub fn begin(patience: Duration, path: &Path, now: Instant) -> Looking {
        let sign = Sign { path: path.to_owned(), time: now };
        Looking { patience, sign: Arc::new(Mutex::new(sign)) }
    }

    /// It is at this file now.
    pub fn at(&self, path: &Path) {
        let mut sign = self.sign();
        sign.time = Instant::now();
        if sign.path != path {
            path.clone_into(&mut sign.path);
        }
    }

    /// It waits for what another finds out, and is where that one is.
    pub fn follow(&self, other: &Looking) {
        let theirs = other.sign().clone();
        *self.sign() = theirs;
    }

    /// Whether both are the same thread's.
    pub fn is(&self, other: &Looking) -> bool {
        Arc::ptr_eq(&self.sign, &other.sign)
    }

    /// What has not answered for long, and for how long, as a sentence.
    pub fn unanswered(&self, now: Instant) -> Option<String> {
        let Sign { path, time } = self.sign().clone();
        let silent = now.saturating_duration_since(time);
        // By the minute: it is read again and again.
        let shown =
            if silent < Duration::from_secs(60) { silent.as_secs() } else { silent.as_secs() / 60 * 60 };
        (silent >= self.patience).then(|| {
            format!("its data have not answered for {}: {}", say::duration(shown as f64), path.display())
        })
    }

    fn sign(&self) -> MutexGuard<'_, Sign> {
        self.sign.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_that_do_not_answer_are_named_with_how_long_they_have_not() {
        let begun = Instant::now();
        let looking = Looking::begin(Duration::from_secs(120), Path::new("/mnt/a.txt"), begun);
        let after = |seconds| looking.unanswered(begun + Duration::from_secs(seconds));
        assert_eq!(after(119), None);
        assert_eq!(after(179).as_deref(), Some("its data have not answered for 2 min: /mnt/a.txt"));
        assert_eq!(after(800).as_deref(), Some("its data have not answered for 13 min: /mnt/a.txt"));
        looking.at(Path::new("/mnt/b.txt"));
        assert_eq!(after(119), None, "it has come further");
        let other = Looking::begin(Duration::from_secs(5), Path::new("/mnt/c.txt"), begun);
        looking.follow(&other);
        assert!(after(120).unwrap().ends_with("/mnt/c.txt"));
        assert!(looking.is(&looking.clone()) && !looking.is(&other));
    }
}
