//! The settings of a run beside their defaults.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::model::SettingRow;
use super::super::say;
use crate::run_dir::records::{Origin, RunRecord};

/// Every setting by its dotted path, in the order of the file format.
pub fn rows(record: &RunRecord) -> Vec<SettingRow> {
    let settings = flattened(&record.settings);
    let defaults: BTreeMap<String, String> =
        flattened(&record.settings.defaults_of_same_kinds()).into_iter().collect();
    settings
        .into_iter()
        .map(|(path, value)| SettingRow {
            default: defaults.get(&path).cloned().unwrap_or_default(),
            origin: record.origins.get(&path).map_or_else(String::new, origin),
            path,
            value,
        })
        .collect()
}

fn origin(origin: &Origin) -> String {
    match origin {
        Origin::File { line } => format!("line {line}"),
        Origin::Sweep => "sweep".into(),
        Origin::CommandLine => "command line".into(),
    }
}

fn flattened(settings: &crate::experiment::Settings) -> Vec<(String, String)> {
    let mut flat = Vec::new();
    if let Ok(value) = serde_json::to_value(settings) {
        flatten("", &value, &mut flat);
    }
    flat
}

fn flatten(path: &str, value: &Value, flat: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flatten(&below, field, flat);
            }
        }
        leaf => flat.push((path.to_owned(), say::setting(leaf))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_dir::scan::sample_record;

    #[test]
    fn a_changed_setting_stands_beside_its_default_and_its_place() {
        let mut record = sample_record("x", "y");
        record.settings.train.batch_size = 12;
        record.origins.insert("train.batch_size".into(), Origin::File { line: 7 });
        let rows = rows(&record);
        let row = rows.iter().find(|row| row.path == "train.batch_size").unwrap();
        assert_eq!((row.value.as_str(), row.default.as_str(), row.origin.as_str()), ("12", "32", "line 7"));
        let differing: Vec<&str> =
            rows.iter().filter(|row| row.value != row.default).map(|row| row.path.as_str()).collect();
        assert_eq!(differing, ["train.batch_size"]);
    }
}
