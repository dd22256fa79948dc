//! JSON as Python writes it, with `NaN` and `Infinity`, and also where it is cut off: what is open is closed
//! behind the last whole value.

use serde_json::Value;

/// Values and containers that are taken of a file: memory stays bounded.
const MOST: usize = 2_000_000;
const MOST_CONTAINERS: usize = 500_000;

/// The value, and whether it could be read to its end. Numbers that JSON lacks are words.
pub fn read(bytes: &[u8]) -> (Value, bool) {
    let mut sound: Vec<u8> = Vec::with_capacity(bytes.len().min(1 << 20));
    let (mut open, mut safe) = (Vec::new(), 0);
    let (mut is_text, mut is_escaped) = (false, false);
    let (mut values, mut containers) = (0, 0);
    let mut rest = bytes;
    while let Some((byte, after)) = rest.split_first() {
        if values > MOST || containers > MOST_CONTAINERS {
            break;
        }
        if is_text {
            sound.push(*byte);
            is_text = *byte != b'"' || is_escaped;
            is_escaped = *byte == b'\\' && !is_escaped;
            rest = after;
            continue;
        }
        let odd = ["-Infinity", "Infinity", "NaN"].into_iter().find(|word| rest.starts_with(word.as_bytes()));
        if let Some(word) = odd {
            sound.extend(format!("\"{word}\"").bytes());
            rest = &rest[word.len()..];
            continue;
        }
        if *byte == b',' {
            safe = sound.len();
            values += 1;
        }
        sound.push(*byte);
        match byte {
            b'"' => is_text = true,
            b'{' | b'[' => {
                containers += 1;
                open.push(if *byte == b'{' { b'}' } else { b']' });
                safe = sound.len();
            }
            b'}' | b']' => {
                open.pop();
                safe = sound.len();
            }
            _ => {}
        }
        rest = after;
    }
    if rest.is_empty()
        && open.is_empty()
        && let Ok(value) = serde_json::from_slice(&sound)
    {
        return (value, true);
    }
    sound.truncate(safe);
    sound.extend(open.iter().rev());
    (serde_json::from_slice(&sound).unwrap_or_default(), false)
}

/// A number, also one that JSON lacks.
pub fn number(value: &Value) -> Option<f64> {
    match value {
        Value::String(word) if matches!(word.as_str(), "NaN" | "Infinity" | "-Infinity") => word.parse().ok(),
        // As jsonpickle writes numbers of NumPy.
        Value::Object(fields) => fields.get("value").and_then(Value::as_f64),
        Value::Bool(is_so) => Some(f64::from(u8::from(*is_so))),
        _ => value.as_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_python_are_read_and_words_in_texts_stay() {
        let (value, is_whole) = read(br#"{"a": [NaN, -Infinity, 1.5], "b": "NaN, \"[", "c": Infinity}"#);
        assert!(is_whole);
        assert_eq!(value.to_string(), r#"{"a":["NaN","-Infinity",1.5],"b":"NaN, \"[","c":"Infinity"}"#);
        assert!(number(&value["a"][0]).is_some_and(f64::is_nan));
        assert_eq!(number(&value["a"][1]), Some(f64::NEG_INFINITY));
    }

    #[test]
    fn what_is_cut_off_gives_what_stands_before() {
        let table = [
            (r#"{"a": [1, 2, 3"#, r#"{"a":[1,2]}"#),
            (r#"{"a": {"b": 1}, "c"#, r#"{"a":{"b":1}}"#),
            (r#"{"a": "x, [y"#, "{}"),
            (r#"[1, [2], {"#, "[1,[2],{}]"),
            ("", "null"),
            ("{]", "null"),
        ];
        for (text, expected) in table {
            let (value, is_whole) = read(text.as_bytes());
            assert_eq!((value.to_string().as_str(), is_whole), (expected, false), "{text}");
        }
        assert!(!read("[".repeat(100_000).as_bytes()).1);
    }
}
