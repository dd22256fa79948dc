//! What this machine has to train on: processors, memory, GPUs. NVIDIA's management library is
//! loaded when it is there; without it, or without a driver, a machine simply has no GPU. Choosing
//! a device for a run is not done here.

pub mod memory;

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use nvml_wrapper::Nvml;

use super::gpu_monitor::Monitor;

/// One GPU, known by its UUID: indices change with the environment, UUIDs do not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// Place in PCI bus order among all GPUs of the machine.
    pub index: u32,
    pub uuid: String,
    pub name: String,
    pub driver: String,
    pub memory_bytes: u64,
    /// Whether it computes in bf16 (NVIDIA's compute capability 8.0, Ampere, and later).
    pub has_bf16: bool,
}

/// The devices of this machine that a run may use.
pub struct Devices {
    nvml: Option<Arc<Nvml>>,
    gpus: Vec<Gpu>,
    absence: Option<String>,
}

impl Devices {
    /// Looks for GPUs and respects a `CUDA_VISIBLE_DEVICES` that is set already. Never fails:
    /// [`Devices::absence`] says why there is none.
    pub fn find() -> Devices {
        let nvml = match load() {
            Ok(nvml) => nvml,
            Err(reason) => return Devices::none(reason),
        };
        let all = list(&nvml);
        if all.is_empty() {
            return Devices::none("the NVIDIA driver reports no GPU".into());
        }
        let wanted = std::env::var("CUDA_VISIBLE_DEVICES").ok();
        let gpus = visible(&all, wanted.as_deref());
        let absence = gpus.is_empty().then(|| {
            format!(
                "CUDA_VISIBLE_DEVICES={} leaves none of the {} GPUs",
                wanted.as_deref().unwrap_or_default(),
                all.len()
            )
        });
        Devices { nvml: Some(Arc::new(nvml)), gpus, absence }
    }

    /// A machine without GPUs, and why.
    pub fn none(reason: String) -> Devices {
        Devices { nvml: None, gpus: Vec::new(), absence: Some(reason) }
    }

    pub fn gpus(&self) -> &[Gpu] {
        &self.gpus
    }

    /// Why no GPU can be used, when none can.
    pub fn absence(&self) -> Option<&str> {
        self.absence.as_deref()
    }

    /// Watches the GPUs from now on; nothing where there is none.
    pub fn watch(&self) -> Option<Monitor> {
        let nvml = self.nvml.as_ref().filter(|_| !self.gpus.is_empty())?;
        let uuids = self.gpus.iter().map(|gpu| gpu.uuid.clone()).collect();
        Some(Monitor::start(Arc::clone(nvml), uuids))
    }
}

/// Processors this process may use: affinity and cgroup quotas counted in.
pub fn cpu_count() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Bytes of memory that processes started here may use together: the machine's, or the smallest
/// limit of the cgroups around this process.
pub fn memory_limit_bytes() -> Option<u64> {
    let installed = installed_memory_bytes();
    let cgroups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limit = cgroup_memory_limit(&cgroups, Path::new("/sys/fs/cgroup"));
    match (installed, limit) {
        (Some(installed), Some(limit)) => Some(installed.min(limit)),
        (installed, limit) => installed.or(limit),
    }
}

fn load() -> Result<Nvml, String> {
    // The name without a version belongs to development packages; drivers install the other.
    Nvml::builder()
        .lib_path(OsStr::new("libnvidia-ml.so.1"))
        .init()
        .or_else(|_| Nvml::init())
        .map_err(|error| format!("no NVIDIA driver answers ({error})"))
}

fn list(nvml: &Nvml) -> Vec<Gpu> {
    let driver = nvml.sys_driver_version().unwrap_or_default();
    let count = nvml.device_count().unwrap_or(0);
    (0..count)
        .filter_map(|index| {
            let device = nvml.device_by_index(index).ok()?;
            Some(Gpu {
                index,
                uuid: device.uuid().ok()?,
                name: device.name().unwrap_or_else(|_| "NVIDIA GPU".into()),
                driver: driver.clone(),
                memory_bytes: device.memory_info().map_or(0, |memory| memory.total),
                has_bf16: device.cuda_compute_capability().is_ok_and(|capability| capability.major >= 8),
            })
        })
        .collect()
}

/// The GPUs that a `CUDA_VISIBLE_DEVICES` leaves, in its order. As CUDA does it: indices or
/// unambiguous beginnings of UUIDs, and the first entry that names nothing ends the list.
fn visible(all: &[Gpu], wanted: Option<&str>) -> Vec<Gpu> {
    let Some(wanted) = wanted else { return all.to_vec() };
    wanted
        .split(',')
        .map_while(|entry| {
            let entry = entry.trim();
            match entry.parse::<u32>() {
                Ok(index) => all.iter().find(|gpu| gpu.index == index),
                Err(_) if entry.is_empty() => None,
                Err(_) => {
                    let mut matching = all.iter().filter(|gpu| gpu.uuid.starts_with(entry));
                    matching.next().filter(|_| matching.next().is_none())
                }
            }
        })
        .cloned()
        .collect()
}

fn installed_memory_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib * 1024)
}

/// The smallest limit from the process's own cgroup up to the root, in either generation of
/// cgroups; inside a container the path may not exist below the mount, then the mount itself counts.
fn cgroup_memory_limit(cgroups: &str, mount: &Path) -> Option<u64> {
    let mut limits = Vec::new();
    for line in cgroups.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let (root, file) = match controllers {
            "" => (mount.to_path_buf(), "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                (mount.join("memory"), "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let own = root.join(path.trim_start_matches('/'));
        for folder in own.ancestors().take_while(|folder| folder.starts_with(&root)) {
            let text = std::fs::read_to_string(folder.join(file)).unwrap_or_default();
            limits.extend(text.trim().parse::<u64>().ok());
        }
    }
    limits.into_iter().min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpu(index: u32, uuid: &str) -> Gpu {
        Gpu {
            index,
            uuid: uuid.into(),
            name: "Test".into(),
            driver: "1".into(),
            memory_bytes: 1 << 34,
            has_bf16: true,
        }
    }

    fn chosen(wanted: Option<&str>) -> Vec<u32> {
        let all = [gpu(0, "GPU-aa11"), gpu(1, "GPU-aa22"), gpu(2, "GPU-bb33")];
        visible(&all, wanted).iter().map(|gpu| gpu.index).collect()
    }

    #[test]
    fn visible_devices_are_read_as_cuda_reads_them() {
        assert_eq!(chosen(None), [0, 1, 2]);
        assert_eq!(chosen(Some("2,0")), [2, 0]);
        assert_eq!(chosen(Some("GPU-bb, 1")), [2, 1]);
        assert_eq!(chosen(Some("1,7,0")), [1], "an unknown index ends the list");
        assert_eq!(chosen(Some("GPU-aa")), [0; 0], "an ambiguous beginning names nothing");
        assert_eq!(chosen(Some("")), [0; 0]);
        assert_eq!(chosen(Some("-1")), [0; 0]);
    }

    #[test]
    fn a_machine_without_gpus_has_nothing_to_watch() {
        let devices = Devices::none("none here".into());
        assert_eq!(devices.gpus(), []);
        assert_eq!(devices.absence(), Some("none here"));
        assert!(devices.watch().is_none());
    }

    #[test]
    fn the_smallest_memory_limit_of_all_cgroups_around_counts() {
        let mount = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = mount.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("a/b/memory.max", "max\n");
        write("a/memory.max", "4096\n");
        write("memory/c/memory.limit_in_bytes", "8192\n");
        assert_eq!(cgroup_memory_limit("0::/a/b\n", mount.path()), Some(4096));
        assert_eq!(cgroup_memory_limit("8:memory:/c\n3:cpuset:/\n", mount.path()), Some(8192));
        assert_eq!(cgroup_memory_limit("0::/gone\n", mount.path()), None);
    }
}
