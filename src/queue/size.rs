//! How much memory a model takes before it has seen one example: its numbers, their gradients and what the
//! optimizer keeps of each. Counted without libtorch, so that `check` can say that it will not fit.

use crate::data_files::{DataFacts, Learned};
use crate::experiment::settings::{Cnn, Gpt, Mlp, Model, Optimizer, Resnet18, Settings};

/// Bytes of a number: weights and averages are kept in single precision, whatever is computed in.
const NUMBER: u64 = 4;
/// Units of the hidden layer behind a convolutional net's stages.
const CNN_HIDDEN: u64 = 128;

/// How many numbers are trained; what is too many to count is the largest there is.
pub fn parameters(settings: &Settings, facts: &DataFacts) -> u64 {
    let counted = match (&settings.model, &facts.learned) {
        (Model::Gpt(gpt), Learned::Text { vocabulary, .. }) => of_gpt(gpt, vocabulary.len() as u64),
        (model, Learned::Images { channels, height, width, classes, .. }) => {
            let [channels, height, width] = [*channels, *height, *width].map(u64::from);
            let classes = classes.len() as u64;
            match model {
                Model::Mlp(mlp) => of_mlp(mlp, channels * height * width, classes),
                Model::Cnn(cnn) => of_cnn(cnn, [channels, height, width], classes),
                Model::Resnet18(resnet) => of_resnet18(resnet, channels, classes),
                Model::Gpt(_) => Some(0),
            }
        }
        // The settings do not go together, which is said elsewhere.
        (_, Learned::Text { .. }) => Some(0),
    };
    counted.unwrap_or(u64::MAX)
}

/// Bytes for weights, gradients and the optimizer's averages.
pub fn training_bytes(settings: &Settings, facts: &DataFacts) -> u64 {
    let averages = match &settings.train.optimizer {
        Optimizer::Adamw(_) => 2,
        Optimizer::Sgd(sgd) if sgd.momentum > 0.0 => 1,
        Optimizer::Sgd(_) => 0,
    };
    parameters(settings, facts).saturating_mul(NUMBER * (2 + averages))
}

/// The setting that makes the model smaller.
pub fn largest_setting(settings: &Settings) -> &'static str {
    match &settings.model {
        Model::Gpt(_) => "model.width, model.layers or model.context",
        Model::Mlp(_) => "model.hidden",
        Model::Cnn(_) => "model.channels",
        Model::Resnet18(_) => "model.width",
    }
}

fn linear(inputs: u64, outputs: u64, with_bias: bool) -> Option<u64> {
    inputs.checked_mul(outputs)?.checked_add(if with_bias { outputs } else { 0 })
}

fn sum(parts: impl IntoIterator<Item = Option<u64>>) -> Option<u64> {
    parts.into_iter().try_fold(0_u64, |sum, part| sum.checked_add(part?))
}

fn of_gpt(gpt: &Gpt, vocabulary: u64) -> Option<u64> {
    let (width, context) = (u64::from(gpt.width), u64::from(gpt.context));
    let norm = Some(if gpt.bias { 2 * width } else { width });
    let block = sum([
        norm,
        linear(width, 3 * width, gpt.bias),
        linear(width, width, gpt.bias),
        norm,
        linear(width, 4 * width, gpt.bias),
        linear(4 * width, width, gpt.bias),
    ])?;
    // The head is the token embedding once more.
    let embeddings = (vocabulary + context).checked_mul(width);
    sum([embeddings, block.checked_mul(u64::from(gpt.layers)), norm])
}

fn of_mlp(mlp: &Mlp, inputs: u64, classes: u64) -> Option<u64> {
    let widths: Vec<u64> = std::iter::once(inputs)
        .chain(mlp.hidden.iter().map(|&width| width.into()))
        .chain([classes])
        .collect();
    sum(widths.windows(2).map(|sizes| linear(sizes[0], sizes[1], true)))
}

fn of_cnn(cnn: &Cnn, [channels, mut height, mut width]: [u64; 3], classes: u64) -> Option<u64> {
    let mut inputs = channels;
    let mut parts = Vec::new();
    for &outputs in &cnn.channels {
        parts.push(linear(9 * inputs, outputs.into(), true));
        inputs = outputs.into();
        (height, width) = (height / 2, width / 2);
    }
    parts.push(linear(inputs * height * width, CNN_HIDDEN, true));
    parts.push(linear(CNN_HIDDEN, classes, true));
    sum(parts)
}

fn of_resnet18(resnet: &Resnet18, channels: u64, classes: u64) -> Option<u64> {
    // A convolution without bias, and the norm behind it.
    let conv = |inputs: u64, outputs: u64, kernel: u64| {
        Some(inputs.checked_mul(outputs)?.checked_mul(kernel * kernel)? + 2 * outputs)
    };
    let mut inputs = u64::from(resnet.width);
    let mut parts = vec![conv(channels, inputs, 3)];
    for stage in 0..4 {
        let outputs = u64::from(resnet.width) << stage;
        for block in 0..2 {
            parts.extend([conv(inputs, outputs, 3), conv(outputs, outputs, 3)]);
            if stage > 0 && block == 0 {
                parts.push(conv(inputs, outputs, 1));
            }
            inputs = outputs;
        }
    }
    parts.push(linear(inputs, classes, true));
    sum(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_files::Vocabulary;
    use crate::experiment::settings::{Adamw, Sgd, Tokenizer};
    use crate::run_dir::scan::sample_record;

    fn images(channels: u32, side: u32, classes: usize) -> DataFacts {
        let classes = vec![String::new(); classes];
        let learned =
            Learned::Images { training: 1, validation: 1, channels, height: side, width: side, classes };
        DataFacts { examples_per_epoch: 1, learned, fingerprints: Vec::new() }
    }

    fn text(vocabulary: Vocabulary) -> DataFacts {
        let learned =
            Learned::Text { vocabulary, training_tokens: 1, validation_tokens: 1, validation_bytes: 1 };
        DataFacts { examples_per_epoch: 1, learned, fingerprints: Vec::new() }
    }

    fn with(model: Model) -> Settings {
        Settings { model, ..sample_record("x", "y").settings }
    }

    #[test]
    fn counts_are_those_that_others_count() {
        let resnet = with(Model::Resnet18(Resnet18::default()));
        assert_eq!(parameters(&resnet, &images(3, 32, 10)), 11_173_962);
        let mlp = with(Model::Mlp(Mlp { hidden: vec![256, 128], dropout: 0.0 }));
        assert_eq!(parameters(&mlp, &images(1, 28, 10)), 784 * 256 + 256 + 256 * 128 + 128 + 1290);
        let cnn = with(Model::Cnn(Cnn { channels: vec![32, 64], dropout: 0.0 }));
        let expected = 320 + (64 * 32 * 9 + 64) + (64 * 7 * 7 * 128 + 128) + 1290;
        assert_eq!(parameters(&cnn, &images(1, 28, 10)), expected);
        // GPT-2's smallest, with bytes for its vocabulary: 124,439,808 less 50,001 rows of 768.
        let gpt = Gpt { layers: 12, heads: 12, width: 768, context: 1024, dropout: 0.0, bias: true };
        let bytes = Vocabulary::of("", Tokenizer::Byte);
        assert_eq!(parameters(&with(Model::Gpt(gpt)), &text(bytes)), 124_439_808 - 50_001 * 768);
    }

    #[test]
    fn each_optimizer_keeps_its_own_share_and_nothing_overflows() {
        let bytes = |optimizer| {
            let mut settings = with(Model::Mlp(Mlp { hidden: vec![], dropout: 0.0 }));
            settings.train.optimizer = optimizer;
            training_bytes(&settings, &images(1, 3, 1))
        };
        assert_eq!(bytes(Optimizer::Adamw(Adamw::default())), 160);
        assert_eq!(bytes(Optimizer::Sgd(Sgd { momentum: 0.9, ..Sgd::default() })), 120);
        assert_eq!(bytes(Optimizer::Sgd(Sgd { momentum: 0.0, ..Sgd::default() })), 80);
        let gpt = Gpt { layers: 256, heads: 1, width: u32::MAX, context: 1 << 20, dropout: 0.0, bias: true };
        let huge = with(Model::Gpt(gpt));
        assert_eq!(training_bytes(&huge, &text(Vocabulary::of("", Tokenizer::Byte))), u64::MAX);
    }
}
