//! Whether a workspace is still where the runner found it. It may be renamed or removed under the runner, and
//! what that wrote then would begin another one at the old place.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::run_dir::Workspace;
use crate::run_dir::write::at;

/// The folder of a workspace's runs, held open. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Whereabouts {
    path: PathBuf,
    folder: Arc<File>,
}

impl Whereabouts {
    /// # Errors
    /// There is no such folder, with its path.
    pub fn of(workspace: &Workspace) -> io::Result<Whereabouts> {
        let path = workspace.runs();
        let folder = File::open(&path).map_err(|error| at(&path, error))?;
        Ok(Whereabouts { path, folder: Arc::new(folder) })
    }

    /// Whether something else, or nothing, lies where the folder was. A disk that gives no answer is none.
    pub fn are_left(&self) -> bool {
        match (fs::metadata(&self.path), self.folder.metadata()) {
            (Ok(there), Ok(ours)) => (there.dev(), there.ino()) != (ours.dev(), ours.ino()),
            (Err(error), _) => matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
            (Ok(_), Err(_)) => false,
        }
    }

    /// Where the workspace lies now, if anywhere.
    pub fn now(&self) -> Option<PathBuf> {
        use std::os::fd::AsRawFd;
        let path = fs::read_link(format!("/proc/self/fd/{}", self.folder.as_raw_fd())).ok()?;
        let workspace = path.parent()?.to_owned();
        let is_there = |path: &PathBuf| fs::metadata(path).is_ok_and(|there| there.is_dir());
        (path.file_name()? == "runs" && is_there(&path)).then_some(workspace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workspace_that_is_renamed_replaced_or_removed_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        fs::create_dir_all(old.join("runs")).unwrap();
        let whereabouts = Whereabouts::of(&Workspace::new(&old)).unwrap();
        assert!(!whereabouts.are_left());
        fs::rename(&old, &new).unwrap();
        assert!(whereabouts.are_left());
        assert_eq!(whereabouts.now(), Some(fs::canonicalize(&new).unwrap()));
        fs::create_dir_all(old.join("runs")).unwrap();
        assert!(whereabouts.are_left(), "another lies there");
        fs::remove_dir_all(&old).unwrap();
        fs::rename(&new, &old).unwrap();
        assert!(!whereabouts.are_left(), "it is back");
        fs::remove_dir_all(&old).unwrap();
        assert!(whereabouts.are_left());
        assert_eq!(whereabouts.now(), None);
    }
}
