//! What `overnight verify` found: a line of `verify.jsonl`, and the difference in it as a person says it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::number::{Number, spelled};
use super::records::Device;
use crate::say::count;

/// A line of `verify.jsonl`: a stretch of a run was trained again and compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    pub time: f64,
    pub host: String,
    /// The steps that were taken again: those after `from`, up to and with `to`.
    pub from: u64,
    pub to: u64,
    /// The history and the weights' hash at `to` as the run has them. A run that went back and took these
    /// steps anew has others, and then the verdict is not about it any more.
    pub history: String,
    pub weights: String,
    /// Checkpoints whose hashes were compared, and rows of `metrics.csv`.
    pub checkpoints: u64,
    pub rows: u64,
    pub equal: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference: Option<Difference>,
    /// Why it may differ, as far as that is recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<String>,
    /// What it was trained again on.
    pub device: Device,
    pub libtorch: String,
    /// Seconds that it took.
    pub seconds: f64,
}

/// The first thing that is not the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Difference {
    /// A cell of `metrics.csv`; none is an empty cell.
    Cell { step: u64, column: String, recorded: Option<Number>, replayed: Option<Number> },
    /// A row that only one of the two has.
    Row { step: u64, is_recorded: bool },
    /// A number in a tensor, counted from 0.
    Tensor { step: u64, name: String, index: u64, recorded: Option<Number>, replayed: Option<Number> },
    /// A file of a checkpoint has not the hash that its `state.json` holds.
    Damaged { step: u64, file: String },
    /// The hash of a checkpoint's weights or of the optimizer's averages, as `file` has it.
    Hash { step: u64, of: String, file: String },
    /// The running hash over all losses, as `file` has it.
    History { step: u64, file: String },
    /// The replay came to an end before the step that the run came to.
    Ended { step: u64 },
}

impl Difference {
    pub fn step(&self) -> u64 {
        match self {
            Difference::Cell { step, .. }
            | Difference::Row { step, .. }
            | Difference::Tensor { step, .. }
            | Difference::Damaged { step, .. }
            | Difference::Hash { step, .. }
            | Difference::History { step, .. }
            | Difference::Ended { step } => *step,
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let step = count(self.step());
        match self {
            Difference::Cell { column, recorded, replayed, .. } => {
                let (recorded, replayed) = (said(*recorded), said(*replayed));
                write!(
                    out,
                    "{column} of step {step} is {recorded} in metrics.csv and {replayed} in the replay"
                )
            }
            Difference::Row { is_recorded: true, .. } => {
                write!(out, "metrics.csv has a row of step {step}, the replay has none")
            }
            Difference::Row { is_recorded: false, .. } => {
                write!(out, "metrics.csv has no row of step {step}, the replay has one")
            }
            Difference::Tensor { name, index, recorded, replayed, .. } => {
                write!(out, "the tensor {name} of checkpoint {step} differs, first in number {index}")?;
                match (recorded, replayed) {
                    (Some(_), Some(_)) => write!(
                        out,
                        ", which is {} there and {} in the replay",
                        said(*recorded),
                        said(*replayed)
                    ),
                    _ => Ok(()),
                }
            }
            Difference::Damaged { file, .. } if file == "state.json" => {
                write!(out, "{file} of checkpoint {step} cannot be read")
            }
            Difference::Damaged { file, .. } => {
                write!(out, "{file} of checkpoint {step} does not have the hash that its state.json holds")
            }
            Difference::Hash { of, file, .. } => {
                write!(out, "the hash of the {of} at step {step} in {file} is not that of the replay")
            }
            Difference::History { file, .. } => {
                write!(out, "the history of losses at step {step} in {file} is not that of the replay")
            }
            Difference::Ended { .. } => write!(out, "the replay ended after step {step}, the run did not"),
        }
    }
}

fn said(number: Option<Number>) -> String {
    number.map_or_else(|| "empty".to_owned(), |number| spelled(number.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_said_with_its_place_and_both_values() {
        let cell = Difference::Cell {
            step: 1043,
            column: "train/loss".into(),
            recorded: Some(Number(1.5)),
            replayed: Some(Number(f64::NAN)),
        };
        assert_eq!(cell.to_string(), "train/loss of step 1,043 is 1.5 in metrics.csv and nan in the replay");
        let tensor = Difference::Tensor {
            step: 60,
            name: "lm_head.weight".into(),
            index: 17,
            recorded: Some(Number(0.25)),
            replayed: Some(Number(0.5)),
        };
        assert_eq!(
            tensor.to_string(),
            "the tensor lm_head.weight of checkpoint 60 differs, first in number 17, \
             which is 0.25 there and 0.5 in the replay"
        );
        let text = serde_json::to_string(&cell).unwrap();
        assert!(text.contains("\"what\":\"cell\""), "{text}");
        let back: Difference = serde_json::from_str(&text).unwrap();
        assert_eq!(back.to_string(), cell.to_string());
    }
}
