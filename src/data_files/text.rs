//! Text files as one text, in training and validation.

use super::{DataError, Vocabulary, split_by_position};
use crate::experiment::settings::Tokenizer;
use crate::run_dir::read;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// All text of an experiment: what its tokens mean, and where the validation part begins.
#[derive(Debug, Clone)]
pub struct Text {
    pub content: String,
    pub vocabulary: Vocabulary,
    pub tokens: usize,
    /// Tokens of the training part, from the start of the text.
    pub training_tokens: usize,
    /// Bytes of UTF-8 in the validation part: what bits per byte are counted over.
    pub validation_bytes: usize,
}

impl Text {
    /// Reads `files`, counts tokens, and splits by position: the last `validation` is held out.
    ///
    /// # Errors
    ///
    /// A file that is missing, empty or not UTF-8; a part too short for one example, which is
    /// `context` tokens and the token after them.
    pub fn load(
        files: &[PathBuf],
        tokenizer: Tokenizer,
        validation: f64,
        context: usize,
    ) -> Result<Self, DataError> {
        let content = read_text(files)?;
        let vocabulary = Vocabulary::of(&content, tokenizer);
        let tokens = vocabulary.count_tokens(&content);
        let training_tokens = split_by_position(tokens, validation)?;
        let needed = context + 1;
        for (part, tokens) in [("training", training_tokens), ("validation", tokens - training_tokens)] {
            if tokens < needed {
                return Err(DataError::TooShort { part, tokens, needed });
            }
        }
        let training_bytes = match tokenizer {
            Tokenizer::Byte => training_tokens,
            Tokenizer::Char => {
                content.char_indices().nth(training_tokens).map_or(content.len(), |(offset, _)| offset)
            }
        };
        Ok(Self {
            validation_bytes: content.len() - training_bytes,
            content,
            vocabulary,
            tokens,
            training_tokens,
        })
    }

    /// The same text in another vocabulary of the same kind, which a model brings with it.
    ///
    /// # Errors
    ///
    /// A character that has no token there.
    pub fn with_vocabulary(self, vocabulary: Vocabulary) -> Result<Self, DataError> {
        let foreign = match (&vocabulary, &self.vocabulary) {
            (Vocabulary::Byte, Vocabulary::Byte) => None,
            (Vocabulary::Char { characters: known }, Vocabulary::Char { characters }) => {
                characters.iter().find(|character| !known.contains(character)).copied()
            }
            _ => return Err(DataError::OtherTokenizer),
        };
        match foreign {
            Some(character) => Err(DataError::NotInVocabulary { character }),
            None => Ok(Self { vocabulary, ..self }),
        }
    }

    /// Windows of `context` tokens that fit into the training part side by side.
    pub fn examples_per_epoch(&self, context: usize) -> u64 {
        (self.training_tokens / context.max(1)).max(1) as u64
    }

    /// Token positions of the validation part.
    pub fn validation(&self) -> Range<usize> {
        self.training_tokens..self.tokens
    }
}

/// The text of all `files`, in this order. A byte-order mark is dropped, CRLF becomes LF, and a
/// file that does not end with a newline gets one before the next file begins.
///
/// # Errors
///
/// A file that cannot be read, is empty, or is not UTF-8 (with the offset of the first bad byte in
/// the file as it lies on disk).
pub fn read_text(files: &[PathBuf]) -> Result<String, DataError> {
    let mut all = String::new();
    for path in files {
        let text = read_one(path)?;
        if !all.is_empty() && !all.ends_with('\n') {
            all.push('\n');
        }
        all.push_str(&text);
    }
    Ok(all)
}

fn read_one(path: &Path) -> Result<String, DataError> {
    let bytes = read::bytes(path).map_err(|error| DataError::read(path, error))?;
    let text = String::from_utf8(bytes).map_err(|error| DataError::NotUtf8 {
        path: path.to_owned(),
        offset: error.utf8_error().valid_up_to(),
    })?;
    let text = match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    };
    if text.is_empty() {
        return Err(DataError::Empty { path: path.to_owned() });
    }
    Ok(if text.contains("\r\n") { text.replace("\r\n", "\n") } else { text })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn file(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text.txt");
        fs::write(&path, content).unwrap();
        (folder, path)
    }

    #[test]
    fn a_book_with_byte_order_mark_and_crlf_loads_as_it_is() {
        // Made the way Project Gutenberg publishes: mark, CRLF, typographic quotes.
        let book = "\u{feff}The Project of a Book\r\n\r\n“Where to?” said the Owl.\r\n";
        let (_folder, path) = file(book.as_bytes());
        let text = Text::load(&[path], Tokenizer::Char, 0.2, 4).unwrap();
        assert_eq!(text.content, "The Project of a Book\n\n“Where to?” said the Owl.\n");
        assert_eq!(text.tokens, text.content.chars().count());
        // “W” and “?” stand in the training part; the last fifth is plain ASCII.
        assert_eq!(text.validation_bytes, text.validation().len());
    }

    #[test]
    fn bytes_of_the_validation_part_count_every_byte_of_wide_characters() {
        let (_folder, path) = file("aaaaaaaaéé".as_bytes());
        let by_char = Text::load(std::slice::from_ref(&path), Tokenizer::Char, 0.2, 1).unwrap();
        assert_eq!((by_char.tokens, by_char.training_tokens), (10, 8));
        assert_eq!(by_char.validation_bytes, 4);
        let by_byte = Text::load(&[path], Tokenizer::Byte, 0.25, 1).unwrap();
        assert_eq!((by_byte.tokens, by_byte.training_tokens), (12, 9));
        assert_eq!(by_byte.validation_bytes, 3);
    }

    #[test]
    fn files_are_joined_with_a_newline_where_one_is_missing() {
        let (folder, first) = file(b"one");
        let second = folder.path().join("second.txt");
        fs::write(&second, "two\n").unwrap();
        let text = read_text(&[first.clone(), second.clone(), first]).unwrap();
        assert_eq!(text, "one\ntwo\none");
    }

    #[test]
    fn text_that_is_not_utf8_is_refused_with_the_offset_of_the_bad_byte() {
        let (_folder, path) = file(b"\xef\xbb\xbfabc\xe9def");
        let error = read_text(std::slice::from_ref(&path)).unwrap_err().to_string();
        assert!(error.contains("not UTF-8 at byte 6"), "{error}");
        assert!(error.starts_with(path.to_str().unwrap()));
    }

    #[test]
    fn an_empty_file_is_refused_by_name_also_when_it_holds_only_a_mark() {
        for content in ["", "\u{feff}"] {
            let (_folder, path) = file(content.as_bytes());
            let error = read_text(&[path]).unwrap_err();
            assert!(matches!(error, DataError::Empty { .. }), "{error}");
        }
    }

    #[test]
    fn text_shorter_than_the_context_is_refused_for_the_part_that_is_too_short() {
        let (_folder, path) = file(&[b'a'; 100]);
        let error = Text::load(std::slice::from_ref(&path), Tokenizer::Char, 0.1, 10).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the validation part of the text is 10 tokens long, but one example needs 11 (context + 1): use more text, a smaller model.context, or another data.validation"
        );
        assert!(Text::load(&[path], Tokenizer::Char, 0.11, 10).is_ok());
    }
}
