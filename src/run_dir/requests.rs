//! Appending requests: the one thing in a run directory that several write, under a lock on the file.

use std::io;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::records::{Ask, Attempt, Request};
use super::status::last_start;
use super::write;
use super::{RunDir, lock, read, scan};

/// Appends what `who` asks of a run: a person, or as `alert: RULE` a rule.
///
/// # Errors
/// The file cannot be written.
pub fn ask(run: &RunDir, who: String, ask: Ask) -> io::Result<()> {
    let attempts: Vec<Attempt> = read::lines(&run.attempts()).map(|lines| lines.records).unwrap_or_default();
    let attempt = Some(last_start(&attempts).map_or(0, |start| start.attempt));
    append(&run.requests(), &Request { time: scan::now(), who, attempt, ask })?;
    scan::announce(run);
    Ok(())
}

/// Appends a line under the lock that all writers of the file share.
///
/// # Errors
/// The file cannot be written, or somebody keeps it locked.
pub fn append<T: Serialize>(path: &Path, request: &T) -> io::Result<()> {
    append_within(path, request, LIMIT)
}

/// A line is written in moments, by a disk that sleeps in seconds.
const LIMIT: Duration = Duration::from_secs(10);

fn append_within<T: Serialize>(path: &Path, request: &T, limit: Duration) -> io::Result<()> {
    let mut file = lock::wait_lock_within(path, limit)?;
    write::append_line_to(&mut file, request)
        .and_then(|()| file.sync_data())
        .map_err(|error| write::at(path, error))?;
    // The file's own name too: this may have been its first line.
    write::sync_folder(path.parent().unwrap_or(Path::new(".")))
}

/// What a rule is called among those who ask.
pub fn who(rule: &str) -> String {
    format!("{RULE}{rule}")
}

/// The rule that asked, if it was one.
pub fn rule(who: &str) -> Option<&str> {
    who.strip_prefix(RULE)
}

/// Who let the run pause or stop, where it was a rule that asked last: `alert: RULE`.
pub fn ended_by_rule(requests: &[Request]) -> Option<&str> {
    let last = requests
        .iter()
        .rev()
        .find(|request| matches!(request.ask, Ask::Pause | Ask::Resume | Ask::Stop | Ask::Retry { .. }))?;
    let is_end = matches!(last.ask, Ask::Pause | Ask::Stop);
    Some(last.who.as_str()).filter(|who| is_end && rule(who).is_some())
}

const RULE: &str = "alert: ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_a_stopped_process_keeps_holds_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("requests.jsonl");
        append(&path, &1).unwrap();
        let held = lock::wait_lock(&path).unwrap();
        let error = append_within(&path, &2, Duration::ZERO).unwrap_err().to_string();
        assert!(error.contains("requests.jsonl: another process keeps it locked"), "{error}");
        drop(held);
        lock::wait_until_free(&path);
        append(&path, &3).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1\n3\n");
    }
}
