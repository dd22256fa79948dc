//! Tokens by characters or by bytes: what each number means, and text as numbers and back.

use crate::experiment::settings::Tokenizer;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

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

    /// The vocabulary that has these [`names`](Self::names); none, if there is no such.
    pub fn of_names(names: &[String]) -> Option<Self> {
        if names == Self::Byte.names() {
            return Some(Self::Byte);
        }
        let character = |name: &String| {
            let mut characters = name.chars();
            characters.next().filter(|_| characters.next().is_none())
        };
        let characters: Option<Vec<char>> = names.iter().map(character).collect();
        characters.filter(|characters| !characters.is_empty()).map(|characters| Self::Char { characters })
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

    #[test]
    fn characters_are_numbered_in_ascending_order_and_decode_back() {
        let vocabulary = Vocabulary::of("cab é", Tokenizer::Char);
        assert_eq!(vocabulary.len(), 5);
        let tokens = vocabulary.encode("ab éc").unwrap();
        assert_eq!(tokens, Tokens::U8(vec![1, 2, 0, 4, 3]));
        assert_eq!(vocabulary.decode(&tokens.to_i64()), "ab éc");
    }

    #[test]
    fn a_vocabulary_is_known_by_the_names_of_its_tokens() {
        for vocabulary in [Vocabulary::Byte, Vocabulary::of("cab é\n", Tokenizer::Char)] {
            assert_eq!(Vocabulary::of_names(&vocabulary.names()), Some(vocabulary));
        }
        for foreign in [&[][..], &["ab".to_owned()], &[String::new()]] {
            assert_eq!(Vocabulary::of_names(foreign), None);
        }
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
