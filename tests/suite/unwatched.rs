//! A file system that tells nobody of changes made elsewhere: a second view of the workspace, by bindfs.
//! What is looked at again and again is the truth; events are a hint.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

use crate::namespace::with_own_mounts;
use crate::workspace::{Workspace, look, step, wait_until};

const X: &str = "experiments/x.toml";

/// The same folder under another name, until this is dropped.
struct View {
    path: PathBuf,
}

impl View {
    /// `None`, with a printed reason, where there is no bindfs or no FUSE.
    fn mount(of: &Path, at: &Path) -> Option<View> {
        // It wants to hide nothing.
        fs::remove_dir(at.join("experiments")).unwrap();
        let mut bindfs = Command::new("bindfs");
        // Locks reach the folder below: without that no file system of this kind could hold runs.
        bindfs.args(["--multithreaded", "--enable-lock-forwarding", "-o", "attr_timeout=0,entry_timeout=0"]);
        match bindfs.arg(of).arg(at).output() {
            Ok(output) if output.status.success() => Some(View { path: at.to_owned() }),
            Ok(output) => {
                println!("skipped: bindfs: {}", String::from_utf8_lossy(&output.stderr).trim());
                None
            }
            Err(_) => {
                println!("skipped: bindfs is not installed");
                None
            }
        }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.path).output());
    }
}

#[test]
fn the_watcher_sees_what_happens_below_a_file_system_without_events() {
    with_own_mounts("unwatched::the_watcher_sees_what_happens_below_a_file_system_without_events", || {
        let below = Workspace::new().experiment("x", 6, &[1, 2], "s2:fail@3");
        let above = Workspace::new();
        let Some(_view) = View::mount(&below.path(""), &above.path("")) else { return };
        let watcher = above.spawn(&["report", "--watch"]);
        let index = below.path("reports/index.html");
        wait_until("there is a first page", || index.exists());
        below.run(&[X]).code(100);
        let says = |words: &str| fs::read_to_string(&index).is_ok_and(|page| page.contains(words));
        wait_until("the page tells of both ends", || {
            says("1 run finished") && says("told to fail at step 3")
        });
        drop(watcher);
    });
}

#[test]
fn the_runner_sees_what_is_asked_and_queued_below_a_file_system_without_events() {
    with_own_mounts(
        "unwatched::the_runner_sees_what_is_asked_and_queued_below_a_file_system_without_events",
        || {
            let below = Workspace::new().experiment("x", 6, &[1], "hold@3").experiment("y", 4, &[1], "");
            let above = Workspace::new();
            let Some(_view) = View::mount(&below.path(""), &above.path("")) else { return };
            let runner = above.start(&[X, "--slots", "2"]);
            wait_until("it holds", || below.runs("x").len() == 1 && step(&below.seed("x", 1)) == 3);
            assert_eq!(below.words("x"), ["running"], "its lock is seen from below");
            below.overnight(&["queue", "experiments/y.toml"]).code(0);
            let is_finished = || below.words("y") == ["finished"];
            wait_until("what was queued below is done", is_finished);
            below.overnight(&["pause", "x"]).code(0);
            wait_until("the pause is obeyed", || look(&below.seed("x", 1)).status.word() == "paused");
            runner.signal(Signal::INT);
            runner.wait().code(0);
        },
    );
}
