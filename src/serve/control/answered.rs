//! Answers that were given, by person and key: what comes twice is done once, also across a restart. A change
//! is noted before it is made, so that one that was broken off is known as that and not begun anew.

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
    known: HashMap<Asker, (blake3::Hash, Noted)>,
    order: VecDeque<Asker>,
    bytes: usize,
}

/// What is remembered of a change.
enum Noted {
    Begun,
    Answered(Answer),
}

/// What is known of a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Before {
    Never,
    /// The same request was begun, and nobody knows what became of it: a server died over it.
    Begun,
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
        match self.known.get(asker) {
            None => Before::Never,
            Some((before, _)) if *before != asked => Before::Taken,
            Some((_, Noted::Begun)) => Before::Begun,
            Some((_, Noted::Answered(answer))) => Before::Answered(answer.clone()),
        }
    }

    /// Somebody is about to be given what was asked.
    pub fn begin(&mut self, asker: Asker, asked: blake3::Hash) {
        self.note(asker, asked, Noted::Begun);
    }

    pub fn keep(&mut self, asker: Asker, asked: blake3::Hash, answer: Answer) {
        self.note(asker, asked, Noted::Answered(answer));
    }

    /// What was begun came to nothing, and may be asked again.
    pub fn forget(&mut self, asker: &Asker) {
        if let Some((_, noted)) = self.known.remove(asker) {
            self.bytes = self.bytes.saturating_sub(length(&noted));
            self.order.retain(|known| known != asker);
        }
    }

    fn note(&mut self, asker: Asker, asked: blake3::Hash, noted: Noted) {
        self.bytes += length(&noted);
        match self.known.insert(asker.clone(), (asked, noted)) {
            Some((_, before)) => self.bytes = self.bytes.saturating_sub(length(&before)),
            None => self.order.push_back(asker),
        }
        while (self.order.len() > KEYS || self.bytes > BYTES)
            && self.order.len() > 1
            && let Some(oldest) = self.order.pop_front()
        {
            if let Some((_, noted)) = self.known.remove(&oldest) {
                self.bytes = self.bytes.saturating_sub(length(&noted));
            }
        }
    }
}

fn length(noted: &Noted) -> usize {
    match noted {
        Noted::Answered(Answer { body: Some(body), .. }) => body.len(),
        _ => 0,
    }
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
        assert_eq!((answered.known.len(), answered.order.len()), (1, 1));
    }

    #[test]
    fn what_is_begun_is_known_until_it_is_answered_or_comes_to_nothing() {
        let mut answered = Answered::default();
        let asker = ("ada".to_owned(), "key".to_owned());
        let (asked, other) = (blake3::hash(b"asked"), blake3::hash(b"other"));
        answered.begin(asker.clone(), asked);
        assert_eq!(answered.before(&asker, asked), Before::Begun);
        assert_eq!(answered.before(&asker, other), Before::Taken);
        answered.forget(&asker);
        assert_eq!((answered.before(&asker, asked), answered.order.len()), (Before::Never, 0));
        answered.begin(asker.clone(), asked);
        let answer = Answer { status: 200, body: Some("{}".to_owned()) };
        answered.keep(asker.clone(), asked, answer.clone());
        assert_eq!(answered.before(&asker, asked), Before::Answered(answer));
        assert_eq!((answered.order.len(), answered.bytes), (1, 2));
    }
}
