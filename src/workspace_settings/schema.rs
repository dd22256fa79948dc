//! The JSON Schema of `overnight.toml`, so that editors complete and check it.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::WorkspaceSettings;

/// The schema, as a document of its own.
pub fn schema() -> Value {
    let generator = SchemaGenerator::new(SchemaSettings::draft2020_12());
    let mut schema = generator.into_root_schema_for::<WorkspaceSettings>().to_value();
    schema["title"] = json!("overnight workspace");
    schema["description"] = json!("overnight.toml: what holds for every batch of a workspace.");
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_describes_every_setting_and_its_default() {
        let schema = schema();
        assert_eq!(schema["additionalProperties"], false);
        let mut lacking = Vec::new();
        for (name, definition) in schema["$defs"].as_object().unwrap() {
            for (key, property) in definition["properties"].as_object().into_iter().flatten() {
                let described = property["description"].as_str().unwrap_or_default();
                let required = definition["required"].as_array().into_iter().flatten();
                let is_required = required.into_iter().any(|required| required == key);
                let has_default = property.get("default").is_none_or(|default| default.is_null())
                    || described.contains("Default: ");
                if described.is_empty() || !(is_required || has_default) {
                    lacking.push(format!("{name}.{key}: {described}"));
                }
            }
        }
        assert_eq!(lacking, [""; 0]);
    }
}
