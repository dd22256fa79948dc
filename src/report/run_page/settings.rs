//! The settings of a run beside their defaults, and beside those of the best sibling.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::super::chart::number::measured;
use super::super::model::{SettingRow, SiblingBlock};
use super::super::say;
use super::super::siblings::Finished;
use super::super::site::{address_of, run_folder};
use crate::experiment::identity;
use crate::run_dir::records::{Origin, RunRecord};

/// The best other run of the experiment that finished, by the same metric.
#[derive(Clone, Debug)]
pub struct Sibling {
    run: Finished,
    label: String,
    settings: BTreeMap<String, String>,
}

impl Sibling {
    pub fn new(record: &RunRecord, run: Finished, label: String) -> Sibling {
        Sibling { run, label, settings: flattened(record).into_iter().collect() }
    }

    pub fn block(&self, root: &str) -> SiblingBlock {
        SiblingBlock {
            name: self.label.clone(),
            href: format!(
                "{root}{}/index.html",
                address_of(&run_folder(&self.run.experiment, &self.run.run))
            ),
            best: format!("{} {}", self.run.metric, measured(self.run.best)),
        }
    }
}

/// Whether a setting differs from its default or from the sibling's.
pub fn is_told(row: &SettingRow) -> bool {
    row.value != row.default || row.sibling.as_ref().is_some_and(|sibling| *sibling != row.value)
}

/// Every setting by its dotted path, in the order of the file format, then those that only the sibling has.
pub fn rows(record: &RunRecord, sibling: Option<&Sibling>) -> Vec<SettingRow> {
    let settings = flattened(record);
    let defaults = record.own_settings().map(|settings| identity::flat(&settings.defaults_of_same_kinds()));
    let defaults: BTreeMap<String, String> = defaults.map(in_words).into_iter().flatten().collect();
    let theirs = |path: &str| {
        sibling.map(|sibling| sibling.settings.get(path).cloned().unwrap_or_else(|| ABSENT.to_owned()))
    };
    let own: Vec<SettingRow> = settings
        .into_iter()
        .map(|(path, value)| SettingRow {
            default: defaults.get(&path).cloned().unwrap_or_default(),
            sibling: theirs(&path),
            origin: record.origins.get(&path).map_or_else(String::new, origin),
            path,
            value,
        })
        .collect();
    let is_new = |path: &&String| !own.iter().any(|row| row.path == **path);
    let others = sibling.iter().flat_map(|sibling| sibling.settings.keys()).filter(is_new);
    let others: Vec<SettingRow> = others
        .map(|path| SettingRow {
            path: path.clone(),
            value: ABSENT.to_owned(),
            default: ABSENT.to_owned(),
            sibling: theirs(path),
            origin: String::new(),
        })
        .collect();
    own.into_iter().chain(others).collect()
}

/// What stands for a setting that a run of another kind does not have.
const ABSENT: &str = "–";

fn origin(origin: &Origin) -> String {
    match origin {
        Origin::File { line } => format!("line {line}"),
        Origin::Sweep => "sweep".into(),
        Origin::CommandLine => "command line".into(),
    }
}

fn flattened(record: &RunRecord) -> Vec<(String, String)> {
    in_words(record.flat_settings())
}

fn in_words(settings: Map<String, Value>) -> Vec<(String, String)> {
    settings.into_iter().map(|(path, value)| (path, say::setting(&value))).collect()
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
        let rows = rows(&record, None);
        let row = rows.iter().find(|row| row.path == "train.batch_size").unwrap();
        assert_eq!((row.value.as_str(), row.default.as_str(), row.origin.as_str()), ("12", "32", "line 7"));
        let differing: Vec<&str> =
            rows.iter().filter(|row| row.value != row.default).map(|row| row.path.as_str()).collect();
        assert_eq!(differing, ["train.batch_size"]);
    }

    #[test]
    fn what_the_best_sibling_has_otherwise_is_told_and_what_only_it_has() {
        let mut other = sample_record("x", "best");
        other.settings.train.seed = 7;
        let finished =
            Finished { experiment: "x".into(), run: "best".into(), metric: "val/loss".into(), best: 1.25 };
        let mut sibling = Sibling::new(&other, finished, "best".into());
        sibling.settings.insert("model.other".into(), "3".into());
        let rows = rows(&sample_record("x", "y"), Some(&sibling));
        let told: Vec<_> = rows.iter().filter(|row| is_told(row)).collect();
        let shown: Vec<(&str, &str, &str)> = told
            .iter()
            .map(|row| (row.path.as_str(), row.value.as_str(), row.sibling.as_deref().unwrap_or("")))
            .collect();
        let own_seed = sample_record("x", "y").settings.train.seed.to_string();
        assert_eq!(shown, [("train.seed", own_seed.as_str(), "7"), ("model.other", "–", "3")]);
        assert_eq!(sibling.block("../").best, "val/loss 1.250");
    }
}
