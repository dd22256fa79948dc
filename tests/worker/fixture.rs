//! A workspace with one run in it, made through the library's own types, and a worker to let loose on it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use overnight::experiment::settings::*;
use overnight::run_dir::metrics::Metrics;
use overnight::run_dir::records::{Event, FailureKind, Progress, RunRecord, RunResult, What};
use overnight::run_dir::write::{Durability, replace_json};
use overnight::run_dir::{PROTOCOL, RunDir, Workspace, read};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long a condition is waited for before a test gives up. Far more than anything takes.
const LIMIT: Duration = Duration::from_secs(120);

/// How many workers may be through before they are interrupted.
const TRIES: usize = 20;

/// Nursery lines, enough for a vocabulary and some order to learn.
const TEXT: &str = "one for sorrow, two for joy, three for a girl, four for a boy, five for silver, \
                    six for gold, seven for a secret never to be told.\n";

pub struct TestRun {
    folder: TempDir,
    pub dir: RunDir,
}

impl TestRun {
    /// A run of these settings in a workspace of its own, with `experiments/text.txt` to learn from.
    pub fn new(settings: Settings) -> TestRun {
        TestRun::of_examples(settings, 200)
    }

    /// The same, with so many training examples in an epoch.
    pub fn of_examples(settings: Settings, examples: u64) -> TestRun {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let workspace = Workspace::new(folder.path());
        fs::create_dir_all(workspace.experiments()).unwrap();
        fs::write(workspace.experiments().join("text.txt"), TEXT.repeat(40)).unwrap();
        let dir = workspace.run("test", "run");
        fs::create_dir_all(dir.path()).unwrap();
        replace_json(&dir.run_json(), &record(settings, examples), Durability::Rebuildable).unwrap();
        TestRun { folder, dir }
    }

    pub fn workspace(&self) -> Workspace {
        Workspace::new(self.folder.path())
    }

    /// A worker for this run, as a person would start it.
    pub fn worker(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_overnight-worker"));
        command
            .arg("train")
            .arg(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command.env("LD_LIBRARY_PATH", libtorch().join("lib"));
        // As the runner sets it: threads that spin while tests share the machine take ages.
        command.env("GOMP_SPINCOUNT", "1000");
        command
    }

    pub fn start(&self) -> Worker {
        Worker { child: self.worker().spawn().expect("the worker starts") }
    }

    /// Trains to the end.
    pub fn train(&self) -> RunResult {
        let (status, stderr) = self.start().wait();
        assert_eq!(status.code(), Some(0), "{stderr}\n{}", self.log());
        read::json(&self.dir.result()).expect("a finished run has a result")
    }

    /// Trains until it has failed. Gives the exit code, the kind and the message of its last event.
    pub fn train_and_fail(&self) -> (Option<i32>, FailureKind, String) {
        let (status, stderr) = self.start().wait();
        assert!(!self.dir.result().exists(), "a run that failed has no result");
        match self.events().pop().map(|event| event.what) {
            Some(What::Failed { kind, message }) => (status.code(), kind, message),
            other => panic!("the last event is {other:?}, the worker said: {stderr}"),
        }
    }

    pub fn events(&self) -> Vec<Event> {
        read::lines(&self.dir.events()).unwrap().records
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.train_log()).unwrap_or_default()
    }

    pub fn progress(&self) -> Option<Progress> {
        read::json_if_there(&self.dir.progress()).unwrap()
    }

    /// Trains until `rows` rows are there, then ends the worker as nobody should.
    pub fn kill_after_rows(&self, rows: usize) {
        self.interrupt(|| self.metrics().rows >= rows, Signal::KILL);
    }

    /// Trains until `condition` holds and sends `signal`. Gives how the worker ended and what it said.
    ///
    /// A worker may be through before anybody sees what was waited for, or before the signal reaches it:
    /// then the run is put back to where it was, and another worker tries.
    pub fn interrupt(&self, condition: impl Fn() -> bool, signal: Signal) -> (ExitStatus, String) {
        let kept = tempfile::tempdir().unwrap();
        let before = kept.path().join("run");
        copy_folder(self.dir.path(), &before);
        for _ in 0..TRIES {
            let mut worker = self.start();
            if worker.wait_until(&condition) {
                worker.signal(signal);
            }
            let (status, said) = worker.wait();
            if !status.success() {
                return (status, said);
            }
            fs::remove_dir_all(self.dir.path()).unwrap();
            copy_folder(&before, self.dir.path());
        }
        panic!("{TRIES} workers ended by themselves before they could be interrupted: {}", self.log());
    }

    pub fn metrics(&self) -> Metrics {
        Metrics::read(&self.dir.metrics()).unwrap()
    }

    /// Every cell that two attempts at the same run must have in common, with its place.
    pub fn reproducible_cells(&self) -> BTreeMap<(String, u32), u64> {
        let metrics = self.metrics();
        assert!(metrics.bad.is_empty(), "{:?}", metrics.bad);
        let depends_on_time =
            |name: &str| ["time", "elapsed"].contains(&name) || name.ends_with("_per_second");
        let columns = metrics.columns.iter().filter(|column| !depends_on_time(&column.name));
        columns
            .flat_map(|column| {
                let cells = column.rows.iter().zip(&column.values);
                cells.map(|(row, value)| ((column.name.clone(), *row), value.to_bits()))
            })
            .collect()
    }

    /// The bytes of the weights after `step`.
    pub fn weights(&self, step: u64) -> Vec<u8> {
        fs::read(self.dir.checkpoint(step).model()).expect("the checkpoint is there")
    }
}

/// A worker that lives. It is killed when the test is done with it.
pub struct Worker {
    pub child: Child,
}

impl Worker {
    /// Waits for its end; also gives what it said on standard error.
    pub fn wait(mut self) -> (ExitStatus, String) {
        let mut said = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            std::io::Read::read_to_string(&mut stderr, &mut said).unwrap();
        }
        (self.child.wait().unwrap(), said)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the worker lives");
    }

    /// Stops every thread of it, and waits until they stand still.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
        let since = Instant::now();
        let threads = format!("/proc/{}/task", self.child.id());
        let is_still = |thread: std::io::Result<fs::DirEntry>| {
            let state = fs::read_to_string(thread.unwrap().path().join("stat")).unwrap_or_default();
            state.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
        };
        while !fs::read_dir(&threads).unwrap().all(is_still) {
            assert!(since.elapsed() < LIMIT, "the worker does not stand still");
            std::thread::yield_now();
        }
    }

    /// Waits until `condition` holds or the worker has ended; whether it holds.
    pub fn wait_until(&mut self, mut condition: impl FnMut() -> bool) -> bool {
        let since = Instant::now();
        while since.elapsed() < LIMIT {
            if condition() {
                return true;
            }
            if self.child.try_wait().unwrap().is_some() {
                return condition();
            }
            std::thread::yield_now();
        }
        panic!("the worker neither ended nor did what was waited for");
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn copy_folder(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(copied.success(), "{} cannot be copied", from.display());
}

/// Where the tests' libtorch lies.
pub fn libtorch() -> PathBuf {
    std::env::var_os("LIBTORCH")
        .expect("LIBTORCH names libtorch (`export LIBTORCH=$(scripts/libtorch)`)")
        .into()
}

/// A small GPT on `text.txt`.
pub fn language_model() -> Settings {
    Settings {
        data: Data::Text(Text { files: vec!["text.txt".to_owned()], ..Text::default() }),
        weights: None,
        model: Model::Gpt(Gpt { layers: 2, heads: 2, width: 32, context: 16, ..Gpt::default() }),
        train: Train { steps: Some(60), batch_size: 4, log_every: 1, ..Train::default() },
        evaluate: Evaluate { every: Every::Steps(20), batches: Some(3) },
        checkpoint: Checkpoint { every: Every::Steps(10), keep: 2, best: "val/loss".to_owned() },
        sample: Sample { every: Every::Never, ..Sample::default() },
        stop: None,
        resources: Resources { device: "cpu".to_owned(), threads: Some(1), ..Resources::default() },
    }
}

/// A small convolutional net on drawn shapes.
pub fn image_classification() -> Settings {
    Settings {
        data: Data::Shapes(Shapes { count: 200, classes: 3, size: 12 }),
        model: Model::Cnn(Cnn { channels: vec![8, 16], ..Cnn::default() }),
        train: Train { batch_size: 16, ..language_model().train },
        evaluate: Evaluate { every: Every::Steps(20), batches: None },
        ..language_model()
    }
}

pub fn gpt(settings: &mut Settings) -> &mut Gpt {
    match &mut settings.model {
        Model::Gpt(gpt) => gpt,
        other => panic!("{other:?} is no GPT"),
    }
}

fn record(settings: Settings, examples: u64) -> RunRecord {
    RunRecord {
        imported: None,
        protocol: PROTOCOL,
        experiment: "test".to_owned(),
        run: "run".to_owned(),
        number: 0,
        hash: "0".repeat(64),
        created: 0.0,
        description: String::new(),
        tags: Vec::new(),
        notes: String::new(),
        base: "experiments".to_owned(),
        steps: settings.total_steps(examples),
        steps_per_epoch: settings.steps_per_epoch(examples),
        settings,
        varied: serde_json::Map::new(),
        log_uniform: Vec::new(),
        origins: BTreeMap::new(),
        queue: Queue::default(),
        alerts: Vec::new(),
        budgets: Vec::new(),
    }
}
