//! A workspace in a temporary folder, and `overnight` in it: verbs that can be chained.

use std::fmt::Debug;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use overnight::run_dir::records::{Attempt, Batch, BatchEvent, End, QueueState, Start};
use overnight::run_dir::scan::{self, Seen};
use overnight::run_dir::{self, BatchDir, RunDir, read};
use rustix::process::{Pid, Signal, kill_process};
use serde::de::DeserializeOwned;

/// Longest time that a condition may take to come true, on a machine that is busy.
const LIMIT: Duration = Duration::from_secs(60);

/// A temporary workspace whose runs are done by the fake worker.
pub struct Workspace {
    folder: tempfile::TempDir,
    environment: Vec<(String, String)>,
}

/// What a finished command gave.
pub struct Output {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// A command that is still at work. Killed when dropped.
pub struct Running {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Workspace {
    pub fn new() -> Workspace {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("experiments")).unwrap();
        Workspace { folder, environment: Vec::new() }
    }

    /// An experiment of `steps` steps, a checkpoint every two, with these seeds; `notes` tell the fake
    /// worker what to do.
    pub fn experiment(self, name: &str, steps: u64, seeds: &[u64], notes: &str) -> Workspace {
        let text = format!(
            "notes = \"{notes}\"\n[data]\nkind = \"shapes\"\ncount = 100\n[model]\nkind = \"mlp\"\n\
             [train]\nsteps = {steps}\n[checkpoint]\nevery = 2\n[sweep]\nseeds = {seeds:?}\n"
        );
        self.file(&format!("experiments/{name}.toml"), &text)
    }

    pub fn file(self, path: &str, text: &str) -> Workspace {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// Sets a variable for all commands.
    pub fn variable(mut self, name: &str, value: &str) -> Workspace {
        self.environment.push((name.into(), value.into()));
        self
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// `overnight run --plain --no-report` and `arguments`, to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.start(arguments).wait()
    }

    /// The same, still at work.
    pub fn start(&self, arguments: &[&str]) -> Running {
        self.spawn(&[&["run", "--plain", "--no-report"], arguments].concat())
    }

    /// `overnight` with `arguments`, to its end.
    pub fn overnight(&self, arguments: &[&str]) -> Output {
        self.spawn(arguments).wait()
    }

    /// [`Workspace::run`] in a control group, by its file of process numbers.
    pub fn run_in(&self, group: &Path, arguments: &[&str]) -> Output {
        let group = group.to_string_lossy();
        self.run_by(&["sh", "-c", "echo $$ >\"$0\" && exec \"$@\"", &group], arguments)
    }

    /// [`Workspace::run`] by a program that is given it as its last arguments.
    pub fn run_by(&self, program: &[&str], arguments: &[&str]) -> Output {
        let inner = self.command(&[&["run", "--plain", "--no-report"], arguments].concat());
        let mut command = Command::new(program[0]);
        command.args(&program[1..]);
        command.arg(inner.get_program()).args(inner.get_args()).stdin(Stdio::null());
        for (name, value) in inner.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        Workspace::spawned(command).wait()
    }

    /// `overnight` with `arguments`, still at work.
    pub fn spawn(&self, arguments: &[&str]) -> Running {
        Workspace::spawned(self.command(arguments))
    }

    fn spawned(mut command: Command) -> Running {
        // Files, not pipes: nobody has to read them for the command to go on.
        let mut names = tempfile::Builder::new();
        let (stdout, stdout_path) = names.prefix("stdout-").tempfile().unwrap().keep().unwrap();
        let (stderr, stderr_path) = names.prefix("stderr-").tempfile().unwrap().keep().unwrap();
        let child = command.stdout(stdout).stderr(stderr).spawn().unwrap();
        Running { child, stdout: stdout_path, stderr: stderr_path }
    }

    /// `overnight` with `arguments` to its end, its output in pipes that nobody reads any more.
    pub fn unheard(&self, arguments: &[&str]) -> ExitStatus {
        let closed = || {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            writer
        };
        self.command(arguments).stdout(closed()).stderr(closed()).status().unwrap()
    }

    /// `overnight` with `arguments` to its end, its output on a disk that is full.
    pub fn unwritten(&self, arguments: &[&str]) -> ExitStatus {
        let full = || fs::File::options().write(true).open("/dev/full").unwrap();
        self.command(arguments).stdout(full()).stderr(full()).status().unwrap()
    }

    /// `overnight` with `arguments` to its end, typed in `folder` of the workspace without `-C`.
    pub fn typed_in(&self, folder: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_overnight"));
        command.current_dir(self.path(folder)).args(arguments).env("OVERNIGHT_WORKER", fake_worker());
        command.env_remove("CUDA_VISIBLE_DEVICES").stdin(Stdio::null());
        Workspace::spawned(command).wait()
    }

    /// `overnight` with `arguments`, not started yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_overnight"));
        command
            .arg("-C")
            .arg(self.folder.path())
            .args(arguments)
            .env("OVERNIGHT_WORKER", fake_worker())
            .env_remove("CUDA_VISIBLE_DEVICES")
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null());
        command
    }

    fn layout(&self) -> run_dir::Workspace {
        run_dir::Workspace::new(self.folder.path())
    }

    /// The run directories of an experiment, in the order of their numbers.
    pub fn runs(&self, experiment: &str) -> Vec<RunDir> {
        let mut runs = scan::runs_of(&self.layout(), experiment);
        runs.sort_by_key(|run| read::run_record(run).map_or(u32::MAX, |record| record.number));
        runs
    }

    /// The run of that seed.
    pub fn seed(&self, experiment: &str, seed: u64) -> RunDir {
        let runs = self.runs(experiment).into_iter();
        let mut found = runs.filter(|run| read::run_record(run).is_ok_and(|r| r.settings.train.seed == seed));
        found.next().expect("the run of that seed is there")
    }

    /// The states of an experiment's runs, in the order of their numbers.
    pub fn words(&self, experiment: &str) -> Vec<&'static str> {
        self.runs(experiment).iter().map(|run| look(run).status.word()).collect()
    }

    /// The newest batch.
    pub fn batch(&self) -> BatchDir {
        scan::batches(&self.layout()).pop().expect("a batch is there")
    }

    pub fn batches(&self) -> usize {
        scan::batches(&self.layout()).len()
    }

    pub fn batch_record(&self) -> Batch {
        self.of_the_newest_batch("the batch has its record", BatchDir::batch_json)
    }

    /// What the newest batch says of its queue.
    pub fn queue_state(&self) -> QueueState {
        self.of_the_newest_batch("the batch has told of its queue", BatchDir::queue_json)
    }

    /// Waits for the file: the newest batch's folder is there a moment before. One look names the folder
    /// and reads it, because the next batch may begin between two.
    fn of_the_newest_batch<T: DeserializeOwned>(&self, what: &str, file: fn(&BatchDir) -> PathBuf) -> T {
        let mut found = None;
        wait_until(what, || {
            let newest = scan::batches(&self.layout()).pop();
            found = newest.and_then(|batch| read::json_if_there(&file(&batch)).unwrap());
            found.is_some()
        });
        found.expect("it was waited for")
    }

    /// Names of the newest batch's events with their runs' names, in order.
    pub fn events(&self) -> Vec<BatchEvent> {
        read::lines(&self.batch().events()).unwrap().records
    }
}

impl Output {
    #[track_caller]
    pub fn code(self, expected: i32) -> Output {
        let Output { status, stdout, stderr } = &self;
        assert_eq!(status.code(), Some(expected), "{status}\nstdout:\n{stdout}\nstderr:\n{stderr}");
        self
    }

    #[track_caller]
    pub fn says(self, words: &str) -> Output {
        assert!(self.stderr.contains(words), "{words:?} is not in standard error:\n{}", self.stderr);
        self
    }
}

impl Running {
    pub fn wait(mut self) -> Output {
        wait_until("the command ends", || self.child.try_wait().unwrap().is_some());
        let status = self.child.wait().unwrap();
        let read = |path: &Path| fs::read_to_string(path).unwrap();
        Output { status, stdout: read(&self.stdout), stderr: read(&self.stderr) }
    }

    pub fn signal(&self, signal: Signal) -> &Running {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        self
    }

    /// Its process number.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Its children whose command line has that word, by process number.
    pub fn children(&self, word: &str) -> Vec<i32> {
        let process = self.child.id();
        let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
        let is_meant = |child: &i32| {
            let line = fs::read_to_string(format!("/proc/{child}/cmdline")).unwrap_or_default();
            line.split('\0').any(|argument| argument == word)
        };
        let children = children.unwrap_or_default();
        children.split_whitespace().filter_map(|child| child.parse().ok()).filter(is_meant).collect()
    }

    /// What it has said on standard error so far.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap()
    }

    /// SIGKILL, as the kernel or a power cut would; its workers live on.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        assert_eq!(self.child.wait().unwrap().signal(), Some(9));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(fs::remove_file(&self.stdout));
        drop(fs::remove_file(&self.stderr));
    }
}

/// One look at a run.
pub fn look(run: &RunDir) -> Seen {
    scan::look(run, &scan::host(), scan::now())
}

pub fn starts(run: &RunDir) -> Vec<Start> {
    let only = |line| if let Attempt::Start(start) = line { Some(start) } else { None };
    look(run).attempts.into_iter().filter_map(only).collect()
}

pub fn ends(run: &RunDir) -> Vec<End> {
    let only = |line| if let Attempt::End(end) = line { Some(end) } else { None };
    look(run).attempts.into_iter().filter_map(only).collect()
}

/// The step that a run's progress shows.
pub fn step(run: &RunDir) -> u64 {
    look(run).progress.map_or(0, |progress| progress.step)
}

/// Polls until what is looked at is as it should be; fails after a minute, with the last look.
#[track_caller]
pub fn wait_to_see<T: Debug>(what: &str, mut look: impl FnMut() -> T, is_so: impl Fn(&T) -> bool) -> T {
    let begun = Instant::now();
    loop {
        let seen = look();
        if is_so(&seen) {
            return seen;
        }
        assert!(begun.elapsed() < LIMIT, "waited {LIMIT:?} in vain until {what}; the last look: {seen:#?}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Polls until `condition` holds; fails after a minute, naming what was waited for.
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < LIMIT, "waited {LIMIT:?} in vain until {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Whether a process is there and no zombie, which nobody may ever wait for.
pub fn is_alive(process: impl std::fmt::Display) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

/// The worker for tests, which `cargo test` builds as an example.
pub fn fake_worker() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let target = tests.parent().and_then(Path::parent).unwrap();
    let path = target.join("examples/fake-worker");
    assert!(path.is_file(), "{} is missing: cargo build --example fake-worker", path.display());
    path
}
