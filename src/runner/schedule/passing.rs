//! Runs that are too large for what is left of a GPU, and smaller ones that pass them: how long that may go
//! on before the GPU is kept for the large one. Pure.

use std::time::Duration;

/// So many runs may start on a GPU that an earlier one waits for.
const RUNS: u32 = 3;

/// So long after the first of them it is enough, however few they were: each may take the whole night.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// How a waiting run was passed by later ones since it waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    pub runs: u32,
    /// Since the first of them; nothing where there was none.
    pub since: Duration,
}

/// A GPU on which nothing else starts until this run does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    /// `experiment/run`.
    pub name: String,
    pub passed: Passed,
}

impl Passed {
    /// Whether it has let pass enough.
    pub fn is_enough(self) -> bool {
        self.runs >= RUNS || (self.runs > 0 && self.since >= PATIENCE)
    }
}

impl Kept {
    /// Why another run waits that would start there.
    pub fn reason(&self, gpu: u32) -> String {
        let passed = match self.passed.runs {
            1 => "a later run has passed".to_owned(),
            runs => format!("{runs} later runs have passed"),
        };
        format!("GPU {gpu} is kept for {}, which {passed}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_lets_some_pass_and_not_for_longer_than_half_an_hour() {
        let table =
            [(0, 0, false), (2, 0, false), (3, 0, true), (1, 29, false), (1, 30, true), (0, 60, false)];
        for (runs, minutes, expected) in table {
            let passed = Passed { runs, since: Duration::from_secs(60 * minutes) };
            assert_eq!(passed.is_enough(), expected, "{passed:?}");
        }
    }

    #[test]
    fn those_who_wait_for_it_are_told_for_whom_a_gpu_is_kept() {
        let kept = |runs| Kept { name: "x/s1".to_owned(), passed: Passed { runs, since: Duration::ZERO } };
        assert_eq!(kept(3).reason(2), "GPU 2 is kept for x/s1, which 3 later runs have passed");
        assert_eq!(kept(1).reason(0), "GPU 0 is kept for x/s1, which a later run has passed");
    }
}
