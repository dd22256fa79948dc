//! Workspaces to look at, and `overnight serve` on them.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use overnight::experiment::settings::Task;
use overnight::run_dir::records::{Environment, Fingerprint, Phase, Progress, QueueState, WaitingRun};
use overnight::run_dir::{RunDir, Workspace, lock, read, scan};
use serde_json::{Value, json};

use crate::made_up::{self, Ending, MadeUp};

/// A workspace in a temporary folder.
pub struct Place {
    folder: tempfile::TempDir,
    /// The runs of its experiment `depth`.
    pub runs: Vec<RunDir>,
    /// What the runner and the workers of runs at work hold.
    locks: Vec<File>,
}

impl Place {
    pub fn empty() -> Place {
        Place { folder: tempfile::tempdir().unwrap(), runs: Vec::new(), locks: Vec::new() }
    }

    /// One experiment of so many runs, worked by one batch.
    pub fn of(runs: u32, end: Ending) -> Place {
        let mut place = Place::empty();
        let names = place.add("depth", Task::LanguageModel, runs, end);
        place.batch(&names);
        place.runs = names.iter().map(|name| Workspace::new(place.path()).run("depth", name)).collect();
        place
    }

    /// What one finds in the morning: text and images, a failure, an interruption, one that waits.
    pub fn morning() -> Place {
        let place = Place::of(10, Ending::Mixed);
        let names = place.add("shapes", Task::ImageClassification, 1, Ending::AllFinished);
        let images = Workspace::new(place.path()).run("shapes", &names[0]);
        for step in [1500, 3000] {
            fs::write(images.sample_png(step), sheet()).unwrap();
        }
        crate::run_page::furnish(&place.runs[0]);
        place
    }

    /// The evening: two runs at work, others waiting for them.
    pub fn evening() -> Place {
        let mut place = Place::of(9, Ending::Mixed);
        let now = scan::now();
        for (number, part) in [(4, 0.37), (5, 0.92)] {
            let alive = place.revive(number);
            place.locks.push(alive);
            let progress = Progress {
                attempt: 1,
                time: now,
                step: (3000.0 * part) as u64,
                steps: 3000,
                epoch: 6.0 * part,
                phase: Phase::Training,
                steps_per_second: Some(2.5),
                rate: Some(("tokens_per_second".into(), 412_345.6)),
                remaining_seconds: Some(1200.0 * (1.0 - part)),
                loss: None,
            };
            write_json(&place.runs[number].progress(), &progress);
        }
        let workspace = Workspace::new(place.path());
        let waits = |number: usize, reason: &str| WaitingRun {
            experiment: "depth".into(),
            run: place.runs[number].name(),
            reason: reason.into(),
            start: Some(now + 300.0 * number as f64),
            end: None,
            passed: None,
        };
        let waiting = vec![waits(7, "for a free slot"), waits(8, "for a free slot")];
        let batch = &scan::batches(&workspace)[0];
        let queue = QueueState { time: now, waiting, end: Some(now + 4000.0), ..QueueState::default() };
        write_json(&batch.queue_json(), &queue);
        edit(&batch.batch_json(), |batch| {
            batch["end"] = json!(null);
            batch["start"] = json!(now - 5000.0);
        });
        place.locks.push(lock::try_lock(&workspace.runner_lock()).unwrap().unwrap());
        place
    }

    /// Names and texts as long as one may make them, and many data files.
    pub fn wordy() -> Place {
        let place = Place::of(3, Ending::AllFinished);
        let name = "a-comparison_of.learning-rates_for.character-models.on-the-whole-source_text";
        place.add(name, Task::LanguageModel, 5, Ending::Mixed);
        let first = &place.runs[0];
        let word = "incomprehensibilities".repeat(6);
        edit(&first.run_json(), |record| {
            record["description"] = json!(format!("{word} {}", "many plain words ".repeat(30)));
            record["tags"] = json!([word, "short", "another tag of several words"]);
            record["notes"] = json!(format!("<script>alert(1)</script>\n{word}\n{}", "words ".repeat(80)));
            record["varied"]["data.files"] = json!(["src/report/chart/*.rs", "a/very/long/glob/**/*.txt"]);
        });
        let mut environment: Environment = read::json(&first.env_json()).unwrap();
        environment.data = (0..63).map(fingerprint).collect();
        write_json(&first.env_json(), &environment);
        let stray = Workspace::new(place.path()).run("depth", "<b>by hand & \"quoted\"");
        fs::create_dir_all(stray.path()).unwrap();
        place
    }

    /// Names of 200 letters without a space and of scripts that are written otherwise, of experiments, runs,
    /// tags and metrics alike; a batch that worked all of them.
    pub fn named() -> Place {
        let mut place = Place::empty();
        let workspace = Workspace::new(place.path());
        let names = [
            "incomprehensibilities".repeat(10)[..200].to_owned(),
            "תוצאות_ניסוי_".repeat(6),
            "学習率の比較".repeat(10),
            "🧪🏳️\u{200d}🌈👩🏽\u{200d}🔬".repeat(6),
            "\u{202e}txet.desrever".to_owned(),
        ];
        let mut planned = Vec::new();
        for (number, name) in names.iter().enumerate() {
            // The first is in the middle of a sweep; one run of each goes by as long a name.
            let made = place.add(name, Task::LanguageModel, if number == 0 { 5 } else { 3 }, Ending::Mixed);
            let old = workspace.run(name, &made[0]);
            let hash = made[0].rsplit_once('-').unwrap().1;
            let long = workspace.run(name, &format!("{name}-{hash}"));
            fs::rename(old.path(), long.path()).unwrap();
            edit(&long.run_json(), |record| {
                record["run"] = json!(long.name());
                record["tags"] = json!([name]);
                record["description"] = json!(name);
                record["notes"] = json!(name);
            });
            let metrics = fs::read_to_string(long.metrics()).unwrap_or_default();
            let more = metrics.lines().enumerate().map(|(row, line)| match row {
                0 => format!("{line},{name}/score\n"),
                row => format!("{line},{row}\n"),
            });
            let more: String = more.collect();
            fs::write(long.metrics(), more).unwrap();
            planned.extend(made[1..].iter().chain([&long.name()]).map(|run| (name.as_str(), run.clone())));
            place.runs.push(long);
        }
        made_up::batch(place.path(), "20261119T211000-ada-01-0001", &planned, Some(made_up::EVENING + 9e3))
            .unwrap();
        place
    }

    /// Every page of the report, of runs those of `runs` alone.
    pub fn some_pages(&self) -> Vec<String> {
        let own: Vec<String> = self.runs.iter().map(|run| self.page_of(run)).collect();
        let is_one =
            |page: &String| !page.starts_with("runs/") || page == "runs/index.html" || own.contains(page);
        self.pages().into_iter().filter(is_one).collect()
    }

    /// Writes an experiment's runs and returns their names.
    pub fn add(&self, experiment: &str, task: Task, runs: u32, end: Ending) -> Vec<String> {
        let made_up = MadeUp { experiment, task, runs, rows: 300, end };
        made_up::experiment(self.path(), &made_up).unwrap()
    }

    fn batch(&self, names: &[String]) {
        let planned: Vec<(&str, String)> = names.iter().map(|name| ("depth", name.clone())).collect();
        let end = Some(made_up::EVENING + 9e3);
        made_up::batch(self.path(), "20261119T211000-ada-01-0001", &planned, end).unwrap();
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn build(&self) {
        overnight::report::build(self.path()).unwrap();
    }

    /// Every page of the report, relative to it.
    pub fn pages(&self) -> Vec<String> {
        let root = self.path().join("reports");
        let mut folders = vec![root.clone()];
        let mut pages = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().flatten() {
                match entry.path() {
                    path if path.is_dir() => folders.push(path),
                    path if path.extension().is_some_and(|end| end == "html") => {
                        pages.push(path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned());
                    }
                    _ => {}
                }
            }
        }
        pages.sort();
        pages
    }

    /// The address of a page for who opens it by double click.
    pub fn file(&self, page: &str) -> String {
        url::Url::from_file_path(self.path().join("reports").join(page)).unwrap().into()
    }

    pub fn page_of(&self, run: &RunDir) -> String {
        format!("runs/{}/{}/index.html", run.experiment(), run.name())
    }

    /// Makes a finished run one that a worker is busy with, as long as the lock is kept.
    pub fn revive(&self, number: usize) -> File {
        made_up::revive(&self.runs[number]).unwrap()
    }

    /// Appends a row as a worker would; `loss` is its training loss.
    pub fn add_row(&self, number: usize, step: u64, loss: f64, validation: Option<f64>) {
        let mut metrics = OpenOptions::new().append(true).open(self.runs[number].metrics()).unwrap();
        let validation = validation.map_or_else(String::new, |value| value.to_string());
        let row = format!("{step},6.02,1,1210,{loss},{validation},,,1e-4,0.5,412000\n");
        metrics.write_all(row.as_bytes()).unwrap();
    }
}

fn write_json(path: &Path, value: &impl serde::Serialize) {
    fs::write(path, serde_json::to_vec(value).unwrap()).unwrap();
}

fn edit(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut record: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut record);
    write_json(path, &record);
}

/// A small picture of gray stripes.
fn sheet() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 64, 32);
    encoder.set_color(png::ColorType::Grayscale);
    let pixels: Vec<u8> = (0..64 * 32).map(|place| (place % 64 * 4) as u8).collect();
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
    bytes
}

fn fingerprint(number: usize) -> Fingerprint {
    let path = PathBuf::from(format!("../src/report/a_module_of_some_length/part_{number}.rs"));
    Fingerprint {
        path: path.display().to_string(),
        bytes: 6_700 + 13 * number as u64,
        blake3: "ab".repeat(32),
    }
}

/// `overnight serve` on a workspace; ended when dropped.
pub struct Serving {
    child: Child,
    /// Without a slash at its end.
    pub address: String,
}

impl Serving {
    pub fn new(place: &Place) -> Serving {
        Serving::at(place, 0)
    }

    /// At a port, or at any that is free when that is zero.
    pub fn at(place: &Place, port: u16) -> Serving {
        let mut child = Command::new(env!("CARGO_BIN_EXE_overnight"))
            .arg("-C")
            .arg(place.path())
            .args(["serve", "--port", &port.to_string()])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Serving { child, address: line.trim().trim_end_matches('/').to_owned() }
    }

    pub fn process(&self) -> u32 {
        self.child.id()
    }

    pub fn port(&self) -> u16 {
        self.address.rsplit_once(':').unwrap().1.parse().unwrap()
    }

    pub fn page(&self, page: &str) -> String {
        let mut address = url::Url::parse(&self.address).unwrap();
        address.set_path(page);
        address.into()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
