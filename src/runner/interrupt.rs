//! What a person's or the system's signals mean for the batch: the first asks every worker to
//! checkpoint and end, the second ends everything at once.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::Exit;

/// How far the end of the batch has been asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ending {
    /// Nobody asked: work until nothing is left.
    #[default]
    Open,
    /// Start nothing new; workers checkpoint and end.
    Asked,
    /// Kill the workers and leave; the signal decides the exit code.
    Now(Interrupt),
}

/// The signals that end a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupt {
    /// Ctrl-C.
    Int,
    /// A service manager or `kill`.
    Term,
}

impl Ending {
    /// What a further signal makes of it.
    pub fn after(self, interrupt: Interrupt) -> Ending {
        match self {
            Ending::Open => Ending::Asked,
            Ending::Asked => Ending::Now(interrupt),
            Ending::Now(first) => Ending::Now(first),
        }
    }

    pub fn is_open(self) -> bool {
        self == Ending::Open
    }
}

impl Interrupt {
    /// As shells give it: 128 and the signal's number.
    pub fn exit(self) -> Exit {
        match self {
            Interrupt::Int => Exit::Interrupted,
            Interrupt::Term => Exit::Terminated,
        }
    }
}

/// Listens from its creation on; a signal that came before ends the program as usual.
pub struct Interrupts {
    int: Signal,
    term: Signal,
}

impl Interrupts {
    pub fn listen() -> io::Result<Interrupts> {
        Ok(Interrupts { int: signal(SignalKind::interrupt())?, term: signal(SignalKind::terminate())? })
    }

    pub async fn next(&mut self) -> Interrupt {
        tokio::select! {
            _ = self.int.recv() => Interrupt::Int,
            _ = self.term.recv() => Interrupt::Term,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_signal_asks_and_the_second_ends_at_once_with_its_code() {
        let asked = Ending::Open.after(Interrupt::Term);
        assert_eq!(asked, Ending::Asked);
        let now = asked.after(Interrupt::Int);
        assert_eq!(now, Ending::Now(Interrupt::Int));
        assert_eq!(now.after(Interrupt::Term), now, "a third signal changes nothing");
        assert_eq!(Interrupt::Int.exit() as u8, 130);
        assert_eq!(Interrupt::Term.exit() as u8, 143);
    }
}
