//! The JSON Schema of experiment files, so that editors complete and check them.

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Value, json};

use super::alert::Alert;
use super::budget::Budget;
use super::settings::{Queue, Settings};
use super::sweep::Sweep;

/// What stands in an experiment file beside the settings of a run.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)] // Only its schema is used: the file is read section by section.
struct Around {
    /// What the experiment is about, in a sentence.
    description: Option<String>,
    /// Words to find it by.
    tags: Option<Vec<String>>,
    /// Anything worth remembering.
    notes: Option<String>,
    /// What varies from run to run.
    sweep: Option<Sweep>,
    /// How its runs stand in the queue.
    queue: Option<Queue>,
    /// What is watched for while a run trains, and what is then done: `[[alerts]]`.
    alerts: Option<Vec<Alert>>,
    /// What a finished run must have come to: `[[budgets]]`. A missed one makes the exit code 100. Not
    /// part of a run's identity.
    budgets: Option<Vec<Budget>>,
}

/// The schema, as a document of its own.
pub fn schema() -> Value {
    let mut generator = SchemaGenerator::new(SchemaSettings::draft2020_12());
    let settings = generator.root_schema_for::<Settings>().to_value();
    let around = SchemaGenerator::new(SchemaSettings::draft2020_12()).root_schema_for::<Around>().to_value();
    let mut schema = settings;
    schema["title"] = json!("overnight experiment");
    schema["description"] = json!("An experiment file of overnight: what is trained, how, and what varies.");
    for part in ["properties", "$defs"] {
        let more = around.get(part).and_then(Value::as_object).cloned().unwrap_or_default();
        if let Some(object) = schema[part].as_object_mut() {
            object.extend(more);
        }
    }
    // An optimizer without a kind is AdamW.
    let optimizers = schema["$defs"]["Optimizer"]["oneOf"].as_array_mut().into_iter().flatten();
    for optimizer in optimizers.filter(|optimizer| optimizer["properties"]["kind"]["const"] == "adamw") {
        optimizer.as_object_mut().map(|optimizer| optimizer.remove("required"));
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::parse::TOP_LEVEL;

    #[test]
    fn the_schema_has_every_section_and_describes_every_setting() {
        let schema = schema();
        let mut sections: Vec<&str> =
            schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        sections.sort_unstable();
        let mut expected = TOP_LEVEL.to_vec();
        expected.sort_unstable();
        assert_eq!(sections, expected);
        assert_eq!(schema["additionalProperties"], false);
        let adamw = &schema["$defs"]["Optimizer"]["oneOf"][0];
        assert_eq!((&adamw["properties"]["kind"]["const"], adamw.get("required")), (&json!("adamw"), None));
        let mut undescribed = Vec::new();
        for (name, definition) in schema["$defs"].as_object().unwrap() {
            let variants = definition["oneOf"].as_array().cloned().unwrap_or_default();
            for object in variants.iter().chain([definition]) {
                for (key, property) in object["properties"].as_object().into_iter().flatten() {
                    let described = property.get("description").is_some() || property.get("$ref").is_some();
                    if !described && key != "kind" {
                        undescribed.push(format!("{name}.{key}"));
                    }
                }
            }
        }
        assert_eq!(undescribed, [""; 0]);
    }
}
