//! Tests that mount something: each runs once more, alone, in a mount namespace of its own, which the
//! kernel clears up when its last process has ended.

use std::path::Path;
use std::process::Command;

/// Set in the process that runs in a namespace of its own.
const MARK: &str = "OVERNIGHT_TEST_OWN_MOUNTS";

/// Runs `body` in a mount namespace of its own; `test` is the whole name of the test that calls this.
/// Prints why where that is not allowed.
#[track_caller]
pub fn with_own_mounts(test: &str, body: impl FnOnce()) {
    if std::env::var_os(MARK).is_some() {
        return body();
    }
    let mut unshare = Command::new("unshare");
    unshare.args(if rustix::process::geteuid().is_root() {
        &["--mount"][..]
    } else {
        &["--mount", "--map-root-user"]
    });
    let probe = Command::new("unshare").args(unshare.get_args()).arg("true").output();
    if !probe.is_ok_and(|output| output.status.success()) {
        println!("skipped: this machine allows no mount namespace");
        return;
    }
    unshare.arg(std::env::current_exe().unwrap()).args(["--exact", test, "--nocapture"]).env(MARK, "1");
    let output = unshare.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}\n{errors}");
}

/// Mounts a file system in memory; false, with a printed reason, where that is not allowed.
pub fn mount_small_disk(path: &Path, kib: u32) -> bool {
    mount_in_memory(path, &format!("size={kib}k"))
}

/// The same with these options of tmpfs.
pub fn mount_in_memory(path: &Path, options: &str) -> bool {
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(path);
    let is_mounted = mount.output().is_ok_and(|output| output.status.success());
    if !is_mounted {
        println!("skipped: this machine lets nobody mount a tmpfs");
    }
    is_mounted
}

/// Lets the file `with` be read in the place of `path`; false, with a printed reason, where that is not
/// allowed.
pub fn cover(path: &str, with: &Path) -> bool {
    let is_covered = Command::new("mount").arg("--bind").arg(with).arg(path).status();
    let is_covered = is_covered.is_ok_and(|status| status.success());
    if !is_covered {
        println!("skipped: this machine lets nobody cover {path}");
    }
    is_covered
}
