//! A made-up workspace of any size, in a folder that goes when the benchmark ends.

use overnight::experiment::settings::Task;
use overnight::run_dir::Workspace;

use super::made_up::{self, Ending, MadeUp};

/// A night of `runs` runs with `rows` rows of metrics each, all finished.
pub fn generated(runs: usize, rows: usize) -> (tempfile::TempDir, Workspace) {
    let folder = tempfile::tempdir().expect("there is room for a workspace");
    let mut names = Vec::new();
    for (index, experiment) in ["depth", "width", "rate", "batch"].into_iter().enumerate() {
        let share = runs / 4 + usize::from(index < runs % 4);
        let made_up = MadeUp {
            experiment,
            task: Task::LanguageModel,
            runs: share as u32,
            rows: rows as u32,
            end: Ending::AllFinished,
        };
        let made = made_up::experiment(folder.path(), &made_up).expect("runs can be written");
        names.extend(made.into_iter().map(|run| (experiment, run)));
    }
    let end = Some(made_up::EVENING + 30_000.0);
    made_up::batch(folder.path(), "20261119T211000-ada-01-0001", &names, end)
        .expect("a batch can be written");
    let workspace = Workspace::new(folder.path());
    (folder, workspace)
}
