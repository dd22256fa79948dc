//! One record of an event file: wall time, step, and what was logged then.
//!
//! Fields by their numbers in tensorflow/core/util/event.proto, framework/summary.proto, framework/tensor.proto
//! and tensorboard/plugins/hparams/plugin_data.proto.

use serde_json::{Map, Value};

use super::protobuf::{Wire, field, fields};

/// A record, with the values that it holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Event<'a> {
    /// Unix seconds.
    pub time: f64,
    /// As it stands there: it may be below zero.
    pub step: i64,
    summary: &'a [u8],
}

/// One value of a record, with the name of the plugin it is for, where that stands beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct Logged<'a> {
    pub tag: String,
    pub plugin: String,
    /// What the plugin keeps with the tag: settings, for `hparams`.
    pub content: &'a [u8],
    pub what: What<'a>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum What<'a> {
    Scalar(f64),
    /// An encoded picture.
    Image(&'a [u8]),
    /// A `HistogramProto`.
    Histogram(&'a [u8]),
    /// Sound, and histograms as they were before 2015.
    Other,
    Tensor(Tensor<'a>),
    Nothing,
}

/// A tensor as it lies there: what it means depends on the plugin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tensor<'a>(&'a [u8]);

impl<'a> Event<'a> {
    pub fn read(record: &'a [u8]) -> Event<'a> {
        let mut event = Event { time: f64::NAN, step: 0, summary: &[] };
        for (number, value) in fields(record) {
            match number {
                1 => event.time = value.double(),
                2 => event.step = value.integer() as i64,
                5 => event.summary = value.bytes(),
                _ => {}
            }
        }
        event
    }

    pub fn values(&self) -> impl Iterator<Item = Logged<'a>> + use<'a> {
        fields(self.summary).filter(|(number, _)| *number == 1).map(|(_, value)| logged(value.bytes()))
    }
}

fn logged(value: &[u8]) -> Logged<'_> {
    let mut logged = Logged { tag: String::new(), plugin: String::new(), content: &[], what: What::Nothing };
    for (number, field) in fields(value) {
        match number {
            1 => logged.tag = field.text(),
            2 => logged.what = What::Scalar(field.double()),
            5 => logged.what = What::Histogram(field.bytes()),
            4 => {
                let encoded = super::protobuf::field(field.bytes(), 4);
                logged.what = What::Image(encoded.map_or(&[], Wire::bytes));
            }
            3 | 6 => logged.what = What::Other,
            8 => logged.what = What::Tensor(Tensor(field.bytes())),
            9 => {
                let plugin = super::protobuf::field(field.bytes(), 1).map_or(&[][..], Wire::bytes);
                for (number, field) in fields(plugin) {
                    match number {
                        1 => logged.plugin = field.text(),
                        2 => logged.content = field.bytes(),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    logged
}

impl<'a> Tensor<'a> {
    /// Its first number.
    pub fn number(self) -> Option<f64> {
        let kind = field(self.0, 1).map_or(0, Wire::integer);
        // Packed numbers lie one after the other, as they do in the raw content.
        let first = |number: u64| field(self.0, number);
        let packed = |wire: Wire<'a>, bytes: usize| wire.bytes().get(..bytes);
        let raw = first(4).map(Wire::bytes).unwrap_or_default();
        match kind {
            1 => match first(5) {
                Some(wire @ Wire::Bytes(_)) => packed(wire, 4).and_then(of_float),
                Some(wire) => Some(wire.double()),
                None => raw.get(..4).and_then(of_float),
            },
            2 => match first(6) {
                Some(wire @ Wire::Bytes(_)) => packed(wire, 8).and_then(of_double),
                Some(wire) => Some(wire.double()),
                None => raw.get(..8).and_then(of_double),
            },
            3..=6 | 9 | 10 => {
                let wire = [7, 10, 11].into_iter().find_map(first);
                match wire {
                    Some(Wire::Bytes(packed)) => fields(&[&[8], packed].concat())
                        .next()
                        .map(|(_, value)| value.integer() as i64 as f64),
                    Some(wire) => Some(wire.integer() as i64 as f64),
                    None => whole(raw),
                }
            }
            14 => raw.get(..2).map(|bytes| {
                f64::from(f32::from_bits(u32::from(u16::from_le_bytes([bytes[0], bytes[1]])) << 16))
            }),
            _ => None,
        }
    }

    /// All of its numbers, if they are floats or doubles and no more than `most`. Its shape is not asked: what
    /// is there counts.
    pub fn numbers(self, most: usize) -> Option<Vec<f64>> {
        let (bytes, listed) = match field(self.0, 1).map_or(0, Wire::integer) {
            1 => (4, 5),
            2 => (8, 6),
            _ => return None,
        };
        let mut numbers = Vec::new();
        for (number, value) in fields(self.0) {
            match value {
                Wire::Bytes(packed) if number == 4 || number == listed => {
                    let one = |piece: &[u8]| if bytes == 4 { of_float(piece) } else { of_double(piece) };
                    numbers.extend(packed.chunks_exact(bytes).take(most + 1).filter_map(one));
                }
                Wire::Fixed32(_) | Wire::Fixed64(_) if number == listed => numbers.push(value.double()),
                _ => {}
            }
            if numbers.len() > most {
                return None;
            }
        }
        Some(numbers)
    }

    /// Its texts, or other pieces of bytes.
    pub fn pieces(self) -> impl Iterator<Item = &'a [u8]> {
        fields(self.0).filter(|(number, _)| *number == 8).map(|(_, value)| value.bytes())
    }
}

fn of_float(bytes: &[u8]) -> Option<f64> {
    Some(f64::from(f32::from_le_bytes(bytes.try_into().ok()?)))
}

fn of_double(bytes: &[u8]) -> Option<f64> {
    Some(f64::from_le_bytes(bytes.try_into().ok()?))
}

fn whole(raw: &[u8]) -> Option<f64> {
    match raw.len() {
        1 => Some(f64::from(raw[0])),
        4 => Some(f64::from(i32::from_le_bytes(raw.try_into().ok()?))),
        8 => Some(i64::from_le_bytes(raw.try_into().ok()?) as f64),
        _ => None,
    }
}

/// What the `hparams` plugin tells of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Session {
    pub settings: Map<String, Value>,
    pub has_ended: bool,
}

/// Reads what the plugin keeps beside one of its tags.
pub fn session(content: &[u8]) -> Session {
    let mut session = Session::default();
    if let Some(start) = field(content, 3) {
        for (_, entry) in fields(start.bytes()).filter(|(number, _)| *number == 1) {
            let name = field(entry.bytes(), 1).map(Wire::text).unwrap_or_default();
            let value = field(entry.bytes(), 2).map_or(Value::Null, |value| any(value.bytes(), 0));
            session.settings.insert(name, value);
        }
    }
    if let Some(end) = field(content, 4) {
        // Success and failure; anything else is not told.
        session.has_ended = matches!(field(end.bytes(), 1).map(Wire::integer), Some(1 | 2));
    }
    session
}

/// google.protobuf.Value.
fn any(message: &[u8], depth: u32) -> Value {
    const DEEPEST: u32 = 16;
    match fields(message).last() {
        Some((2, number)) => serde_json::Number::from_f64(number.double()).map_or_else(
            || number.double().to_string().to_lowercase().into(),
            |number| whole_number(&number),
        ),
        Some((3, text)) => text.text().into(),
        Some((4, flag)) => (flag.integer() != 0).into(),
        Some((5, object)) if depth < DEEPEST => {
            let entries = fields(object.bytes()).filter(|(number, _)| *number == 1);
            let entry = |entry: Wire| {
                let name = field(entry.bytes(), 1).map(Wire::text).unwrap_or_default();
                (name, field(entry.bytes(), 2).map_or(Value::Null, |value| any(value.bytes(), depth + 1)))
            };
            Value::Object(entries.map(|(_, value)| entry(value)).collect())
        }
        Some((6, list)) if depth < DEEPEST => fields(list.bytes())
            .filter(|(number, _)| *number == 1)
            .map(|(_, value)| any(value.bytes(), depth + 1))
            .collect(),
        _ => Value::Null,
    }
}

/// 64 rather than 64.0: every number there is a double.
fn whole_number(number: &serde_json::Number) -> Value {
    match number.as_f64() {
        Some(value) if value.fract() == 0.0 && value.abs() < 9e15 => Value::from(value as i64),
        _ => Value::Number(number.clone()),
    }
}

#[cfg(test)]
pub(super) mod written {
    use super::super::protobuf::written::*;

    /// A record with these values.
    pub fn event(time: f64, step: i64, values: &[Vec<u8>]) -> Vec<u8> {
        let summary: Vec<u8> = values.iter().flat_map(|value| bytes(1, value)).collect();
        [double(1, time), integer(2, step as u64), bytes(5, &summary)].concat()
    }

    pub fn scalar(tag: &str, value: f32) -> Vec<u8> {
        [bytes(1, tag.as_bytes()), float(2, value)].concat()
    }

    pub fn metadata(plugin: &str, content: &[u8]) -> Vec<u8> {
        bytes(9, &bytes(1, &[bytes(1, plugin.as_bytes()), bytes(2, content)].concat()))
    }

    pub fn tensor(tag: &str, plugin: &str, tensor: &[u8]) -> Vec<u8> {
        [bytes(1, tag.as_bytes()), bytes(8, tensor), metadata(plugin, b"")].concat()
    }

    pub fn texts(pieces: &[&[u8]]) -> Vec<u8> {
        let pieces = pieces.iter().flat_map(|piece| bytes(8, piece));
        integer(1, 7).into_iter().chain(pieces).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::protobuf::written::*;
    use super::*;

    #[test]
    fn scalars_of_both_kinds_are_numbers() {
        let number = |tensor: Vec<u8>| Tensor(&tensor).number();
        assert_eq!(number([integer(1, 1), bytes(4, &2.5_f32.to_le_bytes())].concat()), Some(2.5));
        assert_eq!(number([integer(1, 1), bytes(5, &2.5_f32.to_le_bytes())].concat()), Some(2.5));
        assert_eq!(number([integer(1, 1), float(5, 2.5)].concat()), Some(2.5));
        assert_eq!(number([integer(1, 2), double(6, 0.25)].concat()), Some(0.25));
        assert_eq!(number([integer(1, 2), bytes(4, &0.25_f64.to_le_bytes())].concat()), Some(0.25));
        assert_eq!(number([integer(1, 3), bytes(4, &(-7_i32).to_le_bytes())].concat()), Some(-7.0));
        assert_eq!(number([integer(1, 9), bytes(10, &varint(300))].concat()), Some(300.0));
        assert_eq!(number([integer(1, 14), bytes(4, &[0x20, 0x40])].concat()), Some(2.5));
        for nothing in [Vec::new(), integer(1, 1), [integer(1, 1), bytes(4, &[1])].concat(), integer(1, 7)] {
            assert_eq!(number(nothing), None);
        }
    }

    #[test]
    fn a_record_tells_its_step_its_time_and_its_values() {
        let message = written::event(1.7e9, -1, &[written::scalar("loss", 0.5), Vec::new()]);
        let event = Event::read(&message);
        assert_eq!((event.time, event.step), (1.7e9, -1));
        let values: Vec<Logged> = event.values().collect();
        assert_eq!((values[0].tag.as_str(), &values[0].what), ("loss", &What::Scalar(0.5)));
        assert_eq!(values[1].what, What::Nothing);
    }

    #[test]
    fn settings_of_a_session_have_their_types() {
        let entry =
            |name: &str, value: Vec<u8>| bytes(1, &[bytes(1, name.as_bytes()), bytes(2, &value)].concat());
        let list = bytes(6, &[bytes(1, &double(2, 1.0)), bytes(1, &bytes(3, b"x"))].concat());
        let settings = [
            entry("lr", double(2, 0.001)),
            entry("batch", double(2, 64.0)),
            entry("name", bytes(3, b"adam")),
            entry("bias", integer(4, 1)),
            entry("list", list),
        ]
        .concat();
        let told = session(&bytes(3, &settings));
        assert_eq!(
            serde_json::to_string(&told.settings).unwrap(),
            r#"{"lr":0.001,"batch":64,"name":"adam","bias":true,"list":[1,"x"]}"#
        );
        assert!(!told.has_ended && session(&bytes(4, &integer(1, 1))).has_ended);
    }
}
