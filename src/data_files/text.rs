//! Text files as one text, and tokens of it by characters or by bytes.

use super::{DataError, split_by_position};
use crate::experiment::settings::Tokenizer;
use crate::run_dir::read;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
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

/// A character of a prompt that the data does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "character {character:?} at position {position} of {text:?} does not occur in the data, so the model has no token for it (change the prompt, or use data.tokenizer = \"byte\")"
)]
pub struct UnknownCharacter {
    pub character: char,
    /// Counted in characters from 0.
    pub position: usize,
    pub text: String,
}

/// What each token number means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "tokenizer", rename_all = "lowercase")]
pub enum Vocabulary {
    /// Distinct characters in ascending order; a token is a character's place.
    Char { characters: Vec<char> },
    /// The 256 bytes.
    Byte,
}

impl Vocabulary {
    pub fn of(text: &str, tokenizer: Tokenizer) -> Self {
        match tokenizer {
            Tokenizer::Byte => Self::Byte,
            Tokenizer::Char => {
                let mut seen = vec![false; char::MAX as usize + 1];
                text.chars().for_each(|character| seen[character as usize] = true);
                let characters = (0..=char::MAX as u32)
                    .filter(|&code| seen[code as usize])
                    .filter_map(char::from_u32)
                    .collect();
                Self::Char { characters }
            }
        }
    }

    /// How many different tokens there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Char { characters } => characters.len(),
            Self::Byte => 256,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn count_tokens(&self, text: &str) -> usize {
        match self {
            Self::Char { .. } => text.chars().count(),
            Self::Byte => text.len(),
        }
    }

    /// The tokens of `text`, in the smallest numbers that hold them.
    ///
    /// # Errors
    ///
    /// The first character that has no token.
    pub fn encode(&self, text: &str) -> Result<Tokens, UnknownCharacter> {
        let Self::Char { characters } = self else {
            return Ok(Tokens::U8(text.as_bytes().to_vec()));
        };
        let number: HashMap<char, usize> =
            characters.iter().enumerate().map(|(number, &character)| (character, number)).collect();
        // Nearly all text is ASCII: a table instead of a hash for it.
        let mut ascii = [None; 128];
        for (&character, &number) in &number {
            if character.is_ascii() {
                ascii[character as usize] = Some(number);
            }
        }
        let numbers = text.chars().enumerate().map(|(position, character)| {
            let found = match character.is_ascii() {
                true => ascii[character as usize],
                false => number.get(&character).copied(),
            };
            found.ok_or_else(|| UnknownCharacter {
                character,
                position,
                text: text.chars().take(80).collect(),
            })
        });
        Ok(match characters.len() {
            0..=0x100 => Tokens::U8(collect(numbers)?),
            0x101..=0x8000 => Tokens::I16(collect(numbers)?),
            _ => Tokens::I32(collect(numbers)?),
        })
    }

    /// What each token looks like in a list of them; a byte that is no printable ASCII as `<0a>`.
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Char { characters } => characters.iter().map(char::to_string).collect(),
            Self::Byte => (0..=255_u8)
                .map(|byte| match byte {
                    b' '..=b'~' => char::from(byte).to_string(),
                    _ => format!("<{byte:02x}>"),
                })
                .collect(),
        }
    }

    /// The text that `tokens` stand for; bytes that are no UTF-8 are shown as U+FFFD. Numbers
    /// outside of the vocabulary are shown so too.
    pub fn decode(&self, tokens: &[i64]) -> String {
        match self {
            Self::Char { characters } => tokens
                .iter()
                .map(|&token| {
                    let character = usize::try_from(token).ok().and_then(|i| characters.get(i));
                    character.copied().unwrap_or(char::REPLACEMENT_CHARACTER)
                })
                .collect(),
            Self::Byte => {
                let bytes: Vec<u8> =
                    tokens.iter().map(|&token| u8::try_from(token).unwrap_or(0xff)).collect();
                String::from_utf8_lossy(&bytes).into_owned()
            }
        }
    }
}

/// Token numbers, each as narrow as the vocabulary allows: a text of 100 MB stays 100 MB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tokens {
    U8(Vec<u8>),
    I16(Vec<i16>),
    I32(Vec<i32>),
}

impl Tokens {
    pub fn len(&self) -> usize {
        match self {
            Self::U8(numbers) => numbers.len(),
            Self::I16(numbers) => numbers.len(),
            Self::I32(numbers) => numbers.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn to_i64(&self) -> Vec<i64> {
        match self {
            Self::U8(numbers) => numbers.iter().map(|&n| n.into()).collect(),
            Self::I16(numbers) => numbers.iter().map(|&n| n.into()).collect(),
            Self::I32(numbers) => numbers.iter().map(|&n| n.into()).collect(),
        }
    }
}

fn collect<T: TryFrom<usize> + Default>(
    numbers: impl Iterator<Item = Result<usize, UnknownCharacter>>,
) -> Result<Vec<T>, UnknownCharacter> {
    // The caller chose a width that holds the largest number, so the default never stands in.
    numbers.map(|number| number.map(|number| T::try_from(number).unwrap_or_default())).collect()
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

    #[test]
    fn characters_are_numbered_in_ascending_order_and_decode_back() {
        let vocabulary = Vocabulary::of("cab é", Tokenizer::Char);
        assert_eq!(vocabulary.len(), 5);
        let tokens = vocabulary.encode("ab éc").unwrap();
        assert_eq!(tokens, Tokens::U8(vec![1, 2, 0, 4, 3]));
        assert_eq!(vocabulary.decode(&tokens.to_i64()), "ab éc");
    }

    #[test]
    fn a_vocabulary_beyond_a_byte_takes_wider_numbers() {
        let text: String = ('一'..).take(300).collect();
        let vocabulary = Vocabulary::of(&text, Tokenizer::Char);
        let tokens = vocabulary.encode(&text).unwrap();
        assert!(matches!(&tokens, Tokens::I16(numbers) if numbers[299] == 299));
        assert_eq!(vocabulary.decode(&tokens.to_i64()), text);
    }

    #[test]
    fn an_unknown_character_of_a_prompt_is_named_with_its_place() {
        let vocabulary = Vocabulary::of("abc", Tokenizer::Char);
        let error = vocabulary.encode("ab€").unwrap_err();
        assert_eq!((error.character, error.position), ('€', 2));
        assert!(error.to_string().contains("'€' at position 2"), "{error}");
        assert!(Vocabulary::Byte.encode("€").is_ok());
    }
}
