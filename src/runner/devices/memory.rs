//! What a GPU's memory is taken by at one moment, as the driver tells it.

use nvml_wrapper::Device;
use nvml_wrapper::enums::device::UsedGpuMemory;

use super::Devices;

/// So often at most a reading is taken anew that changed under its hand.
const READINGS: u32 = 4;

/// A GPU's memory. Bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceMemory {
    pub total: u64,
    /// What nobody holds, neither processes nor the driver.
    pub free: u64,
    /// Numbers of the processes that compute on it and what each holds, where the driver tells. Inside a
    /// container these numbers are those of the host.
    pub processes: Vec<(u32, u64)>,
}

impl DeviceMemory {
    /// What is held by anybody.
    pub fn held(&self) -> u64 {
        self.total.saturating_sub(self.free)
    }

    pub fn of(&self, process: u32) -> Option<u64> {
        self.processes.iter().find(|(number, _)| *number == process).map(|(_, bytes)| *bytes)
    }
}

impl Devices {
    /// Reads one GPU's memory; none where the driver does not tell it.
    pub fn memory(&self, uuid: &str) -> Option<DeviceMemory> {
        let device = self.nvml.as_ref()?.device_by_uuid(uuid).ok()?;
        steady(|| reading(&device))
    }
}

/// What was free before the processes were asked for, and all of it after.
fn reading(device: &Device) -> Option<(u64, DeviceMemory)> {
    let before = device.memory_info().ok()?.free;
    let processes = device.running_compute_processes().unwrap_or_default();
    let known = processes.into_iter().filter_map(|process| match process.used_gpu_memory {
        UsedGpuMemory::Used(bytes) => Some((process.pid, bytes)),
        UsedGpuMemory::Unavailable => None,
    });
    let after = device.memory_info().ok()?;
    let (total, free) = (after.total, after.free);
    Some((before, DeviceMemory { total, free, processes: known.collect() }))
}

/// The first reading during which nothing changed hands: the driver gives a moment in two answers, and a
/// process that took its memory between them would be counted twice. The last one, where none is steady.
fn steady(mut read: impl FnMut() -> Option<(u64, DeviceMemory)>) -> Option<DeviceMemory> {
    let (mut before, mut memory) = read()?;
    for _ in 1..READINGS {
        if before == memory.free {
            break;
        }
        (before, memory) = read()?;
    }
    Some(memory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_that_changed_under_its_hand_is_taken_anew_some_times() {
        let table = [
            (vec![(14, 14), (9, 9)], Some(14), "nothing changed"),
            (vec![(14, 9), (9, 9), (4, 4)], Some(9), "a process took its memory meanwhile"),
            (vec![(9, 8), (8, 7), (7, 6), (6, 5), (5, 5)], Some(5), "it never rests: the last one counts"),
            (vec![(14, 9)], None, "the driver answers no more"),
            (vec![], None, "the driver does not answer"),
        ];
        for (readings, free, why) in table {
            let mut readings = readings.into_iter();
            let found = steady(|| {
                let (before, free) = readings.next()?;
                Some((before, DeviceMemory { free, ..DeviceMemory::default() }))
            });
            assert_eq!(found.map(|memory| memory.free), free, "{why}");
        }
    }
}
