//! `logs/serve.jsonl`: who changed what and when, and what was answered; never a token. A change has two lines:
//! what is about to be made, on the disk before it is, and what became of it. Beside it
//! `logs/refused.jsonl`: who was not let through. Two files, so that nobody who is refused again and again
//! pushes out what others did. Of each one older file is kept.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::allowance::Allowances;
use super::answered::{Answer, Answered};
use super::held;
use crate::run_dir::{Workspace, lock, read, scan, write};

/// The two logs of a server.
pub(super) struct Journal {
    folder: PathBuf,
    refusals: Mutex<Refusals>,
    is_complained: AtomicBool,
}

/// How many refusals may be written, and how many were not.
#[derive(Default)]
struct Refusals {
    allowances: Allowances,
    left_out: u64,
}

/// A change that is about to be made, or what became of one.
#[derive(Serialize, Deserialize)]
pub(super) struct Line {
    pub time: f64,
    /// `web:NAME`.
    pub who: String,
    pub path: String,
    pub key: String,
    /// What was answered; none before it is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Hash of path and body, by which the same request is known again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<String>,
    /// The answer, if it is short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}

/// From this size on a new file is begun.
const LARGEST: u64 = 4 << 20;
/// Longer answers and paths are not written.
const LONGEST: usize = 4 << 10;
/// For another server to end its line.
const PATIENCE: Duration = Duration::from_secs(10);
/// What is read back of the log when a server starts.
const TAIL: u64 = 2 << 20;

impl Journal {
    pub fn new(workspace: &Workspace) -> Journal {
        Journal {
            folder: workspace.logs(),
            refusals: Mutex::default(),
            is_complained: AtomicBool::new(false),
        }
    }

    /// Writes a change. Whoever calls holds the lock over changes, so lines and files keep their order. One
    /// that is about to be made is on the disk when this returns: it is what a server that starts again goes
    /// by. What became of it is not waited for, as the workspace shows it too.
    pub fn change(&self, mut line: Line) {
        line.answer = line.answer.filter(|answer| answer.len() <= LONGEST);
        line.path = shortened(&line.path);
        self.complain(self.rotated("serve").and_then(|file| append(&file, &line)));
    }

    /// Writes that somebody was not let through. A flood of one kind is counted, not written.
    pub fn refusal(&self, who: Option<&str>, path: &str, status: u16, now: Instant) {
        let mut refusals = held(&self.refusals);
        if refusals.allowances.take(&status.to_string(), now).is_err() {
            refusals.left_out += 1;
            return;
        }
        let line = json!({
            "time": scan::now(), "who": who, "path": shortened(path), "status": status,
            "left_out": std::mem::take(&mut refusals.left_out),
        });
        // Not made sure to be on the disk: it tells of nothing that was done.
        let append = |file: PathBuf| write::open_to_append(&file)?.write_all(format!("{line}\n").as_bytes());
        self.complain(self.rotated("refused").and_then(append));
    }

    /// The keys that the log remembers.
    pub fn answered(&self) -> Answered {
        let mut answered = Answered::default();
        for name in ["serve.1.jsonl", "serve.jsonl"] {
            for line in tail(&self.folder.join(name)).unwrap_or_default().split('\n') {
                let Ok(line) = serde_json::from_str::<Line>(line) else { continue };
                let Some(name) = line.who.strip_prefix("web:") else { continue };
                let asker = (name.to_owned(), line.key);
                let asked = line.asked.and_then(|hash| blake3::Hash::from_hex(hash).ok());
                match (asked, line.status) {
                    (Some(asked), Some(status)) => {
                        answered.keep(asker, asked, Answer { status, body: line.answer });
                    }
                    (Some(asked), None) => answered.begin(asker, asked),
                    (None, _) => answered.forget(&asker),
                }
            }
        }
        answered
    }

    /// The log to append to, below its size.
    fn rotated(&self, name: &str) -> io::Result<PathBuf> {
        fs::create_dir_all(&self.folder)?;
        let file = self.folder.join(format!("{name}.jsonl"));
        if fs::metadata(&file).is_ok_and(|metadata| metadata.len() >= LARGEST) {
            fs::rename(&file, self.folder.join(format!("{name}.1.jsonl")))?;
        }
        Ok(file)
    }

    /// What was done is done, and stands in the requests too. So the answer stays, and whoever started the
    /// server is told, once.
    fn complain(&self, written: io::Result<()>) {
        if let Err(error) = written
            && !self.is_complained.swap(true, Ordering::Relaxed)
        {
            let folder = self.folder.display();
            let line = format!(
                "warning: what people change cannot be written to {folder}: {error} (is there room, and are they files?)\n"
            );
            // Nobody may be listening there either.
            drop(io::stderr().write_all(line.as_bytes()));
        }
    }
}

/// Appends under the lock: a second server of the workspace writes here too.
fn append(path: &Path, line: &Line) -> io::Result<()> {
    let mut file = lock::wait_lock_within(path, PATIENCE)?;
    let is_new = file.metadata()?.len() == 0;
    write::append_line_to(&mut file, line).map_err(|error| write::at(path, error))?;
    if line.status.is_none() {
        file.sync_data().map_err(|error| write::at(path, error))?;
    }
    // The file's own name too.
    if is_new { write::sync_folder(path.parent().unwrap_or(Path::new("."))) } else { Ok(()) }
}

fn shortened(path: &str) -> String {
    path.chars().take(LONGEST).collect()
}

/// Whole lines at the end of a file.
fn tail(path: &Path) -> io::Result<String> {
    let mut file: File = read::open(path)?;
    let length = file.metadata()?.len();
    let from = length.saturating_sub(TAIL);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    let begins = match from {
        0 => 0,
        _ => bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |newline| newline + 1),
    };
    Ok(String::from_utf8_lossy(&bytes[begins..]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::control::answered::Before;

    fn line(path: &str, key: &str, answer: &str) -> Line {
        Line {
            time: 1.0,
            who: "web:ada".into(),
            path: path.into(),
            key: key.into(),
            status: Some(200),
            asked: Some(blake3::hash(path.as_bytes()).to_hex().to_string()),
            answer: Some(answer.into()),
        }
    }

    #[test]
    fn a_full_log_is_put_aside_and_a_new_one_begun() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::new(&Workspace::new(folder.path()));
        journal.change(line("/a", "key", "{}"));
        let file = folder.path().join("logs/serve.jsonl");
        fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(LARGEST).unwrap();
        journal.change(line("/b", "key", "{}"));
        assert!(fs::read_to_string(&file).unwrap().contains("\"/b\""));
        assert_eq!(fs::metadata(folder.path().join("logs/serve.1.jsonl")).unwrap().len(), LARGEST);
        assert!(!journal.is_complained.load(Ordering::Relaxed));
    }

    #[test]
    fn what_lies_in_the_place_of_a_log_is_neither_followed_nor_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let (logs, other) = (folder.path().join("logs"), folder.path().join("other"));
        fs::create_dir(&logs).unwrap();
        let places = ["serve.jsonl", "refused.jsonl"].map(|name| logs.join(name));
        for kind in ["pipe", "link", "folder"] {
            for place in &places {
                match kind {
                    "pipe" => {
                        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
                        rustix::fs::mknodat(rustix::fs::CWD, place, rustix::fs::FileType::Fifo, mode, 0)
                            .unwrap();
                    }
                    "link" => std::os::unix::fs::symlink(&other, place).unwrap(),
                    _ => fs::create_dir(place).unwrap(),
                }
            }
            let journal = Journal::new(&Workspace::new(folder.path()));
            assert_eq!(
                journal.answered().before(&("ada".into(), "key".into()), blake3::hash(b"")),
                Before::Never
            );
            journal.change(line("/a", "key", "{}"));
            assert!(journal.is_complained.swap(false, Ordering::Relaxed), "{kind}");
            journal.refusal(None, "/a", 401, Instant::now());
            assert!(journal.is_complained.load(Ordering::Relaxed), "{kind}");
            assert!(!other.exists(), "{kind}");
            for place in &places {
                fs::remove_file(place).or_else(|_| fs::remove_dir(place)).unwrap();
            }
        }
    }

    #[test]
    fn keys_are_read_back_from_whole_lines_and_older_ones_without_their_answers() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::new(&Workspace::new(folder.path()));
        journal.change(line("/a", "first", "{}"));
        journal.change(line("/b", "long", &"x".repeat(LONGEST + 1)));
        let file = folder.path().join("logs/serve.jsonl");
        let mut log = fs::OpenOptions::new().append(true).open(&file).unwrap();
        log.write_all(
            b"{\"time\":1,\"who\":\"web:ada\",\"path\":\"/old\",\"key\":\"k\",\"status\":200}\nnoise\n{\"ti",
        )
        .unwrap();
        let answered = journal.answered();
        let before = |key: &str, path: &str| {
            answered.before(&("ada".into(), key.into()), blake3::hash(path.as_bytes()))
        };
        let body =
            |body: Option<&str>| Before::Answered(Answer { status: 200, body: body.map(str::to_owned) });
        assert_eq!(before("first", "/a"), body(Some("{}")));
        assert_eq!(before("first", "/b"), Before::Taken);
        assert_eq!(before("long", "/b"), body(None));
        assert_eq!(before("k", "/old"), Before::Never);
        let padding = format!("{}\n", "x".repeat(TAIL as usize));
        log.write_all(padding.as_bytes()).unwrap();
        let first = ("ada".to_owned(), "first".to_owned());
        assert_eq!(journal.answered().before(&first, blake3::hash(b"/a")), Before::Never, "it is bounded");
    }

    #[test]
    fn of_a_log_longer_than_what_is_read_back_the_whole_lines_at_its_end_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("serve.jsonl");
        let text = format!("first\n{}\nlast\nsecond to come", "x".repeat(TAIL as usize - 40));
        fs::write(&path, &text).unwrap();
        assert_eq!(tail(&path).unwrap(), text, "all of it");
        fs::write(&path, format!("{text}{}", "y".repeat(60))).unwrap();
        let end = tail(&path).unwrap();
        assert!(end.starts_with("last\nsecond") && end.ends_with('y'), "{}", &end[..40]);
        assert_eq!(tail(&folder.path().join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_path_in_the_log_is_no_longer_than_what_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::new(&Workspace::new(folder.path()));
        let path = "/".repeat(2 * LONGEST);
        journal.change(line(&path, "key", "{}"));
        journal.refusal(None, &path, 404, Instant::now());
        for name in ["serve.jsonl", "refused.jsonl"] {
            let text = fs::read_to_string(folder.path().join("logs").join(name)).unwrap();
            let told: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(told["path"].as_str().map(str::len), Some(LONGEST), "{name}");
        }
    }

    #[test]
    fn what_was_begun_and_has_no_end_in_the_log_is_known_as_that_across_both_files() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::new(&Workspace::new(folder.path()));
        let begun = |path: &str, key: &str| Line { status: None, answer: None, ..line(path, key, "") };
        journal.change(begun("/a", "broken-off"));
        journal.change(begun("/a", "done"));
        journal.change(begun("/a", "failed"));
        let logs = folder.path().join("logs");
        fs::rename(logs.join("serve.jsonl"), logs.join("serve.1.jsonl")).unwrap();
        journal.change(line("/a", "done", "{}"));
        journal.change(Line { status: Some(503), asked: None, answer: None, ..line("/a", "failed", "") });
        let answered = journal.answered();
        let before = |key: &str| answered.before(&("ada".into(), key.into()), blake3::hash(b"/a"));
        assert_eq!(before("broken-off"), Before::Begun);
        assert_eq!(before("done"), Before::Answered(Answer { status: 200, body: Some("{}".into()) }));
        assert_eq!(before("failed"), Before::Never, "it may be tried again");
    }

    #[test]
    fn a_flood_of_refusals_is_counted_and_pushes_no_change_out() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::new(&Workspace::new(folder.path()));
        let now = Instant::now();
        journal.change(line("/a", "key", "{}"));
        for _ in 0..1000 {
            journal.refusal(None, "/api/v1/runs/x/a/stop", 401, now);
        }
        journal.refusal(Some("web:bob"), "/b", 403, now);
        let refused = fs::read_to_string(folder.path().join("logs/refused.jsonl")).unwrap();
        let lines: Vec<serde_json::Value> =
            refused.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 31);
        assert_eq!((&lines[30]["who"], &lines[30]["left_out"]), (&json!("web:bob"), &json!(970)));
        let changes = fs::read_to_string(folder.path().join("logs/serve.jsonl")).unwrap();
        assert_eq!(changes.lines().count(), 1);
    }
}
