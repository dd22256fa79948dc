//! Answers that were given, by person and key: what comes twice is done once, also across a restart.

use std::collections::{HashMap, VecDeque};

/// An answer as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub status: u16,
    /// None where the log did not keep it, because it was long.
    pub body: Option<String>,
}

/// Who asked, by which key.
pub(super) type Asker = (String, String);

#[derive(Default)]
pub(super) struct Answered {
    answers: HashMap<Asker, (blake3::Hash, Answer)>,
    order: VecDeque<Asker>,
    bytes: usize,
}

/// What is known of a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Before {
    Never,
    /// The same request.
    Answered(Answer),
    /// Another request.
    Taken,
}

/// Keys that are remembered, of all people together, and bytes of their answers.
const KEYS: usize = 10_000;
const BYTES: usize = 16 << 20;

impl Answered {
    pub fn before(&self, asker: &Asker, asked: blake3::Hash) -> Before {
        match self.answers.get(asker) {
            None => Before::Never,
            Some((before, answer)) if *before == asked => Before::Answered(answer.clone()),
            Some(_) => Before::Taken,
        }
    }

    pub fn keep(&mut self, asker: Asker, asked: blake3::Hash, answer: Answer) {
        self.bytes += length(&answer);
        self.order.push_back(asker.clone());
        if let Some((_, before)) = self.answers.insert(asker, (asked, answer)) {
            self.bytes = self.bytes.saturating_sub(length(&before));
        }
        while (self.order.len() > KEYS || self.bytes > BYTES)
            && self.order.len() > 1
            && let Some(oldest) = self.order.pop_front()
        {
            if let Some((_, answer)) = self.answers.remove(&oldest) {
                self.bytes = self.bytes.saturating_sub(length(&answer));
            }
        }
    }
}

fn length(answer: &Answer) -> usize {
    answer.body.as_ref().map_or(0, String::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_keys_are_forgotten_by_number_and_by_size() {
        let mut answered = Answered::default();
        let asker = |number: usize| ("ada".to_owned(), number.to_string());
        let asked = blake3::hash(b"asked");
        let long = |bytes: usize| Answer { status: 200, body: Some("x".repeat(bytes)) };
        for number in 0..=KEYS {
            answered.keep(asker(number), asked, long(1));
        }
        assert_eq!(answered.before(&asker(0), asked), Before::Never);
        assert_eq!(answered.before(&asker(1), asked), Before::Answered(long(1)));
        assert_eq!(answered.before(&asker(1), blake3::hash(b"other")), Before::Taken);
        answered.keep(asker(KEYS + 1), asked, long(BYTES));
        assert_eq!(answered.before(&asker(KEYS), asked), Before::Never);
        assert_eq!(answered.before(&asker(KEYS + 1), asked), Before::Answered(long(BYTES)));
        assert_eq!((answered.answers.len(), answered.order.len(), answered.bytes), (1, 1, BYTES));
        answered.keep(asker(0), asked, long(3));
        answered.keep(asker(1), asked, long(4));
        assert_eq!((answered.answers.len(), answered.bytes), (2, 7));
    }
}
