//! What this attempt was told to do: the start line that the runner wrote, or, for a worker started by
//! hand, one that it writes itself. And the lock that says a worker lives.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;

use overnight::run_dir::records::{Attempt, End, RunRecord, Start};
use overnight::run_dir::status::{end_of, last_start};
use overnight::run_dir::write::{Durability, append_line};
use overnight::run_dir::{RunDir, checkpoint, lock, read, scan};

use crate::by_hand;
use crate::device;
use crate::failure::Failure;

/// The orders of one attempt, and the lock under which they are carried out.
pub struct Orders {
    pub start: Start,
    /// The step after which to end as if asked to: a replay needs no more.
    pub until: Option<u64>,
    /// Nobody watches a worker started by hand, so it writes the end of its attempt too.
    by_hand: bool,
    /// Held until the process ends; the runner's lock came as standard input.
    _lock: Option<File>,
}

impl Orders {
    /// Takes the lock, or finds it inherited, and reads the orders.
    ///
    /// # Errors
    /// Another worker lives in this run, or `attempts.jsonl` cannot be read or written.
    pub fn take(run: &RunDir, record: &RunRecord) -> Result<Orders, Failure> {
        let attempts = read::lines::<Attempt>(&run.attempts())?.records;
        if is_inherited(run) {
            let ordered = last_start(&attempts).filter(|start| end_of(&attempts, start.attempt).is_none());
            let start = ordered.cloned().ok_or_else(|| {
                let path = run.attempts().display().to_string();
                Failure::Orders(format!(
                    "{path} holds no start line for this attempt (the runner writes one first)"
                ))
            })?;
            write_process_number(run)?;
            return Ok(Orders { start, until: None, by_hand: false, _lock: None });
        }
        let Some(lock) = lock::try_lock(&run.alive_lock())? else {
            let message = format!(
                "{}: another worker is at this run (wait for it, or stop it first)",
                run.path().display()
            );
            return Err(Failure::Orders(message));
        };
        write_process_number(run)?;
        let start = by_hand::orders(run, record, &attempts)?;
        device::show_only(&start.device);
        append_line(&run.attempts(), &Attempt::Start(start.clone()), Durability::Synced)?;
        Ok(Orders { start, until: None, by_hand: true, _lock: Some(lock) })
    }

    /// Writes the end of an attempt that nobody else watched.
    pub fn ended(&self, run: &RunDir, code: i32, why: &str) -> io::Result<()> {
        if !self.by_hand {
            return Ok(());
        }
        let end = End {
            attempt: self.start.attempt,
            time: scan::now(),
            code: Some(code),
            signal: None,
            checkpoint: checkpoint::steps(run).last().copied(),
            why: why.to_owned(),
            device_memory_bytes: None,
            cause: None,
            seconds: None,
        };
        append_line(&run.attempts(), &Attempt::End(end), Durability::Synced)
    }
}

/// Whether standard input is the run's lock: the runner hands it over there.
fn is_inherited(run: &RunDir) -> bool {
    let (Ok(input), Ok(lock)) = (fs::metadata("/proc/self/fd/0"), fs::metadata(run.alive_lock())) else {
        return false;
    };
    (input.dev(), input.ino()) == (lock.dev(), lock.ino())
}

fn write_process_number(run: &RunDir) -> io::Result<()> {
    let mut file = File::options().write(true).truncate(true).open(run.alive_lock())?;
    writeln!(file, "{}", std::process::id())
}
