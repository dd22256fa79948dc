//! Learning to predict the next token of a text.

use crate::data::{TextData, spread};
use crate::generate::generate;
use crate::models::{Gpt, Mode, Tensors};
use crate::task::{Measured, ModelTensor, Order, Rate, Sampled, Task, TaskError, TrainLoss, Watch};
use overnight::data_files::{Text, expand};
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
    pub fn new(settings: &Settings, base: &Path, device: Device) -> Result<Self, TaskError> {
        let (Data::Text(text), Model::Gpt(gpt)) = (&settings.data, &settings.model) else {
            let model = settings.model.kind();
            return Err(TaskError::Data(format!(
                "model {model} does not learn text (use model.kind = \"gpt\")"
            )));
        };
        let files = expand(&text.files, base)?;
        let text = Text::load(&files, text.tokenizer, text.validation, gpt.context as usize)?;
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

    fn evaluate(
        &self,
        batches: Option<u32>,
        ended: &dyn Fn() -> bool,
    ) -> Result<Option<Measured>, TaskError> {
        let starts = self.evaluation_starts(batches);
        let mut sum = Tensor::f_zeros([], (Kind::Double, self.device))?;
        for batch in starts.chunks(self.settings.train.batch_size as usize) {
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
