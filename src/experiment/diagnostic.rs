//! What is wrong with a file of settings: the thing, the place, and the way out.

use std::fmt;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::run_dir::read;

/// Something wrong with a setting, before its place in the file is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Dotted: `model.heads`. Empty for the file as a whole.
    pub path: String,
    /// What is to be pointed at.
    pub part: Part,
    pub reason: String,
    pub way_out: String,
}

/// The part of a setting that a problem is with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Key,
    Value,
    /// A part of a value that is a sentence, in its characters.
    Within {
        start: usize,
        end: usize,
    },
}

impl Problem {
    pub fn new(path: impl Into<String>, reason: impl Into<String>, way_out: impl Into<String>) -> Problem {
        Problem { path: path.into(), part: Part::Value, reason: reason.into(), way_out: way_out.into() }
    }
}

/// A problem with its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    pub file: PathBuf,
    /// The dotted path of the setting; empty for the file as a whole.
    #[serde(skip)]
    pub key: String,
    /// From 1; 0 for the file as a whole.
    pub line: usize,
    /// In characters, from 1; 0 for the file as a whole.
    pub column: usize,
    pub reason: String,
    pub way_out: String,
    /// The line itself, and how many characters of it are meant.
    #[serde(skip)]
    pub excerpt: String,
    #[serde(skip)]
    pub width: usize,
}

/// Characters of a line that are shown.
const MOST_COLUMNS: usize = 160;

impl fmt::Display for Diagnostic {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "{}", self.file.display())?;
        if self.line > 0 {
            write!(out, ":{}:{}", self.line, self.column)?;
        }
        write!(out, ": {}", self.reason)?;
        if self.line > 0 {
            let number = self.line.to_string();
            // Of a long line, what is around the place.
            let left_out = (self.column - 1).saturating_sub(MOST_COLUMNS / 2);
            let shown: String = self.excerpt.chars().skip(left_out).take(MOST_COLUMNS).collect();
            let before = shown.chars().take(self.column - 1 - left_out);
            // Tabs keep their width above the marks.
            let indent: String = before.map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            let room = shown.chars().count().saturating_sub(indent.chars().count());
            let marks = "^".repeat(self.width.min(room).max(1));
            write!(out, "\n  {number} | {shown}\n  {} | {indent}{marks}", " ".repeat(number.len()))?;
        }
        if !self.way_out.is_empty() {
            write!(out, "\n  {}", self.way_out)?;
        }
        Ok(())
    }
}

/// A file that cannot be used, with everything that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected(pub Vec<Diagnostic>);

impl fmt::Display for Rejected {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        for (index, diagnostic) in self.0.iter().enumerate() {
            if index > 0 {
                out.write_str("\n\n")?;
            }
            write!(out, "{diagnostic}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Rejected {}

/// More is nothing that a person wrote, and reading it would take minutes and gigabytes.
const MOST_BYTES: u64 = 4 << 20;

/// Why there is no text to look at.
#[derive(Debug)]
pub enum Unread {
    /// No file has that name.
    Missing(Rejected),
    Wrong(Rejected),
}

/// The text of a file that a person wrote.
///
/// # Errors
/// It cannot be read (then `way_out` says what to do), is far too long, or is not UTF-8.
pub fn read_text(path: &Path, way_out: &str) -> Result<String, Unread> {
    let whole = |reason: String, way_out: &str| {
        let source = Source::new(path, "");
        Rejected(vec![source.diagnostic(None, reason, way_out.to_owned())])
    };
    let mut bytes = Vec::new();
    let read = read::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes));
    read.map_err(|error| {
        let rejected = whole(format!("cannot be read: {error}"), way_out);
        let is_missing = error.kind() == io::ErrorKind::NotFound;
        if is_missing { Unread::Missing(rejected) } else { Unread::Wrong(rejected) }
    })?;
    if bytes.len() as u64 > MOST_BYTES {
        let reason = format!("is longer than {} MiB", MOST_BYTES >> 20);
        let way_out = "is it the file that was meant? A sweep writes many runs in a few lines";
        return Err(Unread::Wrong(whole(reason, way_out)));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Unread::Wrong(whole(format!("is not UTF-8 from byte {at} on"), "save it as UTF-8"))
    })
}

/// The text of such a file, to find places in.
#[derive(Debug, Clone)]
pub struct Source {
    pub file: PathBuf,
    text: String,
    document: Option<toml_edit::Document<String>>,
}

impl Source {
    pub fn new(file: &Path, text: &str) -> Source {
        let document = toml_edit::Document::parse(text.to_owned()).ok();
        Source { file: file.to_owned(), text: text.to_owned(), document }
    }

    /// Its values.
    ///
    /// # Errors
    /// It is no TOML, with the place.
    pub fn table(&self) -> Result<toml::Table, Rejected> {
        toml::from_str(&self.text).map_err(|error| {
            let reason = error.message().trim_end().replace('\n', ", ");
            let way_out = "see https://toml.io for the format".to_owned();
            Rejected(vec![self.diagnostic(error.span(), reason, way_out)])
        })
    }

    /// The problem with the place of its setting: the key if it is there, else the nearest table above.
    pub fn locate(&self, problem: Problem) -> Diagnostic {
        let span = self.span(&problem.path, problem.part);
        let span = match (problem.part, span) {
            (Part::Within { start, end }, Some(span)) => Some(self.within(span, start, end)),
            (_, span) => span,
        };
        let diagnostic = self.diagnostic(span, problem.reason, problem.way_out);
        Diagnostic { key: problem.path, ..diagnostic }
    }

    /// A diagnostic for a range of bytes of the text.
    pub fn diagnostic(&self, span: Option<Range<usize>>, reason: String, way_out: String) -> Diagnostic {
        let (file, key) = (self.file.clone(), String::new());
        let Some(span) = span else {
            return Diagnostic {
                file,
                key,
                line: 0,
                column: 0,
                reason,
                way_out,
                excerpt: String::new(),
                width: 0,
            };
        };
        let start = floor_to_character(&self.text, span.start);
        let line_start = self.text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = self.text[start..].find('\n').map_or(self.text.len(), |newline| start + newline);
        let end = floor_to_character(&self.text, span.end.clamp(start, line_end));
        Diagnostic {
            file,
            key,
            line: self.text[..start].matches('\n').count() + 1,
            column: self.text[line_start..start].chars().count() + 1,
            reason,
            way_out,
            excerpt: self.text[line_start..line_end].trim_end().to_owned(),
            width: self.text[start..end].chars().count(),
        }
    }

    /// The part of the string at `span` from character `start` to `end`; all of it where its text is not
    /// what it says, because it has escapes or more than one line.
    fn within(&self, span: Range<usize>, start: usize, end: usize) -> Range<usize> {
        let written = &self.text[span.clone()];
        let inside = written.strip_prefix(['"', '\'']).and_then(|inside| inside.strip_suffix(['"', '\'']));
        let Some(inside) =
            inside.filter(|inside| !inside.contains(['\\', '\n']) && !inside.starts_with(['"', '\'']))
        else {
            return span;
        };
        let byte = |character| inside.char_indices().nth(character).map_or(inside.len(), |(byte, _)| byte);
        span.start + 1 + byte(start)..span.start + 1 + byte(end)
    }

    /// The line that gives the setting its value, if the file gives it.
    pub fn line_of(&self, path: &str) -> Option<usize> {
        let (span, whole) = self.deepest(path, Part::Value)?;
        whole.then(|| self.text[..span.start].matches('\n').count() + 1)
    }

    /// Whether the file says something at this path itself, in place or in its sweep.
    pub fn gives(&self, path: &str) -> bool {
        self.in_sweep(path, Part::Value).is_some()
            || self.deepest(path, Part::Value).is_some_and(|(_, whole)| whole)
    }

    fn span(&self, path: &str, part: Part) -> Option<Range<usize>> {
        // A value that the sweep gave has its place under `sweep.values`.
        self.in_sweep(path, part).or_else(|| self.deepest(path, part).map(|(span, _)| span))
    }

    fn in_sweep(&self, path: &str, part: Part) -> Option<Range<usize>> {
        let values = self.document.as_ref()?.get("sweep")?.get("values")?.as_table_like()?;
        let (key, item) = values.get_key_value(path)?;
        if part == Part::Key { key.span() } else { item.span().or_else(|| key.span()) }
    }

    /// The span of the deepest part of `path` that the file has, and whether that is all of it.
    fn deepest(&self, path: &str, part: Part) -> Option<(Range<usize>, bool)> {
        let mut table: &dyn toml_edit::TableLike = self.document.as_ref()?.as_table();
        let mut found = None;
        let mut names = path.split('.').filter(|name| !name.is_empty()).peekable();
        while let Some(name) = names.next() {
            let (name, index) = indexed(name);
            let Some((key, item)) = table.get_key_value(name) else { return found.map(|span| (span, false)) };
            let is_last = names.peek().is_none();
            if let Some(element) = index.and_then(|index| Element::of(item, index)) {
                found = element.span.or_else(|| key.span()).or(found);
                match element.table {
                    Some(below) => table = below,
                    None => return found.map(|span| (span, is_last)),
                }
                continue;
            }
            let span = if is_last && part != Part::Key && !item.is_table() {
                item.span().or(key.span())
            } else {
                key.span()
            };
            found = span.or(found);
            match item.as_table_like() {
                Some(below) => table = below,
                None => return found.map(|span| (span, is_last)),
            }
        }
        found.map(|span| (span, true))
    }
}

/// One of several: of `[[hooks]]`, or of the values of an array.
struct Element<'a> {
    span: Option<Range<usize>>,
    table: Option<&'a dyn toml_edit::TableLike>,
}

impl<'a> Element<'a> {
    fn of(item: &'a toml_edit::Item, index: usize) -> Option<Element<'a>> {
        if let Some(tables) = item.as_array_of_tables() {
            let table = tables.get(index)?;
            return Some(Element { span: table.span(), table: Some(table) });
        }
        let value = item.as_array()?.get(index)?;
        let table = value.as_inline_table().map(|table| table as &dyn toml_edit::TableLike);
        Some(Element { span: value.span(), table })
    }
}

/// `hooks[1]` as its name and number.
pub fn indexed(name: &str) -> (&str, Option<usize>) {
    let split = name.strip_suffix(']').and_then(|name| name.split_once('['));
    match split.and_then(|(name, index)| Some((name, index.parse().ok()?))) {
        Some((name, index)) => (name, Some(index)),
        None => (name, None),
    }
}

fn floor_to_character(text: &str, mut index: usize) -> usize {
    index = index.min(text.len());
    while !text.is_char_boundary(index) {
        index -= 1;
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_in_the_place_of_a_file_is_refused_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("overnight.toml");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let Err(Unread::Wrong(rejected)) = read_text(&pipe, "remove it") else { panic!("it was read") };
        assert!(rejected.to_string().contains("not a file"), "{rejected}");
    }
    #[test]
    fn of_a_long_line_only_what_is_around_the_place_is_shown() {
        let text = format!("{}wrong{}", "a".repeat(5000), "b".repeat(5000));
        let source = Source::new(Path::new("x.toml"), &text);
        let shown = source.diagnostic(Some(5000..5005), "no".to_owned(), String::new()).to_string();
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines[0].starts_with("x.toml:1:5001: no") && lines[1].len() < 200, "{shown}");
        let marks = lines[2].find('^').unwrap();
        assert_eq!(&lines[1][marks..marks + 5], "wrong");
    }
}
