//! The part of a terminal that is drawn again and again, below what stays. It is thin: which lines
//! there are is decided in [`lines`](super::lines).

use std::io::{IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd};

use super::lines::Size;
use super::text::Line;

/// Where a screen draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Output,
    Error,
}

/// Lines at the end of what a terminal shows. Dropping it takes them away.
pub struct Screen {
    stream: Stream,
    is_colored: bool,
    /// Columns of each line that is drawn.
    drawn: Vec<usize>,
}

/// Where a terminal does not say how large it is.
const USUAL: (u16, u16) = (80, 24);

impl Screen {
    /// None where there is no terminal, or one that cannot move its cursor.
    pub fn open(stream: Stream) -> Option<Screen> {
        let is_terminal = match stream {
            Stream::Output => std::io::stdout().is_terminal(),
            Stream::Error => std::io::stderr().is_terminal(),
        };
        let can_move = std::env::var_os("TERM").is_some_and(|term| term != "dumb");
        let choice = match stream {
            Stream::Output => anstream::AutoStream::choice(&std::io::stdout()),
            Stream::Error => anstream::AutoStream::choice(&std::io::stderr()),
        };
        let is_colored = choice != anstream::ColorChoice::Never;
        (is_terminal && can_move).then(|| Screen { stream, is_colored, drawn: Vec::new() })
    }

    /// Room for lines at this moment: the cursor stands below them, and the last column stays free,
    /// because terminals differ in what they do after it.
    pub fn size(&self) -> Size {
        let (columns, rows) = self.terminal();
        Size { width: usize::from(columns).saturating_sub(1), height: usize::from(rows).saturating_sub(1) }
    }

    /// Draws these lines in the place of those before, with `above` as lines that stay.
    pub fn draw(&mut self, above: &[Line], lines: &[Line]) {
        let mut text = self.to_the_top();
        for line in above.iter().chain(lines) {
            text += &if self.is_colored { line.styled() } else { line.text() };
            // Whatever stood there before is cleared behind the new text, so nothing flickers.
            text += "\x1b[K\r\n";
        }
        text += "\x1b[J";
        self.drawn = lines.iter().map(Line::width).collect();
        self.write(&text);
    }

    /// Lets what is drawn stay for good.
    pub fn keep(&mut self) {
        self.drawn.clear();
    }

    /// To the first line of what is drawn. A terminal that was made narrower since has broken long lines
    /// in two or more, so their rows are counted anew. One that cuts them instead loses a few lines above.
    fn to_the_top(&self) -> String {
        let columns = usize::from(self.terminal().0);
        let rows: usize = self.drawn.iter().map(|width| width.div_ceil(columns).max(1)).sum();
        if rows == 0 { "\r".to_owned() } else { format!("\r\x1b[{rows}A") }
    }

    fn terminal(&self) -> (u16, u16) {
        let size = |fd: BorrowedFd| rustix::termios::tcgetwinsize(fd).ok();
        let size = match self.stream {
            Stream::Output => size(std::io::stdout().as_fd()),
            Stream::Error => size(std::io::stderr().as_fd()),
        };
        size.map_or(USUAL, |size| match (size.ws_col, size.ws_row) {
            (0, _) | (_, 0) => USUAL,
            size => size,
        })
    }

    /// Nobody reads a terminal that is gone; that is no reason to end anything.
    fn write(&self, text: &str) {
        drop(match self.stream {
            Stream::Output => write_all(std::io::stdout().lock(), text),
            Stream::Error => write_all(std::io::stderr().lock(), text),
        });
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if !self.drawn.is_empty() {
            self.draw(&[], &[]);
        }
    }
}

fn write_all(mut stream: impl Write, text: &str) -> std::io::Result<()> {
    stream.write_all(text.as_bytes())?;
    stream.flush()
}
