//! What this machine lacks for a night of training, and what to do about it. First everything is
//! observed, then judged by a pure function; printing and exit codes are the command's.

pub mod logout;
mod observe;

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;

use crate::experiment::Diagnostic;

pub use observe::observe;

/// What was seen of the machine.
#[derive(Debug, Clone, Serialize)]
pub struct Observed {
    /// The folder of libtorch with its version and where it was found, or why there is none.
    pub libtorch: Result<FoundLibtorch, String>,
    /// The worker's binary, if it can be started, or why not.
    pub worker: Result<PathBuf, String>,
    pub processor: Processor,
    pub memory_bytes: u64,
    pub gpus: Vec<Gpu>,
    /// Why no GPU can be used, when none can.
    pub no_gpu: Option<String>,
    /// Free room where runs, the cache and temporary files are kept.
    pub disks: Vec<Disk>,
    pub limits: SystemLimits,
    /// Whether sleep can be held off while runs go on, or why not.
    pub sleep: Result<(), String>,
    /// Whether a detached run outlives the session that it was started in.
    pub logout: logout::Logout,
    /// What is wrong with the workspace's overnight.toml.
    pub wrong_settings: Vec<Diagnostic>,
}

#[derive(Debug, Clone, Serialize)]
pub struct FoundLibtorch {
    pub directory: PathBuf,
    pub version: String,
    pub source: String,
    pub has_cuda: bool,
}

#[derive(Debug, Clone, Serialize)]
pub struct Processor {
    pub name: String,
    /// That this process may use.
    pub cores: usize,
    /// Of those that make training faster: `avx2`, `avx512f`, `avx512_bf16`, `amx_bf16`, `asimd`, `sve`, ...
    pub features: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Gpu {
    pub name: String,
    pub uuid: String,
    pub driver: String,
    pub memory_bytes: u64,
}

#[derive(Debug, Clone, Serialize)]
pub struct Disk {
    /// What is kept there: "workspace", "cache".
    pub holds: String,
    pub path: PathBuf,
    pub free_bytes: u64,
    pub total_bytes: u64,
}

#[derive(Debug, Clone, Serialize)]
pub struct SystemLimits {
    pub open_files_soft: u64,
    pub open_files_hard: u64,
    /// Folders that may be watched for changes, by all programs of this user.
    pub inotify_watches: Option<u64>,
    pub inotify_instances: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Good,
    /// Works, and could work better.
    Note,
    /// Something that a person asks for will fail.
    Problem,
}

/// One line of the diagnosis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub subject: &'static str,
    pub state: State,
    pub says: String,
    /// What to do about it; only where something is to be done.
    pub way_out: Option<String>,
}

/// Everything seen and what follows from it; its serialized form is the output of `--json`.
#[derive(Debug, Clone, Serialize)]
pub struct Diagnosis {
    pub is_healthy: bool,
    pub findings: Vec<Finding>,
    pub observed: Observed,
}

impl Diagnosis {
    /// Judges what was seen.
    pub fn of(observed: Observed) -> Diagnosis {
        let mut findings = vec![libtorch(&observed), worker(&observed), processor(&observed.processor)];
        findings.push(memory(observed.memory_bytes));
        findings.extend(gpus(&observed));
        findings.extend(observed.disks.iter().map(disk));
        findings.push(open_files(&observed.limits));
        findings.push(watches(&observed.limits));
        findings.push(sleep(&observed.sleep));
        findings.push(logout::finding(&observed.logout));
        findings.extend(observed.wrong_settings.iter().map(settings));
        let is_healthy = findings.iter().all(|finding| finding.state != State::Problem);
        Diagnosis { is_healthy, findings, observed }
    }

    /// For a terminal: a line for each finding, its way out below it.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for finding in &self.findings {
            let mark = match finding.state {
                State::Good => "ok     ",
                State::Note => "note   ",
                State::Problem => "PROBLEM",
            };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{mark}  {:<10}  {}", finding.subject, finding.says);
            if let Some(way_out) = &finding.way_out {
                let _ = writeln!(text, "{:21}{way_out}", "");
            }
        }
        text
    }
}

fn good(subject: &'static str, says: String) -> Finding {
    Finding { subject, state: State::Good, says, way_out: None }
}

fn lacking(subject: &'static str, state: State, says: String, way_out: &str) -> Finding {
    Finding { subject, state, says, way_out: Some(way_out.to_owned()) }
}

fn libtorch(observed: &Observed) -> Finding {
    match &observed.libtorch {
        Ok(found) => {
            let says = described(found);
            match found.has_cuda || observed.gpus.is_empty() {
                true => good("libtorch", says),
                false => lacking(
                    "libtorch",
                    State::Problem,
                    format!("{says}, though there is a GPU"),
                    "scripts/libtorch --cuda fetches them; or run with device = \"cpu\"",
                ),
            }
        }
        // The sentence holds its way out already.
        Err(error) => {
            Finding { subject: "libtorch", state: State::Problem, says: error.clone(), way_out: None }
        }
    }
}

/// A libtorch that was built for CUDA and has none of its libraries is one for the processor.
fn described(found: &FoundLibtorch) -> String {
    let (version, built_for) = found.version.split_once('+').unwrap_or((&found.version, ""));
    let kind = match (found.has_cuda, built_for) {
        (true, built_for) if built_for.starts_with("cu") => format!("with CUDA ({built_for})"),
        (true, _) => "with CUDA".to_owned(),
        (false, built_for) if built_for.starts_with("cu") => {
            format!("for the CPU only (built for {built_for}, without CUDA's libraries)")
        }
        (false, _) => "for the CPU only".to_owned(),
    };
    format!("{version} {kind} in {}, from {}", found.directory.display(), found.source)
}

/// Nothing runs before the file is right.
fn settings(wrong: &Diagnostic) -> Finding {
    let place = match wrong.line {
        0 => wrong.file.display().to_string(),
        line => format!("{}:{line}:{}", wrong.file.display(), wrong.column),
    };
    lacking("settings", State::Problem, format!("{place}: {}", wrong.reason), &wrong.way_out)
}

fn worker(observed: &Observed) -> Finding {
    match &observed.worker {
        Ok(path) => good("worker", format!("{}, answers", path.display())),
        // The sentence holds its way out already.
        Err(says) => Finding { subject: "worker", state: State::Problem, says: says.clone(), way_out: None },
    }
}

fn processor(processor: &Processor) -> Finding {
    let features = match processor.features.is_empty() {
        true => "no vector extensions that libtorch uses".to_owned(),
        false => processor.features.join(" "),
    };
    let says = format!("{}, {} for us, {features}", processor.name, counted(processor.cores, "core"));
    let has = |name: &str| processor.features.iter().any(|feature| feature == name);
    match has("avx2") || has("asimd") {
        true => good("processor", says),
        false => lacking(
            "processor",
            State::Note,
            says,
            "training on it will be slow: libtorch's fast kernels need AVX2 (or ASIMD on ARM)",
        ),
    }
}

fn memory(bytes: u64) -> Finding {
    match bytes >= 2 * GIB {
        true => good("memory", gib(bytes)),
        false => lacking(
            "memory",
            State::Note,
            gib(bytes),
            "libtorch alone takes half of that; keep slots and batch sizes small",
        ),
    }
}

fn gpus(observed: &Observed) -> Vec<Finding> {
    if let Some(reason) = &observed.no_gpu {
        return vec![Finding {
            subject: "GPU",
            state: State::Good,
            says: format!("none: {reason}; runs with device = \"auto\" use the CPU"),
            way_out: None,
        }];
    }
    let describe = |gpu: &Gpu| {
        let Gpu { name, driver, memory_bytes, .. } = gpu;
        match driver.split('.').next().and_then(|major| major.parse::<u32>().ok()) {
            Some(major) if major < LEAST_DRIVER => lacking(
                "GPU",
                State::Problem,
                format!("{name}, {}, driver {driver}", gib(*memory_bytes)),
                "CUDA 13 needs a driver of version 580 or newer; run with device = \"cpu\" until it is there",
            ),
            _ => good("GPU", format!("{name}, {}, driver {driver}", gib(*memory_bytes))),
        }
    };
    observed.gpus.iter().map(describe).collect()
}

/// CUDA 13, which libtorch 2.11.0 from PyPI is built with, runs on these drivers (NVIDIA's CUDA
/// compatibility guide, table of minimum driver versions).
const LEAST_DRIVER: u32 = 580;

fn disk(disk: &Disk) -> Finding {
    let says = format!(
        "{} free of {} for the {} ({})",
        gib(disk.free_bytes),
        gib(disk.total_bytes),
        disk.holds,
        disk.path.display()
    );
    match disk.free_bytes {
        ..GIB => {
            lacking("disk", State::Problem, says, "a checkpoint may not fit; free some room before the night")
        }
        GIB..FIVE_GIB => lacking("disk", State::Note, says, "a night of checkpoints may need more"),
        _ => good("disk", says),
    }
}

fn open_files(limits: &SystemLimits) -> Finding {
    let number = |limit: u64| if limit == u64::MAX { "no limit".to_owned() } else { limit.to_string() };
    let says = format!("{} (hard limit {})", number(limits.open_files_soft), number(limits.open_files_hard));
    match limits.open_files_hard {
        ..1024 => lacking(
            "open files",
            State::Note,
            says,
            "many viewers of a live report will be turned away; raise the hard limit (ulimit -Hn 65536)",
        ),
        _ => good("open files", says),
    }
}

fn watches(limits: &SystemLimits) -> Finding {
    match (limits.inotify_watches, limits.inotify_instances) {
        (Some(watches), Some(instances)) => {
            let says = format!("{watches} folders, {} for this user", counted(instances as usize, "program"));
            match watches < 8192 || instances < 16 {
                true => lacking(
                    "watches",
                    State::Note,
                    says,
                    "pages follow by scanning, some seconds late, where they run out (sysctl fs.inotify.max_user_watches=524288)",
                ),
                false => good("watches", says),
            }
        }
        _ => lacking(
            "watches",
            State::Note,
            "this system does not say how many folders may be watched".to_owned(),
            "pages follow by scanning, some seconds late, where none can be",
        ),
    }
}

fn sleep(held_off: &Result<(), String>) -> Finding {
    match held_off {
        Ok(()) => good("sleep", "held off while runs go on".to_owned()),
        Err(why) => lacking(
            "sleep",
            State::Note,
            format!("cannot be held off: {why}"),
            "where this machine falls asleep by itself, switch that off for the night (sudo systemctl mask --runtime sleep.target suspend.target)",
        ),
    }
}

const GIB: u64 = 1 << 30;
const FIVE_GIB: u64 = 5 * GIB;

fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / GIB as f64)
}

fn counted(count: usize, thing: &str) -> String {
    match count {
        1 => format!("1 {thing}"),
        _ => format!("{count} {thing}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn well() -> Observed {
        Observed {
            libtorch: Ok(FoundLibtorch {
                directory: "/cache/torch".into(),
                version: "2.11.0+cu130".into(),
                source: "the cache".into(),
                has_cuda: false,
            }),
            worker: Ok("/usr/bin/overnight-worker".into()),
            processor: Processor { name: "A CPU".into(), cores: 1, features: vec!["avx2".into()] },
            memory_bytes: 8 * GIB,
            gpus: Vec::new(),
            no_gpu: Some("no driver".into()),
            disks: vec![Disk {
                holds: "workspace".into(),
                path: "/w".into(),
                free_bytes: 80 * GIB,
                total_bytes: 100 * GIB,
            }],
            limits: SystemLimits {
                open_files_soft: 1024,
                open_files_hard: 4096,
                inotify_watches: Some(65536),
                inotify_instances: Some(128),
            },
            sleep: Ok(()),
            logout: logout::Logout {
                user: Some("eve".into()),
                ends_processes: logout::Ends::Never,
                lingers: false,
            },
            wrong_settings: Vec::new(),
        }
    }

    fn gpu(driver: &str) -> Gpu {
        Gpu { name: "A GPU".into(), uuid: "GPU-1".into(), driver: driver.into(), memory_bytes: 80 * GIB }
    }

    fn problems(observed: Observed) -> Vec<&'static str> {
        let diagnosis = Diagnosis::of(observed);
        let of_state = |state| diagnosis.findings.iter().filter(move |finding| finding.state == state);
        assert_eq!(diagnosis.is_healthy, of_state(State::Problem).count() == 0);
        of_state(State::Problem).map(|finding| finding.subject).collect()
    }

    #[test]
    fn a_machine_without_a_gpu_is_healthy_and_read_in_one_look() {
        insta::assert_snapshot!(Diagnosis::of(well()).text(), @r#"
        ok       libtorch    2.11.0 for the CPU only (built for cu130, without CUDA's libraries) in /cache/torch, from the cache
        ok       worker      /usr/bin/overnight-worker, answers
        ok       processor   A CPU, 1 core for us, avx2
        ok       memory      8.0 GiB
        ok       GPU         none: no driver; runs with device = "auto" use the CPU
        ok       disk        80.0 GiB free of 100.0 GiB for the workspace (/w)
        ok       open files  1024 (hard limit 4096)
        ok       watches     65536 folders, 128 programs for this user
        ok       sleep       held off while runs go on
        ok       logout      leaves what runs detached alone
        "#);
    }

    #[test]
    fn what_will_fail_is_a_problem_and_names_the_way_out() {
        let mut observed = well();
        observed.libtorch = Err("no libtorch (fetch it)".into());
        observed.worker = Err("overnight-worker is not in /usr/bin".into());
        observed.disks[0].free_bytes = GIB / 2;
        assert_eq!(problems(observed), ["libtorch", "worker", "disk"]);
    }

    #[test]
    fn a_gpu_needs_cuda_libraries_and_a_driver_that_knows_them() {
        let mut observed = well();
        observed.no_gpu = None;
        observed.gpus = vec![gpu("550.90.07")];
        assert_eq!(problems(observed.clone()), ["libtorch", "GPU"]);
        observed.gpus = vec![gpu("580.65.06"), gpu("590.1")];
        if let Ok(found) = &mut observed.libtorch {
            found.has_cuda = true;
        }
        assert_eq!(problems(observed), Vec::<&str>::new());
    }

    #[test]
    fn a_libtorch_is_described_by_what_it_can_do() {
        let said = |version: &str, has_cuda| {
            let Ok(found) = well().libtorch else { unreachable!("it is well") };
            described(&FoundLibtorch { version: version.into(), has_cuda, ..found })
        };
        assert!(said("2.11.0+cu130", true).starts_with("2.11.0 with CUDA (cu130) in /cache/torch"));
        assert!(said("2.11.0+cpu", false).starts_with("2.11.0 for the CPU only in "));
        assert!(said("2.11.0", true).starts_with("2.11.0 with CUDA in "));
    }

    #[test]
    fn what_merely_could_be_better_is_a_note() {
        let mut observed = well();
        observed.processor.features.clear();
        observed.memory_bytes = GIB;
        observed.disks[0].free_bytes = 2 * GIB;
        observed.limits = SystemLimits {
            open_files_soft: 256,
            open_files_hard: 256,
            inotify_watches: None,
            inotify_instances: None,
        };
        observed.sleep = Err("no logind".into());
        observed.logout.ends_processes = logout::Ends::Always("/etc/systemd/logind.conf".into());
        let diagnosis = Diagnosis::of(observed);
        let notes: Vec<_> =
            diagnosis.findings.iter().filter(|finding| finding.state == State::Note).collect();
        assert!(diagnosis.is_healthy);
        assert_eq!(notes.len(), 7, "{notes:?}");
        assert!(notes.iter().all(|note| note.way_out.is_some()));
    }

    #[test]
    fn this_machine_can_be_examined_and_told_as_json() {
        let folder = tempfile::tempdir().unwrap();
        let diagnosis = Diagnosis::of(observe(
            &crate::run_dir::Workspace::new(folder.path()),
            &crate::runner::devices::Devices::none("not asked".into()),
        ));
        let json = serde_json::to_value(&diagnosis).unwrap();
        assert!(json["observed"]["processor"]["cores"].as_u64() > Some(0));
        assert!(json["observed"]["memory_bytes"].as_u64() > Some(0));
        assert_eq!(json["findings"][0]["subject"], "libtorch");
    }
}
