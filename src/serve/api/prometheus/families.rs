//! Every family of numbers that is exported: its name, kind and meaning. Dashboards name these alone.

/// Numbers of one meaning.
pub(in crate::serve::api) struct Family {
    pub name: &'static str,
    pub kind: Kind,
    pub help: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::serve::api) enum Kind {
    Gauge,
    /// It only rises.
    Counter,
}

const fn gauge(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: Kind::Gauge, help }
}

const fn counter(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: Kind::Counter, help }
}

pub const BUILD: Family = gauge("overnight_build_info", "The version that serves; always 1.");
pub const REPORT_BUILT: Family = gauge("overnight_report_built", "Whether there is a report.");
pub const REPORT_FAILED: Family = gauge("overnight_report_failed", "Whether its last build failed.");
pub const RUNNER: Family = gauge("overnight_runner_up", "Whether a runner is at work.");
pub const RUNS: Family = gauge("overnight_runs", "Runs of the workspace by state.");
pub const QUEUE: Family = gauge("overnight_queue_length", "Runs that wait.");
pub const LEFT_OUT: Family =
    gauge("overnight_runs_left_out", "Live runs beyond those that are told one by one.");
pub const STEP: Family = gauge("overnight_run_step", "Steps that a live run has done.");
pub const STEPS: Family = gauge("overnight_run_steps", "Steps that a live run is to do.");
pub const LOSS: Family = gauge("overnight_run_loss", "Last training loss of a live run.");
pub const STEP_RATE: Family = gauge("overnight_run_steps_per_second", "Steps a second of a live run.");
pub const RATE: Family =
    gauge("overnight_run_rate", "Rate of a live run, of what its label says: tokens or images a second.");
pub const REMAINING: Family =
    gauge("overnight_run_remaining_seconds", "Seconds that a live run probably takes yet.");
pub const HEARD: Family =
    gauge("overnight_run_progress_timestamp_seconds", "When a live run last told its progress.");
pub const BATCH_START: Family =
    gauge("overnight_batch_start_timestamp_seconds", "When the last batch began.");
pub const BATCH_END: Family =
    gauge("overnight_batch_end_timestamp_seconds", "When the last batch ended; absent while it works.");
pub const BATCH_EXIT: Family =
    gauge("overnight_batch_exit_code", "Exit code of the last batch; absent while it works.");
pub const BATCH_ENERGY: Family =
    gauge("overnight_batch_energy_joules", "Energy that the last batch took, once it has ended.");
pub const CPU: Family =
    gauge("overnight_machine_cpu_usage_ratio", "Part of the processor that is busy, from 0 to 1.");
pub const MEMORY: Family = gauge("overnight_machine_memory_used_bytes", "Memory in use.");
pub const DISK_FREE: Family =
    gauge("overnight_machine_disk_free_bytes", "Space that is free where the workspace lies.");

// Names, labels and units as NVIDIA's DCGM exporter has them.
pub const GPU_UTIL: Family = gauge("DCGM_FI_DEV_GPU_UTIL", "GPU utilization (in %).");
pub const FB_USED: Family = gauge("DCGM_FI_DEV_FB_USED", "Framebuffer memory used (in MiB).");
pub const FB_FREE: Family = gauge("DCGM_FI_DEV_FB_FREE", "Framebuffer memory free (in MiB).");
pub const GPU_TEMP: Family = gauge("DCGM_FI_DEV_GPU_TEMP", "GPU temperature (in C).");
pub const POWER: Family = gauge("DCGM_FI_DEV_POWER_USAGE", "Power draw (in W).");
pub const ENERGY: Family =
    counter("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "Energy since the driver was loaded (in mJ).");
pub const SM_CLOCK: Family = gauge("DCGM_FI_DEV_SM_CLOCK", "Clock of the multiprocessors (in MHz).");
pub const MEM_CLOCK: Family = gauge("DCGM_FI_DEV_MEM_CLOCK", "Clock of the memory (in MHz).");
pub const XID: Family = gauge("DCGM_FI_DEV_XID_ERRORS", "Number of the last XID error; 0 where none came.");

/// All of them, in the order in which they are told.
#[cfg(test)]
pub(in crate::serve::api) const ALL: [&Family; 30] = [
    &BUILD,
    &REPORT_BUILT,
    &REPORT_FAILED,
    &RUNNER,
    &RUNS,
    &QUEUE,
    &LEFT_OUT,
    &STEP,
    &STEPS,
    &LOSS,
    &STEP_RATE,
    &REMAINING,
    &HEARD,
    &RATE,
    &BATCH_START,
    &BATCH_END,
    &BATCH_EXIT,
    &BATCH_ENERGY,
    &CPU,
    &MEMORY,
    &DISK_FREE,
    &GPU_UTIL,
    &FB_USED,
    &FB_FREE,
    &GPU_TEMP,
    &POWER,
    &ENERGY,
    &SM_CLOCK,
    &MEM_CLOCK,
    &XID,
];
