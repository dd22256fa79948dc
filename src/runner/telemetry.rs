//! What the whole machine does, sampled every few seconds. What stands in `telemetry.csv` and how is in
//! [`table`].

pub mod table;

use std::path::{Path, PathBuf};
use std::time::Duration;

use sysinfo::{MemoryRefreshKind, Networks, System};

use crate::run_dir::scan;

/// Time between two samples.
pub const INTERVAL: Duration = Duration::from_secs(2);

/// What the whole machine did at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MachineSample {
    /// Unix seconds.
    pub time: f64,
    /// Of all processors together; absent at the first sample, which has nothing to compare with.
    pub cpu_percent: Option<f64>,
    pub memory_bytes: Option<u64>,
    /// Room on the file system of the workspace.
    pub disk_free_bytes: Option<u64>,
    /// Since the machine started, like the network's: two rows give a rate.
    pub disk_read_bytes: Option<u64>,
    pub disk_written_bytes: Option<u64>,
    pub network_received_bytes: Option<u64>,
    pub network_sent_bytes: Option<u64>,
}

/// Remembers what a rate needs of the sample before.
pub struct Sampler {
    system: Option<System>,
    networks: Option<Networks>,
    workspace: PathBuf,
    first: bool,
}

impl Sampler {
    pub fn new(workspace: &Path) -> Sampler {
        Sampler {
            system: System::new().ok(),
            networks: Networks::new_with_refreshed_list().ok(),
            workspace: workspace.to_path_buf(),
            first: true,
        }
    }

    pub fn sample(&mut self) -> MachineSample {
        let mut sample = MachineSample { time: scan::now(), ..Default::default() };
        if let Some(system) = &mut self.system {
            system.refresh_cpu_usage();
            system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
            let percent = f64::from(system.global_cpu_usage());
            sample.cpu_percent = (!self.first && percent.is_finite()).then_some(percent);
            sample.memory_bytes = Some(system.used_memory());
        }
        if let Some(networks) = &mut self.networks {
            networks.refresh(true);
            let outside = || networks.iter().filter(|(name, _)| name.as_os_str() != "lo");
            sample.network_received_bytes = Some(outside().map(|(_, n)| n.total_received()).sum());
            sample.network_sent_bytes = Some(outside().map(|(_, n)| n.total_transmitted()).sum());
        }
        sample.disk_free_bytes =
            rustix::fs::statvfs(&self.workspace).ok().map(|room| room.f_bavail.saturating_mul(room.f_frsize));
        (sample.disk_read_bytes, sample.disk_written_bytes) = disk_bytes(&self.workspace).unzip();
        self.first = false;
        sample
    }
}

/// Bytes that the disk of `folder` has read and written since the machine started; none where there is no
/// disk of its own behind it.
fn disk_bytes(folder: &Path) -> Option<(u64, u64)> {
    let device = rustix::fs::stat(folder).ok()?.st_dev;
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    sectors(&std::fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat")).ok()?)
}

/// The third and the seventh field, which count 512 bytes whatever the disk's own sectors are.
fn sectors(text: &str) -> Option<(u64, u64)> {
    let fields: Vec<u64> = text.split_whitespace().filter_map(|field| field.parse().ok()).collect();
    Some((fields.get(2)? * 512, fields.get(6)? * 512))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_counts_in_sectors() {
        assert_eq!(sectors(" 12 3 100 4 5 6 40 7 0 8 9\n"), Some((51_200, 20_480)));
        assert_eq!(sectors(""), None);
    }

    #[test]
    fn this_machine_can_be_sampled() {
        let folder = tempfile::tempdir().unwrap();
        let mut sampler = Sampler::new(folder.path());
        assert_eq!(sampler.sample().cpu_percent, None);
        let second = sampler.sample();
        assert!(second.memory_bytes.is_some_and(|bytes| bytes > 0));
        assert!(second.disk_free_bytes.is_some());
    }
}
