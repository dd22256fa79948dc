//! Text as one tensor of tokens and windows into it.

use crate::task::TaskError;
use overnight::data_files::{Text, Tokens, Vocabulary};
use tch::{Device, Kind, TchError, Tensor};

/// A text in training and validation, each as overlapping windows of `context + 1` tokens: a view of
/// the tokens, which lie on the device once, in the smallest numbers that hold them.
pub struct TextData {
    pub vocabulary: Vocabulary,
    context: i64,
    training: Tensor,
    validation: Tensor,
    training_tokens: i64,
    validation_tokens: i64,
    validation_bytes: i64,
}

impl TextData {
    /// Takes a loaded text to the device. Both parts hold at least one window, which [`Text::load`]
    /// has made sure of.
    pub fn new(text: Text, context: i64, device: Device) -> Result<Self, TaskError> {
        let tokens =
            text.vocabulary.encode(&text.content).map_err(|error| TaskError::Data(error.to_string()))?;
        let all = match &tokens {
            Tokens::U8(numbers) => Tensor::f_from_slice(numbers)?,
            Tokens::I16(numbers) => Tensor::f_from_slice(numbers)?,
            Tokens::I32(numbers) => Tensor::f_from_slice(numbers)?,
        };
        let all = all.f_to(device)?;
        let training_tokens = text.training_tokens as i64;
        let validation_tokens = text.tokens as i64 - training_tokens;
        let windows = |start, length| all.f_narrow(0, start, length)?.f_unfold(0, context + 1, 1);
        Ok(Self {
            context,
            training: windows(0, training_tokens)?,
            validation: windows(training_tokens, validation_tokens)?,
            training_tokens,
            validation_tokens,
            validation_bytes: text.validation_bytes as i64,
            vocabulary: text.vocabulary,
        })
    }

    /// Places at which a training window can begin.
    pub fn training_windows(&self) -> i64 {
        self.training_tokens - self.context
    }

    /// Places at which a validation window can begin.
    pub fn validation_windows(&self) -> i64 {
        self.validation_tokens - self.context
    }

    /// Windows that it takes to look at the whole validation part.
    pub fn validation_windows_side_by_side(&self) -> i64 {
        (self.validation_tokens - 2) / self.context + 1
    }

    /// Bytes of UTF-8 that a validation token stands for, on average.
    pub fn validation_bytes_per_token(&self) -> f64 {
        self.validation_bytes as f64 / self.validation_tokens as f64
    }

    /// The training windows that begin at `starts` (int64, `[n]`): inputs and the token after each of
    /// them, both int64 `[n, context]`.
    pub fn training_batch(&self, starts: &Tensor) -> Result<(Tensor, Tensor), TchError> {
        self.gather(&self.training, starts)
    }

    /// The same of the validation part.
    pub fn validation_batch(&self, starts: &Tensor) -> Result<(Tensor, Tensor), TchError> {
        self.gather(&self.validation, starts)
    }

    fn gather(&self, windows: &Tensor, starts: &Tensor) -> Result<(Tensor, Tensor), TchError> {
        let tokens = windows.f_index_select(0, starts)?.f_to_kind(Kind::Int64)?;
        Ok((tokens.f_narrow(1, 0, self.context)?, tokens.f_narrow(1, 1, self.context)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use overnight::experiment::settings::Tokenizer;

    fn data(content: &str, validation: f64, context: usize) -> TextData {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        std::fs::write(&path, content).unwrap();
        let text = Text::load(&[path], Tokenizer::Char, validation, context).unwrap();
        TextData::new(text, context as i64, Device::Cpu).unwrap()
    }

    fn numbers(tensor: &Tensor) -> Vec<i64> {
        Vec::try_from(tensor.flatten(0, -1)).unwrap()
    }

    #[test]
    fn a_window_is_followed_by_itself_one_token_later() {
        let data = data("abcdefghij", 0.4, 2);
        assert_eq!((data.training_windows(), data.validation_windows()), (4, 2));
        let (inputs, targets) = data.training_batch(&Tensor::from_slice(&[0_i64, 3])).unwrap();
        assert_eq!((numbers(&inputs), numbers(&targets)), (vec![0, 1, 3, 4], vec![1, 2, 4, 5]));
        let (inputs, targets) = data.validation_batch(&Tensor::from_slice(&[1_i64])).unwrap();
        assert_eq!((numbers(&inputs), numbers(&targets)), (vec![7, 8], vec![8, 9]));
    }

    #[test]
    fn tokens_lie_once_in_the_smallest_numbers() {
        let content = data("abcdefghij", 0.4, 2);
        assert_eq!(content.training.kind(), Kind::Uint8);
        // A window view shares its memory with the tokens: stride 1 in both dimensions.
        assert_eq!(content.training.stride(), [1, 1]);
        let wide: String = ('一'..).take(400).collect();
        let wide = data(&wide, 0.5, 2);
        assert_eq!(wide.training.kind(), Kind::Int16);
        let (inputs, _) = wide.validation_batch(&Tensor::from_slice(&[0_i64])).unwrap();
        assert_eq!(numbers(&inputs), [200, 201]);
        assert_eq!(wide.validation_bytes_per_token(), 3.0);
    }
}
