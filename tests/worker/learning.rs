//! Runs learn, and what they leave is what was promised.

use std::fs;
use std::process::Command;

use overnight::experiment::settings::*;
use overnight::run_dir::checkpoint::steps;
use overnight::run_dir::metrics::columns;
use overnight::run_dir::number::Number;
use overnight::run_dir::read;
use overnight::run_dir::records::{Evaluation, ModelRecord, Sample as SampleRecord, SampleItem};

use crate::fixture::{TestRun, gpt, image_classification, language_model};

#[test]
fn a_language_model_learns_a_rhyme_by_heart() {
    let mut settings = language_model();
    (gpt(&mut settings).width, gpt(&mut settings).context) = (64, 32);
    settings.train.steps = Some(500);
    settings.train.batch_size = 16;
    settings.train.optimizer = Optimizer::Adamw(Adamw { lr: 3e-3, ..Adamw::default() });
    settings.sample = Sample {
        prompts: vec!["boy, five for ".to_owned()],
        tokens: 10,
        temperature: 0.0,
        every: Every::Steps(500),
        ..Sample::default()
    };
    let run = TestRun::new(settings);
    let result = run.train();
    let Number(loss) = result.last["val/loss"];
    assert!(loss < 0.3, "{loss}");
    let sample: SampleRecord = read::json(&run.dir.sample_json(500)).unwrap();
    let [SampleItem::Text { text, .. }] = &sample.items[..] else { panic!("{sample:?}") };
    assert_eq!(text, "silver, si");
    let best = result.best.expect("the best value is known");
    assert_eq!(best.metric, "val/loss");
    assert!(steps(&run.dir).contains(&result.best_checkpoint.unwrap()));
}

#[test]
fn an_image_classifier_learns_shapes_and_says_how_each_class_fared() {
    let mut settings = image_classification();
    settings.data = Data::Shapes(Shapes { count: 600, classes: 3, size: 16 });
    settings.train.steps = Some(400);
    settings.train.batch_size = 32;
    settings.train.optimizer = Optimizer::Adamw(Adamw { lr: 3e-3, ..Adamw::default() });
    settings.sample.every = Every::Steps(400);
    let run = TestRun::new(settings);
    let result = run.train();
    let Number(accuracy) = result.last["val/accuracy"];
    assert!(accuracy > 0.8, "{accuracy}");
    let evaluation: Evaluation = read::json(&run.dir.evaluation()).unwrap();
    assert_eq!((evaluation.step, evaluation.classes.len(), evaluation.confusion.len()), (400, 3, 3));
    let right: u64 = (0..3).map(|class| evaluation.confusion[class][class]).sum();
    let all: u64 = evaluation.confusion.iter().flatten().sum();
    assert!((right as f64 / all as f64 - accuracy).abs() < 1e-6);
    assert!(fs::read(run.dir.sample_png(400)).unwrap().starts_with(b"\x89PNG"));
}

#[test]
fn metrics_have_every_column_from_the_first_line_on() {
    for settings in [language_model(), image_classification()] {
        let expected = columns(&settings).join(",");
        let run = TestRun::new(settings);
        run.train();
        let text = fs::read_to_string(run.dir.metrics()).unwrap();
        assert_eq!(text.lines().next(), Some(expected.as_str()));
        let metrics = run.metrics();
        assert_eq!(metrics.rows, 60);
        assert_eq!(metrics.column("val/loss").unwrap().rows, [19, 39, 59]);
        for name in ["train/loss", "lr", "grad_norm", "time", "elapsed"] {
            assert_eq!(metrics.column(name).unwrap().values.len(), 60, "{name}");
        }
    }
}

#[test]
fn accumulated_gradients_are_those_of_the_larger_batch() {
    let mut whole = language_model();
    whole.train.batch_size = 12;
    let mut split = whole.clone();
    (split.train.batch_size, split.train.accumulate) = (4, 3);
    let losses = |settings| {
        let run = TestRun::new(settings);
        run.train();
        run.metrics().column("train/loss").unwrap().values.clone()
    };
    let (whole, split) = (losses(whole), losses(split));
    let first_steps = whole.iter().zip(&split).take(10);
    for (step, (whole, split)) in first_steps.enumerate() {
        assert!((whole - split).abs() < 2e-4, "step {}: {whole} and {split}", step + 1);
    }
}

#[test]
fn a_run_that_stops_early_is_finished() {
    let mut settings = language_model();
    settings.stop = Some(Stop { target: Some(1e9), ..Stop::default() });
    let run = TestRun::new(settings);
    let result = run.train();
    assert_eq!((result.step, result.last_checkpoint), (20, 20));
    assert!(result.stopped_early.is_some_and(|why| why.contains("the target is")));
    assert_eq!(steps(&run.dir).last(), Some(&20));
}

#[test]
fn a_model_is_described_as_it_is() {
    let mut settings = language_model();
    gpt(&mut settings).bias = true;
    settings.train.steps = Some(1);
    let run = TestRun::new(settings);
    run.train();
    let model: ModelRecord = read::json(&run.dir.model_json()).unwrap();
    assert_eq!(model.kind, "gpt");
    assert!(model.vocabulary.is_some_and(|tokens| tokens.contains(&"s".to_owned())));
    assert_eq!(model.layers.iter().map(|layer| layer.parameters).sum::<u64>(), model.parameters);
}

#[test]
fn checkpoints_open_in_python() {
    let script = "import sys\n\
                  from safetensors import safe_open\n\
                  with safe_open(sys.argv[1], framework='numpy') as file:\n\
                  \x20   print(sum(file.get_tensor(name).size for name in file.keys()))\n\
                  \x20   print(' '.join(sorted(file.keys())[-3:]), file.metadata())\n";
    let available = Command::new("python3").args(["-c", "import numpy, safetensors"]).output();
    if !available.is_ok_and(|output| output.status.success()) {
        println!("skipped: python3 has no numpy and safetensors here");
        return;
    }
    let mut settings = language_model();
    settings.train.steps = Some(2);
    let run = TestRun::new(settings);
    run.train();
    let file = run.dir.checkpoint(2).model();
    let output = Command::new("python3").args(["-c", script]).arg(file).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let model: ModelRecord = read::json(&run.dir.model_json()).unwrap();
    assert!(said.starts_with(&format!("{}\n", model.parameters)), "{said}");
    assert!(said.contains("transformer.ln_f.weight transformer.wpe.weight transformer.wte.weight"), "{said}");
    assert!(said.contains("'format': 'pt'"), "{said}");
}
