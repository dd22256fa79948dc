//! A disk that fills while runs go on: nothing is lost, and everything goes on when there is room.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use overnight::run_dir::cause::Cause;
use overnight::run_dir::checkpoint::steps;
use rustix::process::Signal;

use crate::namespace::{mount_in_memory, mount_small_disk, with_own_mounts};
use crate::workspace::{Running, Workspace, ends, look, starts, step, wait_to_see, wait_until};

const X: &str = "experiments/x.toml";

/// Takes all room on the disk that `path` lies on.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    let block = [1; 4096];
    // More than the small disk of a test: a real one is left alone.
    let written = (0..16_384).take_while(|_| file.write_all(&block).is_ok()).count();
    assert!(written < 16_384, "{} is on no small disk", path.display());
}

/// A workspace on a disk of 4 MiB; none, with a printed reason, where nothing can be mounted.
fn on_a_small_disk(notes: &str, seeds: &[u64]) -> Option<Workspace> {
    let workspace = Workspace::new();
    mount_small_disk(&workspace.path(""), 4096).then_some(())?;
    fs::create_dir(workspace.path("experiments")).unwrap();
    Some(workspace.experiment("x", 6, seeds, notes))
}

fn held(workspace: &Workspace, runner: &Running) {
    wait_until("the queue is held", || runner.said().contains("it goes on when there is room"));
    // It says so at once, and writes it down within a second.
    let status = || workspace.overnight(&["status"]).code(0).stdout;
    wait_to_see("status says so, too", status, |status| status.contains("the disk of runs/ has"));
}

fn nothing_half_written(run: &overnight::run_dir::RunDir) {
    for entry in fs::read_dir(run.checkpoints()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(!name.starts_with('.'), "{name} was left behind");
    }
    for file in [run.attempts(), run.events(), run.metrics()] {
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.ends_with('\n'), "{} ends within a line", file.display());
    }
}

#[test]
fn a_run_that_finds_the_disk_full_waits_and_goes_on_when_there_is_room() {
    with_own_mounts("disk::a_run_that_finds_the_disk_full_waits_and_goes_on_when_there_is_room", || {
        let Some(workspace) = on_a_small_disk("s1:fill@5", &[1, 2]) else { return };
        let runner = workspace.start(&[X]);
        held(&workspace, &runner);
        wait_until("the end is written or put off", || {
            runner.said().contains("ended") || look(&workspace.seed("x", 1)).status.word() == "lost"
        });
        fs::remove_file(workspace.path("ballast")).unwrap();
        runner.wait().code(0).says("there is room on the disk again");
        let run = workspace.seed("x", 1);
        assert_eq!(workspace.words("x"), ["finished"; 2]);
        let end = &ends(&run)[0];
        assert_eq!((end.code, end.cause.clone(), end.checkpoint), (Some(74), Some(Cause::DiskFull), Some(4)));
        assert_eq!(starts(&run)[1].checkpoint, Some(4), "it goes on from its last good checkpoint");
        assert_eq!(steps(&run).last(), Some(&6));
        nothing_half_written(&run);
    });
}

#[test]
fn a_runner_that_cannot_write_an_end_keeps_it_until_it_can() {
    with_own_mounts("disk::a_runner_that_cannot_write_an_end_keeps_it_until_it_can", || {
        let Some(workspace) = on_a_small_disk("s1:hold@3", &[1, 2]) else { return };
        let runner = workspace.start(&[X]);
        wait_until("it holds", || workspace.runs("x").len() == 2 && step(&workspace.seed("x", 1)) == 3);
        let run = workspace.seed("x", 1);
        // A block is taken whole: nothing is left of it for the end.
        let mut attempts = File::options().append(true).open(run.attempts()).unwrap();
        let rest = 4096 - attempts.metadata().unwrap().len() % 4096;
        attempts.write_all(&vec![b'\n'; rest as usize]).unwrap();
        fill(&workspace.path("ballast"));
        // Not by its runner: an ordinary bad end, whose line the disk does not take.
        let worker = runner.children("train")[0];
        rustix::process::kill_process(rustix::process::Pid::from_raw(worker).unwrap(), Signal::ABORT)
            .unwrap();
        held(&workspace, &runner);
        wait_until("its worker is gone", || look(&run).status.word() == "lost");
        assert!(ends(&run).is_empty());
        fs::remove_file(workspace.path("ballast")).unwrap();
        runner.wait().code(0);
        assert_eq!(workspace.words("x"), ["finished"; 2]);
        let end = &ends(&run)[0];
        assert_eq!(end.signal, Some(6), "as it was seen, not as a lost one");
        nothing_half_written(&run);
    });
}

#[test]
fn a_batch_that_finds_a_full_disk_waits_and_can_be_ended() {
    with_own_mounts("disk::a_batch_that_finds_a_full_disk_waits_and_can_be_ended", || {
        let Some(workspace) = on_a_small_disk("", &[1]) else { return };
        workspace.overnight(&["queue", X]).code(0);
        fill(&workspace.path("ballast"));
        let runner = workspace.start(&[]);
        held(&workspace, &runner);
        runner.signal(Signal::INT);
        runner.wait().code(75);
        assert_eq!(workspace.words("x"), ["waiting"]);
        let runner = workspace.start(&[]);
        held(&workspace, &runner);
        fs::remove_file(workspace.path("ballast")).unwrap();
        runner.wait().code(0);
        assert_eq!(workspace.words("x"), ["finished"]);
    });
}

#[test]
fn a_limit_on_the_size_of_files_ends_neither_runner_nor_worker_without_a_word() {
    let workspace = Workspace::new().experiment("x", 6, &[1, 2, 3], "");
    workspace.overnight(&["queue", X]).code(0);
    // What the first one's worker and the second one's runner have to write into is beyond it already.
    for file in [workspace.seed("x", 1).events(), workspace.seed("x", 2).attempts()] {
        fs::write(file, "\n".repeat(2 << 20)).unwrap();
    }
    let output = workspace.run_by(&["sh", "-c", "ulimit -f 2048 && exec \"$@\"", "sh"], &["--slots", "1"]);
    let output = output.code(100).says("raise it (ulimit -f unlimited)");
    assert_eq!(workspace.words("x"), ["failed", "waiting", "finished"]);
    let end = &ends(&workspace.seed("x", 1))[0];
    assert_eq!((end.code, end.cause.clone()), (Some(74), Some(Cause::FileSizeLimit)));
    let left = format!("left     x/{}: ", workspace.seed("x", 2).name());
    assert!(output.stderr.contains(&left), "{}", output.stderr);
    let status = workspace.overnight(&["status"]).stdout;
    assert!(status.contains("LimitFSIZE"), "{status}");
}

#[test]
fn what_is_started_finds_the_limit_on_the_size_of_files_as_it_was() {
    let hook = "[[hooks]]\non = [\"batch-finished\"]\ncommand = 'grep ^Sig /proc/self/status > signals'\n";
    let workspace = Workspace::new().experiment("x", 2, &[1], "").file("overnight.toml", hook);
    workspace.run(&[X]).code(0);
    let signals = fs::read_to_string(workspace.path("signals")).unwrap();
    let line = signals.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    let ignored = u64::from_str_radix(line.trim(), 16).unwrap();
    // SIGXFSZ is number 25 on all that this program runs on.
    assert_eq!(ignored & (1 << 24), 0, "{signals}");
}

#[test]
fn a_disk_that_has_bytes_but_no_file_left_holds_the_queue_until_it_has() {
    with_own_mounts("disk::a_disk_that_has_bytes_but_no_file_left_holds_the_queue_until_it_has", || {
        let workspace = Workspace::new();
        if !mount_in_memory(&workspace.path(""), "size=64m,nr_inodes=400") {
            return;
        }
        fs::create_dir(workspace.path("experiments")).unwrap();
        let workspace = workspace.experiment("x", 8, &[1, 2], "s1:await@3");
        let runner = workspace.start(&[X]);
        wait_until("the first run has begun", || {
            !workspace.runs("x").is_empty() && step(&workspace.seed("x", 1)) == 3
        });
        let ballast = workspace.path("ballast");
        fs::create_dir(&ballast).unwrap();
        let mut files = (0..).take_while(|number| File::create(ballast.join(number.to_string())).is_ok());
        assert!(files.by_ref().count() > 100);
        // A name moves without another file.
        fs::rename(ballast.join("0"), workspace.seed("x", 1).path().join("go-on")).unwrap();
        wait_until("the queue is held", || {
            runner.said().contains("more files (df -i); it goes on when there is room")
        });
        fs::remove_dir_all(&ballast).unwrap();
        runner.wait().code(0).says("there is room on the disk again");
        assert_eq!(workspace.words("x"), ["finished"; 2]);
    });
}
