//! A line for the terminal: pieces of text in colors, cut by the width in which they are shown.

use anstyle::Style;
use unicode_width::UnicodeWidthChar;

use crate::say;

/// One line, never with a line break or another control character in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Line {
    pieces: Vec<(Style, String)>,
}

impl Line {
    pub fn new() -> Line {
        Line::default()
    }

    /// The line with `text` behind it. What comes from files is shown, not obeyed.
    pub fn with(mut self, style: Style, text: &str) -> Line {
        self.pieces.push((style, say::plain(text).replace('\t', " ")));
        self
    }

    pub fn plain(self, text: &str) -> Line {
        self.with(Style::new(), text)
    }

    /// The line with another behind it.
    pub fn and(mut self, other: Line) -> Line {
        self.pieces.extend(other.pieces);
        self
    }

    /// In columns of the terminal.
    pub fn width(&self) -> usize {
        self.pieces.iter().map(|(_, text)| width(text)).sum()
    }

    /// The line in at most `limit` columns; what is cut off is an ellipsis.
    pub fn cut(self, limit: usize) -> Line {
        if self.width() <= limit {
            return self;
        }
        let mut left = limit;
        let mut pieces = Vec::new();
        for (style, text) in self.pieces {
            let taken = if width(&text) < left { text } else { end(&text, left) };
            left -= width(&taken);
            let is_cut = taken.ends_with(ELLIPSIS);
            pieces.push((style, taken));
            if is_cut || left == 0 {
                break;
            }
        }
        Line { pieces }
    }

    /// Without colors.
    pub fn text(&self) -> String {
        self.pieces.iter().map(|(_, text)| text.as_str()).collect::<String>().trim_end().to_owned()
    }

    /// With colors, as escape sequences.
    pub fn styled(&self) -> String {
        let piece = |(style, text): &(Style, String)| {
            if *style == Style::new() { text.clone() } else { format!("{style}{text}{style:#}") }
        };
        self.pieces.iter().map(piece).collect()
    }
}

const ELLIPSIS: char = '…';

/// Columns that `text` takes on a terminal: two for each wide character.
pub fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

/// `text` in at most `limit` columns, its middle replaced by an ellipsis: the names of a sweep begin
/// alike and end in what tells them apart.
pub fn middle(text: &str, limit: usize) -> String {
    if width(text) <= limit {
        return text.to_owned();
    }
    let Some(room) = limit.checked_sub(1) else { return String::new() };
    let head = taken(text.chars(), room.div_ceil(2));
    let tail: String = taken(text.chars().rev(), room - width(&head)).chars().rev().collect();
    format!("{head}{ELLIPSIS}{tail}")
}

/// `text` in at most `limit` columns, its end replaced by an ellipsis.
pub fn end(text: &str, limit: usize) -> String {
    match limit.checked_sub(1) {
        _ if width(text) <= limit => text.to_owned(),
        Some(room) => taken(text.chars(), room) + "…",
        None => String::new(),
    }
}

/// `text` with spaces up to `columns`.
pub fn padded(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

fn taken(chars: impl Iterator<Item = char>, mut room: usize) -> String {
    chars
        .take_while(|c| match room.checked_sub(char_width(*c)) {
            Some(left) => {
                room = left;
                true
            }
            None => false,
        })
        .collect()
}

fn char_width(c: char) -> usize {
    c.width().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_beginning_and_what_tells_it_apart() {
        assert_eq!(middle("shakespeare/lr3e-4-s1-1f3a9c07", 17), "shakespe…1f3a9c07");
        assert_eq!(middle("short", 5), "short");
        assert_eq!([middle("short", 4), middle("short", 1), middle("short", 0)], ["sh…t", "…", ""]);
    }

    #[test]
    fn wide_characters_count_for_two_columns() {
        assert_eq!(width("数据/s1"), 7);
        // Five columns are not filled by whole characters.
        assert_eq!(middle("数据数据数据", 6), "数…据");
        assert_eq!(end("数据", 3), "数…");
    }

    #[test]
    fn a_line_is_cut_across_its_pieces_and_commands_nothing() {
        let line = Line::new().plain("one ").with(Style::new().bold(), "two\x1b[2J").plain(" three");
        assert_eq!(line.text(), "one two\u{fffd}[2J three");
        let cut = line.clone().cut(6);
        assert_eq!((cut.text().as_str(), cut.width()), ("one t…", 6));
        assert_eq!(line.clone().cut(100), line);
        assert_eq!(line.clone().cut(0).text(), "");
        assert!(line.styled().contains("\x1b[1mtwo"), "{:?}", line.styled());
    }
}
