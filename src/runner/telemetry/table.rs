//! `telemetry.csv`: one of the batch with every GPU, one in each run's directory with that run's device,
//! process and energy. A value that is not known is an empty cell.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use super::MachineSample;
use crate::run_dir::telemetry::{Energy, LOST, PROCESSES, RUN_CPU_JOULES, RUN_GPU_JOULES, THROTTLE, XID};
use crate::run_dir::write::{Durability, replace};
use crate::runner::gpu_sample::GpuSample;

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
    columns.extend(PROCESS_COLUMNS.map(String::from));
    columns.extend(GPU_COLUMNS.iter().map(|name| format!("gpu_{name}")));
    columns.extend([RUN_GPU_JOULES, RUN_CPU_JOULES].map(String::from));
    columns
}

/// A GPU in a row: its gauges, and the error that it reported since the row before.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GpuRow {
    pub sample: GpuSample,
    pub xid: Option<u64>,
}

/// What a row of a run's file says of its process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessRow {
    pub memory_bytes: Option<u64>,
    /// Of the GPU, where the driver knows the process by its number.
    pub gpu_memory_bytes: Option<u64>,
}

/// Cells of one row of a batch's file.
pub fn batch_row(machine: &MachineSample, gpus: &[GpuRow]) -> Vec<String> {
    let mut cells = machine_cells(machine);
    cells.extend(gpus.iter().flat_map(gpu_cells));
    cells
}

/// Cells of one row of a run's file; `gpu` is absent for a run on the processor.
pub fn run_row(
    machine: &MachineSample,
    process: ProcessRow,
    gpu: Option<&GpuRow>,
    energy: Energy,
) -> Vec<String> {
    let mut cells = machine_cells(machine);
    cells.extend([cell(process.memory_bytes), cell(process.gpu_memory_bytes)]);
    cells.extend(gpu.map_or_else(|| vec![String::new(); GPU_COLUMNS.len()], gpu_cells));
    cells.extend([rounded(energy.gpu_joules), rounded(energy.cpu_joules)]);
    cells
}

/// An append-only table whose header has every column that is asked for, and those that it had before.
pub struct TelemetryFile {
    file: File,
    /// Place in the header of each column that is asked for.
    places: Vec<usize>,
    width: usize,
}

impl TelemetryFile {
    /// Opens or creates the table. A row torn by a crash is cut off. A table of a version that had fewer
    /// columns gets the others, empty in the rows it has; one without a header of ours is kept under
    /// `.old` and a new one begun.
    pub fn open(path: &Path, columns: &[String]) -> io::Result<TelemetryFile> {
        let mut file = open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        bytes.truncate(whole);
        let mut text = String::from_utf8(bytes).unwrap_or_default();
        if whole > 0 && !text.starts_with("time,") {
            std::fs::rename(path, path.with_extension("csv.old"))?;
            file = open(path)?;
            text.clear();
        }
        let header = text.lines().next().unwrap_or_default();
        let mut known: Vec<String> =
            header.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let missing: Vec<String> = columns.iter().filter(|name| !known.contains(name)).cloned().collect();
        if missing.is_empty() {
            file.set_len(whole as u64)?;
        } else if known.is_empty() {
            file.set_len(0)?;
            file.write_all((missing.join(",") + "\n").as_bytes())?;
            known = missing;
        } else {
            replace(path, widened(&text, &missing).as_bytes(), Durability::Rebuildable)?;
            file = open(path)?;
            known.extend(missing);
        }
        let place = |name: &String| known.iter().position(|known| known == name).unwrap_or(0);
        Ok(TelemetryFile { file, places: columns.iter().map(place).collect(), width: known.len() })
    }

    /// Appends a row by one write, so that a reader sees all of it or none. Cells stand in the order of
    /// the columns that were asked for.
    pub fn append(&mut self, cells: &[String]) -> io::Result<()> {
        let mut row = vec![""; self.width];
        for (cell, place) in cells.iter().zip(&self.places) {
            row[*place] = cell;
        }
        self.file.write_all((row.join(",") + "\n").as_bytes())
    }
}

/// The table with these columns behind its own.
fn widened(text: &str, missing: &[String]) -> String {
    let mut lines = text.lines();
    let mut wide = format!("{},{}\n", lines.next().unwrap_or_default(), missing.join(","));
    for line in lines {
        wide.push_str(line);
        wide.push_str(&",".repeat(missing.len()));
        wide.push('\n');
    }
    wide
}

const MACHINE_COLUMNS: [&str; 8] = [
    "time",
    "cpu_percent",
    "memory_bytes",
    "disk_free_bytes",
    "disk_read_bytes",
    "disk_written_bytes",
    "network_received_bytes",
    "network_sent_bytes",
];

const PROCESS_COLUMNS: [&str; 2] = ["process_memory_bytes", "process_gpu_memory_bytes"];

const GPU_COLUMNS: [&str; 12] = [
    "use_percent",
    "memory_bytes",
    "temperature_celsius",
    "power_watts",
    "energy_joules",
    "clock_mhz",
    "memory_clock_mhz",
    THROTTLE,
    XID,
    LOST,
    "processes_count",
    PROCESSES,
];

fn machine_cells(machine: &MachineSample) -> Vec<String> {
    vec![
        format!("{:.3}", machine.time),
        rounded(machine.cpu_percent),
        cell(machine.memory_bytes),
        cell(machine.disk_free_bytes),
        cell(machine.disk_read_bytes),
        cell(machine.disk_written_bytes),
        cell(machine.network_received_bytes),
        cell(machine.network_sent_bytes),
    ]
}

fn gpu_cells(gpu: &GpuRow) -> Vec<String> {
    let sample = &gpu.sample;
    let throttle = sample.throttle.as_ref().map(|words| match words.is_empty() {
        true => "none".to_owned(),
        false => words.join(" "),
    });
    let processes = sample.processes.as_ref().map(|processes| {
        let one = |process: &crate::runner::gpu_sample::GpuProcess| {
            format!("{}:{}", process.process, cell(process.memory_bytes))
        };
        processes.iter().map(one).collect::<Vec<_>>().join(" ")
    });
    vec![
        rounded(sample.use_percent),
        cell(sample.memory_bytes),
        rounded(sample.temperature_celsius),
        rounded(sample.power_watts),
        rounded(sample.energy_joules),
        rounded(sample.clock_mhz),
        rounded(sample.memory_clock_mhz),
        throttle.unwrap_or_default(),
        cell(gpu.xid),
        if sample.lost { "1".to_owned() } else { String::new() },
        cell(sample.processes.as_ref().map(|processes| processes.len() as u64)),
        processes.unwrap_or_default(),
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
    use crate::run_dir::metrics::Metrics;
    use crate::run_dir::telemetry::holds_words;
    use crate::runner::gpu_sample::GpuProcess;

    fn machine() -> MachineSample {
        MachineSample {
            time: 1000.5,
            cpu_percent: Some(12.34),
            memory_bytes: Some(1 << 30),
            disk_free_bytes: None,
            disk_read_bytes: Some(5),
            disk_written_bytes: Some(6),
            network_received_bytes: Some(7),
            network_sent_bytes: Some(8),
        }
    }

    fn gpu() -> GpuRow {
        let processes =
            [(7, Some(512)), (9, None)].map(|(process, memory_bytes)| GpuProcess { process, memory_bytes });
        GpuRow {
            sample: GpuSample {
                power_watts: Some(250.04),
                throttle: Some(vec!["power-cap", "thermal"]),
                processes: Some(processes.to_vec()),
                ..GpuSample::default()
            },
            xid: Some(13),
        }
    }

    #[test]
    fn a_row_has_a_cell_for_each_column_and_unknown_values_are_empty() {
        let row = batch_row(&machine(), &[gpu()]);
        assert_eq!(row.len(), batch_columns(&[0]).len());
        assert_eq!(
            row.join(","),
            "1000.500,12.3,1073741824,,5,6,7,8,,,,250,,,,power-cap thermal,13,,2,7:512 9:"
        );
        let energy = Energy { gpu_joules: Some(12.0), cpu_joules: None };
        let process = ProcessRow { memory_bytes: Some(4096), gpu_memory_bytes: Some(512) };
        let row = run_row(&machine(), process, None, energy);
        assert_eq!(row.len(), run_columns().len());
        assert_eq!(row.join(","), "1000.500,12.3,1073741824,,5,6,7,8,4096,512,,,,,,,,,,,,,12,");
        let lost = GpuRow { sample: GpuSample { lost: true, ..GpuSample::default() }, xid: None };
        assert_eq!(gpu_cells(&lost).join(","), ",,,,,,,,,1,,");
        let calm = GpuSample { throttle: Some(Vec::new()), ..GpuSample::default() };
        assert_eq!(gpu_cells(&GpuRow { sample: calm, xid: None }).join(","), ",,,,,,,none,,,,");
    }

    #[test]
    fn every_column_of_amounts_names_its_unit() {
        let units = ["percent", "bytes", "celsius", "watts", "joules", "mhz", "count", "code"];
        let no_amount = |column: &&String| *column == "time" || column.ends_with(LOST) || holds_words(column);
        let columns: Vec<String> = batch_columns(&[0]).into_iter().chain(run_columns()).collect();
        for column in columns.iter().filter(|column| !no_amount(column)) {
            assert!(units.iter().any(|unit| column.ends_with(unit)), "{column} names no unit");
        }
    }

    #[test]
    fn a_torn_row_is_cut_before_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("telemetry.csv");
        std::fs::write(&path, "time,b\n1,2\n3").unwrap();
        let columns = ["time".to_string(), "b".to_string()];
        let mut file = TelemetryFile::open(&path, &columns).unwrap();
        file.append(&["5".into(), "6".into()]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "time,b\n1,2\n5,6\n");
    }

    #[test]
    fn a_table_of_another_version_goes_on_with_all_columns_of_both() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("telemetry.csv");
        std::fs::write(&path, "time,odd_count,cpu_percent\n1,5,50\n2,6,60\n3,7").unwrap();
        let energy = Energy { gpu_joules: Some(9.0), cpu_joules: None };
        for _ in 0..2 {
            let mut file = TelemetryFile::open(&path, &run_columns()).unwrap();
            file.append(&run_row(&machine(), ProcessRow::default(), None, energy)).unwrap();
        }
        let table = Metrics::read(&path).unwrap();
        assert_eq!((table.rows, table.bad.len()), (4, 0), "{:?}", table.bad);
        assert_eq!(table.column("odd_count").unwrap().values, [5.0, 6.0]);
        assert_eq!(table.column("cpu_percent").unwrap().values, [50.0, 60.0, 12.3, 12.3]);
        assert_eq!(Energy::of(&table), energy);
        assert_eq!(Energy::read(&path), energy);
    }

    #[test]
    fn what_is_no_table_of_ours_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("telemetry.csv");
        std::fs::write(&path, "old\n1\n").unwrap();
        TelemetryFile::open(&path, &["time".to_string()]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "time\n");
        assert_eq!(std::fs::read_to_string(folder.path().join("telemetry.csv.old")).unwrap(), "old\n1\n");
    }
}
