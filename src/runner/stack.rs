//! The stacks of a worker that hangs, for whoever looks into it in the morning. What a debugger says
//! where there is one, else what the kernel tells of each thread.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::child::Handle;
use crate::run_dir::write::{Durability, replace};

/// A debugger that takes longer is given up.
const LIMIT: Duration = Duration::from_secs(30);

/// Saves the stacks of a process to `path`, where any can be had, and kills it then. To be spawned: a
/// debugger takes its time, and the loop must hear signals and ends meanwhile.
pub async fn save_and_kill(handle: Handle, path: PathBuf) {
    let text = match debugger(handle.process).await {
        Some(text) => text,
        None => kernel(handle.process),
    };
    if !text.is_empty() {
        // A disk that is full costs the stack, not the kill.
        drop(replace(&path, text.as_bytes(), Durability::Rebuildable));
    }
    drop(handle.kill());
}

async fn debugger(process: u32) -> Option<String> {
    let mut command = Command::new("gdb");
    command
        .args(["-nx", "-batch", "-ex", "thread apply all backtrace", "-p", &process.to_string()])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(LIMIT, command.output()).await.ok()?.ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.contains("Thread").then_some(text)
}

/// State, place in the kernel and system call of each thread.
fn kernel(process: u32) -> String {
    let mut text = String::new();
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return text };
    for thread in threads.flatten() {
        let read = |file: &str| fs::read_to_string(thread.path().join(file)).unwrap_or_default();
        let status = read("status");
        let line =
            |name: &str| status.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "thread {}\n{}\n{}\nwaits in {}\nsystem call {}\n{}",
            thread.file_name().to_string_lossy(),
            line("Name:"),
            line("State:"),
            read("wchan"),
            read("syscall").trim(),
            read("stack")
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn a_process_is_killed_once_its_stack_is_saved() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stack-1.txt");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let status = runtime.block_on(async {
            let mut child = Command::new("sleep").arg("600").spawn().unwrap();
            let handle = Handle::open(child.id().unwrap()).unwrap();
            save_and_kill(handle, path.clone()).await;
            child.wait().await.unwrap()
        });
        assert_eq!(status.signal(), Some(9));
        assert!(!fs::read_to_string(path).unwrap().is_empty());
    }

    #[test]
    fn every_thread_of_a_process_is_told() {
        let text = kernel(std::process::id());
        assert!(text.contains("Name:") && text.contains("State:"), "{text}");
        assert_eq!(kernel(u32::MAX), "");
    }
}
