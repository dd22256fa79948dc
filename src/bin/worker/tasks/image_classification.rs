//! Learning to tell classes of images apart.

use super::prediction_sheet::prediction_sheet;
use crate::data::{ImageData, spread};
use crate::models::{Cnn, ImageModel, Mlp, Mode, Resnet18, Tensors};
use crate::task::{Asked, Measured, ModelTensor, Order, Rate, Sampled, Task, TaskError, TrainLoss, Watch};
use overnight::data_files::ImageSplits;
use overnight::experiment::settings::{Data, Model, Settings};
use overnight::run_dir::records::{ClassEvaluation, ModelRecord, SampleItem};
use std::path::Path;
use tch::{Device, Kind, Reduction, TchError, Tensor};

pub struct ImageClassification {
    settings: Settings,
    data: ImageData,
    model: ImageModel,
    tensors: Tensors,
    device: Device,
}

impl ImageClassification {
    pub fn new(settings: &Settings, base: &Path, device: Device) -> Result<Self, TaskError> {
        let splits = match &settings.data {
            Data::Idx(idx) => ImageSplits::from_idx(idx, base)?,
            Data::Folder(folder) => ImageSplits::from_folder(folder, base)?,
            Data::Shapes(shapes) => ImageSplits::from_shapes(shapes)?,
            Data::Text(_) => return Err(TaskError::Data("text has no images to classify".to_owned())),
        };
        let data = ImageData::new(splits, device)?;
        let shape = data.shape();
        let mut tensors = Tensors::new(device);
        let model = match &settings.model {
            Model::Mlp(mlp) => ImageModel::Mlp(Mlp::new(&mut tensors, shape, mlp)?),
            Model::Cnn(cnn) => ImageModel::Cnn(Cnn::new(&mut tensors, shape, cnn)?),
            Model::Resnet18(resnet) => ImageModel::Resnet18(Resnet18::new(&mut tensors, shape, resnet)?),
            Model::Gpt(_) => {
                let reason = "model gpt does not classify images (use mlp, cnn or resnet18)";
                return Err(TaskError::Data(reason.to_owned()));
            }
        };
        Ok(Self { settings: settings.clone(), data, model, tensors, device })
    }

    /// Which validation images an evaluation looks at: all, or as many as the batches hold, evenly
    /// spread, the same ones every time.
    fn evaluation_images(&self, batches: Option<u32>) -> Vec<i64> {
        let all = self.data.validation.images();
        let batch = i64::from(self.settings.train.batch_size);
        let count = batches.map_or(all, |batches| all.min(batch * i64::from(batches)));
        spread(count, all)
    }

    /// Logits and labels of validation images.
    fn predict(&self, numbers: &[i64]) -> Result<(Tensor, Tensor), TchError> {
        let numbers = Tensor::f_from_slice(numbers)?.f_to(self.device)?;
        let (images, labels) = self.data.batch(&self.data.validation, &numbers)?;
        let logits = self.model.forward(&images, Mode::Inference, Watch::NOBODY)?;
        Ok((logits.f_to_kind(Kind::Float)?, labels))
    }
}

impl Task for ImageClassification {
    fn examples(&self) -> i64 {
        self.data.training.images()
    }

    fn order(&self) -> Order {
        Order::Epochs
    }

    fn rate(&self) -> Rate {
        Rate { metric: "images_per_second", units_per_example: 1 }
    }

    fn tensors(&self) -> Vec<ModelTensor> {
        self.tensors.list()
    }

    fn train_loss(&self, examples: &Tensor, watch: Watch) -> Result<TrainLoss, TaskError> {
        let (images, labels) = self.data.batch(&self.data.training, examples)?;
        let logits = self.model.forward(&images, Mode::Training, watch)?.f_to_kind(Kind::Float)?;
        let smoothing = self.settings.train.label_smoothing;
        let loss = logits.f_cross_entropy_loss(&labels, None::<&Tensor>, Reduction::Mean, -100, smoothing)?;
        let correct = logits.f_detach()?.f_argmax(1, false)?.f_eq_tensor(&labels)?.f_sum(Kind::Float)?;
        Ok(TrainLoss { loss, correct: Some(correct) })
    }

    fn evaluate(&self, asked: Asked, ended: &dyn Fn() -> bool) -> Result<Option<Measured>, TaskError> {
        let numbers = self.evaluation_images(asked.batches);
        let mut sum = Tensor::f_zeros([], (Kind::Double, self.device))?;
        let (mut predicted, mut actual) = (Vec::new(), Vec::new());
        for batch in numbers.chunks(asked.at_once) {
            if ended() {
                return Ok(None);
            }
            let (logits, labels) = self.predict(batch)?;
            // Label smoothing is for training: a validation loss is the same for every setting of it.
            let loss = logits.f_cross_entropy_loss(&labels, None::<&Tensor>, Reduction::Sum, -100, 0.0)?;
            sum = sum.f_add(&loss.f_to_kind(Kind::Double)?)?;
            predicted.push(logits.f_argmax(1, false)?);
            actual.push(labels);
        }
        let fetch = |parts: &[Tensor]| Vec::<i64>::try_from(Tensor::f_cat(parts, 0)?.f_to(Device::Cpu)?);
        let confusion = confusion(&fetch(&actual)?, &fetch(&predicted)?, self.data.classes.len());
        let correct: u64 = (0..confusion.len()).map(|class| confusion[class][class]).sum();
        let count = numbers.len() as f64;
        let metrics =
            vec![("val/loss", f64::try_from(sum)? / count), ("val/accuracy", correct as f64 / count)];
        let classes = self.data.classes.iter().zip(&confusion).enumerate().map(|(class, (name, row))| {
            let examples = row.iter().sum::<u64>();
            // A class without an example has no accuracy: not a number, and read as such.
            let accuracy = row[class] as f64 / examples as f64;
            ClassEvaluation { name: name.clone(), examples, accuracy }
        });
        let classes = classes.collect();
        Ok(Some(Measured { metrics, classes, confusion }))
    }

    fn sample(&self, ended: &dyn Fn() -> bool) -> Result<Option<Sampled>, TaskError> {
        if ended() {
            return Ok(None);
        }
        let all = self.data.validation.images();
        let numbers = spread(i64::from(self.settings.sample.count).min(all), all);
        let (logits, labels) = self.predict(&numbers)?;
        let (probabilities, predicted) = logits.f_softmax(1, Kind::Float)?.f_max_dim(1, false)?;
        let probabilities = Vec::<f32>::try_from(probabilities.f_to(Device::Cpu)?)?;
        let predicted = Vec::<i64>::try_from(predicted.f_to(Device::Cpu)?)?;
        let actual = Vec::<i64>::try_from(labels.f_to(Device::Cpu)?)?;
        let name = |class: i64| self.data.classes[class as usize].clone();
        let items = (0..numbers.len()).map(|tile| SampleItem::Prediction {
            tile: tile as u32,
            actual: name(actual[tile]),
            predicted: name(predicted[tile]),
            probability: probabilities[tile].into(),
        });
        let items = items.collect();
        let right: Vec<bool> =
            actual.iter().zip(&predicted).map(|(actual, predicted)| actual == predicted).collect();
        let shown = Tensor::f_from_slice(&numbers)?.f_to(self.device)?;
        let pixels = self.data.validation.pixels.f_index_select(0, &shown)?.f_to(Device::Cpu)?;
        let png = prediction_sheet(&pixels, &right)?;
        Ok(Some(Sampled { items, png: Some(png) }))
    }

    fn model_record(&self) -> ModelRecord {
        ModelRecord {
            kind: self.settings.model.kind().to_owned(),
            parameters: self.tensors.parameters(),
            layers: self.tensors.layers(),
            vocabulary: None,
            classes: Some(self.data.classes.clone()),
        }
    }
}

/// `confusion[actual][predicted]`.
fn confusion(actual: &[i64], predicted: &[i64], classes: usize) -> Vec<Vec<u64>> {
    let mut counts = vec![vec![0; classes]; classes];
    for (&actual, &predicted) in actual.iter().zip(predicted) {
        counts[actual as usize][predicted as usize] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::seeded;

    fn task(more: &str) -> ImageClassification {
        let settings: Settings = toml::from_str(&format!(
            "data = {{ kind = 'shapes', count = 120, classes = 3, size = 12 }}
             model = {{ kind = 'mlp', hidden = [8] }}\n{more}"
        ))
        .unwrap();
        ImageClassification::new(&settings, Path::new("/"), Device::Cpu).unwrap()
    }

    const ALL: Asked = Asked { batches: None, at_once: 3 };

    fn loss(measured: &Measured) -> f64 {
        measured.metrics[0].1
    }

    #[test]
    fn classes_confusion_and_accuracy_are_of_one_count() {
        let _generator = seeded(1);
        let measured = task("").evaluate(ALL, &|| false).unwrap().unwrap();
        assert_eq!(measured.confusion.iter().flatten().sum::<u64>(), 12);
        assert_eq!(measured.classes.iter().map(|class| class.examples).collect::<Vec<_>>(), [4, 4, 4]);
        let right: f64 = measured.classes.iter().map(|class| class.accuracy * class.examples as f64).sum();
        let (name, accuracy) = measured.metrics[1];
        assert_eq!(name, "val/accuracy");
        assert!((accuracy - right / 12.0).abs() < 1e-9);
        assert_eq!(measured.classes[1].name, "square");
    }

    #[test]
    fn confusion_stands_by_actual_then_predicted() {
        assert_eq!(confusion(&[0, 0, 1], &[0, 1, 1], 2), [[1, 1], [0, 1]]);
    }

    #[test]
    fn label_smoothing_changes_the_training_loss_alone() {
        let both = [0.0, 0.3].map(|smoothing| {
            let _generator = seeded(1);
            let task = task(&format!("train = {{ label_smoothing = {smoothing} }}"));
            let examples = Tensor::from_slice(&[0_i64, 1, 2, 3]);
            let training = task.train_loss(&examples, Watch::NOBODY).unwrap();
            let correct = f64::try_from(training.correct.unwrap()).unwrap();
            assert!((0.0..=4.0).contains(&correct));
            let measured = task.evaluate(ALL, &|| false).unwrap().unwrap();
            (f64::try_from(training.loss).unwrap(), loss(&measured))
        });
        assert_ne!(both[0].0, both[1].0);
        assert_eq!(both[0].1, both[1].1);
    }

    #[test]
    fn an_evaluation_of_few_batches_looks_at_images_from_first_to_last() {
        let _generator = seeded(1);
        let task = task("train = { batch_size = 3 }");
        assert_eq!(task.evaluation_images(Some(1)), [0, 5, 11]);
        assert_eq!(task.evaluation_images(Some(99)), (0..12).collect::<Vec<i64>>());
        let asked = std::cell::Cell::new(0);
        let ended = || asked.replace(asked.get() + 1) == 2;
        assert!(task.evaluate(ALL, &ended).unwrap().is_none());
    }

    #[test]
    fn an_evaluation_is_the_same_however_much_of_it_is_computed_at_once() {
        let _generator = seeded(1);
        let task = task("");
        let measured = [1, 5, 100]
            .map(|at_once| task.evaluate(Asked { batches: None, at_once }, &|| false).unwrap().unwrap());
        assert_eq!(measured[0].confusion, measured[2].confusion);
        for other in &measured[..2] {
            assert!((loss(other) - loss(&measured[2])).abs() < 1e-6);
        }
    }

    #[test]
    fn predictions_name_their_classes_and_lie_on_a_sheet() {
        let _generator = seeded(1);
        let sampled = task("sample = { count = 5 }").sample(&|| false).unwrap().unwrap();
        assert_eq!(sampled.items.len(), 5);
        for item in &sampled.items {
            let SampleItem::Prediction { actual, probability, .. } = item else { panic!("{item:?}") };
            assert!(["circle", "square", "triangle"].contains(&actual.as_str()));
            assert!((1.0 / 3.0..=1.0).contains(probability));
        }
        assert!(sampled.png.unwrap().starts_with(b"\x89PNG"));
    }
}
