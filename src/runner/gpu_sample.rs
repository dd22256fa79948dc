//! What one GPU did at one moment, as NVIDIA's management library tells it.

use nvml_wrapper::Device;
use nvml_wrapper::Nvml;
use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::{Clock, TemperatureSensor};
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::device::{MemoryInfo, ProcessInfo};

use super::devices::memory::{DeviceMemory, steady};

/// A value that the driver does not know is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GpuSample {
    pub use_percent: Option<f64>,
    pub memory_bytes: Option<u64>,
    /// Who holds it, where the driver tells how much there is.
    pub memory: Option<DeviceMemory>,
    pub temperature_celsius: Option<f64>,
    pub power_watts: Option<f64>,
    /// Since the driver was loaded.
    pub energy_joules: Option<f64>,
    /// Of the multiprocessors.
    pub clock_mhz: Option<f64>,
    pub memory_clock_mhz: Option<f64>,
    /// Why the clocks are held down, in the words of `telemetry.csv`; empty when nothing does.
    pub throttle: Option<Vec<&'static str>>,
    /// Everybody's processes that compute on it. In a container their numbers may be those of the host.
    pub processes: Option<Vec<GpuProcess>>,
    /// It does not answer any more: it fell off the bus, or needs a reset.
    pub lost: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuProcess {
    pub process: u32,
    pub memory_bytes: Option<u64>,
}

impl GpuSample {
    /// Reads one GPU's gauges; an unknown one gives an empty sample.
    pub fn read(nvml: &Nvml, uuid: &str) -> GpuSample {
        match nvml.device_by_uuid(uuid) {
            Ok(device) => Gauges { device, lost: false }.read(),
            Err(error) => GpuSample { lost: is_lost(&error), ..GpuSample::default() },
        }
    }
}

/// How much memory there is, and who computes on it.
type Holders = (Option<MemoryInfo>, Option<Vec<GpuProcess>>);

/// A GPU that is asked for one thing after the other.
struct Gauges<'nvml> {
    device: Device<'nvml>,
    lost: bool,
}

impl<'nvml> Gauges<'nvml> {
    fn read(mut self) -> GpuSample {
        let milli = |value: u32| known_u32(value).map(|value| f64::from(value) / 1e3);
        let number = |value: u32| known_u32(value).map(f64::from);
        let (memory, processes) = steady(|| self.holders());
        let held = |process: &GpuProcess| Some((process.process, process.memory_bytes?));
        let sample = GpuSample {
            use_percent: self.ask(Device::utilization_rates).and_then(|rates| percent(rates.gpu)),
            memory_bytes: memory.as_ref().and_then(|memory| known_u64(memory.used)),
            memory: memory.map(|memory| DeviceMemory {
                total: memory.total,
                free: memory.free,
                processes: processes.iter().flatten().filter_map(held).collect(),
            }),
            temperature_celsius: self
                .ask(|device| device.temperature(TemperatureSensor::Gpu))
                .and_then(number),
            power_watts: self.ask(Device::power_usage).and_then(milli),
            energy_joules: self
                .ask(Device::total_energy_consumption)
                .and_then(known_u64)
                .map(|millijoules| millijoules as f64 / 1e3),
            clock_mhz: self.ask(|device| device.clock_info(Clock::SM)).and_then(number),
            memory_clock_mhz: self.ask(|device| device.clock_info(Clock::Memory)).and_then(number),
            throttle: self.ask(Device::current_throttle_reasons).map(words),
            processes,
            lost: false,
        };
        // What it said before it went is nothing to count on.
        if self.lost { GpuSample { lost: true, ..GpuSample::default() } } else { sample }
    }

    /// What was free before its processes were asked for and after, with the memory and the processes.
    fn holders(&mut self) -> (Option<u64>, Option<u64>, Holders) {
        let before = self.ask(Device::memory_info).map(|memory| memory.free);
        let processes = self.ask(Device::running_compute_processes).map(|processes| {
            let process = |process: ProcessInfo| GpuProcess {
                process: process.pid,
                memory_bytes: match process.used_gpu_memory {
                    UsedGpuMemory::Used(bytes) => known_u64(bytes),
                    UsedGpuMemory::Unavailable => None,
                },
            };
            processes.into_iter().map(process).collect::<Vec<GpuProcess>>()
        });
        let memory = self.ask(Device::memory_info);
        (before, memory.as_ref().map(|memory| memory.free), (memory, processes))
    }

    /// One answer. A GPU that is lost is asked nothing more: each question may take its time.
    fn ask<T>(&mut self, question: impl FnOnce(&Device<'nvml>) -> Result<T, NvmlError>) -> Option<T> {
        if self.lost {
            return None;
        }
        let answer = question(&self.device);
        self.lost = answer.as_ref().is_err_and(is_lost);
        answer.ok()
    }
}

fn is_lost(error: &NvmlError) -> bool {
    matches!(error, NvmlError::GpuLost)
}

fn words(reasons: ThrottleReasons) -> Vec<&'static str> {
    let known = [
        (ThrottleReasons::GPU_IDLE, "idle"),
        (ThrottleReasons::APPLICATIONS_CLOCKS_SETTING, "application-clocks"),
        (ThrottleReasons::SW_POWER_CAP, "power-cap"),
        (ThrottleReasons::HW_SLOWDOWN, "hardware-slowdown"),
        (ThrottleReasons::SYNC_BOOST, "sync-boost"),
        (ThrottleReasons::SW_THERMAL_SLOWDOWN, "thermal"),
        (ThrottleReasons::HW_THERMAL_SLOWDOWN, "hardware-thermal"),
        (ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN, "power-brake"),
        (ThrottleReasons::DISPLAY_CLOCK_SETTING, "display-clocks"),
    ];
    known.into_iter().filter(|(reason, _)| reasons.contains(*reason)).map(|(_, word)| word).collect()
}

/// NVML answers "not known" with the largest number of the type, on some devices also after
/// success.
fn known_u32(value: u32) -> Option<u32> {
    (value != u32::MAX).then_some(value)
}

fn known_u64(value: u64) -> Option<u64> {
    (value != u64::MAX && value != u64::from(u32::MAX)).then_some(value)
}

fn percent(value: u32) -> Option<f64> {
    (value <= 100).then(|| f64::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_mean_unknown_are_dropped() {
        assert_eq!(known_u32(u32::MAX), None);
        assert_eq!(known_u64(u64::MAX), None);
        assert_eq!(known_u64(17), Some(17));
        assert_eq!(percent(101), None);
        assert_eq!(percent(100), Some(100.0));
    }

    #[test]
    fn every_reason_for_lower_clocks_has_its_word_and_its_meaning() {
        let all = words(ThrottleReasons::all());
        assert_eq!(all.len(), 9);
        let meant = all.iter().filter(|word| crate::run_dir::telemetry::throttle_words(word).is_some());
        assert_eq!(meant.count(), 8, "idle slows nothing down");
        assert_eq!(words(ThrottleReasons::empty()), [""; 0]);
    }
}
