//! `logs/serve.jsonl`: who changed what and when, and what was answered; never a token. One older file is
//! kept.

use std::fs;
use std::io;

use serde_json::json;

use crate::run_dir::{Workspace, requests, scan};

/// From this size on a new file is begun.
const LARGEST: u64 = 4 << 20;

/// Writes one line. Whoever calls holds the lock over changes, so lines and files keep their order.
pub(super) fn write(workspace: &Workspace, who: &str, path: &str, key: &str, status: u16) -> io::Result<()> {
    let folder = workspace.root().join("logs");
    fs::create_dir_all(&folder)?;
    let file = folder.join("serve.jsonl");
    if fs::metadata(&file).is_ok_and(|metadata| metadata.len() >= LARGEST) {
        fs::rename(&file, folder.join("serve.1.jsonl"))?;
    }
    let line = json!({ "time": scan::now(), "who": who, "path": path, "key": key, "status": status });
    requests::append(&file, &line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_journal_is_put_aside_and_a_new_one_begun() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::new(folder.path());
        write(&workspace, "web:ada", "/a", "key", 200).unwrap();
        let file = folder.path().join("logs/serve.jsonl");
        fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(LARGEST).unwrap();
        write(&workspace, "web:ada", "/b", "key", 200).unwrap();
        assert!(fs::read_to_string(&file).unwrap().contains("\"/b\""));
        assert_eq!(fs::metadata(folder.path().join("logs/serve.1.jsonl")).unwrap().len(), LARGEST);
    }
}
