//! The words of rules: alerts and budgets are short sentences such as `val/loss > 5 after 500 steps`.
//! This reads their parts one by one and says at which characters a sentence goes wrong.

use std::fmt;
use std::ops::Range;

use super::diagnostic::{Part, Problem};
use super::parse::nearest;
use crate::say;

/// What cannot be understood of a sentence, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misread {
    /// In characters of the sentence.
    pub at: Range<usize>,
    pub reason: String,
    pub way_out: String,
}

impl Misread {
    /// The same as a problem with the setting `path`, whose value the sentence is.
    pub fn problem(self, path: impl Into<String>) -> Problem {
        let part = Part::Within { start: self.at.start, end: self.at.end };
        Problem { part, ..Problem::new(path, self.reason, self.way_out) }
    }
}

impl fmt::Display for Misread {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "character {}: {} ({})", self.at.start + 1, self.reason, self.way_out)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Below,
    AtMost,
    Above,
    AtLeast,
}

impl Comparison {
    /// Whether it holds; never for what is not a number.
    pub fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Comparison::Below => value < limit,
            Comparison::AtMost => value <= limit,
            Comparison::Above => value > limit,
            Comparison::AtLeast => value >= limit,
        }
    }

    pub fn sign(self) -> &'static str {
        match self {
            Comparison::Below => "<",
            Comparison::AtMost => "<=",
            Comparison::Above => ">",
            Comparison::AtLeast => ">=",
        }
    }
}

/// What a number is a number of. The words after it scale it to the first unit named here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A number without a unit.
    Plain,
    Bytes,
    Seconds,
    Percent,
    Celsius,
    Watts,
}

impl Unit {
    /// Each word of it and how much one of that is. A unit without an empty word must be said.
    fn words(self) -> &'static [(&'static str, f64)] {
        const KIB: f64 = 1024.0;
        match self {
            Unit::Plain => &[("", 1.0)],
            Unit::Bytes => &[
                ("GiB", KIB * KIB * KIB),
                ("MiB", KIB * KIB),
                ("TiB", KIB * KIB * KIB * KIB),
                ("KiB", KIB),
                ("GB", 1e9),
                ("MB", 1e6),
                ("TB", 1e12),
                ("B", 1.0),
            ],
            Unit::Seconds => &[("h", 3600.0), ("min", 60.0), ("s", 1.0), ("d", 86_400.0)],
            Unit::Percent => &[("%", 1.0), ("", 1.0)],
            Unit::Celsius => &[("°C", 1.0), ("C", 1.0), ("", 1.0)],
            Unit::Watts => &[("W", 1.0), ("", 1.0)],
        }
    }

    /// A number of this, as a person says it.
    pub fn said(self, value: f64) -> String {
        match self {
            Unit::Bytes => say::bytes(value as u64),
            Unit::Seconds => say::duration(value),
            Unit::Percent => format!("{value:.0} %"),
            Unit::Celsius => format!("{value:.0} °C"),
            Unit::Watts => format!("{value:.0} W"),
            Unit::Plain if value.abs() >= 1000.0 && value.fract() == 0.0 && value.abs() < 1e15 => {
                format!("{}{}", if value < 0.0 { "-" } else { "" }, say::count(value.abs() as u64))
            }
            Unit::Plain => say::value(value),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Word,
    Number(f64),
    Comparison(Comparison),
    Other,
}

#[derive(Debug, Clone, Copy)]
struct Token<'a> {
    kind: Kind,
    text: &'a str,
    /// In characters.
    at: (usize, usize),
}

/// A sentence, read from its beginning.
pub struct Sentence<'a> {
    tokens: Vec<Token<'a>>,
    next: usize,
    characters: usize,
}

impl<'a> Sentence<'a> {
    pub fn new(text: &'a str) -> Sentence<'a> {
        Sentence { tokens: tokens(text), next: 0, characters: text.chars().count() }
    }

    fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.next).copied()
    }

    /// Whether the next word is `word`, which is then read.
    pub fn takes(&mut self, word: &str) -> bool {
        let is_next = self.peek().is_some_and(|token| token.text == word);
        self.next += usize::from(is_next);
        is_next
    }

    /// The words up to the first comparison, number or one of `ends`, with their place.
    pub fn words_until(&mut self, ends: &[&str]) -> (String, Range<usize>) {
        let begin = self.next;
        while self.peek().is_some_and(|token| token.kind == Kind::Word && !ends.contains(&token.text)) {
            self.next += 1;
        }
        let words = &self.tokens[begin..self.next];
        let text: Vec<&str> = words.iter().map(|token| token.text).collect();
        let at = match (words.first(), words.last()) {
            (Some(first), Some(last)) => first.at.0..last.at.1,
            _ => self.here(),
        };
        (text.join(" "), at)
    }

    /// A comparison, if one comes next.
    pub fn comparison(&mut self) -> Option<Comparison> {
        match self.peek()?.kind {
            Kind::Comparison(comparison) => {
                self.next += 1;
                Some(comparison)
            }
            _ => None,
        }
    }

    /// A number and its unit, in the unit that `unit` names first.
    pub fn amount(&mut self, unit: Unit) -> Result<f64, Misread> {
        let Some(Token { kind: Kind::Number(number), .. }) = self.peek() else {
            return Err(self.misread("a number is expected here", "write a number, such as 5 or 3e-4"));
        };
        self.next += 1;
        let words = unit.words();
        let unit_said = self.next_word();
        if let Some((_, scale)) = words.iter().find(|(word, _)| *word == unit_said && !word.is_empty()) {
            self.next += 1;
            return Ok(number * scale);
        }
        if words.iter().any(|(word, _)| word.is_empty()) {
            return Ok(number);
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        Err(self.misread("the number needs a unit", &format!("write one of {}", known.join(", "))))
    }

    /// A whole number.
    pub fn count(&mut self) -> Result<u64, Misread> {
        match self.peek() {
            Some(Token { kind: Kind::Number(number), .. })
                if number >= 1.0 && number.fract() == 0.0 && number < 1e15 =>
            {
                self.next += 1;
                Ok(number as u64)
            }
            _ => Err(self.misread("a number of steps is expected here", "write a whole number from 1 on")),
        }
    }

    /// `500 steps`.
    pub fn steps(&mut self) -> Result<u64, Misread> {
        let count = self.count()?;
        if self.takes("steps") || self.takes("step") {
            return Ok(count);
        }
        Err(self.misread("`steps` is expected here", "rules count in steps: write for example 500 steps"))
    }

    /// That nothing is left; `more` are the words that could stand here.
    pub fn end(&self, more: &[&str]) -> Result<(), Misread> {
        let Some(token) = self.peek() else { return Ok(()) };
        let way_out = match nearest(token.text, more) {
            Some(near) => format!("did you mean `{near}`?"),
            None if more.is_empty() => "leave it out".to_owned(),
            None => format!("leave it out; what may follow here: {}", more.join(", ")),
        };
        Err(self.misread(&format!("`{}` has no meaning here", token.text), &way_out))
    }

    /// Where the next token stands, or the end.
    pub fn here(&self) -> Range<usize> {
        self.peek().map_or(self.characters..self.characters, |token| token.at.0..token.at.1)
    }

    pub fn misread(&self, reason: &str, way_out: &str) -> Misread {
        Misread { at: self.here(), reason: reason.to_owned(), way_out: way_out.to_owned() }
    }

    /// The word that comes next, as it is written.
    pub fn next_word(&self) -> &'a str {
        self.peek().map_or("", |token| token.text)
    }
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if first.is_whitespace() {
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let (kind, length) = token(rest);
        let start = text[..text.len() - rest.len()].chars().count();
        let (text, after) = rest.split_at(length);
        tokens.push(Token { kind, text, at: (start, start + text.chars().count()) });
        rest = after;
    }
    tokens
}

/// What the text begins with, and its bytes. `text` is not empty.
fn token(text: &str) -> (Kind, usize) {
    // The longer signs first.
    for sign in [Comparison::AtMost, Comparison::AtLeast, Comparison::Below, Comparison::Above] {
        if text.starts_with(sign.sign()) {
            return (Kind::Comparison(sign), sign.sign().len());
        }
    }
    if let Some((number, length)) = number(text) {
        return (Kind::Number(number), length);
    }
    let is_of_word = |c: char| c.is_alphanumeric() || "_/.-°%".contains(c);
    match text.find(|c| !is_of_word(c)) {
        Some(0) => (Kind::Other, text.chars().next().map_or(1, char::len_utf8)),
        Some(length) => (Kind::Word, length),
        None => (Kind::Word, text.len()),
    }
}

/// The longest number that the text begins with: `5GiB` is five and a unit.
fn number(text: &str) -> Option<(f64, usize)> {
    let digits = |from: usize| text[from..].bytes().take_while(u8::is_ascii_digit).count();
    let sign = usize::from(text.starts_with('-'));
    let mut end = sign + digits(sign);
    if end == sign {
        return None;
    }
    if text[end..].starts_with('.') && digits(end + 1) > 0 {
        end += 1 + digits(end + 1);
    }
    if text[end..].starts_with(['e', 'E']) {
        let exponent = end + 1 + usize::from(text[end + 1..].starts_with(['-', '+']));
        if digits(exponent) > 0 {
            end = exponent + digits(exponent);
        }
    }
    text[..end].parse().ok().map(|number| (number, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_end_where_their_units_begin() {
        for (text, value, length) in
            [("5GiB", 5.0, 1), ("1.5", 1.5, 3), ("3e-4 x", 3e-4, 4), ("2e", 2.0, 1), ("-1.5.", -1.5, 4)]
        {
            assert_eq!(number(text), Some((value, length)), "{text}");
        }
        assert_eq!((number("-"), number("x5"), number(".5")), (None, None, None));
    }

    #[test]
    fn amounts_are_in_the_first_unit_whatever_was_said() {
        let amount = |text, unit| Sentence::new(text).amount(unit);
        assert_eq!(amount("5 GiB", Unit::Bytes), Ok(5.0 * 1024.0 * 1024.0 * 1024.0));
        assert_eq!(amount("2h", Unit::Seconds), Ok(7200.0));
        assert_eq!(amount("88", Unit::Celsius), Ok(88.0));
        assert_eq!(amount("88 °C", Unit::Celsius), Ok(88.0));
        assert!(amount("5", Unit::Bytes).unwrap_err().way_out.contains("GiB"));
    }

    #[test]
    fn values_are_said_with_their_unit() {
        let said = [Unit::Plain.said(12000.0), Unit::Plain.said(6.25), Unit::Celsius.said(88.4)];
        assert_eq!(said, ["12,000", "6.2500", "88 °C"]);
    }
}
