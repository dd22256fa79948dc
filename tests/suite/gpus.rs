//! Runs on GPUs, with a stand-in for NVIDIA's management library and a worker that needs none.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use overnight::run_dir::RunDir;
use overnight::run_dir::metrics::Metrics;
use overnight::run_dir::records::Device;
use rustix::process::Signal;

use crate::workspace::{Running, Workspace, starts, step, wait_until};

const X: &str = "experiments/x.toml";

/// The folder of the stand-in, compiled once; nothing where there is no C compiler.
pub fn stand_in() -> Option<&'static str> {
    static FOLDER: OnceLock<Option<String>> = OnceLock::new();
    let compile = || {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("nvml");
        fs::create_dir_all(&folder).unwrap();
        // Another run of these tests may be loading the library that is there.
        let building = folder.join(format!("building-{}", std::process::id()));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/nvml.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-w", "-o"]).arg(&building).arg(source);
        let compiled = compiler.status().is_ok_and(|status| status.success())
            && fs::rename(&building, folder.join("libnvidia-ml.so.1")).is_ok();
        compiled.then(|| folder.to_string_lossy().into_owned())
    };
    let folder = FOLDER.get_or_init(compile).as_deref();
    if folder.is_none() {
        eprintln!("skipped: no C compiler (cc) to build the stand-in for NVIDIA's library");
    }
    folder
}

fn held_at_3(workspace: &Workspace, count: usize) {
    wait_until("they hold", || workspace.runs("x").iter().filter(|run| step(run) == 3).count() == count);
}

fn end(runner: Running) {
    runner.signal(Signal::INT);
    runner.wait().code(75);
}

fn uuid(run: &RunDir) -> String {
    match &starts(run)[0].device {
        Device::Cuda { uuid, .. } => uuid.clone(),
        Device::Cpu { .. } => "the processor".into(),
    }
}

#[test]
fn each_gpu_gets_a_run_and_each_worker_sees_its_own() {
    let Some(folder) = stand_in() else { return };
    let workspace =
        Workspace::new().experiment("x", 6, &[1, 2, 3], "hold@3").variable("LD_LIBRARY_PATH", folder);
    let runner = workspace.start(&[X, "--slots", "2"]);
    held_at_3(&workspace, 2);
    let runs = [workspace.seed("x", 1), workspace.seed("x", 2)];
    assert_eq!(runs.each_ref().map(uuid), ["GPU-aaaa1111", "GPU-bbbb2222"]);
    for run in &runs {
        let worker = fs::read_to_string(run.alive_lock()).unwrap();
        let environment = fs::read_to_string(format!("/proc/{}/environ", worker.trim())).unwrap();
        let has = |variable: String| environment.split('\0').any(|entry| entry == variable);
        assert!(has(format!("CUDA_VISIBLE_DEVICES={}", uuid(run))), "{environment}");
        assert!(has("CUDA_DEVICE_ORDER=PCI_BUS_ID".into()), "{environment}");
        assert!(has("CUBLAS_WORKSPACE_CONFIG=:4096:8".into()), "{environment}");
    }
    wait_until("the third waits", || {
        let waiting = workspace.queue_state().waiting;
        waiting.iter().any(|waiting| waiting.reason == "for a free GPU")
    });
    let rows = |run: &RunDir| fs::read_to_string(run.telemetry()).unwrap_or_default();
    wait_until("both are sampled", || runs.iter().all(|run| rows(run).lines().count() > 1));
    let gauges = |run: &RunDir| {
        let table = Metrics::read(&run.telemetry()).unwrap();
        let value = |name: &str| table.column(&format!("gpu_{name}")).unwrap().in_row(0);
        [
            "use_percent",
            "memory_bytes",
            "temperature_celsius",
            "power_watts",
            "energy_joules",
            "clock_mhz",
            "memory_clock_mhz",
        ]
        .map(value)
    };
    let gib = f64::from(1 << 30);
    let [clock, memory_clock] = [Some(1980.0), Some(2619.0)];
    let known = [Some(97.0), Some(gib), Some(60.0), Some(251.5), Some(123_456.0), clock, memory_clock];
    assert_eq!(gauges(&runs[0]), known);
    let partly = [Some(97.0), Some(2.0 * gib), Some(61.0), None, None, clock, memory_clock];
    assert_eq!(gauges(&runs[1]), partly, "what it does not know is empty");
    let table = fs::read_to_string(workspace.batch().telemetry()).unwrap();
    assert!(table.contains("gpu0_power_watts,") && table.contains("gpu1_power_watts,"), "{table}");
    end(runner);
}

#[test]
fn a_run_begun_on_a_gpu_is_held_when_the_gpu_is_gone() {
    let Some(folder) = stand_in() else { return };
    let with = Workspace::new().experiment("x", 6, &[1], "hold@3").variable("LD_LIBRARY_PATH", folder);
    let runner = with.start(&[X]);
    held_at_3(&with, 1);
    end(runner);
    let without = with.variable("LD_LIBRARY_PATH", "");
    without.run(&[]).code(75).says("held: it began on a Stub 80GB and none can be used");
    assert_eq!(starts(&without.seed("x", 1)).len(), 1, "never moved to the processor");
    let again = without.variable("LD_LIBRARY_PATH", folder);
    again.run(&[]).code(0);
    assert_eq!(again.words("x"), ["finished"]);
}

#[test]
fn devices_that_somebody_made_visible_are_the_only_ones() {
    let Some(folder) = stand_in() else { return };
    let workspace = Workspace::new().experiment("x", 6, &[1, 2], "hold@3");
    let workspace = workspace.variable("LD_LIBRARY_PATH", folder).variable("CUDA_VISIBLE_DEVICES", "1");
    let runner = workspace.start(&[X]);
    held_at_3(&workspace, 1);
    let table = fs::read_to_string(workspace.batch().telemetry()).unwrap();
    assert!(!table.contains("gpu0_") && table.contains("gpu1_"), "{table}");
    assert_eq!(uuid(&workspace.seed("x", 1)), "GPU-bbbb2222");
    end(runner);
}
