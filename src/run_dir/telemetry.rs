//! The names in `telemetry.csv` that more than its writer must know, and what a run has used of energy.
//!
//! A column's unit stands at the end of its name. Columns of words have none: they are
//! [`THROTTLE`] and [`PROCESSES`].

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::metrics::Metrics;
use super::read;

/// Energy that a run took of GPUs over all its attempts, its share where several used one.
pub const RUN_GPU_JOULES: &str = "run_gpu_energy_joules";
/// The same of the processor, where the machine tells it.
pub const RUN_CPU_JOULES: &str = "run_cpu_energy_joules";
/// Why a GPU's clocks are held down: words of [`throttle_words`] with spaces between, `none`, or empty
/// where the driver does not tell.
pub const THROTTLE: &str = "throttle_reasons";
/// Numbers of the processes that compute on a GPU, each with its bytes behind a colon where known.
pub const PROCESSES: &str = "processes";
/// The driver's number for an error of the GPU, in the first row after it.
pub const XID: &str = "xid_code";
/// 1 in rows in which the GPU did not answer any more.
pub const LOST: &str = "lost";

/// Whether a column holds words instead of numbers.
pub fn holds_words(column: &str) -> bool {
    column.ends_with(THROTTLE) || column.ends_with(PROCESSES)
}

/// What a run has used so far. A value that nothing measures is absent, never zero.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Energy {
    pub gpu_joules: Option<f64>,
    pub cpu_joules: Option<f64>,
}

impl Energy {
    pub fn total_joules(&self) -> Option<f64> {
        match (self.gpu_joules, self.cpu_joules) {
            (None, None) => None,
            (gpu, cpu) => Some(gpu.unwrap_or(0.0) + cpu.unwrap_or(0.0)),
        }
    }

    /// As the rows of a table say it.
    pub fn of(table: &Metrics) -> Energy {
        let last = |name| table.column(name).and_then(|column| column.last());
        Energy { gpu_joules: last(RUN_GPU_JOULES), cpu_joules: last(RUN_CPU_JOULES) }
    }

    /// As the end of a table says it; reads no more than that and the header.
    pub fn read(path: &Path) -> Energy {
        ends(path, END_BYTES).map(|table| Energy::of(&table)).unwrap_or_default()
    }
}

/// Bytes of the end that are read: many rows.
const END_BYTES: u64 = 8192;

/// A table's header and the whole rows in its last `end_bytes`.
///
/// # Errors
/// There is no such file, or it cannot be read.
pub fn ends(path: &Path, end_bytes: u64) -> std::io::Result<Metrics> {
    let mut file = read::open(path)?;
    let length = file.metadata()?.len();
    let mut header = part(&mut file, 0, end_bytes)?;
    if length <= end_bytes {
        let mut table = Metrics::default();
        table.extend(&header);
        return Ok(table);
    }
    let end = part(&mut file, length - end_bytes, end_bytes)?;
    let after_newline = |bytes: &[u8]| bytes.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    header.truncate(after_newline(&header));
    header.extend(&end[after_newline(&end)..]);
    let mut table = Metrics::default();
    table.extend(&header);
    Ok(table)
}

fn part(file: &mut File, from: u64, length: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(from))?;
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What a reason for lower clocks means for who reads the page; none for `idle` and `none`, which slow
/// nothing down.
pub fn throttle_words(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "idle" | "none" => return None,
        "application-clocks" => "clocks set by hand",
        "power-cap" => "at its power limit",
        "hardware-slowdown" => "slowed down by its hardware",
        "sync-boost" => "in step with another GPU",
        "thermal" => "too warm",
        "hardware-thermal" => "so warm that its hardware halved the clocks",
        "power-brake" => "braked by the power supply",
        "display-clocks" => "clocks set for a display",
        _ => "for another reason",
    })
}

/// Whether a reason for lower clocks means that the GPU is in trouble, and is neither at the power that it
/// is meant to take nor as somebody set it.
pub fn is_distress(reason: &str) -> bool {
    matches!(reason, "thermal" | "hardware-thermal" | "hardware-slowdown" | "power-brake")
}

/// What the driver's number for a GPU's error means, of those that people meet (NVIDIA's list of XID
/// errors); the others have their number alone.
pub fn xid_words(code: u64) -> &'static str {
    match code {
        13 => "a program made an error on the GPU",
        31 => "a program touched GPU memory that is not its own",
        32 => "the driver was given damaged commands",
        43 => "the GPU stopped working for a program",
        45 => "a program was ended on the GPU, often after another error",
        48 => "GPU memory is damaged: a double bit error",
        61 | 62 => "the GPU's own controller broke off",
        63 | 64 => "GPU memory was mapped around damage",
        74 => "an error on NVLink",
        79 => "it has fallen off the bus",
        92 | 94 => "errors of GPU memory that were contained",
        95 => "errors of GPU memory that were not contained",
        119 | 120 => "the GPU's system processor does not answer",
        _ => "an error that the driver's log tells more about",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    #[test]
    fn the_energy_of_a_run_stands_in_its_last_rows_however_long_the_table_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("telemetry.csv");
        let mut text = format!("time,gpu_{THROTTLE},{RUN_GPU_JOULES},{RUN_CPU_JOULES}\n");
        assert_eq!(Energy::read(&path), Energy::default(), "no file");
        for row in 0..3000 {
            writeln!(text, "{row},power-cap thermal,{},", row * 10).unwrap();
            if row % 700 == 5 {
                std::fs::write(&path, &text).unwrap();
                let energy = Energy::read(&path);
                assert_eq!(energy.gpu_joules, Some(f64::from(row * 10)));
                assert_eq!(energy.cpu_joules, None, "what nothing measures is absent");
            }
        }
    }

    #[test]
    fn words_in_a_table_are_no_damage() {
        let mut table = Metrics::default();
        table.extend(
            b"time,gpu_throttle_reasons,gpu_processes,gpu_use_percent\n1,power-cap,7:512 9:,50\n2,,,60\n",
        );
        assert_eq!((table.rows, table.bad.len()), (2, 0));
        assert_eq!(table.column("gpu_throttle_reasons").unwrap().words, [(0, "power-cap".to_owned())]);
        assert_eq!(table.column("gpu_use_percent").unwrap().values, [50.0, 60.0]);
    }
}
