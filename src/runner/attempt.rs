//! The two lines of an attempt: the worker's orders at its start, and what became of it at its end.
//! Both follow from what is known by then; nothing here starts or ends a process.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use super::devices::Gpu;
use super::tracked::Killed;
use crate::experiment::settings::Precision;
use crate::run_dir::cause::{self, Cause, Evidence};
use crate::run_dir::records::{Attempt, Device, End, Event, RunRecord, Start, What, exit};
use crate::run_dir::requests;
use crate::run_dir::split::{self, Split};
use crate::run_dir::stage::TakenWeights;
use crate::run_dir::status::{end_of, last_start};
use crate::say;

/// Where and on whose behalf an attempt starts.
pub struct Place<'a> {
    /// None for a worker started by hand.
    pub batch: Option<&'a str>,
    pub host: &'a str,
    pub boot: &'a str,
    /// None: the processor.
    pub gpu: Option<&'a Gpu>,
    pub cpu_name: &'a str,
    /// Threads of the slot, for a run that has none yet.
    pub threads: u32,
    /// Version of libtorch, with its local part.
    pub libtorch: &'a str,
    /// Unix seconds.
    pub time: f64,
}

/// The orders for the next attempt. Precision, threads and split are those of the attempt before, so
/// that the run ends at the same bits; what has changed around it is said in `why`.
pub fn start_line(record: &RunRecord, attempts: &[Attempt], newest: Option<u64>, place: &Place) -> Start {
    let settings = &record.settings;
    let before = last_start(attempts);
    let device = match place.gpu {
        Some(gpu) => Device::Cuda {
            uuid: gpu.uuid.clone(),
            name: gpu.name.clone(),
            driver: gpu.driver.clone(),
            index: gpu.index,
        },
        None => Device::Cpu { name: place.cpu_name.to_owned() },
    };
    let precision = match (before, settings.train.precision) {
        (Some(before), _) => before.precision,
        (None, Precision::Auto) if place.gpu.is_some_and(|gpu| gpu.has_bf16) => Precision::Bf16,
        (None, Precision::Auto) => Precision::Fp32,
        (None, chosen) => chosen,
    };
    let whole = Split { micro_batch: settings.train.batch_size, accumulate: settings.train.accumulate };
    let split = split::next(settings, attempts).unwrap_or(whole);
    let threads = before.map_or(settings.resources.threads.unwrap_or(place.threads), |start| start.threads);
    let mut start = Start {
        attempt: before.map_or(0, |start| start.attempt) + 1,
        time: place.time,
        batch: place.batch.map(str::to_owned),
        host: place.host.to_owned(),
        boot: place.boot.to_owned(),
        device,
        precision,
        threads,
        micro_batch: split.micro_batch,
        accumulate: split.accumulate,
        libtorch: place.libtorch.to_owned(),
        checkpoint: newest,
        weights: before.and_then(|start| start.weights.clone()),
        text: before.map_or_else(Vec::new, |start| start.text.clone()),
        data: None,
        why: String::new(),
    };
    start.why = why(before, attempts, &start) + &split::difference(settings, before, &start);
    start
}

/// Puts what the run begins with into its orders, and says so in those of its first attempt.
pub fn note_taken(start: &mut Start, taken: Option<TakenWeights>) {
    if let Some(taken) = taken.as_ref().filter(|_| start.weights.is_none()) {
        start.why += &format!(", with the weights of {}", taken.words());
    }
    start.weights = taken.map(Box::new);
}

/// Environment of the worker that carries out these orders.
pub fn environment(start: &Start) -> Vec<(&'static str, String)> {
    let visible = match &start.device {
        Device::Cuda { uuid, .. } => uuid.clone(),
        // An empty list: a run on the processor takes no memory of a GPU.
        Device::Cpu { .. } => String::new(),
    };
    vec![
        ("CUBLAS_WORKSPACE_CONFIG", ":4096:8".into()),
        ("CUDA_DEVICE_ORDER", "PCI_BUS_ID".into()),
        ("CUDA_VISIBLE_DEVICES", visible),
        ("OMP_NUM_THREADS", start.threads.to_string()),
        ("MKL_NUM_THREADS", start.threads.to_string()),
        ("MKL_DYNAMIC", "FALSE".into()),
        // OpenMP's threads wait for each other by spinning, and libtorch's OpenMP does so for
        // milliseconds. On a machine that has anything else to do (a report, a browser, another slot)
        // the others then spin while one of them is not even running: seen to train ten times slower.
        ("GOMP_SPINCOUNT", "10000".into()),
        // Huge pages for tensors, and none given back between steps: about 5 % faster.
        ("GLIBC_TUNABLES", MEMORY_TUNABLES.into()),
    ]
}

/// What the C library is told about the worker's memory. Bytes.
const MEMORY_TUNABLES: &str =
    "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=1073741824:glibc.malloc.trim_threshold=1073741824";

/// What is known when a worker has ended.
pub struct Ended<'a> {
    pub attempt: u32,
    /// None: nobody saw it end.
    pub status: Option<ExitStatus>,
    /// Why this runner killed it, when it did.
    pub killed: Option<&'a Killed>,
    /// Whether its stack was saved before.
    pub has_stack: bool,
    pub events: &'a [Event],
    /// The end of its standard error.
    pub stderr: &'a str,
    pub newest: Option<u64>,
    /// Unix seconds.
    pub time: f64,
    pub witness: &'a Witness,
}

/// What the runner saw around the end of a worker, beside its exit status.
#[derive(Clone, Debug, Default)]
pub struct Witness {
    /// The kernel killed something for want of memory just then.
    pub out_of_memory: bool,
    /// The disk of the run is full.
    pub disk_full: bool,
    /// Lines of the kernel's log about the process and about GPUs.
    pub kernel: Vec<String>,
    /// Errors that the driver told of its GPU meanwhile.
    pub xids: Vec<u32>,
    /// How long the worker lived; none where this runner did not start it.
    pub seconds: Option<f64>,
    /// The most that it was seen to hold of a GPU.
    pub device_memory_bytes: Option<u64>,
    /// Whether it made a step.
    pub has_trained: bool,
}

impl Witness {
    /// What the next attempt can be expected to take of a GPU: nothing is known of it where this one ended
    /// while it loaded. One that was out of memory shows at least what is too little.
    fn takes(&self, code: Option<i32>) -> Option<u64> {
        let tells = self.has_trained || code == Some(exit::OUT_OF_DEVICE_MEMORY);
        self.device_memory_bytes.filter(|_| tells)
    }
}

/// What became of an attempt. One that this runner killed on somebody's behalf ends without a signal,
/// because the signal says nothing about the run and must not count against its retries.
pub fn end_line(ended: &Ended) -> End {
    let is_forgiven = ended.killed.is_some_and(|killed| !killed.counts);
    let (code, signal) = match ended.status {
        Some(status) if !is_forgiven => (status.code(), status.signal()),
        _ => (None, None),
    };
    let failed = cause::failed(ended.events, ended.attempt);
    let cause = cause::cause(&Evidence {
        code,
        signal,
        hung: ended.killed.is_some_and(|killed| killed.counts),
        failed,
        stderr: ended.stderr,
        out_of_memory: ended.witness.out_of_memory && ended.killed.is_none(),
        disk_full: ended.witness.disk_full,
        kernel: &ended.witness.kernel,
        xids: &ended.witness.xids,
    });
    let why = match (ended.killed, code, signal) {
        (Some(killed), ..) if ended.has_stack => {
            format!("{}; its stack is in stack-{}.txt", killed.why, ended.attempt)
        }
        (Some(killed), ..) => killed.why.clone(),
        (None, Some(exit::FINISHED), _) => "finished".to_owned(),
        (None, Some(exit::ENDED_AS_ASKED), _) => ended_as_asked(ended),
        (None, Some(code), _) => {
            let told = failed.map(|(_, message)| message).or_else(|| last_line(ended.stderr));
            told.map_or_else(|| format!("exit code {code}"), str::to_owned)
        }
        (None, None, Some(signal)) => with_last_line(signaled(signal, cause.as_ref()), ended.stderr),
        (None, None, None) if cause == Some(Cause::KernelOutOfMemory) => {
            Cause::KernelOutOfMemory.words() + " (nobody watched)"
        }
        (None, None, None) => unseen(ended),
    };
    End {
        attempt: ended.attempt,
        time: ended.time,
        code,
        signal,
        checkpoint: ended.newest,
        why,
        cause,
        seconds: ended.witness.seconds,
        device_memory_bytes: ended.witness.takes(code),
    }
}

/// How a signal ended it, with what is known beyond its name.
fn signaled(signal: i32, cause: Option<&Cause>) -> String {
    let name = say::signal(signal);
    match cause {
        Some(Cause::Killed { .. }) | None => format!("killed by {name}, by a person or another program"),
        Some(cause) => format!("{}, {name}", cause.words()),
    }
}

/// The end of a worker that could not be started.
pub fn not_started(attempt: u32, newest: Option<u64>, time: f64, error: &std::io::Error) -> End {
    let why = format!("the worker could not be started: {error}");
    End {
        attempt,
        time,
        code: Some(cause::NOT_STARTED),
        signal: None,
        checkpoint: newest,
        why,
        cause: Some(Cause::NotStarted),
        seconds: None,
        device_memory_bytes: None,
    }
}

fn why(before: Option<&Start>, attempts: &[Attempt], now: &Start) -> String {
    let Some(before) = before else { return "first attempt".into() };
    let from = match now.checkpoint {
        Some(step) => format!("goes on from step {step}"),
        None => "begins again, there is no checkpoint".into(),
    };
    let after = end_of(attempts, before.attempt).map(|end| format!(" (before: {})", end.why));
    let mut why = from + &after.unwrap_or_default();
    if before.device.name() != now.device.name() {
        why += &format!("; on {} instead of {}", now.device.name(), before.device.name());
    }
    if before.libtorch != now.libtorch {
        why += &format!("; with libtorch {} instead of {}", now.libtorch, before.libtorch);
    }
    why
}

/// Who asked, where a rule did.
fn ended_as_asked(ended: &Ended) -> String {
    let told = ended.events.iter().rev().filter(|event| event.attempt == ended.attempt);
    let why = told.into_iter().find_map(|event| match &event.what {
        What::Ended { why } => Some(why),
        _ => None,
    });
    match why.filter(|why| requests::rule(why).is_some()) {
        Some(rule) => format!("ended by {rule}"),
        None => "ended as asked".to_owned(),
    }
}

fn unseen(ended: &Ended) -> String {
    let last = ended.events.iter().rev().find(|event| event.attempt == ended.attempt);
    match last.map(|event| &event.what) {
        Some(What::Finished) => "finished (nobody watched)".into(),
        Some(What::Ended { why }) => format!("{why} (nobody watched)"),
        Some(What::Failed { message, .. }) => format!("{message} (nobody watched)"),
        _ => "its end was not seen: the runner or the machine ended first".into(),
    }
}

fn with_last_line(text: String, stderr: &str) -> String {
    match last_line(stderr) {
        Some(line) => format!("{text}; its last words: {line}"),
        None => text,
    }
}

fn last_line(text: &str) -> Option<&str> {
    text.lines().rev().map(str::trim).find(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_dir::records::FailureKind;
    use crate::run_dir::scan::sample_record;

    fn place(gpu: Option<&Gpu>) -> Place<'_> {
        Place {
            batch: Some("b"),
            host: "here",
            boot: "boot",
            gpu,
            cpu_name: "processor",
            threads: 4,
            libtorch: "2.11.0+cpu",
            time: 10.0,
        }
    }

    fn gpu() -> Gpu {
        Gpu {
            index: 3,
            uuid: "GPU-aa11".into(),
            name: "H100".into(),
            driver: "580".into(),
            memory_bytes: 0,
            has_bf16: true,
        }
    }

    static NOTHING: Witness = Witness {
        out_of_memory: false,
        disk_full: false,
        kernel: Vec::new(),
        xids: Vec::new(),
        seconds: None,
        device_memory_bytes: None,
        has_trained: false,
    };

    fn ended(attempt: u32, raw: i32) -> Ended<'static> {
        Ended {
            attempt,
            status: Some(ExitStatus::from_raw(raw)),
            killed: None,
            has_stack: false,
            events: &[],
            stderr: "",
            newest: None,
            time: 20.0,
            witness: &NOTHING,
        }
    }

    #[test]
    fn automatic_values_are_decided_once_and_repeated() {
        let mut record = sample_record("x", "y");
        record.settings.train.precision = Precision::Auto;
        let gpu = gpu();
        let first = start_line(&record, &[], None, &place(Some(&gpu)));
        assert_eq!((first.attempt, first.precision, first.threads), (1, Precision::Bf16, 4));
        assert_eq!(first.why, "first attempt");
        let older = Gpu { has_bf16: false, ..gpu.clone() };
        assert_eq!(start_line(&record, &[], None, &place(Some(&older))).precision, Precision::Fp32);
        let cpu = start_line(&record, &[], None, &place(None));
        assert_eq!(cpu.precision, Precision::Fp32);

        let end = end_line(&Ended { newest: Some(50), ..ended(1, 9) });
        let attempts = [Attempt::Start(first), Attempt::End(end)];
        let later = Place { threads: 1, libtorch: "2.11.0+cu130", ..place(Some(&gpu)) };
        let second = start_line(&record, &attempts, Some(50), &later);
        assert_eq!((second.attempt, second.precision, second.threads), (2, Precision::Bf16, 4));
        assert_eq!(
            second.why,
            "goes on from step 50 (before: killed by SIGKILL (9), by a person or another program); with libtorch 2.11.0+cu130 instead of 2.11.0+cpu"
        );
    }

    #[test]
    fn a_worker_sees_its_own_gpu_or_none() {
        let record = sample_record("x", "y");
        let gpu = gpu();
        let seen = |start: &Start| {
            environment(start).into_iter().find(|(name, _)| *name == "CUDA_VISIBLE_DEVICES").unwrap().1
        };
        assert_eq!(seen(&start_line(&record, &[], None, &place(Some(&gpu)))), "GPU-aa11");
        assert_eq!(seen(&start_line(&record, &[], None, &place(None))), "");
    }

    #[test]
    fn each_way_to_end_is_told_apart() {
        let told = |ended: &Ended| {
            let end = end_line(ended);
            (end.code, end.signal, end.why)
        };
        assert_eq!(told(&ended(1, 0)), (Some(0), None, "finished".into()));
        assert_eq!(told(&ended(1, 75 << 8)), (Some(75), None, "ended as asked".into()));
        assert_eq!(told(&ended(1, 1 << 8)), (Some(1), None, "exit code 1".into()));
        let stderr = "a\nterminate called\n\n";
        assert_eq!(
            told(&Ended { stderr, ..ended(1, 11) }),
            (None, Some(11), "segmentation fault, SIGSEGV (11); its last words: terminate called".into())
        );
        let starved = Witness { out_of_memory: true, ..NOTHING.clone() };
        let end = end_line(&Ended { witness: &starved, ..ended(1, 9) });
        assert_eq!(
            (end.cause, end.why.as_str()),
            (Some(Cause::KernelOutOfMemory), "out of memory: the kernel killed it, SIGKILL (9)")
        );
        let killed = |counts| Killed { why: "killed by us".into(), counts };
        let forgiven = Ended { killed: Some(&killed(false)), ..ended(1, 9) };
        assert_eq!(told(&forgiven), (None, None, "killed by us".into()));
        let counted = Ended { killed: Some(&killed(true)), ..ended(1, 9) };
        assert_eq!(told(&counted), (None, Some(9), "killed by us".into()));
        let hung = Ended { has_stack: true, ..counted };
        assert_eq!(told(&hung).2, "killed by us; its stack is in stack-1.txt");
    }

    #[test]
    fn memory_of_an_attempt_that_only_loaded_is_not_what_the_next_one_takes() {
        let takes = |has_trained, code: i32| {
            let witness = Witness { device_memory_bytes: Some(7), has_trained, ..NOTHING.clone() };
            end_line(&Ended { witness: &witness, ..ended(1, code << 8) }).device_memory_bytes
        };
        let table = [
            (true, exit::FINISHED, Some(7)),
            (true, exit::FAILED, Some(7)),
            (false, exit::FAILED, None),
            (false, exit::ENDED_AS_ASKED, None),
            (false, exit::OUT_OF_DEVICE_MEMORY, Some(7)),
        ];
        for (has_trained, code, expected) in table {
            assert_eq!(takes(has_trained, code), expected, "{has_trained}, {code}");
        }
    }

    #[test]
    fn a_failure_is_told_in_the_workers_words_of_that_attempt() {
        let event = |attempt, message: &str| Event {
            time: 0.0,
            attempt,
            step: 5,
            what: What::Failed { kind: FailureKind::Data, message: message.into() },
        };
        let events = [event(1, "an older one"), event(2, "input.txt is missing")];
        let failed = Ended { events: &events, stderr: "noise", ..ended(2, 1 << 8) };
        assert_eq!(end_line(&failed).why, "input.txt is missing");
        let unseen = Ended { status: None, ..failed };
        assert_eq!(end_line(&unseen).why, "input.txt is missing (nobody watched)");
        let silent = Ended { events: &events[..1], stderr: "noise", ..ended(2, 1 << 8) };
        assert_eq!(end_line(&silent).why, "noise");
    }
}
