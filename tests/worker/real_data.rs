//! The experiments that others can compare, on the data that others use. The data lies beside the
//! project (`OVERNIGHT_PUBLIC_DATA`, by default `../shared/data`); where it does not, these tests say so
//! and pass. The shortened ones always run; the whole ones, minutes each, with `OVERNIGHT_WHOLE_RUNS=1`.

use std::path::{Path, PathBuf};

use overnight::data_files::inspect;
use overnight::experiment::file::Experiment;
use overnight::experiment::settings::{Every, Settings};
use overnight::run_dir::number::Number;
use overnight::run_dir::records::RunResult;

use crate::fixture::TestRun;

#[test]
fn nanogpts_configuration_learns_shakespeare_in_its_first_steps() {
    let Some(runs) = published_runs("shakespeare-cpu") else { return };
    let mut settings = runs[0].clone();
    settings.train.steps = Some(120);
    settings.evaluate.batches = Some(40);
    settings.sample.every = Every::Never;
    let loss = last(&train(settings, Some(1)), "val/loss");
    // A guess is at 4.17; characters by their frequency alone at 3.3.
    assert!((2.0..2.9).contains(&loss), "{loss}");
}

#[test]
fn the_small_net_reads_digits_after_its_first_steps() {
    let Some(runs) = published_runs("mnist-cnn") else { return };
    let mut settings = runs[0].clone();
    settings.train.epochs = None;
    settings.train.steps = Some(150);
    settings.evaluate.batches = Some(20);
    settings.sample.every = Every::Never;
    let accuracy = last(&train(settings, Some(1)), "val/accuracy");
    assert!(accuracy > 0.93, "{accuracy}");
}

#[test]
fn nanogpts_configuration_ends_at_nanogpts_loss() {
    let Some(runs) = whole_runs("shakespeare-cpu") else { return };
    assert!(runs.iter().all(|settings| settings.evaluation_batches() >= Some(200)));
    let losses: Vec<f64> =
        runs.into_iter().map(|settings| last(&train(settings, None), "val/loss")).collect();
    let mean = losses.iter().sum::<f64>() / losses.len() as f64;
    assert_eq!(losses.len(), 3);
    // To the two decimals that nanoGPT reports.
    assert!((mean * 100.0).round() <= 190.0, "{mean}, the mean of {losses:?}");
}

#[test]
fn the_small_net_reads_ninety_nine_of_a_hundred_digits_after_three_epochs() {
    let Some(runs) = whole_runs("mnist-cnn") else { return };
    for settings in runs {
        let result = train(settings, None);
        let accuracy = last(&result, "val/accuracy");
        assert!((result.epoch - 3.0).abs() < 1e-3);
        assert!(accuracy >= 0.99, "{accuracy}");
    }
}

fn train(mut settings: Settings, threads: Option<u32>) -> RunResult {
    settings.resources.device = "cpu".to_owned();
    settings.resources.threads = threads;
    let facts = inspect(&settings, Path::new("/")).unwrap();
    TestRun::of_examples(settings, facts.examples_per_epoch).train()
}

fn last(result: &RunResult, metric: &str) -> f64 {
    let Number(value) = result.last[metric];
    value
}

/// The runs of an experiment file of this repository, its data found; none, after saying why, where
/// the data is absent.
fn published_runs(name: &str) -> Option<Vec<Settings>> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let data = match std::env::var_os("OVERNIGHT_PUBLIC_DATA") {
        Some(folder) => PathBuf::from(folder),
        None => project.join("../shared/data"),
    };
    let Ok(data) = data.canonicalize() else {
        eprintln!("skipped: {} is not there (OVERNIGHT_PUBLIC_DATA names the folder)", data.display());
        return None;
    };
    let file = project.join("experiments").join(name).with_extension("toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text.replace("../data", data.to_str().unwrap());
    let experiment = Experiment::from_text(&file, &text, &[]).unwrap();
    Some(experiment.runs.into_iter().map(|run| run.settings).collect())
}

fn whole_runs(name: &str) -> Option<Vec<Settings>> {
    if std::env::var_os("OVERNIGHT_WHOLE_RUNS").is_none() {
        eprintln!("skipped: takes minutes (OVERNIGHT_WHOLE_RUNS=1 runs it)");
        return None;
    }
    published_runs(name)
}
