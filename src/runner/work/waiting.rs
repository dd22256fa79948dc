//! What comes before a batch: which runs it is about, whether there is anything to do, and the wait for
//! work or for room on the disk.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::run_dir::{RunDir, Workspace, scan};
use crate::runner::interrupt::Interrupts;
use crate::runner::left_out::LeftOut;
use crate::runner::outcome::{LeftRun, Outcome};
use crate::runner::room::{self, Room, Space};
use crate::runner::schedule::Standing;
use crate::runner::skips::Skips;
use crate::runner::terminal::{News, Terminal};
use crate::runner::tracked::{self, Judge, Tracked};
use crate::runner::view::View;
use crate::runner::whereabouts::Whereabouts;
use crate::runner::{RunnerOptions, Selection};

/// Time between two looks of a runner that waits for work.
const TICK: Duration = Duration::from_millis(500);
/// So many of them pass between two looks at runs that are there already, when nothing hints at a change.
const TICKS: u32 = 120;

/// The runs that are asked for, as they stand.
pub(super) fn selected(workspace: &Workspace, options: &RunnerOptions, host: &str) -> Vec<Tracked> {
    let mut runs: Vec<Tracked> = match &options.selection {
        Selection::Runs(runs) => runs.iter().map(|dir| Tracked::new(dir.clone(), host)).collect(),
        Selection::All => {
            let runs = scan::runs_of_ours(workspace).into_iter();
            let mut runs: Vec<Tracked> = runs.map(|dir| Tracked::new(dir, host)).collect();
            tracked::in_order_of_age(&mut runs);
            runs
        }
    };
    let mut others = LeftOut::new(match &options.selection {
        Selection::Runs(runs) => {
            scan::runs_of_ours(workspace).into_iter().filter(|dir| !runs.contains(dir)).collect()
        }
        Selection::All => HashSet::new(),
    });
    let judge = Judge { host, batch: None, failed: options.failed };
    tracked::skip(&mut runs, &mut others, &mut Skips::default(), true, judge);
    runs
}

/// Runs that no batch of this runner has seen.
pub(super) fn come_since(workspace: &Workspace, known: &HashSet<RunDir>) -> Vec<RunDir> {
    scan::runs_of_ours(workspace).into_iter().filter(|dir| !known.contains(dir)).collect()
}

/// Whether nothing of these could be begun or followed.
pub(super) fn is_idle(runs: &[Tracked], options: &RunnerOptions) -> bool {
    !runs.iter().any(|run| is_work(run, options))
}

fn is_work(run: &Tracked, options: &RunnerOptions) -> bool {
    let standing = tracked::standing(&run.seen, None, options.failed);
    let is_left = matches!(standing, Standing::Finished | Standing::Left | Standing::Held(_));
    run.is_to_be_adopted() || !is_left
}

/// Says that the runner waits now, and what stays behind, so that a person who looks sees what to do.
pub(super) fn say_what_is_held(options: &RunnerOptions, outcome: &Outcome) {
    let mut view = View::open(options.style);
    for left in outcome.left.iter().filter(|left| left.is_waiting() && !left.reason.is_empty()) {
        view.say(&format!("waits    {}/{}: {}", left.dir.experiment(), left.dir.name(), left.reason));
    }
    view.say("waits    for runs to be queued (overnight queue FILE; Ctrl-C ends this)");
}

/// Waits until there is something to do; false when a signal came first, or the workspace went away. What the last batch `left` could
/// not be begun then: it is tried again once something was asked of it, or anything else has changed.
pub(super) async fn found_work(
    workspace: &Workspace,
    options: &RunnerOptions,
    left: &[LeftRun],
    whereabouts: &Whereabouts,
    interrupts: &mut Interrupts,
    terminal: &mut Terminal,
) -> bool {
    let left: HashMap<&RunDir, &LeftRun> = left.iter().map(|left| (&left.dir, left)).collect();
    let mut comings = scan::Comings::default();
    let mut tick = tokio::time::interval(TICK);
    let mut ticks = 0;
    let host = scan::host();
    loop {
        tokio::select! {
            _ = interrupts.next() => return false,
            News::Gone = terminal.next() => {
                terminal.leave();
                terminal.waits();
            }
            _ = tick.tick() => {}
        }
        if whereabouts.are_left() {
            return false;
        }
        ticks += 1;
        let is_due = comings.any(workspace) || ticks % TICKS == 0;
        let has_unfinished = || scan::runs_of_ours(workspace).iter().any(scan::is_unfinished);
        if is_due && has_unfinished() {
            let runs = selected(workspace, options, &host);
            let is_new = |run: &Tracked| match left.get(&run.dir) {
                Some(left) => left.has_changed(&run.seen),
                None => is_work(run, options),
            };
            if runs.iter().any(is_new) && !is_idle(&runs, options) {
                return true;
            }
        }
    }
}

/// Waits until the disk has room for the batch's own files; false when a signal came first.
pub(super) async fn waited_for_room(
    workspace: &Workspace,
    options: &RunnerOptions,
    interrupts: &mut Interrupts,
) -> bool {
    let mut room = Room::default();
    let mut tick = tokio::time::interval(TICK);
    loop {
        let Some(space) = Space::of(workspace) else { return true };
        let was_held = room.is_held();
        room = match room::takes(&workspace.runs(), 0) {
            false if !space.is_low() => Room::Refused { bytes: 0, tried: Instant::now() },
            _ => room.after_try(true, Instant::now()).after(space),
        };
        match (was_held, room.is_held()) {
            (_, false) => return true,
            (false, true) => {
                View::open(options.style).say(&format!("nothing is started: {}", room.reason(Some(space))))
            }
            (true, true) => {}
        }
        tokio::select! {
            _ = interrupts.next() => return false,
            _ = tick.tick() => {}
        }
    }
}
