//! What of a run's records pages show at most. A run that came from elsewhere may hold anything in its
//! files; a page must still open. What is left out is said in a sentence.

use serde_json::Value;

use super::files::RunFiles;
use super::say;
use crate::run_dir::records::{
    Ask, Attempt, Evaluation, Event, ModelRecord, RunRecord, Sample, SampleItem, What,
};
use crate::run_dir::requests;

/// Characters of a name, of a sentence, of a note, and of all texts of one sample.
const NAME: usize = 200;
const SENTENCE: usize = 2_000;
const NOTE: usize = 10_000;
const SAMPLE: usize = 20_000;
/// Layers of a model, tensors of a layer, sizes of a shape.
const LAYERS: usize = 20_000;
const TENSORS: usize = 64;
const SIZES: usize = 12;
/// Classes of an evaluation; their matrix has the square of it.
const CLASSES: usize = 1_000;
const ITEMS: usize = 200;
const TAGS: usize = 50;
const NOTES: usize = 100;
const ATTEMPTS: usize = 500;
const EVENTS: usize = 100_000;
const DATA_FILES: usize = 1_000;
const WARNINGS: usize = 50;
/// Elements of a list in the settings, and bytes of `run.json` from which on they are looked at.
const ELEMENTS: usize = 1_000;
const LONG_RECORD: u64 = 64 << 10;

/// Cuts what was read to what pages have room for.
pub fn cut(files: &mut RunFiles) {
    let mut told = Vec::new();
    let is_long = std::fs::metadata(files.dir().run_json()).is_ok_and(|file| file.len() > LONG_RECORD);
    if let Ok(record) = &mut files.seen.record
        && is_long
    {
        cut_record(record, &mut told);
    }
    cut_requests(files, &mut told);
    cut_attempts(&mut files.seen.attempts, &mut told);
    for events in [&mut files.events, &mut files.machine_alerts] {
        cut_events(events, &mut told);
    }
    for model in [&mut files.model, &mut files.taken_model].into_iter().flatten() {
        cut_model(model, &mut told);
    }
    if let Some(evaluation) = &mut files.evaluation {
        cut_evaluation(evaluation, &mut told);
    }
    if let Some(environment) = &mut files.environment {
        keep_first(&mut environment.data, DATA_FILES, ("data file", "data files"), &mut told);
        for file in &mut environment.data {
            shorten(&mut file.path, SENTENCE);
            shorten(&mut file.blake3, NAME);
        }
        shorten(&mut environment.program, NAME);
        shorten(&mut environment.host, NAME);
        for text in [&mut environment.git_commit, &mut environment.git_branch].into_iter().flatten() {
            shorten(text, NAME);
        }
    }
    if let Some(why) = files.result.as_mut().and_then(|result| result.stopped_early.as_mut()) {
        shorten(why, SENTENCE);
    }
    files.warnings.append(&mut told);
    keep_first(&mut files.warnings, WARNINGS, ("warning", "warnings"), &mut told);
    files.warnings.append(&mut told);
    files.warnings.iter_mut().for_each(|warning| _ = shorten(warning, SENTENCE));
}

/// The same of one sample, which is cut before the next is read.
pub fn cut_sample(sample: &mut Sample, told: &mut Vec<String>) {
    let whole = sample.items.len();
    sample.items.truncate(ITEMS);
    let mut left = SAMPLE;
    let mut is_cut = false;
    for item in &mut sample.items {
        match item {
            SampleItem::Text { prompt, text, .. } => {
                for text in [prompt, text] {
                    is_cut |= shorten(text, left);
                    left = left.saturating_sub(text.chars().count());
                }
            }
            SampleItem::Logged { title, text } => {
                is_cut |= shorten(title, NAME) | shorten(text, left);
                left = left.saturating_sub(text.chars().count());
            }
            SampleItem::Prediction { actual, predicted, .. } => {
                is_cut |= shorten(actual, NAME) | shorten(predicted, NAME);
            }
        }
    }
    if is_cut || whole > ITEMS {
        told.push(format!("the sample of step {} is too long, and is shown in part", sample.step));
    }
}

/// Cuts a text to so many characters, with an ellipsis; whether it was longer.
pub fn shorten(text: &mut String, most: usize) -> bool {
    // Characters have a byte at least.
    if text.len() <= most {
        return false;
    }
    let Some((end, _)) = text.char_indices().nth(most) else { return false };
    text.truncate(end);
    text.push('…');
    text.shrink_to_fit();
    true
}

fn keep_first<T>(list: &mut Vec<T>, most: usize, (one, many): (&str, &str), told: &mut Vec<String>) {
    if list.len() > most {
        told.push(format!("{} further are left out", say::counted(list.len() - most, one, many)));
        list.truncate(most);
    }
}

fn keep_last<T>(list: &mut Vec<T>, most: usize, (one, many): (&str, &str), told: &mut Vec<String>) {
    if list.len() > most {
        let earlier = list.len() - most;
        told.push(format!("{} before are left out", say::counted(earlier, one, many)));
        list.drain(..earlier);
    }
}

fn cut_record(record: &mut RunRecord, told: &mut Vec<String>) {
    keep_first(&mut record.tags, TAGS, ("tag", "tags"), told);
    record.tags.iter_mut().for_each(|tag| _ = shorten(tag, NAME));
    let mut is_cut = shorten(&mut record.description, SENTENCE) | shorten(&mut record.notes, NOTE);
    let mut settings = serde_json::to_value(&record.settings).unwrap_or_default();
    if cut_value(&mut settings)
        && let Ok(settings) = serde_json::from_value(settings)
    {
        record.settings = settings;
        is_cut = true;
    }
    for (_, value) in record.imported.iter_mut().flat_map(|imported| imported.settings.iter_mut()) {
        is_cut |= cut_value(value);
    }
    for (_, value) in &mut record.varied {
        is_cut |= cut_value(value);
    }
    if is_cut {
        told.push("run.json holds long texts, which are shown in part".to_owned());
    }
}

/// Cuts texts and lists of a value, however deep; whether anything was cut.
fn cut_value(value: &mut Value) -> bool {
    match value {
        Value::String(text) => shorten(text, SENTENCE),
        Value::Array(list) => {
            let is_long = list.len() > ELEMENTS;
            list.truncate(ELEMENTS);
            list.iter_mut().fold(is_long, |is_cut, value| cut_value(value) | is_cut)
        }
        Value::Object(fields) => {
            fields.iter_mut().fold(false, |is_cut, (_, value)| cut_value(value) | is_cut)
        }
        _ => false,
    }
}

fn cut_requests(files: &mut RunFiles, told: &mut Vec<String>) {
    let (mut tags, mut notes, mut left_out) = (0, 0, 0);
    requests::drop_overtaken(&mut files.seen.requests);
    files.seen.requests.retain_mut(|request| {
        shorten(&mut request.who, NAME);
        let (count, most) = match &mut request.ask {
            Ask::Tag { tag, .. } => (&mut tags, (shorten(tag, NAME), TAGS).1),
            Ask::Note { text } => (&mut notes, (shorten(text, NOTE), NOTES).1),
            _ => return true,
        };
        *count += 1;
        left_out += usize::from(*count > most);
        *count <= most
    });
    if left_out > 0 {
        told.push(format!(
            "{} further are left out",
            say::counted(left_out, "note or tag", "notes and tags")
        ));
    }
}

fn cut_attempts(attempts: &mut Vec<Attempt>, told: &mut Vec<String>) {
    keep_last(attempts, 2 * ATTEMPTS, ("line of attempts", "lines of attempts"), told);
    for attempt in attempts {
        match attempt {
            Attempt::Start(start) => {
                shorten(&mut start.host, NAME);
                shorten(&mut start.libtorch, NAME);
            }
            Attempt::End(end) => _ = shorten(&mut end.why, SENTENCE),
        }
    }
}

fn cut_events(events: &mut Vec<Event>, told: &mut Vec<String>) {
    keep_last(events, EVENTS, ("event", "events"), told);
    for event in events {
        match &mut event.what {
            What::Alert { message, rule, .. } => {
                shorten(message, SENTENCE);
                rule.iter_mut().for_each(|rule| _ = shorten(rule, NAME));
            }
            What::Failed { message, .. } | What::Ended { why: message } => _ = shorten(message, SENTENCE),
            What::Checkpointed { history, weights, .. } => {
                shorten(history, NAME);
                shorten(weights, NAME);
            }
            _ => {}
        }
    }
}

fn cut_model(model: &mut ModelRecord, told: &mut Vec<String>) {
    shorten(&mut model.kind, NAME);
    keep_first(&mut model.layers, LAYERS, ("layer", "layers"), told);
    for layer in &mut model.layers {
        shorten(&mut layer.name, NAME);
        shorten(&mut layer.kind, NAME);
        layer.output.truncate(SIZES);
        layer.tensors.truncate(TENSORS);
        for (name, sizes) in &mut layer.tensors {
            shorten(name, NAME);
            sizes.truncate(SIZES);
        }
    }
}

fn cut_evaluation(evaluation: &mut Evaluation, told: &mut Vec<String>) {
    keep_first(&mut evaluation.classes, CLASSES, ("class", "classes"), told);
    evaluation.classes.iter_mut().for_each(|class| _ = shorten(&mut class.name, NAME));
    evaluation.confusion.truncate(CLASSES);
    for row in &mut evaluation.confusion {
        row.truncate(CLASSES);
        row.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests;
