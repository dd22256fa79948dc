//! What one process holds of a GPU's memory: as the driver tells it of the process, else by how much the
//! device's use grew while nobody else could have grown it.

use std::time::Instant;

/// What was seen of one process. Bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Takings {
    now: Option<u64>,
    peak: Option<u64>,
    /// When it began, where it was seen to begin: what was sampled before says nothing of it.
    begun: Option<Instant>,
    /// What others held when it began.
    before: u64,
    /// What it held when it was last seen to hold anything.
    last: Option<Held>,
    /// The driver has told of it once.
    was_told: bool,
    /// Another process of unknown use was beside it: from then on growth says nothing.
    mixed: bool,
}

/// What a process gives back when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    pub bytes: u64,
    /// What is free and what processes hold that the driver tells of, together, once these are given back.
    pub expected: u64,
}

impl Takings {
    /// Of a process that begins at that moment, or is followed from now on, while others hold `before` of
    /// the device.
    pub fn new(before: u64, begun: Option<Instant>) -> Takings {
        Takings { begun, before, ..Takings::default() }
    }

    /// Whether it was there already.
    pub fn had_begun(&self, at: Instant) -> bool {
        self.begun.is_none_or(|begun| begun <= at)
    }

    /// The driver says that it holds so much. `net` is what is free and what those hold together whom the
    /// driver tells of.
    pub fn told(&mut self, bytes: u64, net: u64) {
        self.was_told = true;
        self.now = Some(bytes);
        self.saw(bytes, net);
    }

    /// The driver says nothing of it; `others` is what nobody of known use holds.
    pub fn untold(&mut self, others: u64, alone: bool, net: u64) {
        self.now = None;
        self.mixed |= !alone;
        // One that was told of has let its memory go, which is no reason to look for it elsewhere.
        if !self.mixed && !self.was_told {
            let grown = others.saturating_sub(self.before);
            self.saw(grown, net + grown);
        }
    }

    fn saw(&mut self, bytes: u64, expected: u64) {
        if bytes > 0 {
            self.last = Some(Held { bytes, expected });
            self.peak = self.peak.max(Some(bytes));
        }
    }

    /// At the last look, where the driver tells it of the process.
    pub fn now(&self) -> Option<u64> {
        self.now
    }

    /// What it held when it was last seen to hold anything.
    pub fn last(&self) -> Option<Held> {
        self.last
    }

    pub fn peak(&self) -> Option<u64> {
        self.peak
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(takings: &Takings) -> (Option<u64>, Option<u64>, Option<u64>) {
        (takings.now(), takings.last().map(|held| held.bytes), takings.peak())
    }

    #[test]
    fn what_the_driver_tells_counts_and_its_peak_is_kept() {
        let mut takings = Takings::new(100, None);
        for bytes in [10, 50, 30] {
            takings.told(bytes, 1000);
        }
        assert_eq!(bytes(&takings), (Some(30), Some(30), Some(50)));
        assert_eq!(takings.last(), Some(Held { bytes: 30, expected: 1000 }));
    }

    #[test]
    fn growth_of_the_device_stands_in_while_nobody_else_could_have_grown_it() {
        let mut takings = Takings::new(100, None);
        takings.untold(100, true, 900);
        assert_eq!(bytes(&takings), (None, None, None), "it has taken nothing yet");
        takings.untold(160, true, 840);
        assert_eq!(bytes(&takings), (None, Some(60), Some(60)));
        assert_eq!(takings.last(), Some(Held { bytes: 60, expected: 900 }));
        takings.untold(400, false, 600);
        takings.untold(300, true, 700);
        assert_eq!(takings.peak(), Some(60), "another was beside it");
    }

    #[test]
    fn a_sample_from_before_a_process_began_says_nothing_of_it() {
        let begun = Instant::now();
        let takings = Takings::new(100, Some(begun));
        assert!(takings.had_begun(begun));
        assert!(!takings.had_begun(begun.checked_sub(std::time::Duration::from_millis(1)).unwrap()));
    }

    #[test]
    fn a_process_that_was_told_of_is_not_looked_for_in_the_devices_growth() {
        let mut takings = Takings::new(100, None);
        takings.told(40, 900);
        takings.untold(500, true, 500);
        assert_eq!(bytes(&takings), (None, Some(40), Some(40)));
        assert_eq!(takings.last().unwrap().expected, 900);
    }
}
