//! Settings in YAML, as plain values. Aliases are not followed, so that no small file becomes a large one; a file
//! that is damaged or cut off gives what stands before.

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};

/// How deep values may lie in each other, and how many there may be.
const DEEPEST: usize = 64;
const MOST: usize = 50_000;

/// What is open while reading: a list, or an object with the key that waits for its value.
enum Open {
    List(Vec<Value>),
    Object(Map<String, Value>, Option<String>),
}

/// The first document, and whether it could be read to its end.
pub fn read(text: &str) -> (Value, bool) {
    let mut open: Vec<Open> = Vec::new();
    let mut root = Value::Null;
    let mut is_whole = true;
    for (count, event) in Parser::new_from_str(text).enumerate() {
        let Ok((event, _)) = event else {
            is_whole = false;
            break;
        };
        if count > MOST || open.len() > DEEPEST {
            is_whole = false;
            break;
        }
        let value = match event {
            Event::Scalar(text, style, ..) => scalar(&text, style),
            Event::Alias(_) => Value::Null,
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Object(Map::new(), None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(closed) => closed.value(),
                None => continue,
            },
            Event::DocumentEnd => break,
            _ => continue,
        };
        put(&mut open, &mut root, value);
    }
    while let Some(unclosed) = open.pop() {
        let value = unclosed.value();
        put(&mut open, &mut root, value);
    }
    (root, is_whole)
}

fn put(open: &mut [Open], root: &mut Value, value: Value) {
    match open.last_mut() {
        None => *root = value,
        Some(Open::List(list)) => list.push(value),
        Some(Open::Object(object, key)) => match key.take() {
            Some(key) => drop(object.insert(key, value)),
            None => *key = Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned)),
        },
    }
}

impl Open {
    fn value(self) -> Value {
        match self {
            Open::List(list) => Value::Array(list),
            Open::Object(object, _) => Value::Object(object),
        }
    }
}

/// A value that stands alone.
pub fn word(text: &str) -> Value {
    scalar(text, ScalarStyle::Plain)
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return text.into();
    }
    match text {
        "" | "~" | "null" | "None" => Value::Null,
        "true" | "True" => true.into(),
        "false" | "False" => false.into(),
        _ => {
            let is_number = text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first));
            let number = || text.parse::<f64>().ok().and_then(serde_json::Number::from_f64);
            match text.parse::<i64>() {
                Ok(whole) => whole.into(),
                Err(_) if is_number => number().map_or_else(|| text.into(), Value::Number),
                Err(_) => text.into(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_plain_whatever_python_wrote() {
        let text = "lr: 0.001\nlayers: [1, 2]\nname: 'adam'\nversion: 1.2.3\noptimizer: !!python/object:x.Adam\n  betas: !!python/tuple\n  - 0.9\n  - 0.999\nflag: true\nnone: null\n1: one\n";
        let (value, is_whole) = read(text);
        assert!(is_whole);
        assert_eq!(
            value.to_string(),
            r#"{"lr":0.001,"layers":[1,2],"name":"adam","version":"1.2.3","optimizer":{"betas":[0.9,0.999]},"flag":true,"none":null,"1":"one"}"#
        );
    }

    #[test]
    fn what_is_cut_off_or_made_to_grow_ends_early() {
        let (value, is_whole) = read("a: 1\nb: [2, {c: \"");
        assert_eq!((value["a"].clone(), is_whole), (1.into(), false));
        assert!(!read(&"[".repeat(10_000)).1);
        let bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n";
        assert_eq!(read(bomb).0["c"].to_string(), "[null,null]");
        assert_eq!(read("").0, Value::Null);
    }
}
