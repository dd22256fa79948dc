//! Keeping the report fresh: the watcher says where to look, the report looks there.

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};

use super::text;
use crate::report::{Built, Copying, Report, ReportError, Scope};
use crate::run_dir::Workspace;
use crate::watch::{self, Hint, Pace};

/// Builds whenever something changes, until `stop` is set. Each build is told to `told`; one that
/// fails leaves the last good pages where they are.
pub fn keep_fresh(
    workspace: &Workspace,
    stop: &AtomicBool,
    mut told: impl FnMut(Result<&Built, &ReportError>),
) -> std::io::Result<()> {
    let mut report = Report::open(workspace.root());
    let copying = Copying::start(workspace)?;
    let build = |hint: &Hint| {
        let scope = match hint {
            Hint::Everything => Scope::All,
            Hint::Runs(runs) => {
                copying.note(runs);
                Scope::Runs(runs.iter().cloned().collect())
            }
        };
        let built = report.refresh(&scope);
        told(built.as_ref());
        built.map(drop)
    };
    watch::watch(workspace, stop, &Pace::default(), build, |_| {})
}

/// Sets `stop` at Ctrl-C or SIGTERM, and for a child of the runner when its standard input closes:
/// that happens when the runner dies, whatever killed it.
pub fn stop_when_asked(stop: &'static AtomicBool) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let entered = runtime.enter();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    drop(entered);
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        stop.store(true, Ordering::Relaxed);
    })?;
    if std::env::var_os("OVERNIGHT_RUNNER").is_some() {
        std::thread::Builder::new().name("runner".to_owned()).spawn(|| {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            stop.store(true, Ordering::Relaxed);
        })?;
    }
    Ok(())
}

/// Opens an address or a file in the person's browser. Not being able to is worth a line, no more.
pub fn open(what: &str) {
    let opened = std::process::Command::new("xdg-open")
        .arg(what)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn();
    if let Err(error) = opened {
        text::talk(format_args!("cannot open a browser (xdg-open: {error}); open {what} yourself"));
    }
}
