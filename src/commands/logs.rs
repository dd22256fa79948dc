//! `overnight logs`: a run's log, to its end or as it grows.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use super::text;
use crate::cli::LogsArgs;
use crate::exit::Exit;
use crate::queue::select;
use crate::run_dir::{RunDir, Workspace, lock, read};

/// Time between two looks at a log that is followed.
const INTERVAL: Duration = Duration::from_millis(200);

pub fn logs(workspace: &Workspace, args: &LogsArgs) -> anyhow::Result<Exit> {
    let run = select::run(workspace, &args.run)?;
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
    let mut text = Vec::new();
    file.take(length.saturating_sub(from)).read_to_end(&mut text)?;
    out.write_all(&harmless(&text))?;
    out.flush()?;
    Ok(from + text.len() as u64)
}

/// A log holds what a model or a library wrote: a terminal must show its escapes, not obey them.
fn harmless(text: &[u8]) -> Vec<u8> {
    text.iter()
        .map(|byte| if *byte < 0x20 && !b"\n\t\r".contains(byte) || *byte == 0x7f { b'?' } else { *byte })
        .collect()
}
