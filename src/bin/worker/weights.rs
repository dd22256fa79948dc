//! The weights that a run begins with instead of those drawn from its seed.

use overnight::run_dir::records::ModelRecord;
use overnight::run_dir::stage::not_taken;
use overnight::run_dir::{RunDir, read};
use safetensors::SafeTensors;

use crate::checkpoint::copy_into;
use crate::failure::Failure;
use crate::step::Learner;

/// Puts the weights that the run took of another into the learner. Gives a sentence about it, or none
/// where the run begins with its own.
///
/// # Errors
/// They are not what was taken, or do not fit the model.
pub fn begin(run: &RunDir, learner: &Learner) -> Result<Option<String>, Failure> {
    let Some(taken) = &learner.weights else { return Ok(None) };
    let path = run.taken_weights();
    let wrong = |why: String| Failure::Checkpoint(format!("{}: {why}", path.display()));
    let bytes = read::bytes(&path).map_err(|error| wrong(error.to_string()))?;
    if blake3::hash(&bytes).to_hex().as_str() != taken.blake3 {
        return Err(wrong("does not have the hash in the start line (--again queues it anew)".to_owned()));
    }
    let theirs: Option<ModelRecord> = read::json_if_there(&run.taken_model_json())?;
    let left = theirs.map(|theirs| not_taken(&theirs, &learner.task.model_record())).unwrap_or_default();
    let misfit = |why: String| {
        let from = format!("{}/{}", taken.experiment, taken.run);
        wrong(format!("{why} (the models of {from} and of this run must have the same sizes)"))
    };
    let file = SafeTensors::deserialize(&bytes).map_err(|error| misfit(error.to_string()))?;
    for member in learner.model.iter().filter(|member| !left.contains(&member.name)) {
        copy_into(&file, &member.name, &member.tensor, &misfit)?;
    }
    let mut said = format!("begins with the weights of {}", taken.words());
    if !left.is_empty() {
        said += &format!(", but for {}: its classes are others", left.join(" and "));
    }
    Ok(Some(said))
}
