//! Warns of models that cannot be held in memory, before an allocator says so in its own words.

use std::path::PathBuf;

use crate::queue::{Checked, size};
use crate::run_dir::machine;
use crate::runner::devices::Devices;
use crate::say;

/// Whatever takes no more fits on any GPU, so that none has to be asked. Bytes.
const ANY_GPU: u64 = 1 << 30;

/// A sentence for each experiment of which a run cannot fit: its largest.
pub fn warnings(checked: &[Checked]) -> Vec<String> {
    let machine = machine::memory_bytes();
    // Asked at most once, and only where a run may want a GPU: the driver takes its time.
    let gpu = std::cell::LazyCell::new(|| {
        Devices::find().gpus().iter().map(|gpu| gpu.memory_bytes).max().filter(|bytes| *bytes > 0)
    });
    checked.iter().filter_map(|good| warning(good, machine, &|| *gpu)).collect()
}

/// `machine` and `gpu` are bytes, where they are known.
fn warning(good: &Checked, machine: Option<u64>, gpu: &dyn Fn() -> Option<u64>) -> Option<String> {
    let runs = good.experiment.runs.iter().zip(&good.facts);
    let (run, facts) = runs.max_by_key(|(run, facts)| size::training_bytes(&run.settings, facts))?;
    let settings = &run.settings;
    let needed = size::training_bytes(settings, facts);
    if settings.resources.device != "cpu" && needed <= ANY_GPU {
        return None;
    }
    let (place, there) = match settings.resources.device.as_str() {
        "cpu" => ("this machine", machine?),
        "auto" => gpu().map_or(("this machine", machine?), |bytes| ("the largest GPU here", bytes)),
        // None here: another machine may have it, and the run is held on this one.
        _ => ("the largest GPU here", gpu()?),
    };
    if needed <= there {
        return None;
    }
    let file: PathBuf = good.experiment.file().to_owned();
    let parameters = size::parameters(settings, facts);
    let (count, takes) = match parameters {
        u64::MAX => ("more parameters than can be counted".to_owned(), "more than there is".to_owned()),
        count => (format!("{} parameters", say::count(count)), say::bytes(needed)),
    };
    Some(format!(
        "{}: a model of {count} takes {takes} with its gradients and optimizer, and {place} has {} (lower {})",
        file.display(),
        say::bytes(there),
        size::largest_setting(settings)
    ))
}
