//! A command that is told of an occasion: a process in a group of its own, so that all of it can be
//! ended, with the facts in its environment and on its standard input.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, OFlags, fcntl_setfl, memfd_create};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::occasion::Told;
use crate::say;

/// Between two looks at the clock.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// Bytes of what a command says that are kept: its end.
const LAST_WORDS: usize = 2048;

/// The process groups of commands at work, so that the end of a batch can end them.
#[derive(Default)]
pub struct Groups(Mutex<Live>);

#[derive(Default)]
struct Live {
    groups: HashSet<i32>,
    abandoned: bool,
}

impl Groups {
    /// Ends all that are at work, and all that are still to come.
    pub fn abandon(&self) {
        let mut live = self.lock();
        live.abandoned = true;
        live.groups.iter().copied().filter_map(Pid::from_raw).for_each(kill);
    }

    /// Follows a group; false when the batch is over already.
    fn add(&self, group: Pid) -> bool {
        let mut live = self.lock();
        live.groups.insert(group.as_raw_nonzero().get());
        !live.abandoned
    }

    fn remove(&self, group: Pid) {
        self.lock().groups.remove(&group.as_raw_nonzero().get());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Live> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs a program to its end or to its timeout, then kills its whole group.
///
/// # Errors
/// Why it failed, with its last words.
pub fn run(words: &[String], told: &Told, timeout: Duration, groups: &Groups) -> Result<(), String> {
    let cannot = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => format!("{} is not there (is it on the PATH?)", words[0]),
        _ => format!("cannot be started: {error}"),
    };
    let (mut child, said) = spawn(words, told).map_err(cannot)?;
    let group = Pid::from_child(&child);
    let is_wanted = groups.add(group);
    if !is_wanted {
        kill(group);
    }
    let mut last_words = Vec::new();
    let followed = follow(group, &said, timeout, &mut last_words);
    if !matches!(followed, Ok(End::ByItself)) {
        kill(group);
    }
    // Until it is waited for, its number is nobody else's.
    groups.remove(group);
    let status = wait(&mut child)?;
    match followed {
        Err(error) => Err(format!("could not be followed: {error}")),
        Ok(End::Timeout) => Err(format!("ended after {}: it hung", say::duration(timeout.as_secs_f64()))),
        Ok(End::ByItself) if status.success() => Ok(()),
        Ok(End::ByItself) => Err(failure(status, &last_words)),
    }
}

/// Starts it. What it says comes out of the pipe; the facts lie in memory, so that nobody has to
/// wait until they are read.
fn spawn(words: &[String], told: &Told) -> io::Result<(Child, OwnedFd)> {
    let mut facts = File::from(memfd_create("occasion", MemfdFlags::CLOEXEC)?);
    serde_json::to_writer(&facts, &told.facts)?;
    writeln!(facts)?;
    facts.rewind()?;
    let (said, says) = io::pipe()?;
    let program = words.first().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let child = Command::new(program)
        .args(&words[1..])
        .envs(told.variables())
        .current_dir(&told.folder)
        .stdin(facts)
        .stdout(says.try_clone()?)
        .stderr(says)
        .process_group(0)
        .spawn()?;
    let said = OwnedFd::from(said);
    fcntl_setfl(&said, OFlags::NONBLOCK)?;
    Ok((child, said))
}

enum End {
    ByItself,
    Timeout,
}

/// Reads what it says until it has ended; whoever inherited the pipe may keep it.
fn follow(process: Pid, said: &OwnedFd, timeout: Duration, last_words: &mut Vec<u8>) -> io::Result<End> {
    let pidfd = pidfd_open(process, PidfdFlags::empty())?;
    let begun = Instant::now();
    let mut is_open = true;
    loop {
        let Some(left) = timeout.checked_sub(begun.elapsed()) else { return Ok(End::Timeout) };
        // The time in which this process is stopped, by Ctrl-Z for one, does not count for a wait.
        let left = left.min(LONGEST_WAIT);
        let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
        let mut sources = vec![PollFd::new(&pidfd, PollFlags::IN)];
        if is_open {
            sources.push(PollFd::new(said, PollFlags::IN));
        }
        match poll(&mut sources, Some(&left)) {
            Err(rustix::io::Errno::INTR) => continue,
            polled => polled?,
        };
        let has_ended = !sources[0].revents().is_empty();
        is_open = is_open && listen(said, last_words)?;
        if has_ended {
            return Ok(End::ByItself);
        }
    }
}

/// Takes what there is to read; false at its end.
fn listen(said: &OwnedFd, last_words: &mut Vec<u8>) -> io::Result<bool> {
    let mut part = [0; 4096];
    // A few at a time: whoever talks without end is not listened to for longer than the timeout.
    for _ in 0..16 {
        match rustix::io::read(said.as_fd(), &mut part) {
            Ok(0) => return Ok(false),
            Ok(count) => {
                last_words.extend_from_slice(&part[..count]);
                let superfluous = last_words.len().saturating_sub(LAST_WORDS);
                last_words.drain(..superfluous);
            }
            Err(rustix::io::Errno::AGAIN) => return Ok(true),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(true)
}

fn wait(child: &mut Child) -> Result<ExitStatus, String> {
    child.wait().map_err(|error| format!("its end was not seen: {error}"))
}

fn kill(group: Pid) {
    // It may have ended meanwhile.
    kill_process_group(group, Signal::KILL).ok();
}

/// How it ended, with the last line it said.
fn failure(status: ExitStatus, last_words: &[u8]) -> String {
    let how = match status.signal() {
        Some(signal) => format!("ended by {}", say::signal(signal)),
        None => format!("exit code {}", status.code().unwrap_or_default()),
    };
    let words = String::from_utf8_lossy(last_words);
    match words.lines().rev().map(str::trim).find(|line| !line.is_empty()) {
        Some(line) => format!("{how}: {}", line.chars().take(200).collect::<String>()),
        None => how,
    }
}
