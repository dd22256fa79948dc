//! What is measured while runs go on, with a stand-in for NVIDIA's library whose gauges tests can move.

use std::collections::BTreeMap;
use std::fs;

use overnight::run_dir::cause::Cause;
use overnight::run_dir::metrics::Metrics;
use overnight::run_dir::records::{BatchEvent, Device, RunResult};
use overnight::run_dir::telemetry::Energy;
use overnight::run_dir::{RunDir, read};
use rustix::process::Signal;
use serde_json::Value;

use crate::gpus::stand_in;
use crate::workspace::{Running, Workspace, ends, starts, step, wait_to_see, wait_until};

const X: &str = "experiments/x.toml";
pub const FIRST: &str = "GPU-aaaa1111";

/// A workspace whose GPUs are stand-ins with gauges in its folder `gauges`.
pub fn workspace(notes: &str, seeds: &[u64]) -> Option<Workspace> {
    let folder = stand_in()?;
    let workspace = Workspace::new().experiment("x", 6, seeds, notes).file("gauges/README", "for tests\n");
    let gauges = workspace.path("gauges").to_string_lossy().into_owned();
    Some(workspace.variable("LD_LIBRARY_PATH", folder).variable("NVML_STUB", &gauges))
}

pub fn set(workspace: &Workspace, gauge: &str, value: u64) {
    // Renamed into place: the stand-in may look at any moment.
    let path = workspace.path(&format!("gauges/{gauge}"));
    let building = path.with_extension("building");
    fs::write(&building, value.to_string()).unwrap();
    fs::rename(building, path).unwrap();
}

fn hold(workspace: &Workspace, count: usize) -> Running {
    let runner = workspace.start(&[X]);
    wait_until("they hold", || workspace.runs("x").iter().filter(|run| step(run) == 3).count() == count);
    runner
}

pub fn end(runner: Running) {
    runner.signal(Signal::INT);
    runner.wait().code(75);
}

fn table(run: &RunDir) -> Metrics {
    Metrics::read(&run.telemetry()).unwrap_or_default()
}

pub fn event(workspace: &Workspace, name: &str) -> Option<BatchEvent> {
    workspace.events().into_iter().find(|event| event.event == name)
}

/// All of a finished run that must be the same however often it was disturbed: rows without the time, the
/// history, and the weights.
fn bits(run: &RunDir) -> (BTreeMap<String, Vec<u64>>, String, Vec<u8>) {
    let result: RunResult = read::json(&run.result()).unwrap();
    let table = Metrics::read(&run.metrics()).unwrap();
    let columns = table.columns.iter().filter(|column| column.name != "time");
    let values = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect();
    let columns = columns.map(|column| (column.name.clone(), values(&column.values))).collect();
    (columns, result.history, fs::read(run.checkpoint(result.last_checkpoint).model()).unwrap())
}

#[test]
fn throttling_and_errors_of_a_gpu_are_told_by_the_run_that_was_on_it() {
    let Some(workspace) = workspace("hold@3", &[1, 2]) else { return };
    set(&workspace, &format!("{FIRST}.throttle"), 0x4 | 0x20);
    let runner = hold(&workspace, 2);
    set(&workspace, &format!("{FIRST}.xid"), 31);
    let runs = [1, 2].map(|seed| workspace.seed("x", seed));
    let has_xid = || table(&runs[0]).column("gpu_xid_code").is_some_and(|column| column.values == [31.0]);
    wait_until("the error is in the table", has_xid);
    let told = event(&workspace, "xid").unwrap();
    assert_eq!(told.run, Some(runs[0].name()));
    assert_eq!(told.message, "GPU 0 reported XID 31: a program touched GPU memory that is not its own");
    assert!(runner.said().contains(&told.message));
    end(runner);

    let words = |run: &RunDir| table(run).column("gpu_throttle_reasons").unwrap().words[0].1.clone();
    assert_eq!(runs.each_ref().map(words), ["power-cap thermal", "none"]);
    assert_eq!(table(&runs[1]).column("gpu_xid_code").unwrap().values, [0.0; 0]);
    let batch = Metrics::read(&workspace.batch().telemetry()).unwrap();
    assert_eq!(batch.column("gpu0_xid_code").unwrap().values, [31.0]);
    workspace.spawn(&["report"]).wait().code(0);
    let page = |run: &RunDir| {
        fs::read_to_string(workspace.path(&format!("reports/runs/x/{}/index.html", run.name()))).unwrap()
    };
    let page_of_first = page(&runs[0]);
    assert!(page_of_first.contains("The GPU reported XID 31 at "), "{page_of_first}");
    assert!(
        page_of_first.contains("at its power limit (100\u{a0}%), too warm (100\u{a0}%)"),
        "{page_of_first}"
    );
    assert!(!page(&runs[1]).contains("XID"));
}

#[test]
fn a_run_whose_gpu_is_lost_goes_on_at_the_same_bits_on_another_of_its_model() {
    let Some(workspace) = workspace("s1:hold@4 s2:gone@3", &[1, 2]) else { return };
    let workspace = workspace.file("overnight.toml", "[devices]\nshare = false\n");
    let runner = workspace.start(&[X]);
    wait_until("the first one holds", || workspace.runs("x").iter().any(|run| step(run) == 4));
    wait_until("the loss is told", || event(&workspace, "gpu-lost").is_some());
    let lost = workspace.seed("x", 2);
    let waiting = || workspace.queue_state().waiting;
    wait_to_see("it waits for the other one, which will do", waiting, |waiting| {
        waiting.iter().any(|run| run.run == lost.name() && run.reason == "for a free Stub 80GB")
    });
    let words = event(&workspace, "gpu-lost").unwrap().message;
    assert!(words.starts_with("GPU 1 was lost"), "{words}");
    assert!(words.ends_with("reset it (nvidia-smi --gpu-reset -i 1) or reboot"), "{words}");
    wait_until("the error is told", || event(&workspace, "xid").is_some());
    let xid = event(&workspace, "xid").unwrap();
    assert_eq!(
        (xid.run, xid.message.as_str()),
        (Some(lost.name()), "GPU 1 reported XID 79: it has fallen off the bus")
    );
    assert_eq!(table(&lost).column("gpu_xid_code").unwrap().values, [79.0], "though it had ended by then");
    let cause = || ends(&lost).first().and_then(|end| end.cause.clone());
    wait_until("its end is written", || cause().is_some());
    assert_eq!(cause(), Some(Cause::DeviceLost { xid: Some(79) }), "whatever CUDA called it");
    let batch = Metrics::read(&workspace.batch().telemetry()).unwrap();
    assert_eq!(batch.column("gpu0_lost").unwrap().values, [0.0; 0]);
    runner.signal(Signal::INT);
    runner.wait().code(75);

    workspace.run(&[]).code(0);
    let starts = starts(&lost);
    let on = |start: &overnight::run_dir::records::Start| match &start.device {
        Device::Cuda { uuid, .. } => uuid.clone(),
        Device::Cpu { .. } => "the processor".to_owned(),
    };
    assert_eq!(starts.iter().map(on).collect::<Vec<_>>(), ["GPU-bbbb2222", FIRST]);
    assert_eq!(starts[1].checkpoint, Some(2));
    assert_eq!(workspace.words("x"), ["finished"; 2]);
    let undisturbed = Workspace::new().experiment("x", 6, &[2], "");
    undisturbed.run(&[X]).code(0);
    assert_eq!(bits(&lost), bits(&undisturbed.seed("x", 2)));
    let batch = Metrics::read(&workspace.batch().telemetry()).unwrap();
    assert!(batch.column("gpu1_lost").unwrap().values.iter().all(|lost| *lost == 1.0));
}

#[test]
fn runs_wait_for_a_gpu_that_is_lost_and_those_of_the_processor_go_on() {
    let Some(workspace) = workspace("gone@3", &[1]) else { return };
    let processor = "[data]\nkind = \"shapes\"\ncount = 100\n[model]\nkind = \"mlp\"\n[train]\nsteps = 4\n\
                     [resources]\ndevice = \"cpu\"\n";
    let workspace = workspace.variable("CUDA_VISIBLE_DEVICES", "1").file("experiments/y.toml", processor);
    let output = workspace.run(&[X, "experiments/y.toml"]).code(75);
    let reason = "held: GPU 1 was lost (XID 79: it has fallen off the bus); \
                  reset it (nvidia-smi --gpu-reset -i 1) or reboot";
    output.says(reason);
    assert_eq!(workspace.queue_state().waiting[0].reason, reason);
    assert_eq!((workspace.words("x"), workspace.words("y")), (vec!["waiting"], vec!["finished"]));
    assert_eq!(starts(&workspace.runs("x")[0]).len(), 1, "nothing is tried on a GPU that is lost");

    fs::remove_file(workspace.path("gauges/GPU-bbbb2222.lost")).unwrap();
    workspace.run(&[]).code(0);
    assert_eq!(workspace.words("x"), ["finished"]);
}

#[test]
fn runs_that_share_a_gpu_share_its_energy_over_all_their_attempts() {
    let Some(workspace) = workspace("hold@3", &[1, 2]) else { return };
    let text = fs::read_to_string(workspace.path(X)).unwrap() + "[resources]\ngpu_memory_mib = 256\n";
    let workspace = workspace.variable("CUDA_VISIBLE_DEVICES", "0").file(X, &text);
    // Without power the counter alone speaks, and every number is exact.
    set(&workspace, &format!("{FIRST}.power"), 0);
    set(&workspace, &format!("{FIRST}.energy"), 5_000_000);
    let runner = workspace.start(&[X, "--slots", "2"]);
    let runs = || workspace.runs("x");
    wait_until("both hold", || runs().iter().filter(|run| step(run) == 3).count() == 2);
    let energy = |run: &RunDir| Energy::read(&run.telemetry()).gpu_joules;
    wait_until("both have an account", || runs().iter().all(|run| energy(run) == Some(0.0)));
    set(&workspace, &format!("{FIRST}.energy"), 5_000_000 + 14_400_000);
    wait_until("it was shared", || runs().iter().all(|run| energy(run) == Some(7200.0)));
    runner.signal(Signal::INT);
    runner.wait().code(75).says("energy: 0.004 kWh in this batch");
    assert_eq!(workspace.batch_record().energy_joules, Some(14_400.0));

    workspace.run(&[]).code(0);
    assert!(runs().iter().all(|run| energy(run) == Some(7200.0)), "what was used before is kept");
    assert!(runs().iter().all(|run| table(run).bad.is_empty()));
    let told = workspace.spawn(&["status", "--json"]).wait().code(0).stdout;
    let told: Value = serde_json::from_str(&told).unwrap();
    let cpu = Energy::read(&runs()[0].telemetry()).cpu_joules.unwrap_or(0.0);
    assert_eq!(told["runs"][0]["energy_joules"].as_f64(), Some(7200.0 + cpu));
    workspace.spawn(&["report"]).wait().code(0);
    let page = format!("reports/runs/x/{}/index.html", runs()[0].name());
    let page = fs::read_to_string(workspace.path(&page)).unwrap();
    assert!(page.contains("7,200 J of the GPU, an equal part wherever runs shared it"), "{page}");
}

#[test]
fn a_run_goes_on_with_the_table_of_an_older_version() {
    let workspace = Workspace::new().experiment("x", 6, &[1], "hold@3");
    end(hold(&workspace, 1));
    let run = &workspace.runs("x")[0];
    fs::write(run.telemetry(), "time,cpu_percent,gpu_energy_joules\n1000,50,5\n1002,60,7\n").unwrap();
    workspace.run(&[]).code(0);
    let table = table(run);
    assert!(table.rows > 2 && table.bad.is_empty(), "{:?}", table.bad);
    assert_eq!(table.column("cpu_percent").unwrap().values[..2], [50.0, 60.0]);
    assert!(table.column("disk_free_bytes").is_some(), "what this version measures is there");
    assert_eq!(Energy::of(&table).gpu_joules, None, "there is no GPU: absent, never zero");
}
