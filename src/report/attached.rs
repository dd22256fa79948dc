//! Files that lie beside a run's page: its tables, its log where the page holds only the end, its images.

use std::fs;
use std::io::{self, Read};

use super::files::RunFiles;
use super::run_page::log;
use super::site::Site;
use crate::run_dir::{RunDir, read, step_name};

/// Bytes that a sheet of sample images may have.
const MOST_OF_SHEET: u64 = 8 << 20;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// The images of a sample, where there are any that can be shown.
pub fn sheet(dir: &RunDir, step: u64) -> Option<Vec<u8>> {
    if !has_sheet(dir, step) {
        return None;
    }
    read::bounded(&dir.sample_png(step), MOST_OF_SHEET).ok().filter(|bytes| bytes.starts_with(PNG))
}

/// Whether a sample has images that can be shown.
pub fn has_sheet(dir: &RunDir, step: u64) -> bool {
    let path = dir.sample_png(step);
    let begins = || -> io::Result<bool> {
        // A link may lead to what was never meant to be shown, in runs that came from elsewhere.
        if fs::symlink_metadata(&path)?.is_symlink() {
            return Ok(false);
        }
        let mut file = read::open(&path)?;
        let mut begin = [0; PNG.len()];
        file.read_exact(&mut begin)?;
        Ok(begin == PNG && file.metadata()?.len() <= MOST_OF_SHEET)
    };
    begins().unwrap_or(false)
}

/// Brings them up to the run's own; says which were written, below `reports/`. A log that is known to be
/// there as it is costs nothing.
///
/// # Errors
/// Any error of the file system, with the path.
pub fn publish(site: &Site, files: &RunFiles, folder: &str, log_is_copied: bool) -> io::Result<Vec<String>> {
    let dir = files.dir();
    let mut written = Vec::new();
    let tables = [
        ("metrics.csv", dir.metrics()),
        ("telemetry.csv", dir.telemetry()),
        ("distributions.csv", dir.distributions()),
    ];
    for (name, original) in tables {
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
        if let Some(bytes) = sheet(dir, sample.step) {
            publish(format!("{folder}/samples/{}.png", step_name(sample.step)), &bytes)?;
        }
    }
    Ok(written)
}
