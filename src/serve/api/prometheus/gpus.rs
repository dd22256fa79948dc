//! GPUs as NVIDIA's DCGM exporter tells them, from the runner's own samples.

use super::families::{self as of, Family};
use super::text::Exposition;
use crate::run_dir::records::{Batch, BatchGpu};
use crate::serve::api::batch::Machine;

/// Each family with its column and what its unit is in the column's.
const COLUMNS: [(&Family, &str, f64); 7] = [
    (&of::GPU_UTIL, "use_percent", 1.0),
    (&of::FB_USED, "memory_bytes", 1.0 / MIB),
    (&of::GPU_TEMP, "temperature_celsius", 1.0),
    (&of::POWER, "power_watts", 1.0),
    (&of::ENERGY, "energy_joules", 1e3),
    (&of::SM_CLOCK, "clock_mhz", 1.0),
    (&of::MEM_CLOCK, "memory_clock_mhz", 1.0),
];
const MIB: f64 = 1_048_576.0;

pub(super) fn told(text: &mut Exposition, batch: &Batch, machine: &Machine) {
    let gpus = machine.gpus();
    let of_gpu = |index: u32, column: &str| format!("gpu{index}_{column}");
    let known = |index: u32| batch.gpus.iter().find(|gpu| gpu.index == index);
    for (family, column, unit) in COLUMNS {
        for index in &gpus {
            if let Some(value) = machine.value(&of_gpu(*index, column)) {
                one(text, family, batch, *index, value * unit);
            }
        }
    }
    for index in &gpus {
        let used = machine.value(&of_gpu(*index, "memory_bytes"));
        if let Some((gpu, used)) = known(*index).zip(used) {
            one(text, &of::FB_FREE, batch, *index, (gpu.memory_bytes as f64 - used).max(0.0) / MIB);
        }
    }
    for index in &gpus {
        one(text, &of::XID, batch, *index, machine.last(&of_gpu(*index, "xid_code")).unwrap_or(0.0));
    }
}

fn one(text: &mut Exposition, family: &Family, batch: &Batch, index: u32, value: f64) {
    let known: Option<&BatchGpu> = batch.gpus.iter().find(|gpu| gpu.index == index);
    let (number, device) = (index.to_string(), format!("nvidia{index}"));
    let labels = [
        ("gpu", number.as_str()),
        ("UUID", known.map_or("", |gpu| gpu.uuid.as_str())),
        ("device", device.as_str()),
        ("modelName", known.map_or("", |gpu| gpu.name.as_str())),
        ("Hostname", batch.host.as_str()),
    ];
    text.one(family, &labels, value);
}
