//! Processes that hold a lock whose file was removed under them, by hand or by a program that tidies up. The
//! name is free for the next one then, and two would do one's work; the kernel still knows what they have open.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

/// A process of this machine that has open what lay at `path` before it was removed. One of another user, or
/// of another container, is not seen. Looks at every open file there is: for rare cases.
pub fn holder(path: &Path) -> Option<u32> {
    let mut removed: OsString = fs::canonicalize(path.parent()?).ok()?.join(path.file_name()?).into();
    removed.push(" (deleted)");
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    numbers.find(|process| {
        let files = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
        files.into_iter().any(|file| fs::read_link(file.path()).is_ok_and(|open| *open == *removed))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_a_removed_file_open_is_found_until_it_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alive.lock");
        let open = fs::File::create(&path).unwrap();
        assert_eq!(holder(&path), None, "it is there");
        fs::remove_file(&path).unwrap();
        fs::write(&path, "another").unwrap();
        // Or a child that another test starts at this moment, with a copy of it.
        assert!(holder(&path).is_some());
        drop(open);
        assert_ne!(holder(&path), Some(std::process::id()));
    }
}
