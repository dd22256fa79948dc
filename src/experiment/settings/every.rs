//! How often something is due.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A number of steps, `"epoch"`, or 0 for never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Every {
    Never,
    Steps(u64),
    Epoch,
}

impl Every {
    /// Whether something is due after `step` (counted from 1), for an epoch of `steps_per_epoch` steps.
    pub fn is_due(self, step: u64, steps_per_epoch: u64) -> bool {
        match self {
            Every::Never => false,
            Every::Steps(steps) => step > 0 && step.is_multiple_of(steps),
            Every::Epoch => step > 0 && step.is_multiple_of(steps_per_epoch.max(1)),
        }
    }
}

impl Serialize for Every {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Every::Never => serializer.serialize_u64(0),
            Every::Steps(steps) => serializer.serialize_u64(*steps),
            Every::Epoch => serializer.serialize_str("epoch"),
        }
    }
}

impl<'de> Deserialize<'de> for Every {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EveryVisitor;
        impl de::Visitor<'_> for EveryVisitor {
            type Value = Every;
            fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
                out.write_str("a number of steps, \"epoch\", or 0 for never")
            }
            fn visit_u64<E: de::Error>(self, steps: u64) -> Result<Every, E> {
                Ok(if steps == 0 { Every::Never } else { Every::Steps(steps) })
            }
            fn visit_i64<E: de::Error>(self, steps: i64) -> Result<Every, E> {
                u64::try_from(steps)
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(steps), &self))
                    .and_then(|steps| self.visit_u64(steps))
            }
            fn visit_str<E: de::Error>(self, word: &str) -> Result<Every, E> {
                match word {
                    "epoch" => Ok(Every::Epoch),
                    _ => Err(E::invalid_value(de::Unexpected::Str(word), &self)),
                }
            }
        }
        deserializer.deserialize_any(EveryVisitor)
    }
}

impl JsonSchema for Every {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Every".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "anyOf": [{ "type": "integer", "minimum": 0 }, { "const": "epoch" }] })
    }
}
