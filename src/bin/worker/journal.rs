//! The files that tell what a run did: rows of metrics, events, the log.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};

use overnight::run_dir::records::{Event, What};
use overnight::run_dir::write::{self, Durability};
use overnight::run_dir::{RunDir, metrics, scan};

/// Writes all of them. What fails is an error of the run.
pub struct Journal {
    run: RunDir,
    attempt: u32,
    columns: Vec<&'static str>,
    metrics: metrics::Writer,
    log: File,
}

impl Journal {
    /// Goes on after the first `keep` bytes of `metrics.csv`, or begins it.
    pub fn open(
        run: &RunDir,
        columns: Vec<&'static str>,
        keep: Option<u64>,
        attempt: u32,
    ) -> io::Result<Journal> {
        let metrics = metrics::Writer::open(&run.metrics(), &columns, keep)?;
        let path = run.train_log();
        let log = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)
            .map_err(|error| write::at(&path, error))?;
        Ok(Journal { run: run.clone(), attempt, columns, metrics, log })
    }

    /// Appends a row: cells by column name, the others empty.
    pub fn row(&mut self, cells: &[(&str, f64)]) -> io::Result<()> {
        let value = |column: &&str| cells.iter().find(|(name, _)| name == column).map(|(_, value)| *value);
        let row: Vec<Option<f64>> = self.columns.iter().map(value).collect();
        self.metrics.row(&row).map_err(|error| write::at(&self.run.metrics(), error))
    }

    /// Makes the rows so far survive a power cut, and says how many bytes they are.
    pub fn sync_metrics(&self) -> io::Result<u64> {
        self.metrics.sync().map_err(|error| write::at(&self.run.metrics(), error))?;
        Ok(self.metrics.length())
    }

    pub fn event(&self, step: u64, what: What) -> io::Result<()> {
        append_event(&self.run, self.attempt, step, what)
    }

    /// A line for people, in `train.log` and on a terminal.
    pub fn say(&mut self, text: &str) -> io::Result<()> {
        let line = format!("{}  {text}\n", jiff::Zoned::now().strftime("%Y-%m-%d %H:%M:%S"));
        if io::stdout().is_terminal() {
            // A terminal that went away is no reason to end a run.
            let _ = io::stdout().write_all(line.as_bytes());
        }
        self.log.write_all(line.as_bytes()).map_err(|error| write::at(&self.run.train_log(), error))
    }
}

/// Appends to `events.jsonl`, also while no journal is open.
pub fn append_event(run: &RunDir, attempt: u32, step: u64, what: What) -> io::Result<()> {
    write::append_line(
        &run.events(),
        &Event { time: scan::now(), attempt, step, what },
        Durability::Rebuildable,
    )
}

/// A value as short as the fp32 it came from: seven digits, where an f64 would write seventeen.
pub fn fp32(value: f64) -> f64 {
    (value as f32).to_string().parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::fp32;

    #[test]
    fn values_are_written_with_the_digits_they_have() {
        assert_eq!(fp32(f64::from(1.9_f32)).to_string(), "1.9");
        assert!(fp32(f64::NAN).is_nan());
        assert_eq!(fp32(f64::NEG_INFINITY), f64::NEG_INFINITY);
    }
}
