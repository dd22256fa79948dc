//! The directory of one batch: what the runner was asked, what it planned, what happened.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::telemetry::table::{self, TelemetryFile};
use crate::exit::Exit;
use crate::run_dir::records::{
    Batch as Record, BatchEvent, MeasuredDivision, MeasuredMemory, PassedBy, QueueState,
};
use crate::run_dir::write::{Durability, append_line, at, replace_json};
use crate::run_dir::{BatchDir, RunDir, Workspace, read, scan};
use crate::say;

/// Shortest time between two states of the queue.
const QUEUE_INTERVAL: Duration = Duration::from_secs(1);

/// So many batches are asked for what they measured.
const REMEMBERED_BATCHES: usize = 50;

/// The open batch.
pub struct Batch {
    dir: BatchDir,
    record: Record,
    begun: Instant,
    log: File,
    telemetry: TelemetryFile,
    queue_written: Option<Instant>,
}

impl Batch {
    /// Makes the directory `<start>-<host>-<4 hex>` and writes what is known at the start. `gpus`
    /// are indices in PCI bus order.
    ///
    /// # Errors
    /// The workspace cannot be written to, with the path.
    pub fn begin(workspace: &Workspace, record: Record, gpus: &[u32]) -> io::Result<Batch> {
        tidy_up_after_killed(workspace);
        let dir = create(workspace, &record)?;
        replace_json(&dir.batch_json(), &record, Durability::Synced)?;
        let path = dir.runner_log();
        let log =
            OpenOptions::new().append(true).create(true).open(&path).map_err(|error| at(&path, error))?;
        let path = dir.telemetry();
        let telemetry =
            TelemetryFile::open(&path, &table::batch_columns(gpus)).map_err(|error| at(&path, error))?;
        Ok(Batch { dir, record, begun: Instant::now(), log, telemetry, queue_written: None })
    }

    pub fn name(&self) -> String {
        self.dir.name()
    }

    pub fn dir(&self) -> &BatchDir {
        &self.dir
    }

    /// A copy of `runner.log` for the standard error of a child.
    pub fn log_file(&self) -> io::Result<File> {
        self.log.try_clone()
    }

    /// Writes an event and the same as a line of the log. A disk that is full harms no run: the
    /// batch goes on without its diary.
    pub fn event(&mut self, event: &str, run: Option<&RunDir>, message: &str) {
        let line = BatchEvent {
            time: scan::now(),
            event: event.to_owned(),
            experiment: run.map(RunDir::experiment),
            run: run.map(RunDir::name),
            message: message.to_owned(),
        };
        drop(append_line(&self.dir.events(), &line, Durability::Rebuildable));
        let run = run.map(|run| format!(" {}/{}", run.experiment(), run.name())).unwrap_or_default();
        // By one write: whoever follows the log sees whole lines.
        let line = format!("{} {event}{run}: {message}\n", jiff::Zoned::now().strftime("%F %T"));
        drop(self.log.write_all(line.as_bytes()));
    }

    /// Whether a second has passed since the last state of the queue.
    pub fn queue_is_due(&self, now: Instant) -> bool {
        self.queue_written.is_none_or(|last| now.duration_since(last) >= QUEUE_INTERVAL)
    }

    pub fn write_queue(&mut self, now: Instant, state: &QueueState) {
        self.queue_written = Some(now);
        drop(replace_json(&self.dir.queue_json(), state, Durability::Rebuildable));
    }

    /// Takes something into `batch.json` that was found out meanwhile. Where it cannot be written, the next
    /// batch finds it out once more.
    pub fn remember(&mut self, note: impl FnOnce(&mut Record)) {
        note(&mut self.record);
        drop(replace_json(&self.dir.batch_json(), &self.record, Durability::Synced));
    }

    pub fn write_telemetry(&mut self, row: &[String]) {
        drop(self.telemetry.append(row));
    }

    /// Writes the end of the batch, and what its runs used of energy where that was measured.
    ///
    /// # Errors
    /// The disk cannot be written to, with the path.
    pub fn end(&mut self, exit: Exit, energy_joules: Option<f64>) -> io::Result<()> {
        let exit_code = exit as u8;
        let energy = energy_joules.map_or_else(String::new, |joules| format!(", {}", say::energy(joules)));
        self.event("batch-ended", None, &format!("exit code {exit_code}{energy}"));
        self.record.energy_joules = energy_joules;
        self.record.end = Some(scan::now());
        self.record.seconds = Some(self.begun.elapsed().as_secs_f64());
        self.record.exit_code = Some(i32::from(exit_code));
        replace_json(&self.dir.batch_json(), &self.record, Durability::Synced)
    }
}

/// What earlier batches of this workspace measured, the oldest first.
#[derive(Debug, Default)]
pub struct FoundBefore {
    pub divisions: Vec<MeasuredDivision>,
    pub device_memory: Vec<MeasuredMemory>,
    /// Waiting runs that later ones passed, by `experiment` and `run`.
    pub passed: HashMap<(String, String), PassedBy>,
}

impl FoundBefore {
    /// Reads the newest batches; one that cannot be read found nothing.
    pub fn read(workspace: &Workspace) -> FoundBefore {
        let mut found = FoundBefore::default();
        let batches = scan::batches(workspace);
        for dir in &batches[batches.len().saturating_sub(REMEMBERED_BATCHES)..] {
            let queue = read::json::<QueueState>(&dir.queue_json()).ok().into_iter();
            for run in queue.flat_map(|queue| queue.waiting) {
                let name = (run.experiment, run.run);
                // The newest word counts, also that nothing passed it.
                match run.passed {
                    Some(passed) => drop(found.passed.insert(name, passed)),
                    None => drop(found.passed.remove(&name)),
                }
            }
            let Ok(record) = read::json::<Record>(&dir.batch_json()) else { continue };
            found.divisions.extend(record.divisions);
            found.device_memory.extend(record.device_memory);
        }
        found
    }
}

/// Removes what runners that were killed had half written, back to the last batch that has an end. The
/// workspace is held, so nobody writes there now.
fn tidy_up_after_killed(workspace: &Workspace) {
    for batch in scan::batches(workspace).iter().rev() {
        if read::json::<Record>(&batch.batch_json()).is_ok_and(|record| record.end.is_some()) {
            return;
        }
        let entries = fs::read_dir(batch.path()).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b".new-")) {
            drop(fs::remove_file(entry.path()));
        }
    }
}

/// Names sort as batches began: the time stands in front, in UTC, which never goes back by an hour, and
/// the four digits are the part of a second.
fn create(workspace: &Workspace, record: &Record) -> io::Result<BatchDir> {
    let batches = workspace.batches();
    fs::create_dir_all(&batches).map_err(|error| at(&batches, error))?;
    let start = jiff::Timestamp::from_second(record.start as i64).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' };
    let host: String = record.host.chars().map(plain).take(40).collect();
    let mut part = (record.start.fract() * 65_536.0) as u16;
    loop {
        let path = batches.join(format!("{}-{host}-{part:04x}", start.strftime("%Y%m%dT%H%M%SZ")));
        match fs::create_dir(&path) {
            Ok(()) => return Ok(BatchDir::new(path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && part < u16::MAX => part += 1,
            Err(error) => return Err(at(&path, error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_dir::PROTOCOL;

    fn record() -> Record {
        Record {
            protocol: PROTOCOL,
            host: "box.lan/x".into(),
            process: 7,
            start: 1_795_215_600.5,
            end: None,
            seconds: None,
            exit_code: None,
            energy_joules: None,
            arguments: vec!["run".into()],
            slots: 1,
            threads_per_slot: 2,
            plan: Vec::new(),
            divisions: Vec::new(),
            device_memory: Vec::new(),
            gpus: Vec::new(),
        }
    }

    #[test]
    fn a_batch_tells_its_life_in_its_directory() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::new(folder.path());
        let mut batch = Batch::begin(&workspace, record(), &[]).unwrap();
        let name = batch.name();
        assert!(name == "20261120T230000Z-box-lan-x-8000", "{name}");
        let dir = batch.dir().clone();
        let open: Record = read::json(&dir.batch_json()).unwrap();
        assert_eq!(open.end, None);
        batch.event("run-started", Some(&workspace.run("x", "s1")), "first attempt");
        batch.end(Exit::Success, Some(7.2e6)).unwrap();
        let ended: Record = read::json(&dir.batch_json()).unwrap();
        assert_eq!((ended.exit_code, ended.energy_joules), (Some(0), Some(7.2e6)));
        let events: Vec<BatchEvent> = read::lines(&dir.events()).unwrap().records;
        assert_eq!(events[0].run.as_deref(), Some("s1"));
        assert_eq!(events[1].event, "batch-ended");
        let log = fs::read_to_string(dir.runner_log()).unwrap();
        assert!(log.contains("run-started x/s1: first attempt\n"), "{log}");
    }

    #[test]
    fn batches_of_one_second_have_directories_that_sort_as_they_began() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::new(folder.path());
        let first = Batch::begin(&workspace, record(), &[]).unwrap().name();
        let second = Batch::begin(&workspace, record(), &[]).unwrap().name();
        let later = Record { start: 1_795_215_600.6, ..record() };
        let third = Batch::begin(&workspace, later, &[]).unwrap().name();
        assert!(first < second && second < third, "{first} {second} {third}");
    }

    #[test]
    fn what_killed_runners_had_half_written_is_gone_when_the_next_one_begins() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::new(folder.path());
        let begin = || Batch::begin(&workspace, record(), &[]).unwrap();
        let (mut ended, first, second) = (begin(), begin(), begin());
        ended.end(Exit::Success, None).unwrap();
        let half_written = |batch: &Batch| batch.dir().path().join(".new-queue");
        for batch in [&ended, &first, &second] {
            fs::write(half_written(batch), "half").unwrap();
        }
        begin();
        assert!(!half_written(&first).exists() && !half_written(&second).exists());
        assert!(half_written(&ended).exists(), "older batches are not looked at");
        assert!(second.dir().batch_json().exists());
    }
}
