//! Alerts of a live run as the runner comes to know of them: those that its worker tells in
//! `events.jsonl`, and rules over numbers of the machine, which are looked at here in each sample.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use super::gpu_sample::GpuSample;
use super::telemetry::MachineSample;
use crate::experiment::Alert;
use crate::experiment::alert::Action;
use crate::experiment::alert::condition::{Subject, Telemetry};
use crate::experiment::alert::watch::{Fired, Watch};
use crate::run_dir::alerts::named;
use crate::run_dir::records::{Ask, BatchEvent, Event, What};
use crate::run_dir::{RunDir, read};

/// An alert in a batch's events.
pub const EVENT: &str = "alert";

/// What a hook is told in the place of a rule where the worker needed none, as for a damaged checkpoint.
pub const UNRULED: &str = "none";

/// Listens to one attempt at a run.
pub struct Listener {
    watch: Watch,
    /// Bytes of `events.jsonl` that were heard, up to a newline.
    heard: u64,
}

/// What a sample says of one run's machine.
pub struct Surroundings<'a> {
    pub machine: &'a MachineSample,
    /// None for a run on the processor.
    pub gpu: Option<&'a GpuSample>,
    /// For how long that GPU has been in distress.
    pub throttled_seconds: Option<f64>,
    pub process_memory_bytes: Option<u64>,
}

impl Listener {
    /// Hears what is told from now on.
    pub fn new(run: &RunDir, alerts: &[Alert]) -> Listener {
        let heard = std::fs::metadata(run.events()).map_or(0, |file| file.len());
        Listener { watch: Watch::new(alerts, Vec::new()), heard }
    }

    /// Hears also what was told before.
    pub fn from_the_beginning(alerts: &[Alert]) -> Listener {
        Listener { watch: Watch::new(alerts, Vec::new()), heard: 0 }
    }

    /// The alerts that the worker told of since the last time.
    pub fn hear(&mut self, run: &RunDir) -> Vec<Event> {
        let added = || -> std::io::Result<Vec<u8>> {
            let mut file: File = read::open(&run.events())?;
            if file.metadata()?.len() <= self.heard {
                return Ok(Vec::new());
            }
            let mut bytes = Vec::new();
            file.seek(SeekFrom::Start(self.heard))?;
            file.read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        // What cannot be read now is told of by the run's page.
        let Ok(mut bytes) = added() else { return Vec::new() };
        let whole = memchr::memrchr(b'\n', &bytes).map_or(0, |last| last + 1);
        bytes.truncate(whole);
        self.heard += whole as u64;
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines
            .filter_map(|line| serde_json::from_slice::<Event>(line).ok())
            .filter(|event| matches!(event.what, What::Alert { .. }))
            .collect()
    }

    /// The rules over numbers of the machine that came true by this sample.
    pub fn look(&mut self, around: &Surroundings) -> Vec<Fired> {
        self.watch.look(0, |subject| match subject {
            Subject::Telemetry(telemetry) => around.value(*telemetry),
            // The worker's to watch.
            Subject::Metric(_) => None,
        })
    }
}

impl Surroundings<'_> {
    fn value(&self, telemetry: Telemetry) -> Option<f64> {
        let bytes = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64);
        let gpu = self.gpu;
        match telemetry {
            Telemetry::GpuTemperature => gpu.and_then(|gpu| gpu.temperature_celsius),
            Telemetry::GpuMemory => bytes(gpu.and_then(|gpu| gpu.memory_bytes)),
            Telemetry::GpuUse => gpu.and_then(|gpu| gpu.use_percent),
            Telemetry::GpuPower => gpu.and_then(|gpu| gpu.power_watts),
            Telemetry::GpuThrottled => self.throttled_seconds,
            Telemetry::CpuUse => self.machine.cpu_percent,
            Telemetry::MemoryUsed => bytes(self.machine.memory_bytes),
            Telemetry::ProcessMemory => bytes(self.process_memory_bytes),
            Telemetry::DiskFree => bytes(self.machine.disk_free_bytes),
        }
    }
}

/// Alerts of this age are news no more.
const NEWS_SECONDS: f64 = 24.0 * 3600.0;

/// Of what a worker told, that which nobody has passed on: it came while no runner lived. `told` are
/// the events of the batches since the attempt began.
pub fn untold(heard: Vec<Event>, told: &[BatchEvent], run: &RunDir, attempt: u32, now: f64) -> Vec<Event> {
    let (experiment, name) = (run.experiment(), run.name());
    let is_of_run = |line: &&BatchEvent| {
        line.event == EVENT
            && line.experiment.as_ref() == Some(&experiment)
            && line.run.as_ref() == Some(&name)
    };
    let told: Vec<&str> = told.iter().filter(is_of_run).map(|line| &*line.message).collect();
    let is_told = |event: &Event| match &event.what {
        What::Alert { message, rule, action } => {
            told.contains(&&*line(Some(event.step), rule.as_deref(), message, *action))
        }
        _ => true,
    };
    let is_news = |event: &Event| event.attempt == attempt && now - event.time <= NEWS_SECONDS;
    heard.into_iter().filter(|event| is_news(event) && !is_told(event)).collect()
}

/// What an action asks of the run, if it asks anything.
pub fn ask(action: Action) -> Option<Ask> {
    match action {
        Action::Pause => Some(Ask::Pause),
        Action::Stop => Some(Ask::Stop),
        Action::Warn | Action::ReduceLr => None,
    }
}

/// An alert as one line says it: `at step 500: val/loss > 5: it is 6.2 (stops)`.
pub fn line(step: Option<u64>, rule: Option<&str>, message: &str, action: Option<Action>) -> String {
    let at = step.map(|step| format!("at step {}: ", crate::say::count(step))).unwrap_or_default();
    let done = match action {
        Some(Action::Pause) => " (pauses)",
        Some(Action::Stop) => " (stops)",
        Some(Action::ReduceLr) => " (lowers the learning rate)",
        Some(Action::Warn) | None => "",
    };
    format!("{at}{}{done}", named(rule, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_dir::write::{Durability, append_line};

    fn alert(step: u64) -> Event {
        let what = What::Alert { message: format!("of step {step}"), rule: None, action: None };
        Event { time: 0.0, attempt: 1, step, what }
    }

    #[test]
    fn a_listener_hears_each_alert_once_and_waits_for_the_end_of_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::new(folder.path());
        append_line(&run.events(), &alert(1), Durability::Rebuildable).unwrap();
        let mut listener = Listener::new(&run, &[]);
        assert_eq!(listener.hear(&run), [], "that was before");
        let started = Event { what: What::Started, ..alert(0) };
        for event in [&started, &alert(2), &alert(3)] {
            append_line(&run.events(), event, Durability::Rebuildable).unwrap();
        }
        assert_eq!(listener.hear(&run), [alert(2), alert(3)]);
        assert_eq!(listener.hear(&run), []);
        let mut torn = std::fs::read(run.events()).unwrap();
        let line = serde_json::to_vec(&alert(4)).unwrap();
        torn.extend(&line[..9]);
        std::fs::write(run.events(), &torn).unwrap();
        assert_eq!(listener.hear(&run), []);
        torn.extend(&line[9..]);
        torn.push(b'\n');
        std::fs::write(run.events(), &torn).unwrap();
        assert_eq!(listener.hear(&run), [alert(4)]);
    }

    #[test]
    fn what_came_while_no_runner_lived_is_news_for_a_day_and_told_once() {
        let run = RunDir::new("runs/x/s1");
        let told = |name: &str, message: &str| BatchEvent {
            time: 0.0,
            event: EVENT.to_owned(),
            experiment: Some("x".to_owned()),
            run: Some(name.to_owned()),
            message: message.to_owned(),
        };
        let said = [told("s1", "at step 1: of step 1"), told("s2", "at step 2: of step 2")];
        let before = Event { attempt: 0, ..alert(3) };
        let heard = vec![alert(1), alert(2), before];
        assert_eq!(untold(heard.clone(), &said, &run, 1, 60.0), [alert(2)]);
        assert_eq!(untold(heard, &said, &run, 1, 2.0 * NEWS_SECONDS), []);
    }

    #[test]
    fn a_hot_gpu_is_told_of_once_and_metrics_are_left_to_the_worker() {
        let rule = |when: &str| -> Alert {
            serde_json::from_value(serde_json::json!({ "when": when, "do": "pause" })).unwrap()
        };
        let folder = tempfile::tempdir().unwrap();
        let mut listener = Listener::new(
            &RunDir::new(folder.path()),
            &[rule("gpu temperature > 88"), rule("val/loss > 5"), rule("disk free < 5 GiB")],
        );
        let machine = MachineSample { disk_free_bytes: Some(9 << 30), ..MachineSample::default() };
        let mut look = |celsius| {
            let gpu = GpuSample { temperature_celsius: celsius, ..GpuSample::default() };
            let around = Surroundings {
                machine: &machine,
                gpu: Some(&gpu),
                throttled_seconds: None,
                process_memory_bytes: None,
            };
            listener.look(&around).into_iter().map(|fired| fired.message).collect::<Vec<_>>()
        };
        assert_eq!(look(Some(80.0)), [""; 0]);
        assert_eq!(look(Some(91.0)), ["gpu temperature > 88: it is 91 °C"]);
        assert_eq!(look(Some(92.0)), [""; 0], "it has not cooled down");
        assert_eq!(look(None), [""; 0]);
        assert_eq!(look(Some(70.0)), [""; 0]);
        assert_eq!(look(Some(90.0)).len(), 1);
    }
}
