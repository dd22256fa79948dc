//! How the examples of a step are split into forward passes, and what becomes of the split when the
//! device is out of memory. The examples of a step never change, only how many are computed at once.

use super::records::{Attempt, Start, exit};
use super::status::{end_of, last_start};
use crate::experiment::settings::{Settings, SplitRule};
use crate::say;

/// Examples of one forward pass, and passes of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split {
    pub micro_batch: u32,
    pub accumulate: u32,
}

/// What becomes of a run that was out of device memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    Smaller(Split),
    /// Fewer examples at once would be another computation: a person must decide.
    Held,
    /// Nothing can be made smaller, or nobody wants it.
    Failed,
}

/// Why a run waits for a person that could only go on with another computation.
pub const HELD: &str =
    "it was out of device memory, and its batch norm would measure fewer examples in half a batch";

/// What that person can do.
pub const WAY_OUT: &str = "overnight retry takes it as it is once there is more memory; \
                           resources.split_on_out_of_memory = \"always\" allows it, with --again";

/// What to do about an attempt with these orders that was out of device memory.
pub fn after_out_of_memory(settings: &Settings, last: &Start) -> Next {
    match (settings.resources.split_on_out_of_memory, halved(last)) {
        (SplitRule::Never, _) | (_, None) => Next::Failed,
        (SplitRule::Auto, Some(_)) if settings.model.looks_across_the_batch() => Next::Held,
        (_, Some(smaller)) => Next::Smaller(smaller),
    }
}

/// The split of the next attempt: that of the last one, or a smaller one where that was out of device
/// memory. None for a first attempt, which takes the settings' own.
pub fn next(settings: &Settings, attempts: &[Attempt]) -> Option<Split> {
    let last = last_start(attempts)?;
    let same = Split { micro_batch: last.micro_batch, accumulate: last.accumulate };
    let end = end_of(attempts, last.attempt).and_then(|end| end.code);
    let smaller = match end {
        Some(exit::OUT_OF_DEVICE_MEMORY) => after_out_of_memory(settings, last),
        _ => Next::Failed,
    };
    Some(if let Next::Smaller(smaller) = smaller { smaller } else { same })
}

/// At most half the examples at once, as many as divide the step evenly: the mean over equal passes is
/// the mean over the step.
fn halved(last: &Start) -> Option<Split> {
    let examples = u64::from(last.micro_batch) * u64::from(last.accumulate.max(1));
    let micro_batch =
        (1..=last.micro_batch / 2).rev().find(|at_once| examples.is_multiple_of((*at_once).into()))?;
    let accumulate = u32::try_from(examples / u64::from(micro_batch)).ok()?;
    Some(Split { micro_batch, accumulate })
}

/// Whether the last attempt computed one example at once: nothing is left to halve.
pub fn is_at_one(attempts: &[Attempt]) -> bool {
    last_start(attempts).is_some_and(|start| start.micro_batch == 1)
}

/// What a start line says of another split than the attempt before had, behind its other words;
/// nothing where it is the same.
pub fn difference(settings: &Settings, before: Option<&Start>, now: &Start) -> String {
    match before {
        Some(before) if before.micro_batch != now.micro_batch => {
            let passes = say::counted(now.accumulate as usize, "pass", "passes");
            let (now, before) = (now.micro_batch, before.micro_batch);
            format!("; {passes} a step of {now} at once instead of {before}: {}", likeness(settings))
        }
        _ => String::new(),
    }
}

/// How much a run with a smaller split is the same computation.
pub fn likeness(settings: &Settings) -> &'static str {
    if settings.model.looks_across_the_batch() {
        "another computation, because batch norm measures fewer examples at once"
    } else if settings.model.dropout() > 0.0 {
        "equal in expectation, not in bits, because dropout draws anew"
    } else {
        "equal up to rounding, not in bits"
    }
}

/// How a run that waits for its next, smaller attempt is spoken of.
pub fn goes_on_with(micro_batch: u32) -> String {
    let at_once = say::counted(micro_batch as usize, "example", "examples");
    format!("was out of device memory; goes on with {at_once} at once")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::settings::Precision;
    use crate::experiment::settings::{Gpt, Model, Resnet18};
    use crate::run_dir::records::{Device, End};
    use crate::run_dir::scan::sample_record;

    fn start(attempt: u32, micro_batch: u32, accumulate: u32) -> Start {
        Start {
            attempt,
            time: 1.0,
            batch: None,
            host: String::new(),
            boot: String::new(),
            device: Device::Cpu { name: String::new() },
            precision: Precision::Fp32,
            threads: 1,
            micro_batch,
            accumulate,
            libtorch: String::new(),
            checkpoint: None,
            weights: None,
            text: Vec::new(),
            data: None,
            why: String::new(),
        }
    }

    fn end(attempt: u32, code: i32) -> Attempt {
        let why = String::new();
        Attempt::End(End {
            attempt,
            time: 2.0,
            code: Some(code),
            signal: None,
            checkpoint: None,
            why,
            device_memory_bytes: None,
            cause: None,
            seconds: None,
        })
    }

    #[test]
    fn the_examples_of_a_step_stay_the_same_and_at_most_half_are_computed_at_once() {
        let after = |micro_batch, accumulate| {
            halved(&start(1, micro_batch, accumulate)).map(|split| (split.micro_batch, split.accumulate))
        };
        let table = [
            ((8, 1), Some((4, 2))),
            ((4, 2), Some((2, 4))),
            ((12, 5), Some((6, 10))),
            ((15, 1), Some((5, 3))),
            ((7, 2), Some((2, 7))),
            ((7, 1), Some((1, 7))),
            ((2, 3), Some((1, 6))),
            ((1, 8), None),
        ];
        for ((micro_batch, accumulate), expected) in table {
            assert_eq!(after(micro_batch, accumulate), expected, "{micro_batch} x {accumulate}");
        }
    }

    #[test]
    fn batch_norm_waits_for_a_person_unless_the_file_allows_it() {
        let settings = |rule, model| {
            let mut settings = sample_record("x", "y").settings;
            settings.resources.split_on_out_of_memory = rule;
            settings.model = model;
            settings
        };
        let gpt = || Model::Gpt(Gpt::default());
        let resnet = || Model::Resnet18(Resnet18::default());
        let smaller = Next::Smaller(Split { micro_batch: 4, accumulate: 2 });
        let table = [
            (SplitRule::Auto, gpt(), 8, smaller),
            (SplitRule::Auto, gpt(), 1, Next::Failed),
            (SplitRule::Never, gpt(), 8, Next::Failed),
            (SplitRule::Auto, resnet(), 8, Next::Held),
            (SplitRule::Auto, resnet(), 1, Next::Failed),
            (SplitRule::Always, resnet(), 8, smaller),
        ];
        for (rule, model, micro_batch, expected) in table {
            let found = after_out_of_memory(&settings(rule, model.clone()), &start(1, micro_batch, 1));
            assert_eq!(found, expected, "{rule:?}, {}, {micro_batch}", model.kind());
        }
    }

    #[test]
    fn later_attempts_repeat_the_split_and_say_once_what_differs() {
        let mut settings = sample_record("x", "y").settings;
        assert_eq!(next(&settings, &[]), None);
        let (whole, half) = (start(1, 8, 1), start(2, 4, 2));
        let mut attempts = vec![Attempt::Start(whole.clone()), end(1, exit::OUT_OF_DEVICE_MEMORY)];
        let expected = Some(Split { micro_batch: 4, accumulate: 2 });
        assert_eq!(next(&settings, &attempts), expected);
        attempts.extend([Attempt::Start(half.clone()), end(2, exit::ENDED_AS_ASKED)]);
        assert_eq!(next(&settings, &attempts), expected);
        assert_eq!(
            difference(&settings, Some(&whole), &half),
            "; 2 passes a step of 4 at once instead of 8: equal up to rounding, not in bits"
        );
        assert_eq!(difference(&settings, Some(&half), &half), "");
        settings.model = Model::Gpt(Gpt { dropout: 0.1, ..Gpt::default() });
        assert!(difference(&settings, Some(&whole), &half).contains("equal in expectation, not in bits"));
    }
}
