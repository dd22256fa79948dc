//! The orders of a worker that a person started: those that the runner would have written, decided by the
//! runner's own functions. Only who starts it differs.

use overnight::run_dir::records::{Attempt, Device, Event, Request, RunRecord, Start};
use overnight::run_dir::stage;
use overnight::run_dir::status::last_start;
use overnight::run_dir::{RunDir, machine, read, scan};
use overnight::runner::attempt::{Place, note_taken, start_line};
use overnight::runner::devices::{Devices, Gpu, cpu_count};
use overnight::runner::preparing::{Unready, text};
use overnight::runner::schedule::{Wish, wish};
use overnight::runner::starting::newest;

use crate::device::LIBTORCH_VERSION;
use crate::failure::Failure;

/// The start line of the next attempt, on this machine.
///
/// # Errors
/// The GPU that the run must have is not here, or its files cannot be read.
pub fn orders(run: &RunDir, record: &RunRecord, attempts: &[Attempt]) -> Result<Start, Failure> {
    let requests = read::lines::<Request>(&run.requests())?.records;
    let events = read::lines::<Event>(&run.events())?.records;
    let devices = Devices::find();
    let before = last_start(attempts);
    let gpus = devices.gpus();
    let wish = wish(&record.settings.resources.device, before, gpus.len());
    let gpu = choose(&wish, gpus, before).map_err(|missing| {
        let absence = devices.absence().map(|why| format!(": {why}")).unwrap_or_default();
        Failure::Orders(format!("{missing}{absence} (`overnight doctor` says more)"))
    })?;
    let (host, boot, cpu_name) = (scan::host(), machine::boot_id(), machine::cpu_name());
    let place = Place {
        batch: None,
        host: &host,
        boot,
        gpu,
        cpu_name: &cpu_name,
        threads: u32::try_from(cpu_count()).unwrap_or(1),
        libtorch: libtorch(before),
        time: scan::now(),
    };
    let mut start = start_line(record, attempts, newest(run, &requests, &events), &place);
    let taken = stage::take(run, record, start.weights.as_deref(), start.checkpoint.is_none());
    note_taken(&mut start, taken.map_err(|error| Failure::Orders(error.to_string()))?);
    let taken = text::take(run, record, before.map(|start| &start.text[..]));
    start.text = taken.map_err(|error| match error {
        Unready::Held(why) => Failure::Orders(why),
        Unready::Io(error) => Failure::Write(error),
    })?;
    start.why += "; started by hand";
    Ok(start)
}

/// The GPU to take; none is the processor.
fn choose<'a>(wish: &Wish, gpus: &'a [Gpu], before: Option<&Start>) -> Result<Option<&'a Gpu>, String> {
    let same = before.and_then(|start| match &start.device {
        Device::Cuda { uuid, .. } => gpus.iter().find(|gpu| gpu.uuid == *uuid),
        Device::Cpu { .. } => None,
    });
    match wish {
        Wish::Cpu => Ok(None),
        Wish::AnyGpu => gpus.first().map(Some).ok_or_else(|| "there is no GPU here".to_owned()),
        Wish::Gpu(position) => {
            gpus.get(*position).map(Some).ok_or_else(|| format!("there is no GPU {position} here"))
        }
        Wish::Model(name) => same
            .or_else(|| gpus.iter().find(|gpu| gpu.name == *name))
            .map(Some)
            .ok_or_else(|| format!("the run was begun on {name}, and there is none here")),
    }
}

/// Our version, with the local part that the runner wrote before: which build is loaded is not known here.
fn libtorch(before: Option<&Start>) -> &str {
    let recorded = before.map(|start| start.libtorch.as_str());
    recorded.filter(|known| known.split('+').next() == Some(LIBTORCH_VERSION)).unwrap_or(LIBTORCH_VERSION)
}

#[cfg(test)]
mod tests {
    use super::*;
    use overnight::experiment::settings::Precision;

    fn gpu(uuid: &str, name: &str) -> Gpu {
        Gpu {
            index: 0,
            uuid: uuid.into(),
            name: name.into(),
            driver: "580".into(),
            memory_bytes: 0,
            has_bf16: false,
        }
    }

    fn began_on(device: Device) -> Start {
        Start {
            attempt: 1,
            time: 0.0,
            batch: None,
            host: String::new(),
            boot: String::new(),
            device,
            precision: Precision::Fp32,
            threads: 1,
            micro_batch: 1,
            accumulate: 1,
            libtorch: "2.11.0+cu130".into(),
            checkpoint: None,
            weights: None,
            text: Vec::new(),
            data: None,
            why: String::new(),
        }
    }

    #[test]
    fn the_gpu_is_the_one_that_the_runner_would_take() {
        let gpus = [gpu("a", "V100"), gpu("b", "H100"), gpu("c", "H100")];
        let began = |uuid: &str, name: &str| {
            began_on(Device::Cuda { uuid: uuid.into(), name: name.into(), driver: String::new(), index: 7 })
        };
        let chosen = |device: &str, before: Option<&Start>, gpus: &[Gpu]| {
            choose(&wish(device, before, gpus.len()), gpus, before)
                .map(|gpu| gpu.map_or_else(|| "cpu".to_owned(), |gpu| gpu.uuid.clone()))
        };
        assert_eq!(chosen("auto", None, &gpus), Ok("a".into()));
        assert_eq!(chosen("auto", None, &[]), Ok("cpu".into()));
        assert_eq!(chosen("cuda:1", None, &gpus), Ok("b".into()));
        assert_eq!(chosen("auto", Some(&began("c", "H100")), &gpus), Ok("c".into()));
        assert_eq!(chosen("auto", Some(&began("x", "H100")), &gpus), Ok("b".into()));
        let on_cpu = began_on(Device::Cpu { name: "a processor".into() });
        assert_eq!(chosen("auto", Some(&on_cpu), &gpus), Ok("cpu".into()));
        for (device, before) in [("cuda", None), ("cuda:3", None), ("auto", Some(&began("x", "A100")))] {
            assert!(chosen(device, before, &[]).unwrap_err().contains("here"), "{device}");
        }
    }

    #[test]
    fn the_build_of_libtorch_that_the_runner_named_is_repeated_when_it_is_our_version() {
        let before = began_on(Device::Cpu { name: String::new() });
        assert_eq!(libtorch(Some(&before)), "2.11.0+cu130");
        assert_eq!(libtorch(None), LIBTORCH_VERSION);
        let older = Start { libtorch: "2.6.0".into(), ..before };
        assert_eq!(libtorch(Some(&older)), LIBTORCH_VERSION);
    }
}
