//! How long a run of settings that nobody has trained yet can take at most, so that a batch that is over
//! soon in any case is not measured first. Pure, and pessimistic: real runs are some times faster.

use crate::experiment::settings::{Cnn, Data, Gpt, Mlp, Model, Settings};

/// What a core computes at least in a second: additions and multiplications.
const OPERATIONS_PER_SECOND: f64 = 2e9;

/// What a step takes at most beside its arithmetic: starting operators, reading a batch, writing a row.
const SECONDS_PER_STEP: f64 = 0.005;

/// Forward and backward, an addition and a multiplication each, for every number of the model.
const OPERATIONS_PER_WEIGHT: f64 = 6.0;

/// Width and height of an image in files that say it themselves.
const IMAGE_SIZE: u32 = 28;

/// Seconds that `steps` steps take at most with so many cores.
pub fn seconds_at_most(settings: &Settings, steps: u64, cores: u32) -> f64 {
    let train = &settings.train;
    let examples = f64::from(train.batch_size) * f64::from(train.accumulate);
    let operations = OPERATIONS_PER_WEIGHT * examples * weights_per_example(settings);
    let arithmetic = operations / (OPERATIONS_PER_SECOND * f64::from(cores.max(1)));
    steps as f64 * (arithmetic + SECONDS_PER_STEP)
}

/// How often a number of the model is multiplied for one example.
fn weights_per_example(settings: &Settings) -> f64 {
    let (size, channels) = match &settings.data {
        Data::Text(_) => (0, 0),
        Data::Idx(_) => (IMAGE_SIZE, 1),
        Data::Folder(folder) => (folder.size, folder.channels),
        Data::Shapes(shapes) => (shapes.size, 3),
    };
    let (pixels, channels) = (f64::from(size).powi(2), f64::from(channels));
    match &settings.model {
        Model::Gpt(gpt) => of_gpt(gpt),
        Model::Mlp(mlp) => of_mlp(mlp, pixels * channels),
        Model::Cnn(cnn) => of_cnn(cnn, pixels, channels),
        // Each stage of four has half the pixels a side and twice the channels: as much to compute as the first.
        Model::Resnet18(resnet) => 18.0 * 9.0 * f64::from(resnet.width).powi(2) * pixels,
    }
}

fn of_gpt(gpt: &Gpt) -> f64 {
    let (width, context) = (f64::from(gpt.width), f64::from(gpt.context));
    let block = 12.0 * width * width + 2.0 * width * context;
    // As many characters as a byte has values.
    context * (f64::from(gpt.layers) * block + 256.0 * width)
}

fn of_mlp(mlp: &Mlp, inputs: f64) -> f64 {
    let widths: Vec<f64> = std::iter::once(inputs).chain(mlp.hidden.iter().map(|w| f64::from(*w))).collect();
    widths.windows(2).map(|sizes| sizes[0] * sizes[1]).sum()
}

fn of_cnn(cnn: &Cnn, mut pixels: f64, mut inputs: f64) -> f64 {
    let mut sum = 0.0;
    for channels in &cnn.channels {
        sum += 9.0 * inputs * f64::from(*channels) * pixels;
        inputs = f64::from(*channels);
        pixels /= 4.0;
    }
    sum + inputs * pixels * 128.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_dir::scan::sample_record;

    #[test]
    fn a_guess_tells_seconds_from_minutes_and_minutes_from_nights() {
        let seconds = |model: Model, steps| {
            let mut settings = sample_record("x", "y").settings;
            (settings.model, settings.train.batch_size, settings.train.accumulate) = (model, 12, 1);
            seconds_at_most(&settings, steps, 2)
        };
        let gpt = |layers, width, context| Model::Gpt(Gpt { layers, width, context, ..Gpt::default() });
        let table = [
            (gpt(2, 64, 64), 100, 10.0..20.0),
            (gpt(4, 128, 64), 2000, 1500.0..3000.0),
            (gpt(12, 768, 1024), 10, 10_000.0..30_000.0),
            (Model::Mlp(Mlp::default()), 100, 0.5..2.0),
            (Model::Cnn(Cnn::default()), 100, 1.0..20.0),
        ];
        for (model, steps, expected) in table {
            let found = seconds(model.clone(), steps);
            assert!(expected.contains(&found), "{model:?}: {found}");
        }
    }
}
