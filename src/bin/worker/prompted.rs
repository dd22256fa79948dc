//! `overnight-worker generate RUN_DIR ORDERS`: goes on from prompts with the weights of a checkpoint, and
//! writes nothing into the run's directory. It needs no data: the vocabulary stands in `model.json`.

use std::io::{self, Write};

use overnight::data_files::Vocabulary;
use overnight::experiment::settings::{Model, Precision, Sample};
use overnight::run_dir::records::{GenerateOrders, ModelRecord, SampleItem};
use overnight::run_dir::{RunDir, read};

use crate::failure::Failure;
use crate::generate;
use crate::models::{Gpt, Tensors};
use crate::order::derived_seed;
use crate::train::Outcome;
use crate::{checkpoint, device, torch_ext};

/// Carries out `orders`, a [`GenerateOrders`] as JSON: each prompt as often as asked, a line of JSON for
/// each text as soon as it is written. Looks at `ended` before every token.
pub fn generate(run: &RunDir, orders: &str, ended: &dyn Fn() -> bool) -> Result<Outcome, Failure> {
    let orders: GenerateOrders = serde_json::from_str(orders)
        .map_err(|error| Failure::Orders(format!("these orders cannot be read: {error} ({orders})")))?;
    let record = read::run_record(run)?;
    let Model::Gpt(gpt) = &record.settings.model else {
        let kind = record.settings.model.kind();
        return Err(Failure::Orders(format!("a model of kind {kind} writes no text")));
    };
    let vocabulary = vocabulary(run)?;
    let device = device::prepare(&orders.start)?;
    // As while training: the same text for the same seed matters less here than speed.
    torch_ext::set_deterministic(false)?;
    let mut tensors = Tensors::new(device);
    let model = Gpt::new(&mut tensors, gpt, vocabulary.len() as i64).map_err(Failure::from)?;
    checkpoint::load_weights(run, orders.step, &tensors.list())?;

    let bf16 = orders.start.precision == Precision::Bf16;
    let mut number = 0;
    for prompt in &orders.sample.prompts {
        let tokens = tokens(&vocabulary, prompt)?;
        for _ in 0..orders.sample.count.max(1) {
            torch_ext::seed(device, derived_seed(orders.seed, "generate", number, 0))?;
            let one = Sample { count: 1, ..orders.sample.clone() };
            let write = || generate::generate(&model, &tokens, &one, device, ended);
            let Some(written) = torch_ext::with_autocast(device, bf16, write)?? else {
                return Ok(Outcome::Ended);
            };
            let text = written.first().map(|tokens| vocabulary.decode(tokens)).unwrap_or_default();
            say(&SampleItem::Text {
                prompt: prompt.clone(),
                text,
                temperature: one.temperature,
                top_k: one.top_k,
                top_p: one.top_p,
            })?;
            number += 1;
        }
    }
    Ok(Outcome::Finished)
}

fn vocabulary(run: &RunDir) -> Result<Vocabulary, Failure> {
    let path = run.model_json();
    let names = read::json::<ModelRecord>(&path)?.vocabulary;
    let none = || Failure::Data(format!("{}: has no vocabulary that is one of ours", path.display()));
    names.and_then(|names| Vocabulary::of_names(&names)).ok_or_else(none)
}

/// An empty prompt begins as at the start of a line.
fn tokens(vocabulary: &Vocabulary, prompt: &str) -> Result<Vec<i64>, Failure> {
    if prompt.is_empty() {
        return Ok(vocabulary.encode("\n").map_or(vec![0], |tokens| tokens.to_i64()));
    }
    let encoded = vocabulary.encode(prompt);
    Ok(encoded.map_err(|unknown| Failure::Data(format!("the prompt cannot be read: {unknown}")))?.to_i64())
}

fn say(item: &SampleItem) -> Result<(), Failure> {
    let line = serde_json::to_string(item).map_err(io::Error::other).map_err(Failure::Write)?;
    let mut output = io::stdout().lock();
    writeln!(output, "{line}").and_then(|()| output.flush()).map_err(Failure::Write)
}
