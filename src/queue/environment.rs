//! Where a run comes from: the commit and the uncommitted diff of the workspace, asked of git itself.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::run_dir::records::Environment;
use crate::run_dir::{Workspace, scan};

/// Bytes of a diff that are kept.
const MOST_DIFF: u64 = 1 << 20;

/// The environment of runs that are queued now, without their data. A workspace outside of git, or a
/// machine without it, has no commit: that is not an error.
pub fn of_workspace(workspace: &Workspace) -> Environment {
    let root = workspace.root();
    let git_commit = git(root, &["rev-parse", "HEAD"]);
    let (git_diff, git_diff_cut) = if git_commit.is_some() { diff(root) } else { (String::new(), false) };
    Environment {
        program: env!("CARGO_PKG_VERSION").to_owned(),
        host: scan::host(),
        git_branch: git(root, &["symbolic-ref", "--quiet", "--short", "HEAD"]),
        git_commit,
        git_diff,
        git_diff_cut,
        data: Vec::new(),
        stamps: Vec::new(),
        sent: None,
    }
}

fn command(root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    // No pager, no lock on the index, no programs that a repository's configuration names.
    command.args(["--no-pager", "--no-optional-locks", "-c", "core.fsmonitor=false"]);
    command.args(arguments).current_dir(if root.as_os_str().is_empty() { Path::new(".") } else { root });
    command.stdin(Stdio::null()).stderr(Stdio::null());
    command
}

fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let output = command(root, arguments).output().ok()?;
    let answer = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !answer.is_empty()).then_some(answer)
}

fn diff(root: &Path) -> (String, bool) {
    let spawned = command(root, &["diff", "--no-ext-diff", "--no-textconv", "--no-color", "HEAD"])
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = spawned else { return (String::new(), false) };
    let mut bytes = Vec::new();
    if let Some(output) = child.stdout.take() {
        // One byte more than is kept tells whether there was more.
        let _ = output.take(MOST_DIFF + 1).read_to_end(&mut bytes);
    }
    let _ = child.kill();
    let _ = child.wait();
    let is_cut = bytes.len() as u64 > MOST_DIFF;
    bytes.truncate(MOST_DIFF as usize);
    (String::from_utf8_lossy(&bytes).into_owned(), is_cut)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_folder_outside_of_git_has_no_commit() {
        let folder = tempfile::tempdir().unwrap();
        let environment = of_workspace(&Workspace::new(folder.path()));
        assert_eq!((environment.git_commit, environment.git_diff.as_str()), (None, ""));
    }

    #[test]
    fn commit_and_diff_are_recorded_and_a_long_diff_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let run = |arguments: &[&str]| {
            let identity =
                ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"];
            let output = Command::new("git")
                .args(identity)
                .args(arguments)
                .current_dir(folder.path())
                .output()
                .unwrap();
            assert!(output.status.success(), "{output:?}");
        };
        run(&["init", "-q", "-b", "trunk"]);
        fs::write(folder.path().join("a"), "one\n").unwrap();
        run(&["add", "a"]);
        run(&["commit", "-qm", "first"]);
        fs::write(folder.path().join("a"), "two\n").unwrap();
        let environment = of_workspace(&Workspace::new(folder.path()));
        assert_eq!(environment.git_branch.as_deref(), Some("trunk"));
        assert_eq!(environment.git_commit.map(|commit| commit.len()), Some(40));
        assert!(environment.git_diff.contains("-one\n+two"), "{}", environment.git_diff);
        fs::write(folder.path().join("a"), "long\n".repeat(400_000)).unwrap();
        let environment = of_workspace(&Workspace::new(folder.path()));
        assert!(environment.git_diff_cut);
        assert_eq!(environment.git_diff.len() as u64, MOST_DIFF);
    }
}
