//! What a person sees of a batch while it works: on a terminal a few lines that are drawn again and
//! again (what runs, what failed, what is next, when it ends) below what happened; elsewhere plain
//! lines with their time, now and then.

mod facts;
mod lines;
mod plain;
mod screen;
mod text;

use std::io::Write;
use std::time::{Duration, Instant};

use jiff::Zoned;
use jiff::tz::TimeZone;

pub use facts::{Facts, LiveRun};
pub use lines::{Size, clock, ending, lines};
pub use plain::standing;
pub use screen::{Screen, Stream};
pub use text::{Line, middle, padded, width};

/// How a batch shows itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// Live lines on a terminal, plain lines otherwise.
    #[default]
    Auto,
    /// Plain lines, for logs.
    Plain,
}

/// Shows a batch on standard error; dropping it leaves the terminal as it was.
pub struct View {
    kind: Kind,
    facts: Facts,
}

enum Kind {
    Live(Screen),
    Plain { last: Option<Instant> },
}

/// Time between two plain words about where runs stand.
pub const PLAIN_INTERVAL: Duration = Duration::from_secs(30);

impl View {
    pub fn open(style: Style) -> View {
        let screen = (style == Style::Auto).then(|| Screen::open(Stream::Error)).flatten();
        View { kind: screen.map_or(Kind::Plain { last: None }, Kind::Live), facts: Facts::default() }
    }

    /// Something happened: a line that stays.
    pub fn say(&mut self, text: &str) {
        let now = Zoned::now();
        match &mut self.kind {
            Kind::Live(screen) => {
                let time = now.strftime("%H:%M ").to_string();
                let line = Line::new().with(anstyle::Style::new().dimmed(), &time).plain(text);
                let lines = lines(&self.facts, screen.size(), &TimeZone::system());
                screen.draw(&[line], &lines);
            }
            Kind::Plain { .. } => write_line(&plain::said(&now, text)),
        }
    }

    /// Shows where everything stands now.
    pub fn update(&mut self, now: Instant, facts: Facts) {
        self.facts = facts;
        match &mut self.kind {
            Kind::Live(_) => self.redraw(),
            Kind::Plain { last } if last.is_none_or(|last| now.duration_since(last) >= PLAIN_INTERVAL) => {
                // The first call only begins the interval: a run that has just started has nothing to
                // tell.
                if last.is_some() {
                    for line in standing(&Zoned::now(), &self.facts) {
                        write_line(&line);
                    }
                }
                *last = Some(now);
            }
            Kind::Plain { .. } => {}
        }
    }

    /// Draws the same once more, in the size that the terminal has now.
    pub fn redraw(&mut self) {
        if let Kind::Live(screen) = &mut self.kind {
            let lines = lines(&self.facts, screen.size(), &TimeZone::system());
            screen.draw(&[], &lines);
        }
    }

    /// Goes on in plain lines: the terminal is gone.
    pub fn leave_terminal(&mut self) {
        if let Kind::Live(screen) = &mut self.kind {
            screen.keep();
        }
        self.kind = Kind::Plain { last: None };
    }
}

/// Nobody reads a closed standard error; that is no reason to end a batch.
fn write_line(line: &str) {
    drop(writeln!(std::io::stderr(), "{line}"));
}
