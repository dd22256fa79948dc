//! What a run begins with instead of weights drawn from its seed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::run_dir::{CheckpointDir, step_of};

/// Weights of another run. That run is needed: it must have finished before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Weights {
    /// The run whose weights are taken, as `experiment/run`; or an experiment, which means its best run
    /// by `checkpoint.best`.
    pub from: String,
    /// `best` or `last` for that checkpoint of the run, or a file in its directory, such as
    /// `checkpoints/step-00001000/model.safetensors`.
    pub file: String,
}

impl Default for Weights {
    fn default() -> Self {
        Weights { from: String::new(), file: "best".to_owned() }
    }
}

/// Which weights of a run are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    Best,
    Last,
    /// The checkpoint of this step.
    Step(u64),
}

impl Weights {
    /// None where `file` has no form that is known.
    pub fn which(&self) -> Option<Which> {
        match self.file.as_str() {
            "best" => Some(Which::Best),
            "last" => Some(Which::Last),
            file => {
                let step = step_of(file.strip_prefix("checkpoints/")?.split('/').next()?)?;
                (file == Which::file_of(step)).then_some(Which::Step(step))
            }
        }
    }
}

impl Which {
    /// The file with the weights of a step, within the directory of its run.
    pub fn file_of(step: u64) -> String {
        let checkpoint = CheckpointDir::new(format!("checkpoints/{}", crate::run_dir::step_name(step)));
        checkpoint.model().to_string_lossy().into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_forms_that_can_be_told_apart_from_a_mistake_are_known() {
        let which = |file: &str| Weights { from: "x".to_owned(), file: file.to_owned() }.which();
        assert_eq!((which("best"), which("last")), (Some(Which::Best), Some(Which::Last)));
        assert_eq!(which("checkpoints/step-00001000/model.safetensors"), Some(Which::Step(1000)));
        for unknown in [
            "",
            "newest",
            "../best",
            "model.safetensors",
            "checkpoints/step-1000/model.safetensors",
            "checkpoints/step-00001000/optimizer.safetensors",
            "checkpoints/step-00001000/../step-00001000/model.safetensors",
            "checkpoints/step-00001000.damaged/model.safetensors",
        ] {
            assert_eq!(which(unknown), None, "{unknown}");
        }
    }
}
