//! From a row that a worker writes to a page that has it, through the programs as people start them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use overnight::queue::{self, Again};
use overnight::run_dir::{RunDir, Workspace, lock, metrics, read};

const LIMIT: Duration = Duration::from_secs(60);

/// `overnight serve` on a workspace with one run; killed when dropped.
struct Serving {
    folder: tempfile::TempDir,
    run: RunDir,
    child: Child,
    address: String,
}

impl Serving {
    fn new() -> Serving {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::new(folder.path());
        std::fs::create_dir_all(workspace.experiments()).unwrap();
        let file = workspace.experiments().join("shapes.toml");
        std::fs::write(&file, "[data]\nkind = \"shapes\"\n[model]\nkind = \"mlp\"\n[train]\nsteps = 100\n")
            .unwrap();
        let checked = queue::check(&[file], &[]).unwrap();
        let entries = queue::plan(&workspace, &checked, Again::No).unwrap();
        queue::submit(&workspace, &entries).unwrap();
        let run = entries[0].dir.clone();

        let mut child = Command::new(env!("CARGO_BIN_EXE_overnight"))
            .arg("-C")
            .arg(folder.path())
            .args(["serve", "--port", "0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().trim_start_matches("http://").trim_end_matches('/').to_owned();
        assert!(address.starts_with("127.0.0.1:"), "{line:?}");
        Serving { folder, run, child, address }
    }

    fn request(&self, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address).unwrap();
        stream
    }

    fn get(&self, path: &str) -> String {
        let mut answer = String::new();
        self.request(path).read_to_string(&mut answer).unwrap();
        answer
    }

    fn page(&self) -> String {
        format!("/runs/{}/{}/", self.run.experiment(), self.run.name())
    }

    fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let started = Instant::now();
        while !holds() {
            assert!(started.elapsed() < LIMIT, "{what} never came; {}", self.folder.path().display());
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_row_of_a_live_run_reaches_its_page_and_whoever_looks_at_it() {
    let serving = Serving::new();
    serving.until("the first report", || serving.get(&serving.page()).starts_with("HTTP/1.1 200"));

    let record = read::run_record(&serving.run).unwrap();
    let columns = metrics::columns(&record.settings);
    let _alive = lock::try_lock(&serving.run.alive_lock()).unwrap().unwrap();
    let mut writer = metrics::Writer::open(&serving.run.metrics(), &columns, None).unwrap();
    let csv = format!("{}metrics.csv", serving.page());
    serving.until("the header", || serving.get(&csv).contains("train/loss"));

    let mut events = BufReader::new(serving.request("/events")).lines();
    let told = |line: &str| line.starts_with("data: ") && line.contains("\"missed\":true");
    assert!(events.by_ref().any(|line| told(&line.unwrap())), "a new listener is told to look");

    let mut row = vec![None; columns.len()];
    row[0] = Some(77.0);
    row[4] = Some(0.123456);
    writer.row(&row).unwrap();
    // The header may be told once more before the row is.
    let told = |line: &str| line.starts_with("data: ") && line.contains(&csv[1..]);
    let is_row = |line: &str| told(line) && serving.get(&csv).contains("0.123456");
    assert!(events.by_ref().any(|line| is_row(&line.unwrap())), "the new row is told");
}

#[test]
fn serve_ends_well_at_ctrl_c() {
    let mut serving = Serving::new();
    let process = rustix::process::Pid::from_child(&serving.child);
    rustix::process::kill_process(process, rustix::process::Signal::INT).unwrap();
    assert!(serving.child.wait().unwrap().success());
    assert!(TcpStream::connect(&serving.address).is_err());
}
