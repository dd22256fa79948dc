//! TensorBoard on the same scalars: from its start until it has loaded every run.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::Value;

use super::scalars::Scalars;
use super::{median_of, say};

/// Names its program; `scripts/tensorboard` prints one.
const PROGRAM: &str = "TENSORBOARD";
const LIMIT: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(50);

pub fn measure(scalars: &Scalars) -> anyhow::Result<()> {
    let Some(program) = std::env::var_os(PROGRAM).filter(|program| !program.is_empty()) else {
        println!(
            "TensorBoard beside it: left out, {PROGRAM} names no program (scripts/tensorboard gets one)"
        );
        return Ok(());
    };
    let mut memory = 0;
    let loaded = median_of(3, || {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new(&program);
        command.arg("--logdir").arg(&scalars.events).args(["--load_fast", "true", "--host", "127.0.0.1"]);
        command.args(["--port", &port.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut running = Running(command.spawn().context("TensorBoard does not start")?);
        let begun = Instant::now();
        while !has_all(port, scalars).unwrap_or(false) {
            anyhow::ensure!(begun.elapsed() < LIMIT, "TensorBoard did not load all runs within {LIMIT:?}");
            anyhow::ensure!(running.0.try_wait()?.is_none(), "TensorBoard ended by itself");
            std::thread::sleep(POLL);
        }
        memory = memory.max(peak_mib(running.0.id()));
        Ok(())
    })?;
    say("TensorBoard with its fast loader, until all are loaded", loaded);
    println!("{:<58} {memory} MiB", "its memory at its height");
    Ok(())
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Its loader is a process of its own, and ends when the pipe from this one is closed.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Whether all runs are there, and the last of them up to its last step.
fn has_all(port: u16, scalars: &Scalars) -> anyhow::Result<bool> {
    let tags = get(port, "/data/plugin/scalars/tags")?;
    let tags = tags.as_object().context("no table of tags")?;
    if tags.len() < scalars.runs as usize || !tags.values().all(|run| run.get("train/loss").is_some()) {
        return Ok(false);
    }
    let reaches = |run: &String| {
        let series = get(port, &format!("/data/plugin/scalars/scalars?run={run}&tag=train%2Floss"))?;
        let last = series.as_array().and_then(|points| points.last()?.get(1)?.as_u64());
        anyhow::Ok(last == Some(u64::from(scalars.last_step)))
    };
    // Runs are loaded side by side, so the last name alone says little; all of them would be work of its own.
    let asked = tags.keys().step_by((tags.len() / 10).max(1)).chain(tags.keys().next_back());
    asked.map(reaches).try_fold(true, |all, one| Ok(all && one?))
}

fn get(port: u16, path: &str) -> anyhow::Result<Value> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let body = answer.windows(4).position(|four| four == b"\r\n\r\n").context("no answer")?;
    Ok(serde_json::from_slice(&answer[body + 4..])?)
}

/// Of a process and its children together.
fn peak_mib(process: u32) -> u64 {
    let text = |path: String| fs::read_to_string(path).unwrap_or_default();
    let children = text(format!("/proc/{process}/task/{process}/children"));
    let children = children.split_whitespace().filter_map(|child| child.parse().ok());
    let status = text(format!("/proc/{process}/status"));
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let own = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) >> 10;
    own + children.map(peak_mib).sum::<u64>()
}
