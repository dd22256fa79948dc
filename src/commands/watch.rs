//! `overnight status --watch`: the runner's live view from any terminal. It reads what the runner wrote
//! for it and the progress of the few runs at work, so it costs nothing in a workspace of thousands.

use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use jiff::Zoned;
use jiff::tz::TimeZone;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{SignalKind, signal};

use super::text;
use crate::exit::Exit;
use crate::run_dir::records::{Batch, QueueState, RunnerLock};
use crate::run_dir::{BatchDir, Workspace, lock, read, scan};
use crate::runner::view::{self, Facts, Line, LiveRun, PLAIN_INTERVAL, Screen, Size, Stream, clock};

/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// Shows the view until somebody types q or Ctrl-C; without a terminal, plain lines now and then.
///
/// # Errors
/// Signals cannot be listened to, or standard output is closed.
pub fn batch(workspace: &Workspace) -> anyhow::Result<Exit> {
    let seen = || Ok(facts(workspace));
    let drawn = |facts: &Facts, size| view::lines(facts, size, &TimeZone::system());
    match Screen::open(Stream::Output) {
        Some(screen) => on_screen(screen, seen, drawn),
        None => in_lines(workspace),
    }
}

/// Shows a table again and again. One that is higher than the terminal is cut.
///
/// # Errors
/// As [`batch`], or what `seen` gives.
pub fn table(seen: impl Fn() -> anyhow::Result<Vec<Line>>) -> anyhow::Result<Exit> {
    let drawn = |lines: &Vec<Line>, size: Size| {
        lines.iter().take(size.height).map(|line| line.clone().cut(size.width)).collect()
    };
    match Screen::open(Stream::Output) {
        Some(screen) => on_screen(screen, seen, drawn),
        None => anyhow::bail!("watching runs by name needs a terminal (without one: overnight status RUN)"),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn on_screen<T>(
    mut screen: Screen,
    see: impl Fn() -> anyhow::Result<T>,
    draw: impl Fn(&T, Size) -> Vec<Line>,
) -> anyhow::Result<Exit> {
    let mut int = signal(SignalKind::interrupt())?;
    let mut term = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut resized = signal(SignalKind::window_change())?;
    let mut continued = signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?;
    let keys = Keys::listen();
    let mut tick = tokio::time::interval(INTERVAL);
    let mut seen = see()?;
    loop {
        let size = screen.size();
        let mut lines = draw(&seen, size);
        let hint = Line::new().with(text::DIM, "q ends this view and nothing else");
        if keys.is_some() && lines.len() < size.height {
            lines.push(hint.cut(size.width));
        }
        screen.draw(&[], &lines);
        tokio::select! {
            _ = int.recv() => break,
            _ = term.recv() => break,
            _ = hangup.recv() => break,
            true = typed_q(keys.as_ref()) => break,
            _ = resized.recv() => {}
            // Whoever stopped us gave the keyboard back to the shell.
            _ = continued.recv() => if let Some(keys) = &keys { keys.take() },
            _ = tick.tick() => seen = see()?,
        }
    }
    screen.keep();
    Ok(Exit::Success)
}

fn in_lines(workspace: &Workspace) -> anyhow::Result<Exit> {
    let mut last: Option<Instant> = None;
    let mut said = Vec::new();
    loop {
        let facts = facts(workspace);
        let is_due = last.is_none_or(|last| last.elapsed() >= PLAIN_INTERVAL);
        // That nobody works any more is said at once, and once.
        if last.is_none() || facts.remarks != said || (is_due && !facts.live.is_empty()) {
            last = Some(Instant::now());
            said.clone_from(&facts.remarks);
            let mut out = io::stdout().lock();
            for line in view::standing(&Zoned::now(), &facts) {
                writeln!(out, "{line}")?;
            }
        }
        std::thread::sleep(INTERVAL);
    }
}

/// What there is to see: of the batch at work, else of the newest.
fn facts(workspace: &Workspace) -> Facts {
    let now = scan::now();
    let zone = TimeZone::system();
    let holder = holder(workspace);
    let at_work = batch_at_work(workspace);
    let is_at_work = at_work.is_some();
    let Some(batch) = at_work.or_else(|| scan::batches(workspace).pop()) else {
        let remark = absence(holder.as_ref(), None, now, &zone);
        return Facts { now, remarks: vec![remark], ..Facts::default() };
    };
    let state: QueueState = read::json_if_there(&batch.queue_json()).ok().flatten().unwrap_or_default();
    let host = scan::host();
    let runs = state.running.iter().map(|run| workspace.run(&run.experiment, &run.run));
    let seen = runs.map(|run| scan::look(&run, &host, now)).filter(|seen| seen.status.is_running());
    let live: Vec<LiveRun> = seen.map(|seen| LiveRun::of(&seen)).collect();
    let mut facts = Facts { now, ..Facts::of(&state, live) };
    if !is_at_work {
        let record: Option<Batch> = read::json_if_there(&batch.batch_json()).ok().flatten();
        facts.counts.running = facts.live.len();
        facts.end = None;
        facts.remarks = vec![absence(holder.as_ref(), record.as_ref(), now, &zone)];
    }
    facts
}

/// Who works in the workspace.
pub fn holder(workspace: &Workspace) -> Option<RunnerLock> {
    let path = workspace.runner_lock();
    read::json::<RunnerLock>(&path).ok().filter(|_| lock::is_held(&path))
}

/// The batch that a runner works on at this moment.
pub fn batch_at_work(workspace: &Workspace) -> Option<BatchDir> {
    let batch = BatchDir::new(workspace.batches().join(holder(workspace)?.batch));
    batch.batch_json().is_file().then_some(batch)
}

/// Why nothing moves: `last` is the newest batch.
fn absence(holder: Option<&RunnerLock>, last: Option<&Batch>, now: f64, zone: &TimeZone) -> String {
    let last = match last {
        None => "nothing has run here yet".to_owned(),
        Some(Batch { end: Some(end), exit_code, .. }) => format!(
            "the last batch ended at {} with exit code {}",
            clock(*end, now, zone),
            exit_code.map_or("unknown".into(), |code| code.to_string())
        ),
        Some(Batch { start, .. }) => {
            format!(
                "the last batch, begun at {}, was broken off (overnight run goes on)",
                clock(*start, now, zone)
            )
        }
    };
    match holder {
        Some(holder) => format!("the runner (process {}) waits for work; {last}", holder.process),
        None => format!("no runner is at work; {last}"),
    }
}

/// The keyboard without its line editing, so that a single key is heard. Given back when dropped.
struct Keys {
    before: Termios,
    input: AsyncFd<OwnedFd>,
}

impl Keys {
    fn listen() -> Option<Keys> {
        if !io::stdin().is_terminal() {
            return None;
        }
        let before = tcgetattr(io::stdin().as_fd()).ok()?;
        let input = io::stdin().as_fd().try_clone_to_owned().ok()?;
        #[expect(
            deprecated,
            reason = "an OwnedFd cannot lose its descriptor, which is all its successor asks"
        )]
        let input = AsyncFd::with_interest(input, Interest::READABLE).ok()?;
        let keys = Keys { before, input };
        keys.take();
        Some(keys)
    }

    /// Ctrl-C and Ctrl-Z stay what they are.
    fn take(&self) {
        let mut single = self.before.clone();
        single.local_modes &= !(LocalModes::ICANON | LocalModes::ECHO);
        let _ = tcsetattr(io::stdin().as_fd(), OptionalActions::Now, &single);
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin().as_fd(), OptionalActions::Now, &self.before);
    }
}

/// Waits for a key, and says whether it ends the view. Without a keyboard it waits for ever.
async fn typed_q(keys: Option<&Keys>) -> bool {
    let Some(keys) = keys else { return std::future::pending().await };
    let Ok(mut ready) = keys.input.readable().await else { return std::future::pending().await };
    let mut typed = [0; 64];
    let read = rustix::io::read(keys.input.get_ref(), &mut typed);
    ready.clear_ready();
    match read {
        // The terminal is gone.
        Ok(0) | Err(_) => true,
        Ok(count) => typed[..count].iter().any(|key| matches!(key, b'q' | b'Q')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_work_is_named_with_how_the_last_batch_ended() {
        let holder =
            RunnerLock { host: "here".to_owned(), process: 7, since: 0, batch: RunnerLock::WAITS.to_owned() };
        let (now, zone) = (7200.0, TimeZone::UTC);
        let record = serde_json::json!({
            "protocol": 1, "host": "here", "process": 7, "start": 3600.0, "end": null, "exit_code": null,
            "arguments": [], "slots": 1, "threads_per_slot": 1, "plan": [],
        });
        let mut batch: Batch = serde_json::from_value(record).unwrap();
        let said = |holder: Option<&RunnerLock>, last: Option<&Batch>| absence(holder, last, now, &zone);
        assert_eq!(
            said(Some(&holder), None),
            "the runner (process 7) waits for work; nothing has run here yet"
        );
        batch.end = Some(3660.0);
        batch.exit_code = Some(0);
        assert_eq!(
            said(Some(&holder), Some(&batch)),
            "the runner (process 7) waits for work; the last batch ended at 01:01 with exit code 0"
        );
        batch.end = None;
        assert_eq!(
            said(None, Some(&batch)),
            "no runner is at work; the last batch, begun at 01:00, was broken off (overnight run goes on)"
        );
    }
}
