//! Bad ends of workers, each provoked for real, and told apart in `status`, on pages and on disk.

use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};

use overnight::run_dir::RunDir;
use overnight::run_dir::cause::Cause;
use serde_json::Value;

use crate::gauges;
use crate::workspace::{Output, Workspace, ends, look, step, wait_until};

const X: &str = "experiments/x.toml";

/// What `status --json` says of the only run's trouble.
fn trouble(workspace: &Workspace) -> Value {
    let output = workspace.overnight(&["status", "--json"]).code(0);
    let all: Value = serde_json::from_str(&output.stdout).unwrap();
    all["runs"][0]["trouble"].clone()
}

/// Runs one worker that comes to that end in every attempt, and gives the cause of the last.
fn cause_of(notes: &str) -> (Workspace, Cause) {
    let workspace = Workspace::new().experiment("x", 6, &[1], notes);
    workspace.run(&[X]).code(100);
    let cause = ends(&workspace.seed("x", 1)).pop().unwrap().cause.expect("a bad end has a cause");
    (workspace, cause)
}

#[test]
fn a_segmentation_fault_is_one_in_status_and_on_both_pages() {
    let (workspace, cause) = cause_of("segfault@3");
    assert!(matches!(cause, Cause::SegmentationFault { .. }), "{cause:?}");
    let text = workspace.overnight(&["status"]).code(0).stdout;
    assert!(text.contains("segmentation fault"), "{text}");
    assert!(text.contains("| attempt ") && text.contains("what to do: overnight doctor"), "{text}");
    let trouble = trouble(&workspace);
    assert_eq!(trouble["cause"]["kind"], "segmentation-fault");
    assert!(trouble["log"].as_array().is_some_and(|log| !log.is_empty()), "{trouble}");

    workspace.overnight(&["report"]).code(0);
    let run = workspace.seed("x", 1);
    let page = workspace.path(&format!("reports/runs/x/{}/index.html", run.name()));
    for page in [workspace.path("reports/index.html"), page] {
        let html = fs::read_to_string(&page).unwrap();
        for words in ["segmentation fault", "overnight doctor looks at libtorch", "attempt 4 begins"] {
            assert!(html.contains(words), "{words:?} is not on {}", page.display());
        }
    }
}

#[test]
fn an_illegal_instruction_and_an_abort_are_no_segmentation_faults() {
    let (workspace, cause) = cause_of("illegal@3");
    assert!(matches!(cause, Cause::IllegalInstruction { .. }), "{cause:?}");
    assert!(trouble(&workspace)["advice"].as_str().unwrap().contains("lacks an instruction"));
    let (_, cause) = cause_of("abort@3");
    assert_eq!(cause, Cause::Aborted);
}

#[test]
fn an_error_of_cuda_is_told_from_a_gpu_that_is_gone() {
    let (workspace, cause) = cause_of("cuda@3");
    assert_eq!(cause, Cause::CudaError { xid: None });
    let trouble = trouble(&workspace);
    assert_eq!(trouble["words"], "CUDA error");
    assert_eq!(
        trouble["log"].as_array().unwrap().last().unwrap(),
        "CUDA error: an illegal memory access was encountered"
    );
    let (workspace, cause) = cause_of("lose@3");
    assert_eq!(cause, Cause::DeviceLost { xid: None });
    let text = workspace.overnight(&["status"]).stdout;
    assert!(text.contains("GPU lost") && text.contains("nvidia-smi --gpu-reset"), "{text}");
}

#[test]
fn the_drivers_number_for_an_error_is_in_the_cause_though_no_kernel_log_can_be_read() {
    let Some(workspace) = gauges::workspace("xid31@3", &[1]) else { return };
    let text = fs::read_to_string(workspace.path(X)).unwrap() + "[queue]\nretries = 0\n";
    let workspace = workspace.file(X, &text);
    workspace.run(&[X]).code(100);
    let causes: Vec<_> = ends(&workspace.seed("x", 1)).into_iter().map(|end| end.cause).collect();
    assert!(causes.iter().all(|cause| *cause == Some(Cause::CudaError { xid: Some(31) })), "{causes:?}");
    let words = "CUDA error (XID 31: a program touched GPU memory that is not its own)";
    let text = workspace.overnight(&["status"]).code(0).stdout;
    assert!(text.contains(words), "{text}");
    assert_eq!(trouble(&workspace)["cause"]["xid"], 31);
    workspace.overnight(&["report"]).code(0);
    let page = format!("reports/runs/x/{}/index.html", workspace.seed("x", 1).name());
    let page = fs::read_to_string(workspace.path(&page)).unwrap();
    assert!(page.contains(words), "{page}");
}

/// A line as NVIDIA's driver writes it into the kernel's log, at this moment.
pub fn kernel_says(workspace: &Workspace, message: &str) {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let line = format!("3,1,{}{:06},-;NVRM: {message}\n", now.tv_sec, now.tv_nsec / 1000);
    let log = fs::File::options().append(true).create(true).open(workspace.path("kernel.log"));
    log.unwrap().write_all(line.as_bytes()).unwrap();
}

/// With a file in the place of the kernel's log, and no retries.
pub fn with_a_kernel_log(workspace: Workspace) -> Workspace {
    let text = fs::read_to_string(workspace.path(X)).unwrap() + "[queue]\nretries = 0\n";
    let log = workspace.path("kernel.log").to_string_lossy().into_owned();
    workspace.file(X, &text).file("kernel.log", "").variable("OVERNIGHT_KERNEL_LOG", &log)
}

pub fn worker_of(run: &RunDir) -> String {
    fs::read_to_string(run.alive_lock()).unwrap().trim().to_owned()
}

pub fn page_of(workspace: &Workspace, run: &RunDir) -> String {
    fs::read_to_string(workspace.path(&format!("reports/runs/x/{}/index.html", run.name()))).unwrap()
}

#[test]
fn what_the_driver_wrote_into_the_kernels_log_is_the_cause_in_status_and_on_the_page() {
    // The library tells no number: the log alone does.
    let Some(workspace) = gauges::workspace("await@2 cuda@3", &[1]) else { return };
    let workspace = with_a_kernel_log(workspace);
    let runner = workspace.start(&[X]);
    wait_until("it waits for a word", || workspace.runs("x").iter().any(|run| step(run) == 2));
    let run = workspace.seed("x", 1);
    kernel_says(&workspace, "Xid (PCI:0000:0a:00): 13, pid=1, name=init, Graphics Exception");
    let process = worker_of(&run);
    kernel_says(
        &workspace,
        &format!("Xid (PCI:0000:01:00): 79, pid={process}, name=fake-worker, GPU has fallen off the bus."),
    );
    fs::write(run.path().join("go-on"), "").unwrap();
    runner.wait().code(100);
    let cause = ends(&run).last().unwrap().cause.clone();
    assert_eq!(cause, Some(Cause::DeviceLost { xid: Some(79) }), "whatever CUDA called it");
    let words = "GPU lost (XID 79: it has fallen off the bus)";
    let text = workspace.overnight(&["status"]).code(0).stdout;
    assert!(text.contains(words), "{text}");
    workspace.overnight(&["report"]).code(0);
    let page = page_of(&workspace, &run);
    assert!(page.contains(words) && !page.contains("XID 13"), "{page}");
}

#[test]
fn sigkill_by_a_person_is_not_the_kernels_want_of_memory() {
    let (workspace, cause) = cause_of("killalways@1");
    assert_eq!(cause, Cause::Killed { signal: 9 });
    assert!(look(&workspace.seed("x", 1)).status.word() == "killed");
    let text = workspace.overnight(&["status"]).stdout;
    assert!(text.contains("killed by SIGKILL (9), by a person or another program"), "{text}");
}

#[test]
fn a_worker_that_eats_its_control_groups_memory_is_killed_by_the_kernel_and_that_is_said() {
    let Some(group) = MemoryGroup::make(96 << 20) else { return };
    let workspace = Workspace::new().experiment("x", 6, &[1, 2], "s1:eat@3");
    let run = || workspace.run_in(&group.path.join("cgroup.procs"), &[X]);
    // While the kernel gives the memory of one it killed back, it may take the runner as well: the next goes on.
    let is_killed = |output: &Output| output.status.signal() == Some(9);
    let ended = (0..10).map(|_| run()).find(|output| !is_killed(output));
    ended.expect("a runner that lives to its end").code(100).says("the kernel killed it");
    assert_eq!(workspace.words("x"), ["killed", "finished"]);
    let end = ends(&workspace.seed("x", 1)).pop().unwrap();
    assert_eq!((end.signal, end.cause), (Some(9), Some(Cause::KernelOutOfMemory)));
    let trouble = trouble(&workspace);
    assert_eq!(trouble["cause"]["kind"], "kernel-out-of-memory");
    assert!(trouble["advice"].as_str().unwrap().contains("--slots"));
}

/// A control group that has only so much memory, gone when the test is done with it.
struct MemoryGroup {
    path: PathBuf,
}

impl MemoryGroup {
    /// `None` with a printed reason where this process may make none.
    fn make(bytes: u64) -> Option<MemoryGroup> {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let roots = own.lines().filter_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?.trim_start_matches('/'));
            match controllers {
                "" => Some((Path::new("/sys/fs/cgroup").join(path), "memory.max")),
                list if list.split(',').any(|one| one == "memory") => {
                    Some((Path::new("/sys/fs/cgroup/memory").join(path), "memory.limit_in_bytes"))
                }
                _ => None,
            }
        });
        for (root, limit) in roots {
            let group = MemoryGroup { path: root.join(format!("overnight-test-{}", std::process::id())) };
            let is_made = fs::create_dir(&group.path).is_ok()
                && fs::write(group.path.join(limit), bytes.to_string()).is_ok()
                && group.path.join("cgroup.procs").exists();
            if is_made {
                return Some(group);
            }
        }
        println!("skipped: no memory control group can be made here");
        None
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        drop(fs::remove_dir(&self.path));
    }
}
