//! Runs that share a GPU, with a stand-in for NVIDIA's management library whose memory is what lies in a
//! folder: the fake worker's, and what a test puts there in the name of others.

use std::fs;
use std::path::PathBuf;

use overnight::run_dir::cause::Cause;
use overnight::run_dir::records::{Ask, MeasuredMemory};
use rustix::process::Signal;

use crate::causes::{kernel_says, page_of, with_a_kernel_log, worker_of};
use crate::gpus::stand_in;
use crate::workspace::{Running, Workspace, ends, starts, step, wait_to_see, wait_until};

const X: &str = "experiments/x.toml";
/// What each fake worker holds: 5.2 GiB.
const MIB: u64 = 5325;

/// One GPU of so many GiB, a quarter of which the driver takes for itself.
fn on_a_gpu_of(gib: u64, folder: &str, workspace: Workspace) -> Workspace {
    let stub = workspace.path("gpus");
    let total = (gib << 30).to_string();
    let stub = stub.to_string_lossy().into_owned();
    workspace
        .file("gpus/GPU-aaaa1111/total", &total)
        .variable("LD_LIBRARY_PATH", folder)
        .variable("CUDA_VISIBLE_DEVICES", "0")
        .variable("NVML_STUB", &stub)
        .variable("FAKE_GPU_MIB", &MIB.to_string())
}

fn memory(workspace: &Workspace) -> PathBuf {
    workspace.path("gpus/GPU-aaaa1111")
}

/// Somebody else takes so much.
fn others_take(workspace: &Workspace, gib: u64) {
    fs::write(memory(workspace).join("somebody"), (gib << 30).to_string()).unwrap();
}

fn others_leave(workspace: &Workspace) {
    fs::remove_file(memory(workspace).join("somebody")).unwrap();
}

fn hold_at_3(workspace: &Workspace, count: usize) {
    wait_until("they hold", || workspace.runs("x").iter().filter(|run| step(run) == 3).count() == count);
}

fn waits(workspace: &Workspace, reason: &str) {
    let waiting = || workspace.queue_state().waiting;
    wait_to_see(reason, waiting, |waiting| waiting.iter().any(|run| run.reason == reason));
}

fn count(workspace: &Workspace, event: &str) -> usize {
    workspace.events().iter().filter(|line| line.event == event).count()
}

fn end(runner: Running) {
    runner.signal(Signal::INT);
    runner.wait().code(75);
}

#[test]
fn two_runs_share_a_gpu_and_the_third_waits_with_the_numbers() {
    let Some(folder) = stand_in() else { return };
    let workspace = Workspace::new().experiment("x", 6, &[1, 2, 3], "hold@3");
    let workspace = on_a_gpu_of(14, folder, workspace);
    let runner = workspace.start(&[X]);
    hold_at_3(&workspace, 2);
    waits(&workspace, "GPU 0 has 3.3 GiB free, a probe of this run took 5.2 GiB");
    assert_eq!(count(&workspace, "probing"), 1, "one probe speaks for all of them");
    let remembered = workspace.batch_record().device_memory;
    assert!(
        matches!(&remembered[..], [MeasuredMemory { gpu, bytes, .. }]
        if gpu == "Stub 80GB" && *bytes == MIB << 20),
        "{remembered:?}"
    );
    end(runner);
    let runs = [workspace.seed("x", 1), workspace.seed("x", 2)];
    assert_eq!(runs.map(|run| ends(&run)[0].device_memory_bytes), [Some(MIB << 20); 2]);

    // What was measured counts for the same run, and for those of the same settings.
    others_take(&workspace, 12);
    let runner = workspace.start(&[]);
    waits(&workspace, "GPU 0 has 1.8 GiB free, this run took 5.2 GiB last time");
    waits(&workspace, "GPU 0 has 1.8 GiB free, a run of these settings took 5.2 GiB");
    assert_eq!(count(&workspace, "probing"), 0);
    others_leave(&workspace);
    let as_expected = ["finished", "finished", "running"];
    wait_to_see("they go on", || workspace.words("x"), |words| *words == as_expected);
    end(runner);
}

#[test]
fn memory_of_others_is_probed_around_and_never_started_on_in_silence() {
    let Some(folder) = stand_in() else { return };
    let workspace = on_a_gpu_of(20, folder, Workspace::new().experiment("x", 6, &[1], "hold@3"));
    others_take(&workspace, 12);
    let runner = workspace.start(&[X]);
    hold_at_3(&workspace, 1);
    let said = runner.said();
    assert!(said.contains("probed   x/") && said.contains(": it takes 5.2 GiB"), "{said}");
    assert!(said.contains("on GPU 0 (Stub 80GB), where other processes hold 12.2 GiB"), "{said}");
    end(runner);
}

#[test]
fn memory_that_an_ended_run_has_not_given_back_is_waited_for() {
    let Some(folder) = stand_in() else { return };
    let workspace = Workspace::new().experiment("x", 6, &[1, 2], "hold@3").variable("FAKE_GPU_LATE", "1");
    let workspace = on_a_gpu_of(8, folder, workspace);
    let runner = workspace.start(&[X]);
    hold_at_3(&workspace, 1);
    waits(&workspace, "GPU 0 has 2.5 GiB free, a probe of this run took 5.2 GiB");
    overnight::queue::request(&workspace.seed("x", 1), Ask::Pause).unwrap();
    waits(&workspace, "GPU 0: waiting for 5.2 GiB of ended runs to be given back");
    assert_eq!(starts(&workspace.seed("x", 2)).len(), 0);
    let late = || {
        let files = fs::read_dir(memory(&workspace)).unwrap().flatten();
        files.filter(|file| file.file_name().to_string_lossy().starts_with("late")).map(|file| file.path())
    };
    late().for_each(|file| fs::remove_file(file).unwrap());
    wait_until("the second run holds", || step(&workspace.seed("x", 2)) == 3);
    end(runner);
}

#[test]
fn in_a_container_the_devices_growth_stands_in_for_foreign_process_numbers() {
    let Some(folder) = stand_in() else { return };
    let workspace = Workspace::new().experiment("x", 6, &[1, 2, 3], "hold@3").variable("NVML_FOREIGN", "1");
    let workspace = on_a_gpu_of(14, folder, workspace);
    let runner = workspace.start(&[X]);
    hold_at_3(&workspace, 2);
    waits(&workspace, "GPU 0 has 3.3 GiB free, a probe of this run took 5.2 GiB");
    end(runner);
    let alone = Workspace::new().experiment("x", 6, &[1], "hold@3").variable("NVML_FOREIGN", "1");
    let alone = on_a_gpu_of(14, folder, alone);
    let runner = alone.start(&[X]);
    hold_at_3(&alone, 1);
    wait_until("it was sampled", || alone.batch().telemetry().is_file() && count(&alone, "run-started") == 1);
    let seen = || {
        let rows = fs::read_to_string(alone.seed("x", 1).telemetry()).unwrap_or_default();
        rows.lines().skip(1).any(|row| row.contains(&((MIB + 256) << 20).to_string()))
    };
    wait_until("its memory was seen", seen);
    end(runner);
    assert_eq!(ends(&alone.seed("x", 1))[0].device_memory_bytes, Some(MIB << 20));
}

#[test]
fn an_attempt_that_died_while_loading_says_nothing_of_what_the_next_one_takes() {
    let Some(folder) = stand_in() else { return };
    let workspace = Workspace::new().experiment("x", 6, &[1], "").variable("FAKE_LOADING", "1");
    let workspace = on_a_gpu_of(14, folder, workspace);
    let runner = workspace.start(&[X]);
    let seen = || {
        let rows = fs::read_to_string(workspace.seed("x", 1).telemetry()).unwrap_or_default();
        rows.lines().skip(1).any(|row| row.contains(&(MIB << 20).to_string()))
    };
    wait_until("its memory was seen", || !workspace.runs("x").is_empty() && seen());
    let worker = rustix::process::Pid::from_raw(runner.children("train")[0]).unwrap();
    rustix::process::kill_process(worker, Signal::KILL).unwrap();
    runner.wait().code(0);
    assert_eq!(ends(&workspace.seed("x", 1))[0].device_memory_bytes, None);
}

#[test]
fn a_driver_that_gives_no_answer_keeps_nobody_waiting_who_needs_none() {
    let Some(folder) = stand_in() else { return };
    let workspace = Workspace::new().experiment("x", 6, &[1, 2], "hold@3");
    let workspace = on_a_gpu_of(14, folder, workspace);
    let runner = workspace.start(&[X]);
    hold_at_3(&workspace, 2);
    fs::write(workspace.path("gpus/GPU-aaaa1111.hang"), "").unwrap();
    wait_until("the driver hangs", || workspace.path("gpus/GPU-aaaa1111.hangs").exists());
    overnight::queue::request(&workspace.seed("x", 1), Ask::Pause).unwrap();
    wait_until("its runner has seen it end", || ends(&workspace.seed("x", 1)).len() == 1);
    assert_eq!(workspace.words("x"), ["paused", "running"]);
    end(runner);
}

#[test]
fn a_gpu_is_kept_for_a_large_run_once_three_smaller_ones_have_passed_it() {
    let Some(folder) = stand_in() else { return };
    let takes = |mib: u64| {
        format!(
            "notes = \"s{MIB}:hold@3\"\n[data]\nkind = \"shapes\"\ncount = 100\n[model]\nkind = \"mlp\"\n\
             [train]\nsteps = 6\nseed = {mib}\n[resources]\ngpu_memory_mib = {mib}\n"
        )
    };
    let workspace = Workspace::new().file(X, &takes(MIB)).file("experiments/large.toml", &takes(12_000));
    let workspace = on_a_gpu_of(14, folder, workspace);
    let runner = workspace.start(&[X]);
    hold_at_3(&workspace, 1);
    let workspace = workspace.experiment("small", 6, &[1, 2, 3, 4, 5, 6], "");
    workspace.overnight(&["queue", "experiments/large.toml"]).code(0);
    let large = workspace.runs("large").remove(0);
    let name = format!("large/{}", large.name());
    workspace.overnight(&["queue", "experiments/small.toml"]).code(0);
    waits(&workspace, &format!("GPU 0 is kept for {name}, which 3 later runs have passed"));
    let begun = || workspace.runs("small").iter().filter(|run| !starts(run).is_empty()).count();
    assert_eq!(begun(), 3);
    let status = workspace.overnight(&["status"]).code(0).stdout;
    assert!(status.contains(&format!("GPU 0 is kept for {name}")), "{status}");
    overnight::queue::request(&workspace.runs("x")[0], Ask::Pause).unwrap();
    runner.wait().code(0);
    assert_eq!(workspace.words("small"), ["finished"; 6]);
    let began = starts(&large)[0].time;
    assert!(starts(&workspace.seed("small", 4))[0].time > began, "nobody passed it any more");
}

#[test]
fn a_run_larger_than_every_gpu_is_held() {
    let Some(folder) = stand_in() else { return };
    let text = "[data]\nkind = \"shapes\"\ncount = 100\n[model]\nkind = \"mlp\"\n[train]\nsteps = 6\n\
                [resources]\ngpu_memory_mib = 90000\n";
    let workspace = on_a_gpu_of(14, folder, Workspace::new().file(X, text));
    workspace
        .run(&[X])
        .code(75)
        .says("held: GPU 0 has 14.0 GiB in all, this run takes 87.9 GiB, as its file says");
}

#[test]
fn runs_of_which_a_probe_finds_nothing_have_the_gpu_one_after_the_other() {
    let Some(folder) = stand_in() else { return };
    for (failure, words) in
        [("out-of-memory", "it takes more than 13."), ("fail", "it cannot be known what it takes")]
    {
        let workspace =
            Workspace::new().experiment("x", 6, &[1, 2], "hold@3").variable("FAKE_PROBE", failure);
        let workspace = on_a_gpu_of(14, folder, workspace);
        let runner = workspace.start(&[X]);
        hold_at_3(&workspace, 1);
        wait_until("the other waits", || {
            let waiting = workspace.queue_state().waiting;
            waiting.iter().any(|run| run.reason.contains("nobody knows yet what x/"))
        });
        assert!(runner.said().contains(words), "{}", runner.said());
        end(runner);
    }
}

#[test]
fn runs_share_no_gpu_where_the_workspace_says_so() {
    let Some(folder) = stand_in() else { return };
    let workspace = Workspace::new().experiment("x", 6, &[1, 2], "hold@3");
    let workspace = workspace.file("overnight.toml", "[devices]\nshare = false\n");
    let workspace = on_a_gpu_of(80, folder, workspace);
    let runner = workspace.start(&[X]);
    hold_at_3(&workspace, 1);
    waits(&workspace, "for a free GPU");
    assert_eq!(count(&workspace, "probing"), 0);
    end(runner);
}

#[test]
fn a_run_too_large_beside_other_people_starts_all_the_same_and_is_split() {
    let Some(folder) = stand_in() else { return };
    let text = "notes = \"oom32@3\"\n[data]\nkind = \"shapes\"\ncount = 100\n[model]\nkind = \"mlp\"\n\
                [train]\nsteps = 6\nbatch_size = 64\n[checkpoint]\nevery = 2\n";
    let workspace = Workspace::new().file(X, text).variable("FAKE_PROBE", "out-of-memory");
    let workspace = on_a_gpu_of(20, folder, workspace);
    others_take(&workspace, 12);
    let ended = workspace.run(&[X]);
    let run = &workspace.runs("x")[0];
    let splits: Vec<u32> = starts(run).iter().map(|start| start.micro_batch).collect();
    assert_eq!(splits, [64, 32], "{}", ended.stdout);
    ended.code(0);
}

#[test]
fn an_error_of_a_gpu_that_two_runs_share_blames_neither_where_the_driver_names_no_process() {
    let Some(folder) = stand_in() else { return };
    let workspace = Workspace::new().experiment("x", 6, &[1, 2], "s1:hold@3 s2:await@2 s2:xid31@3");
    let workspace = on_a_gpu_of(14, folder, workspace);
    let runner = workspace.start(&[X]);
    wait_until("both are on it", || {
        workspace.runs("x").len() == 2 && workspace.runs("x").iter().all(|run| step(run) >= 2)
    });
    let [first, second] = [1, 2].map(|seed| workspace.seed("x", seed));
    fs::write(second.path().join("go-on"), "").unwrap();
    wait_until("the end of the second is written", || !ends(&second).is_empty());
    let end = &ends(&second)[0];
    assert_eq!(end.cause, Some(Cause::CudaError { xid: None }), "the number may be another's");
    let doubt = "it may be of x/";
    assert!(end.why.contains("XID 31") && end.why.contains(doubt), "{}", end.why);
    let both = [first.name(), second.name()];
    let told = || {
        let events = workspace.events().into_iter().filter(|event| event.event == "xid");
        events.filter(|event| event.message.contains(doubt)).filter_map(|event| event.run).collect::<Vec<_>>()
    };
    wait_to_see("both are told of it", told, |told| both.iter().all(|name| told.contains(name)));
    runner.signal(Signal::INT);
    runner.wait();
}

#[test]
fn of_two_runs_on_a_gpu_the_one_whose_process_the_kernels_log_names_has_met_the_error() {
    let Some(folder) = stand_in() else { return };
    let workspace = Workspace::new().experiment("x", 6, &[1, 2], "s1:hold@3 s2:await@1 s2:xid31@2");
    let workspace = on_a_gpu_of(14, folder, with_a_kernel_log(workspace));
    let runner = workspace.start(&[X]);
    wait_until("both are on it", || {
        workspace.runs("x").len() == 2
            && [(1, 3), (2, 1)].iter().all(|(seed, at)| step(&workspace.seed("x", *seed)) == *at)
    });
    let [first, second] = [1, 2].map(|seed| workspace.seed("x", seed));
    let process = worker_of(&second);
    kernel_says(&workspace, &format!("Xid (PCI:0000:01:00): 31, pid={process}, name=fake-worker, MMU Fault"));
    fs::write(second.path().join("go-on"), "").unwrap();
    wait_until("the end of the second is written", || !ends(&second).is_empty());
    assert_eq!(ends(&second)[0].cause, Some(Cause::CudaError { xid: Some(31) }));
    let told = || {
        let events = workspace.events().into_iter().filter(|event| event.event == "xid");
        events.filter_map(|event| event.run).collect::<Vec<_>>()
    };
    wait_to_see("the error is told of", told, |told| !told.is_empty());
    wait_until("its retries are used up", || workspace.words("x")[1] == "failed");
    assert!(told().iter().all(|run| *run == second.name()), "its neighbor has met nothing: {:?}", told());
    end(runner);
    workspace.overnight(&["report"]).code(0);
    // Their GPU reported it, which both pages may say; to one of them it happened.
    let words = "CUDA error (XID 31: ";
    assert!(page_of(&workspace, &second).contains(words));
    assert!(!page_of(&workspace, &first).contains(words));
}
