//! Looks at the machine. What cannot be seen is absent, never an error.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Disk, FoundLibtorch, Gpu, Observed, Processor, SystemLimits, logout};
use crate::libtorch;
use crate::run_dir::Workspace;
use crate::runner::awake;
use crate::runner::devices::{self, Devices};
use crate::runner::program::{Program, ProgramError};
use crate::workspace_settings::WorkspaceSettings;

/// Looks at everything a night of training in `workspace` needs.
pub fn observe(workspace: &Workspace, devices: &Devices) -> Observed {
    Observed {
        libtorch: libtorch::find()
            .map(|found| FoundLibtorch {
                directory: found.directory,
                version: found.version,
                source: found.source.to_string(),
                has_cuda: found.has_cuda,
            })
            .map_err(|error| error.to_string()),
        worker: worker(),
        processor: processor(),
        memory_bytes: memory_bytes(),
        gpus: gpus(devices),
        no_gpu: devices.absence().map(str::to_owned),
        disks: disks(workspace.root()),
        limits: limits(),
        sleep: awake::probe(),
        logout: logout::observe(Path::new("/"), rustix::process::geteuid().as_raw()),
        wrong_settings: WorkspaceSettings::read(workspace).err().map(|wrong| wrong.0).unwrap_or_default(),
    }
}

fn gpus(devices: &Devices) -> Vec<Gpu> {
    let gpus = devices.gpus().iter().map(|gpu| Gpu {
        name: gpu.name.clone(),
        uuid: gpu.uuid.clone(),
        driver: gpu.driver.clone(),
        memory_bytes: gpu.memory_bytes,
    });
    gpus.collect()
}

/// The worker is started and asked for its protocol: that also shows that libtorch loads.
fn worker() -> Result<PathBuf, String> {
    let program = Program::find().map_err(|error| match error {
        ProgramError::Libtorch(_) => "cannot be tried without libtorch".to_owned(),
        other => other.to_string(),
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot be tried: {error}"))?;
    runtime.block_on(program.shake_hands()).map_err(|error| error.to_string())?;
    Ok(program.path().to_owned())
}

fn processor() -> Processor {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |names: &[&str]| {
        text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            names.contains(&name.trim()).then(|| value.trim().to_owned())
        })
    };
    let flags = field(&["flags", "Features"]).unwrap_or_default();
    let flags: BTreeSet<_> = flags.split_whitespace().collect();
    let features = USEFUL_FEATURES.iter().filter(|feature| flags.contains(*feature));
    Processor {
        // ARM machines state numbers instead of a name.
        name: field(&["model name"]).unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        cores: devices::cpu_count(),
        features: features.map(|feature| (*feature).to_owned()).collect(),
    }
}

/// As the kernel names them, in the order in which they help.
const USEFUL_FEATURES: [&str; 13] = [
    "avx2",
    "fma",
    "f16c",
    "avx512f",
    "avx512vl",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_bf16",
    "amx_int8",
    "asimd",
    "bf16",
    "sve",
];

/// Of the machine, or of the container where that has a limit.
fn memory_bytes() -> u64 {
    let system = rustix::system::sysinfo();
    // `c_ulong`, which is `u64` on the machines this runs on.
    let machine = system.totalram * u64::from(system.mem_unit);
    devices::memory_limit_bytes().map_or(machine, |limit| limit.min(machine))
}

fn disks(workspace: &Path) -> Vec<Disk> {
    let places = [("workspace", workspace.to_owned()), ("cache", libtorch::cache())];
    let disks = places.into_iter().filter_map(|(holds, path)| {
        // What does not exist yet will be made on the disk of the folder above.
        let there = path.ancestors().find(|folder| folder.exists())?;
        let room = rustix::fs::statvfs(there).ok()?;
        Some(Disk {
            holds: holds.to_owned(),
            free_bytes: room.f_bavail * room.f_frsize,
            total_bytes: room.f_blocks * room.f_frsize,
            path,
        })
    });
    disks.collect()
}

fn limits() -> SystemLimits {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let kernel = |name: &str| {
        let text = fs::read_to_string(Path::new("/proc/sys/fs/inotify").join(name)).ok()?;
        text.trim().parse().ok()
    };
    SystemLimits {
        open_files_soft: files.current.unwrap_or(u64::MAX),
        open_files_hard: files.maximum.unwrap_or(u64::MAX),
        inotify_watches: kernel("max_user_watches"),
        inotify_instances: kernel("max_user_instances"),
    }
}
