//! How a batch begins: what is known by then, and the directory that says so.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc::unbounded_channel;
use tokio::task::JoinSet;

use super::Work;
use crate::run_dir::records::Batch as BatchRecord;
use crate::run_dir::{PROTOCOL, Workspace, machine, scan};
use crate::runner::awake::Awake;
use crate::runner::batch::{Batch, FoundBefore};
use crate::runner::breaker::Breaker;
use crate::runner::devices::{self, Devices};
use crate::runner::division::Processor;
use crate::runner::fresh_report::FreshReport;
use crate::runner::gauges::Gauges;
use crate::runner::gpu_memory::GpuMemories;
use crate::runner::hooks::{self, Hooks};
use crate::runner::interrupt::Ending;
use crate::runner::kernel::MemoryWatch;
use crate::runner::left_out::LeftOut;
use crate::runner::preparing::KnownData;
use crate::runner::program::Program;
use crate::runner::retention::Retention;
use crate::runner::room::Room;
use crate::runner::rota::Rota;
use crate::runner::skips::Skips;
use crate::runner::tracked::Tracked;
use crate::runner::view::View;
use crate::runner::whereabouts::Whereabouts;
use crate::runner::words::Words;
use crate::runner::{Report, RunnerError, RunnerOptions, Selection, descriptors, schedule, tell};

impl<'a> Work<'a> {
    /// The runs are as they stand now.
    ///
    /// # Errors
    /// The batch's directory cannot be written to, or the system lets too few files be open for so many runs.
    pub(super) fn begin(
        workspace: &'a Workspace,
        options: &'a RunnerOptions,
        whereabouts: Whereabouts,
        mut runs: Vec<Tracked>,
        program: Program,
        devices: Devices,
    ) -> Result<Work<'a>, RunnerError> {
        let host = scan::host();
        let on_devices = &options.settings.devices;
        let per_gpu = if on_devices.share { on_devices.runs_per_gpu as usize } else { 1 };
        let cores = devices::cpu_count();
        let slots = schedule::slots(options.slots, devices.gpus().len(), cores, per_gpu);
        descriptors::suffice(slots.len())?;
        let found = FoundBefore::read(workspace);
        for run in &mut runs {
            run.is_news = true;
            if let Some(passed) = found.passed.get(&(run.dir.experiment(), run.dir.name())) {
                run.recall_passed(*passed, scan::now());
            }
        }
        let mut memories = GpuMemories::new(devices.gpus().len());
        memories.recall(devices.gpus(), found.device_memory.iter().cloned());
        runs.iter().for_each(|run| memories.learn(run));
        // A person who says how many runs there are at once has divided the processor.
        let divides = options.slots.is_none() && cores > 1;
        let left_out = match &options.selection {
            Selection::All => HashSet::new(),
            Selection::Runs(chosen) => {
                scan::runs_of_ours(workspace).into_iter().filter(|dir| !chosen.contains(dir)).collect()
            }
        };
        let rates = tell::known_rates(&runs, &left_out, &host);
        let record = BatchRecord {
            protocol: PROTOCOL,
            host: host.clone(),
            process: std::process::id(),
            start: scan::now(),
            end: None,
            seconds: None,
            exit_code: None,
            energy_joules: None,
            arguments: options.arguments.clone(),
            slots: slots.len() as u32,
            threads_per_slot: slots.first().map_or(1, |slot| slot.threads),
            plan: runs.iter().filter_map(|run| tell::plan_entry(run, &rates)).collect(),
            divisions: Vec::new(),
            device_memory: Vec::new(),
            gpus: devices.gpus().iter().map(tell::batch_gpu).collect(),
        };
        let indices: Vec<u32> = devices.gpus().iter().map(|gpu| gpu.index).collect();
        let mut batch = Batch::begin(workspace, record, &indices)?;
        batch.event("batch-started", None, &format!("{} runs, {} at once", runs.len(), slots.len()));
        let gauges = Gauges::new(workspace.root(), &devices);
        let place = hooks::Place { workspace: workspace.clone(), host: host.clone(), batch: batch.name() };
        let hooks = Hooks::new(&options.settings.hooks, place);
        let report = (options.report == Report::Keep).then(|| FreshReport::start(workspace, &mut batch));
        Ok(Work {
            workspace,
            whereabouts,
            options,
            host,
            boot: machine::boot_id().to_owned(),
            cpu_name: machine::cpu_name(),
            program,
            gpus: devices.gpus().iter().map(|gpu| gpu.name.clone()).collect(),
            devices,
            slots,
            memories,
            processor: if divides { Processor::Open } else { Processor::Settled },
            found,
            runs,
            rates,
            ending: Ending::Open,
            breaker: Breaker::new(options.breaker),
            draining: false,
            has_ended_workers: false,
            left_out: LeftOut::new(left_out),
            skips: Skips::default(),
            comings: scan::Comings::default(),
            rota: Rota::default(),
            batch,
            report,
            gauges,
            just_ended: Vec::new(),
            hooks,
            retention: Retention::new(workspace, &options.settings.retention),
            words: Words::default(),
            begun: Instant::now(),
            sampled: None,
            memory: MemoryWatch::begin(),
            room: Room::default(),
            space: None,
            view: View::open(options.style),
            ended: unbounded_channel(),
            known_data: KnownData::default(),
            findings: unbounded_channel(),
            found_of_gpu: None,
            probes: JoinSet::new(),
            gone: Arc::default(),
            awake: Awake::default(),
        })
    }
}
