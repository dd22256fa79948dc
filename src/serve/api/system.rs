//! `/api/v1/system`: the machine as the runner last saw it, and its GPUs.

use schemars::JsonSchema;
use serde::Serialize;

use super::batch::{Machine, Work, holder};
use super::call::{Call, Reply};
use super::problem::Problem;
use super::route::{Access, Route};
use crate::run_dir::records::BatchGpu;
use crate::run_dir::{machine, scan};

pub(super) const ROUTE: Route = Route {
    path: "/api/v1/system",
    name: "getSystem",
    summary: "The machine and its GPUs as the runner last saw them.",
    parameters: &[],
    refusals: &[],
    access: Access::Reader,
    content: &[(super::JSON, |schemas| schemas.subschema_for::<System>())],
    answer,
};

/// The machine that serves, and what the newest batch says of its own.
#[derive(Serialize, JsonSchema)]
struct System {
    host: String,
    processor: String,
    /// What processes here may take.
    memory_bytes: Option<u64>,
    /// Version of overnight.
    version: String,
    runner: Option<Runner>,
    /// The last row of the newest batch's table; null where there is none.
    sample: Option<Sample>,
    gpus: Vec<Gpu>,
}

/// Who works here at this moment.
#[derive(Serialize, JsonSchema)]
struct Runner {
    host: String,
    process: u32,
    /// Unix seconds.
    since: u64,
    batch: String,
}

/// The machine at one moment. What is not known is null.
#[derive(Serialize, JsonSchema)]
struct Sample {
    batch: String,
    host: String,
    /// Unix seconds.
    time: Option<f64>,
    /// Whether it is of the last half minute.
    fresh: bool,
    cpu_percent: Option<f64>,
    memory_bytes: Option<f64>,
    disk_free_bytes: Option<f64>,
    disk_read_bytes: Option<f64>,
    disk_written_bytes: Option<f64>,
    network_received_bytes: Option<f64>,
    network_sent_bytes: Option<f64>,
}

/// A GPU at that moment.
#[derive(Serialize, JsonSchema)]
struct Gpu {
    /// Place in PCI bus order.
    index: u32,
    uuid: Option<String>,
    name: Option<String>,
    driver: Option<String>,
    /// What it has in all.
    total_bytes: Option<u64>,
    use_percent: Option<f64>,
    memory_bytes: Option<f64>,
    temperature_celsius: Option<f64>,
    power_watts: Option<f64>,
    /// Since its driver was loaded.
    energy_joules: Option<f64>,
    clock_mhz: Option<f64>,
    memory_clock_mhz: Option<f64>,
    /// The last error that its driver told by number.
    xid_code: Option<f64>,
    /// Whether it does not answer any more.
    lost: bool,
}

fn answer(call: &Call) -> Result<Reply, Problem> {
    let workspace = &call.api.workspace;
    let work = Work::newest(workspace);
    let machine = work.as_ref().map(Work::machine);
    let runner = holder(workspace).map(|holder| Runner {
        host: holder.host,
        process: holder.process,
        since: holder.since,
        batch: holder.batch,
    });
    let seen = work.as_ref().zip(machine.as_ref());
    Reply::json(&System {
        host: scan::host(),
        processor: machine::cpu_name(),
        memory_bytes: machine::memory_bytes(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        runner,
        sample: seen.map(|(work, machine)| sample(work, machine)),
        gpus: seen.map_or_else(Vec::new, |(work, machine)| {
            machine.gpus().into_iter().map(|index| gpu(index, &work.batch.gpus, machine)).collect()
        }),
    })
}

fn sample(work: &Work, machine: &Machine) -> Sample {
    Sample {
        batch: work.dir.name(),
        host: work.batch.host.clone(),
        time: machine.time(),
        fresh: machine.is_fresh(scan::now()),
        cpu_percent: machine.value("cpu_percent"),
        memory_bytes: machine.value("memory_bytes"),
        disk_free_bytes: machine.value("disk_free_bytes"),
        disk_read_bytes: machine.value("disk_read_bytes"),
        disk_written_bytes: machine.value("disk_written_bytes"),
        network_received_bytes: machine.value("network_received_bytes"),
        network_sent_bytes: machine.value("network_sent_bytes"),
    }
}

fn gpu(index: u32, known: &[BatchGpu], machine: &Machine) -> Gpu {
    let known = known.iter().find(|gpu| gpu.index == index);
    let value = |column: &str| machine.value(&format!("gpu{index}_{column}"));
    Gpu {
        index,
        uuid: known.map(|gpu| gpu.uuid.clone()),
        name: known.map(|gpu| gpu.name.clone()),
        driver: known.map(|gpu| gpu.driver.clone()),
        total_bytes: known.map(|gpu| gpu.memory_bytes),
        use_percent: value("use_percent"),
        memory_bytes: value("memory_bytes"),
        temperature_celsius: value("temperature_celsius"),
        power_watts: value("power_watts"),
        energy_joules: value("energy_joules"),
        clock_mhz: value("clock_mhz"),
        memory_clock_mhz: value("memory_clock_mhz"),
        xid_code: machine.last(&format!("gpu{index}_xid_code")),
        lost: value("lost") == Some(1.0),
    }
}
