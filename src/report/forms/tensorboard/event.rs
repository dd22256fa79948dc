//! TensorBoard's events as protocol buffers, as far as we write them. Numbers of fields:
//! tensorboard/compat/proto/event.proto, summary.proto, tensor.proto, plugins/hparams/plugin_data.proto.

use serde_json::{Map, Value};

use crate::run_dir::distributions::QUANTILES;

/// Where a model came to, for the table of hyperparameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Well,
    Badly,
}

/// One event at a step, with values that are added to it.
pub struct Event {
    time: f64,
    step: i64,
    summary: Vec<u8>,
}

const FLOAT: u64 = 1;
const DOUBLE: u64 = 2;
const STRING: u64 = 7;
/// What a value is for, in its metadata.
const TENSOR: u64 = 2;

impl Event {
    /// The first one of every file.
    pub fn version(time: f64) -> Vec<u8> {
        let mut event = head(time, 0);
        bytes(&mut event, 3, b"brain.Event:2");
        event
    }

    /// The settings of a run, by their dotted paths.
    pub fn settings(time: f64, settings: &Map<String, Value>) -> Vec<u8> {
        let mut session = Vec::new();
        for (path, setting) in settings.iter().filter(|(_, value)| !value.is_null()) {
            let mut entry = Vec::new();
            bytes(&mut entry, 1, path.as_bytes());
            bytes(&mut entry, 2, &value(setting));
            bytes(&mut session, 1, &entry);
        }
        double(&mut session, 5, time);
        hyperparameters(time, "_hparams_/session_start_info", 3, &session)
    }

    /// That a run has ended.
    pub fn end(time: f64, ended: Ended) -> Vec<u8> {
        let mut session = Vec::new();
        whole(&mut session, 1, if ended == Ended::Well { 1 } else { 2 });
        double(&mut session, 2, time);
        hyperparameters(time, "_hparams_/session_end_info", 4, &session)
    }

    pub fn at(time: f64, step: i64) -> Event {
        Event { time, step, summary: Vec::new() }
    }

    pub fn scalar(&mut self, tag: &str, number: f32) {
        let mut value = tagged(tag);
        key(&mut value, 2, 5);
        value.extend(number.to_le_bytes());
        bytes(&mut self.summary, 1, &value);
    }

    /// Shown as it stands: TensorBoard takes texts for Markdown, where four spaces keep every sign.
    pub fn text(&mut self, tag: &str, text: &str) {
        let quoted: Vec<String> = text.split('\n').map(|line| format!("    {line}")).collect();
        let mut shape = Vec::new();
        let mut dimension = Vec::new();
        whole(&mut dimension, 1, 1);
        bytes(&mut shape, 2, &dimension);
        let mut tensor = Vec::new();
        whole(&mut tensor, 1, STRING);
        bytes(&mut tensor, 2, &shape);
        bytes(&mut tensor, 8, quoted.join("\n").as_bytes());
        let mut value = tagged(tag);
        bytes(&mut value, 8, &tensor);
        bytes(&mut value, 9, &metadata("text", &[], TENSOR));
        bytes(&mut self.summary, 1, &value);
    }

    /// As many of a hundred values in each bucket as lie between its quantiles: how many there were is not known.
    pub fn histogram(&mut self, tag: &str, quantiles: &[f64; QUANTILES.len()]) {
        let (buckets, columns) = (QUANTILES.len() - 1, 3);
        let mut shape = Vec::new();
        for size in [buckets, columns] {
            let mut dimension = Vec::new();
            whole(&mut dimension, 1, size as u64);
            bytes(&mut shape, 2, &dimension);
        }
        let edges = quantiles.windows(2).zip(QUANTILES.windows(2));
        // A share is a difference of two that are not exact.
        let rows =
            edges.map(|(edges, shares)| [edges[0], edges[1], ((shares[1].1 - shares[0].1) * 100.0).round()]);
        let content: Vec<u8> = rows.flatten().flat_map(f64::to_le_bytes).collect();
        let mut tensor = Vec::new();
        whole(&mut tensor, 1, DOUBLE);
        bytes(&mut tensor, 2, &shape);
        bytes(&mut tensor, 4, &content);
        let mut value = tagged(tag);
        bytes(&mut value, 8, &tensor);
        bytes(&mut value, 9, &metadata("histograms", &[], TENSOR));
        bytes(&mut self.summary, 1, &value);
    }

    pub fn image(&mut self, tag: &str, png: &[u8]) {
        // Both stand at fixed places of the first chunk.
        let size = |from: usize| {
            png.get(from..from + 4).and_then(|four| four.try_into().ok()).map_or(0, u32::from_be_bytes)
        };
        let mut image = Vec::new();
        whole(&mut image, 1, size(20).into());
        whole(&mut image, 2, size(16).into());
        whole(&mut image, 3, 3);
        bytes(&mut image, 4, png);
        let mut value = tagged(tag);
        bytes(&mut value, 4, &image);
        bytes(&mut self.summary, 1, &value);
    }

    pub fn done(self) -> Vec<u8> {
        let mut event = head(self.time, self.step);
        bytes(&mut event, 5, &self.summary);
        event
    }
}

fn head(time: f64, step: i64) -> Vec<u8> {
    let mut event = Vec::new();
    double(&mut event, 1, time);
    whole(&mut event, 2, step.cast_unsigned());
    event
}

/// An event that carries nothing but what a plugin keeps.
fn hyperparameters(time: f64, tag: &str, field: u64, session: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    bytes(&mut content, field, session);
    let mut nothing = Vec::new();
    whole(&mut nothing, 1, FLOAT);
    bytes(&mut nothing, 2, &[]);
    bytes(&mut nothing, 5, &0_f32.to_le_bytes());
    let mut value = tagged(tag);
    bytes(&mut value, 8, &nothing);
    bytes(&mut value, 9, &metadata("hparams", &content, 0));
    let mut event = Event::at(time, 0);
    bytes(&mut event.summary, 1, &value);
    event.done()
}

fn tagged(tag: &str) -> Vec<u8> {
    let mut value = Vec::new();
    bytes(&mut value, 1, tag.as_bytes());
    value
}

fn metadata(plugin: &str, content: &[u8], class: u64) -> Vec<u8> {
    let mut data = Vec::new();
    bytes(&mut data, 1, plugin.as_bytes());
    if !content.is_empty() {
        bytes(&mut data, 2, content);
    }
    let mut metadata = Vec::new();
    bytes(&mut metadata, 1, &data);
    if class > 0 {
        whole(&mut metadata, 4, class);
    }
    metadata
}

/// A setting as `google.protobuf.Value`: a number, words or a truth.
fn value(setting: &Value) -> Vec<u8> {
    let mut value = Vec::new();
    match setting {
        Value::Number(number) => double(&mut value, 2, number.as_f64().unwrap_or(f64::NAN)),
        Value::Bool(truth) => whole(&mut value, 4, u64::from(*truth)),
        Value::String(words) => bytes(&mut value, 3, words.as_bytes()),
        other => bytes(&mut value, 3, other.to_string().as_bytes()),
    }
    value
}

fn key(out: &mut Vec<u8>, field: u64, wire: u64) {
    varint(out, field << 3 | wire);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn whole(out: &mut Vec<u8>, field: u64, value: u64) {
    key(out, field, 0);
    varint(out, value);
}

fn double(out: &mut Vec<u8>, field: u64, value: f64) {
    key(out, field, 1);
    out.extend(value.to_le_bytes());
}

fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    key(out, field, 2);
    varint(out, value.len() as u64);
    out.extend(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scalar_has_these_bytes() {
        let mut event = Event::at(1.5, 300);
        event.scalar("a", 0.5);
        let expected = [
            &[9][..],
            &1.5_f64.to_le_bytes(),
            &[16, 0xac, 2],
            // The summary, its value, the tag, the number.
            &[42, 10, 10, 8, 10, 1, b'a', 21],
            &0.5_f32.to_le_bytes(),
        ];
        assert_eq!(event.done(), expected.concat());
    }

    #[test]
    fn a_text_keeps_its_lines() {
        let mut event = Event::at(0.0, 1);
        event.text("t", "one\n# two");
        let event = event.done();
        assert!(memchr::memmem::find(&event, b"    one\n    # two").is_some());
    }
}
