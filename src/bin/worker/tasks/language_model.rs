//! Learning to predict the next token of a text.

use crate::data::{TextData, spread};
use crate::generate::generate;
use crate::models::{Gpt, Mode, Tensors};
use crate::task::{Asked, Measured, ModelTensor, Order, Rate, Sampled, Task, TaskError, TrainLoss, Watch};
use overnight::data_files::{Text, Vocabulary, expand};
use overnight::experiment::settings::{Data, Model, Settings};
use overnight::run_dir::records::{ModelRecord, SampleItem};
use std::path::Path;
use tch::{Device, Kind, Reduction, TchError, Tensor};

pub struct LanguageModel {
    settings: Settings,
    data: TextData,
    model: Gpt,
    tensors: Tensors,
    /// Prompts as tokens, with the text they stand for.
    prompts: Vec<(String, Vec<i64>)>,
    device: Device,
}

impl LanguageModel {
    /// With `vocabulary`, or that of its text.
    pub fn new(
        settings: &Settings,
        base: &Path,
        vocabulary: Option<Vocabulary>,
        device: Device,
    ) -> Result<Self, TaskError> {
        let (Data::Text(text), Model::Gpt(gpt)) = (&settings.data, &settings.model) else {
            let model = settings.model.kind();
            return Err(TaskError::Data(format!(
                "model {model} does not learn text (use model.kind = \"gpt\")"
            )));
        };
        let files = expand(&text.files, base)?;
        let text = Text::load(&files, text.tokenizer, text.validation, gpt.context as usize)?;
        let text = match vocabulary {
            Some(vocabulary) => text.with_vocabulary(vocabulary)?,
            None => text,
        };
        let data = TextData::new(text, gpt.context.into(), device)?;
        let encode = |prompt: &String| {
            let tokens = data.vocabulary.encode(prompt).map_err(overnight::data_files::DataError::from)?;
            Ok((prompt.clone(), tokens.to_i64()))
        };
        let prompts = settings.sample.prompts.iter().map(encode).collect::<Result<_, TaskError>>()?;
        let mut tensors = Tensors::new(device);
        let model = Gpt::new(&mut tensors, gpt, data.vocabulary.len() as i64)?;
        Ok(Self { settings: settings.clone(), data, model, tensors, prompts, device })
    }

    /// Where the windows of an evaluation begin: evenly spread over the validation part, the same ones
    /// every time, and side by side (the last ones overlapping a little) when all of it is asked for.
    fn evaluation_starts(&self, batches: Option<u32>) -> Vec<i64> {
        let count = match batches {
            Some(batches) => i64::from(batches) * i64::from(self.settings.train.batch_size),
            None => self.data.validation_windows_side_by_side(),
        };
        spread(count, self.data.validation_windows())
    }

    fn loss(&self, inputs: &Tensor, targets: &Tensor, mode: Mode, watch: Watch) -> Result<Tensor, TchError> {
        let logits = self.model.forward(inputs, mode, watch)?;
        let vocabulary = self.data.vocabulary.len() as i64;
        let logits = logits.f_view([-1, vocabulary])?.f_to_kind(Kind::Float)?;
        let targets = targets.f_reshape([-1])?;
        logits.f_cross_entropy_loss(&targets, None::<&Tensor>, Reduction::Mean, -100, 0.0)
    }
}

impl Task for LanguageModel {
    fn examples(&self) -> i64 {
        self.data.training_windows()
    }

    fn order(&self) -> Order {
        Order::WithReplacement
    }

    fn rate(&self) -> Rate {
        let Model::Gpt(gpt) = &self.settings.model else {
            return Rate { metric: "tokens_per_second", units_per_example: 1 };
        };
        Rate { metric: "tokens_per_second", units_per_example: gpt.context.into() }
    }

    fn tensors(&self) -> Vec<ModelTensor> {
        self.tensors.list()
    }

    fn train_loss(&self, examples: &Tensor, watch: Watch) -> Result<TrainLoss, TaskError> {
        let (inputs, targets) = self.data.training_batch(examples)?;
        let loss = self.loss(&inputs, &targets, Mode::Training, watch)?;
        Ok(TrainLoss { loss, correct: None })
    }

    fn evaluate(&self, asked: Asked, ended: &dyn Fn() -> bool) -> Result<Option<Measured>, TaskError> {
        let starts = self.evaluation_starts(asked.batches);
        let mut sum = Tensor::f_zeros([], (Kind::Double, self.device))?;
        for batch in starts.chunks(asked.at_once) {
            if ended() {
                return Ok(None);
            }
            let starts = Tensor::f_from_slice(batch)?.f_to(self.device)?;
            let (inputs, targets) = self.data.validation_batch(&starts)?;
            let loss = self.loss(&inputs, &targets, Mode::Inference, Watch::NOBODY)?;
            sum = sum.f_add(&loss.f_to_kind(Kind::Double)?.f_mul_scalar(batch.len() as f64)?)?;
        }
        let loss = f64::try_from(sum)? / starts.len() as f64;
        let bits_per_token = loss / std::f64::consts::LN_2;
        let metrics = vec![
            ("val/loss", loss),
            ("val/perplexity", loss.exp()),
            ("val/bits_per_byte", bits_per_token / self.data.validation_bytes_per_token()),
        ];
        Ok(Some(Measured { metrics, classes: Vec::new(), confusion: Vec::new() }))
    }

    fn sample(&self, ended: &dyn Fn() -> bool) -> Result<Option<Sampled>, TaskError> {
        let settings = &self.settings.sample;
        let mut items = Vec::new();
        for (prompt, tokens) in &self.prompts {
            // Nothing to go on from: begin as at the start of a line.
            let newline = self.data.vocabulary.encode("\n").map_or(vec![0], |tokens| tokens.to_i64());
            let start = if tokens.is_empty() { &newline } else { tokens };
            let Some(written) = generate(&self.model, start, settings, self.device, ended)? else {
                return Ok(None);
            };
            items.extend(written.iter().map(|tokens| SampleItem::Text {
                prompt: prompt.clone(),
                text: self.data.vocabulary.decode(tokens),
                temperature: settings.temperature,
                top_k: settings.top_k,
                top_p: settings.top_p,
            }));
        }
        Ok(Some(Sampled { items, png: None }))
    }

    fn model_record(&self) -> ModelRecord {
        ModelRecord {
            kind: self.settings.model.kind().to_owned(),
            parameters: self.tensors.parameters(),
            layers: self.tensors.layers(),
            vocabulary: Some(self.data.vocabulary.names()),
            classes: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::seeded;
    use std::cell::Cell;

    /// Ten letters that follow each other in a circle; the training part has only `a` to `j`, the
    /// validation part is written in two bytes a letter where `wide`.
    fn task(wide: bool, batch_size: u32) -> LanguageModel {
        let folder = tempfile::tempdir().unwrap();
        let tail = if wide { "αβγδεζηθικ" } else { "abcdefghij" };
        std::fs::write(folder.path().join("t.txt"), "abcdefghij".repeat(9) + tail).unwrap();
        let settings: Settings = toml::from_str(&format!(
            "data = {{ kind = 'text', files = ['t.txt'] }}
             model = {{ kind = 'gpt', layers = 1, heads = 1, width = 8, context = 4 }}
             train = {{ batch_size = {batch_size} }}
             sample = {{ prompts = ['abc', ''], tokens = 5, count = 2 }}"
        ))
        .unwrap();
        LanguageModel::new(&settings, folder.path(), None, Device::Cpu).unwrap()
    }

    fn metric(measured: &Measured, name: &str) -> f64 {
        measured.metrics.iter().find(|(known, _)| *known == name).unwrap().1
    }

    fn asked(batches: Option<u32>, task: &LanguageModel) -> Asked {
        Asked { batches, at_once: task.settings.train.batch_size as usize }
    }

    fn evaluate(task: &LanguageModel, batches: Option<u32>) -> Measured {
        task.evaluate(asked(batches, task), &|| false).unwrap().unwrap()
    }

    #[test]
    fn bits_are_counted_by_byte_and_not_by_token() {
        let _generator = seeded(1);
        for (wide, bytes_per_token) in [(false, 1.0), (true, 2.0)] {
            let measured = evaluate(&task(wide, 4), None);
            let loss = metric(&measured, "val/loss");
            assert!((metric(&measured, "val/perplexity") - loss.exp()).abs() < 1e-9);
            let bits = loss / std::f64::consts::LN_2 / bytes_per_token;
            assert!((metric(&measured, "val/bits_per_byte") - bits).abs() < 1e-9);
        }
    }

    #[test]
    fn an_evaluation_is_the_same_every_time_and_for_every_batch_size() {
        let _generator = seeded(1);
        let four = task(false, 4);
        let loss = metric(&evaluate(&four, Some(3)), "val/loss");
        let _ = four.train_loss(&Tensor::from_slice(&[1_i64, 2]), Watch::NOBODY).unwrap();
        assert_eq!(metric(&evaluate(&four, Some(3)), "val/loss"), loss);
        let _generator = {
            drop(_generator);
            seeded(1)
        };
        let three = task(false, 3);
        assert!((metric(&evaluate(&three, Some(4)), "val/loss") - loss).abs() < 1e-6);
    }

    #[test]
    fn windows_of_a_whole_evaluation_cover_the_validation_part() {
        let _generator = seeded(1);
        // Ten tokens hold nine targets: two windows of four side by side and one that overlaps.
        assert_eq!(task(false, 4).evaluation_starts(None), [0, 2, 5]);
        assert_eq!(task(false, 2).evaluation_starts(Some(1)), [0, 5]);
    }

    #[test]
    fn an_evaluation_and_a_sample_end_when_asked_between_batches_and_tokens() {
        let _generator = seeded(1);
        let task = task(false, 1);
        let left = Cell::new(2);
        let ended = || {
            left.set(left.get() - 1);
            left.get() < 0
        };
        assert!(task.evaluate(asked(Some(3), &task), &ended).unwrap().is_none());
        left.set(2);
        assert!(task.evaluate(asked(Some(2), &task), &ended).unwrap().is_some());
        left.set(4);
        assert!(task.sample(&ended).unwrap().is_none());
    }

    #[test]
    fn every_prompt_is_continued_as_often_as_asked_the_empty_one_too() {
        let _generator = seeded(1);
        let sampled = task(false, 4).sample(&|| false).unwrap().unwrap();
        assert_eq!(sampled.items.len(), 4);
        for (item, expected) in sampled.items.iter().zip(["abc", "abc", "", ""]) {
            let SampleItem::Text { prompt, text, .. } = item else { panic!("{item:?}") };
            assert_eq!(prompt, expected);
            assert_eq!(text.chars().count(), 5);
        }
    }

    #[test]
    fn a_model_of_images_is_refused_for_text() {
        let settings: Settings =
            toml::from_str("data = { kind = 'text', files = ['t.txt'] }\nmodel = { kind = 'mlp' }").unwrap();
        let error = LanguageModel::new(&settings, Path::new("/"), None, Device::Cpu).err().unwrap();
        assert_eq!(error.to_string(), "model mlp does not learn text (use model.kind = \"gpt\")");
    }
}
