//! The fake worker's probe, and the memory it pretends to hold on a GPU: a file for each process in the
//! folder that `NVML_STUB` names, which the stand-in for NVIDIA's library reads.

use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;

use overnight::run_dir::records::{Device, ProbeOrders, ProbeResult, Start, exit};

/// Answers at once, then waits until nobody holds its standard input.
pub fn probe(orders: &str) -> i32 {
    let Ok(ProbeOrders { start, .. }) = serde_json::from_str::<ProbeOrders>(orders) else {
        eprintln!("fake-worker: these are no orders: {orders}");
        return exit::FAILED;
    };
    match std::env::var("FAKE_PROBE").as_deref() {
        Ok("fail") => {
            eprintln!("fake-worker: told to fail");
            return exit::FAILED;
        }
        Ok("silent") => {
            drop(std::io::stdin().read_to_end(&mut Vec::new()));
            return exit::FINISHED;
        }
        Ok("out-of-memory") => return exit::OUT_OF_DEVICE_MEMORY,
        _ => {}
    }
    let held = GpuMemory::hold(&start);
    let result = ProbeResult {
        steps_per_second: rate(start.threads),
        steps: 10,
        seconds: 0.1,
        peak_device_bytes: held.as_ref().map(|held| held.bytes / 2),
        process_memory_bytes: 1 << 20,
    };
    println!("{}", serde_json::to_string(&result).unwrap());
    std::io::stdout().flush().unwrap();
    drop(std::io::stdin().read_to_end(&mut Vec::new()));
    exit::FINISHED
}

/// So much for each thread that every division of the processor is as fast as any other.
fn rate(threads: u32) -> f64 {
    let rates = std::env::var("FAKE_RATES").unwrap_or_default();
    let mut entries = rates.split(',').filter_map(|entry| entry.split_once(':'));
    let said = entries.find(|(of, _)| of.parse() == Ok(threads)).and_then(|(_, rate)| rate.parse().ok());
    said.unwrap_or(100.0 * f64::from(threads))
}

/// Memory that this process holds of a GPU, as the stand-in is told.
pub struct GpuMemory {
    path: PathBuf,
    pub bytes: u64,
}

impl GpuMemory {
    /// Of the GPU in these orders, where the environment says that it holds any.
    pub fn hold(start: &Start) -> Option<GpuMemory> {
        let Device::Cuda { uuid, .. } = &start.device else { return None };
        let folder = PathBuf::from(std::env::var_os("NVML_STUB")?).join(uuid);
        let mib: u64 = std::env::var("FAKE_GPU_MIB").ok()?.parse().ok()?;
        let (path, bytes) = (folder.join(std::process::id().to_string()), mib << 20);
        // Whole at once: the stand-in may be reading.
        let building = folder.join(format!(".{}", std::process::id()));
        fs::create_dir_all(&folder).ok()?;
        fs::write(&building, bytes.to_string()).ok()?;
        fs::rename(&building, &path).ok()?;
        Some(GpuMemory { path, bytes })
    }
}

impl Drop for GpuMemory {
    fn drop(&mut self) {
        // A driver that takes its time: the memory is still counted, and belongs to no process.
        let late = self.path.with_file_name(format!("late-{}", std::process::id()));
        drop(match std::env::var_os("FAKE_GPU_LATE") {
            Some(_) => fs::rename(&self.path, late),
            None => fs::remove_file(&self.path),
        });
    }
}
