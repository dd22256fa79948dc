//! Files that lie beside a run's page: its tables, its log where the page holds only the end, its images.

use std::io;

use super::files::RunFiles;
use super::run_page::log;
use super::site::Site;
use crate::run_dir::{read, step_name};

/// Brings them up to the run's own; says which were written, below `reports/`. A log that is known to be
/// there as it is costs nothing.
///
/// # Errors
/// Any error of the file system, with the path.
pub fn publish(site: &Site, files: &RunFiles, folder: &str, log_is_copied: bool) -> io::Result<Vec<String>> {
    let dir = files.dir();
    let mut written = Vec::new();
    for (name, original) in [("metrics.csv", dir.metrics()), ("telemetry.csv", dir.telemetry())] {
        let below = format!("{folder}/{name}");
        if site.follow(&original, &below)? {
            written.push(below);
        }
    }
    let mut publish = |below: String, bytes: &[u8]| -> io::Result<()> {
        if site.publish(&below, bytes)? {
            written.push(below);
        }
        Ok(())
    };
    if log::has_more(files) && !log_is_copied {
        for (name, bytes) in log::beside(dir) {
            publish(format!("{folder}/{name}"), &bytes)?;
        }
    }
    for sample in &files.samples {
        if let Ok(bytes) = read::bytes(&dir.sample_png(sample.step)) {
            publish(format!("{folder}/samples/{}.png", step_name(sample.step)), &bytes)?;
        }
    }
    Ok(written)
}
