//! The run's log on its page: its end in the page itself, the rest beside it, as text for everybody and
//! as a script for the search, because a page opened as a file can read no other file.

use super::super::files::RunFiles;
use super::super::model::LogBlock;
use super::super::say;
use crate::run_dir::{RunDir, read};

/// Bytes of a log that lie beside its page; of longer ones the end.
const MOST_BYTES: u64 = 2 << 20;

/// None of a run that said nothing.
pub fn block(files: &RunFiles) -> Option<LogBlock> {
    if files.log.is_empty() {
        return None;
    }
    let left_out = files.log_bytes.saturating_sub(MOST_BYTES);
    Some(LogBlock {
        tail: files.log.replace('\0', "␀"),
        has_more: has_more(files),
        bytes: files.log_bytes,
        size: say::bytes(files.log_bytes.min(MOST_BYTES)),
        left_out: if left_out > 0 { say::bytes(left_out) } else { String::new() },
    })
}

/// Whether the log is longer than what the page shows of it; a last line may end without a newline.
pub fn has_more(files: &RunFiles) -> bool {
    files.log_bytes > files.log.len() as u64 + 1
}

/// What lies beside the page: the names and bytes of its files.
pub fn beside(dir: &RunDir) -> [(&'static str, Vec<u8>); 2] {
    let text = read::tail(&dir.train_log(), MOST_BYTES);
    let json = serde_json::to_string(&text.replace('\0', "␀")).unwrap_or_else(|_| "\"\"".to_owned());
    [("log.js", format!("overnight.hearLog({json});\n").into_bytes()), ("log.txt", text.into_bytes())]
}
