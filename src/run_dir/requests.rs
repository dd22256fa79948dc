//! Appending requests: the one thing in a run directory that several write, under a lock on the file.

use std::collections::BTreeSet;
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
    ask_by_key(run, who, None, ask)
}

/// The same with the key by which it is known again.
///
/// # Errors
/// The file cannot be written.
pub fn ask_by_key(run: &RunDir, who: String, key: Option<String>, ask: Ask) -> io::Result<()> {
    let attempts: Vec<Attempt> = read::lines(&run.attempts()).map(|lines| lines.records).unwrap_or_default();
    let attempt = Some(last_start(&attempts).map_or(0, |start| start.attempt));
    append(&run.requests(), &Request { time: scan::now(), who, attempt, key, ask })?;
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

/// The tags of a run whose file gives it these, each once.
pub fn tags(own: &[String], requests: &[Request]) -> Vec<String> {
    let mut tags: Vec<String> = Vec::new();
    let mut has = |tag: &String, is_there: bool| match (is_there, tags.contains(tag)) {
        (true, false) => tags.push(tag.clone()),
        (false, true) => tags.retain(|known| known != tag),
        _ => {}
    };
    own.iter().for_each(|tag| has(tag, true));
    for request in requests {
        if let Ask::Tag { tag, remove } = &request.ask {
            has(tag, !remove);
        }
    }
    tags
}

/// The notes that were added and not taken away since, with who added each and when.
pub fn notes(requests: &[Request]) -> impl Iterator<Item = (&Request, &str)> {
    let all = requests.iter().filter_map(|request| match &request.ask {
        Ask::Note { text } => Some((request, text.as_str())),
        _ => None,
    });
    let notes: Vec<(&Request, &str)> = all.collect();
    let begin = notes.iter().rposition(|(_, text)| text.trim().is_empty()).map_or(0, |cleared| cleared + 1);
    notes.into_iter().skip(begin)
}

/// Leaves out the notes and tags that were taken away later.
pub fn drop_overtaken(requests: &mut Vec<Request>) {
    let (mut cleared, mut removed) = (false, BTreeSet::new());
    let mut stands: Vec<bool> = requests
        .iter()
        .rev()
        .map(|request| match &request.ask {
            Ask::Note { text } => {
                let stands = !cleared && !text.trim().is_empty();
                cleared |= text.trim().is_empty();
                stands
            }
            Ask::Tag { tag, remove: true } => removed.insert(tag.clone()),
            Ask::Tag { tag, .. } => !removed.contains(tag),
            _ => true,
        })
        .collect();
    requests.retain(|_| stands.pop().unwrap_or(true));
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

    #[test]
    fn what_was_taken_away_is_gone_and_what_was_added_since_is_there() {
        let tag = |tag: &str, remove| Ask::Tag { tag: tag.to_owned(), remove };
        let note = |text: &str| Ask::Note { text: text.to_owned() };
        let asks = [
            tag("a", false),
            note("one"),
            tag("b", false),
            tag("own", true),
            tag("a", true),
            note(""),
            Ask::Pause,
            note("two"),
            tag("b", false),
            tag("c", true),
            tag("c", false),
        ];
        let request = |ask| Request { time: 0.0, who: "ada".to_owned(), attempt: None, key: None, ask };
        let mut requests: Vec<Request> = asks.into_iter().map(request).collect();
        let own = ["own".to_owned(), "other".to_owned()];
        for _ in 0..2 {
            assert_eq!(tags(&own, &requests), ["other", "b", "c"]);
            assert_eq!(notes(&requests).map(|(_, text)| text).collect::<Vec<_>>(), ["two"]);
            drop_overtaken(&mut requests);
        }
        assert_eq!(requests.len(), 8);
    }
}
