//! What the model produced through training, step by step.

use super::super::attached::has_sheet;
use super::super::chart::number::count;
use super::super::files::RunFiles;
use super::super::model::{PredictionRow, SampleBlock, TextSample};
use crate::run_dir::records::{Sample, SampleItem};
use crate::run_dir::step_name;

/// What was seen in the images of a step.
pub fn predictions(files: &RunFiles, step: u64) -> Vec<PredictionRow> {
    let sample = files.samples.iter().find(|sample| sample.step == step);
    sample.into_iter().flat_map(|sample| &sample.items).filter_map(prediction).collect()
}

fn prediction(item: &SampleItem) -> Option<PredictionRow> {
    let SampleItem::Prediction { tile, actual, predicted, probability } = item else { return None };
    Some(PredictionRow {
        tile: tile.saturating_add(1),
        actual: actual.clone(),
        predicted: predicted.clone(),
        probability: format!("{:.0} %", probability * 100.0),
        right: actual == predicted,
    })
}

/// Newest first.
pub fn blocks(files: &RunFiles) -> Vec<SampleBlock> {
    let newest = files.samples.last().map(|sample| sample.step);
    let block = |sample: &Sample| {
        let mut block = SampleBlock {
            step: count(sample.step),
            id: format!("sample-{}", sample.step),
            open: Some(sample.step) == newest,
            texts: Vec::new(),
            image: None,
            predictions: Vec::new(),
            summary: String::new(),
        };
        for item in &sample.items {
            match item {
                SampleItem::Text { prompt, text, temperature, top_k, top_p } => {
                    let mut how = format!("temperature {temperature}");
                    if *top_k > 0 {
                        how += &format!(", top-k {top_k}");
                    }
                    if *top_p < 1.0 {
                        how += &format!(", top-p {top_p}");
                    }
                    block.texts.push(TextSample { how, prompt: prompt.clone(), text: text.clone() });
                }
                SampleItem::Logged { title, text } if text.is_empty() => {
                    let and = if block.summary.is_empty() { "" } else { ", " };
                    block.summary += &format!("{and}{title}");
                }
                SampleItem::Logged { title, text } => {
                    let (prompt, text) = (String::new(), text.clone());
                    block.texts.push(TextSample { how: title.clone(), prompt, text });
                }
                SampleItem::Prediction { .. } => block.predictions.extend(prediction(item)),
            }
        }
        if !block.predictions.is_empty() {
            let right = block.predictions.iter().filter(|row| row.right).count();
            block.summary = format!("{right} of {} right", block.predictions.len());
        }
        if has_sheet(files.dir(), sample.step) {
            block.image = Some(format!("samples/{}.png", step_name(sample.step)));
        }
        block
    };
    files.samples.iter().rev().map(block).collect()
}
