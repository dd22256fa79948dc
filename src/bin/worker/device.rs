//! Makes the device of an attempt ready, before the first tensor.

use overnight::run_dir::records::{self, Start};
use tch::{Cuda, Device};

use crate::failure::Failure;
use crate::torch_ext;

/// The libtorch this worker was built for.
pub const LIBTORCH_VERSION: &str = "2.11.0";

/// Loads what the device needs, sets thread counts and allows only algorithms that give the same bits
/// each time. There is no falling back: a device that was asked for and is not there is an error.
pub fn prepare(start: &Start) -> Result<Device, Failure> {
    tch::set_num_threads(start.threads.max(1) as i32);
    tch::set_num_interop_threads(1);
    let device = match &start.device {
        records::Device::Cpu { .. } => Device::Cpu,
        records::Device::Cuda { uuid, index, .. } => {
            torch_ext::load_cuda().map_err(|error| {
                let why = error.to_string();
                let why = why.lines().next().unwrap_or_default();
                Failure::Orders(format!(
                    "libtorch's CUDA part does not load: {why} (`scripts/libtorch --cuda` fetches one that does)"
                ))
            })?;
            // The worker is shown one GPU, by its UUID.
            let index = if uuid.is_empty() { *index as usize } else { 0 };
            let count = Cuda::device_count();
            if index as i64 >= count {
                return Err(Failure::Orders(format!(
                    "libtorch sees {count} GPUs, and number {index} was asked for (look at the driver with `overnight doctor`)"
                )));
            }
            Device::Cuda(index)
        }
    };
    torch_ext::set_deterministic(true)?;
    Ok(device)
}

/// Lets CUDA see this device alone, as the runner does for the workers that it starts.
pub fn show_only(device: &records::Device) {
    let visible = match device {
        records::Device::Cpu { .. } => "",
        records::Device::Cuda { uuid, .. } => uuid,
    };
    // Sound because no other thread reads the environment yet: CUDA is loaded after this.
    unsafe { std::env::set_var("CUDA_VISIBLE_DEVICES", visible) };
}

/// The variables that libraries read when they are loaded, where the runner has not set them: cuBLAS
/// gives the same bits only with a workspace of fixed size.
pub fn set_environment() {
    for (name, value) in [
        ("CUBLAS_WORKSPACE_CONFIG", ":4096:8"),
        ("CUDA_DEVICE_ORDER", "PCI_BUS_ID"),
        ("MKL_DYNAMIC", "FALSE"),
    ] {
        if std::env::var_os(name).is_none() {
            // Sound because no other thread runs yet: this is the first thing that main does.
            unsafe { std::env::set_var(name, value) };
        }
    }
}
