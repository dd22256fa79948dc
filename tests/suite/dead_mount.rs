//! Data that do not answer any more, as on a server that is gone: a file system by bindfs that is stopped.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::namespace::with_own_mounts;
use crate::workspace::{Workspace, wait_until};

/// A folder that answers only while its process may work.
struct Mount {
    bindfs: Child,
}

impl Mount {
    /// `None`, with a printed reason, where there is no bindfs or no FUSE.
    fn of(below: &Path, at: &Path, file: &str) -> Option<Mount> {
        let mut command = Command::new("bindfs");
        command.args(["-f", "-o", "attr_timeout=0,entry_timeout=0"]).arg(below).arg(at);
        let Ok(bindfs) = command.stdin(Stdio::null()).spawn() else {
            println!("skipped: bindfs is not installed");
            return None;
        };
        let mut mount = Mount { bindfs };
        let mut has_ended = false;
        wait_until("it is mounted or refused", || {
            has_ended = mount.bindfs.try_wait().unwrap().is_some();
            has_ended || at.join(file).is_file()
        });
        if has_ended {
            println!("skipped: bindfs cannot mount");
        }
        (!has_ended).then_some(mount)
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.bindfs), signal).unwrap();
    }
}

impl Drop for Mount {
    /// Whoever waits for it gets an error.
    fn drop(&mut self) {
        drop(self.bindfs.kill());
        drop(self.bindfs.wait());
    }
}

#[test]
fn a_run_whose_data_do_not_answer_is_named_gives_its_slot_to_others_and_can_be_stopped() {
    let name =
        "dead_mount::a_run_whose_data_do_not_answer_is_named_gives_its_slot_to_others_and_can_be_stopped";
    with_own_mounts(name, || {
        let text = "[data]\nkind = \"text\"\nfiles = [\"../data/a.txt\"]\n[model]\nkind = \"gpt\"\n\
                    context = 8\n[train]\nsteps = 4\n";
        let workspace = Workspace::new()
            .experiment("y", 4, &[1], "")
            .file("experiments/x.toml", text)
            .file("below/a.txt", &"to be or not to be ".repeat(50))
            .file("overnight.toml", "[runner]\ndata_seconds = 1\n");
        let (below, data) = (workspace.path("below"), workspace.path("data"));
        fs::create_dir(&data).unwrap();
        let Some(mount) = Mount::of(&below, &data, "a.txt") else { return };
        workspace.overnight(&["queue", "experiments/x.toml"]).code(0);
        workspace.overnight(&["queue", "experiments/y.toml"]).code(0);
        mount.signal(Signal::STOP);
        let runner = workspace.start(&["--slots", "1"]);
        let is_named = |words: &str| words.contains("its data have not answered for");
        wait_until("the other run is done", || workspace.words("y") == ["finished"]);
        wait_until("the first is named", || {
            workspace.queue_state().waiting.iter().any(|run| is_named(&run.reason))
        });
        let waiting = workspace.queue_state().waiting;
        let ends_with_path =
            |run: &overnight::run_dir::records::WaitingRun| run.reason.ends_with("data/a.txt");
        assert!(waiting.iter().any(ends_with_path), "{waiting:?}");
        assert!(is_named(&runner.said()), "{}", runner.said());
        assert!(workspace.events().iter().any(|event| event.event == "unanswered"));

        workspace.overnight(&["stop", "x"]).code(0);
        runner.wait();
        assert_eq!(workspace.words("x"), ["stopped"], "nobody waited for its data any more");

        mount.signal(Signal::CONT);
        workspace.overnight(&["resume", "x"]).code(0);
        workspace.run(&[]).code(0);
        assert_eq!(workspace.words("x"), ["finished"]);
        assert!(fs::metadata(data.join("a.txt")).is_ok());
    });
}
