//! Finds out which tensor was the first that is not finite, by taking the steps again from the last
//! checkpoint with somebody watching. Ordinary steps pay nothing for this.

use std::cell::RefCell;

use overnight::run_dir::RunDir;
use tch::Tensor;

use overnight::run_dir::checkpoint::lr_factor;

use crate::checkpoint;
use crate::failure::Failure;
use crate::step::Learner;
use crate::task::{Role, Watch};
use crate::train::NotFinite;

/// The first tensor of step `found.step` that is not finite, in words. `None` when the replay did not
/// find one, could not be made, or was asked to end: it only explains a failure and is none itself.
pub fn first_not_finite(
    run: &RunDir,
    beginning: impl Fn() -> Result<Learner, Failure>,
    found: &NotFinite,
    ended: &dyn Fn() -> bool,
) -> Option<String> {
    replay(run, beginning().ok()?, found, ended).ok().flatten()
}

fn replay(
    run: &RunDir,
    mut learner: Learner,
    found: &NotFinite,
    ended: &dyn Fn() -> bool,
) -> Result<Option<String>, Failure> {
    let step = found.step;
    let from = checkpoint::load_newest(run, &learner, Some(step.saturating_sub(1)))?
        .state
        .map_or(0, |state| state.step);
    for earlier in from + 1..step {
        if ended() {
            return Ok(None);
        }
        let lr = learner.learning_rate(earlier) * lr_factor(&found.reductions, earlier);
        learner.step(earlier, lr, Watch::NOBODY)?;
    }
    for member in &learner.model {
        if !is_finite(&member.tensor) {
            return Ok(Some(format!("{}, already before step {step}", member.name)));
        }
    }

    let seen: RefCell<Option<String>> = RefCell::new(None);
    let observer = RefCell::new(|name: &str, tensor: &Tensor| {
        let mut seen = seen.borrow_mut();
        if seen.is_none() && !is_finite(tensor) {
            *seen = Some(format!("the output of {name} in step {step}"));
        }
    });
    let lr = learner.learning_rate(step) * lr_factor(&found.reductions, step);
    learner.step(step, lr, Watch::with(&observer))?;
    if seen.borrow().is_some() {
        return Ok(seen.take());
    }
    // The backward pass goes from the last layer to the first.
    let mut trained = learner.model.iter().rev().filter(|member| member.role != Role::Buffer);
    let broken = trained.find(|member| !is_finite(&member.tensor.grad()));
    Ok(broken.map(|member| format!("the gradient of {} in step {step}", member.name)))
}

/// Whether every number is finite; a tensor that cannot be asked is taken for finite.
fn is_finite(tensor: &Tensor) -> bool {
    let all = || tensor.f_isfinite()?.f_all()?.f_int64_value(&[]);
    all().map_or(true, |all| all != 0)
}
