//! Takes steps again, in the same process form as a training: a worker of its own with the orders of the
//! attempt that took them first, on a device of the same kind.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::process::{Pid, setpriority_process};

use super::VerifyError;
use super::plan::Stretch;
use crate::run_dir::records::{Attempt, Device, Event, Start, What, exit};
use crate::run_dir::write::{Durability, append_line};
use crate::run_dir::{RunDir, lock, machine, read, scan};
use crate::runner::child;
use crate::runner::devices::Gpu;
use crate::runner::interrupt::Interrupts;
use crate::runner::program::Program;
use crate::say;

/// How much the processor prefers trainings.
const NICENESS: i32 = 10;
/// As much of its standard error as is looked at for its last words.
const LAST_WORDS_BYTES: u64 = 4096;

/// The device to replay on what was trained on `recorded`.
///
/// # Errors
/// There is no GPU, in words.
pub fn device(recorded: &Device, gpus: &[Gpu], cpu_name: &str) -> Result<Device, String> {
    let Device::Cuda { uuid, name, .. } = recorded else {
        return Ok(Device::Cpu { name: cpu_name.to_owned() });
    };
    let is_same = gpus.iter().find(|gpu| gpu.uuid == *uuid);
    let is_alike = || gpus.iter().find(|gpu| gpu.name == *name);
    match is_same.or_else(is_alike).or(gpus.first()) {
        Some(gpu) => Ok(Device::Cuda {
            uuid: gpu.uuid.clone(),
            name: gpu.name.clone(),
            driver: gpu.driver.clone(),
            index: gpu.index,
        }),
        None => Err(format!("it was trained on {name}, and no GPU is here now")),
    }
}

/// Takes the steps of `stretch` again in `scratch`, whose checkpoint of `stretch.from` is there.
///
/// # Errors
/// The worker cannot be started or did not get there, or a signal came: then it is killed.
pub async fn replay(
    scratch: &RunDir,
    program: &Program,
    stretch: &Stretch,
    device: Device,
    interrupts: &mut Interrupts,
) -> Result<(), VerifyError> {
    let start = Start {
        time: scan::now(),
        batch: Some("verify".to_owned()),
        host: scan::host(),
        boot: machine::boot_id().to_owned(),
        device,
        libtorch: program.libtorch.clone(),
        checkpoint: (stretch.from > 0).then_some(stretch.from),
        why: format!("to verify steps {} to {}", stretch.from, stretch.to),
        ..stretch.orders.clone()
    };
    append_line(&scratch.attempts(), &Attempt::Start(start.clone()), Durability::Rebuildable)?;
    let held = lock::try_lock(&scratch.alive_lock())?
        .ok_or_else(|| VerifyError::NotNow("somebody is at work in its scratch folder".to_owned()))?;
    let mut command = program.train(scratch, &start);
    command.arg("--until").arg(stretch.to.to_string());
    let (mut child, handle) = child::spawn(command, held, &scratch.stderr_log())?;
    // The bits do not depend on it, and trainings come first.
    let _ = setpriority_process(Pid::from_raw(handle.process as i32), NICENESS);
    let status = tokio::select! {
        status = child.wait() => status?,
        _ = interrupts.next() => {
            handle.kill()?;
            child.wait().await?;
            return Err(VerifyError::Interrupted);
        }
    };
    match status.code() {
        Some(exit::FINISHED | exit::ENDED_AS_ASKED) => Ok(()),
        _ => Err(VerifyError::NotNow(format!("the replay came to no end: {}", last_words(scratch, status)))),
    }
}

fn last_words(scratch: &RunDir, status: ExitStatus) -> String {
    let events = read::lines::<Event>(&scratch.events()).map(|lines| lines.records).unwrap_or_default();
    let failed = events.into_iter().rev().find_map(|event| match event.what {
        What::Failed { message, .. } => Some(message),
        _ => None,
    });
    let stderr = read::tail(&scratch.stderr_log(), LAST_WORDS_BYTES);
    let said = stderr.lines().rev().map(str::trim).find(|line| !line.is_empty());
    let end = match (status.signal(), status.code()) {
        (Some(signal), _) => format!("killed by {}", say::signal(signal)),
        (None, code) => format!("exit code {}", code.unwrap_or_default()),
    };
    failed.unwrap_or_else(|| match said {
        Some(said) => format!("{end}; its last words: {said}"),
        None => end,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpu(index: u32, uuid: &str, name: &str) -> Gpu {
        Gpu {
            index,
            uuid: uuid.into(),
            name: name.into(),
            driver: "580".into(),
            memory_bytes: 0,
            has_bf16: true,
        }
    }

    #[test]
    fn a_replay_goes_to_the_same_gpu_or_one_like_it() {
        let recorded = Device::Cuda { uuid: "b".into(), name: "H100".into(), driver: "570".into(), index: 7 };
        let chosen = |gpus: &[Gpu]| {
            device(&recorded, gpus, "a processor").map(|device| match device {
                Device::Cuda { index, .. } => index,
                Device::Cpu { .. } => panic!("a run of a GPU is not replayed on the processor"),
            })
        };
        let (a100, h100) = (gpu(0, "a", "A100"), gpu(1, "c", "H100"));
        assert_eq!(chosen(&[a100.clone(), h100.clone(), gpu(2, "b", "H100")]), Ok(2));
        assert_eq!(chosen(&[a100.clone(), h100]), Ok(1));
        assert_eq!(chosen(std::slice::from_ref(&a100)), Ok(0), "another model may differ, and then says so");
        assert!(chosen(&[]).unwrap_err().contains("trained on H100"));
        let cpu = Device::Cpu { name: "an older processor".into() };
        let here = device(&cpu, &[a100], "a processor").unwrap();
        assert_eq!(here, Device::Cpu { name: "a processor".into() });
    }
}
