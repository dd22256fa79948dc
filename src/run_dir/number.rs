//! Numbers that may not be finite, in JSON: `"nan"`, `"inf"` and `"-inf"` where JSON has no number.
//!
//! `#[serde(with = "number")]` for one value, [`Number`] inside collections. Left to itself, serde
//! would write `null` and lose which of the three it was.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A 64-bit float that survives JSON whatever its value.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Number(pub f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize(deserializer).map(Number)
    }
}

pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.is_finite() {
        serializer.serialize_f64(*value)
    } else {
        serializer.serialize_str(&spelled(*value))
    }
}

pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    struct NumberVisitor;
    impl de::Visitor<'_> for NumberVisitor {
        type Value = f64;
        fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
            out.write_str("a number, \"nan\", \"inf\" or \"-inf\"")
        }
        fn visit_f64<E: de::Error>(self, value: f64) -> Result<f64, E> {
            Ok(value)
        }
        fn visit_u64<E: de::Error>(self, value: u64) -> Result<f64, E> {
            Ok(value as f64)
        }
        fn visit_i64<E: de::Error>(self, value: i64) -> Result<f64, E> {
            Ok(value as f64)
        }
        fn visit_str<E: de::Error>(self, word: &str) -> Result<f64, E> {
            match word {
                "nan" => Ok(f64::NAN),
                "inf" => Ok(f64::INFINITY),
                "-inf" => Ok(f64::NEG_INFINITY),
                _ => Err(E::invalid_value(de::Unexpected::Str(word), &self)),
            }
        }
    }
    deserializer.deserialize_any(NumberVisitor)
}

/// As it stands in CSV files and logs: the shortest digits that read back to the same bits, or the word.
pub fn spelled(value: f64) -> String {
    if value.is_nan() {
        "nan".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "inf" } else { "-inf" }.to_owned()
    } else if value != 0.0 && !(1e-5..1e16).contains(&value.abs()) {
        format!("{value:e}")
    } else {
        format!("{value}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_survives_json_to_the_bit() {
        for value in [0.0, -0.0, 1.5, 1e-300, 1e300, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let json = serde_json::to_string(&Number(value)).unwrap();
            let back: Number = serde_json::from_str(&json).unwrap();
            assert!(back.0 == value || (back.0.is_nan() && value.is_nan()), "{json}");
        }
    }

    #[test]
    fn spelled_numbers_read_back_to_the_same_bits() {
        for value in [0.1, 1e-300, 123456.789, 4.0, 1e300, 3.0e-4f32 as f64] {
            assert_eq!(spelled(value).parse::<f64>().unwrap().to_bits(), value.to_bits());
        }
        assert_eq!(spelled(f64::NEG_INFINITY), "-inf");
    }
}
