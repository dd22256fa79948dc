//! A large made-up workspace, made once and kept under `target/`.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use overnight::experiment::settings::Task;
use overnight::run_dir::Workspace;

use super::made_up::{self, Ending, MadeUp};

/// Finished runs of `rows` rows each, in four experiments.
pub fn generated(runs: u32, rows: u32) -> std::io::Result<Workspace> {
    let target = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target");
    let root = target.join(format!("bench-{runs}x{rows}"));
    let made = root.join("made");
    if !made.is_file() {
        eprintln!("making {runs} runs of {rows} rows in {}", root.display());
        let started = Instant::now();
        if root.exists() {
            fs::remove_dir_all(&root)?;
        }
        let mut names = Vec::new();
        for (index, experiment) in ["depth", "width", "rate", "batch"].into_iter().enumerate() {
            let share = runs / 4 + u32::from((index as u32) < runs % 4);
            let task = Task::LanguageModel;
            let one = MadeUp { experiment, task, runs: share, rows, end: Ending::AllFinished };
            names.extend(made_up::experiment(&root, &one)?.into_iter().map(|run| (experiment, run)));
        }
        let end = Some(made_up::EVENING + 30_000.0);
        made_up::batch(&root, "20261119T211000-ada-01-0001", &names, end)?;
        fs::write(made, "")?;
        eprintln!("made in {:.0} s", started.elapsed().as_secs_f64());
    }
    Ok(Workspace::new(root))
}

/// A run that goes on while this is held: its worker's lock.
pub struct Live {
    kept: [(PathBuf, Vec<u8>); 2],
    _alive: fs::File,
}

impl Live {
    /// Takes back a run's result, as if it had some way to go.
    pub fn begin(run: &overnight::run_dir::RunDir) -> std::io::Result<Live> {
        let kept = |path: PathBuf| fs::read(&path).map(|bytes| (path, bytes));
        let kept = [kept(run.result())?, kept(run.attempts())?];
        Ok(Live { kept, _alive: made_up::revive(run)? })
    }
}

impl Drop for Live {
    /// The workspace is kept for the next time, so it is left as it was.
    fn drop(&mut self) {
        for (path, bytes) in &self.kept {
            let _ = fs::write(path, bytes);
        }
    }
}
