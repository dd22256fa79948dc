//! Samples the machine and its GPUs, and appends the samples to `telemetry.csv`: one of the batch
//! with every GPU, one in each live run's directory with that run's device and process. A value
//! that is not known is an empty cell.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sysinfo::{MemoryRefreshKind, Networks, System};

use super::devices::{Devices, GpuSample};
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
    pub network_received_bytes: Option<u64>,
    pub network_sent_bytes: Option<u64>,
}

/// One moment of the machine and of every GPU, in the order of [`Devices::gpus`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    pub machine: MachineSample,
    pub gpus: Vec<GpuSample>,
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

    pub fn sample(&mut self, devices: &Devices) -> Sample {
        let gpus = devices.gpus().iter().map(|gpu| devices.sample(&gpu.uuid)).collect();
        Sample { machine: self.machine(), gpus }
    }

    fn machine(&mut self) -> MachineSample {
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
        self.first = false;
        sample
    }
}

/// Columns of a batch's file; `gpus` are indices in PCI bus order.
pub fn batch_columns(gpus: &[u32]) -> Vec<String> {
    let mut columns: Vec<String> = MACHINE_COLUMNS.map(String::from).to_vec();
    for index in gpus {
        columns.extend(GPU_COLUMNS.iter().map(|name| format!("gpu{index}_{name}")));
    }
    columns
}

/// Columns of a run's file: the same on every machine, so that attempts on different devices append
/// to one table.
pub fn run_columns() -> Vec<String> {
    let mut columns: Vec<String> = MACHINE_COLUMNS.map(String::from).to_vec();
    columns.push("process_memory_bytes".into());
    columns.extend(GPU_COLUMNS.iter().map(|name| format!("gpu_{name}")));
    columns
}

/// Cells of one row of a batch's file.
pub fn batch_row(sample: &Sample) -> Vec<String> {
    let mut cells = machine_cells(&sample.machine);
    for gpu in &sample.gpus {
        cells.extend(gpu_cells(gpu));
    }
    cells
}

/// Cells of one row of a run's file; `gpu` is absent for a run on the CPU.
pub fn run_row(
    machine: &MachineSample,
    process_memory_bytes: Option<u64>,
    gpu: Option<&GpuSample>,
) -> Vec<String> {
    let mut cells = machine_cells(machine);
    cells.push(cell(process_memory_bytes));
    cells.extend(gpu_cells(gpu.unwrap_or(&GpuSample::default())));
    cells
}

/// An append-only table with a header that never changes.
pub struct TelemetryFile {
    file: File,
}

impl TelemetryFile {
    /// Opens or creates the table. A row torn by a crash is cut off; a table with another header
    /// (an older version's) is kept under `.old` and a new one begun.
    pub fn open(path: &Path, columns: &[String]) -> io::Result<TelemetryFile> {
        let header = columns.join(",") + "\n";
        let mut file = open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        if whole > 0 && !bytes.starts_with(header.as_bytes()) {
            std::fs::rename(path, path.with_extension("csv.old"))?;
            file = open(path)?;
            file.write_all(header.as_bytes())?;
        } else {
            file.set_len(whole as u64)?;
            file.seek(SeekFrom::End(0))?;
            if whole == 0 {
                file.write_all(header.as_bytes())?;
            }
        }
        Ok(TelemetryFile { file })
    }

    /// Appends a row by one write, so that a reader sees all of it or none.
    pub fn append(&mut self, cells: &[String]) -> io::Result<()> {
        self.file.write_all((cells.join(",") + "\n").as_bytes())
    }
}

const MACHINE_COLUMNS: [&str; 6] = [
    "time",
    "cpu_percent",
    "memory_bytes",
    "disk_free_bytes",
    "network_received_bytes",
    "network_sent_bytes",
];

const GPU_COLUMNS: [&str; 6] =
    ["use_percent", "memory_bytes", "temperature_celsius", "power_watts", "energy_joules", "clock_mhz"];

fn machine_cells(machine: &MachineSample) -> Vec<String> {
    vec![
        format!("{:.3}", machine.time),
        rounded(machine.cpu_percent),
        cell(machine.memory_bytes),
        cell(machine.disk_free_bytes),
        cell(machine.network_received_bytes),
        cell(machine.network_sent_bytes),
    ]
}

fn gpu_cells(gpu: &GpuSample) -> Vec<String> {
    vec![
        rounded(gpu.use_percent),
        cell(gpu.memory_bytes),
        rounded(gpu.temperature_celsius),
        rounded(gpu.power_watts),
        rounded(gpu.energy_joules),
        rounded(gpu.clock_mhz),
    ]
}

fn cell(value: Option<u64>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn rounded(value: Option<f64>) -> String {
    value.map(|value| format!("{}", (value * 10.0).round() / 10.0)).unwrap_or_default()
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Sample {
        Sample {
            machine: MachineSample {
                time: 1000.5,
                cpu_percent: Some(12.34),
                memory_bytes: Some(1 << 30),
                disk_free_bytes: None,
                network_received_bytes: Some(7),
                network_sent_bytes: Some(8),
            },
            gpus: vec![GpuSample { power_watts: Some(250.04), ..Default::default() }],
        }
    }

    #[test]
    fn a_row_has_a_cell_for_each_column_and_unknown_values_are_empty() {
        let row = batch_row(&sample());
        assert_eq!(row.len(), batch_columns(&[0]).len());
        assert_eq!(row.join(","), "1000.500,12.3,1073741824,,7,8,,,,250,,");
        let row = run_row(&sample().machine, Some(4096), None);
        assert_eq!(row.len(), run_columns().len());
        assert_eq!(row.join(","), "1000.500,12.3,1073741824,,7,8,4096,,,,,,");
    }

    #[test]
    fn every_column_but_time_names_its_unit() {
        let units = ["percent", "bytes", "celsius", "watts", "joules", "mhz"];
        for column in batch_columns(&[0]).iter().chain(&run_columns()).filter(|c| *c != "time") {
            assert!(units.iter().any(|unit| column.ends_with(unit)), "{column} names no unit");
        }
    }

    #[test]
    fn a_torn_row_is_cut_before_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("telemetry.csv");
        std::fs::write(&path, "a,b\n1,2\n3").unwrap();
        let columns = ["a".to_string(), "b".to_string()];
        let mut file = TelemetryFile::open(&path, &columns).unwrap();
        file.append(&["5".into(), "6".into()]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a,b\n1,2\n5,6\n");
    }

    #[test]
    fn a_table_with_another_header_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("telemetry.csv");
        std::fs::write(&path, "old\n1\n").unwrap();
        TelemetryFile::open(&path, &["a".to_string()]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a\n");
        assert_eq!(std::fs::read_to_string(folder.path().join("telemetry.csv.old")).unwrap(), "old\n1\n");
    }

    #[test]
    fn this_machine_can_be_sampled() {
        let folder = tempfile::tempdir().unwrap();
        let mut sampler = Sampler::new(folder.path());
        let devices = Devices::none("not looked for".into());
        assert_eq!(sampler.sample(&devices).machine.cpu_percent, None);
        let second = sampler.sample(&devices).machine;
        assert!(second.memory_bytes.is_some_and(|bytes| bytes > 0));
        assert!(second.disk_free_bytes.is_some());
    }
}
