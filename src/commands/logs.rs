//! `overnight logs`: a run's log, to its end or as it grows.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use super::text;
use crate::cli::LogsArgs;
use crate::exit::Exit;
use crate::queue::select;
use crate::run_dir::{RunDir, Workspace, lock, read};
use crate::say;

/// Time between two looks at a log that is followed.
const INTERVAL: Duration = Duration::from_millis(200);

pub fn logs(workspace: &Workspace, args: &LogsArgs) -> anyhow::Result<Exit> {
    let run = select::run(workspace, &args.run)?;
    if let Some(imported) = read::run_record(&run).ok().and_then(|record| record.imported) {
        let (name, words) = (format!("{}/{}", run.experiment(), run.name()), imported.words());
        let source = say::plain(&imported.source);
        text::talk(format_args!("{name} was {words} and has no log here (its source: {source})"));
        return Ok(Exit::Success);
    }
    let path = if args.stderr { run.stderr_log() } else { run.train_log() };
    text::talk(format_args!("{}/{}: {}", run.experiment(), run.name(), path.display()));
    let offset = copy(&path, 0)?;
    if offset == 0 && !args.follow {
        text::talk("nothing is in it yet");
    }
    if args.follow {
        follow(&run, &path, offset)?;
    }
    Ok(Exit::Success)
}

/// Goes on printing until the run has ended.
fn follow(run: &RunDir, path: &Path, mut offset: u64) -> anyhow::Result<()> {
    loop {
        // The lock is asked before the file is read: what was written before the end is then printed.
        let is_alive = lock::is_held(&run.alive_lock());
        offset = copy(path, offset)?;
        if !is_alive && run.attempts().exists() {
            return Ok(());
        }
        std::thread::sleep(INTERVAL);
    }
}

/// Prints the file from `offset` on and gives the new offset. A file that is missing has nothing; one
/// that became shorter is printed from its start.
fn copy(path: &Path, offset: u64) -> anyhow::Result<u64> {
    let mut file = match read::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(offset),
        Err(error) => return Err(anyhow::anyhow!("{}: {error}", path.display())),
    };
    let length = file.metadata()?.len();
    let from = if length < offset { 0 } else { offset };
    file.seek(SeekFrom::Start(from))?;
    let mut out = io::stdout().lock();
    let (mut text, mut at) = (Vec::new(), from);
    while at < length {
        text.clear();
        Read::by_ref(&mut file).take(PIECE.min(length - at)).read_to_end(&mut text)?;
        // Half of a character, perhaps of a control: it is shown with its other half.
        if text.last() == Some(&C1_LEAD) {
            text.pop();
        }
        if text.is_empty() {
            break;
        }
        out.write_all(&harmless(&text))?;
        at += text.len() as u64;
        file.seek(SeekFrom::Start(at))?;
    }
    out.flush()?;
    Ok(at)
}

/// Bytes of a log that are held at once.
const PIECE: u64 = 1 << 18;

/// The first byte of the controls U+0080 to U+009F in UTF-8, one of which begins commands as ESC [ does.
const C1_LEAD: u8 = 0xc2;

/// A log holds what a model or a library wrote: a terminal must show its escapes, not obey them.
fn harmless(text: &[u8]) -> Vec<u8> {
    let mut harmless = Vec::with_capacity(text.len());
    for &byte in text {
        match byte {
            b'\n' | b'\t' | b'\r' => harmless.push(byte),
            ..0x20 | 0x7f => harmless.push(b'?'),
            0x80..0xa0 if harmless.last() == Some(&C1_LEAD) => {
                harmless.pop();
                harmless.push(b'?');
            }
            _ => harmless.push(byte),
        }
    }
    harmless
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_control_reaches_the_terminal_and_letters_do() {
        let shown = |text: &str| String::from_utf8(harmless(text.as_bytes())).unwrap();
        assert_eq!(shown("a\x1b[2J\u{9b}2J\u{80}\u{9f}\x7f\r\n"), "a?[2J?2J???\r\n");
        assert_eq!(shown("Zürich, 5 °C, \u{a0}“loss” 損失\t1"), "Zürich, 5 °C, \u{a0}“loss” 損失\t1");
    }
}
