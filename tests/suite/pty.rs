//! A pseudo-terminal with a command in it, and what a person would see on its screen.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command, ExitStatus};

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};

use crate::workspace::{Workspace, wait_until};

/// A command whose controlling terminal is ours. Killed when dropped.
pub struct Terminal {
    master: File,
    slave: OwnedFd,
    child: Killed,
    screen: Screen,
}

/// A process that is killed when it is dropped.
pub struct Killed(pub Child);

impl Terminal {
    /// `overnight` with `arguments` in a terminal of that size.
    pub fn start(workspace: &Workspace, arguments: &[&str], columns: u16, rows: u16) -> Terminal {
        // A copy of the master in a child would keep the terminal open when we close ours.
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        rustix::fs::fcntl_setfl(&master, OFlags::NONBLOCK).unwrap();
        let path = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let no_tty = i32::try_from(OFlags::NOCTTY.bits()).unwrap();
        let slave = OpenOptions::new().read(true).write(true).custom_flags(no_tty).open(path).unwrap();
        tcsetwinsize(&slave, winsize(columns, rows)).unwrap();
        let inner = workspace.command(arguments);
        let variables = inner.get_envs().filter_map(|(name, value)| Some((name, value?)));
        // It leads a session of its own, and this terminal is the session's.
        let child = Command::new("setsid")
            .arg("-c")
            .arg(inner.get_program())
            .args(inner.get_args())
            .envs(variables)
            .env("TERM", "xterm")
            .env("NO_COLOR", "1")
            .stdin(slave.try_clone().unwrap())
            .stdout(slave.try_clone().unwrap())
            .stderr(slave.try_clone().unwrap())
            .spawn()
            .unwrap();
        let screen = Screen::new(usize::from(columns), usize::from(rows));
        Terminal { master: File::from(master), slave: slave.into(), child: Killed(child), screen }
    }

    /// The lines on the screen at this moment, without empty ones at its end.
    pub fn lines(&mut self) -> Vec<String> {
        let mut bytes = [0; 4096];
        while let Ok(count) = self.master.read(&mut bytes) {
            if count == 0 {
                break;
            }
            self.screen.take(&bytes[..count]);
        }
        self.screen.lines()
    }

    #[track_caller]
    pub fn wait_for(&mut self, words: &str) {
        let mut last = Vec::new();
        let shown = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_until(&format!("the terminal shows {words:?}"), || {
                last = self.lines();
                last.iter().any(|line| line.contains(words))
            });
        }));
        assert!(shown.is_ok(), "{words:?} does not stand on the screen:\n{}", last.join("\n"));
    }

    pub fn type_keys(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    pub fn resize(&mut self, columns: u16, rows: u16) {
        self.lines();
        self.screen.resize(usize::from(columns), usize::from(rows));
        tcsetwinsize(self.slave.as_fd(), winsize(columns, rows)).unwrap();
    }

    /// Whether what is typed is shown, as a shell wants it.
    pub fn echoes(&self) -> bool {
        let modes = tcgetattr(self.slave.as_fd()).unwrap().local_modes;
        modes.contains(rustix::termios::LocalModes::ECHO | rustix::termios::LocalModes::ICANON)
    }

    /// Closes the terminal, as a window or a connection is closed.
    pub fn hang_up(self) -> Killed {
        self.child
    }

    pub fn wait(&mut self) -> ExitStatus {
        wait_until("the command in the terminal ends", || {
            self.lines();
            self.child.0.try_wait().unwrap().is_some()
        });
        self.child.0.wait().unwrap()
    }
}

fn winsize(columns: u16, rows: u16) -> Winsize {
    Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 }
}

/// As much of a terminal as our view uses, and that breaks long lines anew when it is resized.
struct Screen {
    columns: usize,
    height: usize,
    /// All rows ever, the visible ones last; a row knows whether it goes on in the next.
    rows: Vec<(Vec<char>, bool)>,
    row: usize,
    column: usize,
    escape: Option<String>,
    torn: Vec<u8>,
}

impl Screen {
    fn new(columns: usize, height: usize) -> Screen {
        let rows = vec![(Vec::new(), false)];
        Screen { columns, height, rows, row: 0, column: 0, escape: None, torn: Vec::new() }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.torn.extend(bytes);
        let whole = match std::str::from_utf8(&self.torn) {
            Ok(_) => self.torn.len(),
            Err(error) => error.valid_up_to(),
        };
        let text: Vec<u8> = self.torn.drain(..whole).collect();
        for c in String::from_utf8(text).unwrap().chars() {
            self.put(c);
        }
    }

    fn put(&mut self, c: char) {
        if let Some(sequence) = &mut self.escape {
            sequence.push(c);
            if c.is_ascii_alphabetic() {
                let sequence = std::mem::take(sequence);
                self.escape = None;
                self.obey(&sequence);
            }
            return;
        }
        match c {
            '\x1b' => self.escape = Some(String::new()),
            '\r' => self.column = 0,
            '\n' => self.down(),
            c => {
                if self.column == self.columns {
                    self.rows[self.row].1 = true;
                    self.down();
                    self.column = 0;
                }
                let row = &mut self.rows[self.row].0;
                row.resize(row.len().max(self.column + 1), ' ');
                row[self.column] = c;
                self.column += 1;
            }
        }
    }

    fn down(&mut self) {
        self.row += 1;
        if self.row == self.rows.len() {
            self.rows.push((Vec::new(), false));
        }
    }

    fn obey(&mut self, sequence: &str) {
        let top = self.rows.len().saturating_sub(self.height);
        match sequence {
            "[K" => {
                self.rows[self.row].0.truncate(self.column);
                self.rows[self.row].1 = false;
            }
            "[J" => {
                self.rows[self.row].0.truncate(self.column);
                self.rows.truncate(self.row + 1);
                // What was visible stays visible.
                self.rows
                    .resize(self.rows.len().max((top + self.height).min(self.row + 1)), (Vec::new(), false));
            }
            up if up.ends_with('A') => {
                let count: usize = up[1..up.len() - 1].parse().unwrap();
                self.row = self.row.saturating_sub(count).max(top);
            }
            other => panic!("the view uses a sequence that this screen does not know: {other:?}"),
        }
    }

    fn resize(&mut self, columns: usize, height: usize) {
        let mut rows: Vec<(Vec<char>, bool)> = Vec::new();
        let mut cursor = 0;
        let mut logical: Vec<char> = Vec::new();
        for (index, (row, goes_on)) in self.rows.iter().enumerate() {
            logical.extend(row);
            if index == self.row {
                cursor = rows.len();
            }
            if !goes_on {
                let mut parts: Vec<_> = logical.chunks(columns).map(|part| (part.to_vec(), true)).collect();
                if parts.is_empty() {
                    parts.push((Vec::new(), false));
                }
                parts.last_mut().unwrap().1 = false;
                rows.extend(parts);
                logical.clear();
            }
        }
        (self.rows, self.row, self.columns, self.height) = (rows, cursor, columns, height);
        self.column = self.column.min(columns);
    }

    fn lines(&self) -> Vec<String> {
        let top = self.rows.len().saturating_sub(self.height);
        let rows = self.rows[top..].iter();
        let mut lines: Vec<String> =
            rows.map(|(row, _)| row.iter().collect::<String>().trim_end().to_owned()).collect();
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
