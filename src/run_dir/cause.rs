//! Why an attempt ended badly, told apart wherever a person would do something else about it: from the
//! exit code or signal, the worker's last event, its last words and what the kernel said.

use serde::{Deserialize, Serialize};

use super::records::{Attempt, End, Event, FailureKind, What, exit};
use super::telemetry::xid_words;
use crate::say;

/// Why an attempt ended badly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Cause {
    /// The kernel killed it because memory ran out: the machine's, or that of its control group.
    KernelOutOfMemory,
    SegmentationFault {
        /// The library that the kernel's log names.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        library: Option<String>,
    },
    IllegalInstruction {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        library: Option<String>,
    },
    BusError,
    /// It gave up by itself: a failed assertion of a library, an exception that nobody caught.
    Aborted,
    OutOfDeviceMemory,
    /// An error of CUDA's that the device itself may well have survived.
    CudaError {
        /// The driver's number for what happened.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        xid: Option<u32>,
    },
    DeviceLost {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        xid: Option<u32>,
    },
    DiskFull,
    /// A file reached the limit that was set on the size of files.
    FileSizeLimit,
    /// Could not write for another reason than these.
    CannotWrite,
    NotFinite,
    Data,
    Checkpoint,
    NotStarted,
    Hung,
    /// A signal that neither this program nor the kernel's want of memory explains.
    Killed {
        signal: i32,
    },
    Failed,
}

/// What is known of an end when its cause is looked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Evidence<'a> {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    /// The runner killed it because it hung.
    pub hung: bool,
    /// The worker's last event of this attempt, if it says that it failed.
    pub failed: Option<(FailureKind, &'a str)>,
    /// The end of its standard error.
    pub stderr: &'a str,
    /// The kernel killed something for want of memory at that time, in the worker's control group where
    /// that can be seen.
    pub out_of_memory: bool,
    /// The disk of the run is full.
    pub disk_full: bool,
    /// Lines of the kernel's log about that process and about GPUs, oldest first.
    pub kernel: &'a [String],
    /// Errors that the driver told of its GPU, the oldest first: in a container there is no log to read.
    pub xids: &'a [u32],
}

/// Exit code of a program that could not be started, as shells have it.
pub const NOT_STARTED: i32 = 127;

const SIGILL: i32 = 4;
const SIGABRT: i32 = 6;
const SIGBUS: i32 = 7;
const SIGKILL: i32 = 9;
const SIGSEGV: i32 = 11;

/// The cause of a bad end; none for one that is not bad, or that nobody saw.
pub fn cause(seen: &Evidence) -> Option<Cause> {
    if seen.hung {
        return Some(Cause::Hung);
    }
    let message = seen.failed.map_or(seen.stderr, |(_, message)| message);
    match (seen.code, seen.signal) {
        (_, Some(signal)) => Some(of_signal(signal, seen)),
        (Some(exit::FINISHED | exit::ENDED_AS_ASKED), None) => None,
        (Some(NOT_STARTED), None) => Some(Cause::NotStarted),
        (Some(exit::OUT_OF_DEVICE_MEMORY), None) => Some(Cause::OutOfDeviceMemory),
        (Some(exit::DEVICE_LOST), None) => Some(of_device(message, seen)),
        // A disk that is full has no room for the reason either.
        (Some(exit::CANNOT_WRITE), None) if says_full(message) => Some(Cause::DiskFull),
        (Some(exit::CANNOT_WRITE), None) if seen.failed.is_none() && seen.disk_full => Some(Cause::DiskFull),
        (Some(exit::CANNOT_WRITE), None) => Some(of_writing(message)),
        (Some(_), None) => Some(of_failure(seen.failed, message, seen)),
        // Nobody saw it end; what it or the kernel wrote says why all the same.
        (None, None) => match seen.failed {
            Some((FailureKind::CannotWrite, message)) if says_full(message) => Some(Cause::DiskFull),
            Some((_, message)) => Some(of_failure(seen.failed, message, seen)),
            None if seen.out_of_memory => Some(Cause::KernelOutOfMemory),
            None => None,
        },
    }
}

/// The cause of an end that was written before causes were, as far as its code and signal tell.
pub fn of_end(end: &End, events: &[Event]) -> Option<Cause> {
    end.cause.clone().or_else(|| {
        let failed = failed(events, end.attempt);
        cause(&Evidence { code: end.code, signal: end.signal, failed, ..Evidence::default() })
    })
}

/// How the worker says that this attempt failed, if it does.
pub fn failed(events: &[Event], attempt: u32) -> Option<(FailureKind, &str)> {
    let told = events.iter().rev().filter(|event| event.attempt == attempt);
    let mut failures = told.filter_map(|event| match &event.what {
        What::Failed { kind, message } => Some((*kind, message.as_str())),
        _ => None,
    });
    failures.next()
}

/// The last end of a run.
pub fn last_end(attempts: &[Attempt]) -> Option<&End> {
    attempts.iter().rev().find_map(|line| match line {
        Attempt::End(end) => Some(end),
        Attempt::Start(_) => None,
    })
}

fn of_signal(signal: i32, seen: &Evidence) -> Cause {
    match signal {
        SIGKILL if seen.out_of_memory || seen.kernel.iter().any(|line| line.contains("Killed process")) => {
            Cause::KernelOutOfMemory
        }
        SIGSEGV => Cause::SegmentationFault { library: library(seen.kernel) },
        SIGILL => Cause::IllegalInstruction { library: library(seen.kernel) },
        SIGBUS => Cause::BusError,
        // CUDA's own threads have no other way to tell.
        SIGABRT if seen.stderr.contains("CUDA error") => of_device(seen.stderr, seen),
        SIGABRT => Cause::Aborted,
        signal => Cause::Killed { signal },
    }
}

fn of_failure(failed: Option<(FailureKind, &str)>, message: &str, seen: &Evidence) -> Cause {
    match failed.map(|(kind, _)| kind) {
        Some(FailureKind::NotFinite) => Cause::NotFinite,
        Some(FailureKind::Data) => Cause::Data,
        Some(FailureKind::Checkpoint) => Cause::Checkpoint,
        Some(FailureKind::OutOfDeviceMemory) => Cause::OutOfDeviceMemory,
        Some(FailureKind::DeviceLost) => of_device(message, seen),
        Some(FailureKind::CannotWrite) => of_writing(message),
        _ if message.contains("CUDA error") => of_device(message, seen),
        _ => Cause::Failed,
    }
}

/// Words by which CUDA and the driver say that the device is gone, not that a kernel went wrong.
const LOST: [&str; 8] = [
    "GPU is lost",
    "fallen off the bus",
    "uncorrectable ECC error",
    "no CUDA-capable device is detected",
    "devices are busy or unavailable",
    "hardware stack error",
    "GPU requires reset",
    "unknown error",
];

/// Numbers of the driver's errors after which a GPU does not come back by itself: memory it cannot trust,
/// fallen off the bus, its own processor gone. Others, such as 13 and 31, are a program's fault (NVIDIA, "XID
/// Errors").
const LOST_XIDS: [u32; 8] = [48, 62, 64, 74, 79, 95, 119, 120];

fn of_device(message: &str, seen: &Evidence) -> Cause {
    let of_kernel = seen.kernel.iter().filter_map(|line| Xid::parse(line)).map(|xid| xid.code);
    let xids: Vec<u32> = of_kernel.chain(seen.xids.iter().copied()).collect();
    let lost = xids.iter().rev().find(|xid| LOST_XIDS.contains(xid));
    let is_gone = LOST.iter().any(|words| message.contains(words));
    let cause = if !is_gone && message.contains("CUDA error") {
        Cause::CudaError { xid: None }
    } else {
        Cause::DeviceLost { xid: None }
    };
    lost.or(xids.last()).map_or(cause.clone(), |xid| cause.with_xid(*xid))
}

/// An error that NVIDIA's driver wrote into the kernel's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Xid {
    pub code: u32,
    /// Of the program that met it, as the kernel numbers processes.
    pub process: Option<u32>,
}

impl Xid {
    /// `NVRM: Xid (PCI:0000:3b:00): 79, pid=77, name=...`, or `pid='<unknown>'`.
    pub fn parse(line: &str) -> Option<Xid> {
        let after = line.split_once("NVRM: Xid (")?.1.split_once("): ")?.1;
        let number = |text: &str| text.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok();
        let process = after.split_once("pid=").and_then(|(_, process)| number(process));
        Some(Xid { code: number(after)?, process })
    }

    /// Whether the GPU itself went wrong, for all that use it.
    pub fn is_of_device(self) -> bool {
        LOST_XIDS.contains(&self.code)
    }
}

/// `worker[77]: segfault at 0 ip ... error 4 in libtorch_cpu.so[7f...]`; also
/// `traps: worker[77] trap invalid opcode ip:... in libtorch_cpu.so[7f...]`.
fn library(kernel: &[String]) -> Option<String> {
    kernel.iter().rev().find_map(|line| {
        let is_fault = line.contains("segfault at") || line.contains("trap invalid opcode");
        let name = line.rsplit_once(" in ")?.1.split('[').next()?.trim();
        (is_fault && !name.is_empty()).then(|| name.to_owned())
    })
}

/// Why a file could not be written, on a disk that has room.
fn of_writing(message: &str) -> Cause {
    if message.contains("File too large") { Cause::FileSizeLimit } else { Cause::CannotWrite }
}

fn says_full(message: &str) -> bool {
    ["No space left on device", "Disk quota exceeded"].iter().any(|words| message.contains(words))
}

impl Cause {
    /// Whether the machine or the program is at fault, whatever the words of the moment were; else the words
    /// say what it was.
    pub fn is_of_the_machine(&self) -> bool {
        !matches!(
            self,
            Cause::Failed
                | Cause::Data
                | Cause::Checkpoint
                | Cause::NotFinite
                | Cause::CannotWrite
                | Cause::FileSizeLimit
                | Cause::DiskFull
        )
    }

    /// Whether the driver may know a number for it that nobody has heard yet.
    pub fn lacks_xid(&self) -> bool {
        matches!(self, Cause::CudaError { xid: None } | Cause::DeviceLost { xid: None })
    }

    /// The same, now that the driver has told its number: some numbers say that the GPU is gone, whatever
    /// CUDA called it.
    pub fn with_xid(self, xid: u32) -> Cause {
        match self {
            Cause::CudaError { .. } if !LOST_XIDS.contains(&xid) => Cause::CudaError { xid: Some(xid) },
            Cause::CudaError { .. } | Cause::DeviceLost { .. } => Cause::DeviceLost { xid: Some(xid) },
            other => other,
        }
    }

    /// What happened, in a few words.
    pub fn words(&self) -> String {
        let within = |what: &str, library: &Option<String>| match library {
            Some(library) => format!("{what} in {library}"),
            None => what.to_owned(),
        };
        match self {
            Cause::KernelOutOfMemory => "out of memory: the kernel killed it".into(),
            Cause::SegmentationFault { library } => within("segmentation fault", library),
            Cause::IllegalInstruction { library } => within("illegal instruction", library),
            Cause::BusError => "bus error".into(),
            Cause::Aborted => "aborted itself".into(),
            Cause::OutOfDeviceMemory => "out of device memory".into(),
            Cause::CudaError { xid } => "CUDA error".to_owned() + &driver_words(*xid),
            Cause::DeviceLost { xid } => "GPU lost".to_owned() + &driver_words(*xid),
            Cause::DiskFull => "disk full".into(),
            Cause::FileSizeLimit => "limit on the size of files".into(),
            Cause::CannotWrite => "could not write".into(),
            Cause::NotFinite => "not finite".into(),
            Cause::Data => "data".into(),
            Cause::Checkpoint => "checkpoint".into(),
            Cause::NotStarted => "could not be started".into(),
            Cause::Hung => "hung".into(),
            Cause::Killed { signal: SIGKILL } => "killed by a person or another program".into(),
            Cause::Killed { signal } => format!("ended by {}", say::signal(*signal)),
            Cause::Failed => "failed".into(),
        }
    }

    /// What a person can do about it, in a sentence without its full stop. `run` is its name.
    pub fn advice(&self, run: &str) -> String {
        let stderr = format!("overnight logs --stderr {run}");
        match self {
            Cause::KernelOutOfMemory => "run fewer at once (--slots), make the model, the batch or the \
                 data smaller, or give the machine or its control group more memory"
                .into(),
            Cause::SegmentationFault { .. } => {
                "overnight doctor looks at libtorch and the driver; if it happens again, take another \
                 build of libtorch (LIBTORCH=...), and test the machine's memory"
                    .into()
            }
            Cause::IllegalInstruction { .. } => "this processor lacks an instruction that this libtorch \
                 uses: overnight doctor names both; take another build of libtorch (LIBTORCH=...) or \
                 another machine"
                .into(),
            Cause::BusError => "a file that it had mapped became shorter, or the disk or /dev/shm is full: \
                 see df, and leave data and libtorch alone while runs go on"
                .into(),
            Cause::Aborted => format!("a library gave up; its last words say why ({stderr})"),
            Cause::OutOfDeviceMemory => {
                "a smaller train.batch_size with a larger train.accumulate learns the same in less".into()
            }
            Cause::CudaError { .. } => format!(
                "if it happens again at the same step, the run itself is at fault: CUDA_LAUNCH_BLOCKING=1 \
                 makes the place known ({stderr}); otherwise overnight doctor looks at the driver"
            ),
            Cause::DeviceLost { .. } => "reset the GPU (nvidia-smi --gpu-reset) or restart the machine, and \
                 look for Xid in dmesg: power, heat, its seat or the driver"
                .into(),
            Cause::DiskFull => {
                "make room on the disk of runs/ (overnight clean says what could go); it then \
                 goes on by itself"
                    .into()
            }
            Cause::FileSizeLimit => format!(
                "raise the limit where overnight is started (ulimit -f unlimited, LimitFSIZE of a systemd unit), \
                 start it again, then overnight retry {run}"
            ),
            Cause::CannotWrite => "see to the folder and the disk that the message names".into(),
            Cause::NotFinite => "lower the learning rate, or clip to a smaller norm".into(),
            Cause::Data => "overnight check names the file".into(),
            Cause::Checkpoint => {
                format!(
                    "go back to a whole one (overnight retry {run} --from STEP), or queue it anew (--again)"
                )
            }
            Cause::NotStarted => "overnight doctor says what is missing".into(),
            Cause::Hung => {
                "its stack and its log have the place; queue.hang_minutes says how long is too long".into()
            }
            Cause::Killed { .. } => {
                "whoever did it may know why; it can go on from its last checkpoint".into()
            }
            Cause::Failed => format!("its log says more (overnight logs {run})"),
        }
    }
}

/// The driver's number with its meaning, behind other words.
fn driver_words(xid: Option<u32>) -> String {
    xid.map_or_else(String::new, |xid| format!(" (XID {xid}: {})", xid_words(u64::from(xid))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: Option<i32>, signal: Option<i32>) -> Evidence<'static> {
        Evidence { code, signal, ..Evidence::default() }
    }

    fn failing(code: i32, kind: FailureKind, message: &str) -> Option<Cause> {
        cause(&Evidence { failed: Some((kind, message)), ..of(Some(code), None) })
    }

    #[test]
    fn good_ends_and_unseen_ones_have_no_cause() {
        for evidence in [of(Some(0), None), of(Some(75), None), of(None, None)] {
            assert_eq!(cause(&evidence), None);
        }
    }

    #[test]
    fn each_signal_has_its_cause_and_sigkill_has_two() {
        let signal = |number| cause(&of(None, Some(number))).unwrap();
        assert_eq!(signal(11), Cause::SegmentationFault { library: None });
        assert_eq!(signal(4), Cause::IllegalInstruction { library: None });
        assert_eq!(signal(7), Cause::BusError);
        assert_eq!(signal(6), Cause::Aborted);
        assert_eq!(signal(9), Cause::Killed { signal: 9 });
        assert_eq!(signal(15), Cause::Killed { signal: 15 });
        let starved = Evidence { out_of_memory: true, ..of(None, Some(9)) };
        assert_eq!(cause(&starved), Some(Cause::KernelOutOfMemory));
        let other = Evidence { out_of_memory: true, ..of(None, Some(11)) };
        assert_eq!(cause(&other), Some(Cause::SegmentationFault { library: None }), "another was starved");
        assert_eq!(cause(&Evidence { hung: true, ..of(None, Some(9)) }), Some(Cause::Hung));
        assert_eq!(
            cause(&Evidence { out_of_memory: true, ..of(None, None) }),
            Some(Cause::KernelOutOfMemory)
        );
    }

    #[test]
    fn the_kernels_log_names_the_library() {
        let line = "w[77]: segfault at 10 ip 00007f1 sp 00007ff error 4 in libtorch_cpu.so[7f0000+1000] likely on CPU 1";
        let kernel = ["something else in the kernel[1]".to_owned(), line.to_owned()];
        let seen = Evidence { kernel: &kernel, ..of(None, Some(11)) };
        let found = cause(&seen).unwrap();
        assert_eq!(found.words(), "segmentation fault in libtorch_cpu.so");
        let kernel = ["traps: w[77] trap invalid opcode ip:5 sp:7f error:0 in w[1d2,55+c]".to_owned()];
        let seen = Evidence { kernel: &kernel, ..of(None, Some(4)) };
        assert_eq!(cause(&seen), Some(Cause::IllegalInstruction { library: Some("w".into()) }));
    }

    #[test]
    fn the_kernels_own_word_on_a_killed_process_is_enough() {
        let killed = |kernel: &[String]| cause(&Evidence { kernel, ..of(None, Some(9)) });
        assert_eq!(killed(&[]), Some(Cause::Killed { signal: 9 }));
        let line = "Out of memory: Killed process 77 (worker) total-vm:9kB".to_owned();
        assert_eq!(killed(&[line]), Some(Cause::KernelOutOfMemory));
    }

    #[test]
    fn what_cuda_says_is_told_from_a_device_that_is_gone() {
        let lost = |message| failing(83, FailureKind::DeviceLost, message);
        assert_eq!(
            lost("CUDA error: an illegal memory access was encountered"),
            Some(Cause::CudaError { xid: None })
        );
        assert_eq!(lost("CUDA error: unspecified launch failure"), Some(Cause::CudaError { xid: None }));
        assert_eq!(
            lost("CUDA error: uncorrectable ECC error encountered"),
            Some(Cause::DeviceLost { xid: None })
        );
        assert_eq!(lost("the device does not answer"), Some(Cause::DeviceLost { xid: None }));
        let assert = failing(1, FailureKind::Other, "CUDA error: device-side assert triggered");
        assert_eq!(assert, Some(Cause::CudaError { xid: None }));
        let kernel = ["NVRM: Xid (PCI:0000:3b:00): 79, pid=7, GPU has fallen off the bus.".to_owned()];
        let failed = Some((FailureKind::DeviceLost, "CUDA error: unspecified launch failure"));
        let seen = Evidence { failed, kernel: &kernel, ..of(Some(83), None) };
        assert_eq!(cause(&seen).unwrap().words(), "GPU lost (XID 79: it has fallen off the bus)");
        let kernel = ["NVRM: Xid (PCI:0000:3b:00): 31, pid=7, MMU Fault".to_owned()];
        let seen = Evidence { kernel: &kernel, ..seen };
        assert_eq!(cause(&seen), Some(Cause::CudaError { xid: Some(31) }), "a program's own fault");
        let told = Evidence { kernel: &[], xids: &[79, 31], ..seen };
        assert_eq!(
            cause(&told),
            Some(Cause::DeviceLost { xid: Some(79) }),
            "the driver's own word is enough"
        );
        let told = Evidence { xids: &[13, 31], ..told };
        assert_eq!(cause(&told), Some(Cause::CudaError { xid: Some(31) }), "the newest");
        let aborted = Evidence { stderr: "what():  CUDA error: misaligned address", ..of(None, Some(6)) };
        assert_eq!(cause(&aborted), Some(Cause::CudaError { xid: None }));
    }

    #[test]
    fn a_number_that_comes_late_is_taken_in_where_it_says_more() {
        let error = Cause::CudaError { xid: None };
        assert!(error.lacks_xid() && !Cause::Failed.lacks_xid());
        assert_eq!(
            error.clone().with_xid(31).words(),
            "CUDA error (XID 31: a program touched GPU memory that is not its own)"
        );
        assert_eq!(error.with_xid(79), Cause::DeviceLost { xid: Some(79) });
        assert_eq!(Cause::Aborted.with_xid(79), Cause::Aborted);
        let old: Cause = serde_json::from_str(r#"{"kind":"cuda-error"}"#).unwrap();
        assert_eq!(old, Cause::CudaError { xid: None }, "as it was written before it could have a number");
    }

    #[test]
    fn a_full_disk_is_told_from_others_that_take_nothing_also_when_it_took_no_reason() {
        let wrote = |message| failing(74, FailureKind::CannotWrite, message);
        assert_eq!(wrote("x/y: No space left on device (os error 28)"), Some(Cause::DiskFull));
        assert_eq!(wrote("x/y: Disk quota exceeded (os error 122)"), Some(Cause::DiskFull));
        assert_eq!(wrote("x/y: Read-only file system (os error 30)"), Some(Cause::CannotWrite));
        assert_eq!(wrote("x/y: File too large (os error 27)"), Some(Cause::FileSizeLimit));
        assert_eq!(cause(&of(Some(74), None)), Some(Cause::CannotWrite));
        assert_eq!(cause(&Evidence { disk_full: true, ..of(Some(74), None) }), Some(Cause::DiskFull));
    }

    #[test]
    fn the_workers_own_word_is_believed() {
        assert_eq!(failing(1, FailureKind::NotFinite, "x"), Some(Cause::NotFinite));
        assert_eq!(failing(1, FailureKind::Data, "x"), Some(Cause::Data));
        assert_eq!(failing(1, FailureKind::Checkpoint, "x"), Some(Cause::Checkpoint));
        assert_eq!(failing(1, FailureKind::Other, "x"), Some(Cause::Failed));
        assert_eq!(cause(&of(Some(127), None)), Some(Cause::NotStarted));
        assert_eq!(cause(&of(Some(82), None)), Some(Cause::OutOfDeviceMemory));
        let unseen = Evidence { failed: Some((FailureKind::NotFinite, "x")), ..of(None, None) };
        assert_eq!(cause(&unseen), Some(Cause::NotFinite));
    }
}
