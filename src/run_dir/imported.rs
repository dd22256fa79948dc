//! Runs that another program trained: what stands in their `run.json` in place of our settings, and what
//! was read of their source so far. They are shown beside ours and never run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::checkpoint::Best;
use super::records::RunRecord;
use super::scan::Seen;
use super::status::{Stage, Status};
use crate::experiment::identity;
use crate::experiment::settings::Settings;
use crate::say;

/// The part of `run.json` that says where an imported run comes from. Never changed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Imported {
    /// The program that wrote the source, as people call it: `TensorBoard`.
    pub tool: String,
    /// The file or folder it was read from, as a whole path.
    pub source: String,
    /// Which run of the source it is, where one holds several; otherwise empty.
    pub part: String,
    /// Unix seconds of the first import, and the version of overnight that read it.
    pub time: f64,
    pub program: String,
    /// The settings that the source tells, by their dotted path. Nothing is added to them.
    pub settings: Map<String, Value>,
}

/// `import.json`: how far the source was read. Replaced whole at each import.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ImportState {
    /// Unix seconds of the last import that found anything new.
    pub time: f64,
    /// What was read, by its path below the source (empty for the source itself).
    pub files: BTreeMap<String, SourceFile>,
    pub rows: u64,
    /// Values that a later one of the same step, or of an earlier one, made void.
    pub overtaken: u64,
    /// The metric that counts.
    pub metric: String,
    /// The last step that has a value, and the best value of that metric.
    pub step: u64,
    pub best: Option<Best>,
    /// The last loss that was logged of training.
    pub loss: Option<f64>,
    /// When the last value was logged, in Unix seconds, as far as the source tells.
    pub newest: Option<f64>,
    /// When its files were last written to, in Unix seconds.
    pub written: Option<f64>,
    /// Whether the source says that the run has ended.
    pub has_ended: bool,
    /// How it was read: later imports that say nothing about it read it alike.
    pub wish: Wish,
    /// What could not be read, and what was left out, as sentences.
    pub warnings: Vec<String>,
}

/// What a person said about how to read a source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wish {
    /// The column that holds the steps, where its name does not say so.
    pub step: Option<String>,
    /// The columns to take, each with the name it gets. Empty takes all.
    pub columns: Vec<(String, String)>,
}

/// A file of a source as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceFile {
    pub bytes: u64,
    /// In hex.
    pub blake3: String,
}

/// Seconds after its last value in which a run that did not say that it ended may still be at work.
pub const QUIET_SECONDS: f64 = 600.0;

/// The status of an imported run: `is_followed` while an import follows its source.
pub fn status(state: Option<&ImportState>, is_followed: bool, now: f64) -> Status {
    // A fresh copy of old logs is no run at work, and a file that nobody writes to any more neither.
    let heard = state.filter(|state| !state.has_ended).and_then(|state| {
        let newest = state.newest?;
        Some(state.written.map_or(newest, |written| written.min(newest)))
    });
    match heard {
        _ if is_followed => Status::Running { stage: Stage::Running },
        Some(heard) if now - heard < QUIET_SECONDS => Status::Running { stage: Stage::Elsewhere },
        _ => Status::Finished,
    }
}

impl Imported {
    /// "imported from TensorBoard": the mark that it has on every page.
    pub fn words(&self) -> String {
        format!("imported from {}", say::plain(&self.tool))
    }

    /// Why nothing can be asked of it.
    fn refusal(&self) -> String {
        format!("was {}: it is shown, and never run", self.words())
    }

    /// The seed, where the source names one.
    pub fn seed(&self) -> Option<u64> {
        self.settings.iter().find(|(path, _)| is_seed(path)).and_then(|(_, value)| value.as_u64())
    }
}

/// The metric that counts: of our runs as their settings say, of an imported one as it was chosen among its
/// columns.
pub fn metric_of(seen: &Seen) -> String {
    let own = seen.record.as_ref().ok().and_then(RunRecord::own_settings);
    let own = own.map(|settings| settings.checkpoint.best.clone());
    let chosen = || Some(seen.import.as_ref()?.metric.clone()).filter(|metric| !metric.is_empty());
    own.or_else(chosen).unwrap_or_else(|| "val/loss".to_owned())
}

/// Whether a setting of another program is the seed, by its last word.
pub fn is_seed(path: &str) -> bool {
    let word = path.rsplit(['.', '/']).next().unwrap_or(path).to_ascii_lowercase();
    ["seed", "random_seed", "manual_seed", "random_state", "seed_everything"].contains(&word.as_str())
}

impl RunRecord {
    /// The settings that a worker of ours obeys; none of a run that another program trained.
    pub fn own_settings(&self) -> Option<&Settings> {
        self.imported.is_none().then_some(&self.settings)
    }

    /// Every setting by its dotted path, whoever trained it.
    pub fn flat_settings(&self) -> Map<String, Value> {
        match &self.imported {
            None => identity::flat(&self.settings),
            Some(imported) => imported.settings.clone(),
        }
    }

    /// Why nothing can be asked of it, where another program trained it.
    pub fn refusal(&self) -> Option<String> {
        self.imported.as_ref().map(|imported| imported.refusal())
    }

    pub fn seed(&self) -> Option<u64> {
        match &self.imported {
            None => Some(self.settings.train.seed),
            Some(imported) => imported.seed(),
        }
    }

    /// The same for runs that differ by their seed alone, in hex.
    pub fn group(&self) -> String {
        let hash = match &self.imported {
            None => {
                let mut settings = self.settings.clone();
                settings.train.seed = 0;
                identity::hash(&settings, &self.alerts)
            }
            // Without settings nobody knows which runs are alike.
            Some(imported) if imported.settings.is_empty() => self.hash.clone(),
            Some(imported) => {
                let mut hasher = blake3::Hasher::new_derive_key("overnight imported group, protocol 1");
                hasher.update(imported.tool.as_bytes());
                for (path, value) in imported.settings.iter().filter(|(path, _)| !is_seed(path)) {
                    hasher.update(format!("\n{path}={value}").as_bytes());
                }
                hasher.finalize().to_hex().to_string()
            }
        };
        hash.get(..16).unwrap_or(&hash).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_dir::scan::sample_record;

    #[test]
    fn an_imported_run_is_at_work_while_values_come_and_finished_afterwards() {
        let state = |newest, has_ended| ImportState { newest, has_ended, ..ImportState::default() };
        let word = |state: Option<&ImportState>, is_followed| status(state, is_followed, 10_000.0).word();
        assert_eq!(word(None, false), "finished");
        assert_eq!(word(Some(&state(None, false)), false), "finished");
        assert_eq!(word(Some(&state(Some(9_900.0), false)), false), "running");
        assert_eq!(word(Some(&state(Some(9_900.0), true)), false), "finished");
        assert_eq!(word(Some(&state(Some(1.0), false)), false), "finished");
        let written = |written| ImportState { written: Some(written), ..state(Some(9_900.0), false) };
        assert_eq!(word(Some(&written(9_950.0)), false), "running");
        assert_eq!(word(Some(&written(9_000.0)), false), "finished", "nobody writes to it any more");
        let copied = ImportState { written: Some(9_999.0), ..state(Some(1.0), false) };
        assert_eq!(word(Some(&copied), false), "finished", "a fresh copy of old values");
        assert_eq!(word(Some(&state(Some(1.0), true)), true), "running");
    }

    #[test]
    fn settings_and_seed_of_an_imported_run_are_those_of_its_source() {
        let mut record = sample_record("x", "y");
        assert!(record.own_settings().is_some() && record.seed().is_some());
        let mut imported = Imported { tool: "Lightning".into(), ..Imported::default() };
        imported.settings.insert("lr".into(), 0.1.into());
        imported.settings.insert("trainer.seed".into(), 7.into());
        record.imported = Some(Box::new(imported.clone()));
        assert!(record.own_settings().is_none());
        assert_eq!(record.seed(), Some(7));
        assert_eq!(record.flat_settings().keys().collect::<Vec<_>>(), ["lr", "trainer.seed"]);
        let group = record.group();
        imported.settings.insert("trainer.seed".into(), 8.into());
        record.imported = Some(Box::new(imported.clone()));
        assert_eq!(record.group(), group, "the seed alone makes no other group");
        imported.settings.insert("lr".into(), 0.2.into());
        record.imported = Some(Box::new(imported));
        assert_ne!(record.group(), group);
    }
}
